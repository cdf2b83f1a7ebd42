"""The small widgets that every panel is made of."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, Qt
from PySide6.QtGui import QKeyEvent, QValidator, QWheelEvent
from PySide6.QtWidgets import QApplication, QLabel, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from qviz.gui import kit
from qviz.gui.kit.fields import NumberBox
from qviz.gui.kit.widgets import Line, Segments, named_label
from qviz.gui.window.activity import Activity
from tests.gui.pictures import dots

# -- NumberBox


def typed(bot: QtBot, box: NumberBox, text: str) -> float:
    """Replace what stands in the box, and press Return."""
    box.setFocus()
    box.selectAll()
    for character in text:
        QApplication.sendEvent(box, QKeyEvent(QEvent.Type.KeyPress, 0, Qt.KeyboardModifier.NoModifier, character))
    bot.keyClick(box, Qt.Key.Key_Return)
    return box.value()


@pytest.fixture
def box(qtbot: QtBot) -> NumberBox:
    box = NumberBox(name="A number")
    qtbot.addWidget(box)
    box.show()
    return box


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.25", 0.25),
        ("0,25", 0.25),
        ("-3", -3.0),
        ("−3", -3.0),
        ("1e-3", 0.001),
        ("2.5E+10", 2.5e10),
        ("+7", 7.0),
        ("1e-38", 1e-38),
        ("3e38", 3e38),
    ],
)
def test_a_number_is_understood_however_it_is_typed(qtbot: QtBot, box: NumberBox, text: str, value: float) -> None:
    assert typed(qtbot, box, text) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("text", ["", "-", "1e", "e5", "1..2", "--1"])
def test_half_a_number_leaves_the_value(qtbot: QtBot, box: NumberBox, text: str) -> None:
    box.setValue(1.5)
    assert typed(qtbot, box, text) == 1.5
    assert box.text() == "1.5"


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1_000", "0x10"])
def test_what_is_no_number_of_a_person_is_invalid(box: NumberBox, text: str) -> None:
    assert box.validate(text, 0)[0] == QValidator.State.Invalid


def test_letters_cannot_be_typed(qtbot: QtBot, box: NumberBox) -> None:
    assert typed(qtbot, box, "a1b2c") == 12


def test_a_number_out_of_range_becomes_the_nearest_in_range(qtbot: QtBot) -> None:
    box = NumberBox(-1.0, 1.0)
    qtbot.addWidget(box)
    assert typed(qtbot, box, "5") == 1.0
    assert typed(qtbot, box, "-5") == -1.0


def test_a_box_with_a_unit_can_be_typed_into(qtbot: QtBot) -> None:
    box = NumberBox(50.0, 100.0, digits=8)
    qtbot.addWidget(box)
    box.setSuffix(" %")
    assert typed(qtbot, box, "97,5") == 97.5
    assert box.text() == "97.5 %"
    box.setFocus()
    box.lineEdit().selectAll()  # with its unit
    qtbot.keyClicks(box, "99")
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert box.value() == 99.0


def test_a_box_tells_of_a_number_once_and_only_when_it_is_complete(qtbot: QtBot, box: NumberBox) -> None:
    told: list[float] = []
    box.valueChanged.connect(told.append)
    typed(qtbot, box, "12.5")
    assert told == [12.5]


def test_a_box_shows_as_many_digits_as_it_has(box: NumberBox) -> None:
    for value, text in ((0.1, "0.1"), (1e-20, "1e-20"), (123456.0, "123456"), (0.30000001192092896, "0.3")):
        box.setValue(value)
        assert box.text() == text


def test_the_wheel_turns_a_box_only_when_it_has_the_focus(qtbot: QtBot) -> None:
    holder = QWidget()
    qtbot.addWidget(holder)
    layout = QVBoxLayout(holder)
    boxes = [NumberBox(0, 10), NumberBox(0, 10)]
    for each in boxes:
        each.setValue(5)
        layout.addWidget(each)
    holder.show()
    holder.activateWindow()
    qtbot.waitUntil(holder.isActiveWindow)
    boxes[1].setFocus()

    for each in boxes:
        middle = QPointF(each.rect().center())
        event = QWheelEvent(
            middle,
            each.mapToGlobal(middle),
            QPoint(),
            QPoint(0, 120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(each, event)

    assert boxes[0].value() == 5
    assert boxes[1].value() > 5


# -- Segments


@pytest.fixture
def segments(qtbot: QtBot) -> Segments:
    made = Segments([(1, "One", "The first."), (2, "Two", "The second."), (3, "Three", "The last.")], "Number")
    qtbot.addWidget(made)
    made.show()
    return made


def test_a_click_on_a_segment_chooses_it_alone(qtbot: QtBot, segments: Segments) -> None:
    segments.choose(1)
    with qtbot.waitSignal(segments.chosen) as told:
        qtbot.mouseClick(segments.button(3), Qt.MouseButton.LeftButton)
    assert told.args == [3]
    assert [segments.button(n).isChecked() for n in (1, 2, 3)] == [False, False, True]


def test_choosing_by_program_tells_nobody(qtbot: QtBot, segments: Segments) -> None:
    with qtbot.assertNotEmitted(segments.chosen):
        segments.choose(2)
    assert segments.button(2).isChecked()


def test_a_segment_can_be_chosen_from_the_keyboard(qtbot: QtBot, segments: Segments) -> None:
    segments.choose(1)
    segments.button(2).setFocus()
    with qtbot.waitSignal(segments.chosen) as told:
        qtbot.keyClick(segments.button(2), Qt.Key.Key_Space)
    assert told.args == [2]


def test_segments_tell_what_they_are(segments: Segments) -> None:
    assert segments.accessibleName() == "Number"
    assert segments.button(2).accessibleName() == "Number: Two"
    assert segments.button(2).toolTip() == "The second."


# -- Line


class LayoutCounter(QObject):
    """Counts how often a widget is asked to lay itself out."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self.count = 0
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        self.count += event.type() == QEvent.Type.LayoutRequest
        return False


