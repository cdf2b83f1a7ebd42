"""With which controls is a scheme chosen?"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QSlider, QWidget

from qviz.core.formats.codebooks import CODEBOOKS
from qviz.core.formats.floats import FLOATS
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import format_named
from qviz.core.problems import Problem
from qviz.core.ranges.known import Known
from qviz.core.ranges.rules import MinMax
from qviz.core.runtimes.precision import AUTO, COMPUTE_DTYPES, FLOAT32, HALVES
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.schemes.scheme import Scheme, computes_in, convention_of
from qviz.core.tensors.granularity import Granularity, PerAxis, PerBlock, PerTensor, PerTile, PerToken
from qviz.core.tensors.tensor import Tensor
from qviz.gui.kit.controls import BitsControl, ModeControl
from qviz.gui.kit.fields import ComboBox, SpinBox
from qviz.gui.kit.widgets import Segments, column, form, named_label, quiet
from qviz.gui.tensor.preset_box import PresetBox
from qviz.gui.tensor.range_controls import RangeControls
from qviz.session.history import parts_changed
from qviz.session.language import told, tr
from qviz.session.presets import Presets
from qviz.session.state import Session, State

BITS = range(2, 17)
LARGEST_BLOCK = 1 << 20

BESIDE_DIGITS = 16
"""Pixels of a spin box beside its text."""

USUAL_BLOCK = 32

DRAGGED = frozenset({".number_format.bits", ".range_rule.low", ".range_rule.high", ".range_rule.percentile"})
"""Parts of a scheme that a slider or a clip line has."""


class SchemePanel(QWidget):
    """Shows the session's scheme and asks the session for every change.

    What cannot be is said in one sentence under the control that asked for it.
    """

    problem = Signal(str)

    def __init__(self, session: Session, presets: Presets) -> None:
        super().__init__()
        self.setObjectName("panel")
        self._session = session
        self._tensor: Tensor | None = None
        self._axes: tuple[int, ...] = ()
        self._build(presets)
        self._lay_out()
        self._connect()
        presets.changed.connect(self.trouble.hide)
        session.changed.connect(self._on_changed)
        self.refresh(session.state)

    def _build(self, presets: Presets) -> None:
        self.preset = PresetBox(presets)
        self.convention = ComboBox()
        for convention in CONVENTIONS.values():
            self.convention.addItem(tr(convention.label), convention.name)
        self.convention.setMaxVisibleItems(self.convention.count())
        self.convention.stay_narrow()
        self.convention.setAccessibleName(self.tr("Convention: whose arithmetic"))
        self.convention.setToolTip(
            self.tr("Each runtime rounds in its own way. The codes shown are the codes it stores.")
        )
        self.about = named_label("", "hint", wrap=True)
        self.compute = ComboBox()
        for choice in COMPUTE_DTYPES:
            self.compute.addItem("", choice)
        self.compute.stay_narrow()
        self.compute.setAccessibleName(self.tr("Compute as: the type that scales and codes are computed in"))
        self.compute.setToolTip(
            self.tr("Runtimes differ in what they do with tensors of 16 bits. float32: as if quantized before a cast.")
        )
        self.format = ComboBox()
        self.format.addItem(self.tr("Integer"), IntFormat.kind)
        for table in (FLOATS, CODEBOOKS):
            self.format.insertSeparator(self.format.count())
            for name, (_, label) in table.items():
                self.format.addItem(label, name)
        self.format.setMaxVisibleItems(self.format.count())
        self.format.setAccessibleName(self.tr("Number format"))
        self.format.setToolTip(self.tr("Which numbers a code can stand for: whole ones, small floats, or a codebook."))
        self.mode = ModeControl(self.tr("Mode"))
        self.bits_control = BitsControl(BITS, self.tr("Bit width"), self.tr("Bit width, as a number"))
        self.bits, self.bits_box = self.bits_control.slider, self.bits_control.box
        self.bits.setToolTip(self.tr("Bits of a code: each one more halves the step, worth about 6 dB."))
        self.signed = QCheckBox(self.tr("signed"))
        self.signed.setToolTip(self.tr("Signed: −128…127 at 8 bits. Unsigned: 0…255."))
        self.per = Segments(
            [
                (PerTensor.kind, self.tr("Tensor"), self.tr("Per tensor: one scale for everything.")),
                (
                    PerAxis.kind,
                    self.tr("Axis"),
                    self.tr("Per axis: one scale for each channel, which costs few bytes and wins much."),
                ),
                (
                    PerBlock.kind,
                    self.tr("Block"),
                    self.tr("Per block: one scale for so many neighbours along an axis (group-wise)."),
                ),
                (
                    PerToken.kind,
                    self.tr("Token"),
                    self.tr("Per token: one scale for each row of features, the last axis, as activations come."),
                ),
                (
                    PerTile.kind,
                    self.tr("Tile"),
                    self.tr("Per tile: one scale for each rectangle of the last two axes (DeepSeek's FP8: 128 × 128)."),
                ),
            ],
            self.tr("Granularity"),
        )
        self.axis = ComboBox()
        self.axis.setAccessibleName(self.tr("Axis"))
        self.axis.stay_narrow(6)
        self.axis.setMinimumWidth(96)  # both beside each other are no wider than the panel
        self.block_size = SpinBox()
        self.block_size.setRange(1, LARGEST_BLOCK)
        self.block_size.setKeyboardTracking(False)
        self.block_size.setPrefix(self.tr("blocks of "))
        self.block_size.setAccessibleName(self.tr("Block size"))
        self.block_size.setToolTip(self.tr("Elements that share a scale; the last block of an axis may be shorter."))
        self.tile_rows, self.tile_columns = SpinBox(), SpinBox()
        for box, prefix, name in (
            (self.tile_rows, self.tr("tiles of "), self.tr("Rows of a tile")),
            (self.tile_columns, "× ", self.tr("Columns of a tile")),
        ):
            box.setRange(1, LARGEST_BLOCK)
            box.setKeyboardTracking(False)
            box.setMinimumWidth(96)
            box.setPrefix(prefix)
            box.setAccessibleName(name)
            box.setToolTip(self.tr("Rectangles of the last two axes share a scale; those at the edges may be smaller."))
        self.range = RangeControls()
        self.power_of_two = QCheckBox(self.tr("scales are powers of two"))
        self.power_of_two.setToolTip(
            self.tr("Each scale is rounded up to a power of two, as E8M0 stores it in 8 bits and shifts need it.")
        )
        self.trouble = named_label("", "problem", wrap=True)
        self.trouble.hide()

    def _lay_out(self) -> None:
        layout = self._layout = column(self)
        self.bits_control.row.addWidget(self.signed)
        # Each part of the form is a widget of its own, so that a sentence can stand under it.
        self._preset_part, self._runtime_part, self._compute_part = QWidget(), QWidget(), QWidget()
        self._format_part, self._bits_part, self._axis_part = QWidget(), QWidget(), QWidget()
        self._preset_part.setLayout(form((self.tr("Preset"), self.preset)))
        self._runtime_part.setLayout(form((self.tr("Runtime"), self.convention)))
        self._compute_part.setLayout(form((self.tr("Compute as"), self.compute)))
        self._format_part.setLayout(form((self.tr("Format"), self.format)))
        self._bits_part.setLayout(form((self.tr("Bits"), self.bits_control)))
        row = QHBoxLayout(self._axis_part)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.axis, 1)  # all that the others leave
        row.addWidget(self.block_size)
        row.addWidget(self.tile_rows, 1)
        row.addWidget(self.tile_columns, 1)
        for part in (self._preset_part, self._runtime_part, self.about, self._compute_part):
            layout.addWidget(part)
        layout.addSpacing(4)
        for part in (self._format_part, self._bits_part, self.mode):
            layout.addWidget(part)
        layout.addSpacing(4)
        for part in (self.per, self._axis_part):
            layout.addWidget(part)
        layout.addSpacing(4)
        layout.addWidget(self.range)
        layout.addWidget(self.power_of_two)
        layout.addStretch(1)

    def _connect(self) -> None:
        self.preset.chosen.connect(self._on_preset)
        self.preset.refused.connect(self._on_preset_refused)
        self.convention.currentIndexChanged.connect(self._on_convention)
        self.compute.currentIndexChanged.connect(self._on_compute)
        self.format.currentIndexChanged.connect(self._on_format)
        self.mode.chosen.connect(self._on_mode)
        self.bits_control.chosen.connect(self._on_bits)
        for slider in self._sliders:
            slider.sliderReleased.connect(self._session.settle)
        self.signed.toggled.connect(self._on_signed)
        self.per.chosen.connect(self._on_per)
        self.axis.currentIndexChanged.connect(self._on_axis)
        self.block_size.valueChanged.connect(self._on_block_size)
        self.tile_rows.valueChanged.connect(self._on_tile)
        self.tile_columns.valueChanged.connect(self._on_tile)
        self.range.chosen.connect(self._on_range)
        self.range.refused.connect(self._on_range_refused)
        self.power_of_two.toggled.connect(self._on_power_of_two)

    # -- from the session

    @Slot(object, object)
    def _on_changed(self, old: State, new: State) -> None:
        if new.scheme == old.scheme and new.tensor is old.tensor:
            return
        self.trouble.hide()
        if self._session.steering and parts_changed(old.scheme, new.scheme) <= DRAGGED:
            self._follow(new.scheme)
        else:
            self.refresh(new)

    def _follow(self, scheme: Scheme) -> None:
        """Show what is dragged: nothing else has changed."""
        self.preset.show_scheme(scheme)
        if isinstance(scheme.number_format, IntFormat):
            self.bits_control.show_bits(scheme.number_format.bits)
        self.range.follow(scheme)

    def refresh(self, state: State) -> None:
        """Show a state, without asking for anything."""
        scheme, self._tensor = state.scheme, state.tensor
        number_format = scheme.number_format
        sizes = (self.block_size, self.tile_rows, self.tile_columns, self.power_of_two)
        with quiet((self.convention, self.compute, self.format, self.signed, self.axis, *sizes)):
            self.preset.show_scheme(scheme)
            self.convention.setCurrentIndex(self.convention.findData(scheme.convention))
            summary = tr(CONVENTIONS[scheme.convention].summary)
            if self.about.text() != summary:  # a label tells its layout about every new text
                self.about.setText(summary)
            self.mode.choose(scheme.symmetric)
            whole = isinstance(number_format, IntFormat)
            self.format.setCurrentIndex(
                self.format.findData(IntFormat.kind if whole else number_format.to_dict()["format"])
            )
            self._bits_part.setVisible(whole)
            if whole:
                self.bits_control.show_bits(number_format.bits)
                self.signed.setChecked(number_format.signed)
            self._show_compute(scheme, state.tensor)
            self._show_granularity(scheme.granularity, state.tensor)
            self.power_of_two.setChecked(scheme.power_of_two)
            # What cannot be is out of sight, where it is not chosen.
            takes = convention_of(scheme).takes_powers_of_two
            self.power_of_two.setVisible(number_format.scaled and takes)
        self.range.show_scheme(scheme, state.tensor)

    def _show_compute(self, scheme: Scheme, tensor: Tensor | None) -> None:
        """A choice of types, where the tensor is of another one than float32."""
        dtype = FLOAT32 if tensor is None else tensor.dtype
        self._compute_part.setVisible(dtype in HALVES or scheme.compute_dtype != AUTO)
        own = computes_in(scheme, dtype)
        text = self.tr("{dtype}, as the tensor") if own in HALVES else self.tr("{dtype}, as the runtime has it")
        self.compute.setItemText(self.compute.findData(AUTO), text.format(dtype=own))
        self.compute.setItemText(self.compute.findData(FLOAT32), self.tr("float32, before the cast"))
        self.compute.setCurrentIndex(self.compute.findData(scheme.compute_dtype))

    def _show_granularity(self, granularity: Granularity, tensor: Tensor | None) -> None:
        self.per.choose(granularity.kind)
        shape = tensor.shape if tensor is not None else ()
        if shape != self._axes:
            self._axes = shape
            self.axis.clear()
            for axis, size in enumerate(shape):
                self.axis.addItem(self.tr("axis {axis} · {size}").format(axis=axis, size=f"{size:,}"), axis)
        along = isinstance(granularity, PerAxis | PerBlock)
        if isinstance(granularity, PerAxis | PerBlock) and shape:
            self.axis.setCurrentIndex(granularity.axis % len(shape))
        if isinstance(granularity, PerBlock):
            self.block_size.setValue(granularity.block_size)
            self._fit_block_size()
        self.block_size.setVisible(isinstance(granularity, PerBlock))
        tiles = isinstance(granularity, PerTile)
        if isinstance(granularity, PerTile):
            self.tile_rows.setValue(granularity.rows)
            self.tile_columns.setValue(granularity.columns)
        self.axis.setVisible(not tiles)
        for box in (self.tile_rows, self.tile_columns):
            box.setVisible(tiles)
        self._axis_part.setVisible(along or tiles)

    def _fit_block_size(self) -> None:
        """As wide as three digits need, or more where there are more: the axis has the rest, whose size may be long."""
        self.block_size.ensurePolished()
        longest = self.block_size.prefix() + "8" * max(3, len(str(self.block_size.value())))
        self.block_size.setFixedWidth(self.block_size.fontMetrics().horizontalAdvance(longest) + BESIDE_DIGITS)

    # -- to the session

    @property
    def _sliders(self) -> tuple[QSlider, ...]:
        return self.bits, self.range.kept

    def _ask(self, at: QWidget, **changes: Any) -> None:
        """Ask for a change; where it cannot be, say so under ``at``."""
        held = any(slider.isSliderDown() for slider in self._sliders)
        try:
            (self._session.steer if held else self._session.update)(**changes)
        except Problem as problem:
            self.refresh(self._session.state)
            self._say(at, told(problem))
        else:
            self.trouble.hide()

    def _say(self, at: QWidget, text: str) -> None:
        self.trouble.setText(text)
        self._layout.removeWidget(self.trouble)
        self._layout.insertWidget(self._layout.indexOf(at) + 1, self.trouble)
        self.trouble.show()

    @Slot(object)
    def _on_preset(self, scheme: Scheme) -> None:
        self._ask(self._preset_part, scheme=scheme)

    @Slot(str)
    def _on_preset_refused(self, text: str) -> None:
        self._say(self._preset_part, text)

    @Slot()
    def _on_convention(self) -> None:
        """What the runtime does not have gives way to what it has, in the same step."""
        name, scheme = self.convention.currentData(), self._session.scheme
        parts = CONVENTIONS[name].nearest(scheme.number_format, scheme.symmetric, scheme.granularity)
        changes: dict[str, Any] = dict(zip(("number_format", "symmetric", "granularity"), parts, strict=True))
        if not CONVENTIONS[name].of(*parts).takes_powers_of_two:
            changes["power_of_two"] = False
        here, known = CONVENTIONS[name].of(*parts), scheme.range_rule.kind == Known.kind
        if here.of_elements if not known else not here.takes_known_scales:
            changes["range_rule"] = MinMax()
        self._ask(self._runtime_part, convention=name, **self._with_fixed_zero_point(changes))

    @Slot()
    def _on_compute(self) -> None:
        self._ask(self._compute_part, compute_dtype=self.compute.currentData())

    @Slot()
    def _on_format(self) -> None:
        """A format without a zero point makes the scheme symmetric; a runtime that lacks it is not left."""
        name = self.format.currentData()
        number_format = IntFormat() if name == IntFormat.kind else format_named(name)
        changes: dict[str, Any] = {"number_format": number_format}
        if not number_format.offers_zero_point:
            changes["symmetric"] = True
        self._ask(self._format_part, **self._with_fixed_zero_point(changes))

    @Slot(object)
    def _on_mode(self, symmetric: bool) -> None:
        self._ask(self.mode, **self._with_fixed_zero_point({"symmetric": symmetric}))

    def _with_fixed_zero_point(self, changes: dict[str, Any]) -> dict[str, Any]:
        """What is known beside a change to a symmetric scheme, which has a zero point of its own."""
        rule = changes.get("range_rule", self._session.scheme.range_rule)
        if changes.get("symmetric") and isinstance(rule, Known):
            changes["range_rule"] = Known(rule.scale)
        return changes

    @Slot(int)
    def _on_bits(self, bits: int) -> None:
        self._ask(self._bits_part, bits=bits)

    @Slot(bool)
    def _on_signed(self, signed: bool) -> None:
        self._ask(self._bits_part, signed=signed)

    @Slot(object)
    def _on_per(self, kind: str) -> None:
        now, shape = self._session.scheme.granularity, self._axes
        granularity: Granularity = PerToken() if kind == PerToken.kind else PerTensor()
        if kind == PerAxis.kind:
            granularity = PerAxis(max(0, self.axis.currentIndex()) if isinstance(now, PerAxis) else 0)
        elif kind == PerBlock.kind:
            last = shape[-1] if shape else USUAL_BLOCK
            granularity = PerBlock(-1, min(USUAL_BLOCK, last))
        elif kind == PerTile.kind:
            granularity = PerTile()
        self._ask(self.per, granularity=granularity)

    @Slot()
    def _on_axis(self) -> None:
        granularity, axis = self._session.scheme.granularity, self.axis.currentData()
        if axis is None:
            return
        if isinstance(granularity, PerAxis):
            self._ask(self._axis_part, granularity=PerAxis(axis))
        elif isinstance(granularity, PerBlock):
            last = axis == len(self._axes) - 1  # as the runtimes write it
            self._ask(self._axis_part, granularity=PerBlock(-1 if last else axis, granularity.block_size))

    @Slot(int)
    def _on_block_size(self, size: int) -> None:
        granularity = self._session.scheme.granularity
        if isinstance(granularity, PerBlock):
            self._ask(self._axis_part, granularity=PerBlock(granularity.axis, size))

    @Slot()
    def _on_tile(self) -> None:
        self._ask(self._axis_part, granularity=PerTile(self.tile_rows.value(), self.tile_columns.value()))

    @Slot(bool)
    def _on_power_of_two(self, chosen: bool) -> None:
        self._ask(self.power_of_two, power_of_two=chosen)

    @Slot(object)
    def _on_range(self, rule: Any) -> None:
        self._ask(self.range, range_rule=rule)

    @Slot(str)
    def _on_range_refused(self, text: str) -> None:
        self._say(self.range, text)
