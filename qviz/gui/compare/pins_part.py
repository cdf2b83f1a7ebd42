"""How do a few pinned schemes compare? Their errors laid over each other, and their figures side by side."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QSplitter, QStackedWidget

from qviz.core.problems import Problem
from qviz.core.questions.analysis import Analysis
from qviz.core.schemes.scheme import Scheme
from qviz.gui.charts.base import LinkedCursor
from qviz.gui.charts.cards import ChartMenus, chart_card, table_card
from qviz.gui.compare.overlay_chart import ErrorOverlay, Overlaid, RareErrors
from qviz.gui.compare.pins_panel import OPEN, PinRow, PinsTable, pin_rows
from qviz.gui.kit.widgets import add_stretched, named_label
from qviz.gui.words.figures import known
from qviz.session.pins import MOST_PINS, Pins
from qviz.session.state import Session

TABLE_HEIGHT = 214
"""Room for every pin."""


class PinsPart(QStackedWidget):
    """Composes two charts and a table of the pins, or says how to pin.

    Signals
    -------
    scheme_requested(Scheme), pin_requested(Scheme)
    """

    scheme_requested = Signal(object)
    pin_requested = Signal(object)

    def __init__(self, session: Session, pins: Pins, menus: ChartMenus, link: LinkedCursor) -> None:
        super().__init__()
        self._session, self._pins = session, pins
        self._found: dict[Scheme, Analysis | Problem] = {}
        self.errors, self.rare = ErrorOverlay(link), RareErrors(link)
        self.table = PinsTable()
        self.errors_card, self.rare_card = chart_card(self.errors, menus), chart_card(self.rare, menus)
        self.table_card = table_card(self.tr("Pinned schemes"), self.table)
        self.pin_button = self.table_card.title.add_tool("pin", self.tr("Pin the scheme of the Tensor page (P)"))
        self.clear_button = self.table_card.title.add_tool("close", self.tr("Remove every pin"))
        self.nothing = named_label(
            self.tr(
                "Nothing is pinned yet.\n\nChoose a scheme on the Tensor page and press P, "
                "or click ＋ beside a result of the sweep; up to {count} can be laid over each other."
            ).format(count=MOST_PINS),
            "hint",
            wrap=True,
        )
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        charts, content = QSplitter(Qt.Orientation.Horizontal), QSplitter(Qt.Orientation.Vertical)
        add_stretched(charts, (self.errors_card, 1), (self.rare_card, 1))
        add_stretched(content, (charts, 1), (self.table_card, 0))
        content.setSizes([1000, TABLE_HEIGHT])
        self.addWidget(content)
        self.addWidget(self.nothing)
        self.table.opened.connect(self._on_pin)
        self.table.acted.connect(self._on_pin_acted)
        self.table.edited.connect(self._on_pin_renamed)
        self.table.removed.connect(self._on_pin_removed)
        self.table.pointed.connect(self._on_pin_pointed)
        self.pin_button.clicked.connect(self._on_pin_button)
        self.clear_button.clicked.connect(pins.clear)
        pins.changed.connect(self._show_pins)
        self._show_pins()

    @Slot(object, object)
    def judge(self, scheme: Scheme, found: Analysis | Problem) -> None:
        """What one pinned scheme does to the tensor is known."""
        self._found[scheme] = found
        self._show_pins()

    @Slot()
    def forget(self) -> None:
        """What is known is of another tensor, or of other pins."""
        tensor = self._session.state.tensor
        self._found = {s: a for s, a in self._found.items() if isinstance(a, Analysis) and a.tensor is tensor}
        self._show_pins()

    @Slot()
    def _show_pins(self) -> None:
        rows = pin_rows(self._pins.pins, self._found)
        self.setCurrentIndex(0 if rows else 1)
        self.table.show_pins(rows)
        analyses = [(row, known(row.found)) for row in rows]
        shown = [Overlaid(r.name, r.role, r.dashed, a) for r, a in analyses if isinstance(a, Analysis)]
        self.errors.overlay(shown)
        self.rare.overlay(shown)
        count = self.tr("{count} of {most}").format(count=len(rows), most=MOST_PINS)
        self.table_card.title.set_note(count if rows else "")

    @Slot()
    def _on_pin_button(self) -> None:
        self.pin_requested.emit(self._session.scheme)

    @Slot(object)
    def _on_pin(self, row: PinRow) -> None:
        self.scheme_requested.emit(row.pin.scheme)

    @Slot(object, str)
    def _on_pin_acted(self, row: PinRow, action: str) -> None:
        if action == OPEN:
            self.scheme_requested.emit(row.pin.scheme)
        else:
            self._pins.remove(row.pin)

    @Slot(object, str)
    def _on_pin_renamed(self, row: PinRow, name: str) -> None:
        if name != row.name:
            self._pins.rename(row.pin, name)

    @Slot(object)
    def _on_pin_removed(self, row: PinRow) -> None:
        self._pins.remove(row.pin)

    @Slot(object)
    def _on_pin_pointed(self, row: PinRow | None) -> None:
        for chart in (self.errors, self.rare):
            chart.point_to(row.name if row is not None else None)
