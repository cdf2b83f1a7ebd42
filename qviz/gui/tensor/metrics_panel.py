"""How good is it, in figures? Each with its unit and which way is better."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtWidgets import QWidget

from qviz.core.problems import N_
from qviz.core.questions.analysis import Analysis
from qviz.gui.kit.figure_rows import FigureRows, Headline
from qviz.gui.kit.widgets import column
from qviz.session.language import tr


@dataclass(frozen=True)
class Metric:
    """One row: how it is called, read, and judged (``better``: ↑ higher, ↓ lower, or empty).

    ``judged`` figures are only about right when the analysis is an estimate.
    """

    label: str
    better: str
    read: Callable[[Analysis], str]
    tip: str
    judged: bool = True

    def text(self, analysis: Analysis) -> str:
        """The figure, marked where it is an estimate."""
        return (ABOUT if self.judged and not analysis.exact else "") + self.read(analysis)


ABOUT = "≈ "
"""Stands before a figure that is an estimate."""


def _figure(value: float, unit: str = "", digits: int = 5) -> str:
    if math.isinf(value):
        return "∞" + (f" {unit}" if unit else "")
    if math.isnan(value):
        return "–"
    return f"{value:.{digits}g}".replace("-", "−") + (f" {unit}" if unit else "")


def _codes(first: float, last: float) -> str:
    if isinstance(last, int):
        return f"{first:,}…{last:,}".replace("-", "−")
    return f"±{_figure(last, digits=6)}"


def _share(count: int, total: int) -> str:
    return f"{count:,} · {100 * count / total:.3g} %"


METRICS: tuple[Metric, ...] = (
    Metric(
        N_("Bits per element"),
        "↓",
        lambda a: f"{a.storage.bits_per_element:.5g}",
        N_("With scales and zero points counted."),
        judged=False,
    ),
    Metric(N_("MSE"), "↓", lambda a: _figure(a.mse), N_("Mean squared error, in the tensor's unit squared.")),
    Metric(N_("… of rounding"), "↓", lambda a: _figure(a.rounding_mse), N_("The part of the MSE that rounding makes.")),
    Metric(N_("… of clipping"), "↓", lambda a: _figure(a.clipping_mse), N_("The part of the MSE that clipping makes.")),
    Metric(N_("MAE"), "↓", lambda a: _figure(a.mae), N_("Mean absolute error, in the tensor's unit.")),
    Metric(N_("Max |error|"), "↓", lambda a: _figure(a.max_abs_error), N_("The largest error, in the tensor's unit.")),
    Metric(N_("Relative RMSE"), "↓", lambda a: _figure(100 * a.relative_rmse, "%"), N_("‖x − x̂‖ / ‖x‖.")),
    Metric(
        N_("Cosine"),
        "↑",
        lambda a: "–" if math.isnan(a.cosine) else f"{a.cosine:.8f}",
        N_("Cosine of the angle between x and x̂; 1 is perfect."),
    ),
    Metric(
        N_("Saturated"),
        "↓",
        lambda a: _share(a.saturated, a.tensor.finite),
        N_("Elements whose code was changed by clipping."),
    ),
    Metric(
        N_("Levels used"),
        "↑",
        lambda a: f"{a.levels_used:,} of {a.occupancy.size:,}",
        N_("Different codes that occur. Unused ones are wasted bits."),
    ),
    Metric(N_("Scale S"), "", lambda a: _spread(a, "scale"), N_("The width of one step, in the tensor's unit.")),
    Metric(N_("Zero point Z"), "", lambda a: _spread(a, "zero_point"), N_("The code that stands for 0.")),
    Metric(
        N_("Codes"),
        "",
        lambda a: _codes(a.qparams.quant_min, a.qparams.quant_max),
        N_("qmin … qmax: of floats and codebooks, the values that the codes stand for."),
        judged=False,
    ),
)
"""Every figure of the table, in its order."""


def _spread(analysis: Analysis, what: str) -> str:
    values = getattr(analysis.qparams, what).reshape(-1)
    low, high = float(values.min()), float(values.max())
    if low == high:
        return _figure(low, digits=6)
    return f"{_figure(low, digits=3)}…{_figure(high, digits=3)}"


class MetricsPanel(QWidget):
    """The headline and the table."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.analysis: Analysis | None = None
        layout = column(self, spacing=4)
        self._headline = Headline(
            "≈ 88.88 dB",
            self.tr("SQNR"),
            self.tr("higher is better"),
            self.tr("SQNR in dB"),
            self.tr("20·log₁₀(‖x‖ / ‖x − x̂‖) in dB. Each bit is worth about 6 dB."),
        )
        self._rows = FigureRows([(tr(m.label), m.better, tr(m.tip)) for m in METRICS])
        layout.addWidget(self._headline)
        layout.addWidget(self._rows)
        layout.addStretch(1)

    def present(self, analysis: Analysis) -> None:
        """Show a new answer."""
        self.analysis = analysis
        self._headline.figure.setText(self._sqnr(round(analysis.sqnr_db, 2)))
        self._headline.judgement.setText(self.tr("higher is better") if analysis.exact else self.tr("an estimate"))
        self._rows.show_texts([metric.text(analysis) for metric in METRICS])

    def _sqnr(self, sqnr_db: float) -> str:
        about = "" if self.analysis is None or self.analysis.exact else ABOUT
        return about + _figure(sqnr_db, "dB")

    def text(self) -> str:
        """The table as tab-separated lines."""
        if self.analysis is None:
            return ""
        rows = [("SQNR", self._sqnr(self.analysis.sqnr_db))]
        rows += [(tr(m.label), m.text(self.analysis)) for m in METRICS]
        return "\n".join("\t".join(row) for row in rows) + "\n"
