"""What does this scheme do to this tensor? One pass over every element, one frozen answer.

Errors are x̂ − x in float64. An element is *saturated* when clipping changed its code; its error
is clipping error, every other error is rounding error.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from qviz.core.affine import QParams, choose_qparams, unclipped_codes
from qviz.core.cancel import IsCancelled, check, never
from qviz.core.envelope import BASE, RAW, Envelope, EnvelopeView, FloatArray
from qviz.core.granularity import Layout
from qviz.core.scheme import Scheme
from qviz.core.storage import Storage, storage
from qviz.core.tensor import Tensor

Floats = np.ndarray[Any, np.dtype[np.float64]]
Counts = np.ndarray[Any, np.dtype[np.int64]]

BLOCK = 1 << 16
"""Elements a block: its float64 copies stay in the cache."""

MAX_ERROR_BINS = 1024
BINS_TO_HALF_STEP = 24
"""Error bins between 0 and half a scale; fewer for few elements, or where errors reach far beyond it."""


@dataclass(frozen=True, eq=False)
class ErrorHistogram:
    """Errors x̂ − x counted in equal bins, rounding and clipping apart.

    ``half_step`` is the largest scale / 2: no rounding error lies beyond it, but for float32's own
    rounding. Where x̂ leaves float32 and becomes infinite the error fits no bin and is not counted.
    """

    edges: Floats
    rounding: Counts
    clipping: Counts
    half_step: float


@dataclass(frozen=True, eq=False)
class Groups:
    """The same questions for each group (channel), float64 arrays of shape (groups,)."""

    finite: Counts
    mse: Floats
    max_abs_error: Floats
    sqnr_db: Floats
    saturated: Counts

    @property
    def worst(self) -> int:
        """The group with the lowest SQNR."""
        return int(np.argmin(self.sqnr_db))


@dataclass(frozen=True, eq=False)
class Analysis:
    """Everything the charts and tables show of one tensor under one scheme.

    Attributes
    ----------
    tensor : Tensor
    scheme : Scheme
    qparams : QParams
    layout : Layout
    mse, mae, max_abs_error : float
        Mean squared, mean absolute and largest error, in the tensor's units (squared for mse).
    sqnr_db : float
        20·log10(‖x‖ / ‖x − x̂‖) in dB; higher is better, infinite without error.
    relative_rmse : float
        ‖x − x̂‖ / ‖x‖; NaN for a tensor of zeros.
    cosine : float
        Of the angle between x and x̂; NaN where either is all zeros, or x̂ leaves float32.
    rounding_mse, clipping_mse : float
        The two parts of mse.
    saturated : int
        Elements whose code was changed by clipping.
    levels_used : int
        Different codes in use.
    occupancy : int array, shape (codes,)
        Elements at each code, from quant_min to quant_max.
    error_histogram : ErrorHistogram
    groups : Groups or None
        None per tensor.
    storage : Storage
    exact : bool
        Whether every element was counted.
    seconds : float
        How long the answer took.
    """

    tensor: Tensor
    scheme: Scheme
    qparams: QParams
    layout: Layout
    mse: float
    mae: float
    max_abs_error: float
    sqnr_db: float
    relative_rmse: float
    cosine: float
    rounding_mse: float
    clipping_mse: float
    saturated: int
    levels_used: int
    occupancy: Counts
    error_histogram: ErrorHistogram
    groups: Groups | None
    storage: Storage
    exact: bool
    seconds: float
    _dequantized: Envelope | None

    @property
    def saturated_share(self) -> float:
        """Saturated elements as a share of the finite ones."""
        return self.saturated / self.tensor.finite

    def fake_quantize(self, start: int, stop: int) -> FloatArray:
        """x̂ of the flat elements ``start`` … ``stop``."""
        return self.dequantize_values(self.tensor.values[start:stop], np.arange(start, stop))

    def dequantize_values(self, values: FloatArray, index: Any) -> FloatArray:
        """x̂ of float32 ``values`` that stand at flat ``index``."""
        group = self.tensor.group_of(self.layout, index)
        scale, zero_point = (a.reshape(-1)[group] for a in (self.qparams.scale, self.qparams.zero_point))
        codes = unclipped_codes(np.asarray(values, np.float32), scale, zero_point, self.qparams.convention)
        return _dequantize_in_place(codes, scale, zero_point, self.qparams)

    def transfer(self, values: Any, group: int = 0) -> FloatArray:
        """x̂ of any ``values`` (taken as float32), under the scale of one group."""
        scale, zero_point = (a.reshape(-1)[group] for a in (self.qparams.scale, self.qparams.zero_point))
        codes = unclipped_codes(np.asarray(values, np.float32), scale, zero_point, self.qparams.convention)
        return _dequantize_in_place(codes, scale, zero_point, self.qparams)

    def views(self, start: int, stop: int, buckets: int) -> tuple[EnvelopeView, EnvelopeView]:
        """The original and the dequantized values of a stretch, reduced alike to ``buckets``."""
        original = self.tensor.envelope.view(self.tensor.values, start, stop, buckets)
        first, last = (int(original.start[0]), int(original.start[-1])) if original.low.size else (start, start)
        if original.is_samples:
            values = self.fake_quantize(first, last)
            return original, EnvelopeView(original.start, values, values)
        if self._dequantized is None:  # the quantizer is monotone: it maps envelope to envelope
            low, high = (self.dequantize_values(edge, 0) for edge in (original.low, original.high))
            return original, EnvelopeView(original.start, low, high)
        if last - first <= 2 * RAW or original.start[1] - original.start[0] < BASE:
            starts = original.start[:-1] - first
            values = self.fake_quantize(first, last)
            low, high = np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)
            return original, EnvelopeView(original.start, low, high)
        return original, self._dequantized.view(self.tensor.values, start, stop, buckets)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the keys of ``qviz analyze --json``; None for what is not finite."""
        q = self.qparams
        return {
            "shape": list(self.tensor.shape),
            "dtype": self.tensor.dtype,
            "elements": self.tensor.elements,
            "nan": self.tensor.nan,
            "inf": self.tensor.inf + self.tensor.overflowed,
            "scale": _plain(q.scale),
            "zero_point": _plain(q.zero_point, whole=q.whole_zero_point),
            "quant_min": q.quant_min,
            "quant_max": q.quant_max,
            "mse": _number(self.mse),
            "mae": _number(self.mae),
            "max_abs_error": _number(self.max_abs_error),
            "sqnr_db": _number(self.sqnr_db),
            "cosine": _number(self.cosine),
            "saturated": self.saturated,
            "levels_used": self.levels_used,
            "bits_per_element": self.storage.bits_per_element,
            "float_bytes": self.storage.float32_bytes,
            "quantized_bytes": self.storage.quantized_bytes,
        }


