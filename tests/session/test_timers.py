"""A timer of the window fires once, after it was started for the last time, and not when it was stopped."""

from __future__ import annotations

from PySide6.QtCore import QObject, Slot
from pytestqt.qtbot import QtBot

from qviz.session.timers import WindowTimer
from tests.session.conftest import until


class Owner(QObject):
    def __init__(self) -> None:
        super().__init__()
        self.rang = 0

    @Slot()
    def ring(self) -> None:
        self.rang += 1


def test_it_fires_once_and_can_be_started_again(qtbot: QtBot) -> None:
    owner = Owner()
    timer = WindowTimer(1, owner.ring, owner)
    assert not timer.active
    for times in (1, 2):
        timer.start()
        assert timer.active
        until(qtbot, lambda times=times: owner.rang == times)
        assert not timer.active


def test_a_stopped_one_does_not_fire(qtbot: QtBot) -> None:
    owner, other = Owner(), Owner()
    timer, later = WindowTimer(0, owner.ring, owner), WindowTimer(1, other.ring, other)
    timer.start()
    timer.stop()
    assert not timer.active
    later.start()
    until(qtbot, lambda: other.rang == 1)
    assert owner.rang == 0


def test_another_time_is_kept(qtbot: QtBot) -> None:
    owner = Owner()
    timer = WindowTimer(1 << 30, owner.ring, owner)
    timer.start()
    timer.start(0)
    until(qtbot, lambda: owner.rang == 1)