@pytest.fixture
def line(qtbot: QtBot) -> Line:
    holder = QWidget()
    qtbot.addWidget(holder)
    line = Line("value")
    QVBoxLayout(holder).addWidget(line)
    line.setParent(holder)
    holder.resize(120, 60)
    holder.show()
    qtbot.waitExposed(holder)
    line.holder = holder  # keep it
    return line


def ink(line: Line) -> int:
    """How many pixels are not background."""
    picture = dots(line.grab().toImage())
    return int((picture != picture[0, -1]).sum())


def test_a_line_shows_its_text(line: Line) -> None:
    empty = ink(line)
    line.setText("0.123")
    assert line.text() == "0.123"
    assert line.accessibleDescription() == "0.123"
    assert ink(line) > empty


def test_no_line_of_a_label_parts_a_number_from_its_unit(qtbot: QtBot) -> None:
    """As wide as one word, it is as high as if number and unit were one."""
    text = "43 % of 1.5 GiB"
    label, joined = named_label(text, "value", wrap=True), named_label("43x% of 1.5xGiB", "value", wrap=True)
    for each in (label, joined):
        qtbot.addWidget(each)
    assert label.text() == text
    assert label.wordWrap()
    width = label.fontMetrics().horizontalAdvance("1.5 ")
    assert label.heightForWidth(width) == joined.heightForWidth(width)
    label.setText("7 MiB")
    assert label.text() == "7 MiB"
    assert QLabel.text(label) == "7\xa0MiB"
    assert named_label("7 MiB", "value").text() == "7 MiB"


def test_whatever_wraps_is_such_a_label() -> None:
    folder = Path(kit.__file__).parents[1]
    wrapping = {path.name for path in folder.rglob("*.py") if "setWordWrap(True)" in path.read_text(encoding="utf-8")}
    assert wrapping == {"widgets.py"}


def test_a_line_costs_no_layout_when_its_text_changes(line: Line) -> None:
    counter = LayoutCounter(line.holder)
    before = line.geometry()
    for text in ("1", "a much longer text than there is room for in here", ""):
        line.setText(text)
        QApplication.processEvents()
    assert counter.count == 0
    assert line.geometry() == before


def test_a_line_is_cut_with_an_ellipsis(line: Line) -> None:
    line.setText("W" * 100)
    many = line.grab().toImage()
    line.setText(line.fontMetrics().elidedText("W" * 100, Qt.TextElideMode.ElideRight, line.width()))
    assert line.text().endswith("…")
    assert line.grab().toImage() == many
    assert line.minimumSizeHint().width() == 0


def test_a_line_reserves_room(line: Line) -> None:
    line.reserve("188.88 dB")
    assert line.width() >= line.fontMetrics().horizontalAdvance("188.88 dB")
    assert line.minimumWidth() == line.maximumWidth()


# -- Activity


@pytest.fixture
def activity(qtbot: QtBot) -> Activity:
    activity = Activity()
    qtbot.addWidget(activity)
    return activity


def test_work_that_is_over_at_once_is_never_shown(activity: Activity) -> None:
    task = activity.task()
    task.begin("Reading w.npy")
    assert activity.isHidden()
    task.end()
    assert activity.isHidden()
    assert not activity._patience.isActive()


def test_longer_work_is_shown_with_its_progress_until_it_ends(qtbot: QtBot, activity: Activity) -> None:
    task = activity.task()
    task.begin("Reading w.npy")
    task.advance(0.42)
    qtbot.waitUntil(activity.isVisible, timeout=2000)
    assert activity.label.text() == "Reading w.npy"
    assert activity.bar.value() == 42
    task.end()
    assert activity.isHidden()


def test_work_can_be_cancelled(qtbot: QtBot, activity: Activity) -> None:
    task = activity.task()
    task.begin("Reading w.npy")
    activity.show()
    with qtbot.waitSignal(task.cancel_requested):
        qtbot.mouseClick(activity.button, Qt.MouseButton.LeftButton)


def test_other_work_begins_at_nothing(activity: Activity) -> None:
    task = activity.task()
    task.begin("Reading w.npy")
    task.advance(0.9)
    task.begin("Reading v.npy")
    assert activity.bar.value() == 0


def test_of_two_works_the_later_is_shown_and_cancelled_then_the_other(qtbot: QtBot, activity: Activity) -> None:
    sorting, reading = activity.task(), activity.task()
    sorting.begin("Sorting w.npy")
    reading.begin("Reading v.npy")
    sorting.advance(0.5)
    assert (activity.label.text(), activity.bar.value()) == ("Reading v.npy", 0)
    with qtbot.waitSignal(reading.cancel_requested):
        activity.button.click()
    reading.end()
    assert (activity.label.text(), activity.bar.value()) == ("Sorting w.npy", 50)
    sorting.end()
    assert activity.isHidden()
