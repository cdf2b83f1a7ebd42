"""What do all the errors add up to? One walk over every element, block by block.

This pass serves every scheme; it never asks for more than a few blocks of memory.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qviz.core.affine import QParams, dequantize_in_place, unclipped_codes
from qviz.core.cancel import IsCancelled, Progress, check, ignore, never
from qviz.core.envelope import Envelope, FloatArray
from qviz.core.error_bins import error_edges
from qviz.core.granularity import Layout
from qviz.core.sums import Counts, ErrorHistogram, Floats, Sums
from qviz.core.tensor import Tensor

BLOCK = 1 << 16
"""Elements a block: its float64 copies stay in the cache."""


class _Workspace:
    """Buffers that every block uses again: fresh ones would cost more than the arithmetic."""

    def __init__(self) -> None:
        self._floats = [np.empty(BLOCK, np.float32) for _ in range(2)]
        self._doubles = [np.empty(BLOCK, np.float64) for _ in range(3)]
        self._indices = np.empty(BLOCK, np.intp)

    def floats(self, which: int, shape: tuple[int, ...]) -> FloatArray:
        return self._floats[which][: math.prod(shape)].reshape(shape)

    def doubles(self, which: int, shape: tuple[int, ...]) -> Floats:
        return self._doubles[which][: math.prod(shape)].reshape(shape)

    def indices(self, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.intp]]:
        return self._indices[: math.prod(shape)].reshape(shape)


class DirectPass:
    """The sums of one walk over a tensor, block by block."""

    def __init__(self, tensor: Tensor, qparams: QParams, layout: Layout) -> None:
        self.tensor, self.qparams, self.layout = tensor, qparams, layout
        self.workspace = _Workspace()
        self.finite = np.zeros(layout.groups, np.int64)
        self.squared_error = np.zeros(layout.groups)
        self.squared_value = np.zeros(layout.groups)
        self.max_abs_error = np.zeros(layout.groups)
        self.saturated = np.zeros(layout.groups, np.int64)
        self.squared_dequantized = self.product = self.absolute_error = self.clipping_squared_error = 0.0
        self.occupancy = np.zeros(qparams.scheme.number_format.levels, np.int64)
        self.edges, self.half_step = error_edges(tensor, qparams, layout)
        self.overflows = not all(np.isfinite(ends).all() for ends in qparams.clip_range())
        self.errors = np.zeros(self.edges.size - 1, np.int64)
        self.clipping = np.zeros_like(self.errors)
        self.dequantized = Envelope(tensor.elements) if layout.groups > 1 else None

    def run(self, cancelled: IsCancelled, progress: Progress = ignore) -> None:
        """Every block, in memory order."""
        done = 0
        for block in self.layout.blocks(BLOCK):
            check(cancelled)
            piece = self.tensor.block(self.layout, block)
            self._add(piece, block[1], done)
            done += piece.size
            progress(done / self.tensor.elements)
        if self.dequantized is not None:
            self.dequantized.finish()

    def sums(self) -> Sums:
        """What the walk has found."""
        return Sums(
            finite=self.finite,
            squared_error=self.squared_error,
            squared_value=self.squared_value,
            max_abs_error=self.max_abs_error,
            saturated=self.saturated,
            absolute_error=self.absolute_error,
            clipping_squared_error=self.clipping_squared_error,
            product=self.product,
            squared_dequantized=self.squared_dequantized,
            occupancy=self.occupancy,
            error_histogram=ErrorHistogram(self.edges, self.errors - self.clipping, self.clipping, self.half_step),
            dequantized=self.dequantized,
        )

    def _add(self, x: FloatArray, group: slice, start: int) -> None:
        q, work = self.qparams, self.workspace
        scale, zero_point = (a.reshape(1, -1, 1)[:, group] for a in (q.scale, q.zero_point))
        codes = unclipped_codes(x, scale, zero_point, q.convention, out=work.floats(0, x.shape))
        finite = None if self.tensor.all_finite else ~np.isnan(x)
        lowest, highest = np.fmin.reduce(codes, axis=None), np.fmax.reduce(codes, axis=None)
        clipped = None
        if lowest < q.quant_min or highest > q.quant_max:
            clipped = (codes < q.quant_min) | (codes > q.quant_max)
            np.clip(codes, q.quant_min, q.quant_max, out=codes)
        used = np.subtract(codes, np.float32(q.quant_min), out=work.floats(1, x.shape))
        self.occupancy += _bincount(used if finite is None else used[finite], self.occupancy.size, work)
        x_hat = dequantize_in_place(codes, scale, zero_point, q)
        if self.dequantized is not None:
            self.dequantized.add(start, x_hat.reshape(-1))
        wide, wide_hat = work.doubles(0, x.shape), work.doubles(1, x.shape)
        np.copyto(wide, x)
        np.copyto(wide_hat, x_hat)
        error = np.subtract(wide_hat, wide, out=work.doubles(2, x.shape))
        if finite is not None:  # a zero adds nothing to any sum
            wide[~finite] = error[~finite] = wide_hat[~finite] = 0
        self._add_sums(wide, error, wide_hat, group)
        self.finite[group] += x.size // x.shape[1] if finite is None else np.count_nonzero(finite, axis=(0, 2))
        self.errors += self._count_errors(error.reshape(-1) if finite is None else error[finite])
        if clipped is not None:
            beyond = error[clipped]
            self.clipping += self._count_errors(beyond)
            self.clipping_squared_error += float(np.dot(beyond, beyond))
            self.saturated[group] += np.count_nonzero(clipped, axis=(0, 2))

    def _add_sums(self, x: Floats, error: Floats, x_hat: Floats, group: slice) -> None:
        flat, flat_error, flat_hat = x.reshape(-1), error.reshape(-1), x_hat.reshape(-1)
        self.product += float(np.dot(flat, flat_hat))
        self.squared_dequantized += float(np.dot(flat_hat, flat_hat))
        if x.shape[1] == 1:
            self.squared_error[group] += float(np.dot(flat_error, flat_error))
            self.squared_value[group] += float(np.dot(flat, flat))
        else:
            self.squared_error[group] += np.einsum("ogi,ogi->g", error, error)
            self.squared_value[group] += np.einsum("ogi,ogi->g", x, x)
        magnitude = np.abs(error, out=x_hat)
        self.absolute_error += float(magnitude.sum())
        self.max_abs_error[group] = np.maximum(self.max_abs_error[group], magnitude.max(axis=(0, 2)))

    def _count_errors(self, error: Floats) -> Counts:
        """Exactly ``numpy.histogram(error, self.edges)[0]``: a guessed bin, moved to its edges."""
        work, edges, bins = self.workspace, self.edges, self.errors.size
        if self.overflows:
            error = error[np.isfinite(error)]
        guess = np.subtract(error, edges[0], out=work.doubles(0, error.shape))
        np.multiply(guess, 1 / (edges[1] - edges[0]), out=guess)
        index = work.indices(error.shape)
        np.copyto(index, guess, casting="unsafe")
        np.clip(index, 0, bins - 1, out=index)
        edge = np.take(edges, index, out=work.doubles(1, error.shape), mode="clip")
        index -= error < edge
        np.take(edges[1:], index, out=edge, mode="clip")
        index += error >= edge
        return np.bincount(index, minlength=bins)


def _bincount(codes: FloatArray, levels: int, work: _Workspace) -> Counts:
    index = work.indices(codes.shape)
    np.copyto(index, codes, casting="unsafe")
    return np.bincount(index.reshape(-1), minlength=levels)


def direct_sums(
    tensor: Tensor,
    qparams: QParams,
    layout: Layout,
    cancelled: IsCancelled = never,
    progress: Progress = ignore,
) -> Sums:
    """What all the errors add up to, by looking at every element.

    Raises
    ------
    Cancelled
        When asked to stop.
    """
    walk = DirectPass(tensor, qparams, layout)
    walk.run(cancelled, progress)
    return walk.sums()
