"""What does every question about a tensor need first? Its finite float32 values, counted once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.problems import Phrase, Problem
from qviz.core.tensors.envelope import Envelope, SampledEnvelope
from qviz.core.tensors.granularity import Granularity
from qviz.core.tensors.layout import Block, Layout
from qviz.core.tensors.mapped_values import FlatValues, Mapping, as_float32
from qviz.core.work import IsCancelled, Progress, check, ignore, never

BLOCK = 1 << 18
"""Elements a block: fits the cache, and keeps two threads quicker than one."""

SHORT_RUN = 256
"""Neighbours of one group; more are reduced as fast as they are read."""

COPIED_BYTES = 1 << 26
"""A mapped file larger than this is not copied to be converted."""

SAMPLED_BLOCKS, SAMPLED_BLOCK = 256, 1024
"""What an estimate is made from: so many blocks of so many neighbours."""

HISTOGRAM_BINS = 8192
"""Fine enough to zoom into; a chart joins neighbours until a bin is worth a pixel."""


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts between edges: ``counts[i]`` elements in ``[edges[i], edges[i + 1])``, the last one closed."""

    edges: np.ndarray[Any, np.dtype[np.float64]]
    counts: np.ndarray[Any, np.dtype[np.int64]]


class Tensor:
    """A named tensor, computed with in float32 as the runtimes do.

    Parameters
    ----------
    array : array_like
        Real numbers or booleans, any shape with at least one element. C-ordered float32 is kept
        as it is (a memory map stays one). Everything else becomes a float32 copy; a large memory
        map is converted whenever a part of it is read.
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
        source = np.asarray(array)
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
        self.dtype = dtype or str(source.dtype)
        contiguous = source if source.flags.c_contiguous else np.ascontiguousarray(source)
        self._source: np.ndarray[Any, Any] = contiguous.reshape(-1)
        self._identity = object()
        self._mapping = Mapping(self._source)
        self._fresh()
        if counted or self._source.size <= SAMPLED_BLOCKS * SAMPLED_BLOCK:
            self._count(progress, cancelled)
        else:
            self._judge(cancelled)

    def _fresh(self) -> None:
        self._histogram: Histogram | None = None
        self._sampled_histogram: Histogram | None = None
        self._sample: FloatArray | None = None
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

    def _count(self, progress: Progress, cancelled: IsCancelled) -> None:
        """Look at every element, and make a float32 copy where one is needed and small."""
        source = self._source
        kept = source.dtype == np.float32 and source.dtype.isnative
        lazy = self._mapping.exists and source.nbytes > COPIED_BYTES
        values: FloatArray | FlatValues = source
        if lazy or not kept:
            values = FlatValues(source, self._mapping, clean=kept)
        copied = None if kept or lazy else np.empty(source.size, np.float32)
        self.nan = self.inf = self.overflowed = 0
        self.minimum, self.maximum = math.inf, -math.inf
        envelope = Envelope(source.size)
        for start in range(0, source.size, BLOCK):
            check(cancelled)
            block = source[start : start + BLOCK]
            with np.errstate(over="ignore"):
                piece: FloatArray = np.asarray(block).astype(np.float32, copy=False)
            low, high = float(piece.min()), float(piece.max())
            if not (math.isfinite(low) and math.isfinite(high)):
                infinite = np.isinf(piece)
                beyond = int(np.count_nonzero(infinite & np.isfinite(block)))
                self.nan += int(np.count_nonzero(np.isnan(piece)))
                self.overflowed += beyond
                self.inf += int(np.count_nonzero(infinite)) - beyond
                if infinite.any():
                    if kept:  # the caller's own memory is not ours to write to
                        kept, values = False, FlatValues(source, self._mapping)
                        copied = None if lazy else np.array(source)
                    piece = np.where(infinite, np.float32(np.nan), piece)
                finite = piece[~np.isnan(piece)]
                low, high = (float(finite.min()), float(finite.max())) if finite.size else (math.inf, -math.inf)
            if copied is not None:
                copied[start : start + BLOCK] = piece
            self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
            envelope.add(start, piece)
            self._mapping.read(block.nbytes)
            progress(min(1.0, (start + BLOCK) / source.size))
        self.envelope: Envelope | SampledEnvelope = envelope.finish()
        self.values = values if copied is None else copied
        if copied is not None:  # the original is not needed any more
            self._source, self._mapping = copied, Mapping(copied)
        self.finite = source.size - self.nan - self.inf - self.overflowed
        self.counted = True
        if not self.finite:
            what = Phrase("NaN, infinite or beyond float32") if self.overflowed else Phrase("NaN or infinite")
            raise Problem(
                "{name} has no finite value: all {elements:,} elements are {what}.",
                name=self.name,
                elements=source.size,
                what=what,
            )

    def _judge(self, cancelled: IsCancelled) -> None:
        """Figures from a sample, until somebody counts."""
        source = self._source
        self.values = FlatValues(source, self._mapping)
        self.envelope = SampledEnvelope(source.size)
        piece = self._read_sample()
        sample = piece[np.isfinite(piece)]
        if not sample.size:
            self._count(ignore, cancelled)
            return
        self._sample = sample
        self.minimum, self.maximum = float(sample.min()), float(sample.max())
        self.nan = self.inf = self.overflowed = 0
        self.finite = source.size
        self.counted = False

    def _read_sample(self) -> FloatArray:
        """Blocks of neighbours from all over the tensor, one at a chance place in each of equal stretches."""
        stretch = self.elements // SAMPLED_BLOCKS
        within = np.random.default_rng(0).integers(0, max(1, stretch - SAMPLED_BLOCK), SAMPLED_BLOCKS)
        starts = np.arange(SAMPLED_BLOCKS) * stretch + within
        with np.errstate(over="ignore"):
            blocks = [self._source[s : s + SAMPLED_BLOCK].astype(np.float32) for s in starts.tolist()]
        return np.concatenate(blocks)

    def sample(self) -> FloatArray:
        """The finite ones of some quarter of a million elements: blocks of neighbours from all over."""
        if self._sample is None:
            few = self.elements <= SAMPLED_BLOCKS * SAMPLED_BLOCK
            piece = np.asarray(self.values[:]) if few else self._read_sample()
            piece = piece[np.isfinite(piece)]
            self._sample = piece if piece.size else np.array([self.minimum, self.maximum], np.float32)
        return self._sample

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

    def histogram_edges(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Equal bins from the smallest finite value to the largest."""
        low, high = self.minimum, self.maximum
        if not high - low > 0 or (high - low) / HISTOGRAM_BINS <= np.spacing(max(abs(low), abs(high))):
            half = max(abs(low), 1.0) / 2  # one value, or a range too narrow for its bins
            low, high = low - half, high + half
        return np.linspace(low, high, HISTOGRAM_BINS + 1)

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
        counts = np.zeros(HISTOGRAM_BINS, np.int64)
        ends = (float(edges[0]), float(edges[-1]))
        for whole in [self.sample()] if sampled else self.pieces(BLOCK):
            check(cancelled)
            piece = whole if self.all_finite or sampled else whole[~np.isnan(whole)]
            counts += np.histogram(piece.astype(np.float64), HISTOGRAM_BINS, ends)[0]
        if sampled:
            counts = np.rint(counts * (self.finite / self.sample().size)).astype(np.int64)
            self._sampled_histogram = Histogram(edges, counts)
            return self._sampled_histogram
        self._histogram = Histogram(edges, counts)
        return self._histogram

    def know_histogram(self, histogram: Histogram) -> None:
        """What `histogram` would find was found in another way."""
        self._histogram = histogram

    def extremes(self, layout: Layout, *, cancelled: IsCancelled = never) -> tuple[FloatArray, FloatArray]:
        """Smallest and largest finite value of each group, shape (groups,); 0 where a group has none."""
        if layout.groups == 1:
            return np.array([self.minimum], np.float32), np.array([self.maximum], np.float32)
        if layout not in self._extremes:
            low = np.full(layout.groups, np.inf, np.float32)
            high = np.full(layout.groups, -np.inf, np.float32)
            plain = self.all_finite and not layout.ragged
            smallest, largest = (np.minimum, np.maximum) if plain else (np.fmin, np.fmax)
            for block in layout.blocks(BLOCK):
                check(cancelled)
                g, piece = block[1], self.block(layout, block)
                low[g] = np.fmin(low[g], _over_groups(smallest, piece))
                high[g] = np.fmax(high[g], _over_groups(largest, piece))
            empty = ~(low <= high)
            low[empty] = high[empty] = 0
            self._extremes[layout] = low, high
        return self._extremes[layout]

    def finite_groups(self, layout: Layout, *, cancelled: IsCancelled = never) -> Iterator[tuple[int, FloatArray]]:
        """Each group's number and a fresh copy of its finite values."""
        plain = self.all_finite and not layout.ragged
        for first, rows in self.group_rows(layout, cancelled=cancelled):
            for offset, row in enumerate(rows):
                yield first + offset, row.copy() if plain else row[~np.isnan(row)]

    def group_rows(self, layout: Layout, *, cancelled: IsCancelled = never) -> Iterator[tuple[int, FloatArray]]:
        """A fresh copy of some neighbouring groups, a row each, and the number of the first; NaN where not finite."""
        together = max(1, BLOCK // max(1, layout.outer * layout.inner))
        for first in range(0, layout.groups, together):
            check(cancelled)
            # Gathered side by side first: taking channels of the last axis one by one would read
            # the whole tensor for each.
            last = min(first + together, layout.groups)
            rows = np.ascontiguousarray(self.gather(layout, first, last).swapaxes(0, 1))
            yield first, rows.reshape(rows.shape[0], -1)

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
        layout, block = granularity.layout(self.shape), granularity.block_shape(self.shape)
        if not 0 <= group < layout.groups:
            raise Problem(
                "There is no channel {group} in {name}: it has {groups:,}.",
                group=group,
                name=self.name,
                groups=layout.groups,
            )
        key = (layout, group)
        if key not in self._channels:
            counts = tuple(-(-n // b) for n, b in zip(self.shape, block, strict=True))
            place = np.unravel_index(group, counts)
            corner = tuple(int(i) * b for i, b in zip(place, block, strict=True))
            cut = tuple(slice(c, c + b) for c, b in zip(corner, block, strict=True))
            alone = Tensor(as_float32(self._source.reshape(self.shape)[cut]), f"{self.name} [{group}]")
            alone.corner = corner
            self._channels = {key: alone}
        return self._channels[key]

    def group_of(self, layout: Layout, index: Any) -> Any:
        """The group that the elements at flat ``index`` belong to."""
        return layout.group_of(index)


def _over_groups(extreme: np.ufunc, piece: FloatArray) -> FloatArray:
    """The extreme of each group of a block ``(outer, groups, inner)``, shape (groups,)."""
    # NumPy reduces short runs one by one; halved again and again they are taken many at a time.
    while piece.shape[2] <= SHORT_RUN and piece.shape[2] % 2 == 0:
        half = piece.shape[2] // 2
        piece = extreme(piece[:, :, :half], piece[:, :, half:])
    found: FloatArray = extreme.reduce(piece, axis=(0, 2))
    return found
