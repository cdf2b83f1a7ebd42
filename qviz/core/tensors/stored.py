"""What can be read like a flat array, a stretch at a time, though it does not lie in memory?"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

NEAR = 1 << 16
"""Bytes between two runs that are cheaper to read than to pass over."""

SPAN = 1 << 23
"""Bytes that are read at once, at most, to pick runs out of them."""

_Array = np.ndarray[Any, Any]


class Stored(ABC):
    """Values of one type in C order, outside memory; what is read of them is a fresh array each time.

    Parameters
    ----------
    dtype : dtype
    shape : tuple of int
        What they are called by; they are read flat.
    """

    def __init__(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self.dtype, self.shape = dtype, shape
        self.size = math.prod(shape)

    @abstractmethod
    def fill(self, start: int, target: _Array) -> None:
        """Read the flat values from ``start`` on into a contiguous array of this type.

        Raises
        ------
        Problem
            When they can't be read, or are not those any more that there were at first.
        """

    def stretches(self, starts: Iterable[int], room: _Array) -> Iterator[_Array]:
        """Stretches from each of these flat places on, one after the other in the same memory.

        Parameters
        ----------
        starts : iterable of int
        room : array of this type, flat
            As long as a stretch is at most.

        Raises
        ------
        Problem
            As in `fill`; what was given before may be wrong, then.
        """
        for first in starts:
            piece = room[: self.size - first]
            self.fill(first, piece)
            yield piece

    @abstractmethod
    def check_unchanged(self) -> None:
        """Make sure that they are those that there were at first.

        Raises
        ------
        Problem
            When they are not.
        """

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, where: Any) -> Any:
        """A flat slice, or the elements at flat indices of any shape."""
        if isinstance(where, slice):
            start, stop, step = where.indices(self.size)
            if step != 1:
                return self[np.arange(start, stop, step)]
            piece = np.empty(max(0, stop - start), self.dtype)
            if piece.size:
                self.fill(start, piece)
            return piece
        index = np.asarray(where)
        if index.size and not (-self.size <= index.min() and index.max() < self.size):
            raise IndexError(f"an index is out of bounds for {self.size} elements")
        unique, places = np.unique(np.where(index < 0, index + self.size, index), return_inverse=True)
        picked = self.runs(unique, 1)[:, 0][places.reshape(index.shape)]
        return picked if index.ndim else picked[()]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> _Array:
        return np.asarray(self[:].reshape(self.shape), dtype)

    def box(self, shape: tuple[int, ...], box: tuple[slice, ...]) -> _Array:
        """What lies in a slice of each axis (or of the first of them) when it is seen in ``shape``."""
        ends = [part.indices(n)[:2] for part, n in zip(box, shape, strict=False)]
        ends += [(0, n) for n in shape[len(ends) :]]
        sizes = tuple(max(0, stop - start) for start, stop in ends)
        # From the last axis on, as long as all of it is taken, neighbours are one run.
        axis = len(shape)
        while axis and (axis == len(shape) or sizes[axis] == shape[axis]):
            axis -= 1
        strides = [math.prod(shape[k + 1 :]) for k in range(len(shape))]
        starts = np.zeros(1, np.int64)
        for (start, stop), stride in zip(ends[:axis], strides, strict=False):
            starts = (starts[:, None] + np.arange(start, stop) * stride).reshape(-1)
        if len(shape):
            starts = starts + ends[axis][0] * strides[axis]
        return self.runs(starts, math.prod(sizes[axis:])).reshape(sizes)

    def runs(self, starts: np.ndarray[Any, np.dtype[np.int64]], length: int) -> _Array:
        """Runs of ``length`` neighbours that begin at ``starts`` (ascending, apart), a row each."""
        rows = np.empty((starts.size, length), self.dtype)
        if not rows.size:
            return rows
        near = max(1, NEAR // self.dtype.itemsize)
        most = max(length, SPAN // self.dtype.itemsize)
        breaks = np.flatnonzero(np.diff(starts) - length > near) + 1
        for begin, last in zip([0, *breaks.tolist()], [*breaks.tolist(), starts.size], strict=True):
            first = begin
            while first < last:
                within = np.searchsorted(starts[first:last], starts[first] + most - length, "right")
                end = max(first + 1, first + int(within))
                self._fill_rows(rows[first:end], starts[first:end])
                first = end
        return rows

    def _fill_rows(self, rows: _Array, starts: np.ndarray[Any, np.dtype[np.int64]]) -> None:
        """Runs that lie near each other, read in one piece."""
        base, length = int(starts[0]), rows.shape[1]
        if len(rows) == 1:
            self.fill(base, rows[0])
            return
        span = self[base : int(starts[-1]) + length]
        rows[:] = np.lib.stride_tricks.sliding_window_view(span, length)[starts - base]
