"""How long work tells how far it is, and is told to stop."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

Progress = Callable[[float], None]
"""Called with the fraction that is done, 0 to 1."""

IsCancelled = Callable[[], bool]
"""Asked between blocks: NumPy calls cannot be interrupted."""


THREADS = min(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
"""The calling thread and one more: more would be waiting for memory, and windows want to be drawn."""


HELPERS = 8
"""Threads that help: several may ask at a time, as beside a window."""

_helpers = ThreadPoolExecutor(HELPERS, "helper")
"""They stay: to start a thread takes several times as long as to wake one. One helps whoever asks first."""


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


# --- beside others -------------------------------------------------------------------------------------

_company: ContextVar[Callable[[], bool]] = ContextVar("company", default=never)


@contextmanager
def beside(busy: Callable[[], bool]) -> Iterator[None]:
    """What is done here goes on beside another thread of Python: while that is ``busy``, it gets by with one thread.

    A third one would keep the other from its processor, and every return to Python is a wait for it.
    """
    token = _company.set(busy)
    try:
        yield
    finally:
        _company.reset(token)


def in_company() -> bool:
    """Whether another thread has a better use for a processor at the moment: a window that is painted, say."""
    return _company.get()()


# --- in several threads --------------------------------------------------------------------------------


def begin_beside(work: Callable[[Item], Answer], item: Item) -> Future[Answer]:
    """Have it done in another thread, as soon as one has time; NumPy's errors are handled there as they are here."""
    return _helpers.submit(copy_context().run, work, item)


def in_two_threads(work: Callable[[Item], Answer], one: Item, other: Item) -> tuple[Answer, Answer]:
    """What ``work`` makes of both: of one in this thread, of the other beside it, or where nobody helps after it."""
    if THREADS == 1 or in_company():
        return work(one), work(other)
    helping = begin_beside(work, other)
    try:
        answer = work(one)
    except BaseException:
        if not helping.cancel():
            wait([helping])  # nothing goes on behind the back of who is told
        raise
    return answer, work(other) if helping.cancel() else helping.result()


def share(some: Callable[[tuple[int, int]], Answer], count: int, *, least: int, unit: int = 1) -> tuple[Answer, ...]:
    """Have what there are many of done from one place to before another, in two threads where there are enough.

    Parameters
    ----------
    some : Callable[[tuple of int], Answer]
        Asked for each of the parts.
    least : int
        Fewer are done before a second thread has begun.
    unit : int
        Both parts but the last begin after a whole number of so many.

    Returns
    -------
        The answers of one part or two.
    """
    middle = count // 2 // unit * unit
    if count < least or THREADS == 1 or in_company():
        return (some((0, count)),)
    return in_two_threads(some, (0, middle), (middle, count))


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
