"""Files come in, bad ones are refused in a sentence, work is stopped on closing, and choices are remembered."""

from __future__ import annotations

import json
import os
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QByteArray, QEvent, QMimeData, QObject, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDragMoveEvent, QDropEvent, QImage
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QLineEdit,
    QMessageBox,
    QPushButton,
    QScrollBar,
    QWidget,
)
from pytestqt.qtbot import QtBot

from qviz.core.arithmetic.quantize import dequantize, quantize
from qviz.core.formats.integers import IntFormat
from qviz.core.ranges.rules import Percentile
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerAxis
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import check
from qviz.gui.kit.docks import is_behind_a_tab
from qviz.gui.kit.theme import load_theme
from qviz.gui.window.actions import ACTIONS
from qviz.session.runner import Request
from qviz.session.state import Item
from tests.gui.conftest import PATIENCE, Desk, runners_of
from tests.gui.pictures import picture

pytestmark = pytest.mark.unpainted

Desks = Callable[..., Desk]
COPY, LEFT, PLAIN = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


def names(desk: Desk) -> list[str]:
    """What is open, without endings."""
    return [item.name.removesuffix(".npy") for item in desk.session.state.items]


def shown(desk: Desk) -> str:
    tensor = desk.session.state.tensor
    return tensor.name.removesuffix(".npy") if tensor else ""


# -- dropping


class Drag:
    """Files that are dragged over the window."""

    def __init__(self, desk: Desk, *paths: Path, text: str = "") -> None:
        self.desk = desk
        self.mime = QMimeData()  # Qt does not keep it
        if paths:
            self.mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
        if text:
            self.mime.setText(text)

    def enter(self, over: QWidget | None = None) -> bool:
        event = QDragEnterEvent(QPoint(9, 9), COPY, self.mime, LEFT, PLAIN)
        QApplication.sendEvent(over or self.desk.window, event)
        return event.isAccepted()

    def move(self) -> bool:
        event = QDragMoveEvent(QPoint(19, 19), COPY, self.mime, LEFT, PLAIN)
        QApplication.sendEvent(self.desk.window, event)
        return event.isAccepted()

    def leave(self) -> None:
        QApplication.sendEvent(self.desk.window, QDragLeaveEvent())

    def drop(self) -> bool:
        event = QDropEvent(QPointF(19, 19), COPY, self.mime, LEFT, PLAIN)
        QApplication.sendEvent(self.desk.window, event)
        return event.isAccepted()


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{name}.npy" for name in ("first", "second", "third")]
    for i, path in enumerate(paths):
        np.save(path, np.linspace(-i - 1, i + 1, 40 + i, dtype=np.float32))
    return paths


def test_dropping_three_files_opens_them_all_and_shows_the_first(desk: Desk, three: list[Path]) -> None:
    drag = Drag(desk, *three)
    overlay = desk.window.overlay
    assert not overlay.isVisible()
    assert drag.enter()
    assert overlay.isVisible()
    assert overlay.geometry() == desk.window.rect()
    assert not picture(overlay).isNull()
    assert drag.move()
    assert drag.drop()
    assert not overlay.isVisible()
    desk.rest()
    desk.settle()
    assert names(desk) == ["given", "first", "second", "third"]
    assert shown(desk) == "first"
    assert desk.banner.text == ""
    assert desk.page.tensors.list.currentIndex().data() == "first.npy"


def test_dragging_away_again_opens_nothing(desk: Desk, three: list[Path]) -> None:
    drag = Drag(desk, *three)
    drag.enter()
    drag.leave()
    assert not desk.window.overlay.isVisible()
    assert names(desk) == ["given"]


def test_text_and_links_are_not_taken(desk: Desk) -> None:
    words = Drag(desk, text="some words")
    assert not words.enter()
    link = Drag(desk)
    link.mime.setUrls([QUrl("https://example.org/w.npy")])
    assert not link.enter()
    assert not link.drop()
    assert not desk.window.overlay.isVisible()


def test_files_can_be_dropped_anywhere(desk: Desk, three: list[Path]) -> None:
    desk.open(*three)
    for dock in desk.page.docks.values():
        dock.show()
        dock.raise_()
    takers = [w for w in desk.window.findChildren(QWidget) if w.acceptDrops() and w.isVisible()]
    assert len(takers) > 10
    for taker in takers:
        drag = Drag(desk, *three, text=str(three[0]))  # file managers send the name along as text
        drag.enter(taker)
        assert desk.window.overlay.isVisible(), (type(taker).__name__, taker.accessibleName())
        drag.leave()


