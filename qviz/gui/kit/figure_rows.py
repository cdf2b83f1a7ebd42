"""How do figures stand in a panel? A headline, and rows with a name, a judgement and a value each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from PySide6.QtCore import QPoint, Qt, Slot
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QApplication, QGridLayout, QHBoxLayout, QMenu, QVBoxLayout, QWidget

from qviz.gui.kit.copying import plain_cell
from qviz.gui.kit.judgement import arrow, judgement
from qviz.gui.kit.theme import scaled_font
from qviz.gui.kit.widgets import Line, named_label


class Headline(QWidget):
    """One large figure, and two words on it."""

    def __init__(self, longest: str, word: str, judged: str, name: str, tip: str) -> None:
        """``longest`` is the widest figure there will be; ``name`` is read aloud."""
        super().__init__()
        self.figure = Line("headline")
        self.figure.setFont(scaled_font(self.font(), 26, weight=QFont.Weight.DemiBold))
        self.figure.reserve(longest)
        self.figure.setAccessibleName(name)
        self.figure.setToolTip(tip)
        self.figure.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.figure.customContextMenuRequested.connect(self._on_context_menu)
        self.judgement = named_label(judged, "caption")
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(named_label(word, "value"))
        words.addWidget(self.judgement)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.figure)
        layout.addSpacing(4)
        layout.addLayout(words, 1)

    def menu_of(self) -> QMenu:
        """What can be done with it; made when it is asked for."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(self.tr("Copy value")).triggered.connect(self._copy)
        return menu

    @Slot()
    def _copy(self) -> None:
        QApplication.clipboard().setText(self.figure.text().replace("−", "-"))

    @Slot(QPoint)
    def _on_context_menu(self, position: QPoint) -> None:
        self.menu_of().popup(self.figure.mapToGlobal(position))


class FigureRows(QWidget):
    """A row for each figure; ``better`` says which way is better: 1 higher, -1 lower, 0 neither."""

    def __init__(self, rows: Sequence[tuple[str, int, str]]) -> None:
        """``rows``: what each is called, which way is better, and the tooltip that teaches."""
        super().__init__()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 4, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(2, 1)
        self._values = []
        self._figures: Sequence[Any] = ()
        for at, (label, better, tip) in enumerate(rows):
            name, sign = named_label(label, "caption"), named_label(arrow(better), "caption")
            sign.setToolTip(judgement(better))
            value = Line("value", Qt.AlignmentFlag.AlignRight)
            value.setAccessibleName(label)
            for widget in (name, value):
                widget.setToolTip(tip)
            for place, widget in enumerate((name, sign, value)):
                grid.addWidget(widget, at, place)
            self._values.append(value)
            for widget in (name, value):
                widget.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
                widget.customContextMenuRequested.connect(self._on_context_menu)
                widget.setProperty("row", at)

    def menu_of(self, row: int) -> QMenu:
        """What can be done with one figure; made when it is asked for."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(self.tr("Copy value")).triggered.connect(partial(self._copy, row))
        return menu

    def _copy(self, row: int, *_: object) -> None:
        figure = self._figures[row] if row < len(self._figures) else None
        text = self._values[row].text().replace("−", "-") if figure is None else plain_cell(figure)
        QApplication.clipboard().setText(text)

    @Slot(QPoint)
    def _on_context_menu(self, position: QPoint) -> None:
        widget: Any = self.sender()
        self.menu_of(widget.property("row")).popup(widget.mapToGlobal(position))

    def show_texts(self, texts: Sequence[str], figures: Sequence[Any] = ()) -> None:
        """The figures in words, in the order of the rows; ``figures`` are what is copied of them."""
        self._figures = figures
        for value, text in zip(self._values, texts, strict=True):
            value.setText(text)
