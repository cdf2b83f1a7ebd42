"""How are a tensor's values spread, and how heavy are its tails? What one wide scale would be wasted on."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from qviz.core.arrays import Counts, Floats
from qviz.core.frozen import frozen
from qviz.core.tensors.tensor import Tensor
from qviz.core.tensors.value_counts import ValueCounts
from qviz.core.work import IsCancelled, check, never

BINS = 32
"""As many as a small picture in a table shows."""

_BLOCK = 1 << 18


@frozen
class Moments:
    """Of the finite elements.

    Attributes
    ----------
    kurtosis : float
        E[(x − μ)⁴] ÷ σ⁴: 3 for a normal distribution, 1.8 for a uniform one; NaN where all are equal.
    outlier_ratio : float
        The largest magnitude ÷ the root of the mean square: how far a range that clips nothing reaches beyond what is
        usual; NaN for zeros.
    bins : tuple of int
        Elements in each of `BINS` equal bins from the smallest value to the largest; empty where all are equal.
    """

    kurtosis: float
    outlier_ratio: float
    bins: tuple[int, ...] = ()


def moments(tensor: Tensor, *, cancelled: IsCancelled = never) -> Moments:
    """Measure them, every element.

    Parameters
    ----------
    tensor : Tensor
    cancelled : Callable[[], bool]

    Raises
    ------
    Cancelled
        When asked to stop.
    """
    count, total, squares = tensor.finite, 0.0, 0.0
    for values in _finite(tensor, cancelled):
        total += float(values.sum())
        squares += float(values @ values)
    mean = total / count
    second = fourth = 0.0
    bins = np.zeros(BINS, np.int64)
    for values in _finite(tensor, cancelled):
        bins += _binned(values, tensor.minimum, tensor.maximum, None)
        deviation = np.square(values - mean)
        second += float(deviation.sum())
        fourth += float(deviation @ deviation)
    largest = max(abs(tensor.minimum), abs(tensor.maximum))
    rms = math.sqrt(squares / count)
    return Moments(
        count * fourth / (second * second) if second > 0 and second * second > 0 else math.nan,
        largest / rms if rms > 0 else math.nan,
        _told(bins, tensor.minimum, tensor.maximum),
    )


def moments_of_counts(counts: ValueCounts) -> Moments:
    """The same of counted values."""
    values, many = counts.values.astype(np.float64), counts.counts.astype(np.float64)
    count = float(many.sum())
    deviation = np.square(values - float(values @ many) / count)
    second, fourth = float(deviation @ many), float(np.square(deviation) @ many)
    rms = math.sqrt(float(np.square(values) @ many) / count)
    return Moments(
        count * fourth / (second * second) if second > 0 and second * second > 0 else math.nan,
        float(np.abs(values).max()) / rms if rms > 0 else math.nan,
        _told(_binned(values, float(values[0]), float(values[-1]), counts.counts), float(values[0]), float(values[-1])),
    )


def _binned(values: Floats, low: float, high: float, many: Counts | None) -> Counts:
    """How many fall into each bin; each value as often as ``many`` says."""
    if not high > low:
        return np.zeros(BINS, np.int64)
    places = np.minimum(((values - low) * (BINS / (high - low))).astype(np.int64), BINS - 1)
    if many is None:
        return np.bincount(places, minlength=BINS)
    found = np.zeros(BINS, np.int64)
    np.add.at(found, places, many)
    return found


def _told(bins: Counts, low: float, high: float) -> tuple[int, ...]:
    return tuple(bins.tolist()) if high > low else ()


def _finite(tensor: Tensor, cancelled: IsCancelled) -> Iterator[Floats]:
    for start in range(0, tensor.elements, _BLOCK):
        check(cancelled)
        values = np.asarray(tensor.values[start : start + _BLOCK]).astype(np.float64)
        yield values if tensor.finite == tensor.elements else values[np.isfinite(values)]
