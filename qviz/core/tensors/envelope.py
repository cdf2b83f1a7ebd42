"""Where do the values run, at any zoom, without drawing every one? A min/max pyramid."""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray, empty
from qviz.core.frozen import frozen
from qviz.core.work import in_two_threads

BASE = 64
"""Elements in a bucket of the finest level; finer views read the values themselves."""

RAW = 1 << 18
"""Stretches up to this long are read as they are, which gives buckets of any width."""

FACTOR = 8
"""Buckets of one level in a bucket of the next."""

SHARED_FROM = 1 << 17
"""Of fewer buckets the coarser levels are made before a second thread has begun."""

LOOKED_AT = 128
"""Elements of a bucket that a sampled view looks at."""


@frozen(eq=False)
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
        low, high = empty((2, buckets), np.float32)
        low.fill(np.inf)
        high.fill(-np.inf)
        self._levels = [(low, high)]

    @property
    def nbytes(self) -> int:
        return sum(low.nbytes + high.nbytes for low, high in self._levels)

    @property
    def finest(self) -> tuple[FloatArray, FloatArray]:
        """The smallest and largest value of each bucket, ±infinity where there is none yet; to be filled in."""
        return self._levels[0]

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
        if first < last:
            body = values[first - start : last - start].reshape(-1, BASE)
            where = slice(first // BASE, last // BASE)
            low[where] = _reduce(np.minimum, np.fmin, body)
            high[where] = _reduce(np.maximum, np.fmax, body)

    def finish(self) -> Envelope:
        """Build the coarser levels; returns itself."""
        low, high = self._levels[0]
        # A bucket without a finite value keeps its starting infinities, or the NaN of fmin.
        filled = low <= high
        smaller: Any = np.minimum
        larger: Any = np.maximum
        if not filled.all():
            low[~filled] = high[~filled] = np.nan
            smaller, larger = np.fmin, np.fmax  # which pass over NaN, and take longer
        ends = ((smaller, low), (larger, high))
        sides = list(map(_levels_of, ends)) if low.size < SHARED_FROM else in_two_threads(_levels_of, *ends)
        self._levels += zip(*sides, strict=True)
        return self

    def view(self, values: Any, start: int, stop: int, buckets: int) -> EnvelopeView:
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
        start, stop, width = _stretch(self.size, start, stop, buckets)
        if stop - start <= RAW or width < BASE:
            return _read(values, self.size, start, stop, width)
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


class SampledEnvelope:
    """Stands in for an `Envelope` that is not built yet: a few neighbours from each bucket.

    Parameters
    ----------
    size : int
        How many elements there are.
    """

    nbytes = 0

    def __init__(self, size: int) -> None:
        self.size = size

    def view(self, values: Any, start: int, stop: int, buckets: int) -> EnvelopeView:
        """As `Envelope.view`; exact for short stretches, for long ones narrower than the truth."""
        start, stop, width = _stretch(self.size, start, stop, buckets)
        if stop - start <= RAW or width <= LOOKED_AT:
            return _read(values, self.size, start, stop, width)
        starts = np.arange(start // width * width, stop, width)
        looks = [
            values[s : min(s + LOOKED_AT, self.size)] for s in np.minimum(starts + width // 2, self.size - 1).tolist()
        ]
        low = np.array([np.fmin.reduce(look) for look in looks], np.float32)
        high = np.array([np.fmax.reduce(look) for look in looks], np.float32)
        return EnvelopeView(np.append(starts, min(int(starts[-1]) + width, self.size)), low, high)


def _stretch(size: int, start: int, stop: int, buckets: int) -> tuple[int, int, int]:
    """The stretch within the tensor, and the elements a bucket."""
    start = min(max(start, 0), size)
    stop = min(max(stop, start), size)
    return start, stop, max(1, -(-(stop - start) // max(buckets, 1)))


def _read(values: Any, size: int, start: int, stop: int, width: int) -> EnvelopeView:
    """By looking at every element of the stretch."""
    if width == 1:
        piece = values[start:stop]
        return EnvelopeView(np.arange(start, stop + 1), piece, piece)
    first = start // width * width
    last = min(-(-stop // width) * width, size)
    piece = values[first:last]
    starts = np.arange(0, last - first, width)
    low, high = np.fmin.reduceat(piece, starts), np.fmax.reduceat(piece, starts)
    return EnvelopeView(np.append(starts + first, last), low, high)


def _levels_of(end: tuple[Any, FloatArray]) -> list[FloatArray]:
    """The coarser levels of one side."""
    extreme, finest = end
    levels = [finest]
    while levels[-1].size > FACTOR:
        levels.append(_thinned(extreme, levels[-1]))
    return levels[1:]


def _thinned(extreme: Any, values: FloatArray) -> FloatArray:
    """The extreme of every `FACTOR` neighbours; in halves, which is several times as quick as one by one."""
    whole = values.size // FACTOR * FACTOR
    halved = values[:whole]
    for _ in range(FACTOR.bit_length() - 1):
        halved = extreme(halved[0::2], halved[1::2])
    return halved if whole == values.size else np.append(halved, extreme.reduce(values[whole:]))


def _reduce(fast: Any, careful: Any, body: FloatArray) -> FloatArray:
    """The extreme of each row; ``fast`` gives NaN where a row has one, ``careful`` passes it over."""
    flat = body.reshape(-1)
    starts = np.arange(0, flat.size, body.shape[1])  # in one run over memory: quicker than row by row
    reduced: FloatArray = fast.reduceat(flat, starts)
    if np.isnan(reduced).any():
        reduced = careful.reduceat(flat, starts)
    return reduced
