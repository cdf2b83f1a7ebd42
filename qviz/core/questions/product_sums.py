"""What do the errors of an output add up to, block by block?"""

from __future__ import annotations

import math

import numpy as np

from qviz.core.arrays import Array, Counts, Floats
from qviz.core.frozen import frozen
from qviz.core.questions.figures import sqnr_db

BINS = 1024
"""Bins of the error histogram on either side of 0."""

SOURCES = ("weight", "activation", "both")
"""What is quantized."""


@frozen
class Loss:
    """What the output loses, errors being ŷ − y in float64.

    Attributes
    ----------
    mse, max_abs_error : float
        In the output's unit (squared for mse).
    sqnr_db : float
        20·log10(‖y‖ / ‖y − ŷ‖) in dB; higher is better, infinite without error.
    cosine : float
        Of the angle between y and ŷ; NaN where either is all zeros.
    """

    mse: float
    max_abs_error: float
    sqnr_db: float
    cosine: float


@frozen(eq=False)
class PerIndexLoss:
    """The same for each row (token) of the output, or each column (channel), with both operands quantized.

    Float64 arrays of one length: ``mse``, ``max_abs_error`` and ``sqnr_db``.
    """

    mse: Floats
    max_abs_error: Floats
    sqnr_db: Floats

    @property
    def worst_first(self) -> Counts:
        """Their numbers, the lowest SQNR first."""
        return np.argsort(self.sqnr_db, kind="stable")


@frozen(eq=False)
class Errors:
    """Every output's error, counted in equal bins.

    Attributes
    ----------
    edges : float64 array, shape (bins + 1,)
    counts : dict of str to int array, shape (bins,)
        By what is quantized: the `SOURCES`.
    """

    edges: Floats
    counts: dict[str, Counts]


class OutputTotals:
    """What the errors of one source add up to."""

    def __init__(self) -> None:
        self.error = self.signal = self.output = self.product = self.largest = 0.0

    def add(self, y: Floats, output: Array, error: Floats) -> None:
        flat, out, e = y.ravel(), output.astype(np.float64).ravel(), error.ravel()
        self.error += float(e @ e)
        self.signal += float(flat @ flat)
        self.output += float(out @ out)
        self.product += float(flat @ out)
        self.largest = max(self.largest, float(np.abs(e).max()))

    def loss(self, size: int) -> Loss:
        norms = math.sqrt(self.signal) * math.sqrt(self.output)
        cosine = min(1.0, self.product / norms) if norms else math.nan
        return Loss(self.error / size, self.largest, float(sqnr_db(self.signal, self.error)), cosine)


class AxisTotals:
    """What the errors add up to along one axis."""

    def __init__(self, length: int) -> None:
        self.error, self.signal, self.largest = (np.zeros(length) for _ in range(3))

    def add(self, part: slice, y: Floats, error: Floats, over: int) -> None:
        self.error[part] += np.square(error).sum(axis=over)
        self.signal[part] += np.square(y).sum(axis=over)
        self.largest[part] = np.maximum(self.largest[part], np.abs(error).max(axis=over))

    def lines(self, size: int) -> PerIndexLoss:
        return PerIndexLoss(self.error / size, self.largest, sqnr_db(self.signal, self.error))


class Bins:
    """A histogram about 0 that grows with what it is given: two bins become one, so that every count stays exact."""

    def __init__(self) -> None:
        self.exponent: int | None = None
        self.counts = {source: np.zeros(2 * BINS, np.int64) for source in SOURCES}

    def add(self, errors: dict[str, Floats]) -> None:
        largest = max(float(np.abs(e).max()) for e in errors.values())
        if largest > 0:
            # The least power of two as a width, with which the largest error is inside the last bin.
            needed = math.frexp(largest / BINS)[1]
            if self.exponent is None:
                self.exponent = needed
            self._widen(needed - self.exponent)
        width = 2.0 ** (self.exponent or 0)
        for source, e in errors.items():
            bins = np.floor(e / width).astype(np.int64).ravel() + BINS
            self.counts[source] += np.bincount(bins, minlength=2 * BINS)

    def _widen(self, doublings: int) -> None:
        assert self.exponent is not None
        for _ in range(max(0, doublings)):
            self.exponent += 1
            for source, counts in self.counts.items():
                joined = np.zeros_like(counts)
                joined[BINS // 2 : BINS + BINS // 2] = counts.reshape(-1, 2).sum(axis=1)
                self.counts[source] = joined

    def errors(self) -> Errors:
        edges: Floats = np.arange(-BINS, BINS + 1, dtype=np.float64) * 2.0 ** (self.exponent or 0)
        return Errors(edges, self.counts)
