"""What does this scheme do to this tensor? Every element, one frozen answer.

Errors are x̂ − x in float64. An element is *saturated* when clipping changed its code; its error
is clipping error, every other error is rounding error.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.arrays import Counts, FloatArray
from qviz.core.frozen import frozen
from qviz.core.passes.direct_pass import direct_sums
from qviz.core.passes.error_bins import BINS_TO_HALF_STEP, error_edges
from qviz.core.passes.sorted_pass import sorted_sums
from qviz.core.passes.sums import ErrorHistogram, Sums
from qviz.core.plain import finite_only
from qviz.core.problems import Problem
from qviz.core.questions.calibration import are_known, choose_qparams
from qviz.core.questions.effort import Limits, Source, plan, thins
from qviz.core.questions.figures import Metrics, figures_of
from qviz.core.ranges.rules import MinMax
from qviz.core.ranges.table import reads_shape
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.envelope import BASE, RAW, Envelope, EnvelopeView
from qviz.core.tensors.layout import Layout
from qviz.core.tensors.sorted_tensor import SortedTensor, prepare_sample
from qviz.core.tensors.tensor import Tensor
from qviz.core.tensors.thinned import Thinned, thinned
from qviz.core.tensors.value_histogram import Histogram
from qviz.core.work import IsCancelled, Progress, ignore, never

RANGING = 0.8
"""How much of the work is to seek a range for each of many groups, where a library's rule does it one by one."""

FEW_CODES = 1 << 14
"""To find where the codes of more begin takes longer than to count them on the way."""

NO_HISTOGRAM = ErrorHistogram(np.zeros(1), np.zeros(0, np.int64), np.zeros(0, np.int64), 0.0)