def test_a_dropped_folder_opens_the_files_in_it(desk: Desk, three: list[Path]) -> None:
    (three[0].parent / "notes.md").write_text("not a tensor")
    drag = Drag(desk, three[0].parent)
    drag.enter()
    drag.drop()
    desk.rest()
    assert names(desk) == ["given", "first", "second", "third"]


def test_one_bad_file_among_three_is_told_in_one_sentence_and_the_others_open(desk: Desk, three: list[Path]) -> None:
    three[1].write_bytes(b"")
    drag = Drag(desk, *three)
    drag.enter()
    drag.drop()
    desk.rest()
    assert names(desk) == ["given", "first", "third"]
    assert desk.banner.kind == "error"
    assert desk.banner.text.startswith("second.npy ")
    assert "\n" not in desk.banner.text


def test_every_bad_file_has_its_own_line(desk: Desk, three: list[Path]) -> None:
    for path in three[:2]:
        path.write_bytes(b"")
    desk.open(*three)
    assert [line.split()[0] for line in desk.banner.text.splitlines()] == ["first.npy", "second.npy"]
    assert shown(desk) == "third"


def test_an_archive_offers_each_of_its_tensors(desk: Desk, tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", conv=np.ones((2, 3), np.float32), bias=np.arange(5, dtype=np.float32))
    desk.open(tmp_path / "w.npz")
    desk.settle()
    assert len(names(desk)) == 3
    assert "conv" in names(desk)[1]
    assert desk.session.state.tensor.shape == (2, 3)


def test_opening_a_file_again_reads_it_again(desk: Desk, three: list[Path]) -> None:
    desk.open(three[0])
    np.save(three[0], np.arange(7, dtype=np.float32))
    desk.open(three[0])
    assert desk.settle().tensor.shape == (7,)
    assert names(desk) == ["given", "first"]


# -- bad input


def truncated(path: Path) -> None:
    np.save(path, np.ones(1000, np.float32))
    path.write_bytes(path.read_bytes()[:200])


def words(path: Path) -> None:
    path.write_text("a,b,c\none,two,three\n")


def saved(array: np.ndarray[Any, Any]) -> Callable[[Path], None]:
    return lambda path: np.save(path, array, allow_pickle=True)


def damaged_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"nothing of that kind")


