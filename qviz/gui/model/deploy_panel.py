"""With which controls is a network quantized for ONNX Runtime?"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QCheckBox, QPushButton, QWidget

from qviz.core.problems import N_
from qviz.core.ranges.table import RANGE_RULES
from qviz.gui.kit.controls import RangeChoice
from qviz.gui.kit.fields import ComboBox, SpinBox
from qviz.gui.kit.widgets import Segments, column, form, named_label, quiet
from qviz.gui.words.schemes import range_rules, range_word
from qviz.models.deployment import excluded_nodes
from qviz.models.latency import processor_features
from qviz.models.recipes import CORE, LIBRARY_DEFAULTS, Recipe, best_recipe, with_range_rule
from qviz.session.language import tr
from qviz.session.network_state import NetworkState

WEIGHT_TYPES = {
    "dynamic": ("int8", "uint8"),
    "static": ("int8", "uint8", "int16", "int4", "uint4"),
}
ACTIVATION_TYPES = ("uint8", "int8", "uint16", "int16")
ALGORITHMS = ("default", "hqq", "k_quant", "rtn", "gptq")

USED = {
    "dynamic": ("weight_type", "per_channel", "reduce_range", "operators"),
    "static": (
        "weight_type",
        "activation_type",
        "per_channel",
        "reduce_range",
        "form",
        "operators",
        "range_rule",
        "symmetric_activations",
    ),
    "weights": ("block_size", "symmetric_weights", "algorithm"),
    "float16": (),
}
"""What each method asks for."""

WORDS = {
    "weight_type": N_("Weights"),
    "activation_type": N_("Activations"),
    "per_channel": N_("a scale for each channel"),
    "reduce_range": N_("7 bits, for processors without VNNI"),
    "form": N_("Form"),
    "operators": N_("Quantize"),
    "range_rule": N_("Ranges"),
    "symmetric_activations": N_("symmetric activations"),
    "block_size": N_("Block"),
    "symmetric_weights": N_("symmetric weights"),
    "algorithm": N_("Algorithm"),
}


class DeployPanel(QWidget):
    """Shows a recipe; asks for a run of it.

    Signals
    -------
    quantize_requested(Recipe)
    save_requested()
        The choices, for ONNX Runtime's own tools.
    """

    quantize_requested = Signal(object)
    save_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self._state = NetworkState()
        self._recipe = Recipe("dynamic")
        self.method = Segments(
            [
                ("dynamic", self.tr("Dynamic"), self.tr("Weights now, activations at each run: needs no data.")),
                ("static", self.tr("Static"), self.tr("Both now: ranges come from the calibration samples.")),
                ("weights", self.tr("4 bits"), self.tr("The weights of MatMul alone, in blocks: MatMulNBits.")),
                ("float16", self.tr("Half"), self.tr("16-bit floats: half the bytes.")),
            ],
            self.tr("Method"),
        )
        self.boxes: dict[str, Any] = {
            "weight_type": ComboBox(),
            "activation_type": ComboBox(),
            "form": ComboBox(),
            "operators": ComboBox(),
            "range_rule": RangeChoice(
                [rule for rule in range_rules() if rule[0] not in ("manual", "known")], self.tr("Ranges of activations")
            ),
            "algorithm": ComboBox(),
            "block_size": ComboBox(),
            "per_channel": QCheckBox(tr(WORDS["per_channel"])),
            "reduce_range": QCheckBox(tr(WORDS["reduce_range"])),
            "symmetric_activations": QCheckBox(tr(WORDS["symmetric_activations"])),
            "symmetric_weights": QCheckBox(tr(WORDS["symmetric_weights"])),
        }
        self._fill()
        self.parts: dict[str, QWidget] = {}
        self.best_button = QPushButton(self.tr("Best defaults"))
        self.best_button.setToolTip(self.tr("What served best on ordinary networks, for one such as this."))
        self.library_button = QPushButton(self.tr("The library's"))
        self.library_button.setToolTip(self.tr("What ONNX Runtime's own tool does when nothing is said."))
        self.difference = named_label("", "hint", wrap=True)
        self.left = QCheckBox(self.tr("what is in float above stays in float"))
        self.left.setToolTip(self.tr("Nodes whose weights were left in float on this page are excluded."))
        self.seconds = SpinBox()
        self.seconds.setRange(1, 60)
        self.seconds.setValue(2)
        self.seconds.setSuffix(self.tr(" s of measuring"))
        self.seconds.setAccessibleName(self.tr("Seconds of measuring the time"))
        self.threads = SpinBox()
        self.threads.setRange(0, 256)
        self.threads.setSpecialValueText(self.tr("as many threads as cores"))
        self.threads.valueChanged.connect(self._show_threads)
        self.threads.setValue(1)
        self.threads.setAccessibleName(self.tr("Threads of the measured runs"))
        self.threads.setToolTip(
            self.tr(
                "With how many threads the time is measured. One is timed by the processor's own clock, which other "
                "programs do not disturb. The batch is the number of that dimension (Network)."
            )
        )
        self.quantize_button = QPushButton(self.tr("Quantize…"))
        self.quantize_button.setDefault(True)
        self.save_button = QPushButton(self.tr("Save the choices…"))
        self.save_button.setToolTip(
            self.tr("For ONNX Runtime's own tools: nodes_to_exclude and TensorQuantOverrides, as JSON.")
        )
        self.save_button.clicked.connect(self.save_requested)
        features = ", ".join(processor_features())
        self.machine = named_label(
            self.tr("This processor: {features}.").format(features=features) if features else "", "caption", wrap=True
        )
        self.hint = named_label("", "hint", wrap=True)
        self.difference.setTextFormat(Qt.TextFormat.PlainText)
        layout = column(self)
        layout.addWidget(self.method)
        for name in ("weight_type", "activation_type", "operators", "form", "range_rule", "block_size", "algorithm"):
            part = QWidget()
            part.setLayout(form((tr(WORDS[name]), self.boxes[name])))
            self.parts[name] = part
        for name in ("per_channel", "reduce_range", "symmetric_activations", "symmetric_weights"):
            self.parts[name] = self.boxes[name]
        for part in self.parts.values():
            layout.addWidget(part)
        for widget in (
            self.best_button,
            self.library_button,
            self.difference,
            self.left,
            self.seconds,
            self.threads,
            self.quantize_button,
            self.hint,
            self.save_button,
            self.machine,
        ):
            layout.addWidget(widget)
        layout.addStretch(1)
        self._connect()
        self._show()

    def _fill(self) -> None:
        for each in ACTIVATION_TYPES:
            self.boxes["activation_type"].addItem(each, each)
        self.boxes["form"].addItem(self.tr("QuantizeLinear pairs (QDQ)"), "qdq")
        self.boxes["form"].addItem(self.tr("Operators (QLinearConv, …)"), "operator")
        self.boxes["operators"].addItem(self.tr("what gains: Conv, …"), "core")
        self.boxes["operators"].addItem(self.tr("every operator there is"), "all")
        for each in ALGORITHMS:
            word = self.tr("gptq (ONNX Runtime's: passes no error on)") if each == "gptq" else each
            self.boxes["algorithm"].addItem(word, each)
        for size in (16, 32, 64, 128, 256):
            self.boxes["block_size"].addItem(str(size), size)
        for name, box in self.boxes.items():
            box.setAccessibleName(tr(WORDS[name]))
            if isinstance(box, ComboBox):
                box.stay_narrow(8)
        tip = self.tr("How the range of each activation is found from the calibration samples.")
        self.boxes["range_rule"].setToolTip(tip)

    def _connect(self) -> None:
        self.method.chosen.connect(self._on_method)
        for box in self.boxes.values():
            if isinstance(box, QCheckBox):
                box.toggled.connect(self._on_option)
            else:
                box.currentIndexChanged.connect(self._on_option)
        self.best_button.clicked.connect(self._on_best)
        self.library_button.clicked.connect(self._on_library)
        self.quantize_button.clicked.connect(self._on_quantize)

    @property
    def recipe(self) -> Recipe:
        """What is shown."""
        return self._recipe

    def refresh(self, state: NetworkState) -> None:
        """Another network has other best defaults."""
        other = state.prepared is not self._state.prepared
        self._state = state
        if other and state.prepared is not None:
            self._recipe = self.best()
        self._show()

    def best(self, method: str = "") -> Recipe:
        """What served best for such a network."""
        method = method or self._recipe.method
        if self._state.prepared is None:
            return Recipe(method)
        return best_recipe(method, self._state.prepared.network)

    @Slot(bool)
    def show_deploying(self, deploying: bool) -> None:
        """One at a time; it is stopped in the status bar."""
        self._deploying = deploying
        self._show()

    _deploying = False

    def _show(self) -> None:
        recipe, state = self._recipe, self._state
        self.method.choose(recipe.method)
        used = USED[recipe.method]
        with quiet(tuple(self.boxes.values())):
            box = self.boxes["weight_type"]
            box.clear()
            for each in WEIGHT_TYPES.get(recipe.method, ()):
                box.addItem(each, each)
            for name, part in self.parts.items():
                part.setVisible(name in used)
                box, value = self.boxes[name], getattr(recipe, name)
                if isinstance(box, QCheckBox):
                    box.setChecked(value)
                elif name == "range_rule":
                    box.show_kind(value.kind)
                elif name == "operators":
                    box.setCurrentIndex(0 if value else 1)
                else:
                    box.setCurrentIndex(box.findData(value))
        self.difference.setText(self._said_of_difference())
        excluded = any(scheme is None for scheme in state.own.values())
        self.left.setVisible(excluded and recipe.method in ("dynamic", "static"))
        self.seconds.setVisible(state.samples is not None)
        self.threads.setVisible(state.samples is not None)
        why = ""
        if state.prepared is None:
            why = self.tr("Open a network first.")
        elif recipe.method == "static" and state.samples is None:
            why = self.tr("Static quantization chooses its ranges from data: give some, or choose another method.")
        elif state.samples is None:
            why = self.tr("Without data the file is checked, but neither its output nor its time is measured.")
        self.hint.setText(why)
        self.hint.setVisible(bool(why))
        ready = state.prepared is not None and (recipe.method != "static" or state.samples is not None)
        self.save_button.setEnabled(state.prepared is not None)
        self.quantize_button.setEnabled(ready and not self._deploying)

    def _said_of_difference(self) -> str:
        """In what the recipe differs from what the library does by itself."""
        recipe = self._recipe
        other = LIBRARY_DEFAULTS[recipe.method]
        parts = [name for name in USED[recipe.method] if getattr(recipe, name) != getattr(other, name)]
        if not parts:
            return self.tr("These are the library's own defaults.")
        said = [f"{tr(WORDS[name])}: {self._word(name, recipe)} ≠ {self._word(name, other)}" for name in parts]
        return self.tr("Other than the library's defaults:") + "\n" + "\n".join(said)

    def _word(self, name: str, recipe: Recipe) -> str:
        value = getattr(recipe, name)
        if name == "operators":
            return self.tr("{count} kinds").format(count=len(value)) if value else self.tr("all")
        if name == "range_rule":
            return range_word(value)
        if isinstance(value, bool):
            return self.tr("yes") if value else self.tr("no")
        return str(value)

    @Slot(object)
    def _on_method(self, method: str) -> None:
        self._recipe = self.best(method)
        self._show()

    @Slot()
    def _on_option(self, *_: object) -> None:
        recipe = self._recipe
        for each in fields(recipe):
            if each.name not in USED[recipe.method]:
                continue
            box = self.boxes[each.name]
            if isinstance(box, QCheckBox):
                value: Any = box.isChecked()
            elif each.name == "range_rule":
                continue
            elif each.name == "operators":
                known = recipe.operators or self.best().operators or CORE
                value = known if box.currentData() == "core" else ()
            else:
                value = box.currentData()
            recipe = replace(recipe, **{each.name: value})
        kind = self.boxes["range_rule"].currentData()
        if "range_rule" in USED[recipe.method] and kind != recipe.range_rule.kind:
            recipe = with_range_rule(recipe, RANGE_RULES[kind]())
        self._recipe = recipe
        self._show()

    @Slot(int)
    def _show_threads(self, threads: int) -> None:
        self.threads.setSuffix(self.tr(" thread") if threads == 1 else self.tr(" threads"))

    @Slot()
    def _on_best(self) -> None:
        self._recipe = self.best()
        self._show()

    @Slot()
    def _on_library(self) -> None:
        self._recipe = LIBRARY_DEFAULTS[self._recipe.method]
        self._show()

    @Slot()
    def _on_quantize(self) -> None:
        recipe, state = self._recipe, self._state
        if self.left.isVisible() and self.left.isChecked() and state.prepared is not None:
            recipe = replace(recipe, excluded=excluded_nodes(state.prepared.network, state.own))
        self.quantize_requested.emit(recipe)