@frozen(eq=False, repr=False)
class Analysis(Metrics):
    """Everything the charts and tables show of one tensor under one scheme.

    Attributes
    ----------
    levels_used : int
        Different codes in use.
    occupancy : int array, shape (codes,)
        Elements at each code, from quant_min to quant_max.
    error_histogram : ErrorHistogram
        Without bins where none was asked for.
    prepared : SortedTensor or None
        The tensor in order, for further questions.
    """

    levels_used: int
    occupancy: Counts
    error_histogram: ErrorHistogram
    prepared: SortedTensor | None
    _dequantized: Envelope | None
    _few: Thinned | None = None

    @property
    def looked_at(self) -> int:
        """Elements that the figures come from: all that are finite, or those of a sample."""
        if self.exact:
            return self.finite
        return self.tensor.sample().size if self._few is None else self._few.tensor.finite

    def histogram(self) -> Histogram:
        """The values in fine equal bins, as exact as the answer is; made once."""
        return self.tensor.histogram(sampled=not self.exact)

    def fake_quantize(self, start: int, stop: int) -> FloatArray:
        """x̂ of the flat elements ``start`` … ``stop``."""
        return self.dequantize_values(self.tensor.drawn[start:stop], np.arange(start, stop))

    def dequantize_values(self, values: FloatArray, index: Any) -> FloatArray:
        """x̂ of float32 ``values`` that stand at flat ``index``."""
        groups = self.layout.group_of(index)
        return self.qparams.quantizer(groups).quantized(np.asarray(values, np.float32))

    def transfer(self, values: Any, group: int = 0) -> FloatArray:
        """x̂ of any ``values`` (taken as float32), under the scale of one group."""
        return self.qparams.quantizer(group).quantized(np.asarray(values, np.float32))

    def views(self, start: int, stop: int, buckets: int) -> tuple[EnvelopeView, EnvelopeView]:
        """The original and the dequantized values of a stretch, reduced alike to ``buckets``."""
        original = self.tensor.envelope.view(self.tensor.drawn, start, stop, buckets)
        first, last = (int(original.start[0]), int(original.start[-1])) if original.low.size else (start, start)
        if original.is_samples:
            values = self.fake_quantize(first, last)
            return original, EnvelopeView(original.start, values, values)
        if self.layout.groups == 1 or _map_alike(self.qparams):  # monotone, it maps envelope to envelope
            low, high = (self.dequantize_values(edge, 0) for edge in (original.low, original.high))
            return original, EnvelopeView(original.start, low, high)
        if last - first <= 2 * RAW or original.start[1] - original.start[0] < BASE:
            starts = original.start[:-1] - first
            values = self.fake_quantize(first, last)
            low, high = np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)
            return original, EnvelopeView(original.start, low, high)
        if self._few is not None:
            return self._views_of_few(start, stop, buckets)
        return original, self._drawn.view(self.tensor.drawn, start, stop, buckets)

    def _views_of_few(self, start: int, stop: int, buckets: int) -> tuple[EnvelopeView, EnvelopeView]:
        """The same of the few elements that were looked at, which lie as evenly as all do."""
        few, whole = self._alone, self.tensor.elements
        spread = whole / few.tensor.elements
        views = few.views(math.floor(start / spread), math.ceil(stop / spread), buckets)
        original, dequantized = (
            EnvelopeView(np.rint(view.start * spread).astype(np.int64), view.low, view.high) for view in views
        )
        return original, dequantized

    @cached_property
    def _alone(self) -> Analysis:
        """The few elements that were looked at, as a tensor of their own."""
        assert self._few is not None
        return replace(self, tensor=self._few.tensor, layout=self._few.layout, _few=None)

    @cached_property
    def _drawn(self) -> Envelope:
        """The envelope of x̂, where it does not follow from that of x; made now, where it was left out."""
        if self._dequantized is not None:
            return self._dequantized
        found = direct_sums(self.tensor, self.qparams, self.layout, occupancy=False, products=False).dequantized
        assert found is not None
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the keys of ``qviz analyze --json``; None for what is not finite."""
        found: dict[str, Any] = finite_only(self.listed())
        return found

    def listed(self) -> dict[str, Any]:
        """The same with every number as it is."""
        q = self.qparams
        return {
            "shape": list(self.tensor.shape),
            "dtype": self.tensor.dtype,
            "elements": self.tensor.elements,
            "nan": self.tensor.nan,
            "inf": self.tensor.inf + self.tensor.overflowed,
            "scale": q.scale.tolist(),
            "zero_point": (q.zero_point.astype(np.int64) if q.whole_zero_point else q.zero_point).tolist(),
            "quant_min": q.quant_min,
            "quant_max": q.quant_max,
            "mse": self.mse,
            "mae": self.mae,
            "max_abs_error": self.max_abs_error,
            "sqnr_db": self.sqnr_db,
            "cosine": self.cosine,
            "saturated": self.saturated,
            "levels_used": self.levels_used,
            "bits_per_element": self.storage.bits_per_element,
            "float_bytes": self.storage.float32_bytes,
            "quantized_bytes": self.storage.quantized_bytes,
        }


def analyze(
    x: object,
    scheme: Scheme,
    *,
    error_bins: int = BINS_TO_HALF_STEP,
    envelope: bool = True,
    qparams: QParams | None = None,
    layout: Layout | None = None,
    limits: Limits | None = None,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Analysis:
    """Quantize, dequantize and compare, every element.

    Parameters
    ----------
    x : array_like, Tensor or SortedTensor
        Real numbers, any shape. One that was prepared is answered from its order where the scheme
        has one scale: the same answer, in a fraction of the time.
    scheme : Scheme
    error_bins : int
        Bins of the error histogram between 0 and half a scale, at most; 0 for no histogram.
    envelope : bool
        Whether to make the envelope of x̂ on the way; left out, `Analysis.views` makes it when it is asked.
    qparams : QParams, optional
        Known scales and zero points; chosen by the scheme's range rule otherwise.
    layout : Layout, optional
        How the groups of ``qparams`` lie in ``x``, where that is a piece of a larger tensor and may
        be shorter than a block; as the scheme's granularity has it otherwise.
    limits : Limits, optional
        Up to how many elements the order is not made use of.
    progress : Callable[[float], None]
        Told the fraction that is done.
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
    source, tensor = _source(x, cancelled)
    reached = 0.0

    def ranging(fraction: float) -> None:
        nonlocal reached
        reached = RANGING * fraction
        progress(reached)

    qparams = qparams or choose_qparams(source, scheme, progress=ranging, cancelled=cancelled)
    layout = layout or scheme.granularity.layout(tensor.shape)
    edges = error_edges(tensor, qparams, layout, error_bins) if error_bins else None
    prepared = source if isinstance(source, SortedTensor) and layout.groups == 1 else None
    ordered = plan(tensor, prepared, scheme, limits, layout=layout).source is Source.ORDER
    if prepared is not None and ordered and qparams.climbs:
        return _analysis(tensor, prepared, qparams, layout, sorted_sums(prepared, qparams, edges), started)
    order = source if isinstance(source, SortedTensor) and _is_told_by_order(source, qparams, layout, limits) else None
    sums = direct_sums(
        tensor,
        qparams,
        layout,
        occupancy=order is None,
        error_edges=None if order is not None else edges,
        envelope=envelope and not _map_alike(qparams),
        totals=order is None,
        progress=lambda fraction: progress(reached + (1 - reached) * fraction),
        cancelled=cancelled,
    )
    if order is not None:
        told = sorted_sums(order, qparams.for_group(0), edges)
        sums = replace(
            sums,
            absolute_error=told.absolute_error,
            clipping_squared_error=told.clipping_squared_error,
            product=told.product,
            squared_dequantized=told.squared_dequantized,
            occupancy=told.occupancy,
            error_histogram=told.error_histogram,
        )
    return _analysis(tensor, prepared, qparams, layout, sums, started)


