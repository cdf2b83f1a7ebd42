"""How does the window end when a terminal or the system asks it to? As if a person had closed it."""

from __future__ import annotations

import signal
import socket
from types import FrameType

from PySide6.QtCore import QObject, QSocketNotifier, Slot
from PySide6.QtWidgets import QApplication, QWidget

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))
"""Ctrl+C, the end of the session, a terminal that was closed."""


class Ending(QObject):
    """Closes a window on such a signal: what it remembers is saved, its threads are joined.

    Python looks for signals between two of its own steps, and there are none while Qt waits: so the
    signal wakes Qt through a socket. A second one ends the process at once.
    """

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self._reading, self._writing = socket.socketpair()
        for end in (self._reading, self._writing):
            end.setblocking(False)
        self._before_wake = signal.set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)
        self._before = {
            each: signal.signal(each, self._on_signal) for each in SIGNALS if signal.getsignal(each) != signal.SIG_IGN
        }
        self._notifier = QSocketNotifier(self._reading.fileno(), QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._close)

    def uninstall(self) -> None:
        """Signals do what they did before."""
        self._notifier.setEnabled(False)
        signal.set_wakeup_fd(self._before_wake)
        for each, handler in self._before.items():
            signal.signal(each, handler)
        self._reading.close()
        self._writing.close()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)

    @Slot()
    def _close(self) -> None:
        self._notifier.setEnabled(False)
        self._window.close()
        QApplication.exit(0)  # out of dialogs that wait, too
