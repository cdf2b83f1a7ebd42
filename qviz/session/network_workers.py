"""Who opens, feeds, measures, sweeps and deploys a network, each beside the window?"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.frozen import frozen
from qviz.core.problems import Phrase
from qviz.core.schemes.scheme import Scheme
from qviz.core.work import IsCancelled, Progress, check
from qviz.models.activations import Span, activation_parameters, ranges, spans
from qviz.models.data import FileSamples, checks, open_samples, random_samples
from qviz.models.data_settings import DataSettings
from qviz.models.latency import by_operator, measure_latency, node_times, reasons
from qviz.models.network import Network, open_network
from qviz.models.node_errors import NodeError, node_errors
from qviz.models.opening import open_prepared
from qviz.models.output_figures import Answers
from qviz.models.pictures import PICTURES, looks_wrong, seen_picture
from qviz.models.pieces import ActivationParameters, Point
from qviz.models.preparation import Prepared
from qviz.models.preparation_steps import NO_CHOICES, Choices
from qviz.models.ptq import Outcome, check_outcome, quantize_network
from qviz.models.recipes import Recipe
from qviz.models.running_memory import memory_at_run
from qviz.models.sensitivity import ALONE, RESTORED, Sensitivity, UnitLoss
from qviz.models.side_by_side import side_by_side
from qviz.models.units import Unit
from qviz.session.network_state import (
    CODES,
    RANDOM_SAMPLES,
    DeployedRun,
    NetworkState,
    Whole,
    name_of,
    units_of,
    weights_of_units,
)
from qviz.session.worker import Worker

TELLING_SECONDS = 0.1
"""Between answers that more and more samples give."""


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
    pictured(uint8 array, shape (height, width, 3), or None)
        The first sample as the network sees it, where it is a picture.
    looked(dict of str to Span, tuple of Phrase)
    """

    listed = Signal(object)
    pictured = Signal(object)
    looked = Signal(object, object)

    _found = Signal(object, object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._plan: object = None
        self._found.connect(self._on_found)

    def read(self, prepared: Prepared, paths: tuple[Path, ...], settings: DataSettings) -> None:
        """Samples of files and folders; noise where there are none."""
        tell = self._found.emit
        plan = self._plan = object()

        def work(progress: Progress, cancelled: IsCancelled) -> tuple[dict[str, Span], tuple[Phrase, ...]]:
            network = prepared.network
            samples = open_samples(network, paths, settings) if paths else random_samples(network, RANDOM_SAMPLES)
            first = samples[0]  # one that cannot be read is said before anything is computed
            tell(plan, samples, None if samples.random else seen_picture(network, first, settings.picture))
            found = spans(network, samples, progress=progress, cancelled=cancelled)
            pictures = any(Path(path).suffix.lower() in PICTURES for path in samples.files)
            layouts = [looks_wrong(port, settings.picture, first[port.name]) for port in network.inputs if pictures]
            return found, (*(each for each in layouts if each is not None), *checks(samples, found, network))

        self._submit(paths, work, urgent=True)

    def _purpose(self, key: Any) -> Phrase:
        return Phrase("these samples")

    def _answer(self, key: Any, found: Any) -> None:
        self.looked.emit(*found)

    @Slot(object, object, object)
    def _on_found(self, plan: object, samples: FileSamples, picture: object) -> None:
        if plan is self._plan:
            self.listed.emit(samples)
            self.pictured.emit(picture)


class _Asked:
    """The present `Sensitivity`, kept as long as the network, the data and the units stay; used by one thread."""

    def __init__(self) -> None:
        self._key: object = None
        self._asked: Sensitivity | None = None
        self._schemes: dict[str, Scheme | None] = {}

    def of(self, state: NetworkState, progress: Progress, cancelled: IsCancelled) -> Sensitivity:
        assert state.prepared is not None and state.samples is not None
        key = (state.prepared, state.samples, state.activations, state.by_group, state.calibration_share)
        network = state.prepared.network
        wanted: dict[str, Scheme | None] = {
            w.name: state.own.get(w.name, state.scheme) for w in weights_of_units(state)
        }
        if key != self._key or self._asked is None:
            _, held_out = state.split()
            units = units_of(state)
            parameters = activations_of(state, units, progress, cancelled)
            schemes = {name: each for name, each in wanted.items() if each is not None}
            self._asked = Sensitivity(network, held_out, schemes, activations=parameters, units=units)
            self._key, self._schemes = key, dict(wanted)
            return self._asked
        for name, chosen in wanted.items():
            if chosen != self._schemes.get(name):
                self._asked.change(name, chosen)
                self._schemes[name] = chosen
        return self._asked


def activations_of(
    state: NetworkState, units: tuple[Unit, ...], progress: Progress, cancelled: IsCancelled
) -> dict[Point, ActivationParameters]:
    """How activations are quantized, where they are, by the ranges of the calibration samples."""
    if not state.activations:
        return {}
    assert state.prepared is not None
    points = [point for unit in units for point in unit.points]
    names = sorted({point.value for point in points})
    scheme = Scheme(CODES, symmetric=False)
    calibration, _ = state.split()
    known = ranges(state.prepared.network, calibration, scheme, names, progress=progress, cancelled=cancelled)
    return {point: activation_parameters(*known[point.value], CODES) for point in points}


class NetworkAnalyst(Worker):
    """Measures the output under the present schemes, as often as one of them moves.

    Signals
    -------
    answered(Whole)
        First of one sample, then of more and more of them; a newer question ends that.
    """

    answered = Signal(object)

    _came = Signal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._asked = _Asked()
        self._latest: NetworkState | None = None
        self._came.connect(self._on_came)

    def ask(self, state: NetworkState) -> None:
        """What is left of the output now?"""
        asked, tell = self._asked, self._came.emit
        self._latest = state

        def work(progress: Progress, cancelled: IsCancelled) -> Whole:
            sensitivity = asked.of(state, progress, cancelled)
            told = -math.inf

            def some(sums: Answers, count: int) -> None:
                nonlocal told
                now = time.monotonic()
                if count < len(sensitivity.samples) and now - told >= TELLING_SECONDS:
                    told = now
                    tell(state, _whole(state, sensitivity, sums, count))

            sums = sensitivity.everything(cancelled=cancelled, found=some)
            sums.check()
            return _whole(state, sensitivity, sums, len(sensitivity.samples))

        self._submit(state, work, urgent=True)

    def forget(self) -> None:
        """Give up what is under way: there is nothing to be asked about, and no memory to be held for it."""
        self._latest, self._asked = None, _Asked()
        self.cancel()

    def _purpose(self, key: Any) -> Phrase:
        return Phrase("this network's activations")

    def _answer(self, key: Any, found: Any) -> None:
        self.answered.emit(found)

    @Slot(object, object)
    def _on_came(self, state: NetworkState, whole: Whole) -> None:
        """Told though another scheme has been chosen since: what is being moved would else stand still."""
        latest = self._latest
        if latest is not None and state.prepared is latest.prepared and state.samples is latest.samples:
            self.answered.emit(whole)


def _whole(state: NetworkState, sensitivity: Sensitivity, sums: Answers, count: int) -> Whole:
    assert state.samples is not None
    outputs = sums.figures()
    return Whole(
        sums.sqnr_db,
        outputs,
        sensitivity.quantized_bytes(),
        float(sum(unit.bytes for unit in sensitivity.units)),
        count,
        state.samples.random,
        len(sensitivity.samples),
        sensitivity.not_finite(outputs),
    )


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

    def outdate(self) -> None:
        """Give up what is under way, and what of it has not been told yet: it was asked about other schemes."""
        self._plan = None
        self.cancel()

    def forget(self) -> None:
        """Give up what is under way, and the memory that is held for this network and its samples."""
        self.cancel()
        self._asked = _Asked()

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

    def deploy(
        self, state: NetworkState, recipe: Recipe, output: Path, *, seconds: float = 2.0, threads: int = 1
    ) -> None:
        """Quantize into ``output``."""
        work = partial(_deploy, state, recipe, output, Measuring(seconds, threads))
        self._submit(recipe, work, urgent=True)

    def compare(self, state: NetworkState, path: Path, *, seconds: float = 2.0, threads: int = 1) -> None:
        """Hold a network that somebody else quantized against this one."""
        self._submit(path, partial(_compared, state, path, Measuring(seconds, threads)), urgent=True)

    def _purpose(self, key: Any) -> Phrase:
        return Phrase("quantizing this network")

    def _answer(self, key: Any, found: Any) -> None:
        self.deployed.emit(found)


@frozen
class Measuring:
    """How the time of a network is measured: for about how long, and with how many threads (0 for one a core)."""

    seconds: float = 2.0
    threads: int = 1


def _part(progress: Progress, start: float, share: float) -> Callable[[float], None]:
    return lambda fraction: progress(start + share * fraction)


def _deploy(
    state: NetworkState, recipe: Recipe, output: Path, how: Measuring, progress: Progress, cancelled: IsCancelled
) -> DeployedRun:
    assert state.prepared is not None
    network = state.prepared.network
    calibration, held_out = state.split() if state.samples is not None else (None, None)
    outcome = quantize_network(
        network,
        output,
        recipe,
        list(calibration) if calibration is not None and recipe.method == "static" else [],
        sample=held_out[0] if held_out is not None else None,
        progress=_part(progress, 0, 0.6),
        cancelled=cancelled,
    )
    return replace(_measured(network, outcome, held_out, how, progress, cancelled), network=name_of(state.path))


def _compared(
    state: NetworkState, path: Path, how: Measuring, progress: Progress, cancelled: IsCancelled
) -> DeployedRun:
    assert state.prepared is not None
    network = state.prepared.network
    held_out = state.split()[1] if state.samples is not None else None
    # In another process first: a file of somebody else's may crash the runtime.
    open_prepared(path, NO_CHOICES, progress=_part(progress, 0, 0.5), cancelled=cancelled)
    outcome = check_outcome(network, path, Recipe("file"), held_out[0] if held_out is not None else None)
    return replace(_measured(network, outcome, held_out, how, progress, cancelled), network=name_of(state.path))


def _measured(
    network: Network,
    outcome: Outcome,
    held_out: FileSamples | None,
    how: Measuring,
    progress: Progress,
    cancelled: IsCancelled,
) -> DeployedRun:
    """What is left of the output, and how long it takes."""
    import tempfile

    if held_out is None:
        return DeployedRun(outcome, None, (), None, (), (), (), False)
    made = open_network(outcome.path)
    sums = side_by_side(network, made, held_out, cancelled=cancelled)
    latency = measure_latency(
        network.model,
        made.model,
        held_out[:4],
        threads=how.threads,
        seconds=how.seconds,
        progress=_part(progress, 0.7, 0.2),
        cancelled=cancelled,
    )
    with tempfile.TemporaryDirectory(prefix="qviz-") as folder:
        before = node_times(network.model, held_out[0], Path(folder), threads=how.threads)
        check(cancelled)
        after = node_times(made.model, held_out[0], Path(folder), threads=how.threads)
    check(cancelled)
    progress(0.95)
    memory = [memory_at_run(each, held_out[0], threads=how.threads, cancelled=cancelled) for each in (network, made)]
    why = reasons(by_operator(before), by_operator(after), outcome.recipe) if latency.ratio > 1 else ()
    return DeployedRun(
        outcome,
        sums.sqnr_db,
        sums.figures(),
        latency,
        before,
        after,
        why,
        held_out.random,
        None if memory[0] is None or memory[1] is None else (memory[0], memory[1]),
        _batch_of(network),
    )


def _batch_of(network: Network) -> int:
    """How many are answered at once: the length of the first input's first axis."""
    shape = network.inputs[0].shape if network.inputs else None
    return shape[0] if shape and isinstance(shape[0], int) else 1
