"""When has nothing happened for a while? Timers of the window, or others that a test lets fire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from PySide6.QtCore import QObject, QTimer


class Timer(Protocol):
    """Fires once, some time after it was started for the last time."""

    @property
    def active(self) -> bool:
        """Whether it is going to fire."""

    def start(self, milliseconds: int | None = None) -> None:
        """Begin to wait, or begin anew; for another time from now on, where one is given."""

    def stop(self) -> None:
        """Do not fire."""


Timers = Callable[[int, Callable[[], None], QObject], Timer]
"""Makes a timer of so many milliseconds that calls a slot of its owner."""


class WindowTimer:
    """A timer of the thread that its owner lives in."""

    def __init__(self, milliseconds: int, slot: Callable[[], None], owner: QObject) -> None:
        self._timer = QTimer(owner)
        self._timer.setSingleShot(True)
        self._timer.setInterval(milliseconds)
        self._timer.timeout.connect(slot)

    @property
    def active(self) -> bool:
        return self._timer.isActive()

    def start(self, milliseconds: int | None = None) -> None:
        if milliseconds is not None:
            self._timer.setInterval(milliseconds)
        self._timer.start()

    def stop(self) -> None:
        self._timer.stop()
