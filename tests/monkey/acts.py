"""What can a hand do to a window? Each act is a plain list, so that a script of them can be printed and repeated."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PySide6.QtCore import QCoreApplication, QEvent, QMimeData, QObject, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import (
    QContextMenuEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDockWidget,
    QLineEdit,
    QMenu,
    QTabBar,
    QWidget,
)
from shiboken6 import isValid

from qviz.app.app import App

Act = list[Any]
Path_ = list[list[Any]]

TEXTS = (
    "", "-", "0", "1", "-1", "7", "64, 512", "0, 5", "1x1", "2147483647", "2147483648", "-2147483649",
    "1e38", "1e400", "-1e-45", "nan", "inf", "0.0000001", "99,9", "1,000", "9" * 5000, "名前", "<b>x</b>", "\u202e a",
    "a" * 300, "\x1b[2J", "weight", "conv", "'; --",
)  # fmt: skip
"""What somebody types into a box."""

KEYS = (
    "Tab", "Backtab", "Escape", "Return", "Enter", "Space", "Backspace", "Delete", "Left", "Right", "Up", "Down",
    "Home", "End", "PageUp", "PageDown", "F1", "F2", "F5", "A", "B", "E", "M", "P", "S", "X", "Plus", "Minus", "Comma",
    "0", "1", "2", "3", "4", "5", "9",
)  # fmt: skip

LEFT, RIGHT, NO = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.MouseButton.NoButton
BUTTONS = {"left": LEFT, "right": RIGHT, "middle": Qt.MouseButton.MiddleButton}
MODIFIERS = {
    "": Qt.KeyboardModifier.NoModifier,
    "ctrl": Qt.KeyboardModifier.ControlModifier,
    "shift": Qt.KeyboardModifier.ShiftModifier,
    "both": Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier,
}

NEVER, QUIT = {"quit"}, QKeySequence("Ctrl+Q")
"""Actions that would end the game."""


class Hands:
    """Chooses acts by chance, and performs them.

    Parameters
    ----------
    app : App
    files : list of Path
        What may be dropped and opened; folders and files that are not there, too.
    chance : random.Random
    """

    def __init__(self, app: App, files: list[Path], chance: random.Random) -> None:
        self.app, self.files, self.chance = app, files, chance
        self._kinds: dict[str, tuple[int, Callable[[], Act | None]]] = {
            "action": (10, self._choose_action),
            "page": (4, lambda: ["page", chance.choice(list(self.app.window.page_actions))]),
            "drop": (4, self._choose_drop),
            "click": (18, self._choose_click),
            "drag": (10, self._choose_drag),
            "wheel": (6, self._choose_wheel),
            "key": (10, self._choose_key),
            "type": (6, self._choose_type),
            "pick": (8, self._choose_pick),
            "slide": (4, self._choose_slide),
            "press": (12, self._choose_press),
            "context": (3, self._choose_context),
            "hover": (5, self._choose_hover),
            "dock": (3, self._choose_dock),
            "window": (1, lambda: ["window", chance.randint(960, 1900), chance.randint(600, 1100)]),
            "theme": (1, lambda: ["action", f"theme_{chance.choice(('light', 'dark', 'system'))}"]),
            "undo": (3, lambda: ["undo", chance.choice(("undo", "redo")), chance.randint(1, 6)]),
            "tensor": (3, self._choose_tensor),
            "wait": (5, lambda: ["wait", chance.choice((1, 5, 30, 120))]),
        }

    def choose(self) -> Act:
        """The next act, that can be done now."""
        while True:
            weights = [weight for weight, _ in self._kinds.values()]
            (kind,) = self.chance.choices(list(self._kinds), weights)
            act = self._kinds[kind][1]()
            if act is not None:
                return act

    def perform(self, act: Act) -> None:
        """Do it; one whose widget is no longer there is left out."""
        kind, *how = act
        getattr(self, f"_do_{kind}")(*how)

    # -- which widgets there are

    def _visible(self, kind: type | tuple[type, ...] = QWidget) -> list[QWidget]:
        return [widget for widget in _widgets() if isinstance(widget, kind) and widget.isEnabled()]

    def _one(self, kind: type | tuple[type, ...] = QWidget) -> QWidget | None:
        found = self._visible(kind)
        return self.chance.choice(found) if found else None

    def _spot(self, widget: QWidget) -> list[int]:
        return [self.chance.randint(0, max(0, side - 1)) for side in (widget.width(), widget.height())]

    # -- choosing

    def _choose_action(self) -> Act | None:
        able = [key for key, a in self.app.window.actions_by_key.items() if a.isEnabled() and key not in NEVER]
        menus = [key for key in able if self.app.window.actions_by_key[key].menu() is not None]
        key = self.chance.choice(able)
        if key in menus:
            return ["menu", key, self.chance.randint(0, 30)]
        return ["action", key]

    def _choose_drop(self) -> Act | None:
        widget = self._one()
        files = self.chance.sample(self.files, self.chance.choice((1, 1, 1, 2, 3)))
        return ["drop", path_of(widget), [str(f) for f in files], self.chance.random() < 0.9] if widget else None

    def _choose_click(self) -> Act | None:
        widget = self._one()
        if widget is None:
            return None
        button = self.chance.choices(list(BUTTONS), (8, 1, 1))[0]
        return [
            "click", path_of(widget), self._spot(widget), button, self.chance.choice(("", "", "", "ctrl", "shift")),
            self.chance.random() < 0.15,
        ]  # fmt: skip

    def _choose_drag(self) -> Act | None:
        from qviz.gui.charts.plot import Canvas

        widget = self._one(Canvas) if self.chance.random() < 0.7 else self._one()
        if widget is None:
            return None
        if isinstance(widget, Canvas):
            widget = widget.viewport()
        stations = [self._spot(widget) for _ in range(self.chance.randint(2, 5))]
        return ["drag", path_of(widget), stations, self.chance.choices(list(BUTTONS), (8, 2, 1))[0]]

    def _choose_wheel(self) -> Act | None:
        widget = self._one()
        turn = self.chance.choice((-1200, -120, 120, 240))
        if widget is None:
            return None
        return ["wheel", path_of(widget), self._spot(widget), turn, self.chance.choice(list(MODIFIERS))]

    def _choose_key(self) -> Act | None:
        widget = QApplication.focusWidget() if self.chance.random() < 0.6 else self._one()
        if widget is None:
            return None
        modifier = self.chance.choices(list(MODIFIERS), (7, 2, 1, 1))[0]
        return ["key", path_of(widget), self.chance.choice(KEYS), modifier]

    def _choose_type(self) -> Act | None:
        widget = self._one((QLineEdit, QAbstractSpinBox, QComboBox))
        if widget is None:
            return None
        return ["type", path_of(widget), self.chance.choice(TEXTS), self.chance.choice(("Return", "Tab", ""))]

    def _choose_pick(self) -> Act | None:
        widget = self._one((QComboBox, QTabBar, QAbstractItemView))
        return ["pick", path_of(widget), self.chance.randint(0, 40)] if widget else None

    def _choose_slide(self) -> Act | None:
        widget = self._one(QAbstractSlider)
        return ["slide", path_of(widget), self.chance.random()] if widget else None

    def _choose_press(self) -> Act | None:
        widget = self._one(QAbstractButton)
        return ["press", path_of(widget)] if widget else None

    def _choose_context(self) -> Act | None:
        widget = self._one()
        return ["context", path_of(widget), self._spot(widget)] if widget else None

    def _choose_hover(self) -> Act | None:
        widget = self._one()
        return ["hover", path_of(widget), [self._spot(widget) for _ in range(3)]] if widget else None

    def _choose_dock(self) -> Act | None:
        page = self.app.window.pages.current
        docks = page.findChildren(QDockWidget) if isinstance(page, QWidget) else []
        if not docks:
            return None
        how = self.chance.choice(("toggle", "toggle", "float", "raise", "left", "right"))
        return ["dock", path_of(self.chance.choice(docks)), how]

    def _choose_tensor(self) -> Act | None:
        count = len(self.app.session.state.items)
        return ["tensor", self.chance.randint(0, count - 1), self.chance.random() < 0.3] if count else None

    # -- performing

    def _do_action(self, key: str) -> None:
        action = self.app.window.actions_by_key[key]
        if action.isEnabled():
            action.trigger()

    def _do_menu(self, key: str, at: int) -> None:
        menu = self.app.window.actions_by_key[key].menu()
        if isinstance(menu, QMenu):
            menu.aboutToShow.emit()
            _trigger(menu, at)

    def _do_page(self, key: str) -> None:
        self.app.window.page_actions[key].trigger()

    def _do_drop(self, place: Path_, files: list[str], drops: bool) -> None:
        mime = QMimeData()
        mime.setUrls([QUrl.fromLocalFile(file) for file in files])
        window = self.app.window
        how = (Qt.DropAction.CopyAction, mime, LEFT, Qt.KeyboardModifier.NoModifier)
        spot = QPoint(window.width() // 2, window.height() // 2)
        QApplication.sendEvent(window, QDragEnterEvent(spot, *how))
        QApplication.sendEvent(window, QDragMoveEvent(spot, *how))
        if drops:
            QApplication.sendEvent(window, QDropEvent(QPointF(spot), *how))
        else:
            QApplication.sendEvent(window, QDragLeaveEvent())

    def _do_click(self, place: Path_, spot: list[int], button: str, modifier: str, twice: bool) -> None:
        widget = find(place)
        if widget is None:
            return
        kinds = [QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease]
        if twice:
            kinds += [QEvent.Type.MouseButtonDblClick, QEvent.Type.MouseButtonRelease]
        for kind in kinds:
            _mouse(place, kind, spot, BUTTONS[button], modifier)
        if button == "right":
            _context(place, spot)

    def _do_drag(self, place: Path_, stations: list[list[int]], button: str) -> None:
        held = BUTTONS[button]
        _mouse(place, QEvent.Type.MouseMove, stations[0], NO)
        # What was pressed gets the rest, wherever a dock may have gone with it: the screen sees to that.
        grabbed = find(place)
        if grabbed is None or not grabbed.isEnabled():
            return
        _send(grabbed, QEvent.Type.MouseButtonPress, stations[0], held, held)
        for station in stations[1:]:
            if isValid(grabbed):
                _send(grabbed, QEvent.Type.MouseMove, station, NO, held)
            QCoreApplication.processEvents()
        if isValid(grabbed):
            _send(grabbed, QEvent.Type.MouseButtonRelease, stations[-1], held, NO)

    def _do_wheel(self, place: Path_, spot: list[int], turn: int, modifier: str) -> None:
        widget = find(place)
        if widget is None:
            return
        there = QPoint(*spot)
        event = QWheelEvent(
            QPointF(there), QPointF(widget.mapToGlobal(there)), QPoint(), QPoint(0, turn), NO, MODIFIERS[modifier],
            Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(widget, event)

    def _do_key(self, place: Path_, key: str, modifier: str) -> None:
        widget = find(place)
        if widget is None:
            return
        code = getattr(Qt.Key, f"Key_{key}")
        text = key if len(key) == 1 and not modifier else ""
        if modifier == "ctrl" and key in ("Q",):
            return
        widget.setFocus()
        for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
            target = find(place)
            if target is not None:
                QApplication.sendEvent(target, QKeyEvent(kind, code, MODIFIERS[modifier], text))

    def _do_type(self, place: Path_, text: str, end: str) -> None:
        widget = find(place)
        if widget is None:
            return
        widget.setFocus()
        line = widget if isinstance(widget, QLineEdit) else widget.findChild(QLineEdit)
        if line is None or line.isReadOnly():
            return
        line.selectAll()
        line.insert(text)
        line.textEdited.emit(line.text())
        if end:
            self._do_key(place, end, "")

    def _do_pick(self, place: Path_, at: int) -> None:
        widget = find(place)
        if isinstance(widget, QComboBox) and widget.count():
            entry = widget.model().index(at % widget.count(), widget.modelColumn(), widget.rootModelIndex())
            if entry.flags() & Qt.ItemFlag.ItemIsEnabled:  # what lies between the others, no hand can choose
                widget.setCurrentIndex(entry.row())
                widget.activated.emit(entry.row())
        elif isinstance(widget, QTabBar) and widget.count():
            widget.setCurrentIndex(at % widget.count())
        elif isinstance(widget, QAbstractItemView) and widget.model() is not None:
            rows, columns = widget.model().rowCount(), widget.model().columnCount()
            if rows and columns:
                index = widget.model().index(at % rows, at % columns)
                widget.setCurrentIndex(index)
                widget.clicked.emit(index)

    def _do_slide(self, place: Path_, share: float) -> None:
        widget = find(place)
        if isinstance(widget, QAbstractSlider):
            widget.setValue(round(widget.minimum() + share * (widget.maximum() - widget.minimum())))

    def _do_press(self, place: Path_) -> None:
        widget = find(place)
        if isinstance(widget, QAbstractButton):
            widget.click()

    def _do_context(self, place: Path_, spot: list[int]) -> None:
        _context(place, spot)

    def _do_hover(self, place: Path_, stations: list[list[int]]) -> None:
        for station in stations:
            _mouse(place, QEvent.Type.MouseMove, station, NO)

    def _do_dock(self, place: Path_, how: str) -> None:
        dock = find(place, visible=False)
        if not isinstance(dock, QDockWidget):
            return
        if how == "toggle":
            dock.toggleViewAction().trigger()
        elif how == "float":
            dock.setFloating(not dock.isFloating())
        elif how == "raise":
            dock.raise_()
        elif not dock.isFloating():
            area = Qt.DockWidgetArea.LeftDockWidgetArea if how == "left" else Qt.DockWidgetArea.RightDockWidgetArea
            owner: Any = dock.parentWidget()
            if hasattr(owner, "addDockWidget"):
                owner.addDockWidget(area, dock)

    def _do_window(self, width: int, height: int) -> None:
        self.app.window.resize(width, height)

    def _do_undo(self, key: str, times: int) -> None:
        for _ in range(times):
            self._do_action(key)

    def _do_tensor(self, at: int, closes: bool) -> None:
        items = self.app.session.state.items
        if items:
            item = items[at % len(items)]
            (self.app.library.close_item if closes else self.app.library.choose)(item)

    def _do_wait(self, milliseconds: int) -> None:
        from PySide6.QtCore import QDeadlineTimer, QEventLoop

        deadline = QDeadlineTimer(milliseconds)
        while not deadline.hasExpired():
            QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents, 5)


# -- finding widgets again


def _widgets() -> Iterator[QWidget]:
    for top in QApplication.topLevelWidgets():
        if top.isVisible():
            yield top
            for widget in top.findChildren(QWidget):
                if widget.isVisible() and not widget.isWindow():
                    yield widget


def path_of(widget: QWidget) -> Path_:
    """Classes and places among their kind, from the window down."""
    steps: Path_ = []
    here: QObject | None = widget
    while isinstance(here, QWidget):
        parent = None if here.isWindow() else here.parent()
        kin = [w for w in _kin(parent) if type(w) is type(here)]
        steps.insert(0, [type(here).__name__, kin.index(here) if here in kin else 0])
        here = parent
    return steps


def _kin(parent: QObject | None) -> list[QWidget]:
    if parent is None:
        return [w for w in QApplication.topLevelWidgets() if w.isVisible()]
    return [w for w in parent.children() if isinstance(w, QWidget) and not w.isWindow()]


def find(place: Path_, *, visible: bool = True) -> QWidget | None:
    """The widget of a path, if there is one."""
    here: QWidget | None = None
    for name, at in place:
        kin = [w for w in _kin(here) if type(w).__name__ == name]
        if at >= len(kin):
            return None
        here = kin[at]
    return here if here is not None and (here.isVisible() or not visible) else None


def _mouse(place: Path_, kind: QEvent.Type, spot: list[int], button: Qt.MouseButton, modifier: str = "") -> None:
    widget = find(place)
    if widget is not None and widget.isEnabled():
        presses = kind in (QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonDblClick)
        _send(widget, kind, spot, button, button if presses else NO, modifier)


def _send(
    widget: QWidget, kind: QEvent.Type, spot: list[int], button: Qt.MouseButton, held: Qt.MouseButton,
    modifier: str = "",
) -> None:  # fmt: skip
    there = QPoint(*spot)
    globally = QPointF(widget.mapToGlobal(there))
    QApplication.sendEvent(widget, QMouseEvent(kind, QPointF(there), globally, button, held, MODIFIERS[modifier]))


def _context(place: Path_, spot: list[int]) -> None:
    widget = find(place)
    if widget is not None:
        there = QPoint(*spot)
        event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, there, widget.mapToGlobal(there))
        QApplication.sendEvent(widget, event)


def _trigger(menu: QMenu, at: int) -> None:
    entries = [a for a in menu.actions() if a.isEnabled() and not a.isSeparator() and a.shortcut() != QUIT]
    if entries:
        entry = entries[at % len(entries)]
        below = entry.menu()
        if isinstance(below, QMenu):
            below.aboutToShow.emit()
            _trigger(below, at // len(entries))
        else:
            entry.trigger()


def answer_popups(chance: random.Random) -> None:
    """Menus and dialogs that are open get an answer, by chance."""
    for _ in range(4):
        popup = QApplication.activePopupWidget()
        if isinstance(popup, QMenu):
            _trigger(popup, chance.randint(0, 60)) if chance.random() < 0.7 else None
            popup.close()
        elif popup is not None:
            popup.close()
        else:
            break
    modal: Any = QApplication.activeModalWidget()
    if modal is not None:
        buttons = [b for b in modal.findChildren(QAbstractButton) if b.isVisible() and b.isEnabled()]
        if buttons and chance.random() < 0.8:
            chance.choice(buttons).click()
        else:
            modal.close()
