"""How good is the integer product, in figures, and which tokens fare worst?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from qviz.core.arithmetic.qparams import QParams
from qviz.core.problems import N_
from qviz.core.questions.product import Product
from qviz.gui.charts.base import number, time_text
from qviz.gui.kit.figure_rows import FigureRows, Headline
from qviz.gui.kit.widgets import column, named_label
from qviz.session.language import tr

WORST = 24
"""Rows of the table."""


@dataclass(frozen=True)
class Figure:
    """One row: how it is called, read, and judged (``better``: ↑ higher, ↓ lower, or empty)."""

    label: str
    better: str
    read: Callable[[Product], str]
    tip: str


def _scales(q: QParams) -> str:
    low, high = float(q.scale.min()), float(q.scale.max())
    return number(low, 5) if low == high else f"{number(low, 3)}…{number(high, 3)}"


def _largest_sum(p: Product) -> str:
    text = f"{p.largest_sum:,}"
    return text if p.fits_int32 else text + tr(" > int32")


FIGURES: tuple[Figure, ...] = (
    Figure(
        N_("Weight alone"),
        "↑",
        lambda p: f"{number(p.losses['weight'].sqnr_db)} dB",
        N_("SQNR of the output when only the weight is quantized."),
    ),
    Figure(
        N_("Activation alone"),
        "↑",
        lambda p: f"{number(p.losses['activation'].sqnr_db)} dB",
        N_("SQNR of the output when only the activation is quantized."),
    ),
    Figure(N_("MSE"), "↓", lambda p: number(p.loss.mse, 5), N_("Mean squared error, in the output's unit squared.")),
    Figure(N_("Max |error|"), "↓", lambda p: number(p.loss.max_abs_error, 5), N_("The largest error of an output.")),
    Figure(
        N_("Cosine"),
        "↑",
        lambda p: "–" if math.isnan(p.loss.cosine) else f"{p.loss.cosine:.8f}",
        N_("Cosine of the angle between both outputs; 1 is perfect."),
    ),
    Figure(
        N_("Worst token"),
        "↑",
        lambda p: f"{number(float(p.rows.sqnr_db.min()))} dB",
        N_("SQNR of the row of the output that fares worst."),
    ),
    Figure(
        N_("Worst output"),
        "↑",
        lambda p: f"{number(float(p.columns.sqnr_db.min()))} dB",
        N_("SQNR of the column of the output that fares worst."),
    ),
    Figure(N_("Scale of x"), "", lambda p: _scales(p.activation_qparams), N_("The step of the activation.")),
    Figure(N_("Scale of W"), "", lambda p: _scales(p.weight_qparams), N_("The step of the weight.")),
    Figure(
        N_("Largest sum"),
        "",
        _largest_sum,
        N_("The largest |Σ (Qx − Zx)·(Qw − Zw)|. Runtimes add up in 32 bits; beyond 2,147,483,647 they overflow."),
    ),
    Figure(
        N_("Multiplied"),
        "",
        lambda p: f"{p.shape[0]:,} × {p.activation.shape[1]:,} × {p.shape[1]:,}",
        N_("Tokens × features × outputs."),
    ),
    Figure(N_("Computed in"), "", lambda p: time_text(p.seconds), N_("This comparison, on this computer.")),
)
"""Every figure, in its order."""


class ProductFigures(QWidget):
    """The headline, the figures, and the tokens that fare worst."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.product: Product | None = None
        layout = column(self, spacing=4)
        self._headline = Headline(
            "88.88 dB",
            self.tr("SQNR of the output"),
            self.tr("higher is better"),
            self.tr("SQNR of the output in dB"),
            self.tr("20·log₁₀(‖y‖ / ‖y − ŷ‖) in dB, y being the float output."),
        )
        self._rows = FigureRows([(tr(f.label), f.better, tr(f.tip)) for f in FIGURES])
        layout.addWidget(self._headline)
        layout.addWidget(self._rows)
        layout.addSpacing(8)
        layout.addWidget(named_label(self.tr("Worst tokens"), "section"))
        self.table = QTableWidget(0, 4)
        self.table.setHorizontalHeaderLabels([self.tr("Token"), self.tr("SQNR"), self.tr("Max |e|"), self.tr("Scale")])
        self.table.setAccessibleName(self.tr("Worst tokens"))
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(22)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setShowGrid(False)
        self.table.setMinimumHeight(120)
        layout.addWidget(self.table, 1)

    def present(self, product: Product) -> None:
        """Show a new answer."""
        self.product = product
        self._headline.figure.setText(f"{number(round(product.loss.sqnr_db, 2))} dB")
        self._rows.show_texts([figure.read(product) for figure in FIGURES])
        rows = product.rows
        worst = rows.worst_first[:WORST]
        scale = product.row_scales
        self.table.setRowCount(worst.size)
        for line, row in enumerate(worst.tolist()):
            values = (rows.sqnr_db[row], rows.max_abs_error[row], scale[row])
            for at, text in enumerate((f"{row:,}", *(number(float(value)) for value in values))):
                item = QTableWidgetItem(text)
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(line, at, item)

    def text(self) -> str:
        """The figures as tab-separated lines."""
        if self.product is None:
            return ""
        rows = [("SQNR", f"{number(self.product.loss.sqnr_db, 6)} dB")]
        rows += [(tr(f.label), f.read(self.product)) for f in FIGURES]
        return "\n".join("\t".join(row) for row in rows) + "\n"
