"""What does a widget look like, and which colour has each dot of a picture?"""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QStyleOptionGraphicsItem, QWidget


def dots(image: QImage) -> np.ndarray[tuple[int, int], np.dtype[np.uint32]]:
    """What `QImage.pixel` says of each, a row of the picture in each row: to ask it takes longer than to paint."""
    plain = image.convertToFormat(QImage.Format.Format_ARGB32)
    lines = np.frombuffer(plain.constBits(), np.uint32).reshape(plain.height(), plain.bytesPerLine() // 4)
    return lines[:, : plain.width()].copy()


def painted_over_the_plot(axis: pg.AxisItem) -> int:
    """How many dots an axis on the left or at the bottom paints where the data are."""
    rect, margin = axis.rect(), 10
    image = QImage(*(round(side) + 2 * margin for side in (rect.width(), rect.height())), QImage.Format.Format_ARGB32)
    image.fill(0)
    painter = QPainter(image)
    painter.translate(margin - rect.left(), margin - rect.top())
    option = QStyleOptionGraphicsItem()
    option.exposedRect = rect.adjusted(-margin, -margin, margin, margin)
    axis.paint(painter, option)
    painter.end()
    found = dots(image)
    inside = found[margin:-margin, margin + round(rect.width()) :] if axis.orientation == "left" else found[:margin]
    return int(np.count_nonzero(inside))


def picture(widget: QWidget) -> QImage:
    """What a widget looks like, whether its window is painted or not: of one that is not, memory would be seen."""
    window = widget.window()
    painted = window.updatesEnabled()
    window.setUpdatesEnabled(True)
    try:
        return widget.grab().toImage()
    finally:
        window.setUpdatesEnabled(painted)
