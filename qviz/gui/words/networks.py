"""How are the figures of a network's outputs called and read, and what is said of where they were measured?"""

from __future__ import annotations

import math
from collections.abc import Callable

from qviz.core.frozen import frozen
from qviz.core.problems import N_
from qviz.gui.words.numbers import NONE, cosine, decibels, number, percent
from qviz.models.latency import processor_features
from qviz.models.output_figures import OutputFigures
from qviz.session.language import tr


@frozen
class Figure:
    """One row: how it is called, read, and judged (``better``: 1 higher, -1 lower, 0 neither)."""

    label: str
    better: int
    read: Callable[[OutputFigures], str]
    value: Callable[[OutputFigures], float | None]
    tip: str
    unit: str = ""

    @property
    def heading(self) -> str:
        """What it is copied under."""
        return f"{tr(self.label)} ({self.unit})" if self.unit else tr(self.label)


def _share(value: float | None) -> str:
    return NONE if value is None else percent(value, 1.0)


FIGURES: tuple[Figure, ...] = (
    Figure(
        N_("SQNR"),
        1,
        lambda o: decibels(o.sqnr_db),
        lambda o: o.sqnr_db,
        N_("20·log₁₀(‖y‖ / ‖y − ŷ‖) of this output."),
        "dB",
    ),
    Figure(
        N_("Cosine"),
        1,
        lambda o: cosine(o.cosine),
        lambda o: o.cosine,
        N_("Cosine of the angle between both outputs; 1 is perfect."),
    ),
    Figure(
        N_("Max |error|"),
        -1,
        lambda o: number(o.max_abs_error, 4),
        lambda o: o.max_abs_error,
        N_("The largest error of an element."),
    ),
    Figure(
        N_("KL divergence"),
        -1,
        lambda o: NONE if o.kl is None else number(o.kl, 3, "nat"),
        lambda o: o.kl,
        N_("Mean divergence of the softmax of both outputs, in nats."),
        "nat",
    ),
    Figure(
        N_("Same class"),
        1,
        lambda o: _share(o.top1),
        lambda o: o.top1,
        N_("Rows whose largest element is the same (top-1)."),
    ),
    Figure(
        N_("Same five"),
        1,
        lambda o: _share(o.topk),
        lambda o: o.topk,
        N_("How many of the five largest are the same (top-5)."),
    ),
    Figure(
        N_("Same text"),
        1,
        lambda o: _share(o.sequences),
        lambda o: o.sequences,
        N_("Samples whose greedy CTC reading is the same."),
    ),
    Figure(
        N_("Same boxes"),
        1,
        lambda o: _share(o.detections),
        lambda o: o.detections,
        N_("F1 agreement of the boxes that both find."),
    ),
)
"""Every figure of an output, in its order; what an output does not look like has a dash."""


def compared(ratio: float) -> str:
    """How a time compares with another one, slower as plainly as faster; of NaN nothing is known."""
    if math.isnan(ratio):
        return NONE
    if ratio > 1.02:
        return tr("{times} × slower").format(times=number(ratio, 3))
    return tr("{times} × faster").format(times=number(1 / ratio, 3)) if ratio < 0.98 else tr("as fast")


def computer() -> str:
    """What times depend on, in one sentence."""
    import onnxruntime as ort

    features = ", ".join(processor_features()) or tr("unknown")
    return tr("Measured on this computer: {features}; ONNX Runtime {version}.").format(
        features=features, version=ort.__version__
    )
