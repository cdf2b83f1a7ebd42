"""How many elements lie below a value, and what do they add up to? Sorted once, then asked anything.

A scalar quantizer is a monotone staircase: the elements that share a code are neighbours in the
sorted tensor, so every question about any staircase is a few binary searches.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from qviz.core import work
from qviz.core.arrays import Array, Counts, FloatArray, Floats
from qviz.core.tensors.cells import outer_parts
from qviz.core.tensors.cuts import GROUPED, Cuts, Wholes, moved
from qviz.core.tensors.latest import Latest
from qviz.core.tensors.lookups import cut_at, places
from qviz.core.tensors.ordering import PARTED_ABOVE, gather, sort
from qviz.core.tensors.survey import WIDTH, superblock_moments
from qviz.core.tensors.tensor import Tensor
from qviz.core.tensors.value_counts import SHIFTS, counted_values
from qviz.core.tensors.value_histogram import Histogram
from qviz.core.work import IsCancelled, Progress, check, ignore, in_two_threads, never

LARGEST_SUPERBLOCK = 1 << 15
SMALLEST_SUPERBLOCK = 1 << 9
SUPERBLOCKS = 1 << 12
"""Prefix sums start anew, with a centre of their own, so often that they lose no digits."""

ROWS = 1 << 12
"""Cuts that are looked up together: their blocks fit into the cache."""

SHARED_FROM = 1 << 13
"""So many keys are looked up by two threads: fewer are found before another one has begun."""

COUNTED_FROM = 1 << 17
"""A tensor of 16-bit values is counted from so many elements on: fewer are sorted as quickly."""

COUNTED_BYTES = 1 << 22
"""What counts take at most."""

_ABOVE_ALL = np.float32(np.inf)


class SortedTensor:
    """The finite elements of a tensor in order, with a search index and prefix sums.

    Takes about 1.16 times the bytes of the tensor's float32 values.

    Parameters
    ----------
    tensor : Tensor
    progress : Callable[[float], None]
    cancelled : Callable[[], bool]
        Asked between steps; sorting itself cannot be interrupted.

    Attributes
    ----------
    tensor : Tensor
        Where the elements came from.
    values : float32 array, shape (finite,)
        In ascending order.
    sum, squared_sum : float
        Σx and Σx².

    Raises
    ------
    Cancelled
        When asked to stop.
    """

    def __init__(self, tensor: Tensor, *, progress: Progress = ignore, cancelled: IsCancelled = never) -> None:
        self.tensor = tensor
        n = tensor.finite
        blocks = -(-n // WIDTH)
        self._padded: FloatArray = np.empty(blocks * WIDTH, np.float32)
        self._padded[n:] = np.inf
        self.values = self._padded[:n]
        gather(tensor, self.values, lambda f: progress(0.1 * f), cancelled)
        sort(self.values, lambda f: progress(0.1 + 0.7 * f), cancelled)
        self._rows = self._padded.reshape(blocks, WIDTH)
        self._index: FloatArray = np.ascontiguousarray(self._rows[:, 0])
        size = LARGEST_SUPERBLOCK
        while size > SMALLEST_SUPERBLOCK and n < size * SUPERBLOCKS:
            size //= 2
        self._blocks_each = size // WIDTH
        count = -(-n // size)
        self._centre = np.empty(count)
        self._first = np.zeros(count * self._blocks_each)
        self._second = np.zeros(count * self._blocks_each)
        # Sums run from the middle of a superblock to either side, so that an element far out is in
        # no sum but those that reach it: the others would lose their digits beside its square.
        self._first_ends, self._second_ends = np.empty((2, count)), np.empty((2, count))
        self._middle = np.full(count, self._blocks_each // 2)
        self._middle[-1] = (blocks - (count - 1) * self._blocks_each) // 2
        self._size = np.full(count, float(size))
        self._size[-1] = n - (count - 1) * size
        self._start = np.arange(count + 1, dtype=np.int64) * size
        self._start[-1] = n
        self._add_up(size, lambda f: progress(0.8 + 0.2 * f), cancelled)
        first, second = (ends[1] - ends[0] for ends in (self._first_ends, self._second_ends))
        self._wholes = Wholes(self._centre, first, second, self._size)
        self._groups = self._wholes.grouped()
        self.sum = math.fsum(self._size * self._centre) + math.fsum(first)
        self.squared_sum = math.fsum(self._size * self._centre**2 + 2 * self._centre * first + second)
        self._histogram: Histogram | None = None
        self.answers = Latest(4 * tensor.elements)

    @property
    def nbytes(self) -> int:
        """Bytes that the sorted copy, its index and its sums take; the tensor itself not counted."""
        sums = (self._first, self._second, self._first_ends, self._second_ends)
        places = (self._index, self._centre, self._size, self._start, self._middle)
        wholes = (self._wholes.first, self._wholes.second)
        return sum(a.nbytes for a in (self._padded, *sums, *places, *wholes))

    @property
    def searched(self) -> tuple[FloatArray, FloatArray] | None:
        """What compiled loops search: the values, filled up with infinity, and the first of each block."""
        return self._padded, self._index

    def _add_up(self, size: int, progress: Progress, cancelled: IsCancelled) -> None:
        """Sums of x − c and its square from the middle of each superblock to the blocks' ends that lie nearer to it."""
        count, each = self._centre.size, self._blocks_each
        self._centre[:] = self.values[(self._start[:-1] + self._start[1:]) // 2]
        if superblock_moments.ready:
            self._add_up_quickly()
            return
        together = max(1, LARGEST_SUPERBLOCK // size)
        ones = np.ones(WIDTH)

        def some(numbers: range) -> None:
            work = np.empty(together * size)
            for at in numbers:
                check(cancelled)
                last = min(at + together, count)
                piece = self.values[at * size : last * size]
                whole = work[: (last - at) * size]
                # A last superblock that is not full is filled up with its centre, which adds nothing.
                whole[: piece.size] = piece
                whole[piece.size :] = self._centre[last - 1]
                grid = whole.reshape(last - at, size)
                np.subtract(grid, self._centre[at:last, None], out=grid)
                rows = whole.reshape(-1, WIDTH)
                for sums, ends in ((self._first, self._first_ends), (self._second, self._second_ends)):
                    if sums is self._second:
                        np.multiply(whole, whole, out=whole)
                    blocks = (rows @ ones).reshape(last - at, each)
                    near = sums.reshape(count, each)[at:last]
                    ends[:, at:last] = _outwards(blocks, each // 2, near)
                    if last == count:
                        ends[:, -1:] = _outwards(blocks[-1:], int(self._middle[-1]), near[-1:])
                if numbers.start == 0:
                    progress((at // together + 1) / len(numbers))

        starts = range(0, count, together)
        half = len(starts) // 2
        if self.values.size > PARTED_ABOVE:
            in_two_threads(some, starts[:half], starts[half:])
        else:
            some(starts)

    def _add_up_quickly(self) -> None:
        """The same in compiled loops."""
        sums = (self._first, self._second, self._first_ends, self._second_ends)
        middle, count = self._centre.size // 2, self._centre.size

        def some(ends: tuple[int, int]) -> None:
            superblock_moments(self.values, *ends, self._start, self._middle, self._centre, self._blocks_each, *sums)

        if self.values.size > PARTED_ABOVE:
            in_two_threads(some, (0, middle), (middle, count))
        else:
            some((0, count))

    # -- what can be asked

    def count_below(self, keys: FloatArray) -> Counts:
        """How many elements are smaller than each of ``keys``.

        Parameters
        ----------
        keys : float32 array, shape (m,)
            In any order, though ascending ones are found faster; not NaN.

        Returns
        -------
        int array, shape (m,)
        """
        found = np.empty(keys.size, np.int64)
        if places.ready:
            keys = np.ascontiguousarray(keys, np.float32)
            share(lambda ends: places(keys, *ends, self._padded, self._index, found), keys.size)
            return found
        for start in range(0, keys.size, ROWS):
            some = keys[start : start + ROWS]
            block = self._block_of(some)
            inside = np.less(self._rows[block], some[:, None])
            found[start : start + ROWS] = block * WIDTH + _count(inside)
        return found

    def cut(self, keys: FloatArray) -> Cuts:
        """Cut before the first element that is not smaller than each of ``keys``, and at both ends.

        Parameters
        ----------
        keys : float32 array, shape (m,)
            Ascending; not NaN.

        Returns
        -------
        Cuts
            m + 2 of them.
        """
        m = keys.size
        cuts = Cuts(np.empty(m + 2, np.int64), np.empty(m + 2, np.int64), np.empty(m + 2), np.empty(m + 2))
        cuts.position[0], cuts.position[-1] = 0, self.values.size
        cuts.superblock[0], cuts.superblock[-1] = 0, self._centre.size - 1
        cuts.first[0], cuts.first[-1] = self._first_ends[0, 0], self._first_ends[1, -1]
        cuts.second[0], cuts.second[-1] = self._second_ends[0, 0], self._second_ends[1, -1]
        if cut_at.ready:
            self._cut_quickly(np.ascontiguousarray(keys, np.float32), cuts.pick(slice(1, -1)))
            return cuts
        for start in range(0, m, ROWS):
            some = keys[start : start + ROWS]
            here = slice(start + 1, start + 1 + some.size)
            block = self._block_of(some)
            superblock = block // self._blocks_each
            rows = self._rows[block]
            inside = rows < some[:, None]
            # From the end of the block that is nearer to the middle to the cut.
            left = block - superblock * self._blocks_each < self._middle[superblock]
            rest = rows - self._centre[superblock][:, None]
            rest[inside == left[:, None]] = 0.0
            sign = np.where(left, -1.0, 1.0)
            cuts.position[here] = block * WIDTH + _count(inside)
            cuts.superblock[here] = superblock
            cuts.first[here] = self._first[block] + sign * rest.sum(axis=1)
            cuts.second[here] = self._second[block] + sign * np.einsum("ij,ij->i", rest, rest)
        return cuts

    def _cut_quickly(self, keys: FloatArray, cuts: Cuts) -> None:
        """Fill ``cuts``, views of which there are as many as keys, in compiled loops."""
        given = (self._padded, self._index, self._centre, self._middle, self._blocks_each, self._first, self._second)
        found = (cuts.position, cuts.superblock, cuts.first, cuts.second)
        share(lambda ends: cut_at(keys, *ends, *given, *found), keys.size)

    def _block_of(self, keys: FloatArray) -> Counts:
        """The block that the first element not below each key lies in, or ends."""
        return np.maximum(np.searchsorted(self._index, keys, "left") - 1, 0)

    def add_up(self, cuts: Cuts, reference: Floats) -> tuple[Floats, Floats]:
        """Σ(x − r) and Σ(x − r)² between neighbouring cuts.

        Parameters
        ----------
        cuts : Cuts
            m + 1 of them.
        reference : float64 array, shape (m,)
            r of each cell, finite.

        Returns
        -------
        first, second : float64 arrays, shape (m,)
        """
        return self.between(cuts.pick(slice(None, -1)), cuts.pick(slice(1, None)), reference)

    def between(self, start: Cuts, stop: Cuts, reference: Floats) -> tuple[Floats, Floats]:
        """Σ(x − r) and Σ(x − r)² of cells that need not be neighbours.

        Parameters
        ----------
        start, stop : Cuts
            m of each, none of which starts after it stops.
        reference : float64 array, shape (m,)
            r of each cell, finite.

        Returns
        -------
        first, second : float64 arrays, shape (m,)
            0 of a cell without elements.
        """
        start, stop = start.packed(), stop.packed()
        first, second, wholes = self._outer_parts(start, stop, reference)
        if wholes:
            self._add_wholes(start.superblock, stop.superblock, reference, first, second)
        return first, second

    def _outer_parts(self, start: Cuts, stop: Cuts, reference: Floats) -> tuple[Floats, Floats, bool]:
        """What `between` finds but for superblocks that lie within one cell altogether; whether there are such."""
        left, right = start.superblock, stop.superblock
        if outer_parts.ready:
            one, two = np.empty(reference.size), np.empty(reference.size)
            given = (
                np.ascontiguousarray(reference, np.float64),
                self._centre,
                self._start,
                self._first_ends,
                self._second_ends,
            )
            found = share(
                lambda ends: outer_parts(*start.arrays, *stop.arrays, *ends, *given, one, two), reference.size
            )
            return one, two, any(found)
        same = left == right
        # Within one superblock: the difference of two sums. Across several: what is left of the
        # first, the beginning of the last, and every one between.
        one = np.where(same, stop.first, self._first_ends[1, left]) - start.first
        two = np.where(same, stop.second, self._second_ends[1, left]) - start.second
        many = np.where(same, stop.position, self._start[left + 1]) - start.position
        first, second = moved(one, two, many, self._centre[left] - reference)
        across = np.flatnonzero(~same)
        if across.size:
            last = right[across]
            many = stop.position[across] - self._start[last]
            w = self._centre[last] - reference[across]
            one, two = stop.first[across] - self._first_ends[0, last], stop.second[across]
            one, two = moved(one, two - self._second_ends[0, last], many, w)
            first[across] += one
            second[across] += two
        # Sums that were rounded in another order would leave something of what cancels.
        nothing = start.position == stop.position
        first[nothing], second[nothing] = 0.0, 0.0
        return first, second, bool(across.size)

    def _add_wholes(self, left: Counts, right: Counts, reference: Floats, first: Floats, second: Floats) -> None:
        """Add superblocks that lie within one cell altogether: whole groups, and those before and behind them."""
        across = np.flatnonzero(right > left + 1)
        begin, end = left[across] + 1, right[across]
        group, last_group = -(-begin // GROUPED), end // GROUPED
        any_group = last_group > group
        sums = (reference, first, second)
        self._groups.add(across, group, np.where(any_group, last_group, group), *sums)
        self._wholes.add(across, begin, np.where(any_group, group * GROUPED, end), *sums)
        self._wholes.add(across, np.where(any_group, last_group * GROUPED, end), end, *sums)

    def counts(self, edges: Floats) -> Counts:
        """Elements between neighbouring edges: exactly ``numpy.histogram(values, edges)[0]``.

        Parameters
        ----------
        edges : float64 array, shape (bins + 1,)
            Ascending.
        """
        below = np.append(self.count_below(at_least(edges[:-1])), self.count_below(above(edges[-1:])))
        return below[1:] - below[:-1]

    def histogram(self) -> Histogram:
        """The tensor's own histogram, exactly."""
        if self._histogram is None:
            edges = self.tensor.histogram_edges()
            self._histogram = Histogram(edges, self.counts(edges))
            self.tensor.know_histogram(self._histogram)
        return self._histogram

    def order_statistic(self, rank: int) -> float:
        """The element with ``rank`` smaller ones."""
        return float(self.values[rank])

    def magnitude_statistic(self, rank: int) -> float:
        """The element of |x| with ``rank`` smaller ones."""
        low, high = 0, int(np.float32(np.inf).view(np.int32))
        # The smallest magnitude that more than ``rank`` elements do not exceed: bits of positive
        # floats are in the order of the floats.
        while low < high:
            middle = (low + high) // 2
            magnitude = np.array([middle], np.int32).view(np.float32)
            within = self.values.searchsorted(magnitude, "right") - self.values.searchsorted(-magnitude, "left")
            if within[0] > rank:
                high = middle
            else:
                low = middle + 1
        return float(np.array(low, np.int32).view(np.float32))


def prepared_nbytes(elements: int, dtype: str = "") -> int:
    """Bytes that a prepared tensor of so many elements takes, and the tensor's envelope with it."""
    if dtype in SHIFTS and elements >= COUNTED_FROM:
        return COUNTED_BYTES + elements // 100
    return elements * 4 * 6 // 5


def prepare(x: object, *, progress: Progress = ignore, cancelled: IsCancelled = never) -> SortedTensor:
    """Sort a tensor once, to ask many questions.

    Parameters
    ----------
    x : array_like, Tensor or SortedTensor
        Real numbers, any shape; what is prepared already is given back.
    progress : Callable[[float], None]
    cancelled : Callable[[], bool]

    Raises
    ------
    Problem
        When ``x`` holds nothing to quantize.
    Cancelled
        When asked to stop.
    """
    if isinstance(x, SortedTensor):
        return x
    if isinstance(x, Tensor):
        tensor = x.count(progress=lambda f: progress(0.3 * f), cancelled=cancelled)
    else:
        tensor = Tensor(x, progress=lambda f: progress(0.3 * f), cancelled=cancelled)
    if tensor.finite >= COUNTED_FROM and tensor.dtype in SHIFTS:
        from qviz.core.tensors.counted_tensor import CountedTensor

        counts = counted_values(tensor, progress=lambda f: progress(0.3 + 0.6 * f), cancelled=cancelled)
        if counts is not None:
            return CountedTensor(tensor, counts)
    return SortedTensor(tensor, progress=lambda f: progress(0.3 + 0.7 * f), cancelled=cancelled)


_samples: WeakKeyDictionary[Tensor, SortedTensor] = WeakKeyDictionary()


def prepare_sample(tensor: Tensor, *, cancelled: IsCancelled = never) -> SortedTensor:
    """A tensor's sample in order: what every estimate is made from, sorted once."""
    if tensor not in _samples:
        _samples[tensor] = prepare(tensor.sample(), cancelled=cancelled)
    return _samples[tensor]


def at_least(values: Floats) -> FloatArray:
    """The smallest float32 that is not below each value."""
    with np.errstate(over="ignore"):
        near = np.asarray(values, np.float64).astype(np.float32)
        return np.where(near < values, np.nextafter(near, _ABOVE_ALL), near)


def above(values: Floats) -> FloatArray:
    """The smallest float32 that is above each value."""
    with np.errstate(over="ignore"):
        near = np.asarray(values, np.float64).astype(np.float32)
        return np.where(near <= values, np.nextafter(near, _ABOVE_ALL), near)


def _outwards(blocks: Floats, middle: int, near: Floats) -> tuple[Floats, Floats]:
    """Sums from before block ``middle`` to where each block begins, or ends if it lies before; and to both ends.

    Parameters
    ----------
    blocks : float64 array, shape (superblocks, blocks)
        What each block adds up to.
    middle : int
    near : float64 array, shape (superblocks, blocks)
        Filled.
    """
    left = -np.cumsum(blocks[:, :middle][:, ::-1], axis=1)[:, ::-1]
    right = np.cumsum(blocks[:, middle:], axis=1)
    near[:, : max(middle - 1, 0)], near[:, max(middle - 1, 0) : middle + 1] = left[:, 1:], 0
    near[:, middle + 1 :] = right[:, :-1]
    return left[:, 0] if middle else np.zeros(blocks.shape[0]), right[:, -1]


def share(some: Callable[[tuple[int, int]], Any], count: int) -> tuple[Any, ...]:
    """What `qviz.core.work.share` gives of so many cuts."""
    return work.share(some, count, least=SHARED_FROM)


def _count(inside: Array) -> Array:
    """How many are true in each row of a block's width: few enough for a byte, which NumPy adds up most quickly."""
    return np.asarray(inside.view(np.uint8).sum(axis=1, dtype=np.uint8))
