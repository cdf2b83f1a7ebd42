"""What do all the errors add up to? One walk over every element, block by block.

This pass serves every scheme; it never asks for more than a few blocks of memory.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qviz.core.affine import QParams, dequantize_in_place, unclipped_codes
from qviz.core.cancel import IsCancelled, Progress, check, ignore
from qviz.core.envelope import Envelope, FloatArray
from qviz.core.granularity import Layout
from qviz.core.tensor import Tensor

Floats = np.ndarray[Any, np.dtype[np.float64]]
Counts = np.ndarray[Any, np.dtype[np.int64]]

BLOCK = 1 << 16
"""Elements a block: its float64 copies stay in the cache."""

MAX_ERROR_BINS = 1024
BINS_TO_HALF_STEP = 24
"""Error bins between 0 and half a scale; fewer for few elements, or where errors reach far beyond it."""


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
        self.edges, self.half_step = self._error_edges()
        self.overflows = not all(np.isfinite(ends).all() for ends in qparams.clip_range())
        self.errors = np.zeros(self.edges.size - 1, np.int64)
        self.clipping = np.zeros_like(self.errors)
        self.dequantized = Envelope(tensor.elements) if layout.groups > 1 else None

    def _error_edges(self) -> tuple[Floats, float]:
        """Equal bins that hold every error, with an edge at 0 and at ± half the largest scale."""
        q = self.qparams
        half_step = float(q.scale.max()) / 2
        values = np.stack(self.tensor.extremes(self.layout), axis=1)
        scale, zero_point = q.scale.reshape(-1, 1), q.zero_point.reshape(-1, 1)
        codes = unclipped_codes(values, scale, zero_point, q.convention)
        ends = dequantize_in_place(codes, scale, zero_point, q).astype(np.float64) - values
        ends = ends[np.isfinite(ends)]
        # A quantizer clips most at the ends of the data. Every step of the formula rounds to
        # float32, which may push an error over the bound: far over it where a narrow range lies
        # far from 0.
        largest = np.abs(values).max(axis=1).astype(np.float64)
        reach = 2 * largest + self.occupancy.size * q.scale.reshape(-1).astype(np.float64)
        slack = float(np.finfo(np.float32).eps * reach.max())
        low = min(-half_step, float(ends.min(initial=0))) - slack
        high = max(half_step, float(ends.max(initial=0))) + slack
        width = half_step / min(BINS_TO_HALF_STEP, max(4, round(math.sqrt(self.tensor.finite) / 4)))
        if (high - low) / width > MAX_ERROR_BINS - 2:
            width = half_step / max(1, int(half_step * (MAX_ERROR_BINS - 2) / (high - low)))
        if (high - low) / width > MAX_ERROR_BINS - 2:
            width = (high - low) / (MAX_ERROR_BINS - 2)
        first, last = math.floor(low / width), math.ceil(high / width)
        edges: Floats = np.arange(first, last + 1, dtype=np.float64) * width
        return edges, half_step

    def run(self, cancelled: IsCancelled, progress: Progress = ignore) -> None:
        """Every block, in memory order."""
        view = self.tensor.values.reshape(self.layout.shape)
        done = 0
        for block in self.layout.blocks(BLOCK):
            check(cancelled)
            self._add(view[block], block[1], done)
            done += view[block].size
            progress(done / view.size)
        if self.dequantized is not None:
            self.dequantized.finish()

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
