"""Whatever is copied in the window, a spreadsheet reads: every table and every figure of every page.

Those of the Model page, which take another process, are checked where that page is tested.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QModelIndex, QPoint, Qt
from PySide6.QtWidgets import QApplication, QFileDialog, QMenu, QTableView

from qviz.core.formats.integers import IntFormat
from qviz.core.ranges.mse import MSE
from qviz.core.ranges.rules import MinMax
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerAxis
from qviz.gui.compare.page import CONVENTIONS_PART, PINS
from qviz.gui.kit.fields import FilterBox
from qviz.gui.kit.figure_table import FigureTable
from tests.gui.compare.test_page import few_schemes
from tests.gui.compare.test_page import settle as compared
from tests.gui.conftest import PATIENCE, Desk
from tests.gui.copied import cells, check_figures, check_table

pytestmark = pytest.mark.unpainted

HARD = (np.random.default_rng(5).standard_t(2, (6, 30)) / 3e5).astype(np.float32)
"""Figures whose exponents and signs are to be seen."""


def tables(page: Any) -> list[FigureTable]:
    return [table for table in page.findChildren(FigureTable) if table.figures.rows]


def test_the_tensor_page(desk: Desk) -> None:
    desk.show(HARD, granularity=PerAxis(0), symmetric=False)
    (worst,) = tables(desk.page)
    check_table(worst)
    check_figures(desk.page.metrics, desk.page.metrics._headline)
    desk.page.table.menu_of(0).actions()[0].trigger()
    head, line = cells()
    assert line[0] == "0, 0"
    assert float(line[head.index("R")]) == HARD[0, 0]
    desk.show(HARD.reshape(-1)[: 180 // 4 * 4])
    desk.gesture(lambda: desk.session.update(scheme=Scheme()))
    desk.page.table.scroll_bar.setValue(100)
    desk.page.table.copy()
    assert int(cells()[1][0]) == desk.page.table.model.first


def test_the_compare_page(desk: Desk) -> None:
    desk.show(HARD, symmetric=False)
    desk.app.pin(Scheme(IntFormat(4)))
    desk.app.pin(Scheme(IntFormat(3), granularity=PerAxis(0), symmetric=False))
    page = few_schemes(desk, (MinMax(), MSE()))  # their names are no numbers, as 99.9 % looks like one
    check_table(page.sweep.results)
    page.show_part(PINS)
    compared(desk, page)
    check_table(page.pins.table)
    page.show_part(CONVENTIONS_PART)
    compared(desk, page)
    for table in (page.runtimes.table, page.runtimes.pairs, page.runtimes.examples):
        check_table(table)


def test_the_product_page(desk: Desk) -> None:
    desk.window.pages.show_page("product")
    page: Any = desk.window.pages.current
    desk.bot.waitUntil(lambda: page.figures.product is not None, timeout=PATIENCE)
    check_table(page.figures.table)
    check_figures(page.figures, page.figures._headline)
    page.copy_figures()
    copied = dict(cells()[1:])
    assert float(copied["SQNR (dB)"]) == page.figures.product.loss.sqnr_db


def test_the_training_page(desk: Desk) -> None:
    desk.window.pages.show_page("training")
    page: Any = desk.window.pages.current
    for seed in (0, 1):
        page.panel.seed.setValue(seed)
        desk.bot.waitUntil(lambda: page.trainer.snapshot is not None, timeout=PATIENCE)
        page.trainer.step()
        desk.bot.waitUntil(lambda at=seed: len(page.trainer.runs) > at and not page.trainer.busy, timeout=PATIENCE)
    check_table(page.runs.table)
    page.copy_figures()
    head, *lines = cells()
    assert head[0] == "step"
    assert all(float(cell) >= 0 for line in lines for cell in line if cell)


def test_ctrl_c_copies_one_row_or_all_as_a_program_reads_them(desk: Desk) -> None:
    desk.show(HARD, granularity=PerAxis(0), symmetric=False)
    desk.page.docks["worst"].raise_()
    few_schemes(desk)
    desk.window.pages.show_page("product")
    product: Any = desk.window.pages.current
    desk.bot.waitUntil(lambda: product.figures.product is not None, timeout=PATIENCE)
    views = [view for view in desk.window.findChildren(QTableView) if view.model().rowCount()]
    names = {view.accessibleName() for view in views}
    assert {"Elements, step by step", "The worst groups", "Schemes that were swept", "Worst tokens"} <= names
    for view in views:
        view.clearSelection()
        view.setCurrentIndex(QModelIndex())
        desk.bot.keyClick(view, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
        head, *lines = cells()
        assert len(lines) == view.model().rowCount(), view.accessibleName()
        if isinstance(view, FigureTable):
            view.point_to(view.figures.rows[0])
        else:
            desk.session.update(selected=0)
        desk.bot.keyClick(view, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
        assert cells()[0] == head
        assert len(cells()) == 2, view.accessibleName()
        assert cells()[1] in lines


def test_every_table_can_be_narrowed_and_has_a_menu(desk: Desk) -> None:
    """By a box whose Down and Enter lead into it; Escape empties it."""
    for key in ("compare", "product", "training", "model", "tensor"):
        desk.window.pages.show_page(key)
    boxes = {box.accessibleName(): box for box in desk.window.findChildren(FilterBox)}
    for table in desk.window.findChildren(FigureTable):
        assert table.contextMenuPolicy() == Qt.ContextMenuPolicy.CustomContextMenu
        if (
            table.isSortingEnabled() and table.accessibleName() != "Layers and roles"
        ):  # of what one box narrows: tensors
            box = boxes[f"Filter {table.accessibleName()}"]
            for key in (Qt.Key.Key_Down, Qt.Key.Key_Return):
                descended: list[None] = []
                box.descended.connect(lambda to=descended: to.append(None))
                box.returnPressed.connect(lambda to=descended: to.append(None))
                desk.bot.keyClick(box, key)
                assert descended, (box.accessibleName(), key)
            box.setText("nothing of the kind")
            assert table.proxy.rowCount() == 0
            desk.bot.keyClick(box, Qt.Key.Key_Escape)
            assert box.text() == ""


def test_a_table_goes_to_a_file(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.show(HARD, granularity=PerAxis(0))
    desk.page.docks["worst"].raise_()
    table = desk.page.worst.table
    QApplication.processEvents()
    for name, comma in (("worst.csv", ","), ("worst.tsv", "\t")):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, to=tmp_path / name: (str(to), ""))
        table.customContextMenuRequested.emit(QPoint(20, 10))
        menu = next(m for m in table.findChildren(QMenu) if m.isVisible())
        menu.actions()[-1].trigger()
        menu.close()
        head, *lines = (tmp_path / name).read_text(encoding="utf-8").splitlines()
        assert head == comma.join(("Channel", "Number", "SQNR (dB)", "Max", "Scale", "Clip"))
        assert float(lines[0].split(comma)[2]) == table.figures.rows[0].sqnr_db
