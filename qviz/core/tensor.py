"""What does every question about a tensor need first? Its finite float32 values, counted once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from qviz.core.cancel import IsCancelled, Progress, check, ignore, never
from qviz.core.envelope import Envelope, FloatArray
from qviz.core.granularity import Granularity, Layout
from qviz.core.problems import Problem

BLOCK = 1 << 18
"""Elements a block: fits the cache, and keeps two threads quicker than one."""

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
        as it is (a memory map stays one); everything else is converted to a float32 copy.
    name : str
        What people call it.

    Attributes
    ----------
    shape : tuple of int
        A scalar counts as one element of shape (1,).
    dtype : str
        The type the values came in.
    corner : tuple of int
        The index of its first element in the tensor that it was cut out of.
    values : float32 array, shape (elements,)
        Flat, in C order; what was not finite is NaN.
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
        self, array: object, name: str = "tensor", progress: Progress = ignore, cancelled: IsCancelled = never
    ) -> None:
        source = np.asarray(array)
        if source.dtype.kind not in "fiub":
            raise Problem(f"{name} holds {source.dtype} values, which cannot be quantized: give it real numbers.")
        if not source.size:
            raise Problem(f"{name} has no elements (shape {source.shape}): there is nothing to quantize.")
        self.name = name
        self.shape: tuple[int, ...] = source.shape or (1,)
        self.corner: tuple[int, ...] = (0,) * len(self.shape)
        self.dtype = str(source.dtype)
        self._read(source, progress, cancelled)
        if not self.finite:
            what = "NaN, infinite or beyond float32" if self.overflowed else "NaN or infinite"
            raise Problem(f"{name} has no finite value: all {source.size:,} elements are {what}.")
        self._histogram: Histogram | None = None
        self._extremes: dict[Layout, tuple[FloatArray, FloatArray]] = {}
        self._channels: dict[tuple[Layout, int], Tensor] = {}

    def _read(self, source: np.ndarray[Any, Any], progress: Progress, cancelled: IsCancelled) -> None:
        kept = source.dtype == np.float32 and source.dtype.isnative and source.flags.c_contiguous
        flat = source.reshape(-1) if source.flags.c_contiguous else np.ascontiguousarray(source).reshape(-1)
        values: FloatArray = np.asarray(flat) if kept else np.empty(flat.size, np.float32)
        self.nan = self.inf = self.overflowed = 0
        self.minimum, self.maximum = math.inf, -math.inf
        self.envelope = Envelope(flat.size)
        for start in range(0, flat.size, BLOCK):
            check(cancelled)
            block = flat[start : start + BLOCK]
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
                        values, kept = np.array(values), False
                    piece = np.where(infinite, np.float32(np.nan), piece)
                finite = piece[~np.isnan(piece)]
                low, high = (float(finite.min()), float(finite.max())) if finite.size else (math.inf, -math.inf)
            if not kept:
                values[start : start + BLOCK] = piece
            self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
            self.envelope.add(start, piece)
            progress(min(1.0, (start + BLOCK) / flat.size))
        self.envelope.finish()
        self.values = values
        self.finite = flat.size - self.nan - self.inf - self.overflowed

    @property
    def elements(self) -> int:
        """How many elements, finite or not."""
        return int(self.values.size)

    @property
    def all_finite(self) -> bool:
        return self.finite == self.elements

    def block(self, layout: Layout, block: tuple[slice, slice, slice]) -> FloatArray:
        """One of ``layout.blocks(…)`` as a float32 array of three axes; NaN where not finite. Not to be written to."""
        return self.values.reshape(layout.shape)[block]

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

    def histogram(self, cancelled: IsCancelled = never) -> Histogram:
        """The finite values in equal bins from the smallest to the largest; counted once."""
        if self._histogram is None:
            edges = self.histogram_edges()
            counts = np.zeros(HISTOGRAM_BINS, np.int64)
            for whole in self.pieces(BLOCK):
                check(cancelled)
                piece = whole if self.all_finite else whole[~np.isnan(whole)]
                ends = (float(edges[0]), float(edges[-1]))
                counts += np.histogram(piece.astype(np.float64), HISTOGRAM_BINS, ends)[0]
            self._histogram = Histogram(edges, counts)
        return self._histogram

    def extremes(self, layout: Layout, cancelled: IsCancelled = never) -> tuple[FloatArray, FloatArray]:
        """Smallest and largest finite value of each group, shape (groups,); 0 where a group has none."""
        if layout.groups == 1:
            return np.array([self.minimum], np.float32), np.array([self.maximum], np.float32)
        if layout not in self._extremes:
            low = np.full(layout.groups, np.inf, np.float32)
            high = np.full(layout.groups, -np.inf, np.float32)
            smallest, largest = (np.minimum, np.maximum) if self.all_finite else (np.fmin, np.fmax)
            for block in layout.blocks(BLOCK):
                check(cancelled)
                g, piece = block[1], self.block(layout, block)
                low[g] = np.fmin(low[g], smallest.reduce(piece, axis=(0, 2)))
                high[g] = np.fmax(high[g], largest.reduce(piece, axis=(0, 2)))
            empty = ~(low <= high)
            low[empty] = high[empty] = 0
            self._extremes[layout] = low, high
        return self._extremes[layout]

    def finite_groups(self, layout: Layout, cancelled: IsCancelled = never) -> Iterator[tuple[int, FloatArray]]:
        """Each group's number and a fresh copy of its finite values."""
        view = self.values.reshape(layout.shape)
        together = max(1, BLOCK // max(1, layout.outer * layout.inner))
        for first in range(0, layout.groups, together):
            check(cancelled)
            # Gathered side by side first: taking channels of the last axis one by one would read
            # the whole tensor for each.
            rows = np.ascontiguousarray(view[:, first : first + together].swapaxes(0, 1))
            for offset, row in enumerate(rows.reshape(rows.shape[0], -1)):
                yield first + offset, row.copy() if self.all_finite else row[~np.isnan(row)]

    def channel(self, granularity: Granularity, group: int) -> Tensor:
        """One group as a tensor of its own, whose ``corner`` says where it was cut out.

        Raises
        ------
        Problem
            When there is no such group, or it holds no finite value.
        """
        layout, block = granularity.layout(self.shape), granularity.block_shape(self.shape)
        if not 0 <= group < layout.groups:
            raise Problem(f"There is no channel {group} in {self.name}: it has {layout.groups:,}.")
        key = (layout, group)
        if key not in self._channels:
            values = np.ascontiguousarray(self.values.reshape(layout.shape)[:, group])
            alone = Tensor(values.reshape(block), f"{self.name} [{group}]")
            grid = tuple(n // b for n, b in zip(self.shape, block, strict=True))
            place = np.unravel_index(group, grid)
            alone.corner = tuple(int(i) * b for i, b in zip(place, block, strict=True))
            self._channels = {key: alone}
        return self._channels[key]

    def group_of(self, layout: Layout, index: Any) -> Any:
        """The group that the elements at flat ``index`` belong to."""
        return np.asarray(index) // layout.inner % layout.groups
