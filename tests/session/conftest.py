"""What every test of a session needs: to hear signals, and to hold a worker until it is let go."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, SignalInstance
from pytestqt.qtbot import QtBot

from qviz.core.work import IsCancelled, Progress, check
from qviz.session.worker import Worker

PATIENCE = 30.0
"""Seconds until a worker gives up; nothing ever waits that long unless it is broken."""


class Heard:
    """The signals of an object in the order they came, as (name, arguments)."""

    def __init__(self, sender: object, *names: str) -> None:
        self.all: list[tuple[str, tuple[Any, ...]]] = []
        self.threads: set[int] = set()
        self._slots: list[Callable[..., None]] = []
        for name in names:
            signal: SignalInstance = getattr(sender, name)
            self._slots.append(self._slot(name))
            signal.connect(self._slots[-1])

    def _slot(self, name: str) -> Callable[..., None]:
        def hear(*arguments: Any) -> None:
            self.threads.add(threading.get_ident())
            self.all.append((name, arguments))

        return hear

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.all]

    def of(self, name: str) -> list[Any]:
        """What came with one signal: its only argument, or all of them, or None."""
        return [(a[0] if len(a) == 1 else a or None) for n, a in self.all if n == name]


class HandTimer:
    """Fires when a test says so, if it was started."""

    def __init__(self, milliseconds: int, slot: Callable[[], None]) -> None:
        self.milliseconds = milliseconds
        self.active = False
        self.starts = 0
        self._slot = slot

    def start(self, milliseconds: int | None = None) -> None:
        if milliseconds is not None:
            self.milliseconds = milliseconds
        self.active = True
        self.starts += 1

    def stop(self) -> None:
        self.active = False

    def fire(self) -> None:
        assert self.active
        self.active = False
        self._slot()


class HandTimers:
    """Makes timers that no clock moves, and knows them all."""

    def __init__(self) -> None:
        self.all: list[HandTimer] = []

    def __call__(self, milliseconds: int, slot: Callable[[], None], owner: QObject) -> HandTimer:
        self.all.append(HandTimer(milliseconds, slot))
        return self.all[-1]

    @property
    def active(self) -> bool:
        return any(timer.active for timer in self.all)

    def fire(self) -> None:
        """Nothing has happened for as long as any of them waits."""
        for timer in self.all:
            if timer.active:
                timer.fire()

    def settle(self, bot: QtBot, *workers: Worker) -> None:
        """Until nothing is under way, nor waits for a moment of rest."""
        settle(bot, *workers)
        while self.active:
            self.fire()
            settle(bot, *workers)


def until(bot: QtBot, true: Callable[[], bool]) -> None:
    """Let the window live until something is so."""
    bot.waitUntil(true, timeout=int(1000 * PATIENCE))


def settle(bot: QtBot, *workers: Worker) -> None:
    """Until nothing is under way, and what comes next would begin at once."""
    runners = [worker._runner for worker in workers]
    until(bot, lambda: not any(runner.busy or runner.resting for runner in runners))


class Work:
    """A worker's job that a test watches and lets go; it looks at the cancel flag once, at its end."""

    def __init__(self, answer: object = None, *, held: bool = False, deaf: bool = False) -> None:
        self.answer, self.deaf = answer, deaf
        self.began, self.let_go = threading.Event(), threading.Event()
        self.calls = 0
        self.ended = False
        if not held:
            self.let_go.set()

    def __call__(self, progress: Progress, cancelled: IsCancelled) -> Any:
        self.calls += 1
        self.thread = threading.get_ident()
        self.began.set()
        assert self.let_go.wait(PATIENCE)
        if not self.deaf:
            check(cancelled)
        if isinstance(self.answer, BaseException):
            raise self.answer
        self.ended = True
        return self.answer

    def until_cancelled(self, progress: Progress, cancelled: IsCancelled) -> None:
        """Go on until somebody cancels."""
        self.began.set()
        while not cancelled():
            self.let_go.wait(0.001)
        self.ended = True
        check(cancelled)
