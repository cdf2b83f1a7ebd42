"""What do all the errors of one scheme add up to? The one answer that every pass gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qviz.core.envelope import Envelope

Floats = np.ndarray[Any, np.dtype[np.float64]]
Counts = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, eq=False)
class ErrorHistogram:
    """Errors x̂ − x counted in equal bins, rounding and clipping apart.

    ``half_step`` is the largest scale / 2: no rounding error lies beyond it, but for float32's own
    rounding. Where x̂ leaves float32 and becomes infinite the error fits no bin and is not counted.
    """

    edges: Floats
    rounding: Counts
    clipping: Counts
    half_step: float


@dataclass(frozen=True, eq=False)
class Sums:
    """Float64 sums over every finite element, with the error e = x̂ − x in float64.

    Attributes
    ----------
    finite : int array, shape (groups,)
        Finite elements of each group.
    squared_error, squared_value, max_abs_error : float64 arrays, shape (groups,)
        Σe², Σx² and max |e| of each group.
    saturated : int array, shape (groups,)
        Elements whose code was changed by clipping.
    absolute_error, clipping_squared_error : float
        Σ|e|, and Σe² of the saturated elements alone.
    product, squared_dequantized : float
        Σx·x̂ and Σx̂².
    occupancy : int array, shape (codes,), or None
        Elements at each code, from quant_min to quant_max; None when nobody asked.
    error_histogram : ErrorHistogram or None
        None when nobody asked.
    dequantized : Envelope or None
        The envelope of x̂, where it does not follow from that of x (more than one group).
    """

    finite: Counts
    squared_error: Floats
    squared_value: Floats
    max_abs_error: Floats
    saturated: Counts
    absolute_error: float
    clipping_squared_error: float
    product: float
    squared_dequantized: float
    occupancy: Counts | None
    error_histogram: ErrorHistogram | None
    dequantized: Envelope | None
