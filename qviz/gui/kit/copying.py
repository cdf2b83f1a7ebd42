"""How do figures leave for the clipboard? As numbers that a program reads, beside the words that a person reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PySide6.QtCore import QMimeData
from PySide6.QtGui import QKeyEvent, QKeySequence, QStandardItemModel
from PySide6.QtWidgets import QApplication

from qviz.core.arrays import distinct
from qviz.core.frozen import frozen
from qviz.gui.kit.widgets import escaped

MOST_FOR_PEOPLE = 2000
"""Lines that are copied as words as well: more of them are for programs alone, and would hold the window up."""

Lines = Sequence[Sequence[Any]]
"""Cells by line; the first line are the headings."""


@frozen
class Copied:
    """One column of what is copied: its heading, with the unit, and the figure of a row."""

    title: str
    of: Callable[[Any], Any]


@frozen
class Excerpt:
    """What leaves a table of that name: ``plain`` for programs, ``pretty`` for people, made when it is asked for."""

    name: str
    plain: Lines
    pretty: Callable[[], Lines]

    def cells(self) -> list[list[str]]:
        """What a program reads, cell by cell."""
        return [[plain_cell(cell) for cell in line] for line in self.plain]

    def copy(self) -> None:
        """To the clipboard."""
        copy_lines(self.plain, self.pretty() if len(self.plain) <= MOST_FOR_PEOPLE else ())


def is_number(value: object) -> bool:
    """Whether it is copied as one."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def plain_cell(value: object) -> str:
    """A number to its last digit, in ASCII and without a unit; a text on one line; nothing for what there is not."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return repr(value) if is_number(value) else " ".join(str(value).split())


def ends(name: str, values: Any) -> list[tuple[str, Any]]:
    """A figure of which there is one; of many the smallest and the largest."""
    array = np.asarray(values)
    if array.size == 1:
        return [(name, array.reshape(-1)[0])]
    array = distinct(array)
    return [(f"{name}, {word}", value) for word, value in (("min", array.min()), ("max", array.max()))]


def both_ends(title: str, values_of: Callable[[Any], Any]) -> tuple[Copied, Copied]:
    """From where to where many values of a row are: two columns, nothing where there are none."""

    def end(pick: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def of(row: Any) -> Any:
            values = values_of(row)
            return None if values is None else pick(np.asarray(values))

        return of

    return Copied(f"{title}, min", end(np.min)), Copied(f"{title}, max", end(np.max))


def tab_separated(lines: Lines) -> str:
    """Lines as a spreadsheet or a script reads them."""
    return "".join("\t".join(map(plain_cell, line)) + "\n" for line in lines)


def asks_to_copy(event: QKeyEvent) -> bool:
    """Whether it is Ctrl+C, which Qt's own tables answer with the words of one cell."""
    return event.matches(QKeySequence.StandardKey.Copy)


def copy_lines(plain: Lines, pretty: Lines) -> None:
    """Put figures into the clipboard: ``plain`` as tab-separated text, ``pretty``, if there is any, as HTML."""
    data = _data()
    data.setText(tab_separated(plain))
    if pretty:
        head, *rows = ("".join(f"<td>{escaped(str(cell))}</td>" for cell in line) for line in pretty)
        head = head.replace("td>", "th>")
        data.setHtml(f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>")
    QApplication.clipboard().setMimeData(data)


def copy_figure(figures: Sequence[Any], text: str) -> None:
    """Put one figure, or the few that stand in one place, into the clipboard; ``text`` is what a person reads."""
    data = _data()
    data.setText("\t".join(map(plain_cell, figures)))
    data.setHtml(f"<p>{escaped(text)}</p>")
    QApplication.clipboard().setMimeData(data)


def _data() -> QMimeData:
    """Empty, and made by Qt: of one made in Python Qt's end would be a signal, for Python ends before it."""
    model = QStandardItemModel(1, 1)
    data = model.mimeData([model.index(0, 0)])
    for kind in data.formats():
        data.removeFormat(kind)
    return data
