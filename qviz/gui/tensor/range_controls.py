"""With which controls is a range rule chosen?"""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QInputDialog,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QWidget,
)

from qviz.core.printable import brief
from qviz.core.problems import Problem
from qviz.core.ranges.known import Known
from qviz.core.ranges.rules import Manual, Percentile, RangeRule
from qviz.core.ranges.table import RANGE_RULES
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.schemes.caveats import range_caveat
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerTensor
from qviz.core.tensors.tensor import Tensor
from qviz.files.known_scales import known_of, known_scales
from qviz.gui.kit.controls import RangeChoice
from qviz.gui.kit.fields import ComboBox, NumberBox, Slider, SpinBox
from qviz.gui.kit.widgets import column, form, named_label, quiet
from qviz.gui.words.numbers import typed
from qviz.gui.words.schemes import range_rules
from qviz.session.language import told

SLIDER_STEPS = 400
LEAST_KEPT, MOST_KEPT = 90.0, 99.9999
LARGEST_COUNT = 1 << 16
AT_ONCE = 1 << 22
"""Elements whose extremes can be looked for while a person waits."""

PLAIN_RULES = ("minmax", Percentile.kind, Manual.kind, Known.kind)
"""Rules that search for nothing."""

OWN_CONTROLS = ("batch_axis",)
"""Fields of rules that have a control of their own; so has all of a percentile and of a range by hand."""


Option = QSpinBox | NumberBox | QCheckBox


