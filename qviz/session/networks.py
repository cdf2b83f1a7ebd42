"""Which network is looked at, on which data, under which schemes; and what has been found out about it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.problems import Problem
from qviz.core.schemes.scheme import Scheme
from qviz.models.data import FileSamples
from qviz.models.data_settings import DataSettings
from qviz.models.preparation import Prepared
from qviz.models.preparation_steps import NO_CHOICES, Choices
from qviz.models.recipes import Recipe
from qviz.models.sensitivity import ALONE, UnitLoss
from qviz.session.capturer import Capturer
from qviz.session.network_files import ChoiceWriter, NodeTracer, ReportWriter
from qviz.session.network_frontier import FrontierFinder
from qviz.session.network_state import DeployedRun, NetworkState, is_as_before, name_of
from qviz.session.network_workers import DataReader, Deployer, LayerSweeper, NetworkAnalyst, NetworkOpener
from qviz.session.weight_audit import WeightAudit
from qviz.session.worker import Worker


class Networks(QObject):
    """The truth of the Model page: every change is asked for here, told once, and answered by the workers.

    Signals
    -------
    changed(old, new)
        Two `NetworkState` values that differ.
    whole_found(Whole)
    data_looked(dict of str to Span, tuple of Phrase)
    run_kept(DeployedRun)
    runs_found()
        Of earlier windows.
    run_removed(DeployedRun)
    """

    changed = Signal(object, object)
    whole_found = Signal(object)
    data_looked = Signal(object, object)
    run_kept = Signal(object)
    runs_found = Signal()
    run_removed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.state = NetworkState()
        self.opener, self.reader = NetworkOpener(self), DataReader(self)
        self.analyst, self.sweeper, self.deployer = NetworkAnalyst(self), LayerSweeper(self), Deployer(self)
        self.frontier, self.audit, self.capturer = FrontierFinder(self), WeightAudit(self), Capturer(self)
        self.choice_writer, self.tracer = ChoiceWriter(self), NodeTracer(self)
        self.report_writer = ReportWriter(self)
        self.all_runs: list[DeployedRun] = []
        self.losses: dict[tuple[str, str], UnitLoss] = {}
        self._good: NetworkState | None = None
        self.opener.opened.connect(self._on_opened)
        self.opener.ended.connect(self._on_not_opened)
        self.reader.listed.connect(self._on_listed)
        self.reader.looked.connect(self.data_looked)
        self.analyst.answered.connect(self.whole_found)
        self.sweeper.found.connect(self._on_loss)
        self.deployer.deployed.connect(self._on_deployed)

    @property
    def runs(self) -> list[DeployedRun]:
        """Those of the present network, the oldest first; where it came of a run itself, those of its float one."""
        mine = name_of(self.state.path)
        origins = {run.network for run in self.all_runs if name_of(run.outcome.path) == mine}
        return [run for run in self.all_runs if run.network == mine or run.network in origins]

    @Slot(object)
    def take_back(self, runs: list[DeployedRun]) -> None:
        """Runs of earlier windows."""
        self.all_runs[:0] = runs
        self.runs_found.emit()

    def remove_run(self, run: DeployedRun) -> None:
        """Its figures are forgotten; the network that it wrote stays."""
        self.all_runs = [each for each in self.all_runs if each is not run]
        self.run_removed.emit(run)

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Who has to be closed with the window."""
        return (
            self.opener,
            self.reader,
            self.analyst,
            self.sweeper,
            self.deployer,
            self.frontier,
            self.audit,
            self.capturer,
            self.choice_writer,
            self.report_writer,
            self.tracer,
        )

    def open(self, path: Path) -> None:
        """Another network."""
        self._set(replace(NetworkState(scheme=self.state.scheme, activations=self.state.activations), path=path))
        self.opener.open(path, NO_CHOICES)

    @Slot()
    def close_network(self) -> None:
        """No network any more; what it took of the memory is free."""
        self._good = None
        for worker in (self.opener, self.reader):
            worker.cancel()
        self._set(NetworkState(scheme=self.state.scheme, activations=self.state.activations))

    def choose(self, choices: Choices) -> None:
        """Other dimensions, inputs or steps for the same network."""
        if self.state.path is not None:
            if self.state.prepared is not None:
                self._good = self.state
            self._set(replace(self.state, choices=choices, prepared=None, samples=None))
            self.opener.open(self.state.path, choices)

    def read(self, paths: tuple[Path, ...], settings: DataSettings | None = None) -> None:
        """Other data; noise where there are no paths, which every figure then says."""
        settings = settings or self.state.settings
        self._set(replace(self.state, paths=paths, settings=settings, samples=None))
        if self.state.prepared is not None:
            self.reader.read(self.state.prepared, paths, settings)

    def update(self, **changes: Any) -> None:
        """Change ``scheme``, ``own``, ``activations``, ``by_group`` or ``calibration_share``."""
        self._set(replace(self.state, **changes))

    def set_own(self, names: tuple[str, ...], scheme: Scheme | None) -> None:
        """A scheme of their own for some weights; None leaves them in float."""
        self.update(own={**self.state.own, **dict.fromkeys(names, scheme)})

    def sweep(self) -> None:
        """Ask about every layer; what was found and still holds is kept."""
        if not self.state.ready:
            raise Problem("Open a network and give it data first: a sweep runs it.")
        self.sweeper.sweep(self.state, self.losses)

    def find_frontier(self, formats: Mapping[str, Scheme]) -> None:
        """Ask where bits are best spent, among these formats by their labels."""
        if not self.state.ready:
            raise Problem("Open a network and give it data first: a sweep runs it.")
        if not formats:
            raise Problem("Tick at least one format.")
        self.frontier.find(self.state, formats)

    def deploy(self, recipe: Recipe, output: Path, *, seconds: float = 2.0, threads: int = 1) -> None:
        """Quantize for the runtime, and measure the time of both networks for about so many seconds."""
        if self.state.prepared is None:
            raise Problem("Open a network first.")
        self.deployer.deploy(self.state, recipe, output, seconds=seconds, threads=threads)

    def compare(self, path: Path, *, seconds: float = 2.0, threads: int = 1) -> None:
        """Hold a network that was quantized elsewhere against this one; it is kept as a run."""
        if self.state.prepared is None:
            raise Problem("Open the float network first: the other one is held against it.")
        self.deployer.compare(self.state, path, seconds=seconds, threads=threads)

    def save_choices(self, path: Path) -> None:
        """Write what ONNX Runtime's own tools can be told of the schemes chosen here."""
        if self.state.prepared is None:
            raise Problem("Open a network first.")
        self.choice_writer.write(self.state, path)

    def close(self) -> None:
        """Stop all workers."""
        for worker in self.workers:
            worker.close()

    def _set(self, new: NetworkState) -> None:
        old, self.state = self.state, new
        given = ("prepared", "samples", "activations", "calibration_share")
        if any(getattr(old, name) is not getattr(new, name) for name in given):
            self.frontier.forget()
            self.sweeper.forget()
        measured = (*given, "scheme", "own", "by_group")
        if any(getattr(old, name) is not getattr(new, name) for name in measured):
            self.losses = {
                (mode, name): loss
                for (mode, name), loss in self.losses.items()
                if mode == ALONE and is_as_before(loss.unit, old, new)
            }
            self.sweeper.outdate()
        self.changed.emit(old, new)
        if new.ready:
            self.analyst.ask(new)
        else:
            self.analyst.forget()

    @Slot(object)
    def _on_opened(self, prepared: Prepared) -> None:
        self._set(replace(self.state, prepared=prepared))
        if self.state.paths:
            self.reader.read(prepared, self.state.paths, self.state.settings)

    @Slot()
    def _on_not_opened(self) -> None:
        """What cannot be prepared as was chosen stays as it was before, so that something else can be chosen."""
        good, self._good = self._good, None
        if self.state.prepared is None and good is not None and good.path == self.state.path:
            self._set(good)

    @Slot(object)
    def _on_listed(self, samples: FileSamples) -> None:
        self._set(replace(self.state, samples=samples))

    @Slot(object)
    def _on_loss(self, loss: UnitLoss) -> None:
        self.losses[loss.mode, loss.unit.name] = loss

    @Slot(object)
    def _on_deployed(self, found: DeployedRun) -> None:
        self.all_runs.append(found)
        self.run_kept.emit(found)
