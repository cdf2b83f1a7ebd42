"""How long until the first painted window, against a bare window with four empty plots?"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

RUNS = 11

UNTIL_PAINTED = """
from PySide6.QtCore import QEvent, QObject, QTimer
class FirstPaint(QObject):
    def eventFilter(self, watched, event):
        if event.type() == QEvent.Type.Paint and watched is window:
            QTimer.singleShot(0, app.quit)
        return False
first_paint = FirstPaint()
window.installEventFilter(first_paint)
"""

# What `qviz` does, up to the first painting.
QVIZ = f"""
import gc
gc.disable()
from qviz.app.app import App, Settings, make_application
app = make_application()
qviz = App(Settings())
window = qviz.window
{UNTIL_PAINTED}
qviz.start()
app.exec()
import os
os._exit(0)
"""

BARE = f"""
import numpy, pyqtgraph
from PySide6.QtWidgets import QApplication, QGridLayout, QMainWindow, QWidget
app = QApplication([])
window, body = QMainWindow(), QWidget()
grid = QGridLayout(body)
for i in range(4):
    grid.addWidget(pyqtgraph.PlotWidget(), i // 2, i % 2)
window.setCentralWidget(body)
window.resize(1440, 900)
{UNTIL_PAINTED}
window.show()
app.exec()
import os
os._exit(0)
"""


def measure() -> Iterator[str]:
    """Whole processes, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        # As on a person's machine: what was compiled at the first start, which is not counted, is kept.
        environment = dict(os.environ, XDG_CONFIG_HOME=folder, PYTHONPYCACHEPREFIX=folder)
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment.setdefault("QT_QPA_PLATFORM", "offscreen")
        seconds: dict[str, list[float]] = {QVIZ: [], BARE: []}
        for _ in range(RUNS + 1):
            for program, times in seconds.items():
                started = time.perf_counter()
                subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True)
                times.append(time.perf_counter() - started)
    qviz, bare = (times[1:] for times in seconds.values())
    ratios = sorted(a / b for a, b in zip(qviz, bare, strict=True))
    yield f"qviz {1000 * statistics.median(qviz):.0f} ms, bare window {1000 * statistics.median(bare):.0f} ms"
    yield f"ratio, pair by pair: median {statistics.median(ratios):.2f}, {ratios[0]:.2f} to {ratios[-1]:.2f}"
