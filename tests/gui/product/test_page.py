"""The page shows each answer of the multiplier, and asks it for what a person chooses."""

from __future__ import annotations

import gc
import weakref
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QPointF
from PySide6.QtWidgets import QApplication, QComboBox
from pytestqt.qtbot import QtBot

from qviz.core import IntFormat, PerAxis, PerTensor, PerToken, Scheme, Tensor
from qviz.core.questions.product import Product
from qviz.core.questions.product_sums import PerIndexLoss
from qviz.core.schemes.dynamic import DYNAMIC_RUNTIMES
from qviz.gui.charts.export import export_chart
from qviz.gui.kit import theme
from qviz.gui.product.figures_panel import FIGURES, WORST
from qviz.gui.product.page import ProductPage
from qviz.session.memory import Memory
from qviz.session.multiplier import FIRST_RUNTIME, Factors, Multiplier
from qviz.session.state import Item, Session
from tests.gui.conftest import PATIENCE, mouse_over, spot
from tests.gui.conftest import Desk as WindowDesk
from tests.gui.pictures import picture

pytestmark = pytest.mark.unpainted

RNG = np.random.default_rng(11)


def item(name: str, *shape: int) -> Item:
    tensor = Tensor(RNG.standard_normal(shape).astype(np.float32), name)
    return Item(name, "a test", shape, "float32", lambda progress, cancelled: tensor)


class Desk:
    """The page alone, and what a test does with it."""

    def __init__(self, qtbot: QtBot) -> None:
        self.bot = qtbot
        self.session = Session()
        self.multiplier = Multiplier(self.session, Memory(lambda: 1 << 30))
        self.page = ProductPage(self.session, self.multiplier)
        self.page.apply_theme(theme.load_theme("light"))
        self.page.resize(1428, 840)
        self.page.show()

    def settle(self) -> Product:
        """Wait until what is chosen has been answered or refused; the newest answer."""
        self.bot.waitUntil(lambda: not self.multiplier.busy, timeout=PATIENCE)
        QApplication.processEvents()
        self.bot.waitUntil(lambda: not self.multiplier.busy, timeout=PATIENCE)
        QApplication.processEvents()
        assert self.multiplier.last is not None
        return self.multiplier.last

    def tidy(self) -> None:
        self.session.update(items=())
        self.multiplier.update(**vars(Factors()))
        for segments, chosen in ((self.page.kind, False), (self.page.along, True)):
            segments.button(chosen).click()
        self.settle()
        for chart in self.page.charts:
            chart.reset_view()

    def pick(self, box: QComboBox, text: str) -> None:
        box.setCurrentIndex(box.findText(text))

    def close(self) -> None:
        self.multiplier.close()
        self.page.close()
        self.page.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


@pytest.fixture(scope="module")
def stands(dressed: QApplication) -> Iterator[list[Desk]]:
    made: list[Desk] = []
    yield made
    for desk in made:
        desk.close()


@pytest.fixture
def desk(qtbot: QtBot, stands: list[Desk]) -> Desk:
    if not stands:
        stands.append(Desk(qtbot))
    (desk,) = stands
    desk.bot = qtbot
    desk.tidy()
    return desk


def read(desk: Desk, chart: Any, x: float, y: float | None = None) -> str:
    """What the title says while the pointer is there."""
    said: list[str] = []
    chart.read_out.connect(said.append)
    mouse_over(chart).move(spot(chart, x, y))
    chart.read_out.disconnect(said.append)
    return said[-1]


# -- what is shown


def test_it_is_alive_when_it_opens(desk: Desk) -> None:
    product = desk.settle()
    assert desk.page.figures.product is product
    assert all(chart.product is product and chart.tables() for chart in desk.page.charts)
    assert all(chart.canvas.isVisible() for chart in desk.page.charts)
    assert desk.page.factors.runtime.currentText() == DYNAMIC_RUNTIMES[FIRST_RUNTIME].label


