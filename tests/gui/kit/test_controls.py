"""Bits, modes and range rules are chosen with the same controls on every page."""

from __future__ import annotations

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from qviz.gui.kit.controls import BitsControl, ModeControl, RangeChoice


def test_bits_are_chosen_with_the_slider_and_as_a_number_and_told_once(qtbot: QtBot) -> None:
    control = BitsControl(range(2, 17), "Bits")
    qtbot.addWidget(control)
    told: list[int] = []
    control.chosen.connect(told.append)
    control.show_bits(8)
    assert (told, control.bits, control.box.value()) == ([], 8, 8)
    control.slider.setFocus()
    qtbot.keyClick(control.slider, Qt.Key.Key_PageUp)
    assert (told, control.bits, control.box.value()) == ([9], 9, 9)
    qtbot.keyClick(control.box, Qt.Key.Key_Down)
    assert (told, control.bits, control.box.value()) == ([9, 8], 8, 8)
    control.slider.setValue(99)
    control.box.setValue(0)
    assert told == [9, 8, 16, 2]


def test_a_mode_is_shown_and_chosen(qtbot: QtBot) -> None:
    control = ModeControl("Mode")
    qtbot.addWidget(control)
    told: list[bool] = []
    control.chosen.connect(told.append)
    control.choose(True)
    assert (told, control.button(True).isChecked()) == ([], True)
    control.button(False).click()
    assert told == [False]
    assert control.button(False).accessibleName() == "Mode: Asymmetric"


def test_range_rules_have_words_tips_and_lines_between_groups(qtbot: QtBot) -> None:
    control = RangeChoice([("a", "A", "about A"), ("", "", ""), ("b", "B", "about B")], "Range")
    qtbot.addWidget(control)
    told: list[int] = []
    control.currentIndexChanged.connect(told.append)
    control.show_kind("b")
    assert (told, control.currentData(), control.count(), control.accessibleName()) == ([], "b", 3, "Range")
    assert control.itemData(2, Qt.ItemDataRole.ToolTipRole) == "about B"
    qtbot.keyClick(control, Qt.Key.Key_Home)
    assert (told, control.currentData()) == ([0], "a")
