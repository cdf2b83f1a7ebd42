"""Does the window stay alive while bits and clip lines are dragged, with one scale and many, up to 10⁸ elements?"""

from __future__ import annotations

import gc
import math
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PySide6.QtCore import QEventLoop, QObject, Qt, QThread, QTimer, Signal, Slot
from PySide6.QtWidgets import QApplication

from qviz.app.app import App, make_application
from qviz.core import compiler
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import Granularity, PerAxis, PerBlock, PerTensor, PerToken
from qviz.core.tensors.tensor import Tensor
from qviz.gui.kit.one_painting import OnePainting
from qviz.session.frame import Frame
from qviz.session.settings import Settings
from tests.benchmarks.engine import Promise, Verdict

SIDE = 4096
LARGE = 10**8
SECONDS = 10.0

SCREEN_MILLISECONDS, HAND_MILLISECONDS = 16, 8
"""How often something is dragged: as often as a screen is painted; and as often as a mouse tells of it."""

ALL_BITS = tuple(range(2, 17))
AROUND_8_BITS = (8, 7, 8, 9)

SETTLE_MILLISECONDS = 1500
"""Rest before a drag, so that what came before is over."""

GRANULARITIES: tuple[Granularity, ...] = (PerTensor(), PerAxis(0), PerAxis(1), PerBlock(-1, 32), PerToken())

WORK_SECONDS, KEPT_SECONDS = 3.0, 1.0
"""How long it is dragged once more, for what a frame costs; and for the answers that a bare redraw shows again."""

REDRAWN = 24
"""Frames of a bare redraw, at least."""

GAP_SECONDS, FRAMES_A_SECOND, LARGE_FRAMES_A_SECOND = 0.033, 30, 5
REDRAW = Promise("the window's thread in a frame ÷ a bare redraw", "", "", 1.25)
GAP = Promise("longest gap between turns of the event loop ÷ 33 ms", "", "", 1)
FRAMES = Promise("frames a second ÷ 30", "", "", 1, at_least=True)
LARGE_FRAMES = Promise("frames a second ÷ 5", "", "", 1, at_least=True)
"""What was promised of each tensor; of many scales over the large one there are fewer frames."""

PATIENCE_SECONDS = 120.0
"""A tensor that is not in order by then is dragged as it is."""


def measure(largest: int = LARGE, seconds: float = SECONDS) -> Iterator[str]:
    """Dragging a square with one scale and with many, then a large tensor from the moment it is opened.

    Parameters
    ----------
    largest : int
        Elements of the large tensor, at most; the square has no more either.
    seconds : float
        How long each is dragged.
    """
    application = QApplication.instance() or make_application()
    if compiler.available():
        compiler.warm_up()  # as the window does, beside it
    side, large_side = min(SIDE, math.isqrt(largest)), math.isqrt(min(LARGE, largest))
    with tempfile.TemporaryDirectory() as folder:
        square = _saved(Path(folder) / "square.npy", (side, side))
        qviz = App(Settings(Path(folder) / "settings.ini"))
        qviz.start([square])
        wait_until(lambda: qviz.session.state.tensor is not None)
        wait_until(lambda: _is_prepared(qviz))
        for granularity in GRANULARITIES:
            yield from _drag(qviz, f"{side} × {side}, {granularity}", granularity, seconds)
        qviz.session.update(scheme=Scheme())
        large = _saved(Path(folder) / "large.npy", (large_side, large_side))
        name = f"{large_side**2:,} elements"
        for line in _open_and_drag(qviz, large, seconds):
            yield f"{name}, {line}"
        yield from _drag(qviz, f"{name}, {PerTensor()}", PerTensor(), seconds)
        yield from _drag(qviz, f"{name}, {PerAxis(0)}", PerAxis(0), seconds, frames=LARGE_FRAMES)
        qviz.window.close()
        qviz.settings.save()  # now, or it would be done when the folder is gone
    application.quit()


def _saved(path: Path, shape: tuple[int, ...]) -> Path:
    np.save(path, np.random.default_rng(0).standard_normal(shape, dtype=np.float32))
    return path


def _is_prepared(qviz: App) -> bool:
    return getattr(qviz.session.state, "prepared", None) is not None


