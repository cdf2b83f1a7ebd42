"""Does the window stay alive while bits and clip lines are dragged over 4096 × 4096 elements?"""

from __future__ import annotations

import gc
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PySide6.QtCore import QEventLoop, Qt, QTimer

from qviz.app import App, make_application
from qviz.core.granularity import Granularity, PerAxis, PerTensor
from qviz.session.analyst import Frame
from qviz.session.settings import Settings

SHAPE = (4096, 4096)
SECONDS = 10


def measure() -> Iterator[str]:
    """Ten seconds of dragging per tensor, ten per axis."""
    application = make_application()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.npy"
        np.save(path, np.random.default_rng(0).standard_normal(SHAPE, dtype=np.float32))
        qviz = App(Settings(Path(folder) / "settings.ini"))
        qviz.start([path])
        _wait(4000)
        gc.collect()
        gc.freeze()
        for granularity in (PerTensor(), PerAxis(0)):
            yield f"{granularity}: {_drag(qviz, granularity)}"
        qviz.window.close()
    application.quit()


def _drag(qviz: App, granularity: Granularity) -> str:
    qviz.session.update(granularity=granularity)
    _wait(1500)
    gaps: list[float] = []
    last = time.perf_counter()
    asked = {qviz.session.scheme}
    painted: list[Frame] = []
    step = 0

    def beat() -> None:
        nonlocal last
        now = time.perf_counter()
        gaps.append(now - last)
        last = now

    def drag() -> None:
        nonlocal step
        step += 1
        if step % 4 == 0:
            qviz.page.scheme.bits.setValue(2 + (step // 4) % 15)
        else:
            high = 1 + (step % 60) / 20
            qviz.page.distribution.clip_moved.emit(-high, high)
        asked.add(qviz.session.scheme)

    def on_painted(frame: Frame) -> None:
        painted.append(frame)

    qviz.analyst.answered.connect(on_painted)
    timers = []
    for interval, slot in ((1, beat), (16, drag)):
        timer = QTimer()
        timer.setTimerType(Qt.TimerType.PreciseTimer)
        timer.setInterval(interval)
        timer.timeout.connect(slot)
        timer.start()
        timers.append(timer)
    _wait(1000 * SECONDS)
    for timer in timers:
        timer.stop()
    qviz.analyst.answered.disconnect(on_painted)
    foreign = sum(frame.scheme not in asked for frame in painted)
    worst, usual = 1000 * max(gaps[1:]), 1000 * float(np.quantile(gaps[1:], 0.999))
    return (
        f"longest gap between turns of the event loop {worst:.1f} ms (99.9 %: {usual:.1f} ms), "
        f"{len(painted)} frames painted, {foreign} of a scheme that was never set"
    )


def _wait(milliseconds: int) -> None:
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()
