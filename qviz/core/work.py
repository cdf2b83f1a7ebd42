"""How long work tells how far it is, and is told to stop."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

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


def in_order(work: Callable[[Item], Answer], items: Iterable[Item]) -> Iterator[Answer]:
    """What ``work`` makes of each, one after the other as they come, found in two threads ahead of who takes them.

    The items are taken in the calling thread, few of them ahead.
    """
    if THREADS == 1:
        yield from map(work, items)
        return
    ahead: deque[Future[Answer]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for item in items:
            # NumPy's errors are handled as they are here.
            ahead.append(pool.submit(copy_context().run, work, item))
            if len(ahead) > THREADS:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
