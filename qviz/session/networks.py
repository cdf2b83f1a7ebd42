"""Which network is looked at, on which data, under which schemes; and what has been found out about it?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.formats.integers import IntFormat
from qviz.core.problems import Phrase, Problem
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerAxis
from qviz.core.work import IsCancelled, Progress, check
from qviz.models.activations import Span, ranges, spans
from qviz.models.data import DataSettings, FileSamples, checks, open_samples, random_samples
from qviz.models.latency import Latency, OperatorTime, measure_latency, profile, reasons
from qviz.models.network import open_network
from qviz.models.node_errors import NodeError, node_errors
from qviz.models.opening import open_prepared
from qviz.models.output_figures import Answers, OutputFigures
from qviz.models.preparation import NO_CHOICES, Choices, Prepared
from qviz.models.ptq import Outcome, Recipe, quantize_network
from qviz.models.sensitivity import (
    ALONE,
    RESTORED,
    Sensitivity,
    Unit,
    UnitLoss,
    activation_parameters,
    units_by_group,
    units_by_node,
)
from qviz.models.sessions import open_session, run
from qviz.models.weights import Weight
from qviz.session.worker import Worker

FIRST_SCHEME = Scheme(IntFormat(8), granularity=PerAxis(0))
RANDOM_SAMPLES = 4
CODES = IntFormat(8, signed=False)
"""Of activations, where they are quantized."""


@dataclass(frozen=True, eq=False)
class NetworkState:
    """One frozen moment of the Model page.

    Attributes
    ----------
    path : Path or None
        The file that was chosen.
    choices : Choices
    prepared : Prepared or None
    paths : tuple of Path
        Where samples are read from.
    settings : DataSettings
    samples : FileSamples or None
        All of them; the figures come from those that are held out.
    scheme : Scheme
        Of all weights that have none of their own.
    own : mapping of str to (Scheme or None)
        Of single weights, by name; None for float.
    activations : bool
        Whether what enters Conv, MatMul and Gemm is quantized too.
    by_group : bool
        Whether layers are taken together by the modules that they are in.
    """

    path: Path | None = None
    choices: Choices = NO_CHOICES
    prepared: Prepared | None = None
    paths: tuple[Path, ...] = ()
    settings: DataSettings = field(default_factory=DataSettings)
    samples: FileSamples | None = None
    scheme: Scheme = FIRST_SCHEME
    own: Mapping[str, Scheme | None] = field(default_factory=dict)
    activations: bool = False
    by_group: bool = False

    @property
    def ready(self) -> bool:
        """Whether there is a network without open dimensions, and something to feed it."""
        network = self.prepared.network if self.prepared is not None else None
        return network is not None and self.samples is not None and not any(p.open_dimensions for p in network.inputs)


@dataclass(frozen=True, eq=False)
class Whole:
    """What is left of the output with everything quantized as chosen.

    Attributes
    ----------
    sqnr_db : float
        Of all outputs, in dB; higher is better.
    outputs : tuple of OutputFigures
    quantized_bytes, float_bytes : float
        Of the weights.
    samples : int
        Held-out ones.
    random : bool
        Whether these are noise.
    """

    sqnr_db: float
    outputs: tuple[OutputFigures, ...]
    quantized_bytes: float
    float_bytes: float
    samples: int
    random: bool


@dataclass(frozen=True, eq=False)
class DeployedRun:
    """A network that was quantized for the runtime, and what that cost and gained.

    Attributes
    ----------
    outcome : Outcome
    sqnr_db : float or None
        Of the deployed output on held-out samples; None without samples.
    outputs : tuple of OutputFigures
    latency : Latency or None
    float_profile, profile : tuples of OperatorTime
    reasons : tuple of Phrase
        Why it is not faster, where it is not.
    random : bool
    """

    outcome: Outcome
    sqnr_db: float | None
    outputs: tuple[OutputFigures, ...]
    latency: Latency | None
    float_profile: tuple[OperatorTime, ...]
    profile: tuple[OperatorTime, ...]
    reasons: tuple[Phrase, ...]
    random: bool


class NetworkOpener(Worker):
    """Opens and prepares a network in another process.

    Signals
    -------
    opened(Prepared)
    """

    opened = Signal(object)

    def open(self, path: Path, choices: Choices) -> None:
        """Forget what was being opened, and open this."""
        self._submit(path, lambda p, c: open_prepared(path, choices, progress=p, cancelled=c), urgent=True)

    def _purpose(self, key: Any) -> Phrase:
        return Phrase("this network")

    def _answer(self, key: Any, found: Any) -> None:
        self.opened.emit(found)


class DataReader(Worker):
    """Lists samples and looks at what they make of the network.

    Signals
    -------
    listed(FileSamples)
    looked(dict of str to Span, tuple of Phrase)
    """

    listed = Signal(object)
    looked = Signal(object, object)

    _found = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._found.connect(self.listed)

    def read(self, prepared: Prepared, paths: tuple[Path, ...], settings: DataSettings) -> None:
        """Samples of files and folders; noise where there are none."""
        tell = self._found.emit

        def work(progress: Progress, cancelled: IsCancelled) -> tuple[dict[str, Span], tuple[Phrase, ...]]:
            network = prepared.network
            samples = open_samples(network, paths, settings) if paths else random_samples(network, RANDOM_SAMPLES)
            samples[0]  # one that cannot be read is said before anything is computed
            tell(samples)
            found = spans(network, samples, progress=progress, cancelled=cancelled)
            return found, checks(samples, found, network)

        self._submit(paths, work, urgent=True)

    def _purpose(self, key: Any) -> Phrase:
        return Phrase("these samples")

    def _answer(self, key: Any, found: Any) -> None:
        self.looked.emit(*found)


class _Asked:
    """The present `Sensitivity`, kept as long as the network, the data and the units stay; used by one thread."""

    def __init__(self) -> None:
        self._key: object = None
        self._asked: Sensitivity | None = None
        self._schemes: dict[str, Scheme | None] = {}

    def of(self, state: NetworkState, progress: Progress, cancelled: IsCancelled) -> Sensitivity:
        assert state.prepared is not None and state.samples is not None
        key = (state.prepared, state.samples, state.activations, state.by_group)
        network = state.prepared.network
        wanted: dict[str, Scheme | None] = {w.name: state.own.get(w.name, state.scheme) for w in _weights(state)}
        if key != self._key or self._asked is None:
            calibration, held_out = state.samples.split()
            units = _units(state)
            parameters = {}
            if state.activations:
                points = [point for unit in units for point in unit.points]
                names = sorted({point.value for point in points})
                scheme = Scheme(CODES, symmetric=False)
                known = ranges(network, calibration, scheme, names, progress=progress, cancelled=cancelled)
                parameters = {p: activation_parameters(*known[p.value], CODES) for p in points}
            schemes = {name: each for name, each in wanted.items() if each is not None}
            self._asked = Sensitivity(network, held_out, schemes, activations=parameters, units=units)
            self._key, self._schemes = key, dict(wanted)
            return self._asked
        for name, chosen in wanted.items():
            if chosen != self._schemes.get(name):
                check(cancelled)
                self._asked.change(name, chosen)
                self._schemes[name] = chosen
        return self._asked


class NetworkAnalyst(Worker):
    """Measures the output under the present schemes, as often as one of them moves.

    Signals
    -------
    answered(Whole)
    """

    answered = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._asked = _Asked()

    def ask(self, state: NetworkState) -> None:
        """What is left of the output now?"""
        asked = self._asked

        def work(progress: Progress, cancelled: IsCancelled) -> Whole:
            assert state.samples is not None
            sensitivity = asked.of(state, progress, cancelled)
            sums = sensitivity.everything(cancelled=cancelled)
            float_bytes = float(sum(unit.bytes for unit in sensitivity.units))
            return Whole(
                sums.sqnr_db,
                sums.figures(),
                sensitivity.quantized_bytes(),
                float_bytes,
                len(sensitivity.samples),
                state.samples.random,
            )

        self._submit(state, work)

    def _purpose(self, key: Any) -> Phrase:
        return Phrase("this network's activations")

    def _answer(self, key: Any, found: Any) -> None:
        self.answered.emit(found)


class LayerSweeper(Worker):
    """Asks what each layer does to the output, one after the other, the most suspicious first.

    Signals
    -------
    planned(tuple of Unit)
        What is asked about from now on.
    errors_found(tuple of NodeError)
    found(UnitLoss)
    completed()
    """

    planned = Signal(object)
    errors_found = Signal(object)
    found = Signal(object)
    completed = Signal()

    _came = Signal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._asked = _Asked()
        self._plan: object = None
        self._came.connect(self._on_came)

    def sweep(self, state: NetworkState, known: Mapping[tuple[str, str], UnitLoss]) -> None:
        """Ask about every layer that is not among the ``known`` answers, by mode and name."""
        asked, tell = self._asked, self._came.emit
        plan = self._plan = object()

        def work(progress: Progress, cancelled: IsCancelled) -> None:
            sensitivity = asked.of(state, progress, cancelled)
            tell(plan, sensitivity.units)
            errors = {
                e.node: e for e in node_errors(sensitivity, progress=_part(progress, 0, 0.1), cancelled=cancelled)
            }
            tell(plan, tuple(errors.values()))
            suspicion = [
                min((errors[n].isolated_db for n in unit.nodes if n in errors), default=float("inf"))
                for unit in sensitivity.units
            ]
            order = sorted(range(len(suspicion)), key=suspicion.__getitem__)
            for number, mode in enumerate((ALONE, RESTORED)):
                rest = [i for i in order if (mode, sensitivity.units[i].name) not in known]
                told = _part(progress, 0.1 + 0.45 * number, 0.45)
                for loss in sensitivity.sweep(mode, rest, progress=told, cancelled=cancelled):
                    tell(plan, loss)

        self._submit(state, work, urgent=True)

    def _purpose(self, key: Any) -> Phrase:
        return Phrase("this network's activations")

    def _answer(self, key: Any, found: Any) -> None:
        self.completed.emit()

    @Slot(object, object)
    def _on_came(self, plan: object, item: object) -> None:
        if plan is not self._plan:
            return
        if isinstance(item, UnitLoss):
            self.found.emit(item)
        elif isinstance(item, tuple) and item and isinstance(item[0], Unit):
            self.planned.emit(item)
        elif isinstance(item, tuple) and all(isinstance(each, NodeError) for each in item):
            self.errors_found.emit(item)


class Deployer(Worker):
    """Quantizes the network for the runtime into a file, and measures what that cost and gained.

    Signals
    -------
    deployed(DeployedRun)
    """

    deployed = Signal(object)

    def deploy(self, state: NetworkState, recipe: Recipe, output: Path, *, seconds: float = 2.0) -> None:
        """Quantize into ``output``."""
        self._submit(recipe, partial(_deploy, state, recipe, output, seconds), urgent=True)

    def _purpose(self, key: Any) -> Phrase:
        return Phrase("quantizing this network")

    def _answer(self, key: Any, found: Any) -> None:
        self.deployed.emit(found)


class Networks(QObject):
    """The truth of the Model page: every change is asked for here, told once, and answered by the workers.

    Signals
    -------
    changed(old, new)
        Two `NetworkState` values that differ.
    """

    changed = Signal(object, object)
    whole_found = Signal(object)
    data_looked = Signal(object, object)
    run_kept = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.state = NetworkState()
        self.opener, self.reader = NetworkOpener(self), DataReader(self)
        self.analyst, self.sweeper, self.deployer = NetworkAnalyst(self), LayerSweeper(self), Deployer(self)
        self.runs: list[DeployedRun] = []
        self.losses: dict[tuple[str, str], UnitLoss] = {}
        self.opener.opened.connect(self._on_opened)
        self.reader.listed.connect(self._on_listed)
        self.reader.looked.connect(self.data_looked)
        self.analyst.answered.connect(self.whole_found)
        self.sweeper.found.connect(self._on_loss)
        self.deployer.deployed.connect(self._on_deployed)

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Who has to be closed with the window."""
        return self.opener, self.reader, self.analyst, self.sweeper, self.deployer

    def open(self, path: Path) -> None:
        """Another network."""
        self._set(replace(NetworkState(scheme=self.state.scheme, activations=self.state.activations), path=path))
        self.opener.open(path, NO_CHOICES)

    def choose(self, choices: Choices) -> None:
        """Other dimensions, inputs or steps for the same network."""
        if self.state.path is not None:
            self._set(replace(self.state, choices=choices, prepared=None, samples=None))
            self.opener.open(self.state.path, choices)

    def read(self, paths: tuple[Path, ...], settings: DataSettings | None = None) -> None:
        """Other data; noise where there are no paths, which every figure then says."""
        settings = settings or self.state.settings
        self._set(replace(self.state, paths=paths, settings=settings, samples=None))
        if self.state.prepared is not None:
            self.reader.read(self.state.prepared, paths, settings)

    def update(self, **changes: Any) -> None:
        """Change ``scheme``, ``own``, ``activations`` or ``by_group``."""
        self._set(replace(self.state, **changes))

    def set_own(self, names: tuple[str, ...], scheme: Scheme | None) -> None:
        """A scheme of their own for some weights; None leaves them in float."""
        self.update(own={**self.state.own, **dict.fromkeys(names, scheme)})

    def sweep(self) -> None:
        """Ask about every layer; what was found and still holds is kept."""
        if not self.state.ready:
            raise Problem("Open a network and give it data first: a sweep runs it.")
        self.sweeper.sweep(self.state, self.losses)

    def deploy(self, recipe: Recipe, output: Path) -> None:
        """Quantize for the runtime."""
        if self.state.prepared is None:
            raise Problem("Open a network first.")
        self.deployer.deploy(self.state, recipe, output)

    def close(self) -> None:
        """Stop all workers."""
        for worker in self.workers:
            worker.close()

    def _set(self, new: NetworkState) -> None:
        old, self.state = self.state, new
        measured = ("prepared", "samples", "scheme", "own", "activations", "by_group")
        if any(getattr(old, name) is not getattr(new, name) for name in measured):
            self.losses.clear()
            self.sweeper.cancel()
        self.changed.emit(old, new)
        if new.ready:
            self.analyst.ask(new)

    @Slot(object)
    def _on_opened(self, prepared: Prepared) -> None:
        self._set(replace(self.state, prepared=prepared))
        if self.state.paths:
            self.reader.read(prepared, self.state.paths, self.state.settings)

    @Slot(object)
    def _on_listed(self, samples: FileSamples) -> None:
        self._set(replace(self.state, samples=samples))

    @Slot(object)
    def _on_loss(self, loss: UnitLoss) -> None:
        self.losses[loss.mode, loss.unit.name] = loss

    @Slot(object)
    def _on_deployed(self, found: DeployedRun) -> None:
        self.runs.append(found)
        self.run_kept.emit(found)


