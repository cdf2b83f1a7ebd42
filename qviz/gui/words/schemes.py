"""How is a scheme called, in few words? Part by part, and in one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qviz.core.formats.table import NumberFormat
from qviz.core.ranges.entropy import Entropy
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


def range_rules() -> tuple[tuple[str, str, str], ...]:
    """The kind of each range estimator, what it is called, and the tip that teaches; "" is a line between groups."""
    return (
        ("minmax", tr("Min–max"), tr("From the smallest value to the largest: nothing is clipped.")),
        ("percentile", tr("Percentile"), tr("Clip the rarest values, a fixed share of them.")),
        ("mse", tr("Least MSE"), tr("The range with the least mean squared error, measured on every element.")),
        (
            "entropy",
            tr("Entropy (KL)"),
            tr("The threshold that keeps most of the information: ONNX Runtime's entropy calibration."),
        ),
        ("manual", tr("By hand"), tr("Where you put the clip lines.")),
        ("", "", ""),
        ("abs_max", tr("Abs max"), tr("As far as the largest magnitude, on both sides: Paddle's abs_max.")),
        (
            "moving_average",
            tr("Moving average"),
            tr("Minimum and maximum, averaged over batches: PyTorch's MovingAverageMinMaxObserver."),
        ),
        (
            "onnxruntime_percentile",
            tr("ONNX Runtime percentile"),
            tr("Over a histogram of 2048 bins: ONNX Runtime's percentile calibration."),
        ),
        (
            "torch_histogram",
            tr("PyTorch histogram"),
            tr("Search for the least squared error over a histogram: PyTorch's HistogramObserver."),
        ),
        ("paddle_kl", tr("Paddle KL"), tr("Paddle's own divergence, over the upper half of its histogram.")),
        ("paddle_hist", tr("Paddle hist"), tr("The bin where 99.999 % of the magnitudes are reached.")),
        ("paddle_avg", tr("Paddle avg"), tr("The mean of the largest magnitude of every batch.")),
        ("paddle_mse", tr("Paddle mse"), tr("The best of 35 parts of the largest magnitude, by squared error.")),
        ("paddle_emd", tr("Paddle emd"), tr("The best of 35 parts, by the change of mean and deviation.")),
        ("paddle_ptf", tr("Paddle ptf"), tr("The largest magnitude, or a half, quarter or eighth of it.")),
    )


def range_word(rule: RangeRule) -> str:
    """A range estimator."""
    word = RANGE_WORDS.get(rule.kind)
    if word is not None:
        return word(rule)
    return next((label for kind, label, _ in range_rules() if kind == rule.kind), rule.kind)


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
}
"""A word for each range estimator; one without a row goes by its kind."""

GRANULARITY_WORDS: dict[str, Callable[[Any], str]] = {
    "tensor": lambda granularity: tr("tensor"),
    "axis": lambda granularity: tr("axis {axis}").format(axis=granularity.axis),
    "token": lambda granularity: tr("token"),
    "block": lambda granularity: tr("block {size}").format(size=granularity.block_size),
}
"""A word for each granularity."""


def words(scheme: Scheme) -> dict[str, str]:
    """Each part of a scheme by its heading."""
    return {
        tr("Format"): format_word(scheme.number_format),
        tr("Mode"): tr("symmetric") if scheme.symmetric else tr("asymmetric"),
        tr("Per"): granularity_word(scheme.granularity),
        tr("Range"): range_word(scheme.range_rule),
        tr("Runtime"): tr(CONVENTIONS[scheme.convention].label),
    }


def line(scheme: Scheme, among: Sequence[Scheme] = ()) -> str:
    """A scheme in one line; ``among`` others, only what is not the same in all of them, and the format."""
    parts = words(scheme)
    if len(among) > 1:
        every = [words(each) for each in among]
        first = next(iter(parts))
        parts = {k: v for k, v in parts.items() if k == first or len({each[k] for each in every}) > 1}
    return " · ".join(parts.values())
