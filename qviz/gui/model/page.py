"""Which layer of this network hurts, and what does quantizing it cost and gain here? The page of whole networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QTimer, Signal, Slot

from qviz.core.printable import printable
from qviz.core.problems import Problem
from qviz.core.schemes.scheme import Scheme
from qviz.gui.charts.base import Chart
from qviz.gui.charts.page import Closing, Job, Subject
from qviz.gui.model.asking import Asking
from qviz.gui.model.auditing import Auditing
from qviz.gui.model.choosing import Choosing
from qviz.gui.model.layers_panel import Layer, layers_of
from qviz.gui.model.looking import Looking
from qviz.gui.model.parts import NETWORK, WEIGHTS, ModelParts
from qviz.gui.model.running import Running
from qviz.gui.model.weighing import Weighing
from qviz.gui.words.schemes import line
from qviz.models.advice import advice
from qviz.models.checkpoint import holds_weights
from qviz.models.data_settings import DataSettings
from qviz.models.graph_layout import Box, boxes_of, lay_out
from qviz.models.node_errors import NodeError
from qviz.models.preparation_steps import Choices
from qviz.models.sensitivity import ALONE
from qviz.models.units import Unit
from qviz.session.checkpoints import Checkpoints
from qviz.session.guard import guarded
from qviz.session.language import told
from qviz.session.network_state import NetworkState, Whole, is_as_before, units_of
from qviz.session.networks import Networks
from qviz.session.settings import Settings
from qviz.session.state import State

REFRESH_MILLISECONDS = 80
"""Layers that come in quick succession are shown together."""

STALE_AFTER_MILLISECONDS = 200


@guarded
class ModelPage(ModelParts):
    """Composes the panels and charts of both parts; asks `Networks` for every change, and shows its answers.

    Signals
    -------
    export_requested(Chart, str), copy_requested(Chart), problem(str), notice(str)
        As of every page.
    tensor_requested(str, array)
        A weight, to be opened on the Tensor page.
    entry_requested(TensorEntry)
        A tensor of a checkpoint, to be opened on the Tensor page.
    opened(Path)
        A network that was opened, for the recent files.
    """

    export_requested = Signal(object, str)
    copy_requested = Signal(object)
    problem = Signal(str)
    notice = Signal(str)
    tensor_requested = Signal(str, object)
    entry_requested = Signal(object)
    opened = Signal(object)

    def __init__(self, networks: Networks, checkpoints: Checkpoints, scheme: Callable[[], Scheme]) -> None:
        super().__init__()
        self.networks = networks
        self.workers: tuple[Closing, ...] = ()
        self.jobs: tuple[Job, ...] = ()
        self.choosing, self.asking = Choosing(networks, self), Asking(networks, self)
        self.running = Running(networks, self)
        self.looking, self.auditing = Looking(networks, self), Auditing(networks, self)
        self.weighing = Weighing(checkpoints, scheme, self)
        self.history = self.choosing.history
        self._units: tuple[Unit, ...] = ()
        self._operators: dict[str, str] = {}
        self._errors: dict[str, NodeError] = {}
        self._refresh = QTimer(self)
        self._refresh.setSingleShot(True)
        self._refresh.setInterval(REFRESH_MILLISECONDS)
        self._refresh.timeout.connect(self._show_layers)
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(STALE_AFTER_MILLISECONDS)
        self._patience.timeout.connect(self._pale)
        self._connect()
        self._show_all()

    def _connect(self) -> None:
        networks = self.networks
        self.menus.export_requested.connect(self.export_requested)
        self.menus.copy_requested.connect(self.copy_requested)
        self.copy_button.clicked.connect(self.copy_figures)
        self.parts.chosen.connect(self.show_part)
        self.network.choices_changed.connect(self._on_choices)
        self.data.random_requested.connect(self._on_random)
        self.data.settings_changed.connect(self._on_data_settings)
        self.layers.sweep_requested.connect(self._on_sweep)
        self.layers.pointed.connect(self._on_layer_pointed)
        self.graph.chosen.connect(self._on_box)
        self.bits.find_requested.connect(self._on_find)
        self.bits.measure_requested.connect(networks.frontier.measure)
        self.bits.reach_requested.connect(networks.frontier.reach)
        self.running.opened.connect(self.open)
        self.running.notice.connect(self.notice)
        self.asking.problem.connect(self.problem)
        self.looking.problem.connect(self.problem)
        self.looking.tensor_requested.connect(self.tensor_requested)
        self.weighing.problem.connect(self.problem)
        self.weighing.notice.connect(self.notice)
        self.weighing.entry_requested.connect(self.entry_requested)
        self.weighing.shown.connect(self._on_checkpoint)
        self.open_checkpoint_button.clicked.connect(self.weighing.choose_file)
        for panel in (self.network, self.data, self.bits):
            panel.refused.connect(self.problem)
        networks.changed.connect(self._on_changed)
        networks.whole_found.connect(self._on_whole)
        networks.data_looked.connect(self.data.show_checks)
        networks.reader.pictured.connect(self.data.show_picture)
        networks.opener.began.connect(self._on_opening)
        networks.opener.ended.connect(self._on_opened)
        networks.opener.given_up.connect(self.network.show_unopened)
        networks.opener.problem.connect(self.network.show_problem)
        networks.reader.began.connect(self.data.show_reading)
        networks.reader.given_up.connect(self.data.show_unread)
        networks.reader.problem.connect(self.data.show_problem)
        networks.analyst.began.connect(self._patience.start)
        networks.analyst.ended.connect(self._on_analyzed)
        networks.analyst.given_up.connect(self._on_given_up)
        networks.analyst.problem.connect(self._on_not_analyzed)
        networks.sweeper.began.connect(self._on_sweeping)
        networks.sweeper.ended.connect(self._on_swept)
        networks.sweeper.errors_found.connect(self._on_errors)
        networks.sweeper.found.connect(self._on_loss)
        networks.frontier.predicted.connect(self.bits.present)
        networks.frontier.measured.connect(self.bits.add_measured)
        networks.frontier.reached.connect(self.bits.show_reached)
        networks.frontier.began.connect(self._on_finding)
        networks.frontier.ended.connect(self._on_found)
        for worker in networks.workers:
            worker.problem.connect(self.problem)

    # -- opening

    def open(self, path: Path) -> None:
        """Another network."""
        self.asking.open(path)

    def take_dropped(self, paths: Sequence[Path]) -> bool:
        """Files that were dropped while this page is in front; says if it took them.

        A checkpoint is listed under *Weights*, everything else are samples for the network.
        """
        if any(holds_weights(path) for path in paths) or self.stack.currentIndex() == 1:
            self.weighing.open(paths)
            return True
        if self.networks.state.prepared is None:
            return False
        self.docks["data"].raise_()
        self.networks.read(tuple(paths))
        return True

    @Slot(object)
    def _on_choices(self, choices: Choices) -> None:
        self.networks.choose(choices)

    @Slot()
    def _on_random(self) -> None:
        self.networks.read(())

    @Slot(object)
    def _on_data_settings(self, settings: DataSettings) -> None:
        self.networks.read(self.networks.state.paths, settings)

    # -- choosing

    # -- asking

    @Slot()
    def _on_sweep(self) -> None:
        if self.networks.sweeper.busy:
            self.networks.sweeper.cancel()
            return
        self._try(self.networks.sweep)

    @Slot(object)
    def _on_find(self, formats: dict[str, Scheme]) -> None:
        self._try(lambda: self.networks.find_frontier(formats))

    def _try(self, act: Any) -> None:
        try:
            act()
        except Problem as problem:
            self.problem.emit(told(problem))

    # -- what is shown

    @Slot(object, object)
    def _on_changed(self, old: NetworkState, new: NetworkState) -> None:
        if new.path is not old.path:
            self.choosing.begin_anew()
            self.weighing.checkpoints.close()
        self.network.refresh(new)
        self.data.refresh(new)
        self.scheme.refresh(new)
        self.deploy.refresh(new)
        if new.samples is not old.samples or new.prepared is not old.prepared:
            self.figures.present(None, self._why_no_figures(new))
        drawn = ("path", "prepared", "by_group", "activations")
        if any(getattr(old, name) is not getattr(new, name) for name in drawn):
            self._show_graph(new)
        given = ("prepared", "samples", "activations", "calibration_share")
        if any(getattr(old, name) is not getattr(new, name) for name in given):
            self.bits.present(None)
        if self._outdated(old, new):
            self._errors = self._still_true(old, new)
        if new.prepared is not old.prepared or new.samples is not old.samples:
            self._show_layers()  # at once: another network, or other samples
        else:
            self._refresh.start()
        self._show_about()
        self.auditing.refresh(self._units)

    def _outdated(self, old: NetworkState, new: NetworkState) -> bool:
        names = ("prepared", "samples", "activations", "by_group", "scheme", "own", "calibration_share")
        return any(getattr(old, name) is not getattr(new, name) for name in names)

    def _still_true(self, old: NetworkState, new: NetworkState) -> dict[str, NodeError]:
        """The layers' own errors, where their schemes have not changed; what comes together in them has."""
        same = {node for unit in self._units if is_as_before(unit, old, new) for node in unit.nodes}
        return {node: replace(error, accumulated_db=math.nan) for node, error in self._errors.items() if node in same}

    def _show_all(self) -> None:
        state = self.networks.state
        self.bits.present(None)
        self._show_graph(state)
        self._show_layers()
        self._show_about()
        self.running.show()

    def _show_graph(self, state: NetworkState) -> None:
        prepared = state.prepared
        if prepared is None:
            self._units, self._operators = (), {}
            self.graph.show_graph(None)
            self.graph_place.say(
                self.tr("Preparing the network…")
                if state.path is not None
                else self.tr(
                    "Drop an ONNX model anywhere on the window, or open one.\n\nThen give it some data: which of its "
                    "layers hurts, and what quantizing it costs and gains, is measured here."
                )
            )
            return
        self._units = units_of(state)
        self._operators = {node.name: node.op_type for node in prepared.network.model.graph.node}
        boxes, edges = boxes_of(prepared.network, self._units)
        self.graph_place.say("")
        self.graph.show_graph(lay_out(boxes, edges))

    @Slot()
    def _show_layers(self) -> None:
        networks, state = self.networks, self.networks.state
        rows = layers_of(self._units, self._operators, networks.losses, self._errors, state.own)
        self.layers.show_layers(rows)
        alone = {name: loss.sqnr_db for (mode, name), loss in networks.losses.items() if mode == ALONE}
        self.graph.show_figures(alone)
        given = None
        if state.prepared is not None and self.figures.whole is not None:
            given = advice(
                state.prepared.network,
                networks.losses,
                self._errors,
                state.scheme,
                state.own,
                self.figures.whole.sqnr_db,
            )
        self.layers.say(given, self._next_step(state))
        self.layers.sweep_button.setEnabled(state.ready)
        noise = state.samples is not None and state.samples.random
        note = self.tr("from random data") if noise and alone else ""
        self.graph.set_note(note)
        self.docks["layers"].title.set_note(note)

    def _next_step(self, state: NetworkState) -> str:
        """What to do, as long as there is no answer."""
        if state.prepared is None:
            if self.networks.opener.busy:
                return self.tr("The network is being prepared…")
            return self.tr("Open a network to see its layers.")
        if self._open_dimensions(state):
            return self.tr("Give every open dimension a number (Network): {names}.").format(
                names=", ".join(self._open_dimensions(state))
            )
        if state.samples is None:
            return self.tr("Give the network samples (Data): which layer hurts depends on them.")
        if self.networks.sweeper.busy:
            return self.tr("Asking layer by layer, the most suspicious first…")
        return self.tr("Which layer hurts? Ask: the network is run with each of them quantized alone.")

    def _open_dimensions(self, state: NetworkState) -> tuple[str, ...]:
        inputs = state.prepared.network.inputs if state.prepared is not None else ()
        return tuple(dict.fromkeys(printable(name) for port in inputs for name in port.open_dimensions))

    def _why_no_figures(self, state: NetworkState) -> str:
        if state.prepared is None and not self.networks.opener.busy:
            return self.tr("Open a network and give it data: what its output loses stands here.")
        if state.samples is None:
            return self._next_step(state)
        return self.tr("Running the network…") if state.ready else self._next_step(state)

    def _show_about(self) -> None:
        state = self.networks.state
        if state.path is None:
            self.about.setText("")
            return
        scheme = line(state.scheme)
        self.about.setText(
            self.tr("{name}  ·  weights: {scheme}").format(name=state.path.name, scheme=scheme)
            + (self.tr("  ·  activations: uint8") if state.activations else "")
        )

    @Slot(object)
    def _on_whole(self, whole: Whole) -> None:
        self.figures.set_stale(False)
        self.figures.present(whole)
        if not self._refresh.isActive():
            self._refresh.start()

    @Slot(str)
    def _on_not_analyzed(self, text: str) -> None:
        self.figures.present(None, text)

    @Slot()
    def _pale(self) -> None:
        self.figures.set_stale(True)

    @Slot()
    def _on_analyzed(self) -> None:
        self._patience.stop()
        self.figures.set_stale(False)

    @Slot()
    def _on_given_up(self) -> None:
        ready = self.networks.state.ready
        self.figures.set_stale(ready)
        if ready and self.figures.whole is None:
            self.figures.present(None, self.tr("Not measured: change the scheme or the data to ask again."))

    @Slot()
    def _on_opening(self) -> None:
        self.network.set_busy(True)
        self._say_what_is_missing()

    @Slot()
    def _on_opened(self) -> None:
        self.network.set_busy(False)
        state = self.networks.state
        if state.prepared is not None:
            self.opened.emit(state.path)
            if state.samples is None and not state.paths:
                open_ones = self._open_dimensions(state)
                self.docks["network_panel" if open_ones else "data"].raise_()
        elif state.path is not None:
            self.graph_place.say(self.tr("This file was not opened; open it again, or drop another one."))
        self._say_what_is_missing()

    def _say_what_is_missing(self) -> None:
        """Where there is no network, since it is being prepared or could not be."""
        state = self.networks.state
        if state.prepared is None:
            self.figures.present(None, self._why_no_figures(state))
            self._show_layers()

    @Slot()
    def _on_sweeping(self) -> None:
        self.layers.show_sweeping(True)
        self._show_layers()

    @Slot()
    def _on_swept(self) -> None:
        self.layers.show_sweeping(False)
        self._show_layers()
        self.layers.table.fit()

    @Slot(object)
    def _on_errors(self, errors: Sequence[NodeError]) -> None:
        self._errors = {error.node: error for error in errors}
        self._refresh.start()

    @Slot(object)
    def _on_loss(self, *_: object) -> None:
        if not self._refresh.isActive():
            self._refresh.start()

    @Slot()
    def _on_finding(self) -> None:
        self.bits.show_finding(True)

    @Slot()
    def _on_found(self) -> None:
        self.bits.show_finding(False)

    # -- the pointer

    @Slot(object)
    def _on_layer_pointed(self, row: Layer) -> None:
        self.graph.mark(row.unit.name)

    @Slot(object)
    def _on_box(self, box: Box) -> None:
        if box.units:
            self.docks["layers"].raise_()
            figures = self.graph.figures
            worst = min(box.units, key=lambda unit: figures.get(unit.name, math.inf))
            self.layers.point_to(worst.name)

    # -- weights

    @Slot(object)
    def show_part(self, part: str) -> None:
        """Bring a part to the front; nothing happens for one that there is not."""
        if part in (NETWORK, WEIGHTS):
            self.parts.choose(part)
            self.stack.setCurrentIndex(0 if part == NETWORK else 1)
            self.auditing.refresh(self._units)

    @Slot()
    def _on_checkpoint(self) -> None:
        self.show_part(WEIGHTS)

    @Slot(object, object)
    def show_current(self, old: State, new: State) -> None:
        """What the Tensor page shows is marked in the table."""
        if new.current is not old.current:
            self.weighing.show_item(new.current)

    # -- what the window asks

    @property
    def step_name(self) -> str:
        return self.tr("change of schemes")

    @property
    def ready(self) -> bool:
        has_network = self.figures.whole is not None or self.networks.state.prepared is not None
        return has_network or self.weighing.checkpoints.open_one is not None

    def subject(self, chart: Chart) -> Subject:
        """The network, and how its weights are quantized."""
        open_one = self.weighing.checkpoints.open_one
        if chart is self.weight_map and open_one is not None:
            return Subject(open_one.name, "" if self.weight_map.figure == "bytes" else line(self.weighing.scheme))
        state = self.networks.state
        under = line(state.scheme) if chart is self.graph else ""
        if state.samples is not None and state.samples.random:
            noise = self.tr("random data")
            under = f"{under} · {noise}" if under else noise
        return Subject(state.path.stem if state.path is not None else "", under)

    @Slot()
    def copy_figures(self) -> None:
        """The output's figures, or the weights, whatever is in sight."""
        if self.stack.currentIndex() == 0:
            self.figures.copy()
        elif self.weights_stack.currentIndex() == 1:
            self.checkpoint.copy()
        else:
            self.weights.table.copy()

    def remember(self, settings: Settings) -> None:
        """Nothing yet."""

    def recall(self, settings: Settings) -> None:
        """Dialogs begin in the folder that was used last."""
        self.asking.folder = self.asking.folder or settings.get("last_folder")
