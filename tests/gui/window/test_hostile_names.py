"""Names are text: whatever a file calls its tensors or is called itself, no widget obeys it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QAbstractItemModel, QModelIndex, Qt
from PySide6.QtGui import QAction, QTextDocument
from PySide6.QtGui import Qt as RichText
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QApplication,
    QComboBox,
    QGroupBox,
    QHeaderView,
    QLabel,
    QLineEdit,
    QMenu,
    QWidget,
)
from safetensors.numpy import save_file

from qviz.gui.kit.widgets import menu_text, named_label, plain_tip
from tests.gui.conftest import PATIENCE, Desk
from tests.gui.sweeps import sweep_few

pytestmark = pytest.mark.unpainted

MARK = "Zebra"
"""Stands in every hostile name, so that it is found wherever it goes."""

HOSTILE = {
    "markup": f"<h1>{MARK}</h1><img src=http://example.invalid/x.png width=9000>",
    "escapes": f"{MARK}\x1b]52;c;aGFsbG8=\x07\x1b]0;title\x07\x1b[2J\x9b31m",
    "direction": f"{MARK}\u202egnp.exe\u2066\u200f\ufeff",
    "lines": f"{MARK}\n\r\t\x00two\u2028three\x0b",
    "ampersand": f"{MARK} &File && <b>bold</b>",
    "long": MARK + 5000 * " w",
}

FILE = f"<h1>{MARK}<br>\x1b[2J\u202e\n&x"


def texts(widget: QWidget) -> Iterator[tuple[str, str]]:
    """What a widget shows or tells, and where."""
    yield "title", widget.windowTitle()
    yield "tip", widget.toolTip()
    yield "tip", widget.statusTip()
    yield "tip", widget.whatsThis()
    yield "name", widget.accessibleName()
    yield "name", widget.accessibleDescription()
    if isinstance(widget, QLabel):
        yield ("text" if widget.textFormat() == Qt.TextFormat.PlainText else "rich"), widget.text()
    elif isinstance(widget, QAbstractButton | QLineEdit):
        yield "text", widget.text()
    elif isinstance(widget, QGroupBox):
        yield "text", widget.title()
    elif isinstance(widget, QComboBox) or (
        isinstance(widget, QAbstractItemView) and not isinstance(widget, QHeaderView) and widget.model()
    ):
        yield from cells(widget.model())
    elif hasattr(widget, "toPlainText"):
        yield "text", widget.toPlainText()
    for action in (*widget.actions(), *widget.findChildren(QAction, options=Qt.FindChildOption.FindDirectChildrenOnly)):
        yield "action", action.text()
        yield "tip", action.toolTip() if action.toolTip() != action.text().replace("&&", "&") else ""


def cells(model: QAbstractItemModel) -> Iterator[tuple[str, str]]:
    """Every cell and heading of a table or a list."""
    columns = model.columnCount(QModelIndex())
    for row in range(min(40, model.rowCount(QModelIndex()))):
        for column in range(columns):
            for role, kind in ((Qt.ItemDataRole.DisplayRole, "text"), (Qt.ItemDataRole.ToolTipRole, "tip")):
                yield kind, str(model.data(model.index(row, column), role) or "")
    for column in range(columns):
        yield "tip", str(model.headerData(column, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole) or "")


def complaints(kind: str, text: str) -> Iterator[str]:
    """What is wrong with a text that holds a name."""
    if not text.replace("\n", "").isprintable():
        yield "control characters"
    if MARK not in text:
        return
    if kind == "rich":
        yield "a label that takes markup"
    if kind == "tip" and RichText.mightBeRichText(text) and "<h1>" in text:
        yield "a tip that is taken for markup"
    if kind == "action" and "&" in text.replace("&&", ""):
        yield "an ampersand that is taken for a key"
    if kind == "title" and len(text) > 200:
        yield "a title that fills the screen"


def everywhere(desk: Desk) -> Iterator[tuple[QWidget, str, str]]:
    for top in QApplication.topLevelWidgets():
        for widget in (top, *top.findChildren(QWidget)):
            for kind, text in texts(widget):
                if text:
                    yield widget, kind, text


def check(desk: Desk) -> int:
    """Look at everything; how many texts hold the name."""
    wrong, found = [], 0
    for widget, kind, text in everywhere(desk):
        found += MARK in text
        wrong += [(type(widget).__name__, widget.objectName(), what, text[:120]) for what in complaints(kind, text)]
    assert not wrong
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.mark.parametrize("kind", HOSTILE)
def test_every_page_takes_a_name_for_text(desk: Desk, folder: Path, kind: str) -> None:
    path = folder / f"{FILE}.safetensors"
    values = np.random.default_rng(0).normal(0, 1, (48, 48)).astype(np.float32)
    values[0, 0] = np.nan  # so that a message names it
    save_file({HOSTILE[kind]: values}, path)
    desk.open(path)
    desk.settle()
    desk.app.pin_present()
    desk.window._fill_recent()
    assert check(desk) > 4
    for key in desk.window.pages._rows:
        desk.window.pages.show_page(key)
        if key == "compare":
            page: Any = desk.window.pages.current
            sweep_few(page)
            for part in ("pins", "conventions", "sweep"):
                page.show_part(part)
        desk.bot.waitUntil(lambda: not any(getattr(w, "busy", False) for w in desk.app.workers), timeout=PATIENCE)
        assert check(desk) > 4, key


def test_messages_and_menus_take_them_too(desk: Desk, folder: Path) -> None:
    damaged = folder / f"{FILE}.npy"
    damaged.write_bytes(b"nothing")
    desk.open(damaged)
    assert MARK in desk.banner.text
    check(desk)
    good = folder / f"{FILE} 2.npy"
    np.save(good, np.eye(30, dtype=np.float32))
    desk.open(good)
    desk.settle()
    good.unlink()
    desk.app.watch.look()
    desk.window.again.open_again()
    desk.rest()
    assert MARK in desk.banner.text
    menu = desk.window.actions_by_key["recent"].menu()
    assert isinstance(menu, QMenu)
    desk.window._fill_recent()
    assert any(MARK in action.text() for action in menu.actions())
    check(desk)


def test_a_tip_is_shown_as_it_is() -> None:
    for text in ("plain", "two\nlines", "weights & biases"):
        assert plain_tip(text) == text
    shown = QTextDocument()
    for text in ("a <unknown> b", "<h1>x</h1> & y\nz"):
        assert RichText.mightBeRichText(plain_tip(text))
        shown.setHtml(plain_tip(text))
        assert shown.toPlainText().replace("\u2028", "\n") == text


def test_every_label_is_plain_unless_it_says_otherwise() -> None:
    assert named_label("<b>x</b>", "caption").textFormat() == Qt.TextFormat.PlainText
    assert menu_text("a & b") == "a && b"
