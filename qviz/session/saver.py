"""How are large results written without holding up the window? One after the other, in a worker."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.problems import N_, Phrase, Problem
from qviz.core.questions.analysis import Analysis
from qviz.core.tensors.tensor import Tensor
from qviz.files.printable import printable
from qviz.session.worker import Worker

log = logging.getLogger(__name__)


class Saver(Worker):
    """Writes what it is given, in order; closing waits for what has begun."""

    saved = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: deque[tuple[Path, Callable[[], None]]] = deque()

    @Slot(object, object)
    def save_quantized(self, path: Path, analysis: Analysis) -> None:
        """Codes and scales, in the form that the ending of the name tells."""
        from qviz.files.writers import save_as

        self._add(path, lambda: save_as(path, analysis))

    @Slot(object, object)
    def save_tensor(self, path: Path, tensor: Tensor) -> None:
        """The values as ``.npy``."""
        from qviz.files.results import save_tensor

        self._add(path, lambda: save_tensor(path, np.asarray(tensor.values[:]).reshape(tensor.shape)))

    def close(self) -> None:
        """Finish what was asked for; a problem can only be logged now."""
        super().close()
        while self._waiting:
            path, work = self._waiting.popleft()
            try:
                work()
            except Problem as problem:
                log.warning("%s was not saved: %s", path, problem)

    def _add(self, path: Path, work: Callable[[], None]) -> None:
        self._waiting.append((path, work))
        self._next()

    def _next(self) -> None:
        if self._waiting and not self.busy:
            path, work = self._waiting.popleft()
            self._submit(path, lambda progress, cancelled: work())

    def _answer(self, key: Path, found: object) -> None:
        self.saved.emit(self.tr("Saved {name}.").format(name=printable(key.name)))
        self._next()

    def _fail(self, key: Path, problem: Problem | None) -> None:
        self._next()

    def _purpose(self, key: Path) -> Phrase:
        return Phrase(N_("saving {name}"), name=printable(key.name))
