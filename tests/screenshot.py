"""Draws the picture at the top of the README: ``python -m tests.screenshot resources/screenshot.png``."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QEventLoop, QTimer

from qviz.app.app import App, make_application
from qviz.core.ranges.rules import Percentile
from qviz.core.tensors.generators import GeneratorSpec
from qviz.session.settings import Settings

SIZE = (1440, 900)


def take(path: Path, theme: str = "dark") -> None:
    """Open the window on a tensor with heavy tails, wait until all is measured, and save what it shows."""
    application = make_application()
    with tempfile.TemporaryDirectory() as folder:
        qviz = App(Settings(Path(folder) / "settings.ini"))
        qviz.set_theme(theme)
        qviz.window.resize(*SIZE)
        qviz.start()
        _wait(500)
        qviz.library.generate(GeneratorSpec("laplace", (64, 512), 3))
        qviz.session.update(bits=4, range_rule=Percentile(99.5))
        _wait(500)
        qviz.session.update(selected=12)
        _wait(2500)
        qviz.page.size_up()
        _wait(500)
        qviz.window.grab().save(str(path))
        qviz.window.close()
    application.quit()


def _wait(milliseconds: int) -> None:
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


if __name__ == "__main__":
    take(Path(sys.argv[1]), *sys.argv[2:3])
