"""What becomes of memory that was let go? The system gets it back, when nothing happens for a while."""

from __future__ import annotations

import ctypes
import linecache
import sys
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core import arrays
from qviz.session.timers import Timers, WindowTimer
from qviz.session.worker import Worker

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Of glibc's ``malloc.h``."""

KEPT_BYTES, MOST_AT_ONCE = 1 << 30, 32 << 20
"""What stays with this process until it rests; larger pieces than the latter the library never keeps."""

QUIET_MILLISECONDS = 2000
"""What is let go while somebody works is needed again."""


def keep_one_arena() -> None:
    """To be called before there are threads.

    glibc gives each thread an arena of its own, keeps up to 64 MB of freed memory at the top of each, and never gives
    that back, not even when it is asked to.
    """
    library = _glibc()
    if library is not None:
        library.mallopt(M_ARENA_MAX, 1)


def keep_freed() -> None:
    """Let memory that was let go be used again, not fetched from the system anew, until it is given back.

    A page that is new costs several times what is written to it, and each answer of a drag has thousands.
    """
    library = _glibc()
    if library is not None:
        library.mallopt(M_MMAP_THRESHOLD, MOST_AT_ONCE)
        library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def give_back() -> None:
    """Holes between what is still held, too."""
    arrays.let_go()
    # PySide reads the source of whatever is imported, to see whether it uses Qt, and Python keeps all these lines.
    linecache.clearcache()
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


class Freed(QObject):
    """Gives back what was let go, some time after it was told for the last time that something was done.

    Signals
    -------
    quiet()
        Nothing was done for a while: whoever keeps what can be made again lets go of it first.
    """

    quiet = Signal()

    def __init__(self, parent: QObject | None = None, *, timers: Timers = WindowTimer) -> None:
        super().__init__(parent)
        self._timer = timers(QUIET_MILLISECONDS, self._on_quiet, self)
        self._workers: list[Worker] = []

    def watch(self, worker: Worker) -> None:
        """Wait for one who answers: beginning counts too, as of one question after the other none is the last."""
        self._workers.append(worker)
        worker.began.connect(self.later)
        worker.ended.connect(self.later)

    @Slot()
    def later(self, *_: object) -> None:
        """Something was done."""
        self._timer.start()

    def close(self) -> None:
        """Nothing is given back any more."""
        self._timer.stop()

    @Slot()
    def _on_quiet(self) -> None:
        if any(worker.busy for worker in self._workers):
            self.later()  # one answer takes as long, as the order of a large tensor does
            return
        self.quiet.emit()
        give_back()


def _glibc() -> Any:
    """The C library, where it is one that has both functions; None elsewhere."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