def analyze(x: object, scheme: Scheme, cancelled: IsCancelled = never) -> Analysis:
    """Quantize, dequantize and compare, every element.

    Parameters
    ----------
    x : array_like or Tensor
        Real numbers, any shape.
    scheme : Scheme
    cancelled : Callable[[], bool]
        Asked between blocks.

    Raises
    ------
    Problem
        When ``x`` holds nothing to quantize, or the scheme does not fit its shape.
    Cancelled
        When asked to stop.
    """
    started = time.perf_counter()
    tensor = x if isinstance(x, Tensor) else Tensor(x)
    qparams = choose_qparams(tensor, scheme, cancelled)
    layout = scheme.granularity.layout(tensor.shape)
    sums = _Pass(tensor, qparams, layout)
    sums.run(cancelled)
    n = tensor.finite
    noise, signal = float(sums.squared_error.sum()), float(sums.squared_value.sum())
    norms = math.sqrt(signal) * math.sqrt(sums.squared_dequantized)
    return Analysis(
        tensor=tensor,
        scheme=scheme,
        qparams=qparams,
        layout=layout,
        mse=noise / n,
        mae=sums.absolute_error / n,
        max_abs_error=float(sums.max_abs_error.max()),
        sqnr_db=float(_sqnr_db(np.float64(signal), np.float64(noise))),
        relative_rmse=math.sqrt(noise / signal) if signal else math.nan,
        cosine=min(1.0, sums.product / norms) if 0 < norms < math.inf else math.nan,
        rounding_mse=max(0.0, noise - sums.clipping_squared_error) / n,
        clipping_mse=sums.clipping_squared_error / n,
        saturated=int(sums.saturated.sum()),
        levels_used=int(np.count_nonzero(sums.occupancy)),
        occupancy=sums.occupancy,
        error_histogram=ErrorHistogram(sums.edges, sums.errors - sums.clipping, sums.clipping, sums.half_step),
        groups=sums.groups() if layout.groups > 1 else None,
        storage=storage(tensor.elements, qparams),
        exact=True,
        seconds=time.perf_counter() - started,
        _dequantized=sums.dequantized,
    )


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


class _Pass:
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
        ends = _dequantize_in_place(codes, scale, zero_point, q).astype(np.float64) - values
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

    def run(self, cancelled: IsCancelled) -> None:
        """Every block, in memory order."""
        view = self.tensor.values.reshape(self.layout.shape)
        done = 0
        for block in self.layout.blocks(BLOCK):
            check(cancelled)
            self._add(view[block], block[1], done)
            done += view[block].size
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
        x_hat = _dequantize_in_place(codes, scale, zero_point, q)
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

    def groups(self) -> Groups:
        """What each group alone amounts to."""
        count = np.maximum(self.finite, 1)
        return Groups(
            finite=self.finite,
            mse=self.squared_error / count,
            max_abs_error=self.max_abs_error,
            sqnr_db=_sqnr_db(self.squared_value, self.squared_error),
            saturated=self.saturated,
        )


def _dequantize_in_place(codes: FloatArray, scale: Any, zero_point: Any, qparams: QParams) -> FloatArray:
    with np.errstate(over="ignore"):
        np.clip(codes, qparams.quant_min, qparams.quant_max, out=codes)
        np.subtract(codes, zero_point, out=codes)
        np.multiply(codes, scale, out=codes)
    return codes


def _bincount(codes: FloatArray, levels: int, work: _Workspace) -> Counts:
    index = work.indices(codes.shape)
    np.copyto(index, codes, casting="unsafe")
    return np.bincount(index.reshape(-1), minlength=levels)


def _sqnr_db(signal: Any, noise: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(noise > 0, 10 * np.log10(signal / np.where(noise > 0, noise, 1)), np.inf)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _plain(array: FloatArray, whole: bool = False) -> Any:
    return (array.astype(np.int64) if whole else array).tolist()
