"""Is what leaves a table the number itself, in the place where a person read it?"""

from __future__ import annotations

import math
import re
from typing import Any

from PySide6.QtWidgets import QApplication

from qviz.gui.kit.copying import plain_cell
from qviz.gui.kit.figure_model import Column
from qviz.gui.kit.figure_rows import FigureRows, Headline
from qviz.gui.kit.figure_table import FigureTable

READ_IN = (1.0, 100.0, 1e3, 1e6, 2**-10, 2**-20, 2**-30)
"""By what a person's figure may differ from the copied one: per cent, ms, µs, KiB, MiB, GiB."""


def read(text: str) -> float | None:
    """The number that a text begins with, as a person reads it."""
    found = re.match(r"[≈ ]*([−-]?(?:\d[\d,]*\.?\d*(?:e[−+]?\d+)?|∞))", text)
    if found is None:
        return None
    return float(found[1].replace("−", "-").replace(",", "").replace("∞", "inf"))


def cells() -> list[list[str]]:
    """What is in the clipboard, and that a program reads it."""
    text = QApplication.clipboard().text()
    assert not re.search("[−≈∞]", text.replace("x̂", "")), text
    assert "<" in QApplication.clipboard().mimeData().html()
    return [line.split("\t") for line in text.removesuffix("\n").split("\n")]


def agree(shown: str, copied: list[str], where: object) -> None:
    """A figure that a person reads is among those that are copied of its column."""
    figure = read(shown)
    if figure is None or (shown in copied and "×" in shown):  # no number, or a shape
        return
    for cell in copied:
        try:
            value = float(cell)
        except ValueError:
            continue
        assert plain_cell(value) == cell or plain_cell(int(value)) == cell, (where, cell)
        # Few digits are shown: what agrees to one in a hundred is the same figure.
        if any(math.isclose(value * unit, figure, rel_tol=1e-2, abs_tol=1e-30) for unit in READ_IN):
            return
    raise AssertionError((where, shown, copied))


def check_table(table: FigureTable) -> None:
    """Copy the rows of a table, all and one, and compare every figure with what is read."""
    order = [table.proxy.mapToSource(table.proxy.index(at, 0)).row() for at in range(table.proxy.rowCount())]
    rows = [table.figures.rows[at] for at in order]
    assert rows, table.accessibleName()
    table.copy()
    head, *lines = cells()
    columns = [column for column in table.figures.columns if not column.action]
    assert head == [each.title for column in columns for each in column.copied]
    assert len(set(head)) == len(head), head
    for row, line in zip(rows, lines, strict=True):
        at = 0
        for column in columns:
            size = len(column.copied)
            _check_cell(table, column, row, line[at : at + size])
            at += size
    by_words = {action.text(): action for action in table.menu_of(rows[-1]).actions()}
    by_words["Copy row"].trigger()
    assert cells() == [head, lines[-1]]
    by_words["Copy table"].trigger()
    assert cells() == [head, *lines]
    assert "Export table…" in by_words
    assert table.excerpt().cells() == [head, *lines]


def _check_cell(table: FigureTable, column: Column, row: Any, copied: list[str]) -> None:
    where = (table.accessibleName(), column.title)
    agree(column.text(row), copied, where)
    value = column.value(row) if column.value is not None else None
    worded = column.narrow or column.editable or (column.left and not column.copies)
    if isinstance(value, int | float) and not worded:
        assert plain_cell(value) in copied, where


def check_figures(panel: Any, headline: Headline) -> None:
    """Copy what a panel of figures says, each and all."""
    for each in (headline, *panel.findChildren(FigureRows)):
        count = 1 if each is headline else len(each._values)
        for at in range(count):
            one, whole = (each.menu_of() if each is headline else each.menu_of(at)).actions()
            words = each.figure.text() if each is headline else each._values[at].text()
            one.trigger()
            agree(words, cells()[0], words)
            QApplication.clipboard().clear()
            whole.trigger()
            assert len(cells()) > 3
