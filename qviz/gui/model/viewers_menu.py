"""For which other viewers are the figures of the layers written?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QToolButton

from qviz.gui.model.layers_panel import Layer
from qviz.models.node_data import model_explorer_data, netron_attachment

NETRON, MODEL_EXPLORER = "netron", "model_explorer"


class ViewersMenu(QToolButton):
    """A button with the viewers there are.

    Signals
    -------
    requested(str)
        `NETRON` or `MODEL_EXPLORER`.
    """

    requested = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("text")
        self.setText(self.tr("Save for…"))
        self.setFixedHeight(24)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setToolTip(self.tr("Write the figures of the layers for a viewer of networks."))
        self.setAccessibleName(self.tr("Save the figures for another viewer"))
        menu = QMenu(self)
        menu.addAction(self.tr("Netron (an attachment)…")).setData(NETRON)
        menu.addAction(self.tr("Model Explorer (node data)…")).setData(MODEL_EXPLORER)
        menu.triggered.connect(self._on_triggered)
        self.setMenu(menu)

    @Slot(QAction)
    def _on_triggered(self, action: QAction) -> None:
        self.requested.emit(action.data())


def node_data(rows: Iterable[Layer], viewer: str) -> dict[str, Any]:
    """The figures of all nodes in a viewer's own format; what was not measured is left out by it."""
    figures = {
        node: {
            "alone_db": row.alone,
            "restored_db": row.restored,
            "isolated_db": row.isolated,
            "accumulated_db": row.accumulated,
        }
        for row in rows
        for node in row.unit.nodes
    }
    return netron_attachment(figures) if viewer == NETRON else model_explorer_data(figures)
