"""What does one thread find in the blocks that it is given? In NumPy, whatever the scheme."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from qviz.core.arithmetic.qparams import Quantizer
from qviz.core.arrays import Array, Counts, FloatArray, Floats
from qviz.core.formats.codebooks import Codebook
from qviz.core.passes.reductions import dot, largest, squares, total
from qviz.core.passes.terms import Bools, PassRequest, PassTotals, beyond
from qviz.core.tensors.layout import Block

BLOCK = 1 << 18
"""Elements a block: its copies stay in the cache, and two threads do not wait for each other."""

FEW_CLIPPED = 16
"""Elements for each that is clipped, from where on those are quicker looked at apart."""

LONG_ROW, LONGEST_BUFFER, BUFFER_UNIT = 1 << 9, 1 << 12, 1 << 4
"""Rows of at least so many elements have a scale each as quickly as one for all, where NumPy's buffer is no longer."""

EDGE = 1e-6
"""Guesses as near to an edge, in bins, are not believed: far more than a guess can be wrong."""

_Quantized = tuple[FloatArray, Bools | None, Bools | None]


class _Workspace:
    """Buffers that every block uses again: fresh ones would cost more than the arithmetic."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, type], np.ndarray[Any, Any]] = {}
        self._views: dict[tuple[str, type, tuple[int, ...]], Any] = {}

    def get(self, name: str, dtype: Any, shape: tuple[int, ...]) -> Any:
        view = self._views.get((name, dtype, shape))
        if view is None:
            size = math.prod(shape)
            if (name, dtype) not in self._buffers or self._buffers[name, dtype].size < size:
                self._buffers[name, dtype] = np.empty(size, dtype)
                self._views = {key: each for key, each in self._views.items() if key[:2] != (name, dtype)}
            view = self._views[name, dtype, shape] = self._buffers[name, dtype][:size].reshape(shape)
        return view


class NumPyWorker:
    """The pass in NumPy.

    Where the zero point is a whole number that is added after rounding, x̂ − x of an element that
    is not clipped is exact in float32 already: x is between x̂/2 and 2·x̂ (Sterbenz's lemma), or
    x̂ is 0. Such elements are subtracted in float32, the clipped ones apart in float64.
    """

    def __init__(self, order: PassRequest, leader: NumPyWorker | None = None) -> None:
        self.order, self.found = order, PassTotals(order, order.layout.groups)
        self.totals: dict[tuple[int, ...], Floats] = {} if leader is None else leader.totals
        self.work = _Workspace()
        q = order.qparams
        self.quantizer = q.shaped(1, -1, 1)
        convention = q.convention
        divides = not q.multiplies and q.factor is None and convention.code is None
        divides = divides and (q.divisor is q.scale or np.array_equal(q.divisor, q.scale))
        even = not isinstance(q.number_format, Codebook) and not convention.zero_point_before_rounding
        unmoved = q.shift is None and q.offset is None
        self.narrow = divides and even and unmoved and q.whole_zero_point and q.compilable
        # Adding 0 and subtracting it again changes no code.
        centred = q.compilable and q.unstored_zero_point is None and not q.zero_point.any()
        self.divided_alone = centred and convention.code is None
        self.multiplied_alone = centred and q.offset is None and not convention.multiplies_by_threshold
        self.clips = order.clips

    @property
    def any_pieces(self) -> bool:
        """Whether no group's sums are of several threads; those of the whole are added up in their order."""
        return self.order.layout.outer == 1 and self.order.layout.inner < BLOCK

    def finish(self, first: bool) -> PassTotals:
        """What this thread has found; what threads share is told by the first."""
        found = self.found
        found.totals, found.squared_dequantized = np.zeros(3), 0.0
        if first:
            found.totals = np.sum([self.totals[start] for start in sorted(self.totals)], axis=0)
            found.squared_dequantized, found.totals[1] = float(found.totals[1]), 0
        return found

    def pieces(self) -> Iterator[Block]:
        """The blocks of the layout."""
        return self.order.layout.blocks(BLOCK)

    def add(self, piece: Block) -> int:
        """Look at one block."""
        x = self.order.tensor.block(self.order.layout, piece)
        # The second is Σx̂² until all are there.
        self.found.totals = self.totals[tuple(part.start for part in piece)] = np.zeros(3)
        with np.errstate(over="ignore", invalid="ignore"):  # x̂ may leave float32, and means so
            row = x.shape[2] if x.shape[2] > 1 else x.shape[1]
            if row >= LONG_ROW:
                np.setbufsize(min(row, LONGEST_BUFFER) // BUFFER_UNIT * BUFFER_UNIT)  # until here ends
            self._add(x, piece)
        return _elements(piece)

    def _add(self, x: FloatArray, block: Block) -> None:
        order, found, g = self.order, self.found, block[1]
        quantizer = self.quantizer.part(g)
        codes, missing, clipped = self._quantize(x, quantizer, g)
        if order.occupancy:
            found.occupancy += self._count_codes(codes, missing)
        alone = self.multiplied_alone
        x_hat = np.multiply(codes, quantizer.scale, out=codes) if alone else quantizer.values_of(codes)
        order.draw(block, x_hat)
        if missing is not None:  # a zero adds nothing to any sum
            x_hat[missing] = 0
            x = np.where(missing, np.float32(0), x)
        if found.signal is not None:
            found.add_signal(self._wide(x), missing, g)
        beyond = None if clipped is None else np.flatnonzero(clipped)
        outside = None if beyond is None else _at(x_hat, beyond) - _at(x, beyond)
        error = self._errors(x, x_hat, beyond)
        if order.edges is not None:
            wide = self._wide(error)
            if beyond is not None:
                wide.reshape(-1)[beyond] = outside
            found.errors += self._count_errors(wide.reshape(-1) if missing is None else wide[~missing])
        if beyond is not None and outside is not None:
            places = beyond // x.shape[2] % x.shape[1]
            self._add_clipped(outside, places, g)
            if error.dtype == np.float32:
                self._add_apart(outside, places, g)
        self._add_sums(error, g)

    def _wide(self, values: Array) -> Floats:
        """The same in float64, where it is not; forgotten when the next ones are asked for."""
        if values.dtype == np.float64:
            return values
        wide: Floats = self.work.get("wide", np.float64, values.shape)
        np.copyto(wide, values)
        return wide

    def _errors(self, x: FloatArray, x_hat: FloatArray, beyond: Counts | None) -> Array:
        """x̂ − x in the memory of x̂ with 0 for those that are clipped, where few are; in float64 elsewhere.

        Σx̂² is added up on the way.
        """
        narrow = self.narrow and (beyond is None or beyond.size * FEW_CLIPPED <= x.size)
        if self.order.products or not narrow:
            wide = self._wide(x_hat)
        if self.order.products:
            self.found.totals[1] += dot(wide.reshape(-1), wide.reshape(-1))
        if not narrow:
            error: Floats = self.work.get("error", np.float64, x.shape)
            np.copyto(error, x)
            return np.subtract(wide, error, out=error)
        np.subtract(x_hat, x, out=x_hat)
        if beyond is not None:
            x_hat.reshape(-1)[beyond] = 0
        return x_hat

    def _quantize(self, x: FloatArray, quantizer: Quantizer, group: slice) -> _Quantized:
        """Clipped codes as floats; which elements are NaN, and which were clipped; None for none."""
        q = self.order.qparams
        codes = self.work.get("codes", np.float32, x.shape)
        if self.divided_alone:
            q.number_format.round(quantizer.divided(x, out=codes), out=codes)
        else:
            quantizer.unclipped(x, out=codes)
        missing = np.isnan(x) if self.order.maybe_nan else None
        return codes, missing if missing is not None and missing.any() else None, self._clip(codes, x, group)

    def _clip(self, codes: FloatArray, x: FloatArray, group: slice) -> Bools | None:
        """Clip codes in their own memory; which of them were changed, None for none."""
        q, clips = self.order.qparams, self.clips
        if not q.saturates:
            lost = ~np.isfinite(codes) & ~np.isnan(x)
            return lost if lost.any() else None
        if clips is None:
            lowest, highest = np.fmin.reduce(codes, axis=None), np.fmax.reduce(codes, axis=None)
            inside = not (lowest < q.quant_min or highest > q.quant_max)
        else:
            inside = not np.logical_or.reduce(clips[group])
        if inside:
            return None
        clipped = beyond(codes, q)
        np.clip(codes, q.quant_min, q.quant_max, out=codes)
        return clipped

    def _add_clipped(self, errors: Floats, places: Counts, group: slice) -> None:
        """Take the errors of those elements that were clipped, and how many of which groups they are."""
        found = self.found
        found.saturated[group] += np.bincount(places, minlength=found.saturated[group].size)
        found.totals[2] += dot(errors, errors)
        if self.order.edges is not None:
            found.clipping += self._count_errors(errors)

    def _add_apart(self, errors: Floats, places: Counts, group: slice) -> None:
        """Add the sums of errors that are left out elsewhere."""
        found, magnitudes = self.found, np.abs(errors)
        found.totals[0] += magnitudes.sum()
        found.squared_error[group] += np.bincount(places, errors * errors, found.saturated[group].size)
        np.maximum.at(found.max_abs_error[group], places, magnitudes)

    def _add_sums(self, error: Array, group: slice) -> None:
        """Add the sums; the errors are overwritten."""
        found = self.found
        magnitude = np.abs(error, out=error)
        found.max_abs_error[group] = np.maximum(found.max_abs_error[group], largest(magnitude))
        wide = self._wide(magnitude)
        found.squared_error[group] += squares(wide)
        found.totals[0] += total(wide.reshape(-1))

    def _count_codes(self, codes: FloatArray, missing: Bools | None) -> Counts:
        """How often each code occurs. Codes of a byte are counted in pairs, which halves the work."""
        q, levels = self.order.qparams, self.order.levels
        used = codes if missing is None else codes[~missing]
        if q.breaks or not q.saturates:
            used = used[np.isfinite(used)]
        if not q.number_format.offers_zero_point:
            return np.bincount(q.number_format.index(used.reshape(-1)), minlength=levels)
        shifted = np.subtract(used, np.float32(q.quant_min), out=self.work.get("narrow", np.float32, used.shape))
        small = levels <= 1 << 8 and not used.size % 2
        index = self.work.get("pairs", np.uint8, (used.size,)) if small else shifted.reshape(-1)
        np.copyto(index, shifted.reshape(-1), casting="unsafe")
        if small:
            index = index.view(np.uint16)
        wide = self.work.get("index", np.intp, index.shape)
        np.copyto(wide, index, casting="unsafe")
        if not small:
            return np.bincount(wide, minlength=levels)
        pairs = np.bincount(wide, minlength=1 << 16).reshape(1 << 8, 1 << 8)
        both: Counts = (pairs.sum(axis=0) + pairs.sum(axis=1))[:levels]
        return both

    def _count_errors(self, error: Floats) -> Counts:
        """Exactly ``numpy.histogram(error, edges)[0]``: a bin is guessed; near an edge it is looked up."""
        work, edges, bins = self.work, self.order.edges, self.order.bins
        assert edges is not None
        if self.order.overflows:
            error = error[np.isfinite(error)]
        guess = np.subtract(error, edges[0], out=work.get("guess", np.float64, error.shape))
        np.multiply(guess, 1 / (edges[1] - edges[0]), out=guess)
        nearest = np.rint(guess, out=work.get("nearest", np.float64, error.shape))
        np.subtract(guess, nearest, out=nearest)
        doubtful = np.flatnonzero(np.abs(nearest, out=nearest) < EDGE)
        index = work.get("index", np.intp, error.shape)
        np.copyto(index, guess, casting="unsafe")
        if doubtful.size:
            near, at = error[doubtful], np.minimum(index[doubtful], bins - 1)
            at -= near < edges[at]
            at += near >= edges[at + 1]
            index[doubtful] = at
        return np.bincount(index, minlength=bins)


class DotWorker:
    """Σx·x̂ and Σx̂² themselves, for schemes that leave next to nothing of x."""

    any_pieces = False

    def __init__(self, order: PassRequest) -> None:
        self.order, self.product, self.squared = order, 0.0, 0.0

    def pieces(self) -> Iterator[Block]:
        """The blocks of the layout."""
        return self.order.layout.blocks(BLOCK)

    def add(self, piece: Block) -> int:
        """Look at one block."""
        q, x = self.order.qparams, self.order.tensor.block(self.order.layout, piece)
        missing = np.isnan(x)
        x = np.where(missing, np.float32(0), x)
        x_hat = q.shaped(1, -1, 1).part(piece[1]).quantized(x).astype(np.float64)
        x_hat[missing] = 0
        x_hat, wide = x_hat.reshape(-1), x.astype(np.float64).reshape(-1)
        self.product += dot(wide, x_hat)
        self.squared += dot(x_hat, x_hat)
        return _elements(piece)


def _elements(block: Block) -> int:
    return math.prod(part.stop - part.start for part in block)


def _at(values: FloatArray, index: Any) -> Floats:
    """Some of them in float64, by their places in memory."""
    return np.asarray(values.reshape(-1)[index], np.float64)
