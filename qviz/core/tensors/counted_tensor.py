"""What does a tensor that was counted answer? All that a sorted one does, from counts in place of its elements."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qviz.core.arrays import Array, Counts, FloatArray
from qviz.core.problems import Problem
from qviz.core.tensors.cuts import Cuts, Wholes
from qviz.core.tensors.latest import Latest
from qviz.core.tensors.sorted_tensor import SortedTensor
from qviz.core.tensors.tensor import Tensor
from qviz.core.tensors.value_counts import ValueCounts
from qviz.core.tensors.value_histogram import Histogram

EACH = 512
"""Different values whose sums share a centre."""


class Repeated:
    """The elements in order, as an array gives them: looked up among the different values.

    Parameters
    ----------
    counts : ValueCounts
    """

    def __init__(self, counts: ValueCounts) -> None:
        self._values = counts.values
        self._ends = np.cumsum(counts.counts)
        self.size = int(self._ends[-1])
        self.shape = (self.size,)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, which: Any) -> Any:
        if isinstance(which, slice):
            which = np.arange(*which.indices(self.size))
        places = np.asarray(which)
        places = np.where(places < 0, places + self.size, places)
        return self._values[np.searchsorted(self._ends, places, "right")]

    def searchsorted(self, keys: Any, side: Any = "left") -> Counts:
        """How many elements are smaller (``left``), or not larger (``right``), than each key."""
        found = np.searchsorted(self._values, keys, side)
        return np.asarray(np.concatenate([[0], self._ends])[found])


class CountedTensor(SortedTensor):
    """A tensor's different values in order and how often each is there, with prefix sums.

    Takes about 3 MB, however large the tensor is. Counts, extremes and histograms are those of a `SortedTensor` to the
    last one, sums of squares up to roundings of float64.

    Parameters
    ----------
    tensor : Tensor
        Where the elements came from; a `CountedOnly` where nothing but the counts is known.
    counts : ValueCounts
        Of its finite elements.
    """

    def __init__(self, tensor: Tensor, counts: ValueCounts) -> None:
        self.tensor, self.value_counts = tensor, counts
        self.values = Repeated(counts)  # type: ignore[assignment]
        distinct = counts.values
        self._distinct = distinct
        self._below = np.concatenate([[0], np.cumsum(counts.counts)])
        blocks = -(-distinct.size // EACH)
        starts = np.arange(blocks) * EACH
        stops = np.minimum(starts + EACH, distinct.size)
        middles = (starts + stops) // 2
        self._centre = distinct[middles].astype(np.float64)
        self._start = np.concatenate([self._below[starts], self._below[-1:]])
        self._size = np.diff(self._start).astype(np.float64)
        # Sums from the middle of a superblock to either side, as a sorted tensor has them.
        self._first, self._second = np.zeros((blocks, EACH + 1)), np.zeros((blocks, EACH + 1))
        for block in range(blocks):
            here = slice(int(starts[block]), int(stops[block]))
            deviation = distinct[here].astype(np.float64) - self._centre[block]
            many = counts.counts[here].astype(np.float64)
            middle, length = int(middles[block] - starts[block]), int(stops[block] - starts[block])
            for sums, parts in ((self._first, many * deviation), (self._second, many * deviation * deviation)):
                sums[block, :middle] = -np.cumsum(parts[:middle][::-1])[::-1]
                sums[block, middle + 1 : length + 1] = np.cumsum(parts[middle:])
        lengths = stops - starts
        rows = np.arange(blocks)
        self._first_ends = np.stack([self._first[:, 0], self._first[rows, lengths]])
        self._second_ends = np.stack([self._second[:, 0], self._second[rows, lengths]])
        first, second = (ends[1] - ends[0] for ends in (self._first_ends, self._second_ends))
        self._wholes = Wholes(self._centre, first, second, self._size)
        self._groups = self._wholes.grouped()
        self.sum = math.fsum(self._size * self._centre) + math.fsum(first)
        self.squared_sum = math.fsum(self._size * self._centre**2 + 2 * self._centre * first + second)
        self._histogram: Histogram | None = None
        self.answers = Latest(0)

    @property
    def nbytes(self) -> int:
        """Bytes of the counts and their sums."""
        arrays = (self._below, self._first, self._second, self._centre, self._start, self._size)
        return self.value_counts.nbytes + sum(each.nbytes for each in arrays)

    @property
    def searched(self) -> None:
        """There are no elements to be searched."""

    def count_below(self, keys: FloatArray) -> Counts:
        """How many elements are smaller than each key, shape (m,)."""
        return np.asarray(self._below[np.searchsorted(self._distinct, keys, "left")])

    def cut(self, keys: FloatArray) -> Cuts:
        """Cut before the first element that is not smaller than each key, and at both ends: m + 2 cuts."""
        inner = np.searchsorted(self._distinct, keys, "left")
        place: Array = np.concatenate([[0], inner, [self._distinct.size]])
        superblock = np.maximum(place - 1, 0) // EACH
        within = place - superblock * EACH
        return Cuts(self._below[place], superblock, self._first[superblock, within], self._second[superblock, within])


class CountedOnly(Tensor):
    """A tensor of which the counts are known and not the elements: asked for them, it says so.

    Parameters
    ----------
    name, dtype : str
    shape : tuple of int
    counts : ValueCounts

    Raises
    ------
    Problem
        When no element is finite.
    """

    def __init__(self, name: str, shape: tuple[int, ...], dtype: str, counts: ValueCounts) -> None:
        if not counts.values.size:
            raise Problem("{name} has no finite value.", name=name)
        self.name, self.shape, self.dtype = name, shape, dtype
        self.corner = (0,) * len(shape)
        self.counted = True
        self.finite, self.nan, self.inf, self.overflowed = counts.finite, counts.nan, counts.inf, 0
        self.minimum, self.maximum = float(counts.values[0]), float(counts.values[-1])
        self._infinite = np.zeros(0, np.int64), np.zeros(0, np.float32)
        self._identity = object()
        self._fresh()

    def count(self, **_: Any) -> Tensor:
        """Itself."""
        return self

    @property
    def elements(self) -> int:
        """How many elements, finite or not."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """It has no values."""
        return 0

    @property
    def values(self) -> Any:  # type: ignore[override]
        """Raises ``Problem``: there are none."""
        raise Problem(
            "Of {name} only the counts of its values are known, not their places: that answers what one scale does to "
            "it. For blocks, channels and pictures open the checkpoint itself.",
            name=self.name,
        )

    @property
    def envelope(self) -> Any:  # type: ignore[override]
        """Raises ``Problem``, as `values` does."""
        return self.values
