"""How do figures stand in a panel? A headline, and rows with a name, a judgement and a value each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from PySide6.QtCore import QPoint, Qt, Signal, Slot
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QMenu, QVBoxLayout, QWidget

from qviz.gui.kit.copying import copy_figure
from qviz.gui.kit.judgement import arrow, judgement
from qviz.gui.kit.theme import scaled_font
from qviz.gui.kit.widgets import Line, named_label


class Headline(QWidget):
    """One large figure, and two words on it.

    Signals
    -------
    copy_all_requested()
        This figure and all others beside it shall be in the clipboard.
    """

    copy_all_requested = Signal()

    def __init__(self, longest: str, word: str, judgements: Sequence[str], name: str, tip: str) -> None:
        """``longest`` is the widest figure there will be, ``judgements`` are all there will be; ``name`` is read aloud.

        However it is judged, it is as wide: while something is dragged, a page that is laid out anew is seen to jump.
        """
        super().__init__()
        self._value: float | None = None
        self.figure = Line("headline")
        self.figure.setFont(scaled_font(self.font(), 26, weight=QFont.Weight.DemiBold))
        self.figure.reserve(longest)
        self.figure.stand_on_its_own()
        self.figure.setAccessibleName(name)
        self.figure.setToolTip(tip)
        self.figure.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.figure.customContextMenuRequested.connect(self._on_context_menu)
        self._judgement = Line("caption")
        metrics = self._judgement.fontMetrics()
        self._judgement.setMinimumWidth(max(map(metrics.horizontalAdvance, judgements)))
        self._judgement.setText(judgements[0])
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(named_label(word, "value"))
        words.addWidget(self._judgement)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.figure)
        layout.addSpacing(4)
        layout.addLayout(words, 1)

    def show_figure(self, text: str, value: float) -> None:
        """The figure in words, and what is copied of it."""
        self._value = value
        self.figure.setText(text)

    def judge(self, judgement: str) -> None:
        """One of the judgements, beside the figure."""
        self._judgement.setText(judgement)

    def menu_of(self) -> QMenu:
        """What can be done with it; made when it is asked for."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(self.tr("Copy value")).triggered.connect(self._copy)
        menu.addAction(self.tr("Copy all figures")).triggered.connect(self._copy_all)
        return menu

    @Slot()
    def _copy(self) -> None:
        copy_figure([self._value], self.figure.text())

    @Slot()
    def _copy_all(self) -> None:
        self.copy_all_requested.emit()

    @Slot(QPoint)
    def _on_context_menu(self, position: QPoint) -> None:
        self.menu_of().popup(self.figure.mapToGlobal(position))


class FigureRows(QWidget):
    """A row for each figure; ``better`` says which way is better: 1 higher, -1 lower, 0 neither.

    Signals
    -------
    copy_all_requested()
        All of them, and those beside them, shall be in the clipboard.
    """

    copy_all_requested = Signal()

    def __init__(self, rows: Sequence[tuple[str, int, str]]) -> None:
        """``rows``: what each is called, which way is better, and the tooltip that teaches."""
        super().__init__()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 4, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(2, 1)
        self._values = []
        self._figures: Sequence[Sequence[Any]] = ()
        for at, (label, better, tip) in enumerate(rows):
            name, sign = named_label(label, "caption"), named_label(arrow(better), "caption")
            sign.setToolTip(judgement(better))
            value = Line("value", Qt.AlignmentFlag.AlignRight)
            value.setAccessibleName(label)
            value.stand_on_its_own()
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
        menu.addAction(self.tr("Copy all figures")).triggered.connect(self._copy_all)
        return menu

    def _copy(self, row: int, *_: object) -> None:
        copy_figure(self._figures[row] if self._figures else (), self._values[row].text())

    @Slot()
    def _copy_all(self) -> None:
        self.copy_all_requested.emit()

    @Slot(QPoint)
    def _on_context_menu(self, position: QPoint) -> None:
        widget: Any = self.sender()
        self.menu_of(widget.property("row")).popup(widget.mapToGlobal(position))

    def show_texts(self, texts: Sequence[str], figures: Sequence[Sequence[Any]]) -> None:
        """The figures in words, in the order of the rows; ``figures`` are what is copied of each."""
        self._figures = figures
        for value, text in zip(self._values, texts, strict=True):
            value.setText(text)
