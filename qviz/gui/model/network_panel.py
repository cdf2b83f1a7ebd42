"""With which controls is a network opened and prepared, and what has been done to it?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from qviz.core.printable import brief, printable
from qviz.core.problems import N_
from qviz.core.sizes import byte_text
from qviz.gui.kit.fields import SpinBox
from qviz.gui.kit.widgets import Line, column, named_label, plain_tip, quiet
from qviz.gui.words.numbers import number, whole
from qviz.models.network import Port, model_bytes
from qviz.models.preparation import Prepared
from qviz.models.preparation_steps import STEPS, Choices
from qviz.session.language import told, tr
from qviz.session.network_state import NetworkState

LARGEST = 1 << 20
MOST_INPUTS = 12
"""Inputs that have controls; language models with a cache have hundreds."""

STEP_WORDS = {
    "operators": N_("Obsolete operators replaced"),
    "weights": N_("Weights taken out of the inputs"),
    "constants": N_("Constant nodes made weights"),
    "inputs": N_("Inputs made constants"),
    "branches": N_("Known branches taken"),
    "shapes": N_("Open dimensions given numbers"),
    "opset": N_("Operators raised"),
    "fold": N_("Constant parts computed once"),
    "names": N_("Every node given a name"),
    "types": N_("Shapes between the nodes found"),
}


class NetworkPanel(QWidget):
    """Shows what was opened; asks for another file, or for other choices.

    Signals
    -------
    open_requested(), close_requested()
    choices_changed(Choices)
    refused(str)
        What is wrong with what was typed, in a sentence.
    """

    open_requested = Signal()
    close_requested = Signal()
    choices_changed = Signal(object)
    refused = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self._choices = Choices({}, {})
        self._shown: tuple[object, ...] = ()
        self.open_button = QPushButton(self.tr("Open a network…"))
        self.open_button.setToolTip(self.tr("An ONNX model. It can also be dropped anywhere on the window."))
        self.open_button.clicked.connect(self.open_requested)
        self.close_button = QPushButton(self.tr("Close"))
        self.close_button.setToolTip(self.tr("Close this network, and free the memory that it takes."))
        self.close_button.clicked.connect(self.close_requested)
        self.file = named_label("", "value", wrap=True)
        self.about = named_label("", "caption", wrap=True)
        self.compared = named_label("", "caption", wrap=True)
        self.trouble = named_label("", "problem", wrap=True)
        for label in (self.file, self.about, self.compared, self.trouble):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setMinimumWidth(1)  # a word longer than the panel makes it no wider
        self.dimensions: dict[str, QSpinBox] = {}
        self.values: dict[str, QLineEdit] = {}
        self.steps: dict[str, QCheckBox] = {}
        self._inputs, self._steps = QWidget(), QWidget()
        self._input_rows, self._step_rows = QGridLayout(self._inputs), QVBoxLayout(self._steps)
        for rows in (self._input_rows, self._step_rows):
            rows.setContentsMargins(0, 0, 0, 0)
            rows.setSpacing(4)
        self._input_rows.setColumnStretch(0, 1)
        self._heads = [named_label(self.tr("Inputs"), "section"), named_label(self.tr("Prepared"), "section")]
        layout, first = column(self), QHBoxLayout()
        first.addWidget(self.open_button, 1)
        first.addWidget(self.close_button)
        layout.addLayout(first)
        for widget in (self.file, self.about, self.trouble):
            layout.addWidget(widget)
        layout.addWidget(self._heads[0])
        layout.addWidget(self._inputs)
        layout.addWidget(self._heads[1])
        layout.addWidget(self._steps)
        layout.addWidget(self.compared)
        layout.addStretch(1)
        self.refresh(NetworkState())

    def refresh(self, state: NetworkState) -> None:
        """Show a state, without asking for anything."""
        key = (state.path, state.prepared, state.choices)
        if key == self._shown:
            return
        self._shown = key
        self._choices = state.choices
        prepared = state.prepared
        self.file.setText(state.path.name if state.path is not None else "")
        self.file.setVisible(state.path is not None)
        self.close_button.setVisible(state.path is not None)
        self.trouble.hide()
        if prepared is None and state.path is None:
            self.about.setText(
                self.tr("Drop an ONNX model here: it is prepared for quantization, and the file stays as it is.")
            )
        elif prepared is None:
            self._say_opening()
        for widget in (*self._heads, self._inputs, self._steps, self.compared):
            widget.setVisible(prepared is not None)
        if prepared is not None:
            self._show_prepared(prepared)

    def _say_opening(self) -> None:
        self.about.setText(self.tr("Opening and preparing…"))
        self.trouble.hide()

    @Slot()
    def show_unopened(self) -> None:
        """Nothing is on its way any more: it was cancelled, or failed."""
        if self._is_missing():
            self.about.setText(self.tr("This file was not opened; open it again, or drop another one."))

    @Slot(str)
    def show_problem(self, text: str) -> None:
        """Why there is no network, or not as it was chosen."""
        if not self._inputs.isVisibleTo(self):
            self.about.setText("")
        self.trouble.setText(text)
        self.trouble.show()

    def _is_missing(self) -> bool:
        """Whether there is a file, but no network."""
        return self.file.isVisibleTo(self) and not self._inputs.isVisibleTo(self)

    def _show_prepared(self, prepared: Prepared) -> None:
        network = prepared.network
        common = ", ".join(f"{count} × {printable(name)}" for name, count in network.operators.most_common(3))
        self.about.setText(
            self.tr("{nodes} nodes ({common}), {bytes}").format(
                nodes=whole(network.nodes),
                common=common,
                bytes=byte_text(network.file_bytes or model_bytes(network.model)),
            )
        )
        if network.is_quantized:
            self.trouble.setText(
                self.tr(
                    "This network is quantized already: open the float one that it was made from, and add this file "
                    "to its runs to see what it lost and gained."
                )
            )
            self.trouble.show()
        self._show_inputs(prepared)
        self._show_steps(prepared)
        self.compared.setText(self._comparison(prepared))

    def _comparison(self, prepared: Prepared) -> str:
        found = prepared.comparison
        if found is None:
            why = told(prepared.problem) if prepared.problem is not None else ""
            return self.tr("The outputs could not be compared with the original's: {why}").format(why=why)
        if not found.changed:
            return self.tr("The outputs are the original's, bit for bit.")
        return self.tr(
            "The outputs differ from the original's by at most {largest} ({relative} of their size)."
        ).format(largest=number(found.largest, 3), relative=number(found.relative, 2))

    def _show_inputs(self, prepared: Prepared) -> None:
        _clear(self._input_rows)
        self.dimensions, self.values = {}, {}
        numbers = _known_numbers(prepared)
        at = 0
        inputs = prepared.original.inputs
        for port in inputs[:MOST_INPUTS]:
            shape = _shape_text(port, numbers)
            head = named_label(printable(f"{port.name}  {shape}  {port.dtype}"), "caption", wrap=True)
            head.setTextFormat(Qt.TextFormat.PlainText)
            self._input_rows.addWidget(head, at, 0, 1, 2)
            at += 1
            for name in port.open_dimensions:
                if name not in self.dimensions:
                    at = self._add_row(at, name, self._dimension_box(name, numbers.get(name, 0)))
            if not port.shape or port.shape == (1,) or port.name in self._choices.inputs:
                at = self._add_row(at, self.tr("always"), self._value_box(port))
        if len(inputs) > MOST_INPUTS:
            more = self.tr("… and {count} more").format(count=len(inputs) - MOST_INPUTS)
            self._input_rows.addWidget(named_label(more, "caption"), at, 0, 1, 2)

    def _add_row(self, at: int, name: str, control: QWidget) -> int:
        # Names of dimensions may be longer than the panel is wide, and differ in their last letter.
        label = Line("caption", cut=Qt.TextElideMode.ElideMiddle)
        label.setText(printable(f"  {name}"))
        label.setToolTip(plain_tip(printable(name)))
        self._input_rows.addWidget(label, at, 0)
        self._input_rows.addWidget(control, at, 1)
        return at + 1

    def _dimension_box(self, name: str, value: int) -> QSpinBox:
        box = SpinBox()
        box.setRange(0, LARGEST)
        box.setSpecialValueText(self.tr("open"))
        box.setFixedWidth(92)
        box.setKeyboardTracking(False)
        box.setValue(value)
        box.setAccessibleName(self.tr("Dimension {name}").format(name=printable(name)))
        box.setToolTip(self.tr("A number for this dimension; it has to have one before data can be run."))
        box.valueChanged.connect(partial(self._on_dimension, name))
        self.dimensions[name] = box
        return box

    def _value_box(self, port: Port) -> QLineEdit:
        box = QLineEdit()
        if port.name in self._choices.inputs:
            box.setText(" ".join(str(each) for each in np.asarray(self._choices.inputs[port.name]).reshape(-1)))
        box.setPlaceholderText(self.tr("from the data"))
        box.setFixedWidth(116)
        box.setAccessibleName(self.tr("Value of {name}").format(name=printable(port.name)))
        box.setToolTip(self.tr("An input that always has this value becomes a constant: branches on it vanish."))
        box.editingFinished.connect(partial(self._on_value, port))
        self.values[port.name] = box
        return box

    def _show_steps(self, prepared: Prepared) -> None:
        _clear(self._step_rows)
        self.steps = {}
        done = {step.key: step for step in prepared.steps}
        for key in STEPS:
            out = key in self._choices.left_out
            if key not in done and not out:
                continue
            box = QCheckBox(tr(STEP_WORDS[key]))
            text = told(done[key].text) if key in done else self.tr("Left out.")
            box.setToolTip(text)
            box.setChecked(not out)
            box.setAccessibleName(tr(STEP_WORDS[key]))
            box.toggled.connect(partial(self._on_step, key))
            self._step_rows.addWidget(box)
            if key in done:
                said = named_label(text, "caption", wrap=True)
                said.setTextFormat(Qt.TextFormat.PlainText)
                said.setMinimumWidth(1)
                said.setContentsMargins(20, 0, 4, 0)  # an indent is left out of the width that words wrap at
                self._step_rows.addWidget(said)
            self.steps[key] = box

    def _on_dimension(self, name: str, value: int) -> None:
        dimensions = dict(self._choices.dimensions)
        dimensions.pop(name, None)
        if value:
            dimensions[name] = value
        self.choices_changed.emit(Choices(dimensions, self._choices.inputs, self._choices.left_out))

    def _on_value(self, port: Port) -> None:
        box = self.values.get(port.name)
        if box is None:
            return
        text = box.text().strip().replace(",", " ")
        inputs = dict(self._choices.inputs)
        before = inputs.pop(port.name, None)
        if text:
            try:
                value = np.array([float(each) for each in text.split()]).astype(port.dtype)
                value = value.reshape([each if isinstance(each, int) else -1 for each in port.shape or ()])
            except (ValueError, TypeError):
                self.refused.emit(
                    self.tr("“{text}” is no value of {name}: type a number.").format(
                        text=brief(text), name=brief(port.name)
                    )
                )
                return
            if before is not None and np.array_equal(before, value):
                return
            inputs[port.name] = value
        elif before is None:
            return
        self.choices_changed.emit(Choices(self._choices.dimensions, inputs, self._choices.left_out))

    def _on_step(self, key: str, on: bool) -> None:
        left_out = self._choices.left_out - {key} if on else self._choices.left_out | {key}
        self.choices_changed.emit(Choices(self._choices.dimensions, self._choices.inputs, left_out))

    @Slot(bool)
    def set_busy(self, busy: bool) -> None:
        """Nothing can be chosen while it is prepared."""
        if busy and self._is_missing():
            self._say_opening()
        with quiet((self._inputs, self._steps)):
            self._inputs.setEnabled(not busy)
            self._steps.setEnabled(not busy)


def _known_numbers(prepared: Prepared) -> dict[str, int]:
    """The numbers that open dimensions of the original were given."""
    now = {port.name: port.shape or () for port in prepared.network.inputs}
    found: dict[str, int] = {}
    for port in prepared.original.inputs:
        for place, each in enumerate(port.shape or ()):
            shape = now.get(port.name, ())
            if not isinstance(each, int) and place < len(shape):
                value = shape[place]
                if isinstance(value, int):
                    found[each if isinstance(each, str) else f"{port.name}:{place}"] = value
    return found


def _shape_text(port: Port, numbers: Mapping[str, int]) -> str:
    if port.shape is None:
        return "?"
    parts = []
    for place, each in enumerate(port.shape):
        name = each if isinstance(each, str) else f"{port.name}:{place}"
        parts.append(str(each) if isinstance(each, int) else str(numbers.get(name, "?")))
    return " × ".join(parts) or tr("one number")


def _clear(layout: QVBoxLayout | QGridLayout) -> None:
    while layout.count():
        item = layout.takeAt(0)
        widget = item.widget() if item is not None else None
        if widget is not None:
            widget.hide()
            widget.deleteLater()
