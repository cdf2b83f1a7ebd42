"""What frames a chart or a table that stays in its place?"""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtCore import QObject, QPoint, Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QMenu, QVBoxLayout, QWidget

from qviz.files.writers import EXPORT_FORMATS
from qviz.gui.charts.base import Chart
from qviz.gui.kit.docks import DockTitle
from qviz.gui.kit.figure_table import FigureTable
from qviz.gui.kit.theme import Theme
from qviz.session.language import tr


class Card(QFrame):
    """A title with a note, a read-out and buttons; the content below it."""

    def __init__(self, title: str, content: QWidget) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.setWindowTitle(title)
        self.content = content
        self.title = DockTitle(self)
        self.title.close_button.hide()
        self.title.setContentsMargins(0, 0, 4, 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.title)
        layout.addWidget(content, 1)

    def apply_theme(self, theme: Theme) -> None:
        """The title's icons and the content."""
        self.title.apply_theme(theme)
        apply: Any = getattr(self.content, "apply_theme", None)
        if apply is not None:
            apply(theme)


def table_card(title: str, table: FigureTable) -> Card:
    """A table under its title, to be filtered and copied."""
    card = Card(title, table)
    if table.isSortingEnabled():
        card.title.add_widget(table.filter_box())
    copy = card.title.add_tool("copy", tr("Copy the table as text"))
    copy.clicked.connect(table.copy)
    return card


class ChartMenus(QObject):
    """Dresses charts: title, read-out, export button and context menu of each.

    Signals
    -------
    export_requested(Chart, str), copy_requested(Chart)
    """

    export_requested = Signal(object, str)
    copy_requested = Signal(object)

    def dress(self, chart: Chart, title: DockTitle) -> None:
        """Join a chart to the title above it."""
        title.setToolTip(chart.description())
        title.set_note(chart.note)
        chart.note_changed.connect(title.set_note)
        chart.read_out.connect(title.set_readout)
        button = title.add_tool("export", self.tr("Export {name}").format(name=chart.title()))
        button.setProperty("chart", chart)
        button.clicked.connect(self._on_export_button)
        chart.canvas.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        chart.canvas.customContextMenuRequested.connect(self._on_context_menu)

    def menu(self, chart: Chart) -> QMenu:
        """What can be done with one chart; made when it is asked for."""
        menu = QMenu(chart)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for ending in EXPORT_FORMATS:
            action = menu.addAction(self.tr("Export as {format}…").format(format=ending.upper()))
            action.triggered.connect(partial(self.export_requested.emit, chart, ending))
        menu.addAction(self.tr("Copy picture")).triggered.connect(partial(self.copy_requested.emit, chart))
        menu.addSeparator()
        menu.addAction(self.tr("Reset zoom (double click)")).triggered.connect(chart.reset_view)
        if chart.has_outliers:
            text = self.tr("Without the outliers") if chart.whole else self.tr("With the outliers")
            menu.addAction(text).triggered.connect(partial(_show_whole, chart, not chart.whole))
        return menu

    @Slot()
    def _on_export_button(self) -> None:
        button: Any = self.sender()
        self.menu(button.property("chart")).popup(button.mapToGlobal(QPoint(0, button.height())))

    @Slot(QPoint)
    def _on_context_menu(self, position: QPoint) -> None:
        canvas: Any = self.sender()
        self.menu(canvas.parentWidget()).popup(canvas.mapToGlobal(position))


def chart_card(chart: Chart, menus: ChartMenus) -> Card:
    """A chart under its title, with what `menus` offer."""
    card = Card(chart.title(), chart)
    menus.dress(chart, card.title)
    return card


def _show_whole(chart: Chart, whole: bool, *_: object) -> None:
    chart.show_whole(whole)
