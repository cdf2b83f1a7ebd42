"""Every chart of every page is listed, and leaves the window in every format."""

from __future__ import annotations

import csv
import gc
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QFileDialog
from safetensors.numpy import save_file

from qviz.core import PerAxis, Scheme
from qviz.files.writers import EXPORT_FORMATS
from qviz.gui.charts.base import Chart
from qviz.gui.charts.export import WRITERS, export_chart
from qviz.gui.window.charts import CHARTS
from qviz.models.recipes import Recipe
from qviz.session.settings import DEFAULTS
from qviz.training import Data, Experiment, Training
from tests.gui.conftest import PATIENCE, Desk
from tests.gui.pictures import dots
from tests.gui.sweeps import sweep_few
from tests.models.made import classifier

pytestmark = pytest.mark.unpainted

SHORT = Experiment(Data("moons", 300), (8, 8), training=Training(steps=60, fine_tuning_steps=60, batch=32))


def leaves(kind: type[Chart]) -> set[type[Chart]]:
    """The kinds of chart that nothing else is derived from, of the program itself."""
    below = [each for each in kind.__subclasses__() if each.__module__.startswith("qviz.")]
    return set().union(*map(leaves, below)) if below else {kind}


def fillings(desk: Desk, key: str) -> Iterator[set[Chart]]:
    """Fill a page, more than once where its charts speak of different things: those that show something each time."""
    desk.window.pages.show_page(key)
    page: Any = desk.window.pages.current
    if key == "tensor":
        page.docks["loss"].raise_()
        desk.bot.waitUntil(lambda: bool(page.loss.tables()), timeout=PATIENCE)
        desk.app.meter.measure_again()
        desk.bot.waitUntil(lambda: bool(page.speed.tables()), timeout=PATIENCE)
        yield {page.loss, page.speed}
        desk.gesture(lambda: desk.session.update(granularity=PerAxis(0)))
        desk.app.meter.measure_again()  # else it is when nobody works, perhaps in the middle of what follows
        desk.bot.waitUntil(lambda: not desk.app.meter.busy and bool(page.speed.tables()), timeout=PATIENCE)
        yield set(page.charts) - {page.loss}
        return
    if key == "compare":
        desk.app.pin(Scheme())
        page.show_part("pins")
        desk.bot.waitUntil(lambda: bool(page.pins.errors.tables()), timeout=PATIENCE)
        page.show_part("sweep")
        sweep_few(page)
    elif key == "training":
        page.trainer.set_experiment(SHORT)
        page.trainer.start()
        desk.bot.waitUntil(lambda: bool(page.trainer.snapshot and page.trainer.snapshot.finished), timeout=PATIENCE)
        page.trainer.sweep(1)
        desk.bot.waitUntil(lambda: bool(page.sweep.tables()), timeout=2 * PATIENCE)
        page.trainer.cancel_sweep()
    elif key == "model":
        fill_model(desk, page)
    desk.bot.waitUntil(lambda: all(chart.tables() for chart in page.charts), timeout=2 * PATIENCE)
    desk.bot.waitUntil(lambda: not any(getattr(w, "busy", False) for w in desk.app.workers), timeout=PATIENCE)
    if key == "compare":
        desk.bot.waitUntil(lambda: not page.sweep._refresh.isActive(), timeout=PATIENCE)
    yield set(page.charts)


def fill_model(desk: Desk, page: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        onnx.save_model(classifier(), f"{folder}/net.onnx")
        networks = page.networks
        desk.app.open_paths([Path(folder) / "net.onnx"])
        desk.bot.waitUntil(lambda: networks.state.prepared is not None, timeout=6 * PATIENCE)
        networks.read(())
        desk.bot.waitUntil(lambda: page.figures.whole is not None, timeout=PATIENCE)
        page.bits.find_button.click()
        networks.deploy(Recipe("static"), Path(folder) / "quantized.onnx", seconds=0.1)
        desk.bot.waitUntil(lambda: bool(networks.runs), timeout=6 * PATIENCE)
        save_file(
            {f"layers.{at}.q_proj.weight": np.ones((8, 8), np.float32) for at in range(3)}, f"{folder}/m.safetensors"
        )
        page.weighing.open([Path(folder) / "m.safetensors"])
        desk.bot.waitUntil(lambda: bool(page.weight_map.tables()), timeout=6 * PATIENCE)
        page.checkpoint.budget_button.click()
        page.budget.find_button.click()
        desk.bot.waitUntil(lambda: bool(page.budget_chart.tables()), timeout=6 * PATIENCE)


def test_every_chart_there_is_stands_in_the_list_of_its_page() -> None:
    gc.collect()
    listed = [kind for kinds in CHARTS.values() for kind in kinds]
    assert len(listed) == len(set(listed))
    assert set(listed) == leaves(Chart)


def test_every_export_format_has_a_writer() -> None:
    assert tuple(WRITERS) == EXPORT_FORMATS


@pytest.mark.parametrize("key", list(CHARTS))
def test_each_page_shows_the_charts_of_its_list_under_names_of_their_own(desk: Desk, key: str) -> None:
    desk.window.pages.show_page(key)
    charts = desk.window.pages.current.charts
    assert {type(chart) for chart in charts} == set(CHARTS[key]), (
        "the page's charts, and those of CHARTS in its charts.py"
    )
    assert len({chart.name for chart in charts}) == len(charts)


@pytest.mark.parametrize("key", list(CHARTS))
def test_every_chart_of_every_page_leaves_in_every_format(
    new_desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setitem(DEFAULTS, "png_scale", 1.0)
    left: set[Chart] = set()
    for number, charts in enumerate(fillings(new_desk, key)):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, folder=folder: str(folder))
        new_desk.do("export_all")
        for chart in charts:
            left.add(chart)
            check(chart, folder / new_desk.window.saving._stem(chart))
    assert left == set(new_desk.window.pages.current.charts)


def check(chart: Chart, stem: Path) -> None:
    """What was written of a chart is a picture of something, and its numbers."""
    assert np.unique(dots(QImage(f"{stem}.png"))[::3, ::3]).size > 5, chart.name
    assert ET.fromstring(Path(f"{stem}.svg").read_bytes()).tag.endswith("svg")
    assert Path(f"{stem}.pdf").read_bytes().startswith(b"%PDF-")
    for suffix, table in chart.tables().items():
        name = f"{stem}-{suffix}" if suffix else str(stem)
        with Path(f"{name}.csv").open(encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file)
        assert head == list(table.columns), name
        assert len(rows) == len(next(iter(table.columns.values())))


def test_a_chart_that_shows_nothing_yet_is_left_out(desk: Desk, tmp_path: Path) -> None:
    desk.show(np.linspace(-1, 1, 30, dtype=np.float32).reshape(3, 10))
    desk.window.saving.export_all_to(tmp_path)
    desk.exported()
    assert not list(tmp_path.glob("*_channels.*"))
    assert export_chart(desk.page.values, tmp_path / "x.png")
