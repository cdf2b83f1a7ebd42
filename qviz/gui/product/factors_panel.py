"""With which controls are an activation and a weight chosen, and how each of them is quantized?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from qviz.core.formats.integers import IntFormat
from qviz.core.printable import printable
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.schemes.dynamic import DYNAMIC_RUNTIMES, laid_out
from qviz.core.schemes.fitting import FALLBACK_RUNTIME
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import Granularity, PerAxis, PerBlock, PerTensor, PerToken
from qviz.gui.kit.controls import BitsControl, ModeControl
from qviz.gui.kit.fields import ComboBox
from qviz.gui.kit.widgets import Segments, column, form, named_label, plain_tip, quiet
from qviz.session.language import tr
from qviz.session.multiplier import ACTIVATIONS, WEIGHTS, Factors, Lies, Multiplier, how_it_lies
from qviz.session.state import Item, Session, State

BITS = range(2, 17)

OWN = ""
"""The choice of no runtime."""


class OperandControls(QWidget):
    """One operand: which tensor, and its scheme. ``each`` row is what may have a scale of its own."""

    item_chosen = Signal(object)
    scheme_changed = Signal(object)

    def __init__(self, name: str, generated: Item, each: Sequence[tuple[Granularity, str, str]], tip: str) -> None:
        super().__init__()
        self._generated = generated
        self._scheme = Scheme()
        self.items = ComboBox()
        self.items.setAccessibleName(name)
        self.items.setToolTip(tip)
        self.items.stay_narrow(12)
        self.shape = named_label("", "caption")
        self.problem = named_label("", "problem", wrap=True)
        self.problem.hide()
        self.convention = ComboBox()
        for convention in CONVENTIONS.values():
            if convention.name != "textbook" and convention.default_block is None:  # no plain integers
                self.convention.addItem(tr(convention.label), convention.name)
        self.convention.setAccessibleName(self.tr("{name}: whose arithmetic").format(name=name))
        self.convention.setToolTip(self.tr("Whose formulas make scale, zero point and codes."))
        self.mode = ModeControl(self.tr("{name}: mode").format(name=name))
        self.bits_control = BitsControl(
            BITS,
            self.tr("{name}: bit width").format(name=name),
            self.tr("{name}: bit width, as a number").format(name=name),
        )
        self.bits, self.bits_box = self.bits_control.slider, self.bits_control.box
        self._each = each
        self.per = Segments(
            [
                (PerTensor.kind, self.tr("Per tensor"), self.tr("One scale for everything.")),
                *((granularity.kind, word, tip) for granularity, word, tip in each),
            ],
            self.tr("{name}: granularity").format(name=name),
        )
        self.rows = QVBoxLayout(self)
        self.rows.setContentsMargins(0, 0, 0, 0)
        self.rows.setSpacing(6)
        head = QHBoxLayout()
        head.addWidget(named_label(name, "section"))
        head.addStretch(1)
        head.addWidget(self.shape)
        self.rows.addLayout(head)
        for widget in (self.items, self.problem):
            self.rows.addWidget(widget)
        self.rows.addLayout(form((self.tr("Bits"), self.bits_control), (self.tr("Arithmetic"), self.convention)))
        self.rows.addWidget(self.mode)
        self.rows.addWidget(self.per)
        self.items.currentIndexChanged.connect(self._on_item)
        self.convention.currentIndexChanged.connect(self._on_convention)
        self.mode.chosen.connect(self._on_mode)
        self.bits_control.chosen.connect(self._on_bits)
        self.per.chosen.connect(self._on_per)

    def list_items(self, items: tuple[Item, ...]) -> None:
        """What can be chosen: the generated one and what is open."""
        with quiet((self.items,)):
            self.items.clear()
            for item in (self._generated, *items):
                self.items.addItem(item.name, item)
                at = self.items.count() - 1
                self.items.setItemData(
                    at, plain_tip(f"{printable(tr(item.origin))}  {_shape(item)}"), Qt.ItemDataRole.ToolTipRole
                )

    def refresh(self, item: Item, scheme: Scheme) -> None:
        """Show a choice, without asking for anything."""
        self._scheme = scheme
        with quiet((self.items, self.convention)):
            # By identity: Qt would compare what it stores, and find nothing.
            rows = range(self.items.count())
            self.items.setCurrentIndex(next((i for i in rows if self.items.itemData(i) is item), 0))
            self.convention.setCurrentIndex(self.convention.findData(scheme.convention))
            self.bits_control.show_bits(scheme.number_format.bits)
        self.mode.choose(scheme.symmetric)
        self.per.choose(scheme.granularity.kind)
        self.shape.setText(_shape(item))

    def show_problem(self, text: str) -> None:
        """One sentence under the picker; none for an empty one."""
        self.problem.setText(text)
        self.problem.setVisible(bool(text))

    def _change(self, **changes: Any) -> None:
        """A runtime that is chosen changes what it does not offer; anything else that is chosen changes the runtime."""
        old = self._scheme
        new: dict[str, Any] = {name: getattr(old, name) for name in ("number_format", "symmetric", "granularity")}
        new |= changes
        chosen = new.pop("convention", None)
        convention = CONVENTIONS[chosen or old.convention]
        if chosen is None and not convention.offers(**new):
            convention = CONVENTIONS[FALLBACK_RUNTIME]
        new |= dict(zip(new, convention.nearest(**new), strict=True))
        self.scheme_changed.emit(replace(old, **new, convention=convention.name))

    @Slot()
    def _on_item(self) -> None:
        item = self.items.currentData()
        if item is not None:
            self.item_chosen.emit(item)

    @Slot()
    def _on_convention(self) -> None:
        self._change(convention=self.convention.currentData())

    @Slot(object)
    def _on_mode(self, symmetric: bool) -> None:
        self._change(symmetric=symmetric)

    @Slot(int)
    def _on_bits(self, bits: int) -> None:
        self._change(number_format=IntFormat(bits, self._scheme.number_format.signed))

    @Slot(object)
    def _on_per(self, kind: str) -> None:
        found = next((granularity for granularity, _, _ in self._each if granularity.kind == kind), PerTensor())
        self._change(granularity=found)


class FactorsPanel(QWidget):
    """Shows the multiplier's factors and asks it for every change."""

    def __init__(self, session: Session, multiplier: Multiplier) -> None:
        super().__init__()
        self.setObjectName("panel")
        self._multiplier = multiplier
        self.runtime = ComboBox()
        for runtime in DYNAMIC_RUNTIMES.values():
            self.runtime.addItem(tr(runtime.label), runtime.name)
        self.runtime.addItem(self.tr("Your own"), OWN)
        self.runtime.setAccessibleName(self.tr("Runtime"))
        self.runtime.setToolTip(self.tr("How a runtime quantizes both, in one choice."))
        self.runtime.stay_narrow(12)
        self.about = named_label("", "hint", wrap=True)
        self.activation = OperandControls(
            self.tr("Activation"),
            ACTIVATIONS,
            [(PerToken(), self.tr("Per token"), self.tr("One scale for each row, found when it arrives."))],
            self.tr("What the layer is given: rows are tokens, the last axis holds the features."),
        )
        self.weight = OperandControls(
            self.tr("Weight"),
            WEIGHTS,
            [
                (PerAxis(1), self.tr("Per output"), self.tr("One scale for each output channel, stored with it.")),
                (PerBlock(0, 32), self.tr("Groups"), self.tr("One scale for each 32 features of each output.")),
            ],
            self.tr("What the layer multiplies with: a tensor with two axes."),
        )
        self.layout_choice = Segments(
            [
                (False, self.tr("features × outputs"), self.tr("As ONNX MatMul has it: y = x · W.")),
                (True, self.tr("outputs × features"), self.tr("As PyTorch's Linear has it: y = x · Wᵀ.")),
            ],
            self.tr("Weight: layout"),
        )
        self.lies = named_label("", "hint", wrap=True)
        self.weight.rows.insertWidget(3, self.layout_choice)
        self.weight.rows.insertWidget(4, self.lies)
        layout = column(self)
        layout.addLayout(form((self.tr("Runtime"), self.runtime)))
        layout.addWidget(self.about)
        for controls in (self.activation, self.weight):
            layout.addSpacing(6)
            layout.addWidget(controls)
        layout.addSpacing(6)
        layout.addWidget(named_label(self.tr("ŷ = Sx · Sw · Σ (Qx − Zx) · (Qw − Zw)"), "value"))
        told = self.tr("The sum is one of integers and exact; nothing is rounded but the scaling.")
        layout.addWidget(named_label(told, "hint", wrap=True))
        layout.addStretch(1)
        self.runtime.currentIndexChanged.connect(self._on_runtime)
        self.layout_choice.chosen.connect(self._on_layout)
        for operand, controls in (("activation", self.activation), ("weight", self.weight)):
            controls.item_chosen.connect(partial(self._on_item, operand))
            controls.scheme_changed.connect(partial(self._on_scheme, operand))
        multiplier.changed.connect(self.refresh)
        multiplier.problem.connect(self._on_problem)
        multiplier.answered.connect(self._on_answered)
        session.changed.connect(self._on_session)
        self._list(session.state)

    def _list(self, state: State) -> None:
        for controls in (self.activation, self.weight):
            controls.list_items(state.items)
        self.refresh(self._multiplier.factors)

    @Slot(object)
    def refresh(self, factors: Factors) -> None:
        """Show factors, without asking for anything."""
        with quiet((self.runtime,)):
            self.runtime.setCurrentIndex(self.runtime.findData(factors.runtime))
        runtime = DYNAMIC_RUNTIMES.get(factors.runtime)
        text = tr(runtime.summary) if runtime else self.tr("Schemes of your own: no runtime has both of them.")
        if self.about.text() != text:  # a label tells its layout about every new text
            self.about.setText(text)
        self.layout_choice.choose(factors.transposed)
        text = self._how_it_lies(factors)
        self.lies.setVisible(bool(text))
        if self.lies.text() != text:
            self.lies.setText(text)
        self.activation.refresh(factors.activation, factors.activation_scheme)
        self.weight.refresh(factors.weight, factors.weight_scheme)

    def _how_it_lies(self, factors: Factors) -> str:
        """One sentence where a person could wonder why a weight is taken this way round."""
        lies = how_it_lies(factors)
        if lies is Lies.UNKNOWN:
            return self.tr("It is square, and its file does not say which way round it is.")
        if lies is Lies.FITS:
            return self.tr("Only this way round it fits the activation.")
        if lies is None:
            return ""
        if factors.weight.outputs_first:
            stored = self.tr("Files of this kind store outputs × features.")
        else:
            stored = self.tr("Files of this kind store features × outputs.")
        return stored if lies is Lies.AS_STORED else self.tr("{stored} It is turned.").format(stored=stored)

    @Slot(object, object)
    def _on_session(self, old: State, new: State) -> None:
        if new.items is not old.items:
            self._list(new)

    @Slot(str, str)
    def _on_problem(self, operand: str, text: str) -> None:
        self._on_answered()
        (self.activation if operand == "activation" else self.weight).show_problem(text)

    @Slot()
    def _on_answered(self, *_: object) -> None:
        for controls in (self.activation, self.weight):
            controls.show_problem("")

    @Slot()
    def _on_runtime(self) -> None:
        if self.runtime.currentData() == OWN:
            self.refresh(self._multiplier.factors)  # it is there to tell, not to be chosen
        else:
            self._multiplier.choose_runtime(self.runtime.currentData())

    @Slot(object)
    def _on_layout(self, transposed: bool) -> None:
        self._multiplier.update(transposed=transposed)

    def _on_item(self, operand: str, item: Item) -> None:
        self._multiplier.update(**{operand: item})

    def _on_scheme(self, operand: str, scheme: Scheme) -> None:
        if operand == "weight":
            scheme = laid_out(scheme, self._multiplier.factors.transposed)
        self._multiplier.update(**{f"{operand}_scheme": scheme})


def _shape(item: Item) -> str:
    return "" if item.shape is None else " × ".join(f"{n:,}" for n in item.shape)
