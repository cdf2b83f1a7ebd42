"""Which threshold does Paddle's post-training quantization choose? Its algorithms, to the last bit.

`paddle.static.quantization.PostTrainingQuantization` 3.3.1, which PaddleSlim 2.6.0 calls, on the
activations: weights get the largest magnitude whatever the algorithm (`AbsMax`). Thresholds T are
symmetric, −T to T. Paddle has all of them per tensor; per axis each channel is treated as a tensor
of its own. Where Paddle would meet NaN, only finite values count here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np

from qviz.core.arrays import Counts, FloatArray, Floats
from qviz.core.frozen import frozen
from qviz.core.plain import Tagged
from qviz.core.problems import Problem
from qviz.core.ranges.divergences import EXACT, BinSums, crossed, information, likely_least, stretches
from qviz.core.ranges.histograms import bin_ends, edge_counts, remembered
from qviz.core.ranges.pairwise import means
from qviz.core.ranges.rules import Ends, Range, RangeInput
from qviz.core.tensors.batches import Batch
from qviz.core.work import IsCancelled, check

BINS = 2048

FIRST, STEP = 0.3, 0.02
"""Thresholds as parts of the largest magnitude, added up: rounding makes the last 0.98 and not 1."""

PARTS_OF_SCALE = (8, 4, 2, 1)


def _parts() -> tuple[float, ...]:
    parts = [FIRST]
    while parts[-1] + STEP <= 1:
        parts.append(parts[-1] + STEP)
    return tuple(parts)


PARTS = _parts()


@frozen
class AbsMax(Tagged):
    """From −absmax to absmax: Paddle's ``abs_max``, and for weights per axis its ``channel_wise_abs_max``."""

    kind: ClassVar[str] = "abs_max"

    def estimate(self, given: RangeInput) -> Range:
        """The largest magnitude of each group."""
        low, high = given.tensor.extremes(given.layout, cancelled=given.cancelled)
        largest = np.maximum(np.abs(low), np.abs(high))
        return -largest, largest


@frozen
class PaddleAverage(Tagged):
    """The mean over all batches of the mean over their samples of the largest magnitude: ``avg``.

    Samples are the indices of a batch's first axis. Of a tensor with one axis each element is a sample.

    Parameters
    ----------
    batch_axis : int or None
        The axis whose indices are batches; None: the whole tensor is one.
    """

    kind: ClassVar[str] = "paddle_avg"
    batch_axis: int | None = None

    def estimate(self, given: RangeInput) -> Range:
        """The threshold of each group."""

        def threshold(batches: Iterator[Batch]) -> float:
            rows = (batch.row_magnitudes(cancelled=given.cancelled) for batch in batches)
            with np.errstate(over="ignore"):  # as in Paddle; a range without an end is refused
                largest = [float(np.mean(row)) for row in rows if row.size]
            return float(np.array(largest).mean()) if largest else 0.0

        return _thresholds(given, self, threshold, self.batch_axis)


@frozen
class PaddleHistogram(Tagged):
    """The middle of the bin that holds a quantile of the magnitudes: ``hist``.

    2048 bins from the smallest magnitude to the largest. Paddle takes (i + ½)·width, and so does
    this: where the smallest magnitude is far from 0 the threshold lies too low by it. It does not
    matter which elements came together.

    Parameters
    ----------
    hist_percent : float
        The quantile, above 0 and up to 1.

    Raises
    ------
    Problem
        When ``hist_percent`` is out of range.
    """

    kind: ClassVar[str] = "paddle_hist"
    hist_percent: float = 0.99999

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.hist_percent <= 1:
            raise Problem(
                "A quantile of {hist_percent:g} makes no range: choose one above 0, up to 1.",
                hist_percent=self.hist_percent,
            )

    def estimate(self, given: RangeInput) -> Range:
        """The threshold of each group."""

        def threshold(counts: Counts, width: float) -> float:
            below = np.cumsum(counts / float(counts.sum()))
            reached = below >= self.hist_percent
            # Rounding may keep the sum below 1; Paddle's own threshold is then below 0.
            index = int(np.argmax(reached)) if reached.any() else BINS - 1
            return (index + 0.5) * width

        return _histogram_thresholds(given, self, threshold)


