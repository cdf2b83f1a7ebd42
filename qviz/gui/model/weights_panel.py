"""Which constants does the network have, and what does the scheme do to each?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from qviz.core.frozen import frozen
from qviz.core.sizes import byte_text
from qviz.gui.kit.figure_model import Column
from qviz.gui.kit.figure_table import FigureTable
from qviz.gui.kit.theme import Theme
from qviz.gui.kit.widgets import named_label
from qviz.gui.words.numbers import NONE, fixed, percent, whole
from qviz.session.language import tr
from qviz.session.weight_audit import Constant

WIDE_FILTER = 220
"""Pixels: names of weights are long."""


@frozen(eq=False)
class WeightRow:
    """A constant, and its SQNR; NaN where it is not quantized, or not known yet."""

    constant: Constant
    sqnr_db: float
    own: str


def columns() -> list[Column]:
    """What is said of each constant."""
    return [
        Column(tr("Name"), lambda row: row.constant.name, left=True, names=True),
        Column(tr("Shape"), lambda row: " × ".join(map(str, row.constant.shape)) or "()", left=True),
        Column(tr("Type"), lambda row: row.constant.dtype, left=True),
        Column(tr("Bytes"), lambda row: byte_text(row.constant.bytes), lambda row: row.constant.bytes),
        Column(
            tr("Share"),
            lambda row: percent(row.constant.share, 1.0),
            lambda row: row.constant.share,
            tr("Of the bytes of all constants."),
        ),
        Column(
            tr("Read by"),
            lambda row: f"{row.constant.weight.operator} {row.constant.weight.node}" if row.constant.weight else NONE,
            left=True,
            tip=tr("The first node that multiplies with it."),
        ),
        Column(
            tr("SQNR (dB)"),
            lambda row: NONE if math.isnan(row.sqnr_db) else fixed(row.sqnr_db, 2),
            lambda row: row.sqnr_db,
            tr("Of the weight itself under its scheme: says little about the network's output."),
        ),
        Column(tr("Own"), lambda row: row.own, left=True, tip=tr("Where it has a scheme of its own.")),
    ]


class WeightsPanel(QWidget):
    """A filter, a count, and the table.

    Signals
    -------
    opened(Constant)
        Double-clicked, to be seen on the Tensor page.
    """

    opened = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.about = named_label("", "caption")
        self.table = FigureTable(columns(), self.tr("Weights"), opening=self.tr("Show on the Tensor page"))
        self.filter = self.table.filter_box(WIDE_FILTER)
        tools = QHBoxLayout()
        tools.addWidget(self.filter)
        tools.addWidget(self.about, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addLayout(tools)
        layout.addWidget(self.table, 1)
        self.table.opened.connect(self._on_opened)

    def show_constants(self, constants: Sequence[Constant], found: Mapping[str, float], own: Mapping[str, str]) -> None:
        """All of them, the largest first."""
        self.table.set_rows([WeightRow(c, found.get(c.name, math.nan), own.get(c.name, "")) for c in constants])
        total = sum(constant.bytes for constant in constants)
        text = self.tr("{count} constants, {bytes}; double-click one to see it on the Tensor page")
        if len(constants) == 1:
            text = self.tr("1 constant, {bytes}; double-click it to see it on the Tensor page")
        text = text.format(count=whole(len(constants)), bytes=byte_text(total))
        self.about.setText(text if constants else "")

    def apply_theme(self, theme: Theme) -> None:
        self.table.apply_theme(theme)

    @Slot(object)
    def _on_opened(self, row: WeightRow) -> None:
        self.opened.emit(row.constant)
