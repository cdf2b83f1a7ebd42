"""How do trainings that came to their end outlive the window? Written and read beside it, one after the other."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.problems import N_, Phrase, Problem
from qviz.session.worker import Worker
from qviz.training.kept import StoredRun, forget_run, keep_run, kept_runs, name_run, prune
from qviz.training.run import Run

log = logging.getLogger(__name__)


class RunKeeper(Worker):
    """Does in order what it is asked; closing waits for what was asked for.

    Signals
    -------
    found(list of StoredRun)
        What was kept before, as `find` asked.
    """

    found = Signal(object)

    def __init__(self, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.folder = folder
        self._waiting: deque[Callable[[], object]] = deque()

    def find(self) -> None:
        """List what was kept before."""

        def find() -> list[StoredRun]:
            prune(self.folder)
            return kept_runs(self.folder)

        self._add(find)

    @Slot(str, str, object)
    def keep(self, key: str, name: str, run: Run) -> None:
        """Write a run that came to its end."""
        self._add(lambda: keep_run(self.folder, key, name, run))

    @Slot(str, str)
    def name(self, key: str, name: str) -> None:
        """Call a run that was kept something."""
        self._add(lambda: name_run(self.folder, key, name))

    @Slot(str)
    def forget(self, key: str) -> None:
        """Remove a run."""
        self._add(lambda: forget_run(self.folder, key))

    def close(self) -> None:
        """Finish what was asked for; a problem can only be logged now."""
        super().close()
        while self._waiting:
            work = self._waiting.popleft()
            try:
                work()
            except (Problem, OSError) as problem:
                log.warning("a training was not kept: %s", problem)

    def _add(self, work: Callable[[], object]) -> None:
        self._waiting.append(work)
        self._next()

    def _next(self) -> None:
        if self._waiting and not self.busy:
            work = self._waiting[0]
            self._submit(work, lambda progress, cancelled: work())
            self._waiting.popleft()

    def _answer(self, key: object, found: list[StoredRun] | None) -> None:
        if found is not None:
            self.found.emit(found)
        self._next()

    def _give_up(self, key: object) -> None:
        self._next()

    def _fail(self, key: object, problem: Problem | None) -> None:
        self._next()

    def _purpose(self, key: object) -> Phrase:
        return Phrase(N_("keeping this training"))
