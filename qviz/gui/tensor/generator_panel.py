"""Which synthetic tensor? Every turn of a knob draws it anew."""

from __future__ import annotations

import re
from typing import Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFormLayout, QLineEdit, QPushButton, QWidget

from qviz.core.printable import brief
from qviz.core.tensors.generators import GENERATORS, GeneratorSpec
from qviz.gui.kit.fields import ComboBox, NumberBox, SpinBox
from qviz.gui.kit.widgets import column, form, named_label, quiet
from qviz.session.language import tr

SEEDS = 2**31
"""As many as a spin box can count."""

MOST_DIGITS = 18
"""Of the length of an axis; a longer one is no number but a slip."""


class GeneratorPanel(QWidget):
    """Kind, shape, seed and the parameters of the kind."""

    spec_changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.kind = ComboBox()
        for generator in GENERATORS.values():
            self.kind.addItem(tr(generator.label), generator.key)
        self.kind.setAccessibleName(self.tr("Kind of distribution"))
        self.about = named_label("", "hint", wrap=True)
        self.shape = QLineEdit()
        self.shape.setAcceptDrops(False)  # a dropped file is opened, wherever it falls
        self.shape.setAccessibleName(self.tr("Shape"))
        self.shape.setToolTip(self.tr("Lengths of the axes, such as 64 × 256; one number makes a vector."))
        self.seed = SpinBox()
        self.seed.setRange(0, SEEDS - 1)
        self.seed.setAccessibleName(self.tr("Seed"))
        self.seed.setToolTip(self.tr("The same seed draws the same numbers."))
        self.reseed = QPushButton(self.tr("Draw again"))
        self.reseed.setToolTip(self.tr("The next seed."))
        self.trouble = named_label("", "problem", wrap=True)
        self.trouble.setTextFormat(Qt.TextFormat.PlainText)
        self.trouble.hide()
        self._boxes: dict[str, NumberBox] = {}
        layout = column(self)
        layout.addLayout(form((self.tr("Kind"), self.kind)))
        layout.addWidget(self.about)
        self._parameters = QFormLayout()
        holder = QWidget()
        holder.setLayout(self._parameters)
        self._parameters.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(holder)
        layout.addLayout(form((self.tr("Shape"), self.shape), (self.tr("Seed"), self.seed)))
        layout.addWidget(self.trouble)
        layout.addWidget(self.reseed)
        layout.addStretch(1)
        self.kind.currentIndexChanged.connect(self._on_kind)
        self.shape.editingFinished.connect(self._on_edited)
        self.seed.valueChanged.connect(self._on_edited)
        self.reseed.clicked.connect(self._on_reseed)
        self.show_spec(GeneratorSpec())

    def show_spec(self, spec: GeneratorSpec) -> None:
        """Set every control, without telling anybody."""
        with quiet((self.kind, self.shape, self.seed)):
            self.kind.setCurrentIndex(self.kind.findData(spec.kind))
            self.shape.setText(" × ".join(str(n) for n in spec.shape))
            self.seed.setValue(spec.seed)
        self.trouble.hide()
        self._make_parameters(dict(spec.parameters))

    def spec(self) -> GeneratorSpec | None:
        """What the controls say; None while the shape cannot be read."""
        shape = _shape(self.shape.text())
        if shape is None:
            return None
        parameters = tuple((name, box.value()) for name, box in self._boxes.items())
        return GeneratorSpec(self.kind.currentData(), shape, self.seed.value(), parameters)

    def _make_parameters(self, values: dict[str, float]) -> None:
        generator = GENERATORS[self.kind.currentData()]
        self.about.setText(tr(generator.description))
        while self._parameters.rowCount():
            self._parameters.removeRow(0)
        self._boxes = {}
        for parameter in generator.parameters:
            box = NumberBox(parameter.minimum, parameter.maximum, name=tr(parameter.label))
            box.setStepType(NumberBox.StepType.DefaultStepType)
            box.setSingleStep(parameter.step)
            box.setValue(values.get(parameter.name, parameter.default))
            box.setToolTip(tr(parameter.description))
            box.valueChanged.connect(self._on_edited)
            label = named_label(tr(parameter.label), "caption")
            self._parameters.addRow(label, box)
            self._boxes[parameter.name] = box

    @Slot()
    def _on_kind(self) -> None:
        self._make_parameters({})
        self._on_edited()

    @Slot()
    def _on_edited(self, *_: Any) -> None:
        spec = self.spec()
        self.trouble.setVisible(spec is None)
        if spec is None:
            text = self.tr("“{text}” is no shape: type the lengths of the axes, such as 64 × 256.")
            self.trouble.setText(text.format(text=brief(self.shape.text())))
        else:
            self.spec_changed.emit(spec)

    @Slot()
    def _on_reseed(self) -> None:
        self.seed.setValue((self.seed.value() + 1) % SEEDS)


def _shape(text: str) -> tuple[int, ...] | None:
    numbers = re.findall(r"\d+", text)
    if not numbers or re.sub(r"[\d\s,x×*()\[\]]", "", text) or max(map(len, numbers)) > MOST_DIGITS:
        return None
    return tuple(int(n) for n in numbers)