@frozen
class PaddleKL(Tagged):
    """The threshold of the least Kullback-Leibler divergence: ``KL``, Paddle's default (``cal_kl_threshold``).

    2048 bins of the magnitudes from the smallest to the largest, merged into 2^(bits − 1) − 1;
    thresholds (i + ½)·width for i from 1023: never below half of the range. It does not matter which
    elements came together. Paddle adds up in the order of the bins; from Python 3.12 on its sum of Q
    carries its rounding along, which may change the last bit of a divergence.
    """

    kind: ClassVar[str] = "paddle_kl"

    def estimate(self, given: RangeInput) -> Range:
        """The threshold of each group."""
        merged = max(1, _steps(given))

        def threshold(counts: Counts, width: float) -> float:
            return (_least_divergence(counts, merged, given.cancelled) + 0.5) * width

        return _histogram_thresholds(given, self, threshold)


@frozen
class PaddleMSE(Tagged):
    """The threshold of 0.30, 0.32 … 0.98 of the largest magnitude with the least squared error: ``mse``.

    The best of all batches wins, that is, the one batch that is easiest to quantize. Unless
    ``onnx_format`` is on, values below 0 are taken for 0, as behind a ReLU. Of equal errors the last counts.

    Parameters
    ----------
    onnx_format : bool
        Paddle's option of that name: negative values count as well.
    batch_axis : int or None
        The axis whose indices are batches; None: the whole tensor is one.
    """

    kind: ClassVar[str] = "paddle_mse"
    onnx_format: bool = False
    batch_axis: int | None = None

    def estimate(self, given: RangeInput) -> Range:
        """The threshold of each group."""
        quantized = _fake_quantizer(_steps(given), self.onnx_format)

        def losses(batch: Batch, scales: list[float]) -> FloatArray:
            def terms(values: FloatArray, memory: FloatArray, i: int) -> FloatArray:
                np.subtract(values, quantized(values, scales[i], memory), out=memory)
                return np.square(memory, out=memory)

            return means(batch, terms, len(scales), given.cancelled)

        return _thresholds(given, self, _searched(losses, given.cancelled), self.batch_axis)


@frozen
class PaddleEMD(Tagged):
    """The threshold of 0.30, 0.32 … 0.98 of the largest magnitude with the least |Δmean| + |Δstd|: ``emd``.

    Otherwise like `PaddleMSE`.

    Parameters
    ----------
    onnx_format : bool
        Paddle's option of that name: negative values count as well.
    batch_axis : int or None
        The axis whose indices are batches; None: the whole tensor is one.
    """

    kind: ClassVar[str] = "paddle_emd"
    onnx_format: bool = False
    batch_axis: int | None = None

    def estimate(self, given: RangeInput) -> Range:
        """The threshold of each group."""
        quantized = _fake_quantizer(_steps(given), self.onnx_format)

        def losses(batch: Batch, scales: list[float]) -> FloatArray:
            def term(values: FloatArray, memory: FloatArray, i: int) -> FloatArray:
                return quantized(values, scales[i - 1], memory) if i else values  # the batch itself comes first

            def squared(values: FloatArray, memory: FloatArray, i: int) -> FloatArray:
                np.subtract(term(values, memory, i), mean[i], out=memory)
                return np.square(memory, out=memory)

            count = len(scales) + 1
            mean = means(batch, term, count, given.cancelled)
            deviation = np.sqrt(means(batch, squared, count, given.cancelled))
            with np.errstate(invalid="ignore"):
                loss: FloatArray = np.abs(mean[0] - mean[1:]) + np.abs(deviation[0] - deviation[1:])
            return loss

        return _thresholds(given, self, _searched(losses, given.cancelled), self.batch_axis)


