"""What do all pages of charts share? Docks with charts in them, which can be taken away."""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtCore import QPoint, Qt, Signal, Slot
from PySide6.QtWidgets import QMainWindow, QMenu

from qviz.gui.docks import Dock
from qviz.gui.plots.base import EXPORT_FORMATS, Chart


class ChartPage(QMainWindow):
    """A page whose charts have titles, read-outs, and menus to export and copy them."""

    export_requested = Signal(object, str)
    copy_requested = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setWindowFlags(Qt.WindowType.Widget)

    def dress_chart(self, chart: Chart, dock: Dock) -> None:
        """Title, read-out, export button and context menu of one chart."""
        dock.title.setToolTip(chart.description())
        dock.title.set_note(chart.note)
        chart.note_changed.connect(dock.title.set_note)
        chart.read_out.connect(dock.title.set_readout)
        button = dock.title.add_tool("export", self.tr("Export {name}").format(name=chart.title()))
        button.setProperty("chart", chart)
        button.clicked.connect(self._on_export_button)
        chart.canvas.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        chart.canvas.customContextMenuRequested.connect(self._on_context_menu)

    def chart_menu(self, chart: Chart) -> QMenu:
        """What can be done with one chart; made when it is asked for."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for ending in EXPORT_FORMATS:
            action = menu.addAction(self.tr("Export as {format}…").format(format=ending.upper()))
            action.triggered.connect(partial(self.export_requested.emit, chart, ending))
        menu.addAction(self.tr("Copy picture")).triggered.connect(partial(self.copy_requested.emit, chart))
        menu.addSeparator()
        menu.addAction(self.tr("Reset zoom (double click)")).triggered.connect(chart.reset_view)
        return menu

    @Slot()
    def _on_export_button(self) -> None:
        button: Any = self.sender()
        self.chart_menu(button.property("chart")).popup(button.mapToGlobal(QPoint(0, button.height())))

    @Slot(QPoint)
    def _on_context_menu(self, position: QPoint) -> None:
        canvas: Any = self.sender()
        self.chart_menu(canvas.parentWidget()).popup(canvas.mapToGlobal(position))
