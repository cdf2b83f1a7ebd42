"""How do the formulas read with today's numbers in them?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QTextCursor
from PySide6.QtWidgets import QTextBrowser, QWidget

from qviz.gui.kit.theme import Theme
from qviz.gui.kit.widgets import column
from qviz.gui.tensor.formula_rows import formula_rows
from qviz.gui.words.groups import group_words
from qviz.session.guard import guarded

if TYPE_CHECKING:
    from qviz.core.questions.analysis import Analysis


@guarded
class FormulaText(QTextBrowser):
    """Paints its own ground, so that nothing beneath has to be painted with it."""

    def __init__(self) -> None:
        super().__init__()
        self.viewport().setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        painter.fillRect(event.rect(), self.palette().window())
        painter.end()
        super().paintEvent(event)


class FormulaPanel(QWidget):
    """Scale, zero point, code and value: the rule, then the rule with numbers."""

    heading_changed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        layout = column(self, margin=4)
        # Not a label: a label's new height would lay out the whole page again at every frame.
        self._text = FormulaText()
        self._text.setObjectName("formula")
        self._text.setFrameShape(QTextBrowser.Shape.NoFrame)
        self._text.setAccessibleName(self.tr("Formulas with numbers"))
        layout.addWidget(self._text)
        self._shown: list[tuple[str, str]] = []
        self._analysis: Analysis | None = None
        self._selected: int | None = None
        self._theme: Theme | None = None

    def apply_theme(self, theme: Theme) -> None:
        """The colours of the rules and of the numbers."""
        self._theme = theme
        self._shown = []
        self._refresh()

    def present(self, analysis: Analysis) -> None:
        """Put a new answer's numbers in."""
        self._analysis = analysis
        self._refresh()

    def point_to(self, index: int | None) -> None:
        """Walk one element through."""
        self._selected = index
        self._refresh()

    def _refresh(self) -> None:
        if self._analysis is None or self._theme is None:
            return
        rows = formula_rows(self._analysis, self._element(self._analysis))
        self.heading_changed.emit(self._heading(self._analysis))
        if [rule for rule, _ in rows] != [rule for rule, _ in self._shown]:
            self._write(rows, self._theme.ui["muted"])
        else:
            self._rewrite(rows)
        self._shown = rows

    def _write(self, rows: list[tuple[str, str]], muted: str) -> None:
        html = []
        for rule, numbers in rows:
            html.append(
                f'<div style="margin-bottom:4px"><span style="color:{muted}">{escape(rule)}</span>'
                f"<br>{escape(numbers)}</div>"
            )
        self._text.setHtml("".join(html))

    def _rewrite(self, rows: list[tuple[str, str]]) -> None:
        """Only the numbers that changed, which takes half the time."""
        document = self._text.document()
        cursor = QTextCursor(document)
        cursor.beginEditBlock()
        for row, ((rule, numbers), before) in enumerate(zip(rows, self._shown, strict=True)):
            if numbers != before[1]:
                block = document.findBlockByNumber(row)
                cursor.setPosition(block.position() + len(rule) + 1)
                cursor.movePosition(QTextCursor.MoveOperation.EndOfBlock, QTextCursor.MoveMode.KeepAnchor)
                cursor.insertText(numbers)
        cursor.endEditBlock()

    def _element(self, analysis: Analysis) -> int:
        """The element in the example: the chosen one, else the first that is a number."""
        if self._selected is not None and self._selected < analysis.tensor.elements:
            return self._selected
        return analysis.tensor.first_number()

    def _heading(self, analysis: Analysis) -> str:
        index = self._element(analysis)
        if analysis.groups is None:
            return self.tr("for element {index}").format(index=f"{index:,}")
        group = int(analysis.tensor.group_of(analysis.layout, index))
        return self.tr("for element {index}, in {group} {number}").format(
            index=f"{index:,}", group=group_words(analysis.scheme.granularity).one, number=f"{group:,}"
        )


def escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
