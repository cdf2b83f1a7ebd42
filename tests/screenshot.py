"""What does a page look like? ``python -m tests.screenshot picture.png [light|dark] [page] [1440x900]``.

Pages are those along the top, ``pins``, ``runtimes`` of Compare, ``network``, ``runs``, ``weights``, ``budget`` of
Model; ``all`` takes each of them, at both sizes and in both themes, into a folder. ``QT_SCALE_FACTOR=1.5`` draws all
half as large again.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
import onnx
from PySide6.QtCore import QEventLoop, QTimer
from safetensors.numpy import save_file

from qviz.app.app import App, make_application
from qviz.core.ranges.rules import Percentile
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.generators import GeneratorSpec
from qviz.core.tensors.granularity import PerAxis, PerBlock
from qviz.models.recipes import Recipe
from qviz.session.settings import Settings
from qviz.session.worker import Worker
from tests.models.made import classifier, pictures

SIZES = ("1280x720", "1440x900")


class Sitter:
    """A window that is made to show something worth looking at, on whatever page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.qviz = App(Settings(folder / "settings.ini"))

    def open(self, theme: str, size: str) -> None:
        """On a tensor with heavy tails."""
        self.dress(theme, size)
        self.qviz.start()
        self.wait(500)
        self.qviz.library.generate(GeneratorSpec("laplace", (64, 512), 3))
        self.qviz.session.update(bits=4, range_rule=Percentile(99.5))
        self.rest()
        self.qviz.session.update(selected=12)

    def dress(self, theme: str, size: str) -> None:
        """In a theme and at a size."""
        self.qviz.set_theme(theme)
        width, height = (int(part) for part in size.split("x"))
        self.qviz.window.resize(width, height)

    def pose(self, page: str) -> None:
        """Show a page, and wait until all of it is there."""
        part = PARTS.get(page, page)
        self.qviz.window.pages.show_page(part)
        shown: Any = self.qviz.window.pages.current
        self.rest()
        if page in POSES:
            POSES[page](self, shown)
            self.rest()
        self.wait(200)
        if hasattr(shown, "size_up"):
            shown.size_up()
        elif part == "model":
            shown.reset_layout()
            shown.graph.reset_view()
        self.wait(300)

    def rest(self) -> None:
        """Until nobody works any more."""
        self.wait(100)
        while any(worker.busy for worker in self.qviz.findChildren(Worker)):
            self.wait(20)
        self.wait(100)

    def wait(self, milliseconds: int) -> None:
        loop = QEventLoop()
        QTimer.singleShot(milliseconds, loop.quit)
        loop.exec()


def _pins(sitter: Sitter, page: Any) -> None:
    for scheme in (Scheme(), Scheme("int4", granularity=PerAxis(0)), Scheme("int4", granularity=PerBlock(-1, 32))):
        if scheme not in [pin.scheme for pin in sitter.qviz.pins.pins]:
            sitter.qviz.pins.add(scheme)
    page.show_part("pins")


def _runtimes(sitter: Sitter, page: Any) -> None:
    page.show_part("conventions")


def _sweep(sitter: Sitter, page: Any) -> None:
    page.show_part("sweep")


def _network(sitter: Sitter, page: Any) -> None:
    """Opened, given data, asked layer by layer, and where its bits are best spent."""
    page.show_part("network")
    path = sitter.folder / "classifier.onnx"
    if not path.exists():
        onnx.save_model(classifier(), str(path))
        np.save(sitter.folder / "images.npy", np.concatenate([sample["x"] for sample in pictures(8)]))
        page.networks.open(path)
        sitter.rest()
        page.networks.read((sitter.folder / "images.npy",))
        sitter.rest()
        page.layers.sweep_button.click()
        sitter.rest()
        page.bits.find_button.click()
        sitter.rest()
    for dock in ("scheme", "layers", "frontier"):
        page.docks[dock].raise_()


def _runs(sitter: Sitter, page: Any) -> None:
    """Quantized for the runtime twice."""
    _network(sitter, page)
    if not page.networks.runs:
        for method in ("dynamic", "static"):
            page.networks.deploy(Recipe(method), sitter.folder / f"{method}.onnx", seconds=0.2)
            sitter.rest()
    for dock in ("deploy", "runs_table", "cost"):
        page.docks[dock].raise_()


def _weights(sitter: Sitter, page: Any) -> None:
    """Of a checkpoint, measured."""
    path = sitter.folder / "model.safetensors"
    if not path.exists():
        rng = np.random.default_rng(5)
        parts = {"self_attn.q_proj": 256, "self_attn.o_proj": 256, "mlp.up_proj": 512, "mlp.down_proj": 512}
        names = {f"model.layers.{layer}.{part}.weight": size for layer in range(6) for part, size in parts.items()}
        save_file({name: rng.normal(0, 0.03, (size, 256)).astype(np.float32) for name, size in names.items()}, path)
    if page.weighing.checkpoints.open_one is None:
        page.weighing.open([path])
        sitter.rest()
        page.checkpoint.audit_button.click()
        sitter.rest()
    page.show_part("weights")
    if page.checkpoint.budget_button.isChecked():
        page.checkpoint.budget_button.click()


def _budget(sitter: Sitter, page: Any) -> None:
    """How its bits are best spent."""
    _weights(sitter, page)
    page.checkpoint.budget_button.click()
    if page.weighing.checkpoints.budget is None:
        page.budget.find_button.click()


def _training(sitter: Sitter, page: Any) -> None:
    """Trained to the end, and under each number of bits."""
    trainer = page.trainer
    if not trainer.snapshot.finished:
        trainer.start()
        while not trainer.snapshot.finished:
            sitter.wait(50)
        page.panel.sweep.click()


PARTS = {
    "pins": "compare",
    "runtimes": "compare",
    "network": "model",
    "runs": "model",
    "weights": "model",
    "budget": "model",
}
"""Pages that what is shown is a part of."""

POSES: dict[str, Callable[[Sitter, Any], None]] = {
    "compare": _sweep,
    "pins": _pins,
    "runtimes": _runtimes,
    "network": _network,
    "runs": _runs,
    "weights": _weights,
    "budget": _budget,
    "training": _training,
}

PAGES = (
    "tensor",
    "compare",
    "pins",
    "runtimes",
    "product",
    "model",
    "network",
    "runs",
    "weights",
    "budget",
    "training",
)
"""In this order an empty Model page comes before one with a network."""


def take(path: Path, theme: str = "dark", page: str = "tensor", size: str = "1440x900") -> None:
    """Save what a page shows; of ``all`` pages, each at both sizes and in both themes, into a folder.

    The picture at the top of the README is that of the first page in the dark theme.
    """
    application = make_application()
    with tempfile.TemporaryDirectory() as folder:
        sitter = Sitter(Path(folder))
        sitter.open(theme, size)
        if page == "all":
            path.mkdir(parents=True, exist_ok=True)
            for each in PAGES:
                for dress in ((theme, size) for size in SIZES for theme in ("light", "dark")):
                    sitter.dress(*dress)
                    sitter.pose(each)
                    sitter.qviz.window.grab().save(str(path / f"{each}-{'-'.join(dress)}.png"))
        else:
            sitter.pose(page)
            sitter.qviz.window.grab().save(str(path))
        sitter.qviz.window.close()
    application.quit()


if __name__ == "__main__":
    take(Path(sys.argv[1]), *sys.argv[2:])
