"""How do trainings that came to their end outlive the window? Written and read beside it, one after the other."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.problems import N_, Phrase
from qviz.session.in_order import InOrder
from qviz.training.kept import StoredRun, forget_run, keep_run, kept_runs, name_run, prune
from qviz.training.run import Run


class RunKeeper(InOrder):
    """Writes and reads what is kept, in the order that it is asked to.

    Signals
    -------
    found(list of StoredRun)
        What was kept before, as `find` asked.
    """

    found = Signal(object)

    def __init__(self, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.folder = folder

    def find(self) -> None:
        """List what was kept before."""

        def find() -> list[StoredRun]:
            prune(self.folder)
            return kept_runs(self.folder)

        self._add(None, find)

    @Slot(str, str, object)
    def keep(self, key: str, name: str, run: Run) -> None:
        """Write a run that came to its end."""
        self._add(None, lambda: keep_run(self.folder, key, name, run))

    @Slot(str, str)
    def name(self, key: str, name: str) -> None:
        """Call a run that was kept something."""
        self._add(None, lambda: name_run(self.folder, key, name))

    @Slot(str)
    def forget(self, key: str) -> None:
        """Remove a run."""
        self._add(None, lambda: forget_run(self.folder, key))

    def _answer(self, key: object, found: list[StoredRun] | None) -> None:
        if found is not None:
            self.found.emit(found)
        super()._answer(key, found)

    def _purpose(self, key: object) -> Phrase:
        return Phrase(N_("keeping this training"))
