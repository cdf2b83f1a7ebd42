"""What do Ctrl+C and SIGTERM do? Where Python cannot raise, the process ends at once; elsewhere it clears up first."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

EXIT_TERMINATED = 128 + signal.SIGTERM
"""As a shell tells of a process that the signal ended."""


@contextmanager
def at_once() -> Iterator[None]:
    """End the process by the signal itself, without a word, instead of raising KeyboardInterrupt or SystemExit.

    In the middle of an import of Shiboken, or of a paint event, these exceptions are a crash; in the middle of any
    other import, a traceback. Where somebody else decides what a signal does, as ``nohup`` does, it stays so.
    """
    ours = {}
    if threading.current_thread() is threading.main_thread():
        known = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
        ours = {each: handler for each, handler in known.items() if handler in (signal.default_int_handler, _leave)}
    for each in ours:
        signal.signal(each, signal.SIG_DFL)
    try:
        yield
    finally:
        for each, handler in ours.items():
            if signal.getsignal(each) is signal.SIG_DFL:
                signal.signal(each, handler)


def _leave(*_: object) -> None:
    sys.exit(EXIT_TERMINATED)


@contextmanager
def cleared_up() -> Iterator[None]:
    """A process that is asked to end (SIGTERM, as `timeout` sends it) ends its workers and removes their folders."""
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        if ours and signal.getsignal(signal.SIGTERM) is _leave:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
