"""Small widgets that several panels are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from PySide6.QtCore import QObject, QSignalBlocker, QSize, Qt, Signal, Slot
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSplitter,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from qviz.core.units import broken, unbroken
from qviz.gui.kit.theme import SPACE
from qviz.session.guard import guarded

GROUNDS = ("panel", "panelBody", "dockTitle")
"""Names of what the style sheet gives a ground of its own."""

MANY_SEGMENTS = 4
"""More choices than these have smaller letters."""


class Segments(QWidget):
    """A choice of a few words that are all in sight."""

    chosen = Signal(object)

    def __init__(self, choices: Sequence[tuple[Any, str, str]], name: str) -> None:
        """``choices``: the data, the word, and the tooltip that teaches."""
        super().__init__()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        self._group = QButtonGroup(self)
        self._data = [data for data, _, _ in choices]
        for i, (_, word, tip) in enumerate(choices):
            button = QToolButton()
            button.setObjectName("segment")
            button.setProperty("many", len(choices) > MANY_SEGMENTS)
            button.setProperty("place", "first" if i == 0 else "last" if i == len(choices) - 1 else "middle")
            button.setText(word)
            button.setToolTip(tip)
            button.setCheckable(True)
            button.setAccessibleName(f"{name}: {word}")
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            self._group.addButton(button, i)
            layout.addWidget(button)
        self.setAccessibleName(name)
        self._group.idClicked.connect(self._on_clicked)

    def choose(self, data: Any) -> None:
        """Show a choice, without telling anybody."""
        self._group.button(self._data.index(data)).setChecked(True)

    def button(self, data: Any) -> QToolButton:
        """The button of one choice."""
        button = self._group.button(self._data.index(data))
        assert isinstance(button, QToolButton)
        return button

    @Slot(int)
    def _on_clicked(self, index: int) -> None:
        self.chosen.emit(self._data[index])


@guarded
class Line(QLabel):
    """One line of text that is cut with an ellipsis, and whose changes cost no new layout.

    A QLabel tells its layout about every new text; with a few dozen figures in a window that is
    half of a frame's time.
    """

    def __init__(
        self,
        name: str,
        alignment: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignLeft,
        cut: Qt.TextElideMode = Qt.TextElideMode.ElideRight,
    ) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setTextFormat(Qt.TextFormat.PlainText)  # it may be a file's name
        self.setAlignment(alignment | Qt.AlignmentFlag.AlignVCenter)
        self._cut = cut
        self._right = alignment == Qt.AlignmentFlag.AlignRight
        self._ground: QWidget | None = None
        self._grounded = False
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._line = ""

    def stand_on_its_own(self) -> None:
        """Paint its ground too: with each figure that changes, all that is beneath would be painted anew."""
        self._grounded = True
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)

    def _ground_beneath(self) -> QWidget:
        """What the style sheet gives a colour that reaches through to here."""
        place: QWidget | None = self.parentWidget()
        while place is not None and place.objectName() not in GROUNDS:
            place = place.parentWidget()
        return place or self.window()

    def reserve(self, longest: str) -> None:
        """Always as wide as ``longest``."""
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setFixedWidth(self.fontMetrics().horizontalAdvance(longest) + 4)

    def setText(self, text: str) -> None:
        if text != self._line:
            self._line = text
            self.setAccessibleDescription(text)
            self.update()

    def text(self) -> str:
        return self._line

    def sizeHint(self) -> QSize:
        return QSize(self.fontMetrics().horizontalAdvance(self._line) + 2, self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:
        return QSize(0, self.fontMetrics().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, palette = QPainter(self), self.palette()
        if self._grounded:
            self._ground = self._ground or self._ground_beneath()
            painter.fillRect(event.rect(), self._ground.palette().window())
        painter.setPen(palette.color(self.foregroundRole()))
        metrics, text = self.fontMetrics(), self._line
        wide = metrics.horizontalAdvance(text)
        if wide > self.width():
            text = metrics.elidedText(text, self._cut, self.width())
            wide = metrics.horizontalAdvance(text)
        x = self.width() - wide if self._right else 0
        painter.drawText(x, (self.height() - metrics.height()) // 2 + metrics.ascent(), text)


def form(*rows: tuple[str, QWidget]) -> QFormLayout:
    """Labels and controls, one under the other."""
    layout = QFormLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setHorizontalSpacing(SPACE)
    layout.setVerticalSpacing(SPACE)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    for text, widget in rows:
        label = named_label(text, "caption")
        label.setBuddy(widget)
        layout.addRow(label, widget)
    return layout


def column(parent: QWidget, *, margin: int = 12, spacing: int = SPACE) -> QVBoxLayout:
    """A panel's one column."""
    layout = QVBoxLayout(parent)
    layout.setContentsMargins(margin, SPACE, margin, margin)
    layout.setSpacing(spacing)
    return layout


def named_label(text: str, name: str, *, wrap: bool = False) -> QLabel:
    """A label that the style sheet knows by ``name``."""
    label = WrappedLabel() if wrap else QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)  # the name of a tensor may look like markup
    label.setText(text)
    label.setObjectName(name)
    return label


class WrappedLabel(QLabel):
    """Text on as many lines as it needs, none of which parts a number from its unit."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)

    def setText(self, text: str) -> None:
        """Show it, with no-break spaces that `text` knows nothing of."""
        super().setText(unbroken(text))

    def text(self) -> str:
        """What was to be shown."""
        return broken(super().text())


def menu_text(text: str) -> str:
    """The text of an action that shows a name as it is: Qt takes an ampersand for the mark of a key."""
    return text.replace("&", "&&")


@contextmanager
def quiet(widgets: Iterable[QObject]) -> Iterator[None]:
    """Widgets that are being refreshed tell nobody."""
    blockers = [QSignalBlocker(widget) for widget in widgets]
    try:
        yield
    finally:
        for blocker in blockers:
            blocker.unblock()


def plain_tip(text: str) -> str:
    """A tooltip that reads as it is written: Qt would take a name with ``<`` for markup."""
    return f"<p style='white-space:pre-wrap'>{escaped(text)}</p>" if "<" in text else text


def escaped(text: str) -> str:
    """What shows ``text`` as it is where Qt reads markup."""
    from html import escape  # the table of all entities takes its time, and the first window needs none

    return escape(text)


def add_stretched(splitter: QSplitter, *parts: tuple[QWidget, int]) -> None:
    """Widgets side by side or one above the other, each with its share of the room."""
    splitter.setChildrenCollapsible(False)
    splitter.setHandleWidth(6)
    for at, (widget, stretch) in enumerate(parts):
        splitter.addWidget(widget)
        splitter.setStretchFactor(at, stretch)
    splitter.setSizes([max(1, stretch) * 300 for _, stretch in parts])
