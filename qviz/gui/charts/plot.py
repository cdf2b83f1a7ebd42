"""What holds a chart's data, its axes and its title together?"""

from __future__ import annotations

from typing import Any

import pyqtgraph as pg
from PySide6.QtWidgets import QGraphicsGridLayout, QGraphicsItem, QSizePolicy

PLACES = {"top": (1, 1), "left": (2, 0), "right": (2, 2), "bottom": (3, 1)}
TITLE_HEIGHT = 30


class Plot(pg.GraphicsWidget):
    """As `pyqtgraph.PlotItem` lays it out, without its menu.

    That menu, shown or not, is 99 widgets for each chart: they take longer to make than all others of
    the window together, and every style sheet is matched against them.
    """

    def __init__(self, view: pg.ViewBox, axes: dict[str, pg.AxisItem]) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.items: list[pg.GraphicsObject] = []
        self.view = view
        self.axes = axes
        self._title = pg.LabelItem("", size="11pt", parent=self)
        self.grid = QGraphicsGridLayout()
        self.grid.setContentsMargins(1, 1, 1, 1)
        self.grid.setSpacing(0)
        self.setLayout(self.grid)
        self.grid.addItem(view, 2, 1)
        for empty in (self, view):  # a scene asks for the place of each item that may have something to paint
            empty.setFlag(QGraphicsItem.GraphicsItemFlag.ItemHasNoContents)
        for side, axis in axes.items():
            axis.linkToView(view)
            self.grid.addItem(axis, *PLACES[side])
            axis.setZValue(0.5)  # above images
            axis.setFlag(QGraphicsItem.GraphicsItemFlag.ItemNegativeZStacksBehindParent)
        self.grid.addItem(self._title, 0, 1)
        self.grid.setRowStretchFactor(2, 1)
        self.grid.setColumnStretchFactor(1, 1)
        self.set_title(None)

    def getAxis(self, side: str) -> Any:
        """The axis on the left, right, top or at the bottom."""
        return self.axes[side]

    def showAxis(self, side: str) -> None:
        self.axes[side].show()

    def hideAxis(self, side: str) -> None:
        self.axes[side].hide()

    def setLabel(self, side: str, text: str, **style: str) -> None:
        """What an axis shows, which it is shown for."""
        self.axes[side].setLabel(text=text, **style)
        self.showAxis(side)

    def addItem(self, item: pg.GraphicsObject, *, ignoreBounds: bool = False) -> None:  # noqa: N803 - as in pyqtgraph
        """Put something among the data."""
        self.items.append(item)
        self.view.addItem(item, ignoreBounds=ignoreBounds)

    def set_title(self, title: str | None, **style: str) -> None:
        """What stands above everything; nothing, and no room for it, without a title."""
        height = 0 if title is None else TITLE_HEIGHT
        self._title.setMaximumHeight(height)
        self.grid.setRowFixedHeight(0, height)
        self._title.setVisible(title is not None)
        self._title.setText(title or "", **style)  # hidden, it would still be as wide as its words


class Canvas(pg.GraphicsView):
    """The widget that a plot is drawn in."""

    def __init__(self, plot: Plot) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.enableMouse(False)
        self.setCacheMode(self.CacheModeFlag.CacheNone)
        self.setCentralItem(plot)
