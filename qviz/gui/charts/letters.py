"""How wide and high are the words on a chart? Each is measured once: while something is dragged most are the same."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont, QFontMetricsF

from qviz.gui.kit.theme import scaled_font

MOST_KEPT = 500
"""Widths that are remembered; then all of them are forgotten."""


class Letters:
    """A font, and what is measured in it, in pixels.

    Parameters
    ----------
    of : QFont
        That of the chart.
    pixels : int
        The size, where it is another one.
    """

    def __init__(self, of: QFont, pixels: int = 0) -> None:
        self.of = QFont(of)
        self.font = scaled_font(of, pixels) if pixels else self.of
        self._metrics = QFontMetricsF(self.font)
        self._widths: dict[str, float] = {}
        self.height = self._metrics.height()
        self.above_middle = (self._metrics.ascent() - self._metrics.descent()) / 2
        """From the middle of a line down to where its letters stand."""

    def width(self, text: str) -> float:
        """How wide a text is."""
        width = self._widths.get(text)
        if width is None:
            if len(self._widths) >= MOST_KEPT:
                self._widths.clear()
            width = self._widths[text] = self._metrics.horizontalAdvance(text)
        return width

    def shortened(self, text: str, room: float) -> str:
        """A text with so much left out of its middle that it has room: how many, and how far, stand at its ends."""
        return text if self.width(text) <= room else self._metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, room)
