"""How is a chart moved and zoomed? By dragging and by the wheel; what stands at its edges can be clicked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pyqtgraph as pg
from PySide6.QtCore import QRectF, Qt, Signal

from qviz.session.guard import guarded


@guarded
class ChartView(pg.ViewBox):
    """Pan by dragging, zoom by the wheel, back by a double click."""

    reset_requested = Signal()
    chip_clicked = Signal(str)

    def __init__(self, wheel_axis: int | None = None) -> None:
        super().__init__(enableMenu=False)
        self.chips: dict[str, QRectF] = {}
        """What can be clicked at the edges, and where it was painted, in pixels."""
        self._wheel_axis = wheel_axis

    def updateViewRange(self, forceX: bool = False, forceY: bool = False) -> None:  # noqa: N803 - Qt's names
        super().updateViewRange(forceX, forceY)
        # Not left until it is painted: what moves while it is painted has to be painted twice.
        self.updateMatrix()

    def setRange(
        self,
        rect: QRectF | None = None,
        xRange: Sequence[float] | None = None,  # noqa: N803
        yRange: Sequence[float] | None = None,  # noqa: N803
        **how: Any,
    ) -> None:
        """Show this; an axis stays as it is where an end is infinite or no number, as where a scale overflows."""
        wanted = [ends if ends is not None and all(map(math.isfinite, ends)) else None for ends in (xRange, yRange)]
        if rect is not None or wanted != [None, None]:
            super().setRange(rect, xRange=wanted[0], yRange=wanted[1], **how)

    def paint(self, *_: Any) -> None:
        """There is no frame."""

    def move_to(self, x: tuple[float, float] | None = None, y: tuple[float, float] | None = None) -> None:
        """Show exactly this, and do nothing when it is shown already."""
        now = self.state["viewRange"]
        wanted = [None if new is None or list(new) == old else new for new, old in zip((x, y), now, strict=True)]
        if wanted != [None, None]:
            self.setRange(xRange=wanted[0], yRange=wanted[1], padding=0)

    def wheelEvent(self, ev: Any, axis: int | None = None) -> None:
        if axis is None and not ev.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            axis = self._wheel_axis
        super().wheelEvent(ev, axis)

    def mouseDragEvent(self, ev: Any, axis: int | None = None) -> None:
        if axis is None and not ev.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            axis = self._wheel_axis
        super().mouseDragEvent(ev, axis)

    def mouseClickEvent(self, ev: Any) -> None:
        chip = next((name for name, place in self.chips.items() if place.contains(ev.pos())), None)
        if chip is not None and ev.button() == Qt.MouseButton.LeftButton:
            ev.accept()
            self.chip_clicked.emit(chip)
        elif ev.double() and ev.button() == Qt.MouseButton.LeftButton:
            ev.accept()
            self.reset_requested.emit()
        else:
            super().mouseClickEvent(ev)
