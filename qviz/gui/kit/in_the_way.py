"""What becomes of files that are there already? They are asked about, once for all that would be written."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Slot
from PySide6.QtWidgets import QAbstractButton, QMessageBox, QWidget
from shiboken6 import isValid

from qviz.core.printable import printable
from qviz.files.names import numbered

MOST_NAMED = 3
"""Names in the question; the others are counted."""


class InTheWay(QObject):
    """Lets write at once where nothing is in the way; else after a person's answer, or not at all."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self.question: QMessageBox | None = None
        self.overwrite: QAbstractButton | None = None
        self.keep: QAbstractButton | None = None
        self.cancel: QAbstractButton | None = None
        self._paths: Sequence[Path] = ()
        self._write: Callable[[int], object] | None = None

    def write(self, paths: Sequence[Path], write: Callable[[int], object]) -> None:
        """Call ``write`` with the number that `numbered` gives each of ``paths``: 1, unless both shall be kept."""
        there = [path for path in paths if os.path.lexists(path)]
        if not there:
            write(1)
            return
        self._paths, self._write = paths, write
        self._ask(there)

    def _ask(self, there: Sequence[Path]) -> None:
        if self.question is not None and isValid(self.question):  # left behind on a page that nobody looks at
            self.question.close()
        box = QMessageBox(self._window)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(self.tr("Files that are there already"))
        box.setTextFormat(Qt.TextFormat.PlainText)
        if len(there) == 1:
            box.setText(self.tr("“{name}” is there already.").format(name=printable(there[0].name)))
        else:
            box.setText(self.tr("{count} of these files are there already.").format(count=len(there)))
            names = "\n".join(printable(path.name) for path in there[:MOST_NAMED])
            box.setInformativeText(names + ("\n…" if len(there) > MOST_NAMED else ""))
        self.overwrite = box.addButton(self.tr("Overwrite"), QMessageBox.ButtonRole.DestructiveRole)
        self.keep = box.addButton(self.tr("Keep both"), QMessageBox.ButtonRole.AcceptRole)
        self.cancel = box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(QMessageBox.StandardButton.Cancel)
        box.buttonClicked.connect(self._on_clicked)
        self.question = box
        box.open()

    @Slot(QAbstractButton)
    def _on_clicked(self, button: QAbstractButton) -> None:
        write, self._write, self.question = self._write, None, None
        if write is None or button is self.cancel:
            return
        number = 1
        if button is self.keep:
            while any(os.path.lexists(numbered(path, number)) for path in self._paths):
                number += 1
        write(number)
