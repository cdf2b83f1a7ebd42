"""Messages float over the page, stack, know their cause, and neither move nor interrupt anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication, QLineEdit, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from qviz.core.problems import Problem
from qviz.core.schemes.scheme import Scheme
from qviz.gui.kit.theme import load_theme
from qviz.gui.window.toasts import MOST_SHOWN, Offer, Toasts, Topic
from tests.gui.conftest import Desk, Mouse


@pytest.fixture
def window(qtbot: QtBot) -> QWidget:
    window = QWidget()
    qtbot.addWidget(window)
    window.resize(800, 500)
    column = QVBoxLayout(window)
    column.addWidget(QLineEdit())
    return window


@pytest.fixture
def toasts(qtbot: QtBot, window: QWidget) -> Toasts:
    toasts = Toasts(window)
    toasts.apply_theme(load_theme("light"))
    window.show()
    qtbot.waitExposed(window)
    return toasts


def texts(toasts: Toasts) -> list[str]:
    return [toast.text for toast in toasts.all]


def test_there_is_nothing_over_the_page_until_there_is_something_to_say(qtbot: QtBot, toasts: Toasts) -> None:
    assert toasts.isHidden()
    assert toasts.text == toasts.kind == ""
    toasts.error("w.npy is empty.")
    assert toasts.isVisible()
    (toast,) = toasts.all
    assert toasts.text == toast.accessibleName() == "w.npy is empty."
    qtbot.mouseClick(toast.close_button, Qt.MouseButton.LeftButton)
    assert toasts.isHidden()
    assert toasts.text == ""


def test_several_stack_and_the_newest_error_is_what_is_said(toasts: Toasts) -> None:
    toasts.error("w.npy is empty.")
    toasts.error("v.npy is empty.")
    toasts.notice("Saved x.npz.")
    assert texts(toasts) == ["w.npy is empty.", "v.npy is empty.", "Saved x.npz."]
    assert (toasts.kind, toasts.text) == ("error", "v.npy is empty.")
    QApplication.processEvents()
    places = [toast.geometry() for toast in toasts.all]
    assert places[0].bottom() < places[1].top()
    assert places[1].bottom() < places[2].top()
    assert all(toasts.rect().contains(place) for place in places)


def test_older_ones_wait_behind_the_newest(qtbot: QtBot, toasts: Toasts) -> None:
    for n in range(MOST_SHOWN + 2):
        toasts.error(f"{n}.npy is empty.")
    assert [toast.isVisible() for toast in toasts.all] == [False, False, *[True] * MOST_SHOWN]
    qtbot.mouseClick(toasts.all[-1].close_button, Qt.MouseButton.LeftButton)
    assert [toast.isVisible() for toast in toasts.all] == [False, *[True] * MOST_SHOWN]


def test_what_is_said_again_is_shown_once(toasts: Toasts) -> None:
    toasts.error("w.npy is empty.")
    toasts.error("w.npy is empty.")
    assert texts(toasts) == ["w.npy is empty."]


def test_what_is_new_of_a_topic_takes_the_place_of_what_was_said_of_it(toasts: Toasts) -> None:
    toasts.error("w.npy cannot be written.", "saving")
    toasts.error("Something else.")
    toasts.notice("Saved w.npy.", "saving")
    assert texts(toasts) == ["Something else.", "Saved w.npy."]


def test_a_topic_takes_its_messages_with_it(toasts: Toasts) -> None:
    toasts.error("It cannot be computed.", "analysis")
    toasts.error("w.npy is empty.")
    toasts.withdraw("analysis")
    assert texts(toasts) == ["w.npy is empty."]


def test_an_error_stays_and_a_notice_goes_by_itself_unless_the_pointer_is_on_it(qtbot: QtBot, toasts: Toasts) -> None:
    toasts.error("w.npy is empty.")
    toasts.notice("It changed.", stays=True)
    assert not any(toast._timer.isActive() for toast in toasts.all)
    toasts.notice("Saved x.npz.")
    notice = toasts.all[-1]
    assert notice._timer.isActive()
    notice.enterEvent(None)  # type: ignore[arg-type]
    assert not notice._timer.isActive()
    notice.leaveEvent(None)  # type: ignore[arg-type]
    notice._timer.start(1)  # instead of seconds
    qtbot.waitUntil(lambda: texts(toasts) == ["w.npy is empty.", "It changed."])


def test_an_offer_is_made_once(qtbot: QtBot, toasts: Toasts) -> None:
    taken = []
    toasts.notice("w.npy changed.", "w.npy", Offer("Open again", lambda: taken.append("w.npy")))
    button = toasts.all[0].offer_button
    assert button.isVisible()
    assert button.text() == "Open again"
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert taken == ["w.npy"]
    assert toasts.isHidden()


def test_hundreds_of_lines_are_one_with_their_number_and_can_be_copied(qtbot: QtBot, toasts: Toasts) -> None:
    lines = [f"{n}.npy is empty." for n in range(400)]
    toasts.error("\n".join(lines))
    assert toasts.text == "400 messages; the first: 0.npy is empty."
    qtbot.mouseClick(toasts.all[0].copy_button, Qt.MouseButton.LeftButton)
    assert QApplication.clipboard().text().splitlines() == lines


def test_errors_of_a_topic_that_come_one_by_one_are_counted(toasts: Toasts) -> None:
    for n in range(3):
        toasts.add_error(f"{n}.npy is empty.", "opening")
    assert toasts.text == "0.npy is empty.\n1.npy is empty.\n2.npy is empty."
    toasts.add_error("3.npy is empty.", "opening")
    assert texts(toasts) == ["4 messages; the first: 0.npy is empty."]


def test_the_focus_stays_where_it_is_and_tab_reaches_the_buttons(qtbot: QtBot, window: QWidget, toasts: Toasts) -> None:
    with qtbot.waitActive(window):  # a real screen's window manager says when
        window.show()
        window.activateWindow()
    box = window.findChild(QLineEdit)
    box.setFocus()
    toasts.error("w.npy is empty.", offer=Offer("Again", lambda: None))
    assert QApplication.focusWidget() is box
    toast = toasts.all[0]
    assert toast.label.focusPolicy() == Qt.FocusPolicy.NoFocus
    assert toast.close_button.focusPolicy() == toast.offer_button.focusPolicy() == Qt.FocusPolicy.TabFocus
    toasts.clear()
    assert QApplication.focusWidget() is box


def test_they_stay_inside_a_narrow_window_whatever_their_length(window: QWidget, toasts: Toasts) -> None:
    toasts.error("/a/very/long/folder/name" * 8 + " cannot be read: choose another one. " * 4)
    window.resize(400, 300)
    QApplication.processEvents()
    assert window.rect().contains(toasts.geometry())
    label = toasts.all[0].label
    assert label.height() >= label.heightForWidth(label.width())


def test_a_file_name_is_no_markup(toasts: Toasts) -> None:
    toasts.error("<b>w</b>.npy is empty.")
    assert toasts.all[0].label.textFormat() == Qt.TextFormat.PlainText


# -- in the window


def test_the_page_does_not_move_and_a_click_beside_the_message_arrives(desk: Desk) -> None:
    before = desk.page.geometry(), desk.page.docks["table"].geometry()
    desk.banner.error("The file cannot be written.")
    QApplication.processEvents()
    assert (desk.page.geometry(), desk.page.docks["table"].geometry()) == before
    assert desk.banner.geometry().bottom() < desk.window.statusBar().geometry().top()
    button = desk.scheme.mode.button(False)
    assert desk.window.childAt(button.mapTo(desk.window, button.rect().center())) is button


def test_a_refused_number_is_withdrawn_by_the_next_one_that_is_taken(desk: Desk) -> None:
    desk.page.problem.emit("The low end must lie below the high end.")
    assert desk.banner.text == "The low end must lie below the high end."
    desk.gesture(lambda: desk.do("more_bits"))
    assert desk.banner.text == ""


def test_a_scheme_that_cannot_be_is_withdrawn_with_the_next_scheme(desk: Desk) -> None:
    desk.session.update(scheme=Scheme("float8_e4m3fn"))
    desk.settle()
    desk.banner.error("Floats are symmetric.", Topic.SCHEME)
    desk.gesture(lambda: desk.session.update(scheme=Scheme()))
    assert desk.banner.text == ""


def test_hundreds_of_bad_files_make_one_line(desk: Desk, tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.npy" for n in range(200)]
    for path in paths:
        path.write_bytes(b"")
    desk.open(*paths)
    assert len(desk.banner.all) == 1
    assert desk.banner.text.startswith("200 files can't be opened. The first of them: 0.npy is empty")
    desk.window.open_requested.emit([])
    assert desk.banner.text == ""


def test_an_element_that_there_is_not_is_withdrawn_when_another_one_is_gone_to(desk: Desk) -> None:
    jump = desk.page.table.jump
    desk.session.update(selected=5)
    for way_out in (lambda: desk.type(jump, "5"), lambda: desk.show(np.ones(3, np.float32))):
        desk.type(jump, "999999")
        assert "There is no element 999999" in desk.banner.text
        way_out()
        assert desk.banner.text == ""


def test_a_refused_pin_is_withdrawn_when_there_are_other_pins(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise Problem("Six pins at most: remove one first.")

    with monkeypatch.context() as patched:
        patched.setattr(desk.app.pins, "add", full)
        desk.app.pin_present()
    assert desk.banner.text == "Six pins at most: remove one first."
    desk.app.pin_present()
    assert desk.banner.text.startswith("Pinned ")
    assert desk.banner.kind == "notice"


def test_what_is_dropped_on_another_page_is_said_there_with_the_way_to_it(desk: Desk, tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.ones((2, 3), np.float32))
    desk.window.pages.show_page("product")
    desk.window.overlay.files_dropped.emit([tmp_path / "w.npy"])
    desk.rest()
    (toast,) = desk.banner.all
    assert toast.text == "Opened w.npy: listed on the Tensor page."
    Mouse(toast.offer_button).click(QPoint(5, 5))
    assert desk.window.pages.current_key == "tensor"
    assert desk.banner.all == ()
    assert desk.session.state.current.name.startswith("w")
