"""Where do the values run, at any zoom, without drawing every one? A min/max pyramid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

FloatArray = np.ndarray[Any, np.dtype[np.float32]]

BASE = 64
"""Elements in a bucket of the finest level; finer views read the values themselves."""

RAW = 1 << 18
"""Stretches up to this long are read as they are, which gives buckets of any width."""

FACTOR = 8
"""Buckets of one level in a bucket of the next."""


@dataclass(frozen=True, eq=False)
class EnvelopeView:
    """Some stretch of a tensor, reduced to what fits on a screen.

    Attributes
    ----------
    start : int array, shape (buckets + 1,)
        Element index at which each bucket starts; the last entry is where the last one ends.
    low, high : float32 arrays, shape (buckets,)
        The smallest and largest finite value in each bucket; NaN where it has none.
    """

    start: np.ndarray[Any, np.dtype[np.int64]]
    low: FloatArray
    high: FloatArray

    @property
    def is_samples(self) -> bool:
        """Whether every bucket is a single element."""
        return bool(self.start.size and self.start[-1] - self.start[0] == self.low.size)


class Envelope:
    """The min/max pyramid over flat float32 values; built block by block, then asked.

    Parameters
    ----------
    size : int
        How many elements there will be.

    Notes
    -----
    A monotone quantizer maps the envelope of the original to the envelope of the dequantized
    values, so one pyramid serves every per-tensor scheme.
    """

    def __init__(self, size: int) -> None:
        buckets = -(-size // BASE)
        self.size = size
        self._levels = [(np.full(buckets, np.inf, np.float32), np.full(buckets, -np.inf, np.float32))]

    def add(self, start: int, values: FloatArray) -> None:
        """Take the finite ``values`` (NaN is passed over) that stand at ``start`` and behind it."""
        low, high = self._levels[0]
        stop = start + values.size
        first = min(-(-start // BASE) * BASE, stop)
        last = max(first, stop // BASE * BASE)
        # The ends may share their bucket with a neighbouring block.
        for piece, bucket in (
            (values[: first - start], start // BASE),
            (values[last - start :], last // BASE),
        ):
            if piece.size:
                low[bucket] = np.fmin(low[bucket], np.fmin.reduce(piece))
                high[bucket] = np.fmax(high[bucket], np.fmax.reduce(piece))
        body = values[first - start : last - start].reshape(-1, BASE)
        where = slice(first // BASE, last // BASE)
        low[where] = _reduce(np.minimum, np.fmin, body)
        high[where] = _reduce(np.maximum, np.fmax, body)

    def finish(self) -> Envelope:
        """Build the coarser levels; returns itself."""
        low, high = self._levels[0]
        # A bucket without a finite value keeps its starting infinities, or the NaN of fmin.
        empty = ~(low <= high)
        low[empty] = high[empty] = np.nan
        while self._levels[-1][0].size > FACTOR:
            low, high = self._levels[-1]
            starts = np.arange(0, low.size, FACTOR)
            self._levels.append((np.fmin.reduceat(low, starts), np.fmax.reduceat(high, starts)))
        return self

    def view(self, values: FloatArray, start: int, stop: int, buckets: int) -> EnvelopeView:
        """Elements ``start`` … ``stop`` of ``values`` in at most about ``buckets`` buckets.

        Parameters
        ----------
        values : float32 array, shape (size,)
            The values the pyramid was built from; read only where the view is finer than it.
        start, stop : int
            Clamped to the tensor; buckets keep to multiples of their width, so that they stay
            the same while the view is moved, and may reach a little beyond both ends.
        buckets : int
            How many are wanted, one a pixel.
        """
        start = min(max(start, 0), self.size)
        stop = min(max(stop, start), self.size)
        width = max(1, -(-(stop - start) // max(buckets, 1)))
        if width == 1:
            piece = values[start:stop]
            return EnvelopeView(np.arange(start, stop + 1), piece, piece)
        if stop - start <= RAW or width < BASE:
            first = start // width * width
            last = min(-(-stop // width) * width, self.size)
            piece = values[first:last]
            starts = np.arange(0, last - first, width)
            low, high = np.fmin.reduceat(piece, starts), np.fmax.reduceat(piece, starts)
            return EnvelopeView(np.append(starts + first, last), low, high)
        level, size = 0, BASE
        while level + 1 < len(self._levels) and size * FACTOR * 4 <= width:
            level, size = level + 1, size * FACTOR
        low, high = self._levels[level]
        step = -(-width // size)
        first = start // (size * step) * step
        last = min(-(-stop // (size * step)) * step, low.size)
        starts = np.arange(0, last - first, step)
        return EnvelopeView(
            np.append((starts + first) * size, min(last * size, self.size)),
            np.fmin.reduceat(low[first:last], starts),
            np.fmax.reduceat(high[first:last], starts),
        )


def _reduce(fast: Any, careful: Any, body: FloatArray) -> FloatArray:
    reduced: FloatArray = fast.reduce(body, axis=1)
    if np.isnan(reduced).any():
        reduced = careful.reduce(body, axis=1)
    return reduced
