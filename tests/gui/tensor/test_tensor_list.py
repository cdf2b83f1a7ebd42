"""Each tensor of the list has two lines: its name, and what it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QDesktopServices, QImage, QPainter
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QApplication, QStyleOptionViewItem
from pytestqt.qtbot import QtBot

from qviz.core import Tensor
from qviz.gui.tensor.tensor_list_panel import COMPARED_AT_ONCE, ItemDelegate, ItemsModel
from qviz.session.state import Item
from tests.gui.conftest import Desk

pytestmark = pytest.mark.unpainted

ROW = QRect(0, 0, 240, 42)


def written(desk: Desk, name: str, shape: tuple[int, ...] | None, dtype: str | None) -> list[int]:
    """The rows of pixels in which something stands."""
    tensor = Tensor(np.zeros(1, np.float32), name)
    item = Item(name, "a test", shape, dtype, lambda progress, cancelled: tensor)
    desk.session.update(items=(item,))
    view = desk.page.tensors.list
    option = QStyleOptionViewItem()
    option.initFrom(view)
    option.widget, option.rect, option.font = view, ROW, view.font()
    image = QImage(ROW.size(), QImage.Format.Format_RGB32)
    image.fill("white")
    painter = QPainter(image)
    delegate = view.itemDelegate()
    assert isinstance(delegate, ItemDelegate)
    delegate.paint(painter, option, view.model().index(0, 0))
    painter.end()
    ground = image.pixel(2, 1)
    return [y for y in range(ROW.height()) if any(image.pixel(x, y) != ground for x in range(8, 230))]


def test_the_name_stands_in_the_upper_half_and_what_it_is_in_the_lower(desk: Desk) -> None:
    name, about = written(desk, "Wgjq", None, None), written(desk, "", (4, 5), "float32")
    half = 3 + (42 - 6) // 2
    assert name
    assert about
    assert max(name) < half <= min(about)
    assert min(name) > 3
    assert max(about) < 42 - 3
    both = written(desk, "Wgjq", (4, 5), "float32")
    assert both == name + about


# -- names, keys, menus


NAMES = [f"model/model.layers.{layer}.self_attn.{part}_proj.weight" for layer in range(3) for part in "qkv"]


def items(desk: Desk, *names: str, origin: str = "a test") -> list[Item]:
    """List tensors of these names; none of them is shown."""
    tensor = Tensor(np.ones(3, np.float32), "some")
    made = [Item(name, origin, (3,), "float32", lambda progress, cancelled: tensor) for name in names]
    desk.session.update(items=tuple(made))
    return made


def test_names_that_are_cut_can_be_told_apart_and_the_tip_has_the_whole(desk: Desk) -> None:
    items(desk, *NAMES)
    view = desk.page.tensors.list
    delegate = view.itemDelegate()
    assert isinstance(delegate, ItemDelegate)
    metrics = view.fontMetrics()
    for width in (110, 160, 230):
        short = [delegate.short(name, metrics, width) for name in NAMES]
        assert len(set(short)) == len(NAMES), (width, short)
        assert all(metrics.horizontalAdvance(each) <= width for each in short)
    tips = [view.model().index(row, 0).data(Qt.ItemDataRole.ToolTipRole) for row in range(len(NAMES))]
    assert [tip.splitlines()[0] for tip in tips] == NAMES


def test_a_tip_is_no_markup(desk: Desk) -> None:
    items(desk, "<h1>weight</h1>")
    tip = desk.page.tensors.list.model().index(0, 0).data(Qt.ItemDataRole.ToolTipRole)
    assert "&lt;h1&gt;weight&lt;/h1&gt;" in tip


def test_from_the_filter_down_goes_into_the_list_and_enter_shows_the_first(desk: Desk) -> None:
    _, second, third = items(desk, "first.weight", "second.bias", "third.bias")
    panel, chosen = desk.page.tensors, []
    panel.item_chosen.connect(chosen.append)
    panel.filter.setFocus()
    desk.bot.keyClicks(panel.filter, "bias")
    assert chosen == [], "looking for a name chooses nothing"
    desk.bot.keyClick(panel.filter, Qt.Key.Key_Return)
    assert chosen == [second]
    panel.filter.setFocus()
    desk.bot.keyClick(panel.filter, Qt.Key.Key_Down)
    assert panel.list.hasFocus()
    desk.bot.keyClick(panel.list, Qt.Key.Key_Down)
    assert chosen[-1] is third


def test_a_tensor_has_a_menu(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (item,) = items(desk, "w", origin=str(tmp_path / "w.npy"))
    panel, told = desk.page.tensors, []
    panel.item_chosen.connect(lambda each: told.append(("show", each)))
    panel.item_closed.connect(lambda each: told.append(("close", each)))
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: told.append(("folder", url.toLocalFile())))
    actions = {action.text(): action for action in panel.menu_of(item).actions()}
    for name in ("Show", "Copy name", "Show in folder", "Close"):
        actions[name].trigger()
    assert told == [("show", item), ("folder", str(tmp_path)), ("close", item)]
    assert QApplication.clipboard().text() == "w"


def test_what_was_generated_lies_in_no_folder(desk: Desk) -> None:
    (item,) = items(desk, "w", origin="generated")
    actions = {action.text(): action for action in desk.page.tensors.menu_of(item).actions()}
    assert not actions["Show in folder"].isEnabled()


def test_a_row_of_elements_and_a_figure_can_be_copied(desk: Desk) -> None:
    table = desk.page.table
    table.menu_of(1).actions()[0].trigger()
    head, row = QApplication.clipboard().text().splitlines()
    assert head.startswith("index\tR\t")
    index, *cells = row.split("\t")
    assert index == table.text().splitlines()[2].split("\t")[0]
    assert float(cells[0]) == desk.settle().tensor.values[1]
    rows = desk.page.metrics._rows
    rows.menu_of(1).actions()[0].trigger()
    assert float(QApplication.clipboard().text()) == desk.settle().shown.mse
    headline = desk.page.metrics._headline
    headline.menu_of().actions()[0].trigger()
    assert float(QApplication.clipboard().text()) == desk.settle().shown.sqnr_db
    assert headline.figure.text() in QApplication.clipboard().mimeData().html()


def test_the_names_of_a_large_folder_are_told_apart_in_several_turns(desk: Desk) -> None:
    def item(number: int) -> Item:
        name = f"model.model.layers.{number}.self_attn.q_proj.weight"
        return Item(name, "a test", (1,), "float32", lambda p, c: Tensor(np.zeros(1, np.float32), name))

    model = desk.page.tensors.model
    state = desk.session.state
    desk.session.update(items=(*state.items, *(item(number) for number in range(3 * COMPARED_AT_ONCE))))
    assert len(model._to_compare) == 2 * COMPARED_AT_ONCE
    name = f"model.model.layers.{3 * COMPARED_AT_ONCE - 1}.self_attn.q_proj.weight"
    desk.bot.waitUntil(lambda: not model._to_compare)
    assert str(3 * COMPARED_AT_ONCE - 1) in model.names.short(name, lambda text: len(text) < 9)
    desk.session.update(items=state.items)
    assert not model._to_compare
    assert not model._turn.isActive()


def test_a_list_that_changes_is_never_begun_anew(qtbot: QtBot) -> None:
    """What stays keeps its place, its choice and where the list was scrolled to; only what came or went is told."""
    model = ItemsModel()
    tester = QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)
    told: list[tuple[str, int, int]] = []
    model.modelReset.connect(lambda: told.append(("reset", 0, 0)))
    model.rowsInserted.connect(lambda parent, first, last: told.append(("came", first, last)))
    model.rowsRemoved.connect(lambda parent, first, last: told.append(("went", first, last)))
    a, b, c, d = (Item(name, "a test", (3,), "float32", lambda p, c: None) for name in ("w.a", "w.b", "w.c", "w.d"))
    for items, wanted in (
        ((a,), [("came", 0, 0)]),
        ((a, b, c), [("came", 1, 2)]),
        ((a, d, b, c), [("came", 1, 1)]),
        ((a, d, c), [("went", 2, 2)]),
        ((d, c), [("went", 0, 0)]),
        ((d, a), [("went", 1, 1), ("came", 1, 1)]),
        ((d, a), []),
        ((), [("went", 0, 1)]),
    ):
        told.clear()
        model.set_items(items)
        assert told == wanted
        assert model.items == items
    model.set_items((a, b, c, d))
    told.clear()
    model.set_filter("W.B")
    assert model.items == (b,)
    assert told == [("went", 0, 3), ("came", 0, 0)]
    model.set_items((a, b, c, d, b))
    assert model.items == (b, b)
    model.set_filter("")
    assert model.items == (a, b, c, d, b)
    assert not model.index_of(Item("w.b", "another", (3,), "float32", lambda p, c: None)).isValid()
    assert model.index_of(c).row() == 2
    assert tester.model() is model


def test_names_that_come_later_are_told_from_those_that_were_there(qtbot: QtBot) -> None:
    model = ItemsModel()
    items = [Item(f"model.layers.{n}.weight", "a test", (3,), "float32", lambda p, c: None) for n in range(5000)]

    def short(name: str) -> str:
        qtbot.waitUntil(lambda: not model._turn.isActive())
        return model.names.short(name, lambda text: len(text) < 9)

    model.set_items(tuple(items[:1]))
    assert short("model.layers.0.weight") == "…weight"
    model.set_items(tuple(items))
    assert short("model.layers.0.weight").startswith("…0.")
    model.set_items(tuple(items[:1]))
    assert short("model.layers.0.weight") == "…weight"
