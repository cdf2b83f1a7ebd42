"""Tables are sorted by their headings, narrowed by a box, and give away single rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from qviz.core.tensors.granularity import PerAxis
from qviz.gui.kit.docks import Dock, is_behind_a_tab
from qviz.gui.kit.figure_model import Column
from qviz.gui.kit.figure_table import FigureTable
from qviz.gui.kit.theme import load_theme
from qviz.gui.kit.widgets import plain_tip
from tests.gui.conftest import Desk

ROWS = [("int8", 30.5), ("int4", 12.25), ("float8", 25.0)]


@pytest.fixture
def table(qtbot: QtBot) -> Iterator[FigureTable]:
    window = QWidget()
    qtbot.addWidget(window)
    window.resize(400, 300)
    table = FigureTable(
        [
            Column("Format", lambda r: r[0], left=True),
            Column("SQNR", lambda r: f"{r[1]:g} dB", lambda r: r[1], better=1),
        ],
        "Results",
    )
    table.apply_theme(load_theme("light"))
    layout = QVBoxLayout(window)
    layout.addWidget(table.filter_box())
    layout.addWidget(table)
    window.show()
    qtbot.waitExposed(window)
    window.activateWindow()
    table.set_rows(ROWS)
    yield table


def shown(table: FigureTable) -> list[str]:
    return [table.proxy.index(row, 0).data() for row in range(table.proxy.rowCount())]


def click_heading(qtbot: QtBot, table: FigureTable, column: int) -> None:
    header = table.horizontalHeader()
    place = QPoint(header.sectionViewportPosition(column) + 10, header.height() // 2)
    qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_a_click_on_a_heading_sorts_and_another_one_turns_the_order(qtbot: QtBot, table: FigureTable) -> None:
    click_heading(qtbot, table, 1)
    first = shown(table)
    assert first in (["int4", "float8", "int8"], ["int8", "float8", "int4"])
    click_heading(qtbot, table, 1)
    assert shown(table) == first[::-1]


def test_the_box_narrows_the_rows_and_down_goes_on_into_them(qtbot: QtBot, table: FigureTable) -> None:
    box = table.window().layout().itemAt(0).widget()
    box.setFocus()
    qtbot.keyClicks(box, "INT")
    assert shown(table) == ["int8", "int4"]
    qtbot.keyClick(box, Qt.Key.Key_Down)
    assert table.hasFocus()
    assert table.current() == ("int8", 30.5)
    box.setFocus()
    qtbot.keyClick(box, Qt.Key.Key_Escape)
    assert len(shown(table)) == 3
    qtbot.keyClicks(box, "float")
    assert shown(table) == ["float8"]


def test_a_row_is_copied(table: FigureTable) -> None:
    copy, whole, _ = table.menu_of(ROWS[1]).actions()
    copy.trigger()
    assert QApplication.clipboard().text() == "Format\tSQNR\nint4\t12.25\n"  # the figure, as a program reads it
    whole.trigger()
    assert QApplication.clipboard().text().count("\n") == 4


def test_tab_leaves_every_table_and_list(desk: Desk) -> None:
    desk.session.update(granularity=PerAxis(0))
    desk.settle()
    page = desk.page
    page.docks["worst"].raise_()
    QApplication.processEvents()
    for view in (page.table.table, page.tensors.list, page.worst.table):
        for key in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab):
            view.setFocus()
            assert view.hasFocus()
            desk.bot.keyClick(view, key)
            assert not view.hasFocus(), (view.accessibleName(), key)


@pytest.mark.parametrize("key", ["tensor", "model", "training"])
def test_tab_goes_past_what_stands_behind_another_tab(desk: Desk, key: str) -> None:
    desk.session.update(granularity=PerAxis(0))
    desk.settle()
    desk.window.pages.show_page(key)
    page: Any = desk.window.pages.current
    hidden = [dock for dock in page.findChildren(Dock) if dock.isVisible() and is_behind_a_tab(dock)]
    assert hidden
    for way in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab):
        desk.window.setFocus()
        reached: list[QWidget] = []
        while (now := QApplication.focusWidget()) not in reached:
            assert now is not None
            assert not any(dock.isAncestorOf(now) for dock in hidden), now.accessibleName()
            reached.append(now)
            desk.bot.keyClick(now, way)
        assert len(reached) > 15, "it went around the page"


def test_tables_of_results_are_sortable_and_those_of_results_can_be_narrowed(desk: Desk) -> None:
    desk.window.pages.show_page("compare")
    desk.window.pages.show_page("product")
    tables = desk.window.findChildren(FigureTable)
    names = {table.accessibleName(): table.isSortingEnabled() for table in tables}
    assert names.pop("Pairs of conventions") is False, "a square, whose rows and columns have one order"
    assert set(names.values()) == {True}
    assert {"Worst tokens", "Schemes that were swept", "Pinned schemes", "Conventions"} <= set(names)


# -- what has the focus can be seen


@pytest.mark.parametrize("which", ["list", "button", "chart", "table", "check box", "panel"])
def test_what_has_the_focus_looks_otherwise(desk: Desk, which: str) -> None:
    page = desk.page
    widget = {
        "list": page.tensors.list,
        "button": page.docks["values"].title.close_button,
        "chart": page.values.canvas,
        "table": page.table.table,
        "check box": page.scheme.signed,
        "panel": page.docks["scheme"].widget(),
    }[which]
    frame = page.values if which == "chart" else widget
    desk.window.setFocus()
    QApplication.processEvents()
    without = frame.grab().toImage()
    widget.setFocus(Qt.FocusReason.TabFocusReason)
    assert widget.hasFocus()
    QApplication.processEvents()
    assert frame.grab().toImage() != without


# -- the way back from one channel


def test_one_channel_alone_has_a_way_back_in_sight(desk: Desk) -> None:
    desk.session.update(granularity=PerAxis(0))
    desk.settle()
    chip = desk.window.status.alone
    assert not chip.isVisible()
    desk.gesture(lambda: desk.session.update(channel=3))
    assert chip.isVisible()
    assert chip.text() == "channel 3 alone ✕"
    desk.gesture(lambda: desk.click(chip))
    assert desk.session.state.channel is None
    assert not chip.isVisible()


def test_changed_figures_widen_a_column_where_they_need_it_and_reset_nothing(table: FigureTable) -> None:
    longer = [(f"{name} and more", sqnr) for name, sqnr in ROWS]
    resets: list[None] = []
    table.figures.modelReset.connect(lambda: resets.append(None))
    table.change_rows(ROWS)
    before = table.columnWidth(0)
    table.change_rows(longer)
    assert (wide := table.columnWidth(0)) > before
    assert shown(table) == [name for name, _ in longer]
    table.change_rows(ROWS)
    assert table.columnWidth(0) == wide  # one that shrinks and grows while something is dragged would flicker
    assert shown(table) == [name for name, _ in ROWS]
    assert resets == []
    table.change_rows(ROWS[:1])
    assert shown(table) == [ROWS[0][0]]
    assert len(resets) == 1


def test_space_between_columns_gives_way_before_the_last_one_is_cut(qtbot: QtBot) -> None:
    columns = [Column(f"Figure {at}", lambda r, at=at: r[at], lambda r, at=at: r[at], better=1) for at in range(8)]
    table = FigureTable(columns, "Results")
    qtbot.addWidget(table)
    table.apply_theme(load_theme("light"))
    table.resize(1200, 200)
    table.show()
    table.set_rows([tuple(f"{each}.5 KiB" for each in range(8))] * 3)
    usual = table.horizontalHeader().length()
    texts = [table.sizeHintForColumn(at) for at in range(8)]
    for lacking in (1, 30, 60):
        table.resize(usual + 2 - lacking, 200)
        assert table.horizontalHeader().length() <= table.viewport().width()
        assert all(table.columnWidth(at) >= wide for at, wide in enumerate(texts))
    table.fit()
    assert table.horizontalHeader().length() <= table.viewport().width()
    table.resize(usual // 2, 200)  # where much is lacking it scrolls
    table.fit()
    assert table.horizontalHeader().length() == usual


def test_spread_columns_fill_the_room_whatever_the_style_and_the_width(qtbot: QtBot) -> None:
    """A change of theme fits them to what they hold: they were as wide as that, and the last one was cut."""
    columns = [Column(f"Figure {at}", lambda r, at=at: r[at], lambda r, at=at: r[at], better=1) for at in range(4)]
    table = FigureTable(columns, "Results", spread=True)
    qtbot.addWidget(table)
    table.apply_theme(load_theme("light"))
    table.resize(600, 200)
    table.show()
    table.set_rows([tuple(f"{each}.5" for each in range(4))] * 3)
    needed = sum(
        max(table.sizeHintForColumn(at), table.fontMetrics().horizontalAdvance(f"Figure {at} ↑")) for at in range(4)
    )
    for style, wide in (("", 600), ("QTableView::item { padding: 0 6px }", 500), ("", needed + 60), ("", 700)):
        table.setStyleSheet(style)
        table.resize(wide, 200)
        assert table.horizontalHeader().length() == table.viewport().width()
        assert all(table.columnWidth(at) >= table.sizeHintForColumn(at) for at in range(4))


def test_columns_get_their_space_back_with_another_style_and_with_more_room(qtbot: QtBot) -> None:
    """A theme takes the old style off before the new one comes: meanwhile a text needs less around it."""
    columns = [Column(f"Figure {at}", lambda r, at=at: r[at], lambda r, at=at: r[at], better=1) for at in range(8)]
    table = FigureTable(columns, "Results")
    qtbot.addWidget(table)
    table.apply_theme(load_theme("light"))
    table.setStyleSheet("QTableView::item { padding: 0 6px }")
    table.resize(1200, 200)
    table.show()
    table.set_rows([tuple(f"{each}2.5 KiB" for each in range(8))] * 3)
    usual = [table.columnWidth(at) for at in range(8)]
    table.resize(sum(usual) - 28, 200)
    assert sum(table.columnWidth(at) for at in range(8)) < sum(usual)
    table.setStyleSheet("")
    table.setStyleSheet("QTableView::item { padding: 0 6px }")
    assert all(table.columnWidth(at) >= table.sizeHintForColumn(at) for at in range(8))
    table.resize(1200, 200)
    assert [table.columnWidth(at) for at in range(8)] == usual


def test_space_that_belongs_to_a_text_is_not_given_up(qtbot: QtBot) -> None:
    """As Qt sees it: what is a pixel too narrow ends with an ellipsis."""
    columns = [Column(f"{at}", lambda r, at=at: r[at], lambda r, at=at: r[at]) for at in range(8)]
    table = FigureTable(columns, "Results")
    qtbot.addWidget(table)
    table.apply_theme(load_theme("light"))
    for style in ("", "QTableView::item { padding: 0 6px }"):
        table.setStyleSheet(style)
        table.resize(1200, 200)
        table.show()
        table.set_rows([tuple(f"{each}2.5 KiB" for each in range(8))] * 3)
        usual = table.horizontalHeader().length()
        for lacking in (1, 30, 60):
            table.resize(usual + 2 - lacking, 200)
            assert all(table.columnWidth(at) >= table.sizeHintForColumn(at) for at in range(8)), (style, lacking)


def test_names_that_are_cut_can_be_told_from_each_other(qtbot: QtBot) -> None:
    table = FigureTable([Column("Layer", lambda name: name, left=True, names=True)], "Layers")
    qtbot.addWidget(table)
    table.apply_theme(load_theme("light"))
    table.resize(220, 200)
    table.show()
    names = [f"/model/layers.{n}/self_attn/{part}_proj/MatMul" for n in (14, 15) for part in "qo"]
    table.set_rows(names)
    assert table.columnWidth(0) < table.sizeHintForColumn(0), "they are cut"
    cells = [table.visualRect(table.model().index(at, 0)) for at in range(len(names))]
    pictures = [table.viewport().grab(cell).toImage() for cell in cells]
    assert all(one != other for one, other in itertools.combinations(pictures, 2))
    assert table.figures.data(table.figures.index(0, 0), Qt.ItemDataRole.ToolTipRole) == plain_tip(names[0])
    table.change_rows([*names[:3], "head"])
    assert table.figures.names_of(0).short(names[3], lambda text: len(text) < 9) != names[3]