def _is_told_by_order(order: SortedTensor, qparams: QParams, layout: Layout, limits: Limits | None) -> bool:
    """Whether the order of all values tells what their groups come to together: all are quantized alike, to few codes.

    Only the figures of each group are left to a pass then.
    """
    large = order.tensor.finite > (limits or Limits()).direct_up_to
    return layout.groups > 1 and large and qparams.levels_count <= FEW_CODES and _map_alike(qparams)


def _map_alike(qparams: QParams) -> bool:
    """Whether one monotone quantizer serves all of several groups: their envelope is one of values made."""
    return qparams.alike and qparams.climbs


def estimate(
    tensor: Tensor,
    scheme: Scheme,
    *,
    error_bins: int = BINS_TO_HALF_STEP,
    envelope: bool = True,
    limits: Limits | None = None,
    cancelled: IsCancelled = never,
) -> Analysis:
    """What `analyze` would say, judged from blocks of neighbouring elements; its ``exact`` is False.

    Counts are scaled up to the whole tensor. Rare outliers may be missed: figures that depend on
    them (the largest error, an MSE that clipping makes) can be far off. A range that was not sought before
    is sought in the sample, and suits it a little better than the whole.

    Parameters
    ----------
    tensor : Tensor
        Counted or not; where it is, its true extremes decide the range, of each group as well.
    scheme : Scheme
        Of one scale; or one for each channel or token, each of which has so many elements that some of them say
        something about it.
    error_bins, envelope
        As in `analyze`.
    limits : Limits, optional
        How many elements are looked at where there are many scales.

    Raises
    ------
    Problem
        When the scheme has a scale for each of many short groups, or its range depends on batches: a sample says
        nothing about either.
    """
    started = time.perf_counter()
    layout = scheme.granularity.layout(tensor.shape)
    limits = limits or Limits()
    if layout.groups > 1 and not thins(tensor, scheme, limits):
        raise Problem("An estimate needs one scale for the whole tensor: choose per tensor, or an exact answer.")
    if reads_shape(scheme.range_rule):
        raise Problem("An estimate knows no batches: choose a range rule without them, or an exact answer.")
    if layout.groups > 1:
        return _estimate_of_groups(tensor, scheme, limits.few_of_groups, error_bins, envelope, cancelled)
    prepared = prepare_sample(tensor, cancelled=cancelled)
    # The tensor may know its true ends, which the sample does not.
    source = tensor if scheme.range_rule.kind == MinMax.kind else prepared
    qparams = choose_qparams(source, scheme, cancelled=cancelled)
    if not qparams.climbs:
        return analyze(tensor, scheme, qparams=qparams, cancelled=cancelled)
    sums = sorted_sums(prepared, qparams, error_edges(tensor, qparams, layout, error_bins))
    sums = sums.scaled(tensor.finite / prepared.values.size)
    return replace(_analysis(tensor, None, qparams, layout, sums, started), exact=False)


