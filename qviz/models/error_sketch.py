"""How do the errors of an output add up that several layers make? Not as powers: as what they are, with their signs.

The error that a layer's quantized weights make is, to first order, the same whatever the other layers do: such errors
cancel or reinforce each other. Of each a sketch is kept that is as long whatever the output is: elements are added up
with random signs, so that the square of a sum of sketches is, but for some 2 %, that of the sum of the errors
(Charikar, Chen, Farach-Colton, "Finding frequent items in data streams", 2002). An output that is no longer than the
sketch is kept whole. What quantized activations add is rounded anew in another company: there powers are added.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from qviz.core.arrays import Array, Floats
from qviz.models.output_figures import RightAnswer

LENGTH = 4099
"""A prime, so that what repeats in an output is spread."""

SIGNS = 1 << 20
"""After so many elements they come again."""


class ErrorSketch:
    """The errors of all outputs over samples, as sums of a fixed length.

    Parameters
    ----------
    outputs : int
    """

    def __init__(self, outputs: int) -> None:
        self._sums: Floats = np.zeros((outputs, LENGTH))
        self._at = 0

    def add(self, right: Sequence[RightAnswer], given: Sequence[Array]) -> None:
        """Take one sample of every output; what is no number makes the whole sketch NaN."""
        for place, (exact, array) in enumerate(zip(right, given, strict=True)):
            if exact.array.dtype.kind not in "fiub":
                continue
            if exact.array.shape != array.shape:
                self._sums[place] = math.nan
                continue
            error = (array - exact.values).reshape(-1)
            if exact.missing:
                error = np.where(exact.sound.reshape(-1), error, 0)
            start = self._at % LENGTH
            padded = np.zeros(-(-(start + error.size) // LENGTH) * LENGTH)
            padded[start : start + error.size] = error
            padded *= _signs(self._at - start, padded.size)
            with np.errstate(invalid="ignore"):
                self._sums[place] += padded.reshape(-1, LENGTH).sum(axis=0)
            self._at += error.size

    def error(self, signals: Sequence[float]) -> Floats | None:
        """One vector whose square is the noise as a share of the signal, the mean over outputs; None beside no number.

        Parameters
        ----------
        signals : sequence of float
            Σy² of each output.
        """
        if not np.isfinite(self._sums).all() or not all(math.isfinite(each) and each > 0 for each in signals):
            return None
        weights = np.array([1 / math.sqrt(each * len(signals)) for each in signals])
        return np.asarray(weights @ self._sums, np.float64)


def _signs(start: int, count: int) -> Floats:
    """Those of so many elements from one on."""
    first = start % SIGNS
    if first + count <= SIGNS:
        return _pool()[first : first + count]
    return np.asarray(np.take(_pool(), np.arange(first, first + count), mode="wrap"), np.float64)


@cache
def _pool() -> Floats:
    return np.asarray(np.random.default_rng(0).integers(0, 2, SIGNS) * 2 - 1, np.float64)
