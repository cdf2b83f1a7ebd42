"""Which colour has each dot of a picture? All of them at once: asking Qt for one takes longer than painting it."""

from __future__ import annotations

import numpy as np
from PySide6.QtGui import QImage


def dots(image: QImage) -> np.ndarray[tuple[int, int], np.dtype[np.uint32]]:
    """What `QImage.pixel` says of each, a row of the picture in each row."""
    plain = image.convertToFormat(QImage.Format.Format_ARGB32)
    lines = np.frombuffer(plain.constBits(), np.uint32).reshape(plain.height(), plain.bytesPerLine() // 4)
    return lines[:, : plain.width()].copy()
