"""What does a widget look like, and which colour has each dot of a picture?"""

from __future__ import annotations

import numpy as np
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QWidget


def dots(image: QImage) -> np.ndarray[tuple[int, int], np.dtype[np.uint32]]:
    """What `QImage.pixel` says of each, a row of the picture in each row: to ask it takes longer than to paint."""
    plain = image.convertToFormat(QImage.Format.Format_ARGB32)
    lines = np.frombuffer(plain.constBits(), np.uint32).reshape(plain.height(), plain.bytesPerLine() // 4)
    return lines[:, : plain.width()].copy()


def picture(widget: QWidget) -> QImage:
    """What a widget looks like, whether its window is painted or not: of one that is not, memory would be seen."""
    window = widget.window()
    painted = window.updatesEnabled()
    window.setUpdatesEnabled(True)
    try:
        return widget.grab().toImage()
    finally:
        window.setUpdatesEnabled(painted)