class RangeControls(QWidget):
    """Shows a range rule and asks for another.

    Signals
    -------
    chosen(RangeRule)
    refused(str)
        What is wrong with what was typed, in a sentence.
    """

    chosen = Signal(object)
    refused = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._scheme = Scheme()
        self._tensor: Tensor | None = None
        self._shape: tuple[int, ...] | None = None
        self.kind = RangeChoice(range_rules(), self.tr("Range"))
        self.kind.setToolTip(self.tr("From where to where the codes reach. Drag the clip lines to choose by hand."))
        self.kept = Slider(Qt.Orientation.Horizontal)
        self.kept.setRange(0, SLIDER_STEPS)
        self.kept.setAccessibleName(self.tr("Percentile"))
        self.kept_box = NumberBox(50.0001, 100.0, digits=8, name=self.tr("Percentile, as a number"))
        self.kept_box.setSuffix(" %")
        self.low = NumberBox(name=self.tr("Low end of the range"))
        self.high = NumberBox(name=self.tr("High end of the range"))
        self.scale, self.zero_point = QLineEdit(), QLineEdit()
        for edit, name, example in (
            (self.scale, self.tr("Known scale"), "0.02"),
            (self.zero_point, self.tr("Known zero point"), "0"),
        ):
            edit.setAccessibleName(name)
            edit.setPlaceholderText(example)
            edit.setToolTip(self.tr("One number, or one for each group with commas between them."))
        self.read = QPushButton(self.tr("Read…"))
        self.read.setToolTip(self.tr("Take scale and zero point from a model or a quantized tensor."))
        self.batches = ComboBox()
        self.batches.setAccessibleName(self.tr("Calibration batches"))
        self.batches.setToolTip(
            self.tr(
                "Along which axis the calibration batches lie. Drop batch_0.npy, batch_1.npy … together to stack them."
            )
        )
        self.about = named_label("", "hint", wrap=True)
        self.searched = named_label("", "hint", wrap=True)
        self.options: dict[str, Option] = {}
        self._lay_out()
        self.kind.currentIndexChanged.connect(self._on_kind)
        self.kept.valueChanged.connect(self._on_kept)
        self.kept_box.valueChanged.connect(self._on_kept_box)
        self.low.valueChanged.connect(self._on_bounds)
        self.high.valueChanged.connect(self._on_bounds)
        self.scale.editingFinished.connect(self._on_known)
        self.zero_point.editingFinished.connect(self._on_known)
        self.read.clicked.connect(self._on_read)
        self.batches.currentIndexChanged.connect(self._on_batches)

    def _lay_out(self) -> None:
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form((self.tr("Range"), self.kind)))
        self._percentile, self._manual, self._batched, self._known = QWidget(), QWidget(), QWidget(), QWidget()
        row = QHBoxLayout(self._percentile)
        row.addWidget(self.kept, 1)
        row.addWidget(self.kept_box)
        row = QHBoxLayout(self._manual)
        row.addWidget(self.low)
        row.addWidget(named_label("…", "caption"))
        row.addWidget(self.high)
        row = QHBoxLayout(self._known)
        for widget, stretch in (
            (named_label("S", "caption"), 0),
            (self.scale, 3),
            (named_label("Z", "caption"), 0),
            (self.zero_point, 2),
            (self.read, 0),
        ):
            row.addWidget(widget, stretch)
        batched = form((self.tr("Batches"), self.batches))
        self._batched.setLayout(batched)
        for page in (self._percentile, self._manual, self._batched, self._known):
            page.layout().setContentsMargins(0, 0, 0, 0)  # type: ignore[union-attr]
            layout.addWidget(page)
        self._options: dict[str, QWidget] = {}
        self._layout = layout
        layout.addWidget(self.about)
        layout.addWidget(self.searched)

    def _add_options(self, rule: Any) -> None:
        """A control for each number or switch that a rule has, under the name it has in its library."""
        rows: list[tuple[str, QWidget]] = []
        for each in fields(rule):
            if each.name in OWN_CONTROLS:
                continue
            control = self._control(getattr(rule, each.name))
            control.setAccessibleName(each.name)
            control.setProperty("field", each.name)
            control.setProperty("rule", rule.kind)
            self.options[f"{rule.kind}.{each.name}"] = control
            rows.append((each.name.replace("_", " "), control))
        page = self._options[rule.kind] = QWidget()
        page.setLayout(form(*rows))
        self._layout.insertWidget(self._layout.indexOf(self.about), page)

    def _control(self, value: bool | int | float) -> Option:
        if isinstance(value, bool):
            switch = QCheckBox()
            switch.toggled.connect(self._on_option)
            return switch
        if isinstance(value, int):
            count = SpinBox()
            count.setRange(2, LARGEST_COUNT)
            count.setKeyboardTracking(False)
            count.valueChanged.connect(self._on_option)
            return count
        number = NumberBox(0.0, 100.0, digits=8)
        number.valueChanged.connect(self._on_option)
        return number

    def show_scheme(self, scheme: Scheme, tensor: Tensor | None) -> None:
        """Show a scheme's rule, without asking for anything.

        A box that is hidden while something half typed stands in it tells it even so: who listens
        looks whether the scheme still has what the box is of.
        """
        self._scheme, self._tensor = scheme, tensor
        rule = scheme.range_rule
        with quiet((self.kind, self.kept, self.kept_box, self.low, self.high, self.batches)):
            self.kind.setCurrentIndex(self.kind.findData(rule.kind))
            self._percentile.setVisible(isinstance(rule, Percentile))
            self._manual.setVisible(isinstance(rule, Manual))
            self._known.setVisible(isinstance(rule, Known))
            self.zero_point.setEnabled(not scheme.symmetric)
            self._batched.setVisible(hasattr(rule, "batch_axis"))
            if rule.kind not in self._options and not isinstance(rule, Percentile | Manual | Known):
                self._add_options(rule)  # made when they are first asked for
            for kind, page in self._options.items():
                page.setVisible(kind == rule.kind and bool(page.layout().count()))  # type: ignore[union-attr]
            self._show_options(rule)
            self._show_numbers(scheme)
            if isinstance(rule, Known):
                for edit, numbers in ((self.scale, rule.scale), (self.zero_point, rule.zero_point)):
                    if not edit.hasFocus() or not edit.isModified():
                        edit.setText(", ".join(typed(number) for number in numbers))
            elif hasattr(rule, "batch_axis"):
                self._show_batches(rule)
        self._explain(scheme, tensor)

    def follow(self, scheme: Scheme) -> None:
        """Show a scheme that has the same rule with other numbers, or other bits."""
        self._scheme = scheme
        with quiet((self.kept, self.kept_box, self.low, self.high)):
            self._show_numbers(scheme)
        self._explain(scheme, self._tensor)

    def _show_numbers(self, scheme: Scheme) -> None:
        """What is dragged."""
        rule = scheme.range_rule
        if isinstance(rule, Percentile):
            self.kept_box.setValue(rule.percentile)
            self.kept.setValue(_slider_from_percentile(rule.percentile))
        elif isinstance(rule, Manual):
            for box, value in zip((self.low, self.high), _in_force(rule, scheme), strict=True):
                if not box.hasFocus() and box.value() != value:
                    box.setValue(value)

    def _explain(self, scheme: Scheme, tensor: Tensor | None) -> None:
        """What is surprising about the rule, and how fine it searches."""
        about, searched = told(range_caveat(scheme.range_rule, scheme) or ""), self._fineness(scheme, tensor)
        for label, text in ((self.about, about), (self.searched, searched)):
            if label.text() != text:
                label.setText(text)
            label.setVisible(bool(text))

    def _fineness(self, scheme: Scheme, tensor: Tensor | None) -> str:
        """How fine the search for a range is; nothing where the scheme has no such groups here."""
        if tensor is None or scheme.range_rule.kind in PLAIN_RULES:
            return ""
        from qviz.core.questions.fineness import fineness  # with the first question that is asked

        try:
            return told(fineness(tensor, scheme) or "")
        except Problem:  # which is said at the control that asked for it
            return ""

    def _show_options(self, rule: Any) -> None:
        for key, control in self.options.items():
            kind, name = key.split(".")
            if kind == rule.kind:
                value = getattr(rule, name)
                with quiet((control,)):
                    if isinstance(control, QCheckBox):
                        control.setChecked(value)
                    else:
                        control.setValue(value)

    def _show_batches(self, rule: Any) -> None:
        shape = () if self._tensor is None else self._tensor.shape
        if shape != self._shape:
            self._shape = shape
            self.batches.clear()
            self.batches.addItem(self.tr("one: the whole tensor"), None)
            for axis, size in enumerate(shape):
                self.batches.addItem(self.tr("axis {axis} · {size} batches").format(axis=axis, size=f"{size:,}"), axis)
        axis = rule.batch_axis
        self.batches.setCurrentIndex(0 if axis is None or not shape else 1 + axis % len(shape))

    @Slot()
    def _on_kind(self) -> None:
        kind = self.kind.currentData()
        rules = {Manual.kind: self._whole_range, Known.kind: self._present_scale}
        self.chosen.emit(rules.get(kind, RANGE_RULES[kind])())

    def _present_scale(self) -> Known:
        """A known scale starts as the one there is now."""
        if self._tensor is None or self._tensor.elements > AT_ONCE:
            return Known()
        from qviz.core.questions.calibration import choose_qparams

        try:
            q = choose_qparams(self._tensor, replace(self._scheme, granularity=PerTensor()))
            return Known((float(q.scale),), (0.0 if self._scheme.symmetric else float(q.zero_point),))
        except Problem:
            return Known()

    def _whole_range(self) -> Manual:
        """By hand starts where the data end."""
        low, high = (self._tensor.minimum, self._tensor.maximum) if self._tensor else (-1.0, 1.0)
        if not low < high:
            reach = max(abs(low), 1.0)
            low, high = low - reach, high + reach
        return Manual(low, high)

    @Slot(int)
    def _on_kept(self, position: int) -> None:
        if isinstance(self._scheme.range_rule, Percentile):
            self.chosen.emit(Percentile(_percentile_from_slider(position)))

    @Slot(float)
    def _on_kept_box(self, percentile: float) -> None:
        if isinstance(self._scheme.range_rule, Percentile):
            self.chosen.emit(Percentile(percentile))

    @Slot()
    def _on_option(self) -> None:
        control: Any = self.sender()
        value = control.isChecked() if isinstance(control, QCheckBox) else control.value()
        rule: Any = self._scheme.range_rule
        if rule.kind != control.property("rule"):
            return
        try:
            self.chosen.emit(replace(rule, **{control.property("field"): value}))
        except Problem as problem:
            self.refused.emit(told(problem))
            self.show_scheme(self._scheme, self._tensor)

    @Slot()
    def _on_batches(self) -> None:
        rule: Any = self._scheme.range_rule
        if hasattr(rule, "batch_axis"):
            self.chosen.emit(replace(rule, batch_axis=self.batches.currentData()))

    @Slot()
    def _on_known(self) -> None:
        if not isinstance(self._scheme.range_rule, Known):
            return
        try:
            scale, zero_point = (_listed(edit.text()) for edit in (self.scale, self.zero_point))
            rule = Known(scale, (0.0,) if self._scheme.symmetric else zero_point)
        except Problem as problem:
            self.refused.emit(told(problem))
            return
        self.scale.setModified(False)
        self.zero_point.setModified(False)
        if rule != self._scheme.range_rule:
            self.chosen.emit(rule)

    @Slot()
    def _on_read(self) -> None:
        text, _ = QFileDialog.getOpenFileName(self, self.tr("Scales of a model or a quantized tensor"))
        if not text:
            return
        try:
            names = list(known_scales(text))
            name = names[0]
            if len(names) > 1:
                name, chosen = QInputDialog.getItem(
                    self, self.tr("Known scale"), self.tr("Of which tensor?"), names, 0, False
                )
                if not chosen:
                    return
            self.chosen.emit(known_of(text, name))
        except Problem as problem:
            self.refused.emit(told(problem))

    @Slot()
    def _on_bounds(self) -> None:
        if not isinstance(self._scheme.range_rule, Manual):
            return
        low, high = self.low.value(), self.high.value()
        if self._scheme.symmetric:  # the two ends are one number
            reach = abs(low if self.sender() is self.low else high)
            low, high = -reach, reach
        try:
            rule: RangeRule = Manual(low, high)
        except Problem as problem:
            self.refused.emit(told(problem))
            return
        self.chosen.emit(rule)


