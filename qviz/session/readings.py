"""What did a person say of files that do not say themselves how they are written? It is asked once, and remembered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from qviz.core.problems import Problem
from qviz.files.raw import SUFFIXES, RawForm
from qviz.files.readers import Reading
from qviz.files.tables.form import TableOptions

MOST = 200
"""Files and folders that are remembered."""


class Readings(QObject):
    """By file; bare numbers are read as those beside them, too.

    Signals
    -------
    changed()
        Something was said.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tables: dict[str, TableOptions] = {}
        self._raws: dict[str, RawForm] = {}

    def of(self, path: Path) -> Reading:
        """What is known of a file."""
        raw = None
        if path.name.lower().endswith(SUFFIXES):
            raw = self._raws.get(str(path)) or self._raws.get(str(path.parent))
        return Reading(self._tables.get(str(path), TableOptions()), raw)

    def say_table(self, path: Path, options: TableOptions) -> None:
        """Remember how a table is written."""
        self._tables.pop(str(path), None)
        if options:
            self._tables[str(path)] = options
        self._told()

    def say_raw(self, path: Path, form: RawForm) -> None:
        """Remember how bare numbers are written, in this file and in those beside it."""
        for key in (str(path.parent), str(path)):
            self._raws.pop(key, None)
            self._raws[key] = form
        self._told()

    def _told(self) -> None:
        for said in (self._tables, self._raws):
            while len(said) > MOST:
                del said[next(iter(said))]
        self.changed.emit()

    def to_list(self) -> list[list[str]]:
        """What `restore` takes."""
        tables = [["table", path, str(options)] for path, options in self._tables.items()]
        return tables + [["raw", path, str(form)] for path, form in self._raws.items()]

    def restore(self, rows: list[Any]) -> None:
        """Take what `to_list` gave; a damaged row is left out."""
        for row in rows:
            if not isinstance(row, list) or len(row) != 3 or not all(isinstance(part, str) for part in row):
                continue
            kind, path, text = row
            try:
                if kind == "table":
                    self._tables[path] = TableOptions.parsed(text)
                elif kind == "raw":
                    self._raws[path] = RawForm.parsed(text)
            except Problem:
                continue
