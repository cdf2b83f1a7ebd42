"""No text is cut, covered, or shortened without a tooltip: on any page, at any size, in any theme, in any state."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPointF, QSize
from PySide6.QtWidgets import QComboBox, QLabel, QPushButton, QTextBrowser, QWidget
from pytestqt.qtbot import QtBot
from safetensors.numpy import save_file

from qviz.core.ranges.rules import Manual, Percentile
from qviz.core.schemes.presets import PRESETS
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.generators import GeneratorSpec
from qviz.core.tensors.granularity import PerAxis, PerBlock
from qviz.gui.kit.widgets import Line
from tests.gui.conftest import PATIENCE, Desk
from tests.gui.cut_texts import cut_texts, laid_out, scrolling
from tests.session.ladder import FEW as FEW_ELEMENTS

MODEL_PAGE = Path(__file__).parents[1] / "model" / "test_page.py"
SIZES = [QSize(1280, 720), QSize(1440, 900)]
FEW = np.random.default_rng(5).normal(0, 0.04, (6, 8, 3, 3)).astype(np.float32)


def outlier(desk: Desk) -> None:
    values = np.random.default_rng(5).normal(0, 1, (64, 64)).astype(np.float32)
    values[1, 2], values[3, 4] = 41234.5, -3e4
    desk.show(values, "model/model.layers.17.self_attn.q_proj.weight", scheme=Scheme())


def many_groups(desk: Desk) -> None:
    desk.show(np.random.default_rng(6).normal(0, 1, (512, 512)).astype(np.float32), granularity=PerBlock(-1, 32))


def nvfp4(desk: Desk) -> None:
    desk.session.update(scheme=next(preset.scheme for preset in PRESETS if "NVFP4" in preset.name))
    desk.settle()


def one_alone(desk: Desk) -> None:
    desk.show(FEW, scheme=Scheme(granularity=PerAxis(0)))
    desk.session.update(channel=4)
    desk.settle()


def scheme(**changes: object) -> Callable[[Desk], None]:
    def act(desk: Desk) -> None:
        desk.session.update(**changes)
        desk.settle()

    return act


def first(desk: Desk) -> None:
    desk.app.library.generate(GeneratorSpec("normal", (64, 512), 0))
    desk.rest()
    desk.session.update(scheme=Scheme())
    desk.settle()


def error(desk: Desk) -> None:
    desk.banner.error("model/model.layers.17.self_attn.q_proj.weight.npy is empty. Copy or download it again.")
    desk.banner.notice("Saved model-model.layers.17.self_attn.q_proj.weight-int8-symmetric-values.png.")


def _label() -> QWidget:
    return QLabel("a long sentence that has no room")


def _wrapped() -> QWidget:
    label = QLabel("a long sentence that has no room " * 3)
    label.setWordWrap(True)
    return label


def _line() -> QWidget:
    line = Line("value")
    line.setText("−0.00299012 and more")
    return line


def _button() -> QWidget:
    return QPushButton("Open again and again")


def _list() -> QWidget:
    box = QComboBox()
    box.addItem("ONNX Runtime static int8")
    return box


@pytest.mark.parametrize("make", [_label, _wrapped, _line, _button, _list])
def test_a_text_that_is_cut_is_found(qtbot: QtBot, make: Callable[[], QWidget]) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    widget = make()
    widget.setParent(window)
    window.show()
    widget.setGeometry(0, 0, 600, 60)
    assert cut_texts(window) == []
    widget.setGeometry(0, 0, 60, 22)
    assert len(cut_texts(window)) == 1
    window.resize(300, 100)
    widget.setGeometry(280, 0, 280, 60)
    if make not in (_line,):
        assert any("outside" in each for each in cut_texts(window))


STATES: dict[str, Callable[[Desk], None]] = {
    "first": first,
    "percentile": scheme(bits=4, range_rule=Percentile(99.5)),
    "by hand": scheme(range_rule=Manual(-0.1134, 0.2)),
    "per axis": scheme(scheme=Scheme(granularity=PerAxis(0))),
    "per block": scheme(granularity=PerBlock(-1, 32)),
    "NVFP4": nvfp4,
    "outlier": outlier,
    "many groups": many_groups,
    "one alone": one_alone,
    "error": error,
}


def told(cut: dict[str, list[str]]) -> str:
    """What is cut, a line each."""
    return "\n".join(f"{state}: {each}" for state, found in cut.items() for each in found)


def at_size(desk: Desk, size: QSize) -> None:
    desk.window.resize(size)
    laid_out()
    desk.page.reset_layout()
    laid_out()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size.width()}x{size.height()}")
def test_the_tensor_page_can_be_read_in_every_state(desk: Desk, size: QSize) -> None:
    at_size(desk, size)
    cut = {}
    for state, act in STATES.items():
        act(desk)
        laid_out()
        if found := cut_texts(desk.window):
            cut[state] = found
    assert cut == {}, told(cut)


@pytest.mark.parametrize(
    "size",
    [*SIZES, QSize(1366, 728), QSize(1432, 860), QSize(1600, 850), QSize(1920, 1040)],
    ids=lambda size: f"{size.width()}x{size.height()}",
)
def test_the_first_screen_shows_every_figure_without_scrolling(desk: Desk, size: QSize) -> None:
    first(desk)
    desk.session.update(selected=12, bits=4, range_rule=Percentile(99.5))
    desk.settle()
    at_size(desk, size)
    assert [name for name in scrolling(desk.window) if "metrics" in name] == []
    desk.page.docks["formula"].raise_()
    laid_out()
    browser = desk.page.formula.findChild(QTextBrowser)
    assert browser.document().size().height() <= browser.viewport().height()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size.width()}x{size.height()}")
def test_what_the_pointer_reads_is_never_cut(desk: Desk, size: QSize) -> None:
    values = np.random.default_rng(8).normal(0, 0.04, (16, 32)).astype(np.float32)
    desk.show(values, scheme=Scheme(granularity=PerAxis(0)))
    at_size(desk, size)
    for state in (Scheme(granularity=PerAxis(0)), Scheme()):
        desk.session.update(scheme=state)
        desk.settle()
        for chart in desk.page.charts:
            dock = desk.page.docks[chart.name]
            if dock.isHidden():
                continue
            dock.raise_()
            laid_out()
            (left, right), (bottom, top) = chart.view.viewRange()
            chart.hover(QPointF(left + 0.3 * (right - left), (bottom + top) / 2))
            laid_out()
            title = dock.title
            text, below = title.readout.text(), title.below
            if below is not None and below.isVisible():
                assert below.text() == text
                assert below.heightForWidth(below.width()) <= below.height()
                assert dock.rect().contains(below.geometry())
            elif text:
                assert title.readout.width() >= title.readout.sizeHint().width() - 2, text
            chart.leave()
            assert title.name.isVisible()
            assert below is None or not below.isVisible()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size.width()}x{size.height()}")
@pytest.mark.parametrize("page", ["compare", "product", "model", "training"])
def test_the_other_pages_can_be_read(desk: Desk, size: QSize, page: str) -> None:
    desk.show(FEW)
    desk.app.pins.add(Scheme())
    desk.app.pins.add(Scheme(granularity=PerAxis(0)))
    desk.window.resize(size)
    desk.window.pages.show_page(page)
    laid_out()
    desk.window.pages.current.reset_layout()
    current = desk.window.pages.current
    desk.bot.waitUntil(lambda: not any(getattr(worker, "busy", False) for worker in current.workers), timeout=PATIENCE)
    laid_out()
    parts = ("sweep", "pins", "conventions") if page == "compare" else ("",)
    cut = {}
    for part in parts:
        if part:
            current.show_part(part)
            desk.bot.waitUntil(
                lambda: not any(getattr(worker, "busy", False) for worker in current.workers), timeout=PATIENCE
            )
            laid_out()
        if found := cut_texts(desk.window):
            cut[part] = found
    assert cut == {}, told(cut)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size.width()}x{size.height()}")
def test_the_weights_of_a_checkpoint_can_be_read(desk: Desk, size: QSize, tmp_path: Path) -> None:
    names = [f"model.layers.{layer}.mlp.{part}_proj.weight" for layer in range(3) for part in ("gate", "up", "down")]
    save_file({name: FEW.reshape(6, -1) for name in names}, tmp_path / "a checkpoint with a long name.safetensors")
    desk.window.resize(size)
    desk.window.pages.show_page("model")
    page: Any = desk.window.pages.current
    page.weighing.open([tmp_path / "a checkpoint with a long name.safetensors"])
    desk.bot.waitUntil(lambda: page.weights_stack.currentIndex() == 1, timeout=PATIENCE)
    panel = page.checkpoint
    cut = {}
    for state, act in {
        "tensors": lambda: None,
        "a filter": lambda: panel.filter.setText("sqnr <"),
        "measured": panel.audit_button.click,
        "layers": panel.by.button("layer").click,
    }.items():
        act()
        desk.bot.waitUntil(lambda: not any(worker.busy for worker in page.workers), timeout=PATIENCE)
        laid_out()
        if found := cut_texts(desk.window):
            cut[state] = found
    page.weighing.checkpoints.close()
    assert cut == {}, told(cut)


def test_an_estimate_is_not_cut_either(desks: Callable[..., Desk]) -> None:
    desk = desks(limits=FEW_ELEMENTS)
    desk.show(np.random.default_rng(9).normal(0, 1, (64, 64)).astype(np.float32))
    desk.app.preparer.cancel()
    at_size(desk, SIZES[0])
    assert cut_texts(desk.window) == [], told({"estimate": cut_texts(desk.window)})


def test_the_dark_theme_cuts_nothing_either(desk: Desk) -> None:
    first(desk)
    desk.do("theme_dark")
    at_size(desk, SIZES[0])
    assert cut_texts(desk.window) == [], told({"dark": cut_texts(desk.window)})


@pytest.mark.skipif("QT_SCALE_FACTOR" in os.environ, reason="it is what this one starts")
def test_nothing_is_cut_where_everything_is_drawn_half_as_large_again() -> None:
    """Texts are as wide as their letters, which are rounded otherwise at another scale."""
    names = [
        "test_the_first_screen_shows_every_figure_without_scrolling[1280x720]",
        "test_the_first_screen_shows_every_figure_without_scrolling[1440x900]",
        "test_the_dark_theme_cuts_nothing_either",
        *(f"test_the_other_pages_can_be_read[{page}-1280x720]" for page in ("compare", "product", "model", "training")),
        "test_the_weights_of_a_checkpoint_can_be_read[1280x720]",
        "test_long_numbers_of_an_axis_never_lie_on_its_title",
    ]
    tests = [f"{Path(__file__)}::{name}" for name in names]
    tests.append(f"{MODEL_PAGE}::test_a_run_is_written_measured_and_kept")  # each part of the page, with a network
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *tests],
        env={**os.environ, "QT_SCALE_FACTOR": "1.5"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_long_numbers_of_an_axis_never_lie_on_its_title(desk: Desk) -> None:
    at_size(desk, SIZES[1])
    found = {}
    for size in (1e-3, 4e-3, 7e26, 7e27, 3.4e38, 7e-29):
        desk.show(FEW.reshape(6, -1) * np.float32(size), scheme=Scheme(granularity=PerAxis(0)))
        for _ in range(2):  # an axis is widened after it was painted
            desk.window.grab()
            laid_out()
        if cut := [each for each in cut_texts(desk.window) if "title" in each]:
            found[str(size)] = cut
    assert found == {}, told(found)
    desk.show(FEW, scheme=Scheme())
    desk.window.grab()
    laid_out()
    assert desk.page.values.plot.getAxis("left").width() == 58  # beside the chart above it again
