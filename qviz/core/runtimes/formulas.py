"""Which formulas do several runtimes share?"""

from __future__ import annotations

import numpy as np

from qviz.core.arrays import FloatArray, Floats
from qviz.core.formats.integers import IntFormat


def full_range(number_format: IntFormat) -> tuple[int, int]:
    """The first and the last code of the format."""
    return number_format.quant_min, number_format.quant_max


def all_codes(number_format: IntFormat, symmetric: bool) -> tuple[int, int]:
    """The same, whatever the mode."""
    return full_range(number_format)


def twice_the_last(number_format: IntFormat) -> float:
    """How many scales wide [-absmax, absmax] is, where absmax gets the last code."""
    return 2 * number_format.quant_max


def no_middle(number_format: IntFormat) -> float:
    """The zero point of symmetric codes around 0."""
    return 0.0


def no_zero_point(number_format: IntFormat, low: Floats, high: Floats, scale: Floats) -> Floats:
    """Zero points of a runtime that has none."""
    return np.zeros_like(scale)


def absmax_of(low: FloatArray, high: FloatArray) -> FloatArray:
    """How far a range lies from 0."""
    return np.maximum(np.abs(low), np.abs(high))