BAD: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "empty file": ("w.npy", Path.touch, "empty"),
    "truncated": ("w.npy", truncated, ""),
    "object array": ("w.npy", saved(np.array([{}, None], object)), "object"),
    "complex": ("w.npy", saved(np.ones(3, np.complex64)), "complex"),
    "strings": ("w.npy", saved(np.array(["a", "b"])), ""),
    "zero elements": ("w.npy", saved(np.zeros((0, 4), np.float32)), "no elements"),
    "all NaN": ("w.npy", saved(np.full(9, np.nan, np.float32)), "no finite"),
    "words in a table": ("w.csv", words, ""),
    "empty table": ("w.csv", Path.touch, "empty"),
    "no archive": ("w.npz", lambda p: p.write_bytes(b"PK not really"), ""),
    "damaged archive": ("w.npz", damaged_archive, ""),
    "unknown ending": ("w.docx", lambda p: p.write_bytes(b"what"), "no format that qviz knows"),
    "vanished": ("w.npy", lambda p: None, "does not exist"),
    "empty folder": ("w", Path.mkdir, "has no file that qviz reads"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_told_in_the_banner_and_what_was_open_stays(desk: Desk, tmp_path: Path, kind: str) -> None:
    name, make, reason = BAD[kind]
    path = tmp_path / name
    make(path)
    before = desk.session.state
    desk.open(path)
    assert desk.banner.kind == "error"
    assert name.split(".")[0] in desk.banner.text
    assert reason in desk.banner.text
    assert "Traceback" not in desk.banner.text
    assert 20 < len(desk.banner.text) < 300
    assert desk.session.state.tensor is before.tensor
    assert desk.session.state.current is before.current
    assert desk.page.tensors.list.currentIndex().data() == "given"  # the list shows what is shown
    assert desk.page.frame.tensor is before.tensor
    # and everything still works
    desk.gesture(lambda: desk.do("fewer_bits"))


def test_a_file_that_vanishes_after_it_was_listed_is_told_when_it_is_chosen(desk: Desk, three: list[Path]) -> None:
    desk.open(*three)
    three[2].unlink()
    panel = desk.page.tensors
    panel.list.setCurrentIndex(panel.list.model().index(3, 0))
    desk.rest()
    assert desk.banner.text.startswith("third.npy does not exist")
    assert shown(desk) == "first"
    assert panel.list.currentIndex().data() == "first.npy"


def test_no_memory_is_told_as_such(desk: Desk) -> None:
    def load(progress: object, cancelled: object) -> Tensor:
        raise MemoryError

    item = Item("large", "a test", None, None, load)
    desk.session.update(items=(*desk.session.state.items, item))
    desk.app.library.choose(item)
    desk.rest()
    assert "not enough memory" in desk.banner.text
    assert shown(desk) == "given"


# -- closing while something runs


class Gate:
    """Work that goes on until it is let go or cancelled."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self, progress: Any, cancelled: Callable[[], bool]) -> Tensor:
        self.entered.set()
        while not self.open.wait(0.002):
            progress(0.5)
            check(cancelled)
        return Tensor(np.ones(3, np.float32), "late")


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


def test_closing_while_a_file_is_read_stops_reading(new_desk: Desk, gate: Gate) -> None:
    item = Item("slow", "a test", None, None, gate)
    new_desk.session.update(items=(*new_desk.session.state.items, item))
    new_desk.app.library.choose(item)
    new_desk.bot.waitUntil(gate.entered.is_set)  # a runner rests while the window paints
    new_desk.close()
    assert shown(new_desk) == "given"


@pytest.mark.parametrize("which", ["opening", "library", "analyst", "meter"])
def test_closing_waits_for_every_worker_and_hears_nothing_of_it_afterwards(
    new_desk: Desk, gate: Gate, which: str
) -> None:
    runner = (new_desk.app.library._opener if which == "opening" else getattr(new_desk.app, which))._runner
    frames = len(new_desk.frames)
    runner.submit(Request(Item("slow", "a test", None, None, gate), gate))
    new_desk.bot.waitUntil(gate.entered.is_set)  # a runner rests while the window paints
    new_desk.close()
    QApplication.processEvents()
    assert len(new_desk.frames) == frames
    assert new_desk.banner.text == ""


def test_closing_finishes_a_file_that_is_being_saved(new_desk: Desk, tmp_path: Path) -> None:
    new_desk.app.saver.save_quantized(tmp_path / "q.npz", new_desk.page.frame.shown)
    new_desk.close()
    with np.load(tmp_path / "q.npz") as saved_:
        assert saved_["codes"].shape == (6, 30)
    assert [p for p in tmp_path.iterdir() if p.name.startswith(".qviz")] == []


def test_closing_while_a_slider_is_moved(started: Desk) -> None:
    for bits in (2, 9, 5, 16):
        started.session.update(bits=bits)
    started.close()
    QApplication.processEvents()
    assert all(not runner.busy or runner._running for runner in runners_of(started.app))


def test_closing_before_anything_was_shown(desks: Desks) -> None:
    desk = desks(shown=False)
    desk.app.start()
    desk.close()
    QApplication.processEvents()
    assert desk.session.state.tensor is None


def test_a_closed_window_takes_no_more_work(new_desk: Desk) -> None:
    new_desk.close()
    new_desk.session.update(bits=3)
    new_desk.app.library.open([Path("any.npy")])
    new_desk.app.meter.measure()
    QApplication.processEvents()
    assert not any(runner._pool.activeThreadCount() for runner in runners_of(new_desk.app))


def test_reading_can_be_cancelled_and_what_was_shown_stays(desk: Desk, gate: Gate) -> None:
    item = Item("slow", "a test", None, None, gate)
    desk.session.update(items=(*desk.session.state.items, item))
    desk.app.library.choose(item)
    activity = desk.window.status.activity
    desk.bot.waitUntil(activity.isVisible, timeout=PATIENCE)
    assert activity.label.text() == "Reading slow"
    desk.bot.waitUntil(lambda: activity.bar.value() == 50, timeout=PATIENCE)
    desk.click(activity.button)
    desk.rest()
    assert activity.isHidden()
    assert shown(desk) == "given"
    assert desk.page.tensors.list.currentIndex().data() == "given"
    assert desk.banner.text == ""


# -- what is remembered


def test_choices_are_remembered_by_the_next_window(desks: Desks, three: list[Path], tmp_path: Path) -> None:
    desk = desks()
    desk.open(*three)
    desk.do("theme_dark")
    desk.do("log_counts")
    scheme = Scheme(IntFormat(5, False), False, range_rule=Percentile(99.0), convention="textbook")
    desk.session.update(scheme=scheme)
    desk.settle()
    desk.page.docks["memory"].close()
    desk.close()

    again = desks()
    assert again.session.scheme == scheme
    assert again.app.settings.get("theme") == "dark"
    assert again.window.actions_by_key["theme_dark"].isChecked()
    assert again.window.actions_by_key["log_counts"].isChecked()
    assert again.page.error.logarithmic
    assert again.page.docks["memory"].isHidden()
    assert again.page.docks["speed"].isVisible()
    assert again.app.settings.get("recent_files") == [str(path) for path in three]
    again.do("theme_light")


def test_a_window_of_a_vanished_axis_still_opens(desks: Desks) -> None:
    desk = desks()
    desk.session.update(granularity=PerAxis(5))
    desk.close()
    again = desks(shown=False)
    again.app.start()
    again.bot.waitUntil(lambda: again.session.state.tensor is not None)
    frame = again.settle()
    assert frame.whole.groups is None
    assert "has no axis 5" in again.banner.text


@pytest.mark.parametrize(
    "content",
    [
        b"\x00\xff\xfe rubbish \n[[[",
        b"[General]\ntheme=purple\nscheme={\nrecent_files=7\nlayout=@ByteArray(xx)\ngeometry=12\nlog_counts=maybe\n",
        b'[General]\nscheme="{\\"number_format\\": {\\"kind\\": \\"int\\", \\"bits\\": 99}}"\npng_scale="\\"wide\\""\n',
        b'[General]\nrecent_files="[1, null, \\"/gone/w.npy\\"]"\ntheme="3"\nlast_folder="[]"\n',
    ],
)
def test_damaged_settings_do_not_stop_the_start(desks: Desks, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.ini").write_bytes(content)
    desk = desks()
    frame = desk.show(np.linspace(-1, 1, 50))
    assert frame.scheme == Scheme()
    assert desk.page.values.isVisible()
    desk.window._fill_recent()
    desk.close()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="everything can be read here")
def test_settings_that_cannot_be_read_do_not_stop_the_start(desks: Desks, tmp_path: Path) -> None:
    path = tmp_path / "s.ini"
    path.touch(mode=0)
    desk = desks()
    assert desk.show(np.linspace(-1, 1, 50)).scheme == Scheme()


def test_the_recent_menu_opens_again_what_was_open(desk: Desk, three: list[Path]) -> None:
    menu = desk.window._recent
    desk.window._fill_recent()
    assert [a.isEnabled() for a in menu.actions()] == [False]  # none yet
    desk.open(three[1])
    desk.open(three[0])
    desk.settle()
    desk.do("close_tensor")
    desk.rest()
    menu.aboutToShow.emit()
    assert [a.text() for a in menu.actions()] == ["first.npy", "second.npy"]
    menu.actions()[0].trigger()
    desk.rest()
    assert shown(desk) == "first"


# -- looks


@pytest.mark.parametrize("name", ["light", "dark"])
def test_a_theme_dresses_the_palette_and_every_chart(desk: Desk, dressed: QApplication, name: str) -> None:
    desk.do(f"theme_{name}")
    dressed.processEvents()  # Qt tells the widgets of a palette in the next turn
    chosen = load_theme(name)
    assert dressed.palette().window().color().name() == chosen.ui["window"]
    assert desk.window.palette().windowText().color().name() == chosen.ui["text"]
    for chart in desk.page.charts:
        assert chart.canvas.backgroundBrush().color().name() == chosen.chart["background"]
        image = picture(chart.canvas)
        assert image.pixelColor(2, image.height() - 2) == chosen.color("background")
    assert desk.app.settings.get("theme") == name
    assert [k for k in ("system", "light", "dark") if desk.window.actions_by_key[f"theme_{k}"].isChecked()] == [name]
    desk.do("theme_system")


def share_of(color: str, widget: QWidget) -> float:
    """How much of a widget's picture is of a colour."""
    return float(np.mean(places_of(color, widget)))


def places_of(color: str, widget: QWidget) -> np.ndarray:
    """Where a widget's picture is of a colour, shape (height, width)."""
    image = picture(widget).convertToFormat(QImage.Format.Format_RGB32)
    pixels = np.frombuffer(image.constBits(), np.uint32).reshape(image.height(), -1)[:, : image.width()]
    places: np.ndarray = (pixels & 0xFFFFFF) == int(color[1:], 16)
    return places


def still_looks(theme: str, widget: QWidget) -> str:
    """What of a widget has a theme's colours of surfaces: nothing, or how much, and from where to where."""
    for role in ("window", "raised", "border"):
        places = places_of(load_theme(theme).ui[role], widget)
        if places.mean() >= 0.01:
            rows, columns = (np.flatnonzero(places.any(axis=axis)) for axis in (1, 0))
            at = QPoint(int(np.median(np.nonzero(places)[1])), int(np.median(np.nonzero(places)[0])))
            child = widget.childAt(at) or widget
            box = f"{columns[0]}…{columns[-1]} × {rows[0]}…{rows[-1]}"
            return f"{places.mean():.2%} {role}, {box}, at {at.toTuple()} {type(child).__name__} {child.objectName()}"
    return ""


def test_nothing_keeps_the_looks_of_another_theme(desk: Desk, dressed: QApplication) -> None:
    light, window = load_theme("light").ui, desk.window
    desk.do("theme_light")
    for key in (*window.page_actions, "tensor"):
        window.pages.show_page(key)
        desk.rest()
    dialog = QDialog(window)
    QPushButton("Save", dialog)
    desk.do("theme_dark")
    dressed.processEvents()
    dialog.show()
    for dock in desk.page.docks.values():
        dock.show()
        dock.raise_()
        assert still_looks("light", dock) == "", dock.objectName()
    for key in (*window.page_actions, "tensor"):
        window.pages.show_page(key)
        assert still_looks("light", window) == "", key
    assert share_of(light["accent"], dialog) == 0 < share_of(load_theme("dark").ui["accent"], dialog)
    dialog.deleteLater()
    desk.do("theme_system")


def test_what_was_never_shown_can_be_dressed_anew(desks: Callable[..., Desk], dressed: QApplication) -> None:
    desk = desks(shown=False)
    desk.do("theme_light")
    desk.do("theme_dark")
    desk.window.show()
    dressed.processEvents()
    for part in (desk.window.pages.bar, desk.window.menuBar(), desk.window.statusBar()):
        assert share_of(load_theme("light").ui["window"], part) == 0 < share_of(load_theme("dark").ui["window"], part)
    desk.do("theme_system")


def test_the_theme_of_the_system_is_followed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.do("theme_system")
    assert desk.page.values.theme.name == "light"  # a system that says nothing is light
    monkeypatch.setattr("qviz.gui.kit.theme.resolve", lambda choice: load_theme("dark"))
    desk.app._on_system_theme()
    assert desk.page.values.theme.name == "dark"
    monkeypatch.undo()
    desk.do("theme_light")
    desk.app._on_system_theme()  # no longer asked for
    assert desk.page.values.theme.name == "light"


def test_a_closed_dock_comes_back_with_the_menu_and_with_the_layout(desk: Desk) -> None:
    docks = desk.page.docks
    desk.click(docks["metrics"].title.close_button)
    assert docks["metrics"].isHidden()
    docks["metrics"].toggleViewAction().trigger()
    assert docks["metrics"].isVisible()

    for key in ("metrics", "values", "table"):
        docks[key].close()
    docks["error"].setFloating(True)
    desk.do("reset_layout")
    hidden = {key for key, dock in docks.items() if dock.isHidden()}
    assert hidden == {"channels", "heat_map", "worst", "generator"}
    assert not any(dock.isFloating() for dock in docks.values())
    desk.gesture(lambda: desk.do("fewer_bits"))


def test_a_dock_that_floats_is_painted_after_a_restart_on_another_page(
    desks: Callable[..., Desk], tmp_path: Path
) -> None:
    """Its place is restored when the page comes to the front, and a page may not paint in that moment."""
    first = desks(tmp_path / "floating.ini")
    first.window.setUpdatesEnabled(True)
    first.page.docks["values"].setFloating(True)
    first.window.pages.show_page("compare")
    first.close()
    second = desks(tmp_path / "floating.ini")
    second.window.setUpdatesEnabled(True)
    QApplication.processEvents()
    second.window.pages.show_page("tensor")
    QApplication.processEvents()
    dock = second.page.docks["values"]
    assert dock.isFloating()
    assert dock.updatesEnabled()
    dock.setFloating(False)
    QApplication.processEvents()
    assert all(each.updatesEnabled() for each in second.page.docks.values())


def test_resetting_the_layout_keeps_the_channels_when_there_are_some(desk: Desk) -> None:
    desk.gesture(lambda: desk.session.update(granularity=PerAxis(0)))
    desk.page.docks["channels"].close()
    desk.do("reset_layout")
    assert not desk.page.docks["channels"].isHidden()


@pytest.mark.parametrize("size", [(960, 600), (1920, 1080)])
def test_everything_fits_into_the_window(desk: Desk, size: tuple[int, int]) -> None:
    desk.window.resize(*size)
    desk.do("reset_layout")
    QApplication.processEvents()
    assert (desk.window.width(), desk.window.height()) == size
    for key, dock in desk.page.docks.items():
        if dock.isVisible() and not dock.visibleRegion().isEmpty():
            corner = dock.mapTo(desk.window, dock.rect().bottomRight())
            docks = desk.page.docks.items()
            seen = {other: each.minimumSizeHint().width() for other, each in docks if not is_behind_a_tab(each)}
            assert desk.window.rect().contains(corner), f"{key}: {desk.page.minimumWidth()} pixels for {seen}"


# -- dialogs


def answer(monkeypatch: pytest.MonkeyPatch, **answers: object) -> None:
    """What a person would answer to file dialogs."""
    for method, value in answers.items():
        monkeypatch.setattr(QFileDialog, method, lambda *_, value=value: value)


def test_open_asks_for_files(desk: Desk, three: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, getOpenFileNames=([str(path) for path in three[:2]], ""))
    desk.do("open_files")
    desk.rest()
    assert names(desk) == ["given", "first", "second"]
    assert desk.app.settings.get("last_folder") == str(three[0].parent)


def test_the_button_of_the_list_asks_for_files(desk: Desk, three: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, getOpenFileNames=([str(three[2])], ""))
    desk.click(desk.page.tensors.open_button)
    desk.rest()
    assert shown(desk) == "third"


def test_open_folder_asks_for_a_folder(desk: Desk, three: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, getExistingDirectory=str(three[0].parent))
    desk.do("open_folder")
    desk.rest()
    assert names(desk) == ["given", "first", "second", "third"]


def test_quantized_and_original_tensors_are_saved(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, getSaveFileName=(str(tmp_path / "q"), ""))
    desk.do("save_quantized")
    answer(monkeypatch, getSaveFileName=(str(tmp_path / "x"), ""))
    desk.do("save_tensor")
    desk.rest()
    desk.bot.waitUntil(lambda: (tmp_path / "x.npy").exists() and not desk.app.saver._runner.busy)
    frame = desk.page.frame
    x = frame.tensor.values.reshape(6, 30)
    assert np.array_equal(np.load(tmp_path / "x.npy"), x)
    with np.load(tmp_path / "q.npz") as saved_:
        assert np.array_equal(saved_["codes"], quantize(x, frame.whole.qparams))
        assert np.array_equal(saved_["dequantized"], dequantize(saved_["codes"], frame.whole.qparams))
        assert Scheme.from_dict(json.loads(str(saved_["scheme"]))) == frame.scheme
    assert desk.banner.text == "Saved x.npy."


def test_a_quantized_tensor_is_saved_as_the_model_that_was_chosen(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, getSaveFileName=(str(tmp_path / "q"), "ONNX model (*.onnx)"))
    desk.do("save_quantized")
    desk.bot.waitUntil(lambda: (tmp_path / "q.onnx").exists() and not desk.app.saver._runner.busy)
    desk.session.update(bits=5)
    desk.rest()
    answer(monkeypatch, getSaveFileName=(str(tmp_path / "r.onnx"), ""))
    desk.do("save_quantized")
    desk.bot.waitUntil(lambda: desk.banner.text.startswith("ONNX has integers of 2, 4, 8 and 16 bits, not int5"))
    assert not (tmp_path / "r.onnx").exists()


def test_what_cannot_be_saved_is_told(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, getSaveFileName=(str(tmp_path / "gone" / "q.npz"), ""))
    for key in ("save_quantized", "save_tensor", "save_metrics", "save_scheme"):
        desk.banner.clear()
        desk.do(key)
        desk.rest()
        desk.bot.waitUntil(lambda: desk.banner.text != "")
        assert "there is no folder" in desk.banner.text, key


def test_metrics_are_saved_as_json_and_csv(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, getSaveFileName=(str(tmp_path / "m.json"), ""))
    desk.do("save_metrics")
    assert json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))["mse"] == desk.page.frame.shown.mse
    answer(monkeypatch, getSaveFileName=(str(tmp_path / "m"), "CSV (*.csv)"))
    desk.do("save_metrics")
    assert f"mse,{desk.page.frame.shown.mse!r}" in (tmp_path / "m.csv").read_text(encoding="utf-8")


