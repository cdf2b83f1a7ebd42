"""How is everything that was asked for done, one after the other, even when the window closes meanwhile?"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject

from qviz.core.problems import Problem
from qviz.session.worker import Worker

log = logging.getLogger(__name__)


class InOrder(Worker):
    """Does all that it is asked, in order; closing finishes what was asked for."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: deque[tuple[object, Callable[[], object]]] = deque()

    def close(self) -> None:
        """Finish what was asked for; a problem can only be logged now."""
        super().close()
        while self._waiting:
            _, work = self._waiting.popleft()
            try:
                work()
            except (Problem, OSError) as problem:
                log.warning("not done at the end: %s", problem)

    def _add(self, key: object, work: Callable[[], object]) -> None:
        self._waiting.append((key, work))
        self._next()

    def _next(self) -> None:
        if self._waiting and not self.busy:
            # taken where it is done: a request that never began leaves its work to `close`
            self._submit(self._waiting[0][0], lambda progress, cancelled: self._waiting.popleft()[1]())

    def _answer(self, key: Any, found: Any) -> None:
        self._next()

    def _give_up(self, key: object) -> None:
        self._next()

    def _fail(self, key: Any, problem: Problem | None) -> None:
        self._next()
