"""What must hold while a hand plays, and when it rests?"""

from __future__ import annotations

import faulthandler
import gc
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import psutil
from PySide6.QtCore import QCoreApplication, QDeadlineTimer, QEvent, QEventLoop, QtMsgType, qInstallMessageHandler

from qviz.app.app import App
from qviz.core.problems import Problem
from qviz.core.questions.analysis import analyze
from qviz.core.tensors.tensor import Tensor
from qviz.gui.kit.unseen import let_go_pictures
from qviz.gui.product.page import ProductPage
from qviz.session.freed import give_back
from qviz.session.multiplier import _product

PAUSE_SECONDS = 0.5
"""CPU of the window's thread that one event may take."""

SEEN_AFTER_SECONDS = 0.15
"""An event that takes longer is looked at, in case that it becomes a pause."""

LONG_SECONDS = 10.0
"""How long work is waited for before it is cancelled."""

PATIENCE_SECONDS = 60.0
"""How long work may go on, then, before a monkey thinks that it never ends."""

FORGIVEN = ("This plugin does not support",)
"""What Qt says of the screen in memory."""

FIGURES = ("mse", "mae", "max_abs_error", "sqnr_db", "cosine", "saturated")


class Sampler(threading.Thread):
    """Writes down where the threads are, again and again, as long as one event goes on.

    By `faulthandler`, which holds on to nothing: a frame that is kept would keep its painter.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._began: float | None = None
        self._seen: list[str] = []
        self.start()

    def begin(self) -> None:
        """An event begins."""
        self._seen = []
        self._began = time.monotonic()

    def end(self) -> str:
        """Where it was in the middle, as far as it was long enough to be seen; it is over."""
        self._began = None
        seen = self._seen
        return seen[len(seen) // 2] if seen else ""

    def run(self) -> None:
        """Look ten times a second."""
        with tempfile.TemporaryFile("w+") as file:
            while True:
                time.sleep(0.1)
                began = self._began  # once: it may end at any moment
                if began is not None and time.monotonic() - began > SEEN_AFTER_SECONDS:
                    file.seek(0)
                    file.truncate()
                    faulthandler.dump_traceback(file, all_threads=True)
                    file.seek(0)
                    self._seen.append(file.read())


class Watch:
    """Everything that went wrong, in ``faults``; the longest pause, in ``pauses``."""

    def __init__(self, pause: float = PAUSE_SECONDS) -> None:
        self._pause = pause
        self.faults: list[str] = []
        self.pauses: list[tuple[float, str]] = []
        self._sampler = Sampler()

    def install(self) -> None:
        """Listen to Python and to Qt."""
        sys.excepthook = self._exception
        threading.excepthook = lambda failure: self._exception(
            failure.exc_type, failure.exc_value or RuntimeError(), failure.exc_traceback
        )
        sys.unraisablehook = lambda failure: self._exception(
            failure.exc_type, failure.exc_value or RuntimeError(str(failure.err_msg)), failure.exc_traceback
        )
        qInstallMessageHandler(self._message)

    def uninstall(self) -> None:
        sys.excepthook, sys.unraisablehook = sys.__excepthook__, sys.__unraisablehook__
        threading.excepthook = threading.__excepthook__
        qInstallMessageHandler(None)

    def told(self, error: BaseException) -> None:
        """Something that Python would have told."""
        self._exception(type(error), error, error.__traceback__)

    def _exception(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self.faults.append("".join(traceback.format_exception(kind, error, trace)))

    def _message(self, kind: QtMsgType, context: object, text: str) -> None:
        if not text.startswith(FORGIVEN):
            where = "".join(traceback.format_stack()[-6:-1])
            self.faults.append(f"{kind.name}: {text}\n{where}")

    def timed(self, what: str, act: Callable[[], object]) -> None:
        """Do something, and measure how long it holds the window."""
        self._sampler.begin()
        began = time.thread_time()
        try:
            act()
        finally:
            where = self._sampler.end()
        took = time.thread_time() - began
        if took > self._pause:
            self.pauses.append((took, what))
            print(f"a pause of {took:.2f} s of CPU: {what}\n{where}", flush=True)


def workers_of(app: App) -> list[Any]:
    """Everyone who has a thread."""
    return [app.library._opener, *app.workers]


def rest(app: App, watch: Watch | None = None, *, seconds: float = PATIENCE_SECONDS) -> bool:
    """Wait until nobody works, and measure each turn of the loop; False where that takes too long."""
    deadline = QDeadlineTimer(int(seconds * 1000))
    quiet = 0
    while quiet < 3:
        if deadline.hasExpired():
            return False
        if watch is None:
            _turn()
        else:
            watch.timed("waiting until nobody works", _turn)
        busy = any(worker.busy for worker in workers_of(app)) or bool(app.library._to_open)
        busy = busy or app.window.saving.exporting.busy
        busy = busy or app.page._rest.active  # what nobody sees is painted one after the other
        quiet = 0 if busy else quiet + 1
        if busy:
            time.sleep(0.002)
    return True


def _turn() -> None:
    QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)


def _says_that_there_is_no_answer(app: App) -> bool:
    """Whether there is none, and what is painted is pale and called out of date: some ranges end beyond float32."""
    state = app.session.state
    try:
        analyze(state.tensor, state.scheme)
        return False
    except Problem:
        charts = [chart for chart in app.page.charts if chart.isVisible() and chart is not app.page.speed]
        pale = not app.page.metrics.isEnabled() and app.window.status.exactness.text().startswith("out of date")
        return pale and all(chart.note.startswith("out of date") for chart in charts)


def at_rest(app: App) -> list[str]:
    """What does not hold, now that nobody works."""
    state, frame, wrong = app.session.state, app.page.frame, []
    if state.tensor is None or frame is None:
        return ["there is no tensor, or no answer for it"]
    shown = (frame.tensor, frame.scheme, frame.channel)
    if shown != (state.tensor, state.scheme, state.channel):
        if _says_that_there_is_no_answer(app):
            return []
        wrong.append(f"what is painted belongs to {shown}, not to {(state.tensor, state.scheme, state.channel)}")
        return wrong
    for chart in app.page.charts:
        analysis = getattr(chart, "analysis", None)
        # What is behind a tab follows when it comes to the front.
        seen = chart.isVisible() and app.page._can_show(chart.name)
        if analysis is not None and seen and analysis not in (frame.whole, frame.shown):
            wrong.append(f"the chart {chart.name} shows {analysis.scheme} of {analysis.tensor.name}")
    if frame.whole.exact and not frame.range_judged and state.tensor.elements <= 1_000_000:
        values = np.asarray(state.tensor.values[:]).reshape(state.tensor.shape)
        fresh = analyze(Tensor(values, dtype=state.tensor.dtype), state.scheme)
        for name in FIGURES:
            here, there = float(getattr(frame.whole, name)), float(getattr(fresh, name))
            if not np.isclose(here, there, rtol=1e-6, atol=1e-300, equal_nan=True):
                wrong.append(f"{name} is {here}, and {there} when computed anew")
    return wrong + _product_at_rest(app)


def _product_at_rest(app: App) -> list[str]:
    """What the Product page paints is the product of what is chosen there, unless it says that it is not."""
    page = app.window.pages.current
    if not isinstance(page, ProductPage) or not page.figures.isEnabled() or page._multiplier.last is None:
        return []
    shown, factors = page._multiplier.last, page._multiplier.factors
    wrong = [f"the chart {chart.name} shows another product" for chart in page.charts if chart.product is not shown]
    fresh, _ = _product(factors, {}, lambda share: None, lambda: False)
    for name in ("mse", "max_abs_error", "cosine"):
        here, there = float(getattr(shown.loss, name)), float(getattr(fresh.loss, name))
        if not np.isclose(here, there, rtol=1e-6, atol=1e-300, equal_nan=True):
            wrong.append(f"{name} of the product is {here}, and {there} when computed anew")
    return wrong


def undo_and_redo(app: App) -> list[str]:
    """Back to the start and forth again, as if nothing had been."""
    history, scheme = app.session.history, app.session.scheme
    undone_before = history.can_redo
    steps = 0
    while history.can_undo and steps < 10_000:
        history.undo()
        steps += 1
    if history.can_undo:
        return ["undo never ends"]
    for _ in range(steps):
        history.redo()
    if history.can_redo != undone_before:
        return [f"after {steps} steps of undo and as many of redo there is more to redo"]
    return [] if app.session.scheme == scheme else [f"undone and redone, {scheme} became {app.session.scheme}"]


def memory() -> float:
    """Megabytes that are really held at rest; pages of libraries, which the system can drop and read again, are not."""
    gc.collect()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    gc.collect()
    let_go_pictures()
    give_back()
    held = psutil.Process().memory_info()
    return (held.rss - getattr(held, "shared", 0)) / 1e6


def temporary_files(folder: Path) -> list[str]:
    """What a save left behind."""
    return [f"{path.name} was left behind" for path in folder.rglob(".qviz-*")]