@frozen
class PaddlePTF(Tagged):
    """An eighth, a quarter, a half or all of the largest magnitude, by the squared error: ``ptf``.

    Every batch overwrites what the one before chose: the last decides. Values below 0 are taken for 0.

    Parameters
    ----------
    batch_axis : int or None
        The axis whose indices are batches; None: the whole tensor is one.
    """

    kind: ClassVar[str] = "paddle_ptf"
    batch_axis: int | None = None

    def estimate(self, given: RangeInput) -> Range:
        """The threshold of each group."""
        steps = _steps(given)

        def threshold(batches: Iterator[Batch]) -> float:
            last = 0.0
            for whole in batches:
                batch = whole.finite(cancelled=given.cancelled)
                if batch.size:
                    last = of_batch(batch)
            return last

        def of_batch(batch: Batch) -> float:
            scales = [_absmax(batch, given.cancelled) / steps / part for part in PARTS_OF_SCALE]

            def terms(values: FloatArray, memory: FloatArray, i: int) -> FloatArray:
                np.divide(values, scales[i], out=memory)
                np.clip(np.rint(memory, out=memory), 0, steps, out=memory)
                np.subtract(values, np.multiply(memory, scales[i], out=memory), out=memory)
                return np.square(memory, out=memory)

            loss = means(batch, terms, len(scales), given.cancelled)
            best = 0 if np.isnan(loss[0]) else int(np.argmin(loss))  # of nothing but zeros: 0/0
            return float(steps * (scales[0] * 2**best))

        return _thresholds(given, self, threshold, self.batch_axis)


