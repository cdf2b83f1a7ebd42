"""How much quicker does this computer compute with codes than with floats? Measured, never assumed."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from qviz.core.frozen import frozen
from qviz.core.problems import Problem
from qviz.core.work import IsCancelled, Progress, check, ignore, never

RUNS = 7
RUN_SECONDS = 0.02
MAX_ELEMENTS = 1 << 26
"""A longer array is measured in a piece of this length: it is beyond every cache already."""

NO_GAIN = 1.1
"""Below this ratio the difference is not worth the name."""


@frozen
class Speed:
    """Seconds for one element-wise addition over the whole tensor, the median of several runs."""

    elements: int
    code_dtype: str
    float32_seconds: float
    code_seconds: float

    @property
    def ratio(self) -> float:
        """How many times quicker the codes are added."""
        return self.float32_seconds / self.code_seconds

    @property
    def gains(self) -> bool:
        return self.ratio >= NO_GAIN


def measure_addition(
    elements: int, code_dtype: np.dtype[Any], *, progress: Progress = ignore, cancelled: IsCancelled = never
) -> Speed:
    """Repeated in-place addition, float32 against the codes' integer type.

    Parameters
    ----------
    elements : int
        The size of the tensor; beyond 2**26 a piece is measured and the time scaled up.
    code_dtype : dtype
        The integer type that holds a code.

    Raises
    ------
    Cancelled
        When asked to stop, between runs.
    """
    size = min(elements, MAX_ELEMENTS)
    types = [np.dtype(np.float32), code_dtype]
    arrays = [(np.zeros(size, t), np.ones(size, t)) for t in types]
    repeats = [_repeats(total, step) for total, step in arrays]  # also the warm-up
    seconds: list[list[float]] = [[], []]
    for run in range(RUNS):
        for which, (total, step) in enumerate(arrays):  # in turn, so that a slow moment hits both
            check(cancelled)
            seconds[which].append(_time(total, step, repeats[which]) / repeats[which])
        progress((run + 1) / RUNS)
    medians = [float(np.median(s)) * (elements / size) for s in seconds]
    return Speed(elements, str(code_dtype), *medians)


def _repeats(total: np.ndarray[Any, Any], step: np.ndarray[Any, Any]) -> int:
    _time(total, step, 1)
    once = min(_time(total, step, 1) for _ in range(3))
    return max(1, min(100_000, int(RUN_SECONDS / max(once, 1e-9))))


def _time(total: np.ndarray[Any, Any], step: np.ndarray[Any, Any], repeats: int) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        np.add(total, step, out=total)
    return time.perf_counter() - started


@frozen
class ProductSpeed:
    """Seconds of one multiplication of ``batch`` rows with a weight, 10th percentiles of many.

    Attributes
    ----------
    outputs, inputs : int
        Of the weight.
    batch : int
    seconds : tuple of (str, float)
        By the kinds of `qviz.models.product_speed.KINDS` that the runtime has here, in their order.
    share : float
        The part of the outputs that was measured, 1 for all of them.
    """

    outputs: int
    inputs: int
    batch: int
    seconds: tuple[tuple[str, float], ...]
    share: float = 1.0

    def ratio(self, kind: str) -> float:
        """How many times quicker than in float32; below 1 is slower."""
        known = dict(self.seconds)
        return known["float32"] / known[kind]


def matrix_shape(shape: Sequence[int]) -> tuple[int, int]:
    """The outputs and inputs of a weight: its first axis, and all the others.

    Raises
    ------
    Problem
        When it has fewer than two axes, or nothing in it.
    """
    if len(shape) < 2 or 0 in shape:
        raise Problem("Only a weight of two axes or more is multiplied with: {shape} is none.", shape=tuple(shape))
    return int(shape[0]), math.prod(int(n) for n in shape[1:])
