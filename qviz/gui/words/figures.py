"""How are the figures of schemes written in tables and charts? The same everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from qviz.core.problems import N_, Problem
from qviz.core.questions.figures import Figures, Metrics
from qviz.core.sizes import byte_text
from qviz.gui.kit.copying import Copied, both_ends
from qviz.gui.kit.figure_model import Column
from qviz.gui.words.estimates import about
from qviz.gui.words.measures import Measure
from qviz.gui.words.numbers import NONE, cosine, counted, decibels, number, spread
from qviz.session.language import told, tr

MEASURES: tuple[Measure, ...] = (
    Measure("sqnr", N_("SQNR (dB)"), lambda m: m.sqnr_db, decibels, True, False),
    Measure("mse", N_("MSE"), lambda m: m.mse, number, False, True),
    Measure("max", N_("Max |error|"), lambda m: m.max_abs_error, number, False, True),
    Measure("cosine", N_("1 − cosine"), lambda m: 1 - m.cosine, number, False, True),
)
"""What schemes can be compared by; a new one is a row."""


def metric_columns(metrics_of: Callable[[Any], Figures | None]) -> list[Column]:
    """Columns of the figures of any rows that have `Figures`, or do not have them yet."""

    def text(read: Callable[[Figures], str], judged: bool = True) -> Callable[[Any], str]:
        def of(row: Any) -> str:
            metrics = metrics_of(row)
            if metrics is None:
                return NONE
            return about(metrics.exact or not judged) + read(metrics)

        return of

    def value(read: Callable[[Figures], float]) -> Callable[[Any], float]:
        def of(row: Any) -> float:
            metrics = metrics_of(row)
            return math.nan if metrics is None else float(read(metrics))

        return of

    def bits(m: Figures) -> float:
        return m.storage.bits_per_element

    def saturated(m: Figures) -> str:
        return counted(m.saturated, m.finite) if m.saturated else "0"

    def exactness(row: Any) -> str:
        metrics = metrics_of(row)
        return "" if metrics is None else tr("yes") if metrics.exact else tr("no, an estimate from a sample")

    return [
        Column(
            tr("Bits"),
            text(lambda m: number(bits(m), 5), judged=False),
            value(bits),
            tr("Bits per element, with scales and zero points counted."),
            -1,
            copies=(Copied(tr("Bits per element"), value(bits)), Copied(tr("Exact"), exactness)),
        ),
        Column(tr("SQNR"), text(lambda m: decibels(m.sqnr_db)), value(lambda m: m.sqnr_db), tr("In dB."), 1, unit="dB"),
        Column(tr("MSE"), text(lambda m: number(m.mse)), value(lambda m: m.mse), tr("Mean squared error."), -1),
        Column(
            tr("Max |error|"),
            text(lambda m: number(m.max_abs_error)),
            value(lambda m: m.max_abs_error),
            tr("The largest error, in the tensor's unit."),
            -1,
        ),
        Column(
            tr("Cosine"),
            text(lambda m: cosine(m.cosine)),
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
            text(lambda m: byte_text(m.storage.quantized_bytes), judged=False),
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

    def of(title: str, name: str, tip: str) -> Column:
        def values(row: Any) -> Any:
            metrics = metrics_of(row)
            return None if metrics is None else getattr(metrics.qparams, name)

        return Column(title, text(name), tip=tip, copies=both_ends(title, values))

    return [
        of(tr("Scale"), "scale", tr("The width of one step, in the tensor's unit.")),
        of(tr("Zero point"), "zero_point", tr("The code that stands for 0.")),
    ]


def known(found: object) -> Metrics | None:
    """Metrics, where there are some and not a problem."""
    return found if isinstance(found, Metrics) else None


def why_not(found: object) -> str:
    """The problem, where there is one."""
    return told(found) if isinstance(found, Problem) else ""
