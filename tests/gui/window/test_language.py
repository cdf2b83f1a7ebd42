"""In another language, no English is left in the window: every text is put into brackets, and none is found without."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from PySide6.QtCore import QCoreApplication, Qt, QTranslator
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QComboBox,
    QDockWidget,
    QGroupBox,
    QLabel,
    QLineEdit,
    QTabBar,
    QWidget,
)

from qviz.gui.charts.base import Chart
from tests.gui.conftest import SMALL, Desk, application

OPEN, CLOSE = "⟦", "⟧"

DATA = re.compile(
    r"u?int\d+|b?float\d+|(FP|NF|MX)\w+|E\dM\d\w*|NaN|dB|[KMG]iB|Adam|SGD|bitsandbytes|bnb|llama\.cpp|ggml|ReLU|tanh"
    r"|given|a test|(Activations|Weights) \(generated\)|Ctrl|Shift|Alt|npz?|svg|pdf|png|csv",
    re.IGNORECASE,
)
"""Names of formats and tensors, units and keys, which are the same in every language."""


class Brackets(QTranslator):
    """A language whose words are the English ones, in brackets."""

    def translate(self, context: str, text: str, disambiguation: str | None = None, n: int = -1) -> str:
        if context.startswith("Q") or not text:  # Qt's own texts come with Qt's own language files
            return ""
        return f"{OPEN}{text}{CLOSE}"

    def isEmpty(self) -> bool:
        return False


def outside(text: str) -> str:
    """What of a text is in no brackets."""
    depth, left = 0, []
    for character in text:
        depth += (character == OPEN) - (character == CLOSE)
        left.append(character if depth == 0 and character != CLOSE else " ")
    return "".join(left)


def english(text: str) -> bool:
    """Whether a word is left that should have been translated."""
    return bool(re.search(r"[^\W\d_]{3,}", DATA.sub(" ", re.sub(r"<[^>]*>", " ", outside(text)))))


def texts_of(widget: QWidget) -> Iterator[str]:
    """Everything that a widget says."""
    yield widget.toolTip()
    yield widget.accessibleName()
    match widget:
        case QLabel() | QAbstractButton():
            yield widget.text()
        case QGroupBox():
            yield widget.title()
        case QDockWidget():
            yield widget.windowTitle()
        case QLineEdit():
            yield widget.placeholderText()
        case QComboBox():
            yield from (widget.itemText(i) for i in range(widget.count()))
            yield from (str(widget.itemData(i, Qt.ItemDataRole.ToolTipRole) or "") for i in range(widget.count()))
        case QTabBar():
            yield from (widget.tabText(i) for i in range(widget.count()))
        case QAbstractItemView() if widget.model() is not None:
            model = widget.model()
            for column in range(model.columnCount()):
                for role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
                    yield str(model.headerData(column, Qt.Orientation.Horizontal, role) or "")
        case Chart():
            yield from (widget.title(), widget.note)
            yield from (axis.labelText if axis.isVisible() else "" for axis in widget.plot.axes.values())


@pytest.fixture
def bracketed(qapp) -> Iterator[None]:
    translator = Brackets()
    QCoreApplication.installTranslator(translator)
    yield
    QCoreApplication.removeTranslator(translator)


@pytest.fixture
def desk(bracketed: None, desks: Callable[..., Desk]) -> Desk:
    desk = desks()
    desk.show(SMALL)
    return desk


def left_in(window: QWidget) -> list[str]:
    """Each English text in a window, and what shows it."""
    found = {
        f"{type(widget).__name__} {widget.objectName()}: {text}"
        for widget in (window, *window.findChildren(QWidget))
        for text in texts_of(widget)
        if english(text)
    }
    found |= {
        f"QAction: {text}"
        for action in window.findChildren(QAction)
        for text in (action.text(), action.toolTip().split("<")[0] if "<" in action.toolTip() else action.toolTip())
        if english(text)
    }
    return sorted(found)


def test_brackets_are_seen_through():
    assert not english(f"{OPEN}a word of {OPEN}words{CLOSE}{CLOSE} int8 3 dB")
    assert english(f"{OPEN}a{CLOSE} word")


@pytest.mark.parametrize("page", ["tensor", "compare", "product", "training"])
def test_no_text_of_a_page_is_english_alone(desk: Desk, page: str):
    desk.window.pages.show_page(page)
    application().processEvents()
    assert left_in(desk.window) == []