def test_the_figures_are_those_of_the_product(desk: Desk) -> None:
    product = desk.settle()
    lines = dict(line.split("\t") for line in desk.page.figures.text().splitlines())
    assert float(lines["SQNR"].removesuffix(" dB")) == pytest.approx(product.loss.sqnr_db, rel=1e-5)
    assert float(lines["MSE"]) == pytest.approx(product.loss.mse, rel=1e-4)
    assert lines["Multiplied"] == "256 × 512 × 512"
    assert set(lines) == {"SQNR", *(figure.label for figure in FIGURES)}
    table = desk.page.figures.table
    assert table.proxy.rowCount() == WORST
    assert int(table.proxy.index(0, 0).data()) == int(np.argmin(product.rows.sqnr_db))
    desk.page.copy_figures()
    copied = dict(line.split("\t") for line in QApplication.clipboard().text().splitlines())
    assert float(copied["SQNR (dB)"]) == product.loss.sqnr_db
    assert float(copied["Worst token (dB)"]) == product.rows.sqnr_db.min()
    assert int(copied["Largest sum"]) == product.largest_sum
    assert "dB" in QApplication.clipboard().mimeData().html()


def test_sums_beyond_32_bits_are_told(desk: Desk) -> None:
    for controls in (desk.page.factors.activation, desk.page.factors.weight):
        controls.bits.setValue(16)
    product = desk.settle()
    assert not product.fits_int32
    assert "> int32" in desk.page.figures.text()


def test_it_says_what_kernels_do_that_add_up_in_pairs(desk: Desk) -> None:
    product = desk.settle()
    assert product.pairs is not None and product.pairs.outputs > 0
    lines = dict(line.split("\t") for line in desk.page.figures.text().splitlines())
    assert lines["Pairs in int16"] == f"{product.pairs.outputs:,} outputs change"
    assert float(lines["SQNR with pairs"].removesuffix(" dB")) < float(lines["SQNR"].removesuffix(" dB"))
    desk.page.copy_figures()
    copied = dict(line.split("\t") for line in QApplication.clipboard().text().splitlines())
    assert int(copied["Pairs beyond int16"]) == product.pairs.pairs
    assert float(copied["Change by pairs"]) == product.pairs.largest_change
    desk.page.factors.weight.bits.setValue(4)
    desk.settle()
    assert "Pairs in int16\tall fit" in desk.page.figures.text()
    desk.page.factors.weight.bits.setValue(16)
    desk.settle()
    assert "Pairs in int16\tno such kernel" in desk.page.figures.text()


def test_the_charts_tell_of_the_product(desk: Desk, tmp_path: Path) -> None:
    product, page = desk.settle(), desk.page
    outputs = page.outputs.tables()[""].columns
    np.testing.assert_array_equal(outputs["float"], product.sample.exact)
    assert page.outputs.note == "4,096 of 131,072 drawn"
    errors = page.errors.tables()[""].columns
    assert errors["both"].sum() == 256 * 512
    lines = page.lines.tables()
    assert lines["rows"].columns["row"][0] == np.argmin(product.rows.sqnr_db)
    np.testing.assert_array_equal(lines["outputs"].columns["scale"], product.column_scales[product.columns.worst_first])
    sources = page.sources.tables()[""].columns
    assert sources["mse"].tolist() == [product.losses[s].mse for s in ("weight", "activation", "both")]
    assert page.sources.note.endswith("× as much from the activation")
    for chart in page.charts:
        for ending in ("png", "svg", "csv"):
            assert all(f.stat().st_size for f in export_chart(chart, tmp_path / f"{chart.name}.{ending}"))


def test_what_was_closed_is_kept_by_no_earlier_choice(desk: Desk) -> None:
    item = Item("w", "x.npy", (512, 64), "float32", lambda progress, cancelled: Tensor(np.ones((512, 64)), "w"))
    desk.session.update(items=(item,))
    desk.multiplier.update(weight=item)
    desk.settle()
    desk.multiplier.update(activation_scheme=DYNAMIC_RUNTIMES["onnxruntime"].activation)
    desk.settle()
    kept = weakref.ref(item)
    del item
    desk.session.update(items=())
    desk.settle()
    gc.collect()
    assert kept() is None
    while desk.page.history.can_undo:
        desk.page.history.undo()
    assert desk.multiplier.factors == Factors()


