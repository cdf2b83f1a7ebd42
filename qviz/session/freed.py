"""What becomes of memory that was let go? The system gets it back, when nothing happens for a while."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

from PySide6.QtCore import QObject, Slot

from qviz.session.timers import Timers, WindowTimer

M_ARENA_MAX = -8
"""Of glibc's ``malloc.h``."""

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


def give_back() -> None:
    """Holes between what is still held, too."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


class Freed(QObject):
    """Gives back what was let go, some time after it was told for the last time that something was done."""

    def __init__(self, parent: QObject | None = None, *, timers: Timers = WindowTimer) -> None:
        super().__init__(parent)
        self._timer = timers(QUIET_MILLISECONDS, self._on_quiet, self)

    @Slot()
    def later(self, *_: object) -> None:
        """Something was done."""
        self._timer.start()

    def close(self) -> None:
        """Nothing is given back any more."""
        self._timer.stop()

    @Slot()
    def _on_quiet(self) -> None:
        give_back()


def _glibc() -> Any:
    """The C library, where it is one that has both functions; None elsewhere."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
