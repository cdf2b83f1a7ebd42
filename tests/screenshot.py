"""What does a page look like? ``python -m tests.screenshot picture.png [light|dark] [page] [1440x900]``."""

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


def take(path: Path, theme: str = "dark", page: str = "tensor", size: str = "1440x900") -> None:
    """Open the window on a tensor with heavy tails, wait until all is measured, and save what a page shows.

    The picture at the top of the README is that of the first page in the dark theme.
    """
    application = make_application()
    width, height = (int(part) for part in size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        qviz = App(Settings(Path(folder) / "settings.ini"))
        qviz.set_theme(theme)
        qviz.window.resize(width, height)
        qviz.start()
        _wait(500)
        qviz.library.generate(GeneratorSpec("laplace", (64, 512), 3))
        qviz.session.update(bits=4, range_rule=Percentile(99.5))
        _wait(500)
        qviz.session.update(selected=12)
        qviz.window.pages.show_page(page)
        _wait(2500)
        if page == "tensor":
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
    take(Path(sys.argv[1]), *sys.argv[2:])
