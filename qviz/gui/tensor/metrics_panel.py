"""How good is it, in figures? Each with its unit and which way is better."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QWidget

from qviz.core.frozen import frozen
from qviz.core.problems import N_
from qviz.core.questions.breakdown import caveats
from qviz.gui.kit.copying import copy_lines, ends
from qviz.gui.kit.figure_rows import FigureRows, Headline
from qviz.gui.kit.judgement import judgement
from qviz.gui.kit.widgets import column, named_label
from qviz.gui.words.estimates import about
from qviz.gui.words.numbers import cosine, counted, decibels, number, spread, whole
from qviz.session.language import told, tr

if TYPE_CHECKING:
    from qviz.core.questions.analysis import Analysis


@frozen
class Metric:
    """One row: how it is called, read, and judged (``better``: 1 higher, -1 lower, 0 neither).

    ``judged`` figures are only about right when the analysis is an estimate.
    """

    label: str
    better: int
    read: Callable[[Analysis], str]
    tip: str
    judged: bool = True

    def text(self, analysis: Analysis) -> str:
        """The figure, marked where it is an estimate."""
        return about(analysis.exact or not self.judged) + self.read(analysis)


def _codes(first: float, last: float) -> str:
    if isinstance(last, int):
        return f"{whole(int(first))}…{whole(last)}"
    return f"±{number(last, 6)}"


METRICS: tuple[Metric, ...] = (
    Metric(
        N_("Bits per element"),
        -1,
        lambda a: number(a.storage.bits_per_element, 5),
        N_("With scales and zero points counted."),
        judged=False,
    ),
    Metric(N_("MSE"), -1, lambda a: number(a.mse, 5), N_("Mean squared error, in the tensor's unit squared.")),
    Metric(
        N_("… of rounding"), -1, lambda a: number(a.rounding_mse, 5), N_("The part of the MSE that rounding makes.")
    ),
    Metric(
        N_("… of clipping"), -1, lambda a: number(a.clipping_mse, 5), N_("The part of the MSE that clipping makes.")
    ),
    Metric(N_("MAE"), -1, lambda a: number(a.mae, 5), N_("Mean absolute error, in the tensor's unit.")),
    Metric(N_("Max |error|"), -1, lambda a: number(a.max_abs_error, 5), N_("The largest error, in the tensor's unit.")),
    Metric(N_("Relative RMSE"), -1, lambda a: number(100 * a.relative_rmse, 5, "%"), N_("‖x − x̂‖ / ‖x‖.")),
    Metric(
        N_("Cosine"),
        1,
        lambda a: cosine(a.cosine),
        N_("Cosine of the angle between x and x̂; 1 is perfect."),
    ),
    Metric(
        N_("Saturated"),
        -1,
        lambda a: counted(a.saturated, a.tensor.finite),
        N_("Elements whose code was changed by clipping."),
    ),
    Metric(
        N_("Levels used"),
        1,
        lambda a: tr("{used} of {count}").format(used=whole(a.levels_used), count=whole(a.occupancy.size)),
        N_("Different codes that occur. Unused ones are wasted bits."),
    ),
    Metric(N_("Scale S"), 0, lambda a: spread(a.qparams.scale, 6), N_("The width of one step, in the tensor's unit.")),
    Metric(N_("Zero point Z"), 0, lambda a: spread(a.qparams.zero_point, 6), N_("The code that stands for 0.")),
    Metric(
        N_("Codes"),
        0,
        lambda a: _codes(a.qparams.quant_min, a.qparams.quant_max),
        N_("qmin … qmax: of floats and codebooks, the values that the codes stand for."),
        judged=False,
    ),
)
"""Every figure of the table, in its order."""


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
            [judgement(1), self.tr("an estimate")],
            self.tr("SQNR in dB"),
            self.tr("20·log₁₀(‖x‖ / ‖x − x̂‖) in dB. Each bit is worth about 6 dB."),
        )
        self._rows = FigureRows([(tr(m.label), m.better, tr(m.tip)) for m in METRICS])
        self.caveat = named_label("", "problem", wrap=True)
        self.caveat.hide()
        layout.addWidget(self._headline)
        layout.addWidget(self.caveat)
        layout.addWidget(self._rows)
        self._headline.copy_all_requested.connect(self.copy)
        self._rows.copy_all_requested.connect(self.copy)
        layout.addStretch(1)

    def present(self, analysis: Analysis) -> None:
        """Show a new answer."""
        self.analysis = analysis
        self._headline.show_figure(self._about() + decibels(analysis.sqnr_db), analysis.sqnr_db)
        self._headline.judge(judgement(1) if analysis.exact else self.tr("an estimate"))
        figures = _figures_of(analysis)
        self._rows.show_texts(
            [metric.text(analysis) for metric in METRICS],
            [[value for _, value in figures[tr(metric.label)]] for metric in METRICS],
        )
        said = "\n".join(told(phrase) for phrase in caveats(analysis))
        if said != self.caveat.text():
            self.caveat.setText(said)
        self.caveat.setVisible(bool(said))

    def _about(self) -> str:
        return about(self.analysis is None or self.analysis.exact)

    @Slot()
    def copy(self) -> None:
        """The table to the clipboard."""
        if self.analysis is not None:
            pretty = [line.split("\t") for line in self.text().splitlines()]
            head = (self.tr("Metric"), self.tr("Value"))
            plain = [figure for figures in _figures_of(self.analysis).values() for figure in figures]
            copy_lines([head, *plain], [head, *pretty])

    def text(self) -> str:
        """The table as tab-separated lines."""
        if self.analysis is None:
            return ""
        rows = [("SQNR", self._about() + number(self.analysis.sqnr_db, 5, "dB"))]
        rows += [(tr(m.label), m.text(self.analysis)) for m in METRICS]
        return "\n".join("\t".join(row) for row in rows) + "\n"


def _figures_of(a: Analysis) -> dict[str, list[tuple[str, Any]]]:
    """The figures of each metric as numbers, with the unit at the name; what is of a sample alone says so."""
    return {
        "": [
            (tr("Exact"), tr("yes") if a.exact else tr("no, an estimate from a sample")),
            (tr("SQNR (dB)"), a.sqnr_db),
        ],
        tr("Bits per element"): [(tr("Bits per element"), a.storage.bits_per_element)],
        tr("MSE"): [(tr("MSE"), a.mse)],
        tr("… of rounding"): [(tr("… of rounding"), a.rounding_mse)],
        tr("… of clipping"): [(tr("… of clipping"), a.clipping_mse)],
        tr("MAE"): [(tr("MAE"), a.mae)],
        tr("Max |error|"): [(tr("Max |error|"), a.max_abs_error)],
        tr("Relative RMSE"): [(tr("Relative RMSE"), a.relative_rmse)],
        tr("Cosine"): [(tr("Cosine"), a.cosine)],
        tr("Saturated"): [(tr("Saturated"), a.saturated), (tr("Elements"), a.tensor.finite)],
        tr("Levels used"): [(tr("Levels used"), a.levels_used), (tr("Levels"), a.occupancy.size)],
        tr("Scale S"): ends(tr("Scale S"), a.qparams.scale),
        tr("Zero point Z"): ends(tr("Zero point Z"), a.qparams.zero_point),
        tr("Codes"): [(tr("Codes, min"), a.qparams.quant_min), (tr("Codes, max"), a.qparams.quant_max)],
    }