def test_all_dots_are_one_path_of_a_file(desk: Desk, tmp_path: Path) -> None:
    product = desk.settle()
    (path,) = export_chart(desk.page.outputs, tmp_path / "x.svg")
    places = [each.get("d", "") for each in ET.fromstring(path.read_bytes()).iter("{http://www.w3.org/2000/svg}path")]
    assert len(places) < 20
    assert max(each.count("M") for each in places) == product.sample.exact.size


def test_pointing_reads_out(desk: Desk) -> None:
    product, page = desk.settle(), desk.page
    at = 7
    x, y = product.sample.exact[at], product.sample.quantized[at]
    assert "→" in read(desk, page.outputs, float(x), float(y))
    left, right = page.outputs.view.viewRange()[0]
    assert read(desk, page.outputs, left + 0.02 * (right - left), 0.9 * right) == ""
    assert "weight alone" in read(desk, page.errors, 0.0)
    worst = int(product.rows.worst_first[0])
    assert read(desk, page.lines, 0).startswith(f"token {worst}: ")
    page.along.button(False).click()
    assert read(desk, page.lines, 0).startswith(f"output {int(product.columns.worst_first[0])}: ")


def test_tokens_that_all_lose_nothing_fill_the_chart_and_none_is_the_worst(desk: Desk) -> None:
    product, lines = desk.settle(), desk.page.lines
    none = np.zeros(product.rows.mse.size)
    lines.show_product(replace(product, rows=PerIndexLoss(none, none, np.full(none.size, np.inf))))
    assert lines.note == "lossless: ∞ dB"
    assert lines.plot.getAxis("left").ticks().texts == []
    assert lines._drawn().tolist() == [1.0] * none.size
    lines.show_product(product)
    assert lines.note.endswith("is the worst")
    assert lines.plot.getAxis("left").ticks().texts


def test_errors_instead_of_outputs(desk: Desk) -> None:
    product, page = desk.settle(), desk.page
    page.kind.button(True).click()
    low, high = page.outputs.view.viewRange()[1]
    reach = np.abs(product.sample.quantized - product.sample.exact).max()
    assert reach <= high == -low < 2 * reach


def test_bins_are_joined_and_parted_as_one_zooms(desk: Desk) -> None:
    chart = desk.page.errors
    coarse = np.diff(chart._edges)[0]
    chart.view.setXRange(-0.02, 0.02, padding=0)
    assert np.diff(chart._edges)[0] < coarse
    assert chart._counts["both"].sum() == 256 * 512
    chart.set_logarithmic(True)
    assert chart._counts["both"].max() < 6
    chart.set_logarithmic(False)


def test_other_verdicts(desk: Desk) -> None:
    chart = desk.page.sources
    assert chart._verdict(1.0, 1.2) == "about the same from either"
    assert chart._verdict(0.0, 1.0) == "all from the activation"
    assert chart._verdict(3.0, 1.0) == "3 × as much from the weight"
    assert chart._verdict(3000.0, 1.0) == "3,000 × as much from the weight"


def test_a_product_without_error_is_drawn_too(desk: Desk) -> None:
    whole = np.array([[127.0, -127.0], [127.0, 127.0]], np.float32)
    tensor = Tensor(whole, "whole")
    exact = Item("whole", "a test", (2, 2), "float32", lambda progress, cancelled: tensor)
    desk.session.update(items=(exact,))
    desk.multiplier.choose_runtime("onnxruntime_per_channel")
    weight = desk.multiplier.factors.weight_scheme
    desk.multiplier.update(activation=exact, weight=exact, activation_scheme=weight.__class__())
    product = desk.settle()
    assert product.loss.mse == 0
    assert desk.page.sources.note == ""
    assert "∞" in desk.page.sources.bars[0].text
    assert desk.page.figures.text().startswith("SQNR\t∞ dB")
    for chart in desk.page.charts:
        picture(chart)


