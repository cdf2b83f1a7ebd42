"""How are files dropped anywhere on the window?"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, QMimeData, QObject, Qt, Signal
from PySide6.QtGui import QColor, QDragEnterEvent, QDragMoveEvent, QDropEvent, QFont, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from qviz.gui.kit.theme import Theme, scaled_font
from qviz.session.guard import guarded


@guarded
class DropOverlay(QWidget):
    """Lies over the window while files are dragged across it, and takes them."""

    files_dropped = Signal(object)

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self._theme: Theme | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAccessibleName(self.tr("Drop files here"))
        self.hide()
        window.setAcceptDrops(True)
        window.installEventFilter(self)

    def apply_theme(self, theme: Theme) -> None:
        self._theme = theme

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QDropEvent) and event.type() == QEvent.Type.Drop:
            paths = local_files(event.mimeData())
            self.hide()
            if paths:
                event.acceptProposedAction()
                self.files_dropped.emit(paths)
                return True
        elif isinstance(event, (QDragEnterEvent, QDragMoveEvent)):
            if local_files(event.mimeData()):
                event.acceptProposedAction()
                self._cover()
                return True
        elif event.type() in (QEvent.Type.DragLeave, QEvent.Type.Resize):
            self.hide()
        return super().eventFilter(watched, event)

    def _cover(self) -> None:
        if self.isHidden():
            self.setGeometry(self._window.rect())
            self.raise_()
            self.show()

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._theme is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        veil = QColor(self._theme.ui["window"])
        veil.setAlpha(205)
        painter.fillRect(self.rect(), veil)
        accent = QColor(self._theme.ui["accent"])
        frame = self.rect().adjusted(24, 24, -24, -24)
        painter.setPen(QPen(accent, 2, Qt.PenStyle.DashLine))
        painter.drawRoundedRect(frame, 14, 14)
        painter.setPen(QColor(self._theme.ui["text"]))
        painter.setFont(scaled_font(self.font(), 26, weight=QFont.Weight.DemiBold))
        painter.drawText(frame, Qt.AlignmentFlag.AlignCenter, self.tr("Drop here"))
        painter.setPen(QColor(self._theme.ui["muted"]))
        painter.setFont(scaled_font(self.font(), 14))
        painter.drawText(
            frame.adjusted(0, 76, 0, 0),
            Qt.AlignmentFlag.AlignCenter,
            self.tr(".safetensors, .gguf, .npy, .npz, .csv, .txt, or a folder of them; .onnx"),
        )


def local_files(mime: QMimeData) -> list[Path]:
    """The files among what is dragged."""
    return [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]
