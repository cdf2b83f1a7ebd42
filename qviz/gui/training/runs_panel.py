"""What was trained so far, under which settings, and how good did it get?"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QWidget

from qviz.core.frozen import frozen
from qviz.gui.kit.copying import Copied
from qviz.gui.kit.figure_model import Column
from qviz.gui.kit.figure_table import FigureTable
from qviz.gui.kit.theme import Theme
from qviz.gui.kit.widgets import column, named_label
from qviz.gui.words.numbers import number, whole
from qviz.session.language import tr
from qviz.session.trainer import KeptRun
from qviz.training import Experiment

ALWAYS = ("weights", "activations")
"""Settings that have a column even where they are the same for all runs."""


@frozen(eq=False)
class RunRow:
    """A run, and whether it is the one that the page shows."""

    run: KeptRun
    shown: bool

    @property
    def name(self) -> str:
        return self.run.name or tr("Run {number}").format(number=self.run.number)


@frozen
class Setting:
    """One setting of a run: its heading, how it is read, and what is copied of it, where that is a number."""

    title: str
    word: str
    figure: float | None = None

    @property
    def copied(self) -> float | str:
        return self.word if self.figure is None else self.figure


def settings_of(experiment: Experiment) -> dict[str, Setting]:
    """Each setting, by a key."""
    data, quantization, training = experiment.data, experiment.quantization, experiment.training
    symmetric = {True: tr("symmetric"), False: tr("asymmetric")}
    planned = training.steps + training.fine_tuning_steps
    return {
        "data": Setting(tr("Data"), data.kind),
        "noise": Setting(tr("Noise"), tr("its own") if data.noise is None else number(data.noise), data.noise),
        "samples": Setting(tr("Samples"), whole(data.samples), data.samples),
        "hidden": Setting(tr("Hidden"), ", ".join(str(width) for width in experiment.hidden)),
        "activation": Setting(tr("Function"), experiment.activation),
        "weights": Setting(tr("W bits"), str(quantization.weight_bits), quantization.weight_bits),
        "activations": Setting(tr("A bits"), str(quantization.activation_bits), quantization.activation_bits),
        "per": Setting(tr("Per"), tr("axis") if quantization.per_axis else tr("tensor")),
        "ends": Setting(tr("Ends"), tr("8 bits") if quantization.spare_ends else tr("alike")),
        "weight_mode": Setting(tr("W mode"), symmetric[quantization.weight_symmetric]),
        "activation_mode": Setting(tr("A mode"), symmetric[quantization.activation_symmetric]),
        "ranges": Setting(tr("QAT ranges"), quantization.ranges),
        "post": Setting(tr("PTQ range"), quantization.post_training_range),
        "optimizer": Setting(tr("Optimizer"), training.optimizer),
        "rate": Setting(tr("Rate"), number(training.learning_rate), training.learning_rate),
        "fine_rate": Setting(tr("QAT rate"), number(training.fine_tuning_rate), training.fine_tuning_rate),
        "batch": Setting(tr("Batch"), whole(training.batch), training.batch),
        "planned": Setting(tr("Planned"), whole(planned), planned),
        "seed": Setting(tr("Seed"), str(experiment.seed), experiment.seed),
    }


class RunsTable(FigureTable):
    """The runs with their figures; what they all have in common has no column."""

    def __init__(self) -> None:
        super().__init__(_columns([]), tr("Training runs"))

    def show_runs(self, rows: list[RunRow]) -> None:
        current = self.current()
        self.set_rows(rows, _columns(rows))
        if current is not None:
            self.point_to(next((row for row in rows if row.run.slot is current.run.slot), None))


def _columns(rows: list[RunRow]) -> list[Column]:
    settings = [settings_of(row.run.experiment) for row in rows]
    differing = [key for key in settings[0] if len({each[key] for each in settings}) > 1] if settings else []
    keys = [key for key in settings_of(Experiment()) if key in ALWAYS or key in differing]

    def setting(key: str) -> Column:
        title = settings_of(Experiment())[key].title

        def of(row: RunRow) -> Setting:
            return settings_of(row.run.experiment)[key]

        copies = (Copied(title, lambda row: of(row).copied),)
        return Column(title, lambda row: of(row).word, lambda row: of(row).copied, left=True, copies=copies)

    def accuracy(name: str) -> Callable[[RunRow], float]:
        return lambda row: 100 * row.run.snapshot.last[f"{name}_accuracy"]

    def figure(title: str, name: str) -> Column:
        value = accuracy(name)
        tip = tr("Accuracy on the test data.")
        return Column(title, lambda row: number(value(row), 4, "%"), value, tip, better=1, unit="%")

    return [
        Column(
            tr("Run"),
            lambda row: row.name,
            lambda row: row.run.number,
            tr("F2 or a double click gives it another name."),
            left=True,
            editable=True,
            cell_tip=lambda row: "\n".join(f"{s.title}: {s.word}" for s in settings_of(row.run.experiment).values()),
        ),
        Column("", lambda row: "", tip=tr("Show this run again"), action=SHOW),
        Column("", lambda row: "", tip=tr("Forget this run (Delete)"), action=REMOVE),
        *(setting(key) for key in keys),
        Column(tr("Step"), lambda row: whole(row.run.snapshot.step), lambda row: row.run.snapshot.step),
        figure(tr("Float"), "float"),
        figure(tr("PTQ"), "ptq"),
        figure(tr("QAT"), "qat"),
    ]


SHOW, REMOVE = "↗", "✕"


class RunsPanel(QWidget):
    """Every run that was begun.

    Signals
    -------
    run_chosen(KeptRun), run_removed(KeptRun), run_named(KeptRun, str)
    """

    run_chosen = Signal(object)
    run_removed = Signal(object)
    run_named = Signal(object, str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.table = RunsTable()
        self.table.figures.mark = lambda row: "qat" if row.shown else None
        hint = tr("A run is listed from its first step on; other settings begin another one, and this one stays here.")
        self.hint = named_label(hint, "hint", wrap=True)
        layout = column(self, margin=2)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.hint)
        self.table.opened.connect(self._on_opened)
        self.table.acted.connect(self._on_acted)
        self.table.edited.connect(self._on_edited)
        self.table.removed.connect(self._on_removed)

    def show_runs(self, runs: tuple[KeptRun, ...], present: KeptRun | None) -> None:
        """All runs, and the one that the page shows marked."""
        self.table.show_runs([RunRow(run, run is present) for run in runs])
        self.hint.setVisible(len(runs) < 2)

    def apply_theme(self, theme: Theme) -> None:
        self.table.apply_theme(theme)

    @Slot(object)
    def _on_opened(self, row: RunRow) -> None:
        self.run_chosen.emit(row.run)

    @Slot(object, str)
    def _on_acted(self, row: RunRow, action: str) -> None:
        (self.run_chosen if action == SHOW else self.run_removed).emit(row.run)

    @Slot(object, str)
    def _on_edited(self, row: RunRow, name: str) -> None:
        self.run_named.emit(row.run, name)

    @Slot(object)
    def _on_removed(self, row: RunRow) -> None:
        self.run_removed.emit(row.run)