def _units(state: NetworkState) -> tuple[Unit, ...]:
    assert state.prepared is not None
    return (units_by_group if state.by_group else units_by_node)(state.prepared.network, state.activations)


def _weights(state: NetworkState) -> list[Weight]:
    return [weight for unit in _units(state) for weight in unit.weights]


def _part(progress: Progress, start: float, share: float) -> Callable[[float], None]:
    return lambda fraction: progress(start + share * fraction)


def _deploy(
    state: NetworkState, recipe: Recipe, output: Path, seconds: float, progress: Progress, cancelled: IsCancelled
) -> DeployedRun:
    import tempfile

    assert state.prepared is not None
    network, samples = state.prepared.network, state.samples
    calibration, held_out = samples.split() if samples is not None else (None, None)
    outcome = quantize_network(
        network,
        output,
        recipe,
        list(calibration) if calibration is not None and recipe.method == "static" else [],
        sample=held_out[0] if held_out is not None else None,
        progress=_part(progress, 0, 0.6),
        cancelled=cancelled,
    )
    if held_out is None:
        return DeployedRun(outcome, None, (), None, (), (), (), False)
    made = open_network(outcome.path)
    names = [port.name for port in network.outputs]
    first, second = open_session(network.model), open_session(made.model)
    inputs = {port.name for port in made.inputs}
    sums = Answers(names)
    for sample in held_out:
        check(cancelled)
        sums.add(run(first, sample, names), run(second, {k: v for k, v in sample.items() if k in inputs}, names))
    del first, second
    latency = measure_latency(
        network.model,
        made.model,
        held_out[:4],
        seconds=seconds,
        progress=_part(progress, 0.7, 0.2),
        cancelled=cancelled,
    )
    with tempfile.TemporaryDirectory(prefix="qviz-") as folder:
        before = profile(network.model, held_out[0], Path(folder))
        after = profile(made.model, held_out[0], Path(folder))
    why = reasons(before, after, recipe) if latency.ratio > 1 else ()
    return DeployedRun(outcome, sums.sqnr_db, sums.figures(), latency, before, after, why, held_out.random)
