"""What an answer changes in several charts is painted in one painting of the window."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, Qt, QTimer
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QGraphicsRectItem, QGraphicsScene, QGraphicsView, QHBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from qviz.gui.kit.one_painting import OnePainting
from qviz.session.guard import guarded


@guarded
class Window(QWidget):
    """Counts how often it is painted, with whatever is in it; it has three charts."""

    def __init__(self) -> None:
        super().__init__()
        self.paintings = 0
        self.items: list[QGraphicsRectItem] = []
        self._scenes: list[QGraphicsScene] = []
        layout = QHBoxLayout(self)
        for _ in range(3):
            scene = QGraphicsScene(0, 0, 50, 50)
            self.items.append(scene.addRect(10, 10, 20, 20))
            self._scenes.append(scene)
            layout.addWidget(QGraphicsView(scene))
        self.painting = OnePainting(self)

    def event(self, event: QEvent) -> bool:
        self.paintings += event.type() == QEvent.Type.UpdateRequest
        return super().event(event)

    def change(self, color: Qt.GlobalColor) -> None:
        for item in self.items:
            item.setBrush(QColor(color))

    def is_painted(self, color: Qt.GlobalColor) -> bool:
        """Whether each chart has the colour on the screen."""
        picture = self.screen().grabWindow(self.winId()).toImage()
        spots = [view.mapTo(self, view.mapFromScene(20, 20)) for view in self.findChildren(QGraphicsView)]
        return all(picture.pixelColor(spot) == QColor(color) for spot in spots)


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[Window]:
    made = Window()
    qtbot.addWidget(made)
    made.show()
    qtbot.waitExposed(made)
    QCoreApplication.processEvents()
    made.paintings = 0
    yield made


def take_turns() -> None:
    """What is to be painted gets a turn of the event loop to itself."""
    for _ in range(3):
        QCoreApplication.processEvents()


def test_each_scene_has_the_window_painted(window: Window) -> None:
    """What there is to be gathered: if Qt ever does it by itself, nothing has to."""
    window.change(Qt.GlobalColor.red)
    QCoreApplication.processEvents()
    assert window.paintings == 3
    assert window.is_painted(Qt.GlobalColor.red)


def test_gathered_they_are_painted_once(window: Window) -> None:
    for color in (Qt.GlobalColor.red, Qt.GlobalColor.green):
        window.paintings = 0
        window.change(color)
        window.painting.gather()
        window.painting.gather()
        assert window.painting.is_due()
        take_turns()
        assert window.paintings == 1
        assert not window.painting.is_due()
        assert window.is_painted(color)


def test_it_is_told_once_when_all_is_on_the_screen(window: Window) -> None:
    paintings: list[tuple[int, bool]] = []
    window.painting.painted.connect(lambda: paintings.append((window.paintings, window.painting.is_due())))
    window.change(Qt.GlobalColor.red)
    window.painting.gather()
    assert paintings == []
    take_turns()
    assert paintings == [(1, False)]


def test_a_hand_is_heard_between_an_answer_and_its_painting(window: Window) -> None:
    heard: list[int] = []
    hand = QTimer(window)
    hand.timeout.connect(lambda: heard.append(window.paintings))
    hand.setSingleShot(True)

    def answer() -> None:
        hand.start()
        window.change(Qt.GlobalColor.red)
        window.painting.gather()

    QTimer.singleShot(0, window, answer)
    take_turns()
    assert heard == [0]
    assert window.paintings == 1
    assert window.is_painted(Qt.GlobalColor.red)


def test_what_changes_afterwards_is_painted_as_ever(window: Window) -> None:
    window.painting.gather()
    take_turns()
    assert window.paintings == 0
    window.change(Qt.GlobalColor.blue)
    QCoreApplication.processEvents()
    assert window.is_painted(Qt.GlobalColor.blue)
