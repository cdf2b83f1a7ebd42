"""What does Ctrl+C do where Python cannot raise? While Qt is imported or calls back, the process ends at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


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