def _estimate_of_groups(
    tensor: Tensor, scheme: Scheme, few: int, error_bins: int, envelope: bool, cancelled: IsCancelled
) -> Analysis:
    """From some elements of each group."""
    started = time.perf_counter()
    tensor = tensor.count(cancelled=cancelled)
    layout = scheme.granularity.layout(tensor.shape)
    some = thinned(tensor, scheme.granularity, few, cancelled=cancelled)
    if some is None:
        return analyze(tensor, scheme, error_bins=error_bins, envelope=envelope, cancelled=cancelled)
    if are_known(tensor, scheme):
        qparams = choose_qparams(tensor, scheme, cancelled=cancelled)
    else:
        alike = replace(scheme, granularity=some.granularity)
        qparams = replace(choose_qparams(some.tensor, alike, cancelled=cancelled), scheme=scheme)
    edges = error_edges(tensor, qparams, layout, error_bins) if error_bins else None
    sums = direct_sums(
        some.tensor,
        qparams,
        some.layout,
        error_edges=edges,
        envelope=envelope and not _map_alike(qparams),
        cancelled=cancelled,
    )
    scaled = sums.scaled(tensor.finite / some.tensor.finite)
    found = _analysis(tensor, None, qparams, layout, scaled, started)
    return replace(found, exact=False, _dequantized=sums.dequantized, _few=some)


def measure(
    x: object,
    scheme: Scheme,
    *,
    qparams: QParams | None = None,
    limits: Limits | None = None,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Metrics:
    """The figures of `analyze` alone, without occupancy and histograms: several times as fast per axis.

    Parameters
    ----------
    x : array_like, Tensor or SortedTensor
    scheme : Scheme
    qparams : QParams, optional
        Known scales and zero points; chosen by the scheme's range rule otherwise.
    limits : Limits, optional
        Up to how many elements the order is not made use of.

    Raises
    ------
    Problem
        When ``x`` holds nothing to quantize, or the scheme does not fit its shape.
    Cancelled
        When asked to stop.
    """
    source, tensor = _source(x, cancelled)
    layout = scheme.granularity.layout(tensor.shape)
    if isinstance(source, SortedTensor) and layout.groups == 1:
        return analyze(
            source, scheme, error_bins=0, qparams=qparams, limits=limits, progress=progress, cancelled=cancelled
        )
    started = time.perf_counter()
    qparams = qparams or choose_qparams(source, scheme, cancelled=cancelled)
    sums = direct_sums(tensor, qparams, layout, occupancy=False, envelope=False, progress=progress, cancelled=cancelled)
    figures = figures_of(tensor, qparams, layout, sums)
    return Metrics(**figures, exact=True, seconds=time.perf_counter() - started)


def _source(x: object, cancelled: IsCancelled) -> tuple[Tensor | SortedTensor, Tensor]:
    """What is asked, and the tensor it is of, every element counted."""
    if isinstance(x, SortedTensor):
        return x, x.tensor
    tensor = x.count(cancelled=cancelled) if isinstance(x, Tensor) else Tensor(x, cancelled=cancelled)
    return tensor, tensor


def _analysis(
    tensor: Tensor, prepared: SortedTensor | None, qparams: QParams, layout: Layout, sums: Sums, started: float
) -> Analysis:
    assert sums.occupancy is not None
    return Analysis(
        **figures_of(tensor, qparams, layout, sums),
        levels_used=int(np.count_nonzero(sums.occupancy)),
        occupancy=sums.occupancy,
        error_histogram=sums.error_histogram or NO_HISTOGRAM,
        exact=True,
        seconds=time.perf_counter() - started,
        prepared=prepared,
        _dequantized=sums.dequantized,
    )
