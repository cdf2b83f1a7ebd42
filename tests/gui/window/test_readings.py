"""How a file is written is asked where it does not say so, shown where it was recognized, and remembered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialogButtonBox

from qviz.gui.window.readings import RawDialog, TableDialog
from tests.gui.conftest import Desk

pytestmark = pytest.mark.unpainted

OPEN = QDialogButtonBox.StandardButton.Open
CANCEL = QDialogButtonBox.StandardButton.Cancel


def values(desk: Desk) -> Any:
    assert desk.app.session.state.tensor is not None
    return desk.app.session.state.tensor.values.tolist()


def test_bare_numbers_are_asked_for_once_a_folder(new_desk: Desk, tmp_path: Path) -> None:
    desk = new_desk
    for name, first in (("a.bin", 1), ("b.bin", 7)):
        (tmp_path / name).write_bytes(np.arange(first, first + 6, dtype="<f2").tobytes())
    desk.app.library.open([tmp_path / "a.bin"])
    desk.bot.waitUntil(lambda: desk.app.asker.dialog is not None)
    dialog = desk.app.asker.dialog
    assert isinstance(dialog, RawDialog)
    dialog.dtype.setCurrentText("float16")
    dialog.shape.setText("4x4")
    assert "take 32" in dialog.outcome.text()
    assert not dialog.buttons.button(OPEN).isEnabled()
    dialog.shape.setText("2x3")
    assert dialog.outcome.text().startswith("2 × 3")
    dialog.buttons.button(OPEN).click()
    desk.rest()
    assert values(desk) == [1, 2, 3, 4, 5, 6]
    assert desk.app.session.state.tensor.shape == (2, 3)
    desk.open(tmp_path / "b.bin")
    assert values(desk) == [7, 8, 9, 10, 11, 12]
    assert desk.app.settings.get("readings")


def test_what_was_recognized_of_a_table_can_be_changed(new_desk: Desk, tmp_path: Path) -> None:
    desk = new_desk
    (tmp_path / "w.csv").write_text(",a,b\n0,1.5,2.5\n1,3.5,4.5\n")
    desk.open(tmp_path / "w.csv")
    assert values(desk) == [1.5, 2.5, 3.5, 4.5]
    action = desk.app.window.actions_by_key["how_written"]
    assert action.isEnabled()
    action.trigger()
    dialog = desk.app.asker.dialog
    assert isinstance(dialog, TableDialog)
    assert "first column is an index and left out" in dialog.outcome.text()
    preview = dialog.preview
    assert (preview.rowCount(), preview.columnCount()) == (2, 3)
    assert not preview.item(0, 0).flags() & Qt.ItemFlag.ItemIsEnabled
    assert preview.item(1, 2).text() == "4.5"
    dialog.columns.setText("3")
    dialog.header.setText("x")
    assert not dialog.buttons.button(OPEN).isEnabled()
    dialog.header.setText("")
    dialog.buttons.button(OPEN).click()
    desk.rest()
    assert values(desk) == [2.5, 4.5]
    action.trigger()
    again = desk.app.asker.dialog
    assert isinstance(again, TableDialog)
    assert again.columns.text() == "3"
    again.buttons.button(CANCEL).click()
    desk.bot.waitUntil(lambda: desk.app.asker.dialog is None)
    assert values(desk) == [2.5, 4.5]


def test_of_other_files_there_is_nothing_to_say(new_desk: Desk, tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.ones(3))
    new_desk.open(tmp_path / "w.npy")
    assert not new_desk.app.window.actions_by_key["how_written"].isEnabled()


@pytest.mark.parametrize("name", ["<b>w<b>.csv", "a\x1b[31m.csv"])
def test_names_and_fields_are_text(new_desk: Desk, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("<i>x</i>,2\n1.5,2.5\n3.5,4.5\n")
    dialog = TableDialog(path, new_desk.app.library.readings.of(path).table)
    new_desk.bot.addWidget(dialog)
    assert dialog.outcome.textFormat() == Qt.TextFormat.PlainText
    assert "\x1b" not in dialog.windowTitle() + dialog.outcome.text()
