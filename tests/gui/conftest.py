"""One dressed QApplication for all, and a fresh window with its hands for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyqtgraph as pg
import pytest
import shiboken6
from PySide6.QtCore import QCoreApplication, QEvent, QPoint, QPointF, QSize, Qt
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from qviz.app.app import App, make_application
from qviz.core.questions.analysis import Analysis, analyze
from qviz.core.questions.effort import Limits
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.tensor import Tensor
from qviz.gui.charts.base import Chart, LinkedCursor
from qviz.gui.kit import theme
from qviz.gui.kit.gc_pause import building
from qviz.gui.tensor.charts import CHARTS
from qviz.gui.window.main_window import MainWindow
from qviz.session.frame import Frame
from qviz.session.library import FIRST_SPEC
from qviz.session.settings import Settings
from qviz.session.state import Item, State

WINDOW = QSize(1440, 900)
"""The screen in memory is smaller than anybody's: a window is made as large as on a laptop."""

PATIENCE = 30_000
"""Milliseconds until a test gives up waiting; nothing ever waits that long unless it is broken."""


@pytest.fixture(scope="session")
def qapp_cls() -> Callable[[list[str]], QApplication]:
    return make_application


@pytest.fixture(scope="session", autouse=True)
def dressed(qapp: QApplication) -> QApplication:
    """The application as `run` makes it, whoever was the first to make one."""
    if qapp.font().family() != "Inter":  # some platforms have the style without being asked
        qapp.setStyle("Fusion")
        theme.load_fonts(qapp)
    theme.apply(qapp, theme.load_theme("light"))
    pg.setConfigOption("mouseRateLimit", -1)  # a test's hand is quicker than a person's
    qapp.setCursorFlashTime(0)  # what is painted depends on no clock
    return qapp


