"""How long work tells how far it is, and is told to stop."""

from __future__ import annotations

import os
from collections.abc import Callable

Progress = Callable[[float], None]
"""Called with the fraction that is done, 0 to 1."""

IsCancelled = Callable[[], bool]
"""Asked between blocks: NumPy calls cannot be interrupted."""


THREADS = min(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
"""The calling thread and one more: more would be waiting for memory, and windows want to be drawn."""


class Cancelled(Exception):
    """The person did not want the answer any more."""


def ignore(fraction: float) -> None:
    """Progress that nobody watches."""


def never() -> bool:
    """Work that nobody stops."""
    return False


def check(cancelled: IsCancelled) -> None:
    """Stop here if asked to.

    Raises
    ------
    Cancelled
    """
    if cancelled():
        raise Cancelled
