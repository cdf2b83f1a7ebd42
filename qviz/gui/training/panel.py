"""With which controls is a training set up and driven?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QWidget,
)

from qviz.core.printable import brief
from qviz.core.problems import Problem
from qviz.gui.kit.controls import BitsControl, RangeChoice
from qviz.gui.kit.fields import ComboBox, NumberBox, Slider, SpinBox
from qviz.gui.kit.widgets import Line, Segments, column, form, named_label, quiet
from qviz.gui.words.schemes import range_rules
from qviz.session.language import told, tr
from qviz.training import KINDS, Data, Experiment, Quantization, Training
from qviz.training.data import SAMPLES
from qviz.training.network import ACTIVATIONS
from qviz.training.optimizers import OPTIMIZERS
from qviz.training.settings import BITS, POST_TRAINING_RANGES
from qviz.training.snapshot import Snapshot

SPEEDS = (5, 30, 150, 600, 0)
"""Steps a second; 0 for as many as there is time for."""

SWEEP_SEEDS = 3


class TrainingPanel(QWidget):
    """Shows an experiment and asks for another one; drives the training."""

    experiment_changed = Signal(object)
    start_requested = Signal()
    pause_requested = Signal()
    step_requested = Signal()
    reset_requested = Signal()
    speed_changed = Signal(int)
    sweep_requested = Signal(int)
    sweep_cancelled = Signal()
    file_requested = Signal()
    problem = Signal(str)

    def __init__(self, experiment: Experiment) -> None:
        super().__init__()
        self.setObjectName("panel")
        self._experiment = experiment
        self._build()
        self._lay_out()
        self._connect()
        self.show_experiment(experiment)

    def _build(self) -> None:
        self._build_drive()
        self.data = ComboBox()
        for key, kind in KINDS.items():
            self.data.addItem(tr(kind.label), key)
        self.data.addItem(self.tr("From a file…"), "file")
        self.data.setAccessibleName(self.tr("Data"))
        self.data.setToolTip(self.tr("What is learned. A file is an .npz with x and y, or a table with labels last."))
        self.noise = NumberBox(0, 10, name=self.tr("Noise"))
        self.noise.setSingleStep(0.01)
        self.noise.setToolTip(self.tr("Standard deviation of what is added to each coordinate or pixel."))
        self.samples = self._count(SAMPLES.start, SAMPLES.stop - 1, self.tr("Rows of data in all"))
        self.split = Line("caption")
        self.hidden = QLineEdit()
        self.hidden.setAccessibleName(self.tr("Hidden layers"))
        self.hidden.setToolTip(self.tr("Neurons of each hidden layer, such as 48, 48, 48."))
        self.hidden.setAcceptDrops(False)
        self.activation = self._choices(ACTIVATIONS, self.tr("Activation"))
        self.weight_control = BitsControl(BITS, self.tr("Bits of weights"))
        self.activation_control = BitsControl(BITS, self.tr("Bits of activations"))
        self.weight_bits, self.weight_box = self.weight_control.slider, self.weight_control.box
        self.activation_bits, self.activation_box = self.activation_control.slider, self.activation_control.box
        self.symmetric_weights = QCheckBox(self.tr("Symmetric weights"))
        self.symmetric_activations = QCheckBox(self.tr("Symmetric activations"))
        self.symmetric_activations.setToolTip(self.tr("After ReLU nothing is negative: half of the codes are wasted."))
        self.per = Segments(
            [
                (False, self.tr("Per tensor"), self.tr("One scale for the weights of a layer.")),
                (True, self.tr("Per axis"), self.tr("One scale for each output of a layer.")),
            ],
            self.tr("Granularity of weights"),
        )
        self.spare_ends = QCheckBox(self.tr("First and last layer at 8 bits"))
        self.spare_ends.setToolTip(self.tr("They suffer most from few bits, and have few weights."))
        self.ranges = Segments(
            [
                (
                    "learned",
                    self.tr("Learned steps"),
                    self.tr("Each step size is trained like a weight (LSQ)."),
                ),
                (
                    "minmax",
                    self.tr("Min–max"),
                    self.tr("From the smallest to the largest; a moving average for activations."),
                ),
            ],
            self.tr("Ranges while training"),
        )
        words = {kind: (kind, label, tip) for kind, label, tip in range_rules()}
        rules = [words.get(kind, (kind, kind, "")) for kind in POST_TRAINING_RANGES]
        self.post_range = RangeChoice(rules, self.tr("Ranges after training"))
        self.post_range.setToolTip(
            self.tr("How PTQ finds its ranges. A search takes long: then PTQ is looked at every 500 steps.")
        )
        self.optimizer = self._choices(tuple(OPTIMIZERS), self.tr("Optimizer"))
        self.rate = NumberBox(1e-6, 1e6, name=self.tr("Learning rate in float"))
        self.rate.setToolTip(self.tr("Of the float network. Much too large, and the training diverges: try 100."))
        self.fine_rate = NumberBox(1e-6, 1e6, name=self.tr("Learning rate of fine-tuning"))
        self.batch = self._count(1, 65_536, self.tr("Rows in a step"))
        self.steps = self._count(1, 1_000_000, self.tr("Steps in float"))
        self.fine_steps = self._count(1, 1_000_000, self.tr("Steps of fine-tuning"))
        self.seed = self._count(0, 2**31 - 1, self.tr("Seed"))
        self.seed.setToolTip(self.tr("The same seed gives the same result, bit for bit."))
        self.defaults = QPushButton(self.tr("Defaults"))
        self.seeds = self._count(1, 20, self.tr("Seeds of the sweep"))
        self.seeds.setValue(SWEEP_SEEDS)
        self.sweep = QPushButton(self.tr("Train at 1…8 bits"))
        self.sweep.setToolTip(self.tr("The whole experiment at each bit width, under several seeds."))

    def _build_drive(self) -> None:
        self.start = QPushButton(self.tr("Start"))
        self.start.setDefault(True)
        self.step = QPushButton(self.tr("Step"))
        self.step.setToolTip(self.tr("One step alone."))
        self.reset = QPushButton(self.tr("Reset"))
        self.reset.setToolTip(self.tr("Back to the untrained network."))
        self.speed = Slider(Qt.Orientation.Horizontal)
        self.speed.setRange(0, len(SPEEDS) - 1)
        self.speed.setPageStep(1)
        self.speed.setValue(len(SPEEDS) - 1)
        self.speed.setAccessibleName(self.tr("Speed"))
        self.speed_text = Line("caption", Qt.AlignmentFlag.AlignRight)
        self.state = named_label("", "value", wrap=True)
        self.running = False
        self.sweeping = False

    def _count(self, low: int, high: int, name: str) -> QSpinBox:
        box = SpinBox()
        box.setRange(low, high)
        box.setKeyboardTracking(False)
        box.setAccessibleName(name)
        box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        return box

    def _choices(self, names: tuple[str, ...], name: str) -> QComboBox:
        box = ComboBox()
        labels = {"relu": "ReLU", "tanh": "tanh", "adam": "Adam", "sgd": "SGD"}
        for each in names:
            box.addItem(labels.get(each, each), each)
        box.setAccessibleName(name)
        return box

    def _lay_out(self) -> None:
        layout = column(self)
        layout.addWidget(self.state)
        layout.addWidget(_row(self.start, self.step, self.reset))
        self.speed_text.reserve(self.tr("600 steps/s"))
        layout.addLayout(form((self.tr("Speed"), _row(self.speed, self.speed_text))))
        layout.addSpacing(4)
        layout.addWidget(named_label(self.tr("Quantization"), "section"))
        layout.addLayout(
            form(
                (self.tr("Weights"), self.weight_control),
                (self.tr("Activations"), self.activation_control),
            )
        )
        layout.addLayout(form((self.tr("PTQ range"), self.post_range)))
        layout.addWidget(self.ranges)
        layout.addWidget(self.per)
        for check in (self.spare_ends, self.symmetric_weights, self.symmetric_activations):
            layout.addWidget(check)
        layout.addSpacing(4)
        layout.addWidget(named_label(self.tr("Data and network"), "section"))
        layout.addLayout(
            form(
                (self.tr("Data"), self.data),
                (self.tr("Noise"), self.noise),
                (self.tr("Samples"), self.samples),
            )
        )
        layout.addWidget(self.split)
        layout.addLayout(form((self.tr("Hidden"), self.hidden), (self.tr("Activation"), self.activation)))
        layout.addSpacing(4)
        layout.addWidget(named_label(self.tr("Training"), "section"))
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        for column_at, text in ((1, self.tr("float")), (2, self.tr("QAT"))):
            grid.addWidget(named_label(text, "caption"), 0, column_at)
        for at, (text, boxes) in enumerate(
            (
                (self.tr("Rate"), (self.rate, self.fine_rate)),
                (self.tr("Steps"), (self.steps, self.fine_steps)),
            ),
            1,
        ):
            grid.addWidget(named_label(text, "caption"), at, 0)
            for column_at, box in enumerate(boxes, 1):
                grid.addWidget(box, at, column_at)
        layout.addLayout(grid)
        layout.addLayout(
            form(
                (self.tr("Optimizer"), self.optimizer),
                (self.tr("Batch"), self.batch),
                (self.tr("Seed"), self.seed),
            )
        )
        layout.addWidget(self.defaults)
        layout.addSpacing(4)
        layout.addWidget(named_label(self.tr("Bits sweep"), "section"))
        layout.addLayout(form((self.tr("Seeds"), self.seeds)))
        layout.addWidget(self.sweep)
        layout.addStretch(1)

    def _controls(self) -> tuple[Any, ...]:
        return (
            self.data,
            self.noise,
            self.samples,
            self.hidden,
            self.activation,
            self.symmetric_weights,
            self.symmetric_activations,
            self.spare_ends,
            self.post_range,
            self.optimizer,
            self.rate,
            self.fine_rate,
            self.batch,
            self.steps,
            self.fine_steps,
            self.seed,
        )

    def _connect(self) -> None:
        for box in (self.samples, self.batch, self.steps, self.fine_steps, self.seed, self.noise, self.rate):
            box.valueChanged.connect(self._on_edited)
        self.fine_rate.valueChanged.connect(self._on_edited)
        for bits in (self.weight_control, self.activation_control):
            bits.chosen.connect(self._on_edited)
        for check in (self.symmetric_weights, self.symmetric_activations, self.spare_ends):
            check.toggled.connect(self._on_edited)
        for combo in (self.activation, self.optimizer, self.post_range):
            combo.currentIndexChanged.connect(self._on_edited)
        self.data.activated.connect(self._on_data)
        self.hidden.editingFinished.connect(self._on_edited)
        self.per.chosen.connect(self._on_per)
        self.ranges.chosen.connect(self._on_ranges)
        self.start.clicked.connect(self._on_start)
        self.step.clicked.connect(self.step_requested)
        self.reset.clicked.connect(self.reset_requested)
        self.speed.valueChanged.connect(self._on_speed)
        self.sweep.clicked.connect(self._on_sweep)
        self.defaults.clicked.connect(self._on_defaults)
        self._on_speed(self.speed.value())

    # -- what is shown

    def show_experiment(self, experiment: Experiment) -> None:
        """Set every control, without asking for anything."""
        self._experiment = experiment
        data, quantization, training = experiment.data, experiment.quantization, experiment.training
        with quiet(self._controls()):
            self.data.setCurrentIndex(self.data.findData(data.kind))
            own = KINDS[data.kind].noise if data.kind in KINDS else 0.0
            self.noise.setValue(own if data.noise is None else data.noise)
            self.samples.setValue(data.samples)
            for drawn in (self.noise, self.samples):
                drawn.setEnabled(data.kind in KINDS)
            self.hidden.setText(", ".join(str(n) for n in experiment.hidden))
            self.activation.setCurrentIndex(self.activation.findData(experiment.activation))
            self.weight_control.show_bits(quantization.weight_bits)
            self.activation_control.show_bits(quantization.activation_bits)
            self.symmetric_weights.setChecked(quantization.weight_symmetric)
            self.symmetric_activations.setChecked(quantization.activation_symmetric)
            self.spare_ends.setChecked(quantization.spare_ends)
            self.per.choose(quantization.per_axis)
            self.ranges.choose(quantization.ranges)
            self.post_range.setCurrentIndex(self.post_range.findData(quantization.post_training_range))
            self.optimizer.setCurrentIndex(self.optimizer.findData(training.optimizer))
            self.rate.setValue(training.learning_rate)
            self.fine_rate.setValue(training.fine_tuning_rate)
            self.batch.setValue(training.batch)
            self.steps.setValue(training.steps)
            self.fine_steps.setValue(training.fine_tuning_steps)
            self.seed.setValue(experiment.seed)

    @Slot(object)
    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Say how far the training is."""
        step, steps = f"{snapshot.step:,}", f"{snapshot.steps:,}"
        said = {
            "float": self.tr("Float: step {step} of {steps}"),
            "qat": self.tr("QAT: step {step} of {steps}"),
            "done": self.tr("Done: {steps} steps"),
            "diverged": self.tr("Diverged at step {step}: lower the learning rate, then reset"),
        }[snapshot.phase]
        text = said.format(step=step, steps=steps)
        if snapshot.phase == "float" and snapshot.step == 0 and not self.running:
            text = self.tr("Ready: {steps} steps").format(steps=steps)
        self.state.setText(text)
        data = snapshot.dataset
        split = self.tr("{train} rows to train, {test} to test")
        self.split.setText(split.format(train=f"{data.y_train.size:,}", test=f"{data.y_test.size:,}"))
        self.step.setEnabled(not snapshot.finished)
        self._finished = snapshot.finished
        self._name_start()

    def show_state(self, text: str) -> None:
        """Say how it stands where there is no moment of the present settings to tell of."""
        self.state.setText(text)

    @Slot(bool)
    def show_running(self, running: bool) -> None:
        """The first button starts, or pauses."""
        self.running = running
        self._name_start()

    _finished = False

    def _name_start(self) -> None:
        again = self.tr("Again") if self._finished else self.tr("Start")
        text = self.tr("Pause") if self.running else again
        if self.start.text() != text:
            self.start.setText(text)

    @Slot(bool)
    def show_sweeping(self, sweeping: bool) -> None:
        """The button of the sweep starts it, or stops it."""
        self.sweeping = sweeping
        self.sweep.setText(self.tr("Stop the sweep") if sweeping else self.tr("Train at 1…8 bits"))

    # -- what is asked for

    def _ask(self, experiment: Experiment) -> None:
        if experiment != self._experiment:
            self._experiment = experiment
            self.experiment_changed.emit(experiment)

    @Slot()
    def _on_edited(self, *_: object) -> None:
        try:
            self._ask(self._read())
        except Problem as problem:
            self.problem.emit(told(problem))
            self.show_experiment(self._experiment)

    def _read(self) -> Experiment:
        now = self._experiment
        data = now.data
        if data.kind in KINDS:
            noise = self.noise.value()
            own = abs(noise - KINDS[data.kind].noise) < 1e-9
            data = replace(data, noise=None if own else noise, samples=self.samples.value())
        quantization = replace(
            now.quantization,
            weight_bits=self.weight_control.bits,
            activation_bits=self.activation_control.bits,
            weight_symmetric=self.symmetric_weights.isChecked(),
            activation_symmetric=self.symmetric_activations.isChecked(),
            spare_ends=self.spare_ends.isChecked(),
            post_training_range=self.post_range.currentData(),
        )
        training = replace(
            now.training,
            optimizer=self.optimizer.currentData(),
            learning_rate=self.rate.value(),
            fine_tuning_rate=self.fine_rate.value(),
            batch=self.batch.value(),
            steps=self.steps.value(),
            fine_tuning_steps=self.fine_steps.value(),
        )
        seed = self.seed.value()
        return Experiment(
            replace(data, seed=seed),
            self._widths(),
            self.activation.currentData(),
            quantization,
            training,
            seed,
        )

    def _widths(self) -> tuple[int, ...]:
        parts = [part for part in self.hidden.text().replace(";", ",").split(",") if part.strip()]
        try:
            return tuple(int(part) for part in parts)
        except ValueError:
            raise Problem(
                "“{text}” are no widths of layers: give numbers with commas, such as 48, 48, 48.",
                text=brief(self.hidden.text()),
            ) from None

    @Slot()
    def _on_data(self) -> None:
        kind = self.data.currentData()
        if kind == "file":
            self.data.setCurrentIndex(self.data.findData(self._experiment.data.kind))
            self.file_requested.emit()
        elif kind != self._experiment.data.kind:
            old = self._experiment.data
            self._take(replace(self._experiment, data=Data(kind, old.samples, seed=old.seed)))

    def take_file(self, path: Path) -> None:
        """Learn from a file."""
        self._take(replace(self._experiment, data=Data("file", path=str(path), seed=self._experiment.seed)))

    def _take(self, experiment: Experiment) -> None:
        before = self._experiment
        self.show_experiment(experiment)
        self._experiment = before
        self._ask(experiment)

    @Slot(object)
    def _on_per(self, per_axis: bool) -> None:
        self._ask(replace(self._experiment, quantization=replace(self._experiment.quantization, per_axis=per_axis)))

    @Slot(object)
    def _on_ranges(self, ranges: str) -> None:
        self._ask(replace(self._experiment, quantization=replace(self._experiment.quantization, ranges=ranges)))

    @Slot()
    def _on_start(self) -> None:
        (self.pause_requested if self.running else self.start_requested).emit()

    @Slot(int)
    def _on_speed(self, position: int) -> None:
        speed = SPEEDS[position]
        text = self.tr("{speed} steps/s").format(speed=speed) if speed else self.tr("full")
        self.speed_text.setText(text)
        self.speed_changed.emit(speed)

    @Slot()
    def _on_sweep(self) -> None:
        if self.sweeping:
            self.sweep_cancelled.emit()
        else:
            self.sweep_requested.emit(self.seeds.value())

    @Slot()
    def _on_defaults(self) -> None:
        """Quantization, network and training as in the beginning, on the data there are."""
        fresh = Experiment(self._experiment.data, seed=self._experiment.seed)
        self._take(replace(fresh, quantization=Quantization(), training=Training()))


def _row(*widgets: QWidget) -> QWidget:
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return row