def _steps(given: RangeInput) -> int:
    """The largest code of signed integers with so many codes: 127 of 256."""
    return max(1, given.levels // 2 - 1)


def _thresholds(
    given: RangeInput, rule: Any, threshold: Callable[[Iterator[Batch]], float], batch_axis: int | None
) -> Range:
    """From −T to T, with the threshold that follows from each group's batches."""

    def of_group(batches: Iterator[Batch]) -> Ends:
        largest = threshold(batches)
        return -largest, largest

    return remembered(given.tensor, (rule, given.layout, _steps(given)), lambda: given.of_batches(batch_axis, of_group))


def _histogram_thresholds(given: RangeInput, rule: Any, threshold: Callable[[Counts, float], float]) -> Range:
    """The same, with the threshold that follows from each group's histogram of magnitudes and its bin width."""

    def of_group(batches: Iterator[Batch]) -> float:
        (batch,) = batches
        histogram = _histogram(batch, given.cancelled)
        if histogram is None:
            return 0.0
        counts, edges = histogram
        return threshold(counts, float(edges[1] - edges[0]))

    return _thresholds(given, rule, of_group, None)


def _histogram(batch: Batch, cancelled: IsCancelled) -> tuple[Counts, Floats] | None:
    magnitudes = [(np.abs(piece).min(), np.abs(piece).max()) for piece in batch.pieces(cancelled=cancelled)]
    if not magnitudes:
        return None
    low, high = (float(end) for end in (min(m[0] for m in magnitudes), max(m[1] for m in magnitudes)))
    edges = np.linspace(*bin_ends(low, high), BINS + 1)
    return edge_counts((np.abs(piece) for piece in batch.pieces(cancelled=cancelled)), edges), edges


def _least_divergence(counts: Counts, merged: int, cancelled: IsCancelled) -> int:
    """How many bins the best threshold keeps (``cal_kl_threshold``)."""
    first = (BINS - 1) // 2
    kept = np.arange(first, BINS)
    kept = kept[counts[kept - 1] > 0]
    sums, losses = BinSums.of(counts), np.empty(kept.size)
    for part in stretches(kept, merged):
        check(cancelled)
        losses[part] = _estimates(sums, kept[part], merged)
    likely = kept[likely_least(losses, EXACT * (1 + np.abs(losses)))].tolist() if kept.size else []
    if len(likely) == 1:
        return int(likely[0])
    divergence = _Divergence(counts, merged)
    best, least = 0, math.inf
    for i, each in enumerate(likely):
        if i % 64 == 0:
            check(cancelled)
        loss = divergence.of(each)
        if best == 0 or loss < least:
            best, least = each, loss
    if best == 0:  # nothing lies up there but the largest
        best = first
        while best > 0 and not counts[best]:
            best -= 1
    return best


def _estimates(sums: BinSums, kept: Counts, merged: int) -> Floats:
    """The divergence with so many bins, the last of which holds something, but for its rounding."""
    total, inside = sums.elements[-1], sums.elements[kept]
    beyond = total - inside
    known = sums.information[kept - 1] + information(sums.counts[kept - 1] + beyond)
    crossing = crossed(sums, kept, beyond, merged, ceiled=False)
    return np.asarray((known - crossing) / total + np.log(inside / total))


class _Divergence:
    """Of P, the bins that are kept with all beyond them in the last, from Q, merged and spread again over the used.

    Added up in the order of the bins, as Python adds, and with Python's logarithm, for NumPy's may
    round otherwise. Equal numbers have their logarithm taken once.
    """

    def __init__(self, counts: Counts, merged: int) -> None:
        self._merged = merged
        self._used = counts > 0
        self._counts = counts
        self._below = np.append(0, np.cumsum(counts))
        self._used_below = np.append(0, np.cumsum(self._used))
        self._total = int(self._below[-1])
        self._distinct, self._which = np.unique(counts[self._used], return_inverse=True)

    def of(self, kept: int) -> float:
        """With so many bins, the last of which holds something."""
        places = np.append(np.arange(self._merged) * (kept // self._merged), kept)
        together, bins = np.diff(self._below[places]), np.diff(self._used_below[places])
        together, bins = together[bins > 0], bins[bins > 0]
        q = together / bins
        used = int(self._used_below[kept])
        p = self._counts[:kept][self._used[:kept]]
        p[-1] += self._total - self._below[kept]
        q_sum = float(np.cumsum(np.repeat(q, bins))[-1])
        log_p = _logarithms(q_sum * self._distinct)[self._which[:used]]
        log_p[-1] = math.log(q_sum * int(p[-1]))
        log_q = np.repeat(_logarithms(self._total * q), bins)
        return float(np.cumsum(p * log_p)[-1] - np.cumsum(p * log_q)[-1]) / self._total


def _logarithms(values: np.ndarray[Any, Any]) -> Floats:
    return np.array(list(map(math.log, values.tolist())))


def _searched(
    losses: Callable[[Batch, list[float]], FloatArray], cancelled: IsCancelled
) -> Callable[[Iterator[Batch]], float]:
    """The threshold with the least loss of any batch, the last of equal ones.

    Where float32 is too narrow for any loss Paddle finds no threshold; this takes the largest it tries.
    """

    def threshold(batches: Iterator[Batch]) -> float:
        best, least = 0.0, math.inf
        for whole in batches:
            batch = whole.finite(cancelled=cancelled)
            if not batch.size:
                continue
            largest = _absmax(batch, cancelled) or 1e-8
            scales = [part * largest for part in PARTS]
            best = best or scales[-1]
            for scale, loss in zip(scales, losses(batch, scales).tolist(), strict=True):
                if loss <= least:
                    best, least = scale, loss
        return best

    return threshold


def _fake_quantizer(steps: int, onnx_format: bool) -> Callable[[FloatArray, float, FloatArray], FloatArray]:
    """Quantized and dequantized again with a threshold, in the memory given."""

    def quantized(values: FloatArray, scale: float, memory: FloatArray) -> FloatArray:
        if onnx_format:
            np.multiply(np.divide(values, scale, out=memory), steps, out=memory)
            np.clip(np.rint(memory, out=memory), -steps - 1, steps, out=memory)
        else:
            np.divide(np.clip(values, 0.0, scale, out=memory), scale, out=memory)
            np.rint(np.multiply(memory, steps, out=memory), out=memory)
        return np.multiply(np.divide(memory, steps, out=memory), scale, out=memory)

    return quantized


def _absmax(batch: Batch, cancelled: IsCancelled) -> float:
    low, high = batch.extremes(cancelled=cancelled) or (0, 0)
    return float(max(-low, high))
