"""With which controls is a scheme chosen?"""

from __future__ import annotations

import math
from typing import Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QSlider, QSpinBox, QWidget

from qviz.core.conventions import CONVENTIONS
from qviz.core.granularity import PerAxis, PerTensor
from qviz.core.optimal_ranges import MSE, Entropy
from qviz.core.problems import Problem
from qviz.core.range_rules import RANGE_RULES
from qviz.core.ranges import Manual, MinMax, Percentile
from qviz.core.scheme import Scheme
from qviz.core.tensor import Tensor
from qviz.gui.widgets import NumberBox, Segments, column, form, named_label, quiet
from qviz.session.state import Session, State

SLIDER_STEPS = 400
LEAST_KEPT, MOST_KEPT = 90.0, 99.9999


class SchemePanel(QWidget):
    """Shows the session's scheme and asks the session for every change."""

    problem = Signal(str)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.setObjectName("panel")
        self._session = session
        self._tensor: Tensor | None = None
        self._axes: tuple[int, ...] = ()
        self._build()
        self._lay_out()
        self._connect()
        session.changed.connect(self._on_changed)
        self.refresh(session.state)

    def _build(self) -> None:
        self.convention = QComboBox()
        for convention in CONVENTIONS.values():
            self.convention.addItem(convention.label, convention.name)
        self.convention.setAccessibleName(self.tr("Convention: whose arithmetic"))
        self.convention.setToolTip(
            self.tr("Each runtime rounds in its own way. The codes shown are the codes it stores.")
        )
        self.about = named_label("", "hint", wrap=True)
        self.mode = Segments(
            [
                (True, self.tr("Symmetric"), self.tr("The range is centred on zero; zero point in the middle.")),
                (False, self.tr("Asymmetric"), self.tr("The range follows the data; the zero point is shifted.")),
            ],
            self.tr("Mode"),
        )
        self.bits = QSlider(Qt.Orientation.Horizontal)
        self.bits.setRange(2, 16)
        self.bits.setPageStep(1)
        self.bits.setAccessibleName(self.tr("Bit width"))
        self.bits.setToolTip(self.tr("Bits of a code: each one more halves the step, worth about 6 dB."))
        self.bits_box = QSpinBox()
        self.bits_box.setRange(2, 16)
        self.bits_box.setFixedWidth(44)
        self.bits_box.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.bits_box.setAccessibleName(self.tr("Bit width, as a number"))
        self.signed = QCheckBox(self.tr("Signed codes"))
        self.signed.setToolTip(self.tr("Signed: −128…127 at 8 bits. Unsigned: 0…255."))
        self.per = Segments(
            [
                ("tensor", self.tr("Per tensor"), self.tr("One scale for everything.")),
                ("axis", self.tr("Per axis"), self.tr("One scale for each channel: costs few bytes, wins much.")),
            ],
            self.tr("Granularity"),
        )
        self.axis = QComboBox()
        self.axis.setAccessibleName(self.tr("Axis"))
        self.range = QComboBox()
        for kind, label in (
            (MinMax.kind, self.tr("Min–max")),
            (Percentile.kind, self.tr("Percentile")),
            (MSE.kind, self.tr("Least MSE")),
            (Entropy.kind, self.tr("Entropy (KL)")),
            (Manual.kind, self.tr("By hand")),
        ):
            self.range.addItem(label, kind)
        self.range.setAccessibleName(self.tr("Range"))
        for row, tip in enumerate(
            (
                self.tr("From the smallest value to the largest: nothing is clipped."),
                self.tr("Clip the rarest values, a fixed share of them."),
                self.tr("The range with the least mean squared error, measured on every element."),
                self.tr("The threshold that keeps most of the information: ONNX Runtime's entropy calibration."),
                self.tr("Where you put the clip lines."),
            )
        ):
            self.range.setItemData(row, tip, Qt.ItemDataRole.ToolTipRole)
        self.range.setToolTip(self.tr("From where to where the codes reach. Drag the clip lines to choose by hand."))
        self.kept = QSlider(Qt.Orientation.Horizontal)
        self.kept.setRange(0, SLIDER_STEPS)
        self.kept.setAccessibleName(self.tr("Percentile"))
        self.kept_box = NumberBox(50.0001, 100.0, digits=8, name=self.tr("Percentile, as a number"))
        self.kept_box.setSuffix(" %")
        self.low = NumberBox(name=self.tr("Low end of the range"))
        self.high = NumberBox(name=self.tr("High end of the range"))

    def _lay_out(self) -> None:
        layout = column(self)
        layout.addLayout(form((self.tr("Runtime"), self.convention)))
        layout.addWidget(self.about)
        layout.addSpacing(4)
        layout.addWidget(self.mode)
        bits = QWidget()
        row = QHBoxLayout(bits)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.bits)
        row.addWidget(self.bits_box)
        layout.addLayout(form((self.tr("Bits"), bits)))
        layout.addWidget(self.signed)
        layout.addSpacing(4)
        layout.addWidget(self.per)
        layout.addWidget(self.axis)
        layout.addSpacing(4)
        layout.addLayout(form((self.tr("Range"), self.range)))
        percentile = QWidget()
        row = QHBoxLayout(percentile)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.kept, 1)
        row.addWidget(self.kept_box)
        manual = QWidget()
        row = QHBoxLayout(manual)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.low)
        row.addWidget(named_label("…", "caption"))
        row.addWidget(self.high)
        self._range_pages = {Percentile.kind: percentile, Manual.kind: manual}
        for page in self._range_pages.values():
            layout.addWidget(page)
        layout.addStretch(1)

    def _connect(self) -> None:
        self.convention.currentIndexChanged.connect(self._on_convention)
        self.mode.chosen.connect(self._on_mode)
        self.bits.valueChanged.connect(self._on_bits)
        self.bits_box.valueChanged.connect(self._on_bits)
        self.signed.toggled.connect(self._on_signed)
        self.per.chosen.connect(self._on_per)
        self.axis.currentIndexChanged.connect(self._on_axis)
        self.range.currentIndexChanged.connect(self._on_range)
        self.kept.valueChanged.connect(self._on_kept)
        self.kept_box.valueChanged.connect(self._on_kept_box)
        self.low.valueChanged.connect(self._on_bounds)
        self.high.valueChanged.connect(self._on_bounds)

    # -- from the session

    @Slot(object, object)
    def _on_changed(self, old: State, new: State) -> None:
        if new.scheme != old.scheme or new.tensor is not old.tensor:
            self.refresh(new)

    def refresh(self, state: State) -> None:
        """Show a state, without asking for anything."""
        scheme, self._tensor = state.scheme, state.tensor
        controls = (self.convention, self.bits, self.bits_box, self.signed, self.axis, self.range)
        with quiet((*controls, self.kept, self.kept_box, self.low, self.high)):
            self.convention.setCurrentIndex(self.convention.findData(scheme.convention))
            summary = self.tr(CONVENTIONS[scheme.convention].summary)
            if self.about.text() != summary:  # a label tells its layout about every new text
                self.about.setText(summary)
            self.mode.choose(scheme.symmetric)
            self.bits.setValue(scheme.number_format.bits)
            self.bits_box.setValue(scheme.number_format.bits)
            self.signed.setChecked(scheme.number_format.signed)
            self._show_granularity(scheme, state.tensor)
            self._show_range(scheme)

    def _show_granularity(self, scheme: Scheme, tensor: Tensor | None) -> None:
        per_axis = isinstance(scheme.granularity, PerAxis)
        self.per.choose(scheme.granularity.kind)
        shape = tensor.shape if tensor is not None else ()
        if shape != self._axes:
            self._axes = shape
            self.axis.clear()
            for axis, size in enumerate(shape):
                self.axis.addItem(self.tr("axis {axis} · {size} channels").format(axis=axis, size=f"{size:,}"), axis)
        if isinstance(scheme.granularity, PerAxis) and tensor is not None:
            self.axis.setCurrentIndex(scheme.granularity.axis % len(tensor.shape))
        self.axis.setVisible(per_axis)

    def _show_range(self, scheme: Scheme) -> None:
        rule = scheme.range_rule
        self.range.setCurrentIndex(self.range.findData(rule.kind))
        for kind, page in self._range_pages.items():
            page.setVisible(kind == rule.kind)
        if isinstance(rule, Percentile):
            self.kept_box.setValue(rule.percentile)
            self.kept.setValue(_slider_from_percentile(rule.percentile))
        elif isinstance(rule, Manual):
            for box, value in zip((self.low, self.high), _in_force(rule, scheme), strict=True):
                if not box.hasFocus():
                    box.setValue(value)

    # -- to the session

    def _ask(self, **changes: Any) -> None:
        try:
            self._session.update(**changes)
        except Problem as problem:
            self.problem.emit(str(problem))
            self.refresh(self._session.state)

    @Slot()
    def _on_convention(self) -> None:
        """What the runtime does not have gives way to what it has, in the same step."""
        name, scheme = self.convention.currentData(), self._session.scheme
        parts = CONVENTIONS[name].nearest(scheme.number_format, scheme.symmetric, scheme.granularity)
        self._ask(convention=name, **dict(zip(("number_format", "symmetric", "granularity"), parts, strict=True)))

    @Slot(object)
    def _on_mode(self, symmetric: bool) -> None:
        self._ask(symmetric=symmetric)

    @Slot(int)
    def _on_bits(self, bits: int) -> None:
        self._ask(bits=bits)

    @Slot(bool)
    def _on_signed(self, signed: bool) -> None:
        self._ask(signed=signed)

    @Slot(object)
    def _on_per(self, kind: str) -> None:
        self._ask(granularity=PerTensor() if kind == "tensor" else PerAxis(max(0, self.axis.currentIndex())))

    @Slot()
    def _on_axis(self) -> None:
        if isinstance(self._session.scheme.granularity, PerAxis) and self.axis.currentIndex() >= 0:
            self._ask(granularity=PerAxis(self.axis.currentData()))

    @Slot()
    def _on_range(self) -> None:
        kind = self.range.currentData()
        if kind == Manual.kind:
            self._ask(range_rule=self._whole_range())
        else:
            self._ask(range_rule=RANGE_RULES[kind]())

    def _whole_range(self) -> Manual:
        """By hand starts where the data end."""
        low, high = (self._tensor.minimum, self._tensor.maximum) if self._tensor else (-1.0, 1.0)
        if not low < high:
            reach = max(abs(low), 1.0)
            low, high = low - reach, high + reach
        return Manual(low, high)

    @Slot(int)
    def _on_kept(self, position: int) -> None:
        self._ask(range_rule=Percentile(_percentile_from_slider(position)))

    @Slot(float)
    def _on_kept_box(self, percentile: float) -> None:
        self._ask(range_rule=Percentile(percentile))

    @Slot()
    def _on_bounds(self) -> None:
        low, high = self.low.value(), self.high.value()
        if self._session.scheme.symmetric:  # the two ends are one number
            reach = abs(low if self.sender() is self.low else high)
            low, high = -reach, reach
        try:
            rule = Manual(low, high)
        except Problem as problem:
            self.problem.emit(str(problem))
            return
        self._ask(range_rule=rule)


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
