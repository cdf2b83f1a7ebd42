"""The wheel over a field, a list or tabs changes nothing, unless a field has the focus."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QEvent, QLocale, QPoint, QPointF, Qt
from PySide6.QtGui import QHelpEvent, QKeyEvent, QWheelEvent
from PySide6.QtWidgets import (
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QScrollBar,
    QTabBar,
    QToolTip,
    QWidget,
)
from pytestqt.qtbot import QtBot

import qviz
from qviz.core.tensors.granularity import PerAxis
from qviz.gui.kit.fields import ComboBox, NumberBox, Slider, SpinBox, TabBar
from tests.gui.conftest import Desk
from tests.sources import nodes

pytestmark = pytest.mark.unpainted

PAGES = ("tensor", "compare", "product", "model", "training")


def turn(widget: QWidget, notches: int = -1) -> QWheelEvent:
    """Turn the wheel over a widget's middle."""
    place = QPointF(widget.rect().center())
    event = QWheelEvent(
        place,
        QPointF(widget.mapToGlobal(place.toPoint())),
        QPoint(),
        QPoint(0, 120 * notches),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)
    return event


def value(widget: Any) -> object:
    """What a field or a row of tabs stands at."""
    return widget.currentIndex() if isinstance(widget, QComboBox | QTabBar) else widget.value()


def fields(root: QWidget) -> list[Any]:
    """Whatever the wheel may turn, hidden or not."""
    kinds = (QComboBox, QAbstractSpinBox, QAbstractSlider, QTabBar)
    found = [each for each in root.findChildren(QWidget) if isinstance(each, kinds)]
    return [each for each in found if not isinstance(each, QScrollBar)]


@pytest.mark.parametrize("page", PAGES)
def test_the_wheel_over_what_has_no_focus_changes_nothing(desk: Desk, page: str) -> None:
    desk.session.update(granularity=PerAxis(0))
    desk.settle()
    desk.window.pages.show_page(page)
    QApplication.processEvents()
    desk.window.setFocus()
    found = fields(desk.window)
    assert len(found) > 8
    for each in found:
        before = value(each)
        for notches in (-1, 1):
            turn(each, notches)
            assert value(each) == before, (type(each).__name__, each.accessibleName())
        assert not each.hasFocus()


@pytest.mark.parametrize("kind", [ComboBox, SpinBox, Slider, NumberBox])
def test_with_the_focus_it_turns(qtbot: QtBot, kind: Any) -> None:
    field = kind()
    qtbot.addWidget(field)
    if kind is ComboBox:
        field.addItems(["a", "b", "c"])
        field.setCurrentIndex(1)
    else:
        field.setValue(5)
    field.show()
    qtbot.waitExposed(field)
    before = value(field)
    field.clearFocus()
    assert not turn(field).isAccepted()
    assert value(field) == before
    field.activateWindow()
    field.setFocus()
    qtbot.waitUntil(field.hasFocus)
    assert turn(field).isAccepted()
    assert value(field) != before


def test_tabs_are_never_turned(qtbot: QtBot) -> None:
    tabs = TabBar()
    qtbot.addWidget(tabs)
    for name in "abc":
        tabs.addTab(name)
    tabs.show()
    tabs.setFocus()
    turn(tabs)
    assert tabs.currentIndex() == 0


def test_no_field_is_made_but_from_these() -> None:
    root = Path(qviz.__file__).parent / "gui"
    bare = {"QComboBox", "QSpinBox", "QDoubleSpinBox", "QSlider", "QDial", "QTabBar", "QTabWidget"}
    made = [
        f"{path.name}:{node.lineno} {node.func.id}"
        for path in root.rglob("*.py")
        for node in nodes(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in bare
    ]
    assert made == []


# -- where people write numbers otherwise


@pytest.mark.parametrize("language", ["German", "Arabic", "Persian", "Hindi"])
def test_numbers_are_shown_alike_and_typed_as_the_keyboard_has_them(qtbot: QtBot, language: str) -> None:
    before = QLocale()
    QLocale.setDefault(QLocale(QLocale.Language[language], QLocale.Country.AnyCountry))
    try:
        whole, number = SpinBox(), NumberBox(0, 100)
        for box in (whole, number):
            qtbot.addWidget(box)
            box.show()
            box.setValue(8)
            assert box.text() == "8"
            for text, meant in (("12", 12), ("١٣", 13), ("۱۴", 14), ("१५", 15)):
                edit = box.lineEdit()
                edit.selectAll()
                for sign in text:
                    QApplication.sendEvent(
                        edit, QKeyEvent(QEvent.Type.KeyPress, 0, Qt.KeyboardModifier.NoModifier, sign)
                    )
                qtbot.keyClick(edit, Qt.Key.Key_Return)
                assert (box.value(), box.text()) == (meant, str(meant))
        for text in ("0.5", "0,5", "٠٫٥"):
            number.lineEdit().setText(text)
            qtbot.keyClick(number.lineEdit(), Qt.Key.Key_Return)
            assert (number.value(), number.text()) == (0.5, "0.5")
    finally:
        QLocale.setDefault(before)


@pytest.fixture
def narrow(qtbot: QtBot) -> ComboBox:
    """A list whose second choice is longer than it has room for."""
    box = ComboBox()
    qtbot.addWidget(box)
    box.addItems(["axis 0", "axis 1 of a tensor with very many elements"])
    box.setToolTip("Along which axis.")
    box.stay_narrow(6)
    box.show()
    box.resize(100, box.sizeHint().height())
    return box


def test_a_long_choice_makes_a_list_no_wider(narrow: ComboBox) -> None:
    wide = narrow.sizeHint().width()
    narrow.addItem("an even longer one, " * 5)
    narrow.setCurrentIndex(2)
    assert narrow.sizeHint().width() == wide


def test_a_choice_that_is_cut_ends_with_an_ellipsis_and_is_told_whole(
    narrow: ComboBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(QToolTip, "showText", lambda place, text, widget: told.append(text))
    place = narrow.rect().center()
    for at, cut in ((0, False), (1, True)):
        narrow.setCurrentIndex(at)
        assert narrow._option().currentText.endswith("…") == cut
        QApplication.sendEvent(narrow, QHelpEvent(QEvent.Type.ToolTip, place, narrow.mapToGlobal(place)))
    assert told == ["axis 1 of a tensor with very many elements\n\nAlong which axis."]


def test_an_open_list_is_as_wide_as_its_choices(narrow: ComboBox) -> None:
    narrow.showPopup()
    assert narrow.view().width() >= narrow.fontMetrics().horizontalAdvance(narrow.itemText(1))
    narrow.hidePopup()