def test_the_dark_theme_dresses_it(desk: Desk) -> None:
    desk.page.apply_theme(theme.load_theme("dark"))
    assert desk.page.errors.color("weight") == theme.load_theme("dark").color("weight")
    assert not picture(desk.page).isNull()
    desk.page.apply_theme(theme.load_theme("light"))


# -- what is chosen


def test_a_runtime_is_one_choice(desk: Desk) -> None:
    panel = desk.page.factors
    desk.pick(panel.runtime, "ONNX Runtime dynamic")
    product = desk.settle()
    assert product.activation_qparams.scheme.convention == "onnxruntime_dynamic"
    assert panel.activation.mode.button(False).isChecked()
    assert panel.weight.per.button("tensor").isChecked()
    assert panel.about.text() == DYNAMIC_RUNTIMES["onnxruntime"].summary
    desk.pick(panel.runtime, "Your own")
    assert panel.runtime.currentText() == "ONNX Runtime dynamic"


def test_every_control_changes_its_scheme(desk: Desk) -> None:
    activation, weight = desk.page.factors.activation, desk.page.factors.weight
    activation.bits.setValue(6)
    weight.bits_box.setValue(4)
    weight.per.button("tensor").click()
    activation.mode.button(False).click()
    desk.pick(weight.convention, "TFLite")
    product = desk.settle()
    x, w = product.activation_qparams.scheme, product.weight_qparams.scheme
    assert (x.number_format, x.symmetric, x.granularity) == (IntFormat(6), False, PerToken())
    assert (w.number_format, w.granularity, w.convention) == (IntFormat(4), PerTensor(), "tflite")
    assert desk.page.factors.runtime.currentText() == "Your own"
    weight.per._on_clicked(1)
    assert desk.multiplier.factors.weight_scheme.granularity == PerAxis(1)


def test_what_a_runtime_does_not_offer_gives_way(desk: Desk) -> None:
    activation = desk.page.factors.activation
    desk.pick(activation.convention, "ONNX Runtime, dynamic")
    scheme = desk.multiplier.factors.activation_scheme
    assert (scheme.number_format, scheme.symmetric) == (IntFormat(8, False), False)
    activation.mode.button(True).click()
    scheme = desk.multiplier.factors.activation_scheme
    assert (scheme.symmetric, scheme.convention) == (True, "onnxruntime")
    assert activation.convention.findText("Textbook") == -1
    desk.settle()


def test_open_tensors_can_be_picked_and_the_layout_follows(desk: Desk) -> None:
    x, linear = item("x", 2, 3, 16), item("linear", 7, 16)
    desk.session.update(items=(x, linear))
    panel = desk.page.factors
    desk.pick(panel.activation.items, "x")
    desk.settle()
    assert "(2, 3, 16)" in panel.weight.problem.text()
    desk.pick(panel.weight.items, "linear")
    product = desk.settle()
    assert product.shape == (6, 7)
    assert panel.layout_choice.button(True).isChecked()
    assert panel.activation.shape.text() == "2 × 3 × 16"
    assert panel.weight.problem.isHidden()
    desk.session.update(items=(linear,))
    assert panel.activation.items.currentText() == "Activations (generated)"
    desk.settle()


def test_figures_of_other_factors_are_pale_when_their_successors_are_cancelled(desk: Desk) -> None:
    desk.settle()
    desk.multiplier.update(weight_scheme=Scheme(IntFormat(3)))
    desk.multiplier.cancel()
    desk.settle()
    assert not desk.page.figures.isEnabled()
    desk.multiplier.update(weight_scheme=Scheme(IntFormat(5)))
    desk.settle()
    assert desk.page.figures.isEnabled()


