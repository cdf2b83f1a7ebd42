"""Pages along the top: one in front, the others made when they are first looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, Qt, Signal
from PySide6.QtWidgets import QApplication, QLabel, QMainWindow, QMenu, QTabBar
from pytestqt.qtbot import QtBot

from qviz.core import PerAxis, PerBlock, Scheme
from qviz.gui.charts.base import Chart
from qviz.gui.charts.page import Closing, Job, Page, Subject
from qviz.gui.kit.docks import Dock, is_behind_a_tab
from qviz.gui.kit.theme import Theme, load_theme
from qviz.gui.window.navigation import PageRow, Pages
from qviz.session.history import History
from qviz.session.settings import Settings
from tests.gui.conftest import Desk

pytestmark = pytest.mark.unpainted


class SomePage(QLabel):
    """A page that remembers how it was dressed."""

    export_requested = Signal(object, str)
    copy_requested = Signal(object)
    problem = Signal(str)
    notice = Signal(str)
    step_name, ready = "step", True

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.themes: list[str] = []
        self.charts: tuple[Chart, ...] = ()
        self.history = History(None, lambda value: value, self)
        self.workers: tuple[Closing, ...] = ()
        self.jobs: tuple[Job, ...] = ()

    def apply_theme(self, theme: Theme) -> None:
        self.themes.append(theme.name)

    def subject(self, chart: Chart) -> Subject:
        return Subject()

    def copy_figures(self) -> None: ...

    def reset_layout(self) -> None: ...

    def remember(self, settings: Settings) -> None: ...

    def recall(self, settings: Settings) -> None: ...


class Shelf:
    """Three pages and the order in which they were made."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.pages = Pages(
            {name: PageRow(name.title(), f"{name}?", self._maker(name)) for name in ("one", "two", "three")}
        )

    def _maker(self, name: str) -> Callable[[], Page]:
        def make() -> Page:
            self.made.append(name)
            return SomePage(name)

        return make


@pytest.fixture
def shelf(qtbot: QtBot) -> Iterator[Shelf]:
    shelf = Shelf()
    yield shelf
    shelf.pages.deleteLater()


def test_the_first_page_is_made_at_once_and_the_others_when_they_are_shown(shelf: Shelf, qtbot: QtBot) -> None:
    assert (shelf.made, shelf.pages.current_key, shelf.pages.current.text()) == (["one"], "one", "one")
    with qtbot.waitSignal(shelf.pages.shown) as shown:
        shelf.pages.show_page("two")
    assert (shelf.made, shown.args, shelf.pages.current.text()) == (["one", "two"], ["two"], "two")
    shelf.pages.show_page("one")
    shelf.pages.show_page("two")
    shelf.pages.show_page("none of them")
    assert (shelf.made, shelf.pages.current_key, shelf.pages.count()) == (["one", "two"], "two", 3)


def test_a_page_is_dressed_as_the_window_is_when_it_comes_to_the_front(shelf: Shelf) -> None:
    first = shelf.pages.current
    shelf.pages.apply_theme(load_theme("dark"))
    shelf.pages.show_page("two")
    shelf.pages.show_page("three")
    shelf.pages.apply_theme(load_theme("light"))
    assert (first.themes, shelf.pages.current.themes) == (["dark"], ["dark", "light"])
    shelf.pages.show_page("two")
    shelf.pages.show_page("three")
    assert (first.themes, shelf.pages.current.themes) == (["dark"], ["dark", "light"])
    shelf.pages.show_page("one")
    assert first.themes == ["dark", "light"]


def test_each_page_has_a_tab_an_entry_and_keys_that_say_what_it_answers(shelf: Shelf) -> None:
    bar, menu = shelf.pages.bar, QMenu()
    actions = shelf.pages.fill_menu(menu)
    assert [bar.tabText(i) for i in range(3)] == ["One", "Two", "Three"]
    assert [bar.accessibleTabName(i) for i in range(3)] == ["One: one?", "Two: two?", "Three: three?"]
    assert bar.tabToolTip(1) == "two?  (Ctrl+2)"
    assert [a.shortcut().toString() for a in actions.values()] == ["Ctrl+1", "Ctrl+2", "Ctrl+3"]
    assert list(actions) == ["one", "two", "three"]
    actions["three"].trigger()
    assert shelf.pages.current_key == "three"
    assert bar.currentIndex() == 2


def test_arrow_keys_turn_the_pages(shelf: Shelf, qtbot: QtBot) -> None:
    qtbot.keyClick(shelf.pages.bar, Qt.Key.Key_Right)
    assert shelf.pages.current_key == "two"


def test_one_page_needs_no_tabs(qtbot: QtBot) -> None:
    pages = Pages({"one": PageRow("One", "one?", lambda: SomePage("one"))})
    assert pages.bar.isHidden()
    pages.deleteLater()


def test_the_page_is_remembered(desks: Callable[..., Desk], tmp_path: Path) -> None:
    path = tmp_path / "settings.ini"
    desk = desks(path)
    assert desk.window.pages.current_key == "tensor"
    assert desk.window.pages.current is desk.page
    desk.window.close()
    assert Settings(path).get("page") == "tensor"


