"""What frames a chart or a panel, so that it can be moved, floated, closed and found again?"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt, Slot
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QDockWidget, QHBoxLayout, QScrollArea, QToolButton, QWidget

from qviz.gui.kit.theme import Theme, icon
from qviz.gui.kit.widgets import Line, named_label
from qviz.session.guard import guarded

SCROLL_BAR = 14
"""Pixels that a scroll bar takes from a panel."""


@guarded
class DockTitle(QWidget):
    """Name, a word on what is shown, the read-out under the pointer, and the buttons."""

    def __init__(self, dock: QWidget) -> None:
        super().__init__(dock)
        self.setObjectName("dockTitle")
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)  # or the window is painted beneath it
        self.name = named_label(dock.windowTitle(), "dockName")
        self.note = Line("caption")
        self.readout = Line("readout", Qt.AlignmentFlag.AlignRight)
        self.readout.hide()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 4, 4, 4)
        layout.setSpacing(6)
        layout.addWidget(self.name)
        layout.addWidget(self.note, 1)
        layout.addWidget(self.readout, 1)
        self._layout = layout
        self.close_button = self.add_button(self.tr("Close {name}").format(name=dock.windowTitle()))
        self.close_button.clicked.connect(dock.close)
        self._theme: Theme | None = None
        self._icons: list[tuple[QToolButton, str]] = [(self.close_button, "close")]

    def add_button(self, tip: str) -> QToolButton:
        """A button before the close button."""
        button = QToolButton()
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        button.setFixedSize(24, 22)
        at = self._layout.count() - (1 if hasattr(self, "close_button") else 0)
        self._layout.insertWidget(at, button)
        return button

    def add_tool(self, icon_name: str, tip: str) -> QToolButton:
        """A button with an icon."""
        button = self.add_button(tip)
        self._icons.append((button, icon_name))
        return button

    def change_tool(self, button: QToolButton, icon_name: str, tip: str) -> None:
        """Another icon and another meaning for a button."""
        self._icons = [(b, icon_name if b is button else name) for b, name in self._icons]
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        if self._theme is not None:
            self.apply_theme(self._theme)

    def add_widget(self, widget: QWidget) -> None:
        """Something of the panel's own, before the buttons."""
        self._layout.insertWidget(self._layout.count() - 1, widget)

    @Slot(str)
    def set_note(self, text: str) -> None:
        """What part is shown; it gives way to the read-out."""
        self.note.setText(text)
        self.note.setToolTip(text)

    @Slot(str)
    def set_readout(self, text: str) -> None:
        """What is under the pointer."""
        self.readout.setText(text)
        self.note.setVisible(not text)
        self.readout.setVisible(bool(text))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(event.rect(), self.palette().window())
        painter.fillRect(0, self.height() - 1, self.width(), 1, self.palette().mid())

    def apply_theme(self, theme: Theme) -> None:
        self._theme = theme
        for button, name in self._icons:
            button.setIcon(icon(name, theme.ui["muted"]))


@guarded
class Dock(QDockWidget):
    """A dock with our title bar, whose content scrolls when it has to."""

    def __init__(self, key: str, title: str, content: QWidget, *, scrolls: bool = False) -> None:
        super().__init__(title)
        self.setObjectName(key)
        self.content = content
        if content.objectName() == "panel":
            # Each figure that changes would have everything painted beneath it, down to the window.
            content.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
            content.installEventFilter(self)
        if scrolls:
            area = QScrollArea()
            area.setObjectName("panelScroll")
            area.setWidgetResizable(True)
            area.setFrameShape(QScrollArea.Shape.NoFrame)
            area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
            area.setWidget(content)
            # Narrower, and figures would be cut off: a cut exponent is a wrong number.
            area.setMinimumWidth(content.minimumSizeHint().width() + SCROLL_BAR)
            self.setWidget(area)
        else:
            self.setWidget(content)
        self.title = DockTitle(self)
        self.setTitleBarWidget(self.title)
        self.setFeatures(
            QDockWidget.DockWidgetFeature.DockWidgetClosable
            | QDockWidget.DockWidgetFeature.DockWidgetMovable
            | QDockWidget.DockWidgetFeature.DockWidgetFloatable
        )

    def rename(self, title: str) -> None:
        """Another name, in its title and on its tab."""
        self.setWindowTitle(title)
        self.title.name.setText(title)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QPaintEvent) and watched is self.content:
            QPainter(self.content).fillRect(event.rect(), self.content.palette().window())
        return super().eventFilter(watched, event)

    def apply_theme(self, theme: Theme) -> None:
        """The title's icons and, where it has colours of its own, the content."""
        self.title.apply_theme(theme)
        apply: Any = getattr(self.content, "apply_theme", None)
        if apply is not None:
            apply(theme)