def test_a_problem_stands_under_the_picker_and_goes(desk: Desk) -> None:
    panel = desk.page.factors
    nan = np.ones((4, 512), np.float32)
    nan[1, 2] = np.nan
    tensor = Tensor(nan, "nan")
    broken = Item("nan", "a test", (4, 512), "float32", lambda progress, cancelled: tensor)
    desk.session.update(items=(broken,))
    desk.pick(panel.activation.items, "nan")
    desk.settle()
    assert panel.activation.problem.isVisible()
    assert panel.activation.problem.text().startswith("1 of the activation's 2,048 elements")
    assert panel.weight.problem.isHidden()
    assert not desk.page.figures.isEnabled()
    assert {chart.note for chart in desk.page.charts} == {"out of date: showing the previous product"}
    desk.pick(panel.activation.items, "Activations (generated)")
    desk.settle()
    assert panel.activation.problem.isHidden()
    assert desk.page.figures.isEnabled()
    assert not any("out of date" in chart.note for chart in desk.page.charts)


def test_another_layout_is_asked_for(desk: Desk) -> None:
    desk.page.factors.layout_choice.button(True).click()
    assert desk.multiplier.factors.transposed
    assert desk.settle().weight_qparams.scheme.granularity == PerAxis(0)


# -- work that takes time


def test_the_figures_are_pale_while_slow_work_goes_on(desk: Desk) -> None:
    page = desk.page
    page._on_began()
    assert page._patience.isActive()
    page._pale()
    assert not page.figures.isEnabled()
    page._on_ended()
    page._set_stale(False)
    assert page.figures.isEnabled()


def test_out_of_sight_nothing_is_multiplied(desk: Desk) -> None:
    desk.page.hide()
    desk.multiplier.update(weight_scheme=DYNAMIC_RUNTIMES["int4_groups"].weight)
    assert not desk.multiplier.busy
    desk.page.show()
    assert desk.settle().weight_qparams.scheme.number_format == IntFormat(4)


def test_its_charts_leave_it_as_others_do(desk: Desk) -> None:
    asked: list[Any] = []
    desk.page.export_requested.connect(lambda chart, ending: asked.append((chart, ending)))
    menu = desk.page.menus.menu(desk.page.lines)
    menu.actions()[0].trigger()
    assert asked == [(desk.page.lines, "png")]
    menu.close()


def test_empty_charts_have_nothing_to_tell(qtbot: QtBot, desk: Desk) -> None:
    for chart in desk.page.charts:
        alone = type(chart)(desk.page.link)
        assert alone.empty
        assert alone.tables() == {}
        alone.hover(QPointF(0, 0))
        alone.reset_view()
        assert alone.title()
        alone.deleteLater()


def test_the_window_opens_it_and_closes_its_worker(new_desk: WindowDesk, tmp_path: Path) -> None:
    new_desk.window.pages.show_page("product")
    page = new_desk.window.pages.current
    assert isinstance(page, ProductPage)
    new_desk.bot.waitUntil(lambda: page.figures.product is not None, timeout=PATIENCE)
    picked = page.factors.activation.items
    assert [picked.itemText(i) for i in range(picked.count())] == ["Activations (generated)", "given"]
    new_desk.do("reset_layout")
    new_desk.do("reset_zoom")
    new_desk.window.pages.show_page("tensor")
    assert not page._multiplier._wanted
    new_desk.close()
    assert page._multiplier._runner._closed


def test_which_way_round_a_square_weight_lies_is_said_and_can_be_turned(desk: Desk) -> None:
    panel = desk.page.factors
    assert panel.lies.isHidden()
    stored, unknown = replace(item("stored", 512, 512), outputs_first=True), item("unknown", 512, 512)
    narrow = item("narrow", 512, 40)
    desk.session.update(items=(stored, unknown, narrow))
    desk.pick(panel.weight.items, "stored")
    assert desk.multiplier.factors.transposed
    assert panel.lies.text() == "Files of this kind store outputs × features."
    panel.layout_choice.button(False).click()
    assert not desk.multiplier.factors.transposed
    assert panel.lies.text() == "Files of this kind store outputs × features. It is turned."
    desk.pick(panel.weight.items, "unknown")
    assert panel.lies.text() == "It is square, and its file does not say which way round it is."
    desk.pick(panel.weight.items, "narrow")
    assert panel.lies.text() == "Only this way round it fits the activation."
    desk.settle()