def _open_and_drag(qviz: App, path: Path, seconds: float) -> Iterator[str]:
    wait(SETTLE_MILLISECONDS)  # the file was written in the window's thread: what waited meanwhile is no gap of this
    before = qviz.session.state.tensor
    started = time.perf_counter()
    with turns() as gaps, painted(qviz) as screen:
        qviz.library.open([path])
        wait_until(lambda: qviz.session.state.tensor not in (None, before))
        wait_until(lambda: screen.first_of_another(before) < math.inf)
        first = screen.first_of_another(before) - started
        wait_until(lambda: _is_prepared(qviz))
        prepared = time.perf_counter() - started
        order = f"in order after {prepared:.2f} s" if _is_prepared(qviz) else f"not in order after {prepared:.0f} s"
        wait(SETTLE_MILLISECONDS)  # what follows from it is painted too
    yield f"opening: first charts after {first:.2f} s, {order}, longest gap while preparing {1000 * max(gaps):.1f} ms"
    gc.collect()
    gc.freeze()
    with turns() as gaps, painted(qviz) as screen:
        busy, events = steer(qviz, seconds, HAND_MILLISECONDS, AROUND_8_BITS, every=16, enough=screen.seen_twice)
    frames = 1000 * np.diff(screen.times) if len(screen.times) > 1 else np.array([math.nan])
    painting = [1000 * each for each in screen.painting] or [math.nan]
    exact = sum(seen.exact for seen in screen.seen)
    yield (
        f"dragged at 7 to 9 bits, {events / seconds:.0f} movements a second: "
        f"frame to frame {np.median(frames):.1f} ms (95 %: {np.quantile(frames, 0.95):.1f} ms), "
        f"of which painting {np.median(painting):.1f} ms; "
        f"the window's thread works {1000 * busy / max(1, len(screen.seen)):.1f} ms a frame; "
        f"longest gap between turns of the event loop {1000 * max(gaps):.1f} ms; "
        f"{len(screen.seen)} frames painted, {exact} of them exact"
    )


def _drag(qviz: App, name: str, granularity: Granularity, seconds: float, frames: Promise = FRAMES) -> Iterator[str]:
    """What happened, and whether it is as promised."""
    qviz.session.update(granularity=granularity)
    wait(SETTLE_MILLISECONDS)
    gc.collect()
    gc.freeze()
    asked = {qviz.session.scheme}

    def remember(*_: object) -> None:
        asked.add(qviz.session.scheme)

    qviz.session.changed.connect(remember)
    with turns() as gaps, painted(qviz) as screen:
        steer(qviz, seconds, SCREEN_MILLISECONDS, ALL_BITS, every=4, enough=screen.seen_twice)
    qviz.session.changed.disconnect(remember)
    wait(SETTLE_MILLISECONDS)
    with painted(qviz) as working:  # once more: to look at a clock at each millisecond is work, too
        before = time.process_time()
        busy, movements = steer(
            qviz, min(seconds, WORK_SECONDS), SCREEN_MILLISECONDS, ALL_BITS, every=4, enough=working.seen_twice
        )
        whole = time.process_time() - before
    moved, painted_frames = max(1, movements), max(1, len(working.seen))
    wait(SETTLE_MILLISECONDS)
    foreign = sum(seen.scheme not in asked for seen in screen.seen)
    inexact = sum(not seen.exact for seen in screen.seen)
    redraw = _bare_redraw(qviz, min(seconds, KEPT_SECONDS))
    worst, usual = 1000 * max(gaps), 1000 * float(np.quantile(gaps, 0.999))
    yield (
        f"{name}: the window's thread works {1000 * busy / painted_frames:.1f} ms a frame "
        f"(a bare redraw: {1000 * redraw:.1f} ms; {moved / painted_frames:.1f} movements a frame), "
        f"all threads {1000 * whole / painted_frames:.1f} ms; "
        f"longest gap between turns of the event loop {worst:.1f} ms (99.9 %: {usual:.1f} ms), "
        f"{len(screen.seen)} frames painted, {inexact} of them estimates, {foreign} of a scheme that was never set"
    )
    yield _verdict(REDRAW, name, busy / painted_frames / redraw)
    yield _verdict(GAP, name, max(gaps) / GAP_SECONDS)
    wanted = FRAMES_A_SECOND if frames is FRAMES else LARGE_FRAMES_A_SECOND
    yield _verdict(frames, name, len(screen.seen) / seconds / wanted)


