"""Which fields does qviz have? The wheel turns one only when it has the focus: else the page scrolls."""

from __future__ import annotations

import unicodedata
from typing import Any, TypeVar

from PySide6.QtCore import QEvent, QLocale, Qt, Signal
from PySide6.QtGui import QHelpEvent, QKeyEvent, QPaintEvent, QPalette, QValidator, QWheelEvent
from PySide6.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QLineEdit,
    QSlider,
    QSpinBox,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QTabBar,
    QToolButton,
    QToolTip,
    QWidget,
)

from qviz.session.guard import guarded
from qviz.session.language import tr

Field = TypeVar("Field", bound=type)


def ascii_digits(text: str) -> str:
    """What was typed on an Arabic or a Hindi keyboard, say, in the digits of all others."""
    return text if text.isascii() else "".join(str(unicodedata.decimal(sign, sign)) for sign in text)


def turned_in_focus(kind: Field) -> Field:
    """The wheel turns it only when it has the focus."""

    qt: Any = kind

    def wheel_event(field: Any, event: QWheelEvent) -> None:
        if field.hasFocus():
            super(qt, field).wheelEvent(event)
        else:
            event.ignore()

    kind.wheelEvent = wheel_event  # type: ignore[attr-defined]
    return kind


@guarded
@turned_in_focus
class ComboBox(QComboBox):
    """A list to choose from."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # Qt's own takes the focus by the wheel

    def stay_narrow(self, letters: int = 10) -> None:
        """Where there is no room, as wide as so many letters: its longest choice would widen all that is beside it."""
        self.setMinimumContentsLength(letters)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)

    def showPopup(self) -> None:
        view = self.view()
        around = self.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent) + 2 * view.frameWidth()
        view.setMinimumWidth(view.sizeHintForColumn(0) + around)  # the choices are told from each other
        super().showPopup()

    def _option(self) -> QStyleOptionComboBox:
        """How it is painted: a choice that is longer than its room ends with an ellipsis."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        kind, part = QStyle.ComplexControl.CC_ComboBox, QStyle.SubControl.SC_ComboBoxEditField
        room = self.style().subControlRect(kind, option, part, self).width()
        option.currentText = self.fontMetrics().elidedText(option.currentText, Qt.TextElideMode.ElideRight, room)
        return option

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, option = QStylePainter(self), self._option()
        painter.setPen(self.palette().color(QPalette.ColorRole.Text))
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            whole = self.currentText()
            if self._option().currentText != whole:
                QToolTip.showText(event.globalPos(), "\n\n".join(filter(None, (whole, self.toolTip()))), self)
                return True
        return super().event(event)


@guarded
@turned_in_focus
class SpinBox(QSpinBox):
    """A whole number, in the digits of every other number in the window; typed in those of the keyboard."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setLocale(QLocale.c())
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def validate(self, text: str, position: int) -> object:
        return super().validate(ascii_digits(text), position)


@guarded
@turned_in_focus
class Slider(QSlider):
    """A value between two ends."""

    def __init__(self, orientation: Qt.Orientation = Qt.Orientation.Horizontal, parent: QWidget | None = None) -> None:
        super().__init__(orientation, parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)


@guarded
class TabBar(QTabBar):
    """Tabs, which the wheel never changes: there are too few to turn through."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()


@guarded
class FilterBox(QLineEdit):
    """What a list is narrowed by.

    Signals
    -------
    descended()
        Down was pressed: on to the list.
    returnPressed()
        Qt's own: take the first of the list.
    """

    descended = Signal()

    def __init__(self, placeholder: str, name: str) -> None:
        super().__init__()
        self.setPlaceholderText(placeholder)
        self.setClearButtonEnabled(True)
        for button in self.findChildren(QToolButton):
            button.setToolTip(tr("Clear the filter"))
        self.setAcceptDrops(False)  # a dropped file is opened, wherever it falls
        self.setAccessibleName(name)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Down, Qt.Key.Key_PageDown):
            self.descended.emit()
        elif event.key() == Qt.Key.Key_Escape and self.text():
            self.clear()
        else:
            super().keyPressEvent(event)


@guarded
@turned_in_focus
class NumberBox(QDoubleSpinBox):
    """A number with as many digits as it needs; the wheel turns it only when it has the focus."""

    def __init__(self, minimum: float = -3.4e38, maximum: float = 3.4e38, *, digits: int = 6, name: str = "") -> None:
        super().__init__()
        self._digits = digits
        self.setDecimals(40 if maximum > 1e30 else 8)
        self.setRange(minimum, maximum)
        self.setKeyboardTracking(False)
        self.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        self.setAccessibleName(name)
        self.setMinimumWidth(64)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def textFromValue(self, value: float) -> str:
        return f"{value:.{self._digits}g}"

    def valueFromText(self, text: str) -> float:
        try:
            return float(self._plain(text))
        except ValueError:
            return self.value()

    def validate(self, text: str, position: int) -> object:
        plain = self._plain(text)
        if not set(plain) <= set("0123456789.+-eE"):  # nor "nan" and "inf", which Python would read
            return QValidator.State.Invalid, text, position
        try:
            float(plain)
        except ValueError:
            return QValidator.State.Intermediate, text, position
        return QValidator.State.Acceptable, text, position

    def _plain(self, text: str) -> str:
        """A number as Python reads it; Qt hands in the suffix too."""
        plain = text.removesuffix(self.suffix()).strip().replace(",", ".").replace("٫", ".").replace("−", "-")
        return ascii_digits(plain)

    def sizeHint(self) -> Any:
        hint = super().sizeHint()
        hint.setWidth(90)
        return hint

    minimumSizeHint = sizeHint  # noqa: N815 - Qt's name
