"""How do the formulas read with today's numbers in them?"""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QTextCursor
from PySide6.QtWidgets import QTextBrowser, QWidget

from qviz.core.affine import walk
from qviz.core.analysis import Analysis
from qviz.gui.theme import Theme
from qviz.gui.widgets import column


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
        rows = self._rows(self._analysis)
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
        start = analysis.tensor.values[:4096]
        finite = np.flatnonzero(~np.isnan(start))
        return int(finite[0]) if finite.size else 0

    def _heading(self, analysis: Analysis) -> str:
        index = self._element(analysis)
        if analysis.groups is None:
            return self.tr("for element {index}").format(index=f"{index:,}")
        group = int(analysis.tensor.group_of(analysis.layout, index))
        return self.tr("for element {index}, in channel {channel}").format(index=f"{index:,}", channel=f"{group:,}")

    def _rows(self, analysis: Analysis) -> list[tuple[str, str]]:
        index = self._element(analysis)
        group = int(analysis.tensor.group_of(analysis.layout, index))
        q = analysis.qparams.for_group(group)
        convention, symmetric = q.convention, analysis.scheme.symmetric
        step = walk(analysis.tensor.values[index : index + 1], np.array([0]), q)
        low, high, scale, zero = (_number(float(a)) for a in (q.low, q.high, q.scale, q.zero_point))
        fmt = analysis.scheme.number_format
        if symmetric:
            steps = convention.symmetric_steps(fmt)
            scale_rule = convention.symmetric_scale_formula
            doubled = convention.symmetric_scale_formula.startswith("S = 2")
            numbers = f"2 · {high} / {steps:g}" if doubled else _floored(scale_rule, high, f"{steps / 2:g}")
            zero_row = (self.tr("Z is fixed by symmetry"), f"Z = {zero}")
        else:
            scale_rule = convention.scale_formula
            first, last = convention.scale_range(fmt)
            numbers = _floored(scale_rule, f"{high} − {_bracket(low)}", f"{last - first}")
            if convention.zero_point_formula.startswith("Z = clip"):
                ends = f"{_number(q.quant_min)}, {_number(q.quant_max)}"
                filled = f"clip({_number(first)} − round({_bracket(low)} / {scale}), {ends})"
            elif convention.range_includes_zero:
                filled = f"round({_number(first)} − {_bracket(low)} / {scale})"
            else:
                filled = f"{_number(q.quant_max)} − {_bracket(high)} / {scale}"
            zero_row = (convention.zero_point_formula, f"Z = {filled} = {zero}")
        x = _number(float(step.value[0]))
        divided = f"{x} / {scale}"
        if convention.multiplies_by_reciprocal:
            divided = f"{x} · (1 / {scale})"
        elif q.factor is not None:
            divided = f"{x} / {_number(float(q.divisor))} · {_number(float(q.factor))}"
        if "Z" not in convention.code_formula:
            filled = f"round({divided})"
        elif convention.zero_point_before_rounding:
            filled = f"round({divided} + {_bracket(zero)})"
        else:
            filled = f"round({divided}) + {_bracket(zero)}"
        ends = f"{_number(q.quant_min)}, {_number(q.quant_max)}"
        code = _number(int(step.code[0]))
        x_hat, error = _number(float(step.dequantized[0])), _number(float(step.error[0]))
        return [
            (scale_rule, f"S = {numbers} = {scale}"),
            zero_row,
            (convention.code_formula, f"Q = clip({filled}, {ends}) = {code}"),
            ("x̂ = (Q − Z) · S", f"x̂ = ({code} − {_bracket(zero)}) · {scale} = {x_hat}"),
            (self.tr("error = x̂ − R"), f"{x_hat} − {_bracket(x)} = {error}"),
        ]


def _floored(rule: str, width: str, steps: str) -> str:
    """A width over its steps, with the floor that the rule has for one of them."""
    many = f"({width})" if "−" in width[1:] else width
    if "max(" not in rule:
        return f"{many} / {steps}"
    floor = rule[rule.index("max(") :].split(", ")[1].split(")", maxsplit=1)[0]
    if f"{floor}) /" in rule:  # of the range, not of the scale
        return f"max({width}, {floor}) / {steps}"
    return f"max({many} / {steps}, {floor})"


def _number(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")


def escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _bracket(text: str) -> str:
    return f"({text})" if text.startswith("−") else text
