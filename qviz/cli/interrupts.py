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
    """End the process by the signal itself, without a word, instead of raising KeyboardInterrupt.

    In the middle of an import of Shiboken, or of a paint event, that exception is a crash; in the middle of any
    other import, a traceback. Where somebody else decides what the signal does, as ``nohup`` does, it stays so.
    """
    ours = threading.current_thread() is threading.main_thread()
    ours = ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        if ours and signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def cleared_up() -> Iterator[None]:
    """A process that is asked to end (SIGTERM, as `timeout` sends it) ends its workers and removes their folders."""

    def leave(*_: object) -> None:
        sys.exit(EXIT_TERMINATED)

    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        if ours and signal.getsignal(signal.SIGTERM) is leave:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
