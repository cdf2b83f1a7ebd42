"""Is nothing kept of windows that nobody sees, and are they painted as before when they are shown again?"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPoint, QSize
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QComboBox, QDockWidget, QLabel, QMainWindow, QMenu, QWidget
from pytestqt.qtbot import QtBot

from qviz.gui.kit.unseen import SMALLEST, let_go_pictures


def size_of(widget: QWidget) -> QSize:
    return widget.backingStore().size()


def test_what_is_shown_again_is_painted_anew(qtbot: QtBot) -> None:
    window, box, menu = QMainWindow(), QComboBox(), QMenu()
    qtbot.addWidget(window)
    qtbot.addWidget(menu)
    box.addItems([f"entry {n}" for n in range(20)])
    menu.addAction("an entry")
    window.setCentralWidget(box)
    dock = QDockWidget("a dock", window)
    dock.setWidget(QLabel("some text"))
    dock.setFloating(True)
    window.resize(400, 300)
    window.show()
    listed = box.view().window()
    shows: list[tuple[QWidget, Callable[[], object]]] = [
        (listed, box.showPopup),
        (menu, lambda: menu.popup(QPoint(0, 0))),
        (dock, dock.show),
    ]
    for widget, show in shows:

        def painted(widget: QWidget = widget) -> bool:
            return widget.isVisible() and widget.backingStore() is not None and size_of(widget) == widget.size()

        def picture(widget: QWidget = widget) -> QImage:
            return widget.screen().grabWindow(widget.winId()).toImage()

        show()
        qtbot.waitUntil(painted)
        widget.hide()
        show()  # where the list was open before, a row is marked
        qtbot.waitUntil(painted)
        let_go_pictures()
        assert painted(), "it is in sight"
        before = picture()
        widget.hide()
        let_go_pictures()
        assert size_of(widget) == SMALLEST
        assert size_of(window) == window.size()
        show()
        qtbot.waitUntil(painted)
        qtbot.waitUntil(lambda before=before, picture=picture: picture() == before)
        widget.hide()