def _listed(text: str) -> tuple[float, ...]:
    """Numbers with commas between."""
    try:
        return tuple(float(number.replace("−", "-")) for number in text.split(","))
    except ValueError:
        raise Problem(
            "“{text}” is no number, nor several with commas between: give such as 0.02, 0.03.", text=brief(text)
        ) from None


def _in_force(rule: Manual, scheme: Scheme) -> tuple[float, float]:
    """The range that the scheme makes of the one drawn by hand."""
    if scheme.symmetric:
        reach = max(abs(rule.low), abs(rule.high))
        return -reach, reach
    if CONVENTIONS[scheme.convention].range_includes_zero:
        return min(rule.low, 0.0), max(rule.high, 0.0)
    return rule.low, rule.high


def _percentile_from_slider(position: int) -> float:
    """Even steps in the logarithm of what is cut off: 10 % at the left, a millionth at the right."""
    first, last = math.log10(100 - LEAST_KEPT), math.log10(100 - MOST_KEPT)
    cut = 10 ** (first + (last - first) * position / SLIDER_STEPS)
    return float(f"{100 - cut:.{max(1, 2 - math.floor(math.log10(cut)))}f}")


def _slider_from_percentile(percentile: float) -> int:
    first, last = math.log10(100 - LEAST_KEPT), math.log10(100 - MOST_KEPT)
    cut = max(100 - percentile, 1e-12)
    return round(min(max((math.log10(cut) - first) / (last - first), 0), 1) * SLIDER_STEPS)
