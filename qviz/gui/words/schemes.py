"""How is a scheme called, in few words? Part by part, and in one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qviz.core.formats.table import NumberFormat
from qviz.core.problems import N_
from qviz.core.ranges.entropy import Entropy
from qviz.core.ranges.known import Known
from qviz.core.ranges.mse import MSE
from qviz.core.ranges.rules import Manual, MinMax, Percentile, RangeRule
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import Granularity
from qviz.gui.words.numbers import number
from qviz.session.language import tr


def format_word(number_format: NumberFormat) -> str:
    """A number format."""
    return str(getattr(number_format, "label", number_format.name)).split(" (", maxsplit=1)[0]


_RANGE_RULES = (
    ("minmax", N_("Min–max"), N_("From the smallest value to the largest: nothing is clipped.")),
    ("percentile", N_("Percentile"), N_("Clip the rarest values, a fixed share of them.")),
    ("mse", N_("Least MSE"), N_("The range with the least mean squared error, measured on every element.")),
    (
        "entropy",
        N_("Entropy (KL)"),
        N_("The threshold that keeps most of the information: ONNX Runtime's entropy calibration."),
    ),
    ("manual", N_("By hand"), N_("Where you put the clip lines.")),
    ("known", N_("Known scale"), N_("Scale and zero point as you type them, or as a model has them.")),
    ("", "", ""),
    ("abs_max", N_("Abs max"), N_("As far as the largest magnitude, on both sides: Paddle's abs_max.")),
    (
        "moving_average",
        N_("Moving average"),
        N_("Minimum and maximum, averaged over batches: PyTorch's MovingAverageMinMaxObserver."),
    ),
    (
        "onnxruntime_percentile",
        N_("ONNX Runtime percentile"),
        N_("Over a histogram of 2048 bins: ONNX Runtime's percentile calibration."),
    ),
    (
        "torch_histogram",
        N_("PyTorch histogram"),
        N_("Search for the least squared error over a histogram: PyTorch's HistogramObserver."),
    ),
    ("paddle_kl", N_("Paddle KL"), N_("Paddle's own divergence, over the upper half of its histogram.")),
    ("paddle_hist", N_("Paddle hist"), N_("The bin where 99.999 % of the magnitudes are reached.")),
    ("paddle_avg", N_("Paddle avg"), N_("The mean of the largest magnitude of every batch.")),
    ("paddle_mse", N_("Paddle mse"), N_("The best of 35 parts of the largest magnitude, by squared error.")),
    ("paddle_emd", N_("Paddle emd"), N_("The best of 35 parts, by the change of mean and deviation.")),
    ("paddle_ptf", N_("Paddle ptf"), N_("The largest magnitude, or a half, quarter or eighth of it.")),
    ("tensorrt_entropy", N_("TensorRT entropy"), N_("The divergence of NVIDIA's Model Optimizer, over 2048 bins.")),
)
"""Kinds, what they are called, and their tips."""

_RANGE_LABELS = {kind: label for kind, label, _ in _RANGE_RULES if kind}


def range_rules() -> tuple[tuple[str, str, str], ...]:
    """The kind of each range estimator, what it is called, and the tip that teaches; "" is a line between groups."""
    return tuple((kind, tr(label) if kind else "", tr(tip) if kind else "") for kind, label, tip in _RANGE_RULES)


def range_word(rule: RangeRule) -> str:
    """A range estimator."""
    word = RANGE_WORDS.get(rule.kind)
    if word is not None:
        return word(rule)
    return tr(_RANGE_LABELS[rule.kind]) if rule.kind in _RANGE_LABELS else rule.kind


def granularity_word(granularity: Granularity) -> str:
    """Which elements share a scale."""
    word = GRANULARITY_WORDS.get(granularity.kind)
    return word(granularity) if word is not None else granularity.kind


RANGE_WORDS: dict[str, Callable[[Any], str]] = {
    MinMax.kind: lambda rule: tr("min–max"),
    Percentile.kind: lambda rule: tr("{percentile} %").format(percentile=number(rule.percentile, 8)),
    MSE.kind: lambda rule: tr("least MSE"),
    Entropy.kind: lambda rule: tr("entropy"),
    Manual.kind: lambda rule: f"{number(rule.low)}…{number(rule.high)}",
    Known.kind: lambda rule: (
        tr("S = {scale}").format(scale=number(rule.scale[0]))
        if len(rule.scale) == 1
        else tr("{count} known scales").format(count=f"{len(rule.scale):,}")
    ),
}
"""A word for each range estimator; one without a row goes by its kind."""

GRANULARITY_WORDS: dict[str, Callable[[Any], str]] = {
    "tensor": lambda granularity: tr("tensor"),
    "axis": lambda granularity: tr("axis {axis}").format(axis=granularity.axis),
    "token": lambda granularity: tr("token"),
    "block": lambda granularity: (
        tr("block {size}").format(size=granularity.block_size)
        if granularity.axis == -1
        else tr("block {size}, axis {axis}").format(size=granularity.block_size, axis=granularity.axis)
    ),
    "tile": lambda granularity: tr("tile {rows} × {columns}").format(
        rows=granularity.rows, columns=granularity.columns
    ),
}
"""A word for each granularity; blocks are those of the last axis, unless another is named."""


def words(scheme: Scheme) -> dict[str, str]:
    """Each part of a scheme by its heading."""
    return {
        tr("Format"): format_word(scheme.number_format),
        tr("Mode"): tr("symmetric") if scheme.symmetric else tr("asymmetric"),
        tr("Per"): granularity_word(scheme.granularity),
        tr("Range"): range_word(scheme.range_rule) + (tr(", S = 2ⁿ") if scheme.power_of_two else ""),
        tr("Runtime"): tr(CONVENTIONS[scheme.convention].label),
    }


def line(scheme: Scheme) -> str:
    """A scheme in one line."""
    return " · ".join(words(scheme).values())


def lines(every: Sequence[dict[str, str]]) -> list[str]:
    """The `words` of schemes that stand beside each other, a line each: the format, and what is not the same in all."""
    if len(every) < 2:
        return [" · ".join(parts.values()) for parts in every]
    first, *others = every[0]
    told = [first, *(part for part in others if any(parts[part] != every[0][part] for parts in every))]
    return [" · ".join(parts[part] for part in told) for parts in every]
