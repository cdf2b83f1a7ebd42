"""What does quantization-aware training win back? The page that trains."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QPoint, Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QFileDialog, QMainWindow, QMenu, QTabWidget, QToolButton

from qviz.core.problems import Problem
from qviz.files.names import numbered
from qviz.gui.charts.base import Chart, LinkedCursor
from qviz.gui.charts.cards import ChartMenus
from qviz.gui.charts.page import Closing, Job, Subject
from qviz.gui.kit.copying import copy_lines
from qviz.gui.kit.docks import Dock
from qviz.gui.kit.fields import ComboBox
from qviz.gui.kit.in_the_way import InTheWay
from qviz.gui.kit.theme import Theme
from qviz.gui.training.curves_chart import AccuracyChart, LossCurvesChart, SweepChart
from qviz.gui.training.decision_map import BoundaryChart
from qviz.gui.training.panel import TrainingPanel
from qviz.gui.training.run_chart import RunChart
from qviz.gui.training.runs_panel import RunsPanel
from qviz.gui.training.weights_chart import WeightsChart
from qviz.session.guard import guarded
from qviz.session.history import History, parts_changed
from qviz.session.language import told
from qviz.session.settings import Settings
from qviz.session.trainer import Trainer
from qviz.training import Experiment, QuantizedNetwork, Run
from qviz.training.export import (
    float_arrays,
    network_arrays,
    read_experiment,
    save_arrays,
    save_experiment,
    save_onnx,
)
from qviz.training.snapshot import NETWORKS, Snapshot

SIDE_WIDTH = 288

STALE_AFTER_MILLISECONDS = 200
"""What is there sooner follows so quickly that nobody takes the network before it for the new one."""


@guarded
class TrainingPage(QMainWindow):
    """Composes the panel and the charts; shows a `Snapshot`; asks the trainer.

    Signals
    -------
    export_requested(Chart, str), copy_requested(Chart)
        As of the Tensor page.
    problem(str), notice(str)
        One sentence for the person.
    tensor_requested(str, array)
        A layer's weights, float32 of shape (outputs, inputs), to be opened as a tensor of that name.
    """

    export_requested = Signal(object, str)
    copy_requested = Signal(object)
    problem = Signal(str)
    notice = Signal(str)
    tensor_requested = Signal(str, object)

    def __init__(self, trainer: Trainer) -> None:
        super().__init__()
        self.setWindowFlags(Qt.WindowType.Widget)
        self.trainer = trainer
        self.history = History(trainer.experiment, self._go_to, self)
        self.workers: tuple[Closing, ...] = ()
        self.jobs: tuple[Job, ...] = ()
        self.link = LinkedCursor()
        self.folder = ""
        self.in_the_way = InTheWay(self)
        self._shown_once = False
        self.menus = ChartMenus(self)
        self._build()
        self._arrange()
        self._connect()
        self.menus.export_requested.connect(self.export_requested)
        self.menus.copy_requested.connect(self.copy_requested)

    def _build(self) -> None:
        self.panel = TrainingPanel(self.trainer.experiment)
        self.boundaries = {name: BoundaryChart(self.link, name) for name in NETWORKS}
        self.accuracy = AccuracyChart(self.link)
        self.loss = LossCurvesChart(self.link)
        self.weights = WeightsChart(self.link)
        self.sweep = SweepChart(self.link)
        self.charts: tuple[Chart, ...] = (
            *self.boundaries.values(),
            self.accuracy,
            self.loss,
            self.weights,
            self.sweep,
        )
        self.docks: dict[str, Dock] = {"training": Dock("training", self.tr("Training"), self.panel, scrolls=True)}
        for chart in self.charts:
            dock = Dock(chart.name, chart.title(), chart)
            self.docks[chart.name] = dock
            self.menus.dress(chart, dock.title)
        self.runs = RunsPanel()
        self.docks["runs"] = Dock("runs", self.tr("Runs"), self.runs)
        self.docks["runs"].title.add_widget(self.runs.table.filter_box())
        self.layers = ComboBox()
        self.layers.setAccessibleName(self.tr("Layer"))
        self.docks[self.weights.name].title.add_widget(self.layers)
        self.open_layer = QToolButton()
        self.open_layer.setObjectName("text")
        self.open_layer.setText(self.tr("Open"))
        self.open_layer.setToolTip(self.tr("Open the weights of this layer as a tensor."))
        self.docks[self.weights.name].title.add_widget(self.open_layer)
        self.save_button = QToolButton()
        self.save_button.setObjectName("text")
        self.save_button.setText(self.tr("Save"))
        self.save_button.setToolTip(self.tr("Take the weights, the network or the experiment along."))
        self.docks["training"].title.add_widget(self.save_button)
        self._stale = False
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(STALE_AFTER_MILLISECONDS)
        self._patience.timeout.connect(self._say_waiting)

    def _arrange(self) -> None:
        self.setDockNestingEnabled(True)
        self.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.North)
        left, across, down = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.Orientation.Horizontal, Qt.Orientation.Vertical
        d = self.docks
        for dock in d.values():
            dock.setParent(self)
        first, second, third = (d[chart.name] for chart in self.boundaries.values())
        self.addDockWidget(left, d["training"])
        self.splitDockWidget(d["training"], first, across)
        self.splitDockWidget(first, d[self.accuracy.name], down)
        self.splitDockWidget(first, second, across)
        self.splitDockWidget(second, third, across)
        self.splitDockWidget(d[self.accuracy.name], d[self.weights.name], across)
        self.tabifyDockWidget(d[self.accuracy.name], d[self.loss.name])
        self.tabifyDockWidget(d[self.weights.name], d[self.sweep.name])
        self.tabifyDockWidget(d[self.sweep.name], d["runs"])
        for name in (self.accuracy.name, self.weights.name):
            d[name].raise_()
        for dock in d.values():
            dock.setFloating(False)
            dock.show()

    def size_up(self) -> None:
        """The sizes of a fresh layout, for the room there is."""
        d, across, down = self.docks, Qt.Orientation.Horizontal, Qt.Orientation.Vertical
        middle = max(450, self.width() - SIDE_WIDTH)
        names = [chart.name for chart in self.boundaries.values()]
        self.resizeDocks([d["training"], *(d[n] for n in names)], [SIDE_WIDTH, *[middle // 3] * 3], across)
        self.resizeDocks([d[self.accuracy.name], d[self.weights.name]], [middle // 2, middle // 2], across)
        upper = min(middle // 3 + 40, self.height() * 55 // 100)
        self.resizeDocks([d[names[0]], d[self.accuracy.name]], [upper, self.height() - upper], down)

    def reset_layout(self) -> None:
        """Every dock where it was in the beginning."""
        for dock in self.docks.values():
            dock.setFloating(False)  # or it would be no part of the layout that others are placed in
            self.removeDockWidget(dock)
        self._arrange()
        self.size_up()

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        if not self._shown_once:
            self._shown_once = True
            self.size_up()
            if self.trainer.snapshot is None:
                self.trainer.reset()

    def _connect(self) -> None:
        trainer, panel = self.trainer, self.panel
        panel.experiment_changed.connect(self._on_experiment)
        panel.start_requested.connect(trainer.start)
        panel.pause_requested.connect(trainer.pause)
        panel.step_requested.connect(trainer.step)
        panel.reset_requested.connect(trainer.reset)
        panel.speed_changed.connect(trainer.set_speed)
        panel.sweep_requested.connect(self._on_sweep)
        panel.sweep_cancelled.connect(trainer.cancel_sweep)
        panel.file_requested.connect(self.open_data)
        panel.problem.connect(self.problem)
        trainer.advanced.connect(self.present)
        trainer.awaited.connect(self._patience.start)
        trainer.given_up.connect(self._on_given_up)
        trainer.running_changed.connect(panel.show_running)
        trainer.sweeping_changed.connect(panel.show_sweeping)
        trainer.sweeping_changed.connect(self.sweep.show_sweeping)
        trainer.swept.connect(self.sweep.show_sweep)
        trainer.problem.connect(self.problem)
        trainer.runs_changed.connect(self._show_runs)
        trainer.shown.connect(self._on_shown)
        self.runs.run_chosen.connect(trainer.show_run)
        self.runs.run_removed.connect(trainer.remove_run)
        self.runs.run_named.connect(trainer.name_run)
        trainer.saved.connect(self.notice)
        self.layers.currentIndexChanged.connect(self.weights.choose)
        self.open_layer.clicked.connect(self._on_open_layer)
        self.save_button.clicked.connect(self._on_save)

    # -- what is shown

    @Slot(object)
    def present(self, snapshot: Snapshot) -> None:
        """Paint a moment: each chart only hands ready arrays to its items."""
        count = len(snapshot.weights)
        if self.layers.count() != count:
            wanted = min(max(self.layers.currentIndex(), 1), count - 1)
            self.layers.blockSignals(True)
            self.layers.clear()
            for i in range(count):
                self.layers.addItem(self.tr("Layer {number}").format(number=i + 1))
            self.layers.setCurrentIndex(wanted)
            self.layers.blockSignals(False)
            self.weights.layer = wanted
        for chart in self.charts:
            if isinstance(chart, RunChart):
                chart.show_snapshot(snapshot)
        self.panel.show_snapshot(snapshot)
        self._patience.stop()
        self._set_stale(False)

    def _set_stale(self, stale: bool) -> None:
        """What is shown of another network says so until its successor arrives, and cannot be opened."""
        if stale == self._stale:
            return
        self._stale = stale
        caveat = self.tr("out of date: showing the previous network") if stale else ""
        for chart in self.charts:
            if isinstance(chart, RunChart):
                chart.set_caveat(caveat)
        for widget in (self.layers, self.open_layer):
            widget.setEnabled(not stale)

    @Slot()
    def _say_waiting(self) -> None:
        self.panel.show_state(self.tr("Preparing the network…"))
        self._set_stale(self.trainer.snapshot is not None)

    @Slot()
    def _on_given_up(self) -> None:
        """There will be no network of these settings: what is shown stays, and is of others."""
        self._patience.stop()
        if not self.trainer.is_present:
            self.panel.show_state(self.tr("Not ready: these settings gave no network"))
            self._set_stale(self.trainer.snapshot is not None)

    @Slot()
    def _show_runs(self) -> None:
        self.runs.show_runs(self.trainer.runs, self.trainer.present)

    @Slot(object)
    def _on_shown(self, experiment: Experiment) -> None:
        """An earlier run is shown again: so are its settings, and undo brings back those that were there."""
        self.panel.show_experiment(experiment)
        self.history.note(experiment)

    def apply_theme(self, theme: Theme) -> None:
        """Change every colour, now."""
        for dock in self.docks.values():
            dock.apply_theme(theme)

    # -- what is asked for

    @Slot(int)
    def _on_sweep(self, seeds: int) -> None:
        self.docks[self.sweep.name].raise_()
        self.trainer.sweep(seeds)

    @Slot()
    def open_data(self) -> None:
        """Learn from a person's own file."""
        text, _ = QFileDialog.getOpenFileName(
            self, self.tr("Data to learn from"), self.folder, self.tr("Tables (*.npz *.csv *.txt *.tsv)")
        )
        if text:
            self.folder = str(Path(text).parent)
            self.panel.take_file(Path(text))

    @Slot()
    def open_experiment(self) -> None:
        """Take an experiment from its file."""
        text, _ = QFileDialog.getOpenFileName(
            self, self.tr("Open an experiment"), self.folder, self.tr("Experiments (*.json)")
        )
        if text:
            try:
                experiment = read_experiment(Path(text))
            except Problem as problem:
                self.problem.emit(told(problem))
                return
            self.panel.show_experiment(experiment)
            self._on_experiment(experiment)

    @Slot(object)
    def _on_experiment(self, experiment: Experiment) -> None:
        self.history.note(experiment, parts_changed(self.history.present, experiment))
        self.trainer.set_experiment(experiment)

    def _go_to(self, experiment: Experiment) -> Experiment:
        self.panel.show_experiment(experiment)
        self.trainer.set_experiment(experiment)
        return experiment

    @Slot()
    def _on_open_layer(self) -> None:
        self.trainer.look_at(self._offer_layer)

    def _offer_layer(self, run: Run) -> None:
        layer = self.weights.layer
        aware = run.quantization_aware()
        weights = aware.weights[layer] if aware is not None else run.float_weights()[0][layer]
        kind = "qat" if aware is not None else "float"
        self.tensor_requested.emit(f"{run.experiment.data.kind}-{kind}-layer{layer + 1}", weights)

    # -- what the window asks

    @property
    def step_name(self) -> str:
        return self.tr("change of settings")

    @property
    def ready(self) -> bool:
        return self.trainer.snapshot is not None

    def subject(self, chart: Chart) -> Subject:
        """The data and the network, and how it is quantized."""
        shown = self.trainer.snapshot
        experiment = self.trainer.experiment if shown is None or chart is self.sweep else shown.experiment
        quantization = experiment.quantization
        hidden = "-".join(str(width) for width in experiment.hidden)
        under = self.tr("weights {weights} bits · activations {activations} bits").format(
            weights=quantization.weight_bits, activations=quantization.activation_bits
        )
        return Subject(f"{experiment.data.kind} {hidden}", under)

    @Slot()
    def copy_figures(self) -> None:
        """The accuracies, step by step."""
        columns = self.accuracy.tables()[""].columns
        lines = [list(columns), *zip(*(column.tolist() for column in columns.values()), strict=True)]
        copy_lines(lines, lines)

    def remember(self, settings: Settings) -> None:
        """Nothing yet."""

    def recall(self, settings: Settings) -> None:
        """It opens on the first experiment."""

    # -- away

    def save_menu(self) -> QMenu:
        """What can be taken along; made when it is asked for."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for saved, label in (
            ("qat", self.tr("QAT network: weights…")),
            ("ptq", self.tr("PTQ network: weights…")),
            ("float", self.tr("Float network: weights…")),
            ("qat_onnx", self.tr("QAT network as ONNX…")),
            ("ptq_onnx", self.tr("PTQ network as ONNX…")),
            ("experiment", self.tr("Experiment as JSON…")),
        ):
            menu.addAction(label).triggered.connect(partial(self._ask_and_save, saved))
        menu.addSeparator()
        menu.addAction(self.tr("Open an experiment…")).triggered.connect(self.open_experiment)
        return menu

    @Slot()
    def _on_save(self) -> None:
        self.save_menu().popup(self.save_button.mapToGlobal(QPoint(0, self.save_button.height())))

    def _ask_and_save(self, key: str, *_rest: object) -> None:
        kind = self.trainer.experiment.data.kind
        endings = {"experiment": "*.json", "qat_onnx": "*.onnx", "ptq_onnx": "*.onnx"}.get(key, "*.npz *.safetensors")
        first = endings.split()[0].removeprefix("*")
        name = str(Path(self.folder) / f"{kind}-{key.removesuffix('_onnx')}{first}")
        text, _ = QFileDialog.getSaveFileName(self, self.tr("Save"), name, f"({endings})")
        if text:
            path = agreed = Path(text)
            self.folder = str(path.parent)
            if not path.suffix:
                path = path.with_suffix(first)
            self.in_the_way.write(
                [] if path == agreed else [path], lambda number: self.save(key, numbered(path, number))
            )

    def save(self, key: str, path: Path) -> None:
        """Write what ``key`` names: ``"qat"``, ``"ptq"`` or ``"float"`` weights, ``"qat_onnx"``, ``"experiment"``."""
        self.trainer.save(path, partial(_write, key))


def _write(key: str, path: Path, run: Run) -> None:
    """Write one thing of a run.

    Raises
    ------
    Problem
        When there is no such network yet, or the file cannot be written.
    """
    if key == "experiment":
        save_experiment(path, run.experiment)
    elif key == "float":
        save_arrays(path, float_arrays(*run.float_weights()))
    elif key.endswith("_onnx"):
        save_onnx(path, _network(key.removesuffix("_onnx"), run))
    else:
        save_arrays(path, network_arrays(_network(key, run)))


def _network(kind: str, run: Run) -> QuantizedNetwork:
    network = run.quantization_aware() if kind == "qat" else run.post_training()
    if network is None:
        raise Problem("There is no such network yet: train on, then save it.")
    return network