def test_a_scheme_is_saved_and_loaded_again(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scheme = Scheme(IntFormat(3, False), False, PerAxis(0), Percentile(98.5), "textbook")
    desk.gesture(lambda: desk.session.update(scheme=scheme))
    answer(monkeypatch, getSaveFileName=(str(tmp_path / "s"), ""), getOpenFileName=(str(tmp_path / "s.json"), ""))
    desk.do("save_scheme")
    desk.gesture(lambda: desk.do("default_scheme"))
    frame = desk.gesture(lambda: desk.do("load_scheme"))
    assert frame.scheme == scheme


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"bits": 8}', "\x00"])
def test_what_is_no_scheme_is_refused(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(content)
    answer(monkeypatch, getOpenFileName=(str(path), ""))
    desk.do("load_scheme")
    assert desk.banner.text.startswith("wrong.json ")
    assert desk.session.scheme == Scheme()


def test_a_scheme_of_an_axis_that_is_not_there_leaves_a_window_that_works(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "axis.json"
    path.write_text(json.dumps(Scheme(granularity=PerAxis(7)).to_dict()))
    answer(monkeypatch, getOpenFileName=(str(path), ""))
    desk.do("load_scheme")
    desk.bot.waitUntil(lambda: desk.banner.text != "")
    assert "no axis 7" in desk.banner.text
    desk.click(desk.scheme.per.button("tensor"))
    desk.settle()


def test_help_is_there(desk: Desk) -> None:
    for key, word in (("shortcuts", "Ctrl+"), ("about", "MIT")):
        desk.do(key)
        box = desk.window.findChild(QMessageBox)
        assert word in box.text()
        box.close()
        QApplication.sendPostedEvents(box, QEvent.Type.DeferredDelete.value)


def test_every_action_has_a_slot_and_no_key_is_given_twice(desk: Desk) -> None:
    assert set(desk.window.actions_by_key) == {row.key for row in ACTIONS if row.key != "-"}
    keys = [row.keys for row in ACTIONS if row.keys]
    assert len(keys) == len(set(keys))
    assert all(action.text() for action in desk.window.actions_by_key.values())


# -- bugs of qviz itself


def raised(text: str) -> BaseException:
    try:
        raise ZeroDivisionError(text)
    except ZeroDivisionError as error:
        return error


def test_a_bug_is_shown_with_a_report_to_copy_and_the_window_goes_on(desk: Desk) -> None:
    desk.app.crashes.install()
    try:
        with desk.bot.captureExceptions():
            sys.excepthook = desk.app.crashes.report  # what `install` does, were no test listening
            error = raised("in a slot")
            sys.excepthook(type(error), error, error.__traceback__)
    finally:
        desk.app.crashes.uninstall()
    dialog = desk.app.crash_dialog
    assert dialog is not None
    assert dialog.isVisible()
    report = dialog.text.toPlainText()
    assert report.startswith("qviz ")
    assert "PySide6" in report
    assert "ZeroDivisionError: in a slot" in report
    assert "Traceback" in report
    desk.click(dialog.copy_button)
    assert QApplication.clipboard().text() == report
    desk.gesture(lambda: desk.do("fewer_bits"))  # not modal: the window works on

    other = raised("another")
    desk.app.crashes.report(type(other), other, other.__traceback__)
    assert dialog.text.toPlainText() == report  # the first one is the one to tell
    desk.click(dialog.findChild(QDialogButtonBox).button(QDialogButtonBox.StandardButton.Close))
    assert not dialog.isVisible()
    desk.app.crashes.report(type(other), other, other.__traceback__)
    assert "another" in dialog.text.toPlainText()


def test_a_bug_in_a_thread_is_shown_too(desk: Desk) -> None:
    error = raised("in a thread")
    thread = threading.Thread(target=desk.app.crashes.report, args=(type(error), error, error.__traceback__))
    thread.start()
    thread.join()
    desk.bot.waitUntil(lambda: desk.app.crash_dialog is not None and desk.app.crash_dialog.isVisible())
    assert "in a thread" in desk.app.crash_dialog.text.toPlainText()


def test_a_bug_in_a_job_reaches_the_last_resort(desk: Desk) -> None:
    def work(progress: object, cancelled: object) -> None:
        raise ZeroDivisionError("in a job")

    with desk.bot.captureExceptions() as caught:
        desk.app.analyst._runner.submit(Request(desk.session.state.tensor, work))
        desk.bot.waitUntil(lambda: bool(caught))
    assert str(caught[0][1]) == "in a job"
    desk.gesture(lambda: desk.do("fewer_bits"))


# -- for everybody


def test_every_control_says_what_it_is(desk: Desk, three: list[Path]) -> None:
    desk.open(*three)
    for dock in desk.page.docks.values():
        dock.show()
    desk.session.update(granularity=PerAxis(0), range_rule=Percentile(99))
    kinds = (QAbstractButton, QComboBox, QAbstractSpinBox, QAbstractSlider, QLineEdit)
    found = 0
    for widget in desk.window.findChildren(QWidget):
        inside = isinstance(widget.parent(), (QAbstractSpinBox, QComboBox, QLineEdit, QMessageBox))
        qts_own = widget.objectName().startswith("qt_") or type(widget) is QScrollBar or not widget.isVisible()
        if isinstance(widget, kinds) and not inside and not qts_own:
            found += 1
            text = widget.text() if isinstance(widget, (QAbstractButton,)) else ""
            assert widget.accessibleName() or text, (type(widget).__name__, widget.parent())
    assert found > 30


def test_what_has_an_icon_only_has_a_tooltip(desk: Desk) -> None:
    for dock in desk.page.docks.values():
        for button in dock.title.findChildren(QAbstractButton):
            assert button.toolTip()
            assert button.text() or not button.icon().isNull()


def test_tab_reaches_the_controls_of_the_scheme(desk: Desk) -> None:
    desk.scheme.convention.setFocus()
    reached: set[QObject] = set()
    for _ in range(12):
        desk.bot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        reached.add(QApplication.focusWidget())
    panel = desk.scheme
    assert {panel.bits, panel.bits_box, panel.signed, panel.range.kind} <= reached
    assert {panel.mode.button(True), panel.mode.button(False)} & reached


def test_settings_keep_bytes(desk: Desk) -> None:
    desk.app.settings.set("layout", desk.page.layout_state())
    assert isinstance(desk.app.settings.get("layout"), QByteArray)
    assert not desk.app.settings.get("layout").isEmpty()


def test_buttons_of_the_window_are_there(qtbot: QtBot, desk: Desk) -> None:
    texts = {button.text() for button in desk.window.findChildren(QPushButton) if button.isVisible()}
    assert {"Open…", "Generate"} <= texts


@pytest.mark.parametrize(
    ("names", "shown_at_last"), [(["bad.npy"], "generated"), (["bad.npy", "good.npy"], "good.npy")]
)
def test_started_on_a_bad_file_the_page_is_not_left_empty(
    desks: Desks, tmp_path: Path, names: list[str], shown_at_last: str
) -> None:
    (tmp_path / "bad.npy").write_bytes(b"no numbers")
    np.save(tmp_path / "good.npy", np.arange(6.0))
    desk = desks(shown=False)
    desk.app.start([tmp_path / name for name in names])
    desk.bot.waitUntil(lambda: desk.page.frame is not None)
    assert desk.banner.text.startswith("bad.npy ")
    current = desk.session.state.current
    assert shown_at_last in (current.name, current.origin)