def _verdict(promise: Promise, name: str, ratio: float) -> Verdict:
    return replace(promise, text=f"{name}: {promise.text}").verdict(None if math.isnan(ratio) else ratio)


def _bare_redraw(qviz: App, seconds: float) -> float:
    """Seconds that the window's thread works to show an answer that is there already, one of those of a drag.

    A drag is shown again: its answers as they came, for narrow and wide codes take unlike times, and between
    them the line and the slider where they were drawn to, with nobody listening. It goes at the pace of the
    drag, since what follows at once finds everything in the caches, as no frame of a drag does.
    """
    hand = Hand(qviz, ALL_BITS, 4)
    reel = Reel(qviz, hand)
    hand.moved.connect(reel.note_movement)
    qviz.analyst.answered.connect(reel.note)
    took = time.perf_counter()
    _steer_by(hand, seconds, SCREEN_MILLISECONDS, lambda: reel.frames > 1)
    took = time.perf_counter() - took
    qviz.analyst.answered.disconnect(reel.note)
    wait(SETTLE_MILLISECONDS)
    hand.hold()
    hand.movements = 0
    with paced(reel.show, max(1, round(1000 * took / len(reel.scenes)))):
        before = time.thread_time()
        reel.loop.exec()
        busy = time.thread_time() - before
    hand.release()
    return busy / reel.shown


# --- hands and eyes, for other benchmarks as well ----------------------------------------------------


class Hand(QObject):
    """Drags a clip line, and the slider of the bits at every so many movements: it holds both all the while."""

    moved = Signal()

    def __init__(self, qviz: App, bits: Sequence[int], every: int) -> None:
        super().__init__()
        self._control = qviz.page.scheme.bits_control
        self._bits, self._every = bits, every
        self._slider, self._line = qviz.page.scheme.bits, qviz.page.distribution.lines[1]
        self.movements = 0

    def hold(self) -> None:
        """As when a button of the mouse goes down."""
        self._slider.setSliderDown(True)
        self._line.moving = True

    def release(self) -> None:
        """As when it is let go."""
        self._slider.setSliderDown(False)
        self._line.moving = False
        self._line.sigPositionChangeFinished.emit(self._line)

    @Slot()
    def move(self) -> None:
        """One movement."""
        self.movements += 1
        turn, rest = divmod(self.movements, self._every)
        if rest == 0:
            self._slider.setValue(self._bits[turn % len(self._bits)])
        else:
            self._line.setPos(self._place)
            self._line.sigDragged.emit(self._line)
        self.moved.emit()

    def show(self) -> None:
        """What a movement looks like, without asking for anything."""
        self.movements += 1
        turn, rest = divmod(self.movements, self._every)
        if rest == 0:
            self._control.show_bits(self._bits[turn % len(self._bits)])
        else:
            self._line.setPos(self._place)

    @property
    def _place(self) -> float:
        return 1 + (self.movements % 60) / 20


class Reel(QObject):
    """A drag that is shown again.

    Attributes
    ----------
    scenes : list of Frame or None
        Answers, and None for a movement, in the order in which they came.
    shown : int
        Answers that were shown again.
    loop : QEventLoop
        Ends when enough of them were.
    """

    def __init__(self, qviz: App, hand: Hand) -> None:
        super().__init__()
        self._qviz, self._hand = qviz, hand
        self.scenes: list[Frame | None] = []
        self.shown = self._at = 0
        self.loop = QEventLoop()

    @property
    def frames(self) -> int:
        return len(self.scenes) - self.scenes.count(None)

    @Slot(object)
    def note(self, frame: Frame) -> None:
        self.scenes.append(frame)

    @Slot()
    def note_movement(self) -> None:
        self.scenes.append(None)

    @Slot()
    def show(self) -> None:
        """The next one; what comes last is painted before the loop ends."""
        if self._at >= len(self.scenes) and self.shown >= REDRAWN:
            self.loop.quit()
            return
        frame = self.scenes[self._at % len(self.scenes)]
        self._at += 1
        if frame is None:
            self._hand.show()
        else:
            self._qviz.window.present(frame)
            self.shown += 1


@dataclass(frozen=True)
class Seen:
    """What is remembered of an answer: with all of them, each would have to be given new memory."""

    tensor: int
    scheme: Scheme
    exact: bool


