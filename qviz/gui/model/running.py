"""How are the runs of a network shown side by side: in their table, on their chart, by their nodes?"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QFileDialog

from qviz.gui.model.parts import ModelParts
from qviz.gui.model.runs_report import report_of
from qviz.session.language import told
from qviz.session.network_state import DeployedRun, NetworkState
from qviz.session.networks import Networks


class Running(QObject):
    """Shows what was deployed wherever a run is looked at.

    Signals
    -------
    opened(Path)
        The network of a run shall be opened.
    notice(str)
    """

    opened = Signal(object)
    notice = Signal(str)

    def __init__(self, networks: Networks, parts: ModelParts) -> None:
        super().__init__(parts)
        self.networks, self._parts = networks, parts
        parts.runs.opened.connect(self._on_run_opened)
        parts.runs.pointed.connect(self._look_at)
        parts.runs.removed.connect(networks.remove_run)
        parts.cost.chosen.connect(self._on_run_chosen)
        networks.run_kept.connect(self._on_run)
        networks.runs_found.connect(self.show)
        networks.run_removed.connect(self.show)
        networks.changed.connect(self._on_changed)
        networks.deployer.began.connect(self._on_deploying)
        networks.deployer.ended.connect(self._on_deployed)
        networks.tracer.traced.connect(parts.traces.add)
        networks.tracer.completed.connect(parts.traces.complete)
        networks.tracer.saved.connect(self._on_saved)
        networks.choice_writer.written.connect(self._on_saved)
        networks.report_writer.written.connect(self._on_saved)
        parts.report_button.clicked.connect(self._on_report)
        parts.across.chosen.connect(self._say_on_chart)

    @Slot(object)
    def _look_at(self, run: DeployedRun | None) -> None:
        self._parts.cost.mark(run)
        self._parts.times.show_run(run)
        self._parts.traces.look_at(run)

    @Slot()
    def show(self, *_: object) -> None:
        """All runs of the present network; the newest is looked at."""
        parts, runs = self._parts, self.networks.runs
        parts.runs.show_runs(runs)
        parts.cost.show_runs(runs)
        parts.report_button.setEnabled(bool(runs))
        self._look_at(runs[-1] if runs else None)
        self._say_on_chart()

    @Slot()
    def _say_on_chart(self, *_: object) -> None:
        parts, runs = self._parts, self.networks.runs
        if parts.cost.runs:
            parts.cost_place.say("")
        elif runs:
            parts.cost_place.say(self.tr("Without data neither the output nor the time of a run is measured."))
        else:
            parts.cost_place.say(self.tr("Each network that you quantize under Deploy becomes a mark here."))

    @Slot(object, object)
    def _on_changed(self, old: NetworkState, new: NetworkState) -> None:
        if new.path != old.path:
            self.show()

    @Slot(object)
    def _on_run(self, run: DeployedRun) -> None:
        parts = self._parts
        if run in self.networks.runs:
            self.show()
            parts.docks["cost"].raise_()
        if not parts.isVisible():  # on the page itself, the runs say more
            self.notice.emit(told(run.outcome.summary))

    @Slot(object)
    def _on_run_chosen(self, run: DeployedRun) -> None:
        self._parts.docks["runs_table"].raise_()
        self._parts.runs.point_to(run)
        self._look_at(run)

    @Slot(object)
    def _on_run_opened(self, run: DeployedRun) -> None:
        self.opened.emit(run.outcome.path)

    @Slot()
    def _on_deploying(self) -> None:
        self._parts.deploy.show_deploying(True)

    @Slot()
    def _on_deployed(self) -> None:
        self._parts.deploy.show_deploying(False)

    @Slot()
    def _on_report(self) -> None:
        path = self.networks.state.path
        name = path.name if path is not None else ""
        proposed = f"{path.with_suffix('')}-runs.html" if path is not None else "runs.html"
        text, _ = QFileDialog.getSaveFileName(self._parts, self.tr("Save the report"), proposed, "*.html")
        if text:
            chosen = Path(text) if Path(text).suffix else Path(text).with_suffix(".html")
            self.networks.report_writer.write(report_of(name, self.networks.runs, self._parts.cost), chosen)

    @Slot(object)
    def _on_saved(self, path: Path) -> None:
        self.notice.emit(self.tr("{file} was written.").format(file=path.name))
