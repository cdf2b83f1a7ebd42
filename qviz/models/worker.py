"""How is work done that may crash, write stray files or not be stopped? In a process with a folder of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qviz.core.problems import Problem
from qviz.core.work import Cancelled, IsCancelled, Progress, ignore, never

START = "spawn"
"""How a process begins: anew, so that nothing of this one's threads is in it."""

ASKED_EVERY = 0.05
"""Seconds between two looks at whether the person still wants it."""


def in_worker(
    work: Callable[..., Any],
    *arguments: Any,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
    found: Callable[[Any], None] = lambda item: None,
) -> Any:
    """What ``work(folder, tell, *arguments)`` returns, computed in another process.

    Parameters
    ----------
    work : Callable
        A function of a module. It gets a temporary folder, which is its working directory too and goes with it, and
        ``tell``: a number is progress, anything else is handed to ``found`` at once.
    *arguments : object
        Sent to the process by pickling.
    progress, cancelled : see `qviz.core.work`
        Cancelling kills the process.
    found : Callable
        Is given what the work tells on the way.

    Raises
    ------
    Problem
        What the work raises, or that the process died.
    Cancelled
        When asked to stop; no process is left.
    """
    context: Any = multiprocessing.get_context(START)
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory(prefix="qviz-", ignore_cleanup_errors=True) as folder:
        process = context.Process(target=_serve, args=(theirs, folder), daemon=True)
        try:
            with _out_of_reach():
                process.start()
            theirs.close()
            # Not with the process: where it ends before it has read all that it begins with, `start` waits for ever.
            try:
                ours.send((work, arguments))
            except OSError:
                process.join(5)
                raise _died(process.exitcode) from None
            while True:
                if cancelled():
                    raise Cancelled
                if not ours.poll(ASKED_EVERY):
                    continue
                try:
                    kind, content = ours.recv()
                except (EOFError, OSError):
                    process.join(5)
                    raise _died(process.exitcode) from None
                if kind == "progress":
                    progress(content)
                elif kind == "found":
                    found(content)
                elif kind == "problem":
                    raise content
                elif kind == "bug":
                    raise RuntimeError(content)
                else:
                    return content
        finally:
            if process.pid is not None:  # it has begun
                process.kill()
                process.join()
            process.close()
            ours.close()


@contextmanager
def _out_of_reach() -> Iterator[None]:
    """What begins here never hears of Ctrl+C, which a terminal sends to all: whoever began it ends it.

    Here signals are answered a moment later, when it has begun as a whole; there they would be a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # which lets signals pass again, the first time
    with _answered_later():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _answered_later() -> Iterator[None]:
    """Signals that are blocked in this thread alone may reach another one, and be answered here all the same."""
    held: list[tuple[int, Any]] = []
    handlers: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        known = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
        handlers = {each: handler for each, handler in known.items() if callable(handler)}
    for each in handlers:
        signal.signal(each, lambda number, frame: held.append((number, frame)))
    try:
        yield
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
    for number, frame in held[:1]:
        handlers[signal.Signals(number)](number, frame)


def _died(code: int | None) -> Problem:
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        if name == "SIGKILL":
            return Problem("The system stopped the work on this network, most likely for want of memory: close others.")
        return Problem("ONNX Runtime crashed on this network ({name}): it cannot be run here.", name=name)
    return Problem("The process that worked on this network ended without an answer: try again.")


def _serve(pipe: Any, folder: str) -> None:
    """The other process: nothing is printed, and files go to the folder."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.chdir(folder)
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123  (until the process ends)

    def tell(item: Any) -> None:
        pipe.send(("progress", item) if isinstance(item, float) else ("found", item))

    try:
        work, arguments = pipe.recv()
        answer = "done", work(Path(folder), tell, *arguments)
    except Problem as problem:
        answer = "problem", problem
    except MemoryError:
        answer = "problem", Problem("There is not enough memory for this network: close other programs and try again.")
    except BaseException:
        answer = "bug", traceback.format_exc()
    try:
        pipe.send(answer)
    except Exception:
        pipe.send(("bug", traceback.format_exc()))
    pipe.close()
