"""With which controls is it chosen how a network's weights and activations are quantized?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QWidget

from qviz.core.formats.codebooks import CODEBOOKS
from qviz.core.formats.floats import FLOATS
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import format_named
from qviz.core.problems import Problem
from qviz.core.ranges.table import RANGE_RULES
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import Granularity, PerAxis, PerBlock, PerTensor
from qviz.gui.kit.controls import BitsControl, ModeControl, RangeChoice
from qviz.gui.kit.fields import ComboBox, SpinBox
from qviz.gui.kit.widgets import Segments, column, form, named_label, quiet
from qviz.gui.words.schemes import range_rules
from qviz.session.language import told, tr
from qviz.session.network_state import NetworkState

BITS = range(2, 17)
USUAL_BLOCK = 32
LARGEST_BLOCK = 1 << 16
RULES = ("minmax", "percentile", "mse", "entropy")
"""Of weights; those that average over batches are for activations."""


class WeightSchemePanel(QWidget):
    """Shows the scheme of all weights that have none of their own; asks for another.

    Signals
    -------
    scheme_changed(Scheme)
    activations_changed(bool), by_group_changed(object)
    own_cleared()
        No weight shall have a scheme of its own any more.
    """

    scheme_changed = Signal(object)
    activations_changed = Signal(bool)
    by_group_changed = Signal(object)
    own_cleared = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self._scheme = Scheme()
        self._build()
        layout = column(self)
        layout.addWidget(named_label(self.tr("Weights"), "section"))
        layout.addLayout(form((self.tr("Runtime"), self.convention), (self.tr("Format"), self.format)))
        self._bits = QWidget()
        self._bits.setLayout(form((self.tr("Bits"), self.bits)))
        layout.addWidget(self._bits)
        layout.addWidget(self.mode)
        layout.addWidget(self.per)
        layout.addWidget(self.block_size)
        layout.addLayout(form((self.tr("Range"), self.range)))
        layout.addWidget(self.trouble)
        layout.addWidget(self.own)
        layout.addWidget(self.clear)
        layout.addSpacing(8)
        layout.addWidget(named_label(self.tr("Activations"), "section"))
        layout.addWidget(self.activations)
        layout.addSpacing(8)
        layout.addWidget(named_label(self.tr("Layers"), "section"))
        layout.addWidget(self.by)
        layout.addStretch(1)
        self._connect()
        self.refresh(NetworkState())

    def _build(self) -> None:
        self.convention = ComboBox()
        for convention in CONVENTIONS.values():
            self.convention.addItem(tr(convention.label), convention.name)
        self.convention.setMaxVisibleItems(self.convention.count())
        self.format = ComboBox()
        self.format.addItem(self.tr("Integer"), IntFormat.kind)
        for table in (FLOATS, CODEBOOKS):
            self.format.insertSeparator(self.format.count())
            for name, (_, label) in table.items():
                self.format.addItem(label, name)
        self.format.setMaxVisibleItems(self.format.count())
        for box, name in (
            (self.convention, self.tr("Weights: whose arithmetic")),
            (self.format, self.tr("Weights: number format")),
        ):
            box.setAccessibleName(name)
            box.stay_narrow()
        self.bits = BitsControl(BITS, self.tr("Weights: bit width"), self.tr("Weights: bit width, as a number"))
        self.mode = ModeControl(self.tr("Weights: mode"))
        self.per = Segments(
            [
                (PerTensor.kind, self.tr("Tensor"), self.tr("One scale for each weight.")),
                (PerAxis.kind, self.tr("Output"), self.tr("One scale for each output of a layer.")),
                (PerBlock.kind, self.tr("Block"), self.tr("One scale for so many neighbours that are summed over.")),
            ],
            self.tr("Weights: granularity"),
        )
        self.block_size = SpinBox()
        self.block_size.setRange(2, LARGEST_BLOCK)
        self.block_size.setKeyboardTracking(False)
        self.block_size.setPrefix(self.tr("blocks of "))
        self.block_size.setAccessibleName(self.tr("Weights: block size"))
        self.block_size.setToolTip(self.tr("A row that is shorter than a block is the block."))
        self.range = RangeChoice([rule for rule in range_rules() if rule[0] in RULES], self.tr("Weights: range"))
        self.activations = QCheckBox(self.tr("uint8 before Conv, MatMul and Gemm"))
        self.activations.setToolTip(self.tr("Ranges come from the calibration samples."))
        self.by = Segments(
            [
                (False, self.tr("By node"), self.tr("Each layer is asked about by itself.")),
                (
                    True,
                    self.tr("By group"),
                    self.tr("Layers of one module together: fewer questions, and their losses nearly add up."),
                ),
            ],
            self.tr("Layers are asked about"),
        )
        self.own = named_label("", "caption", wrap=True)
        self.clear = QCheckBox(self.tr("Layers with a scheme of their own"))
        self.clear.setToolTip(self.tr("Take the check away and every layer has the scheme above again."))
        self.trouble = named_label("", "problem", wrap=True)
        self.trouble.hide()

    def _connect(self) -> None:
        self.convention.currentIndexChanged.connect(self._on_convention)
        self.format.currentIndexChanged.connect(self._on_format)
        self.bits.chosen.connect(self._on_bits)
        self.mode.chosen.connect(self._on_mode)
        self.per.chosen.connect(self._on_per)
        self.block_size.valueChanged.connect(self._on_block)
        self.range.currentIndexChanged.connect(self._on_range)
        self.activations.toggled.connect(self.activations_changed)
        self.by.chosen.connect(self.by_group_changed)
        self.clear.toggled.connect(self._on_clear)

    def refresh(self, state: NetworkState) -> None:
        """Show a state, without asking for anything."""
        scheme = self._scheme = state.scheme
        codes = scheme.number_format
        whole = isinstance(codes, IntFormat)
        with quiet((self.convention, self.format, self.block_size, self.activations, self.clear)):
            self.convention.setCurrentIndex(self.convention.findData(scheme.convention))
            self.format.setCurrentIndex(self.format.findData(IntFormat.kind if whole else codes.to_dict()["format"]))
            self._bits.setVisible(whole)
            if whole:
                self.bits.show_bits(codes.bits)
            self.mode.choose(scheme.symmetric)
            granularity = scheme.granularity
            self.per.choose(granularity.kind if granularity.kind != "token" else PerAxis.kind)
            self.block_size.setVisible(isinstance(granularity, PerBlock))
            if isinstance(granularity, PerBlock):
                self.block_size.setValue(granularity.block_size)
            self.range.show_kind(scheme.range_rule.kind)
            self.activations.setChecked(state.activations)
            self.by.choose(state.by_group)
            self.clear.setChecked(bool(state.own))
        left = sum(each is None for each in state.own.values())
        text = self.tr("{own} weights have a scheme of their own, {left} of them stay in float.")
        if len(state.own) == 1:
            text = self.tr("1 weight stays in float.") if left else self.tr("1 weight has a scheme of its own.")
        self.own.setText(text.format(own=len(state.own), left=left))
        self.own.setVisible(bool(state.own))
        self.clear.setVisible(bool(state.own))
        self.trouble.hide()

    def _ask(self, **changes: Any) -> None:
        """Another scheme; what cannot be is said."""
        try:
            scheme = replace(self._scheme, **changes)
        except Problem as problem:
            said = told(problem)
            self._show_scheme_again()
            self.trouble.setText(said)
            self.trouble.show()
            return
        self.trouble.hide()
        if scheme != self._scheme:
            self.scheme_changed.emit(scheme)

    def _show_scheme_again(self) -> None:
        scheme = self._scheme
        whole = isinstance(scheme.number_format, IntFormat)
        with quiet((self.convention, self.format, self.block_size)):
            self.convention.setCurrentIndex(self.convention.findData(scheme.convention))
            name = IntFormat.kind if whole else scheme.number_format.to_dict()["format"]
            self.format.setCurrentIndex(self.format.findData(name))
            if whole:
                self.bits.show_bits(scheme.number_format.bits)
        self.mode.choose(scheme.symmetric)
        self.per.choose(scheme.granularity.kind)
        self.range.show_kind(scheme.range_rule.kind)

    @Slot()
    def _on_convention(self) -> None:
        """What the runtime does not have gives way to what it has."""
        name, now = self.convention.currentData(), self._scheme
        codes, symmetric, granularity = CONVENTIONS[name].nearest(now.number_format, now.symmetric, now.granularity)
        self._ask(convention=name, number_format=codes, symmetric=symmetric, granularity=granularity)

    @Slot()
    def _on_format(self) -> None:
        name = self.format.currentData()
        codes = IntFormat() if name == IntFormat.kind else format_named(name)
        changes: dict[str, Any] = {"number_format": codes}
        if not codes.offers_zero_point:
            changes["symmetric"] = True
        self._ask(**changes)

    @Slot(int)
    def _on_bits(self, bits: int) -> None:
        signed = getattr(self._scheme.number_format, "signed", True)
        self._ask(number_format=IntFormat(bits, signed))

    @Slot(object)
    def _on_mode(self, symmetric: bool) -> None:
        self._ask(symmetric=symmetric)

    @Slot(object)
    def _on_per(self, kind: str) -> None:
        granularity: Granularity = PerTensor()
        if kind == PerAxis.kind:
            granularity = PerAxis(0)
        elif kind == PerBlock.kind:
            granularity = PerBlock(-1, USUAL_BLOCK)
        self._ask(granularity=granularity)

    @Slot(int)
    def _on_block(self, size: int) -> None:
        self._ask(granularity=PerBlock(-1, size))

    @Slot()
    def _on_range(self) -> None:
        self._ask(range_rule=RANGE_RULES[self.range.currentData()]())

    @Slot(bool)
    def _on_clear(self, on: bool) -> None:
        if not on:
            self.own_cleared.emit()
