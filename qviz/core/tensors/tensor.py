"""What does every question about a tensor need first? Its finite float32 values, counted once."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray, Floats, empty
from qviz.core.problems import Phrase, Problem
from qviz.core.tensors.counting import count_elements, near
from qviz.core.tensors.cutting import cut_of
from qviz.core.tensors.envelope import Envelope, SampledEnvelope
from qviz.core.tensors.granularity import Granularity
from qviz.core.tensors.group_extremes import group_extremes
from qviz.core.tensors.layout import BLOCK, Block, Flat, Layout
from qviz.core.tensors.mapped_values import DrawnValues, FlatValues, Mapping, Source, as_float32, box_of
from qviz.core.tensors.sample import is_all_of, read_sample
from qviz.core.tensors.stored import Stored
from qviz.core.tensors.value_histogram import Histogram, counted_between, equal_bins
from qviz.core.work import IsCancelled, Progress, check, ignore, never

SMALL_FLOATS = frozenset({"bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"})
"""Types of ml_dtypes, which NumPy takes for no numbers."""

FIRST = 1 << 12
"""Elements among which `Tensor.first_number` looks."""


class Tensor:
    """A named tensor, computed with in float32 as the runtimes do.

    Parameters
    ----------
    array : array_like or Stored
        Real numbers or booleans, any shape with at least one element. C-ordered float32 is kept
        as it is (a memory map stays one). Everything else becomes a float32 copy; what is large and
        lies outside memory is converted whenever a part of it is read.
    name : str
        What people call it.
    counted : bool
        Whether to look at every element now. If not, all figures are judged from a sample, as long
        as `count` has not been asked for.
    dtype : str, optional
        The type that the values were stored in, where the array does not tell: ``"Q4_K"``.

    Attributes
    ----------
    shape : tuple of int
        A scalar counts as one element of shape (1,).
    dtype : str
        The type the values were stored in.
    corner : tuple of int
        The index of its first element in the tensor that it was cut out of.
    values : float32 array, or what reads like one, shape (elements,)
        Flat, in C order; what was not finite is NaN.
    counted : bool
        Whether the figures below are of every element.
    finite, nan, inf, overflowed : int
        How many elements are finite, NaN, infinite, and finite but beyond float32. All but the
        first are left out of every statistic.
    minimum, maximum : float
        Of the finite elements.
    envelope : Envelope
        For drawing.

    Raises
    ------
    Problem
        When there is nothing to quantize: no elements, no finite ones, or not real numbers.
    """

    def __init__(
        self,
        array: object,
        name: str = "tensor",
        *,
        counted: bool = True,
        dtype: str | None = None,
        progress: Progress = ignore,
        cancelled: IsCancelled = never,
    ) -> None:
        source: Source = array if isinstance(array, Stored) else np.asarray(array)
        dtype = dtype or str(source.dtype)
        if isinstance(source, np.ndarray) and source.dtype.kind == "V" and source.dtype.name in SMALL_FLOATS:
            source = source.astype(np.float32)
        if source.dtype.kind not in "fiub":
            raise Problem(
                "{name} holds {dtype} values, which cannot be quantized: give it real numbers.",
                name=name,
                dtype=source.dtype,
            )
        if not source.size:
            raise Problem(
                "{name} has no elements (shape {shape}): there is nothing to quantize.", name=name, shape=source.shape
            )
        self.name = name
        self.shape: tuple[int, ...] = source.shape or (1,)
        self.corner: tuple[int, ...] = (0,) * len(self.shape)
        self.dtype = dtype
        if isinstance(source, np.ndarray):
            source = (source if source.flags.c_contiguous else np.ascontiguousarray(source)).reshape(-1)
        self._source = near(source)
        self._identity = object()
        self._mapping = Mapping(self._source)
        self._fresh()
        if counted or is_all_of(self._source.size):
            self._count(progress, cancelled)
        else:
            self._judge(cancelled)

    def _fresh(self) -> None:
        self._histogram: Histogram | None = None
        self._sampled_histogram: Histogram | None = None
        self._sample: FloatArray | None = None
        self._first_number: int | None = None
        self._extremes: dict[Layout, tuple[FloatArray, FloatArray]] = {}
        self._channels: dict[tuple[Layout, int], Tensor] = {}

    def __repr__(self) -> str:
        parts = [repr(self.name), f"shape={self.shape}", self.dtype, f"{self.minimum:.4g} … {self.maximum:.4g}"]
        kinds = {"NaN": self.nan, "infinite": self.inf, "beyond float32": self.overflowed}
        parts += [f"{count:,} {kind}" for kind, count in kinds.items() if count]
        return f"Tensor({', '.join(parts)})" if self.counted else f"Tensor({', '.join(parts)}, judged from a sample)"

    def count(self, *, progress: Progress = ignore, cancelled: IsCancelled = never) -> Tensor:
        """This tensor with every element looked at; itself where that was done.

        Raises
        ------
        Problem
            When none of them is finite.
        Cancelled
            When asked to stop.
        """
        if self.counted:
            return self
        counted = copy(self)
        counted._fresh()
        counted._count(progress, cancelled)
        return counted

    def reshaped(self, shape: tuple[int, ...]) -> Tensor:
        """The same elements, of which everything is known that was, in another shape of as many."""
        other = copy(self)
        other.shape = shape
        other.corner = (0,) * len(shape)
        return other

    def same_data(self, other: Tensor | None) -> bool:
        """Whether both are views of the very same elements, counted or not."""
        return other is not None and other._identity is self._identity

    def check_unchanged(self) -> None:
        """Make sure that the values outside memory are still those that were read; others can't change.

        Raises
        ------
        Problem
            When they are not.
        """
        if isinstance(self._source, Stored):
            self._source.check_unchanged()

    @property
    def drawn(self) -> Flat:
        """The values as something to look at: those outside memory are NaN once they can't be read any more."""
        return DrawnValues(self._source, self._mapping) if self.is_stored else self.values

    @property
    def is_stored(self) -> bool:
        """Whether the values lie outside memory, where they may change."""
        return isinstance(self._source, Stored)

    def _count(self, progress: Progress, cancelled: IsCancelled) -> None:
        """Look at every element."""
        elements = self.elements
        count = count_elements(self._source, self._mapping, progress, cancelled)
        self.values: Flat = count.values
        self.envelope: Envelope | SampledEnvelope = count.envelope
        self.finite, self.nan, self.inf, self.overflowed = count.finite, count.nan, count.inf, count.overflowed
        self.minimum, self.maximum = count.minimum, count.maximum
        self._infinite = count.infinite
        self.counted = True
        if count.copy is not None:  # the original is not needed any more
            self._source, self._mapping = count.copy, Mapping(count.copy)
        if not self.finite:
            what = Phrase("NaN, infinite or beyond float32") if self.overflowed else Phrase("NaN or infinite")
            raise Problem(
                "{name} has no finite value: all {elements:,} elements are {what}.",
                name=self.name,
                elements=elements,
                what=what,
            )

    def _judge(self, cancelled: IsCancelled) -> None:
        """Figures from a sample, until somebody counts."""
        self.values = FlatValues(self._source, self._mapping)
        self.envelope = SampledEnvelope(self.elements)
        piece = read_sample(self._source)
        sample = piece[np.isfinite(piece)]
        if not sample.size:
            self._count(ignore, cancelled)
            return
        self._sample = sample
        self.minimum, self.maximum = float(sample.min()), float(sample.max())
        self._infinite = np.zeros(0, np.int64), np.zeros(0, np.float32)
        self.nan = self.inf = self.overflowed = 0
        self.finite = self.elements
        self.counted = False

    def sample(self) -> FloatArray:
        """The finite ones of some quarter of a million elements: blocks of neighbours from all over."""
        if self._sample is None:
            piece = np.asarray(self.values[:]) if is_all_of(self.elements) else read_sample(self._source)
            piece = piece[np.isfinite(piece)]
            self._sample = piece if piece.size else np.array([self.minimum, self.maximum], np.float32)
        return self._sample

    def first_number(self) -> int:
        """The index of the first finite value among the first `FIRST`; 0 where there is none. Looked for once."""
        if self._first_number is None:
            numbers = np.flatnonzero(~np.isnan(self.drawn[:FIRST]))
            self._first_number = int(numbers[0]) if numbers.size else 0
        return self._first_number

    def original(self, start: int = 0, stop: int | None = None, *, drawn: bool = False) -> FloatArray:
        """A stretch of the flat values with infinities as they are, also in the place of what is beyond float32.

        Parameters
        ----------
        drawn : bool
            It is only looked at: see `drawn`.
        """
        values = np.asarray((self.drawn if drawn else self.values)[start:stop])
        places, signs = self._infinite
        first, last = np.searchsorted(places, (start, start + values.size)).tolist()
        if first < last:
            values = values.copy()
            values[places[first:last] - start] = signs[first:last]
        return values

    @property
    def elements(self) -> int:
        """How many elements, finite or not."""
        return int(self._source.size)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes; a mapped file takes none."""
        return (0 if self._mapping.exists else self._source.nbytes) + self.envelope.nbytes

    @property
    def all_finite(self) -> bool:
        """Whether every element is known to be finite."""
        return self.counted and self.finite == self.elements

    def block(self, layout: Layout, block: Block) -> FloatArray:
        """One of ``layout.blocks(…)`` as a float32 array of three axes; NaN where not finite. Not to be written to."""
        return layout.take(self.values, block)

    def pieces(self, size: int) -> Iterator[FloatArray]:
        """The flat values, ``size`` at a time."""
        for start in range(0, self.elements, size):
            yield self.values[start : start + size]

    def histogram_edges(self) -> Floats:
        """Equal bins from the smallest finite value to the largest."""
        return equal_bins(self.minimum, self.maximum)

    def histogram(self, *, sampled: bool = False, cancelled: IsCancelled = never) -> Histogram:
        """The finite values in equal bins from the smallest to the largest; counted once.

        Parameters
        ----------
        sampled : bool
            A sample will do, scaled up, where the whole was not counted before.
        """
        sampled = sampled or not self.counted
        if self._histogram is not None:
            return self._histogram
        if sampled and self._sampled_histogram is not None:
            return self._sampled_histogram
        edges = self.histogram_edges()
        if sampled:
            few = counted_between([self.sample()], edges, True, cancelled)
            scaled = np.rint(few.counts * (self.finite / self.sample().size)).astype(np.int64)
            self._sampled_histogram = Histogram(edges, scaled)
            return self._sampled_histogram
        self._histogram = counted_between(self.pieces(BLOCK), edges, self.all_finite, cancelled)
        return self._histogram

    def know_histogram(self, histogram: Histogram) -> None:
        """What `histogram` would find was found in another way."""
        self._histogram = histogram

    def extremes(self, layout: Layout, *, cancelled: IsCancelled = never) -> tuple[FloatArray, FloatArray]:
        """Smallest and largest finite value of each group, shape (groups,); 0 where a group has none."""
        if layout.groups == 1:
            return np.array([self.minimum], np.float32), np.array([self.maximum], np.float32)
        if layout not in self._extremes:
            self._extremes[layout] = group_extremes(self.values, layout, self.all_finite, cancelled)
        return self._extremes[layout]

    def known_extremes(self, layout: Layout) -> tuple[FloatArray, FloatArray] | None:
        """What `extremes` finds, where it need not look for it; None for what only a sample knows."""
        return self.extremes(layout) if layout in self._extremes or (layout.groups == 1 and self.counted) else None

    def finite_groups(self, layout: Layout, *, cancelled: IsCancelled = never) -> Iterator[tuple[int, FloatArray]]:
        """Each group's number and a fresh copy of its finite values."""
        plain = self.all_finite and not layout.ragged
        for first, rows in self.group_rows(layout, cancelled=cancelled):
            for offset, row in enumerate(rows):
                yield first + offset, row.copy() if plain else row[~np.isnan(row)]

    def group_rows(self, layout: Layout, *, cancelled: IsCancelled = never) -> Iterator[tuple[int, FloatArray]]:
        """A fresh copy of some neighbouring groups, a row each, and the number of the first; NaN where not finite."""
        for first, last in group_spans(layout):
            check(cancelled)
            yield first, self.rows(layout, first, last)

    def rows(self, layout: Layout, first: int, last: int) -> FloatArray:
        """A fresh copy of some neighbouring groups, a row each; NaN where not finite."""
        gathered = self.gather(layout, first, last)
        outer, many, inner = gathered.shape
        if outer == 1:
            return gathered.reshape(many, inner)
        rows: FloatArray = empty((many, outer, inner), np.float32)
        np.copyto(rows, gathered.swapaxes(0, 1))
        return rows.reshape(many, outer * inner)

    def gather(self, layout: Layout, first: int, last: int) -> FloatArray:
        """A fresh copy of some neighbouring groups, shape (outer, last - first, inner); NaN where not finite."""
        return layout.gather(self._source, first, last)

    def channel(self, granularity: Granularity, group: int) -> Tensor:
        """One group as a tensor of its own, whose ``corner`` says where it was cut out.

        Raises
        ------
        Problem
            When there is no such group, or it holds no finite value.
        """
        layout = granularity.layout(self.shape)
        if not 0 <= group < layout.groups:
            raise Problem(
                "There is no channel {group} in {name}: it has {groups:,}.",
                group=group,
                name=self.name,
                groups=layout.groups,
            )
        key = (layout, group)
        if key not in self._channels:
            cut = cut_of(self.shape, granularity, group)
            piece = as_float32(box_of(self._source, self.shape, cut.slices))
            alone = Tensor(piece, f"{self.name} [{group}]", dtype=self.dtype)
            alone.corner = cut.corner
            self._channels = {key: alone}
        return self._channels[key]

    def group_of(self, layout: Layout, index: Any) -> Any:
        """The group that the elements at flat ``index`` belong to."""
        return layout.group_of(index)


def group_spans(layout: Layout) -> Iterator[tuple[int, int]]:
    """Which groups are copied out together: taking channels of the last axis one by one would read all for each."""
    together = max(1, BLOCK // max(1, layout.outer * layout.inner))
    for first in range(0, layout.groups, together):
        yield first, min(first + together, layout.groups)
