"""How are the figures of schemes written in tables and charts? The same everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from qviz.core.problems import N_, Problem
from qviz.core.questions.figures import Figures, Metrics
from qviz.gui.kit.figure_table import Column
from qviz.gui.words.measures import Measure
from qviz.session.language import told, tr

ABOUT = "≈ "
"""Stands before a figure that is an estimate."""

NONE = "–"


def figure(value: float, digits: int = 4) -> str:
    """A number with so many digits."""
    if math.isnan(value):
        return NONE
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.{digits}g}".replace("-", "−")


def decibels(value: float) -> str:
    """An SQNR."""
    return f"{value:.2f} dB".replace("-", "−") if math.isfinite(value) else figure(value)


def bytes_text(count: int) -> str:
    """Bytes as people read them."""
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.4g} {unit}"
        value /= 1024
    return f"{value:.4g} GiB"


def spread(values: Any, digits: int = 4) -> str:
    """One number, or from where to where many are."""
    flat = np.asarray(values).reshape(-1)
    low, high = float(flat.min()), float(flat.max())
    return figure(low, digits) if low == high else f"{figure(low, 3)}…{figure(high, 3)}"


MEASURES: tuple[Measure, ...] = (
    Measure("sqnr", N_("SQNR (dB)"), lambda m: m.sqnr_db, decibels, True, False),
    Measure("mse", N_("MSE"), lambda m: m.mse, figure, False, True),
    Measure("max", N_("Max |error|"), lambda m: m.max_abs_error, figure, False, True),
    Measure("cosine", N_("1 − cosine"), lambda m: 1 - m.cosine, figure, False, True),
)
"""What schemes can be compared by; a new one is a row."""


def metric_columns(metrics_of: Callable[[Any], Figures | None]) -> list[Column]:
    """Columns of the figures of any rows that have `Figures`, or do not have them yet."""

    def text(read: Callable[[Figures], str], judged: bool = True) -> Callable[[Any], str]:
        def of(row: Any) -> str:
            metrics = metrics_of(row)
            if metrics is None:
                return NONE
            return (ABOUT if judged and not metrics.exact else "") + read(metrics)

        return of

    def value(read: Callable[[Figures], float]) -> Callable[[Any], float]:
        def of(row: Any) -> float:
            metrics = metrics_of(row)
            return math.nan if metrics is None else float(read(metrics))

        return of

    def bits(m: Figures) -> float:
        return m.storage.bits_per_element

    def saturated(m: Figures) -> str:
        return f"{m.saturated:,} · {100 * m.saturated / m.finite:.2g} %" if m.saturated else "0"

    return [
        Column(
            tr("Bits"),
            text(lambda m: f"{bits(m):.5g}", judged=False),
            value(bits),
            tr("Bits per element, with scales and zero points counted."),
            -1,
        ),
        Column(tr("SQNR"), text(lambda m: decibels(m.sqnr_db)), value(lambda m: m.sqnr_db), tr("In dB."), 1),
        Column(tr("MSE"), text(lambda m: figure(m.mse)), value(lambda m: m.mse), tr("Mean squared error."), -1),
        Column(
            tr("Max |error|"),
            text(lambda m: figure(m.max_abs_error)),
            value(lambda m: m.max_abs_error),
            tr("The largest error, in the tensor's unit."),
            -1,
        ),
        Column(
            tr("Cosine"),
            text(lambda m: NONE if math.isnan(m.cosine) else f"{m.cosine:.7f}"),
            value(lambda m: m.cosine),
            tr("Of the angle between x and x̂; 1 is perfect."),
            1,
        ),
        Column(
            tr("Saturated"),
            text(saturated),
            value(lambda m: m.saturated),
            tr("Elements whose code was changed by clipping."),
            -1,
        ),
        Column(
            tr("Bytes"),
            text(lambda m: bytes_text(m.storage.quantized_bytes), judged=False),
            value(lambda m: m.storage.quantized_bytes),
            tr("Codes, scales and zero points."),
            -1,
        ),
    ]


def parameter_columns(metrics_of: Callable[[Any], Metrics | None]) -> list[Column]:
    """Columns of scale and zero point."""

    def text(name: str) -> Callable[[Any], str]:
        def of(row: Any) -> str:
            metrics = metrics_of(row)
            return NONE if metrics is None else spread(getattr(metrics.qparams, name), 5)

        return of

    return [
        Column(tr("Scale"), text("scale"), tip=tr("The width of one step, in the tensor's unit.")),
        Column(tr("Zero point"), text("zero_point"), tip=tr("The code that stands for 0.")),
    ]


def known(found: object) -> Metrics | None:
    """Metrics, where there are some and not a problem."""
    return found if isinstance(found, Metrics) else None


def why_not(found: object) -> str:
    """The problem, where there is one."""
    return told(found) if isinstance(found, Problem) else ""