class Screen(QObject):
    """Notes each answer that is painted, and the moment when all that it changed is.

    Attributes
    ----------
    seen : list of Seen
    last : deque of Frame
        The newest ones.
    times : list of float
        When each was painted.
    painting : list of float
        Seconds from the answer to its painting.
    """

    def __init__(self, painting: OnePainting, kept: int | None) -> None:
        super().__init__()
        self.seen: list[Seen] = []
        self.last: deque[Frame] = deque(maxlen=kept)
        self.times: list[float] = []
        self.painting: list[float] = []
        self._next: tuple[float, Frame] | None = None
        painting.painted.connect(self._on_painted)

    def first_of_another(self, tensor: Tensor | None) -> float:
        """When a frame of another tensor was painted first; infinite as long as none was."""
        moments = zip(self.seen, self.times, strict=True)
        return next((moment for seen, moment in moments if seen.tensor != id(tensor)), math.inf)

    def seen_twice(self) -> bool:
        """Whether enough was painted to tell of times between."""
        return len(self.times) > 1

    @Slot(object)
    def note(self, frame: Frame) -> None:
        """An answer has been handed to the charts."""
        self._next = (time.perf_counter(), frame)

    @Slot()
    def _on_painted(self) -> None:
        if self._next is None:
            return
        (answered, frame), self._next = self._next, None
        now = time.perf_counter()
        self.seen.append(Seen(id(frame.tensor), frame.scheme, frame.whole.exact))
        self.last.append(frame)
        self.times.append(now)
        self.painting.append(now - answered)


@contextmanager
def painted(qviz: App, kept: int | None = 0) -> Iterator[Screen]:
    """What is painted meanwhile; so many answers are kept, or all."""
    screen = Screen(qviz.window.findChild(OnePainting), kept)
    qviz.analyst.answered.connect(screen.note)
    try:
        yield screen
    finally:
        qviz.analyst.answered.disconnect(screen.note)


@contextmanager
def turns() -> Iterator[list[float]]:
    """Seconds between the turns of the event loop."""
    gaps: list[float] = []
    last = time.perf_counter()

    def beat() -> None:
        nonlocal last
        now = time.perf_counter()
        gaps.append(now - last)
        last = now

    timer = _timer(1)
    timer.timeout.connect(beat)
    timer.start()
    try:
        yield gaps
    finally:
        timer.stop()
        beat()


def steer(
    qviz: App,
    seconds: float,
    milliseconds: int,
    bits: Sequence[int],
    *,
    every: int,
    enough: Callable[[], bool] = lambda: True,
) -> tuple[float, int]:
    """Drag for a while, and on until it is enough; how long the window worked, and how many movements there were.

    The movements come from another thread at an even pace, as those of a mouse do, whether the window keeps up
    with them or not.
    """
    hand = Hand(qviz, bits, every)
    return _steer_by(hand, seconds, milliseconds, enough), hand.movements


def _steer_by(hand: Hand, seconds: float, milliseconds: int, enough: Callable[[], bool]) -> float:
    hand.hold()
    with paced(hand.move, milliseconds):
        before = time.thread_time()
        wait(int(1000 * seconds))
        if not enough():
            wait_until(enough)
        busy = time.thread_time() - before
    hand.release()
    return busy


@contextmanager
def paced(slot: Callable[[], None], milliseconds: int) -> Iterator[None]:
    """A slot of an object of the window's thread is called at an even pace, which another thread keeps."""
    thread, timer = QThread(), _timer(milliseconds)
    timer.moveToThread(thread)
    thread.started.connect(timer.start)
    thread.finished.connect(timer.stop)
    timer.timeout.connect(slot, Qt.ConnectionType.QueuedConnection)
    thread.start()
    try:
        yield
    finally:
        thread.quit()
        thread.wait()


def _timer(milliseconds: int) -> QTimer:
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.setInterval(milliseconds)
    return timer


def wait(milliseconds: int) -> None:
    """Let the window live for so long."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> bool:
    """Let the window live until the condition holds, or so many seconds have gone by; whether it holds."""
    loop, deadline = QEventLoop(), time.perf_counter() + seconds

    def look() -> None:
        if condition() or time.perf_counter() > deadline:
            loop.quit()

    timer = _timer(5)
    timer.timeout.connect(look)
    timer.start()
    loop.exec()
    timer.stop()
    return condition()
