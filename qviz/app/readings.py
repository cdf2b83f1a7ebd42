"""How is a person asked how a file is written, and what becomes of the answer?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QDialog, QWidget

from qviz.session.library import Library
from qviz.session.readings import Readings
from qviz.session.settings import Settings
from qviz.session.state import Item


class Asker(QObject):
    """Opens the dialog of a file, remembers what was said, and opens the file again."""

    def __init__(self, library: Library, settings: Settings, window: QWidget) -> None:
        super().__init__(window)
        self._library, self._settings, self._window = library, settings, window
        self.dialog: QDialog | None = None
        self._waiting: list[Path] = []
        readings = library.readings
        readings.restore(settings.get("readings"))
        readings.changed.connect(self._remember)
        library.unsaid.connect(self.ask_raw)

    @property
    def _readings(self) -> Readings:
        return self._library.readings

    @Slot(object)
    def ask_raw(self, paths: list[Path]) -> None:
        """How are these bare numbers written? What is said of the first holds for those beside it."""
        from qviz.gui.window.readings import RawDialog

        path, *self._waiting = paths
        dialog = RawDialog(path, self._readings.of(path).raw, self._window)
        dialog.said.connect(self._on_raw)
        self._open(dialog)

    @Slot(object)
    def ask_again(self, item: Item) -> None:
        """How is the file of this item written? What is known is shown, and can be changed."""
        path = Path(item.origin)
        if item.written == "raw":
            self.ask_raw([path])
        elif item.written == "table":
            from qviz.gui.window.readings import TableDialog

            dialog = TableDialog(path, self._readings.of(path).table, self._window)
            dialog.said.connect(self._on_table)
            self._open(dialog)

    def _open(self, dialog: Any) -> None:
        self.dialog = dialog
        dialog.finished.connect(self._on_finished)
        dialog.open()

    @Slot()
    def _on_finished(self) -> None:
        self.dialog = None

    @Slot(object, object)
    def _on_raw(self, path: Path, form: Any) -> None:
        self._readings.say_raw(path, form)
        self._library.open([path, *self._waiting])

    @Slot(object, object)
    def _on_table(self, path: Path, options: Any) -> None:
        self._readings.say_table(path, options)
        self._library.open([path])

    @Slot()
    def _remember(self) -> None:
        self._settings.set("readings", self._readings.to_list())