def test_no_tab_is_cut_off_whichever_is_chosen(shelf: Shelf) -> None:
    bar = shelf.pages.bar
    widths = set()
    for key in ("one", "two", "three"):
        shelf.pages.show_page(key)
        widths.add(bar.sizeHint().width())
    assert len(widths) == 1
    assert bar.minimumSizeHint().width() == widths.pop()
    assert not bar.usesScrollButtons()


def _places(desk: Desk) -> dict[str, tuple[int, int]]:
    return {name: (dock.width(), dock.height()) for name, dock in desk.page.docks.items() if dock.isVisible()}


def test_a_layout_that_was_left_on_another_page_is_there_when_its_page_is_shown(
    desks: Callable[..., Desk], tmp_path: Path, qtbot: QtBot
) -> None:
    path = tmp_path / "settings.ini"
    first = desks(path)
    qtbot.wait(50)
    before = _places(first)
    first.window.pages.show_page("product")
    first.window.close()
    saved = Settings(path).get("layout")
    second = desks(path)
    assert second.window.pages.current_key == "product"
    QApplication.processEvents()  # what is left to do at a start is done: nobody is quicker
    assert second.page.layout_state() == saved
    second.window.pages.show_page("tensor")
    qtbot.wait(50)
    after = _places(second)
    assert after.keys() == before.keys()
    for name, size in before.items():
        assert after[name] == pytest.approx(size, abs=8), name


def test_the_left_docks_are_no_wider_than_they_have_to_be(desk: Desk) -> None:
    assert desk.page.docks["scheme"].minimumSizeHint().width() <= 272
    assert desk.page.scheme.minimumSizeHint().width() <= 272


def test_no_bar_of_tabs_lies_over_the_charts(desk: Desk) -> None:
    stray = QTabBar(desk.page)
    for title in ("Error histogram", "Worst"):
        stray.addTab(title)
    stray.show()
    QCoreApplication.postEvent(desk.page, QEvent(QEvent.Type.LayoutRequest))
    desk.bot.waitUntil(lambda: not stray.isVisible())
    assert [bar.tabText(0) for bar in desk.page.findChildren(QTabBar) if bar.isVisible() and bar.parent() is desk.page]
    own = next(bar for bar in desk.page.findChildren(QTabBar) if bar.isVisible() and bar.parent() is desk.page)
    for at in range(stray.count() - 1, -1, -1):
        stray.removeTab(at)
    for at in range(own.count()):
        stray.addTab(own.tabText(at))
    stray.move(300, 300)
    stray.show()  # of the same group, and elsewhere
    QCoreApplication.postEvent(desk.page, QEvent(QEvent.Type.LayoutRequest))
    desk.bot.waitUntil(lambda: not stray.isVisible())
    assert own.isVisible()
    stray.deleteLater()


def covered(desk: Desk) -> list[tuple[str, ...]]:
    """Which parts of the first page lie over each other, or beyond it."""
    docks = [dock for dock in desk.page.docks.values() if dock.isVisible() and not is_behind_a_tab(dock)]
    beyond = [(dock.objectName(),) for dock in docks if not desk.page.rect().contains(dock.geometry())]
    return beyond + [
        (dock.objectName(), other.objectName())
        for at, dock in enumerate(docks)
        for other in docks[at + 1 :]
        if dock.geometry().intersects(other.geometry())
    ]


def test_parts_of_the_first_page_never_cover_each_other_whichever_stand_in_front(desk: Desk) -> None:
    """The heat map's buttons and the loss ask for more than what shares a place with them: the page scrolls, then."""
    for width in (desk.window.minimumWidth(), 1024, 1130):
        desk.window.resize(width, 640)
        for scheme in (Scheme(), Scheme(granularity=PerBlock(-1, 10)), Scheme(granularity=PerAxis(0))):
            desk.session.update(scheme=scheme)
            desk.settle()
            for name in ("loss", "heat_map", "channels", "transfer"):
                desk.page.docks[name].raise_()
                desk.bot.waitUntil(lambda: not covered(desk))
        if width > desk.window.minimumWidth():  # what stands in front again has room enough
            desk.bot.waitUntil(lambda width=width: desk.page.width() <= width)


@pytest.mark.parametrize("key", ["product", "model", "training"])
def test_a_page_that_is_wider_than_the_window_scrolls_and_no_dock_covers_another(desk: Desk, key: str) -> None:
    desk.window.resize(desk.window.minimumSize())
    desk.window.pages.show_page(key)
    QApplication.processEvents()
    page: Any = desk.window.pages.current
    page.reset_layout()
    QApplication.processEvents()
    assert page.width() >= page.minimumSizeHint().width()
    for room in (page, *page.findChildren(QMainWindow)):
        docks = [dock for dock in room.findChildren(Dock) if dock.parent() is room and dock.isVisible()]
        seen = [dock for dock in docks if not is_behind_a_tab(dock)]
        for at, dock in enumerate(seen):
            assert room.rect().contains(dock.geometry()), dock.objectName()
            for other in seen[at + 1 :]:
                assert not dock.geometry().intersects(other.geometry()), (dock.objectName(), other.objectName())