class Mouse:
    """A pointer that presses, drags and lets go, over any widget."""

    def __init__(self, widget: QWidget) -> None:
        self.widget = widget
        self._held = Qt.MouseButton.NoButton

    def move(self, position: QPoint) -> None:
        self._send(QEvent.Type.MouseMove, position, Qt.MouseButton.NoButton)

    def press(self, position: QPoint) -> None:
        self._held = Qt.MouseButton.LeftButton
        self._send(QEvent.Type.MouseButtonPress, position, Qt.MouseButton.LeftButton)

    def release(self, position: QPoint) -> None:
        self._held = Qt.MouseButton.NoButton
        self._send(QEvent.Type.MouseButtonRelease, position, Qt.MouseButton.LeftButton)

    def click(self, position: QPoint) -> None:
        self.press(position)
        self.release(position)

    def double_click(self, position: QPoint) -> None:
        self.click(position)
        self._held = Qt.MouseButton.LeftButton
        self._send(QEvent.Type.MouseButtonDblClick, position, Qt.MouseButton.LeftButton)
        self.release(position)

    def drag(self, start: QPoint, *stations: QPoint) -> None:
        self.move(start)
        self.press(start)
        for station in stations:
            self.move(station)
        self.release(stations[-1])

    def _send(self, kind: QEvent.Type, position: QPoint, button: Qt.MouseButton) -> None:
        there = QPointF(self.widget.mapToGlobal(position))
        event = QMouseEvent(kind, QPointF(position), there, button, self._held, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(self.widget, event)


def mouse_over(chart: Chart) -> Mouse:
    """The pointer above a chart's canvas."""
    return Mouse(chart.canvas.viewport())


def spot(chart: Chart, x: float, y: float | None = None) -> QPoint:
    """Where a point of the chart's own units is on its canvas; half way up when ``y`` is not given."""
    if y is None:
        low, high = chart.view.viewRange()[1]
        y = (low + high) / 2
    return chart.canvas.mapFromScene(chart.view.mapViewToScene(QPointF(x, y)))


class Desk:
    """A running window, and what a test does with it."""

    def __init__(self, app: App, qtbot: QtBot) -> None:
        self.app = app
        self.bot = qtbot
        self.paints = True
        self.session, self.window, self.page = app.session, app.window, app.page
        self.scheme, self.banner = app.page.scheme, app.window.banner
        self.changes: list[tuple[State, State]] = []
        self.frames: list[Frame] = []
        app.session.changed.connect(self._on_changed)
        app.analyst.answered.connect(self._on_answered)

    def _on_changed(self, old: State, new: State) -> None:
        self.changes.append((old, new))

    def _on_answered(self, frame: Frame) -> None:
        self.frames.append(frame)

    def settle(self) -> Frame:
        """Wait until the page shows what the session says; the frame that it shows."""
        self.bot.waitUntil(self._is_settled, timeout=PATIENCE)
        assert self.page.frame is not None
        return self.page.frame

    def _is_settled(self) -> bool:
        frame, state = self.page.frame, self.session.state
        shown = frame and (frame.tensor, frame.scheme, frame.channel)
        return not self.app.analyst.busy and shown == (state.tensor, state.scheme, state.channel)

    def show(self, array: object, name: str = "given", **scheme: Any) -> Frame:
        """Put a tensor of the test's own on the page."""
        return self._show(array, name, self.session.state.items, **scheme)

    def _show(self, array: object, name: str, items: tuple[Item, ...], **changes: Any) -> Frame:
        tensor = Tensor(np.asarray(array), name)
        item = Item(name, "a test", tensor.shape, tensor.dtype, lambda progress, cancelled: tensor)
        self.session.update(items=(*items, item), current=item, tensor=tensor, **changes)
        frame = self.settle()
        self.changes.clear()
        self.frames.clear()
        return frame

    def gesture(self, act: Callable[[], object]) -> Frame:
        """Do something that changes the session exactly once; the frame that follows from it."""
        self.changes.clear()
        act()
        assert len(self.changes) == 1, [new for _, new in self.changes]
        return self.settle()

    def open(self, *paths: Path) -> None:
        """Open files, and wait until they are listed and the first of them is shown or refused."""
        self.app.library.open(list(paths))
        self.rest()

    def rest(self) -> None:
        """Wait until nobody opens, reads, analyzes or saves any more."""
        library, app = self.app.library, self.app
        runners = (library, library._opener, app.saver, app.preparer, app.loss_curves)
        self.bot.waitUntil(
            lambda: not any(r.busy for r in runners) and not app.analyst.busy and not library._to_open,
            timeout=PATIENCE,
        )

    def press(self, widget: QWidget, *keys: Qt.Key) -> None:
        """Give a widget the focus and type keys."""
        widget.setFocus()
        for key in keys:
            self.bot.keyClick(widget, key)

    def type(self, box: QWidget, text: str) -> None:
        """Replace what stands in a box, and confirm it."""
        box.setFocus()
        self.bot.keyClick(box, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
        # keyClicks knows no other letters than those of a terminal. What is long nobody types letter by letter.
        for part in text if len(text) < 100 else (text,):
            for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
                QApplication.sendEvent(box, QKeyEvent(kind, 0, Qt.KeyboardModifier.NoModifier, part))
        self.bot.keyClick(box, Qt.Key.Key_Return)

    def click(self, widget: QWidget, position: QPoint | None = None) -> None:
        """Click a widget, in its middle unless told."""
        self.bot.mouseClick(widget, Qt.MouseButton.LeftButton, pos=position or widget.rect().center())

    def do(self, key: str) -> None:
        """Choose a menu entry; charts that it exports are written when this returns."""
        action = self.window.actions_by_key[key]
        assert action.isEnabled(), key
        action.trigger()
        self.exported()

    def exported(self) -> None:
        """Wait until every chart that was to be exported is written."""
        self.bot.waitUntil(lambda: not self.window.saving.exporting.busy, timeout=60_000)

    def tidy(self, values: Any = None) -> None:
        """As it came up on ``values``, but for what a person cannot see; painted once, when all is done."""
        self.window.setUpdatesEnabled(False)
        try:
            self._tidy(SMALL if values is None else values)
        finally:
            self.window.setUpdatesEnabled(self.paints)
        QApplication.processEvents()
        self.changes.clear()
        self.frames.clear()

    def _tidy(self, values: Any) -> None:
        app, session, page, window = self.app, self.session, self.page, self.window
        self.rest()
        window.pages.show_page("tensor")
        app.pins.clear()
        app.settings._store.clear()
        if page.values.theme.name != "light":
            self.do("theme_light")
        if window.actions_by_key["log_counts"].isChecked():
            self.do("log_counts")
        app.memory.retain(())
        self._show(values, "given", (), scheme=Scheme(), channel=None, selected=None)  # one answer to present
        session.history.clear()
        window._refresh_actions(session.state)
        app.meter.cancel()
        self.banner.clear()
        for widget in (window.overlay, app.crash_dialog):
            if widget is not None:
                widget.hide()
        page.tensors.filter.clear()
        page.speed.forget()
        hidden = {key for key, dock in page.docks.items() if dock.isHidden()}
        if window.size() != WINDOW:
            window.resize(WINDOW)
            QApplication.processEvents()
            hidden = set()
        if hidden != {"channels", "heat_map", "worst", "generator"} or any(
            dock.isFloating() for dock in page.docks.values()
        ):
            page.reset_layout()
        window.activateWindow()
        window.setFocus()
        for chart in page.charts:
            chart.reset_view()

    def close(self) -> None:
        """Close the window, as a person does; every thread is joined."""
        self.window.close()
        pools = [r._pool for r in runners_of(self.app)]
        assert [p.activeThreadCount() for p in pools] == [0] * len(pools)


def runners_of(app: App) -> list[Any]:
    """Everything that has a thread."""
    library = app.library
    return [library._opener._runner, *(worker._runner for worker in app.workers)]


@pytest.fixture
def desks(
    request: pytest.FixtureRequest, qtbot: QtBot, tmp_path: Path, desk_of_the_module: list[Desk]
) -> Iterator[Callable[..., Desk]]:
    """Makes windows; every one is closed, joined and deleted at the end."""
    made: list[Desk] = []

    def make(settings: Path | None = None, *, shown: bool = True, limits: Limits | None = None) -> Desk:
        made.append(open_desk(qtbot, settings or tmp_path / "s.ini", shown=shown, limits=limits))
        made[-1].window.setUpdatesEnabled(is_painted(request))
        return made[-1]

    while desk_of_the_module:  # dressing one window dresses all there are
        put_away(desk_of_the_module.pop())
    yield make
    for desk in made:
        put_away(desk)


def is_painted(request: pytest.FixtureRequest) -> bool:
    """Whether somebody looks at the window of a test."""
    return request.node.get_closest_marker("unpainted") is None


def application() -> QApplication:
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    return app


def open_desk(bot: QtBot, settings: Path, *, shown: bool = True, limits: Limits | None = None) -> Desk:
    with building():
        desk = Desk(App(Settings(settings), limits=limits), bot)
    desk.window.resize(WINDOW)
    if shown:
        desk.window.show()
        bot.waitExposed(desk.window)
    return desk


def put_away(desk: Desk) -> None:
    """Close, join and delete a window."""
    desk.close()
    desk.window.deleteLater()
    desk.app.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    assert not shiboken6.isValid(desk.window)
    if not any(isinstance(widget, MainWindow) for widget in QApplication.topLevelWidgets()):
        # The next window dresses itself, and is built in half the time.
        application().setStyleSheet("")


SMALL = np.random.default_rng(3).normal(0, 1, (6, 30)).astype(np.float32)
"""6 channels of 30 elements, few enough for each to be seen."""


@pytest.fixture
def new_desk(desks: Callable[..., Desk]) -> Desk:
    """A window of a test's own on a small tensor, to be closed."""
    desk = desks()
    desk.show(SMALL)
    return desk


@pytest.fixture(scope="module")
def desk_of_the_module(qapp: QApplication, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Desk]]:
    kept: list[Desk] = []
    yield kept
    for desk in kept:
        put_away(desk)


@pytest.fixture
def used_desk(
    request: pytest.FixtureRequest,
    qtbot: QtBot,
    desk_of_the_module: list[Desk],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Desk]:
    """A window as another test left it, to be tidied."""
    if not desk_of_the_module:
        desk_of_the_module.append(open_desk(qtbot, tmp_path_factory.mktemp("settings") / "s.ini"))
    (desk,) = desk_of_the_module
    desk.bot = qtbot
    desk.paints = is_painted(request)
    yield desk
    desk.app.loss_curves._give_way()  # nobody waits for them any more
    desk.rest()


@pytest.fixture
def desk(used_desk: Desk) -> Desk:
    """A window on a small tensor, that has been in use before: as it came up, once it is tidied."""
    used_desk.tidy()
    return used_desk


@pytest.fixture
def started(desks: Callable[..., Desk]) -> Desk:
    """A window as it comes up: on the generated tensor."""
    desk = desks(shown=False)
    desk.app.start()
    desk.bot.waitUntil(lambda: desk.session.state.tensor is not None, timeout=PATIENCE)
    desk.settle()
    assert desk.session.state.current.spec == FIRST_SPEC
    return desk


class Gallery:
    """Every chart alone, without a window."""

    def __init__(self) -> None:
        self.link = LinkedCursor()
        with building():
            self.charts = {kind.name: kind(self.link) for kind in CHARTS}
        for chart in self.charts.values():
            chart.resize(640, 400)
            chart.apply_theme(theme.load_theme("light"))
            chart.show()

    def __getitem__(self, name: str) -> Any:
        return self.charts[name]

    def present(self, x: object, scheme: Scheme | None = None) -> Analysis:
        """Show a tensor in every chart, and paint them all."""
        analysis = analyze(x, scheme or Scheme())
        for chart in self.charts.values():
            chart.present(analysis)
        QApplication.processEvents()
        return analysis

    def column(self, chart: str, column: str, table: str = "") -> np.ndarray[Any, Any]:
        """A column of the data that a chart draws."""
        return np.asarray(self.charts[chart].tables()[table].columns[column])

    def tidy(self) -> None:
        """As it was before a test played with it; a new tensor does the rest."""
        self.link.moved.emit(None, None)
        for name in ("values", "transfer"):
            self[name].point_to(None)
        for name in ("distribution", "error"):
            self[name].set_logarithmic(False)
        for name in ("channels", "heat_map"):
            self[name].choose(None)
        self["speed"].forget()
        for chart in self.charts.values():
            chart.apply_theme(theme.load_theme("light"))
            chart.reset_view()

    def close(self) -> None:
        for chart in self.charts.values():
            chart.close()
            chart.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


@pytest.fixture(scope="module")
def gallery_of_the_module(dressed: QApplication) -> Iterator[Gallery]:
    gallery = Gallery()
    yield gallery
    gallery.close()


@pytest.fixture
def gallery(qtbot: QtBot, gallery_of_the_module: Gallery) -> Gallery:
    """Charts that may have shown something before: so they do in the window."""
    gallery_of_the_module.tidy()
    return gallery_of_the_module


@pytest.fixture
def new_gallery(qtbot: QtBot) -> Iterator[Gallery]:
    """Charts that have not shown anything yet."""
    gallery = Gallery()
    yield gallery
    gallery.close()
