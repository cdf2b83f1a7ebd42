"""Where are bits best spent in this network? Swept, predicted, and measured, beside the window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.frozen import frozen
from qviz.core.problems import Phrase, Problem
from qviz.core.schemes.scheme import Scheme
from qviz.core.work import IsCancelled, Progress, check
from qviz.models.frontier import FrontierPoint, choices, frontier
from qviz.models.output_figures import OutputFigures
from qviz.models.sensitivity import ALONE, Sensitivity, UnitLoss
from qviz.models.targets import Target, first_reached, guess_at, share_of
from qviz.models.units import units_by_group
from qviz.models.weights import bits_of
from qviz.session.network_state import NetworkState
from qviz.session.network_workers import activations_of
from qviz.session.worker import Worker

FLOAT = "float"
MEASURED = 6
"""Points of the frontier that are measured without being asked for."""


@frozen(eq=False)
class Frontier:
    """Size against error of the output, as predicted.

    Attributes
    ----------
    points : tuple of FrontierPoint
        From the smallest to the most exact.
    formats : mapping of str to Scheme
        By the labels that points use.
    weights : mapping of str to tuple of str
        The names of each unit's weights.
    random : bool
        Whether the samples were noise.
    """

    points: tuple[FrontierPoint, ...]
    formats: Mapping[str, Scheme]
    weights: Mapping[str, tuple[str, ...]]
    random: bool

    def schemes(self, point: FrontierPoint) -> dict[str, Scheme | None]:
        """The scheme of every weight at a point; None for float."""
        return {name: self.formats.get(label) for unit, label in point.formats.items() for name in self.weights[unit]}


@frozen(eq=False)
class Measured:
    """A point of the frontier that the network was run with.

    Attributes
    ----------
    point : FrontierPoint
    sqnr_db : float
        Of all outputs, in dB; higher is better.
    outputs : tuple of OutputFigures
    """

    point: FrontierPoint
    sqnr_db: float
    outputs: tuple[OutputFigures, ...] = ()

    def figure(self, name: str) -> float | None:
        """What a target is about: ``"sqnr_db"``, ``"bytes"``, or a share of answers that stay the same."""
        if name in ("sqnr_db", "bytes"):
            return self.sqnr_db if name == "sqnr_db" else self.point.bytes
        return share_of(self.outputs, name)

    def reaches(self, target: Target) -> bool:
        """Whether that much is kept, or no more is taken.

        Raises
        ------
        Problem
            When no output has such a figure.
        """
        found = self.figure(target.figure)
        if found is None:
            raise Problem(
                "No output of this network looks like one with such a share of equal answers: give dB or bytes instead."
            )
        return found <= target.value if target.figure == "bytes" else found >= target.value


class FrontierFinder(Worker):
    """Sweeps the groups under a few formats, and measures points of what follows from that.

    Signals
    -------
    predicted(Frontier)
    measured(Measured)
    reached(FrontierPoint)
        The smallest point that was measured to reach the target that was asked for.
    """

    predicted = Signal(object)
    measured = Signal(object)
    reached = Signal(object)

    _came = Signal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._held: list[Sensitivity] = []
        self._frontier: Frontier | None = None
        self._plan: object = None
        self._known: dict[int, Measured] = {}
        self._came.connect(self._on_came)

    def find(self, state: NetworkState, formats: Mapping[str, Scheme]) -> None:
        """Everything anew, for these formats by their labels."""
        plan, tell = object(), self._came.emit
        self._plan, self._frontier, self._known = plan, None, {}
        held = self._held = []

        def work(progress: Progress, cancelled: IsCancelled) -> None:
            assert state.prepared is not None and state.samples is not None
            units = units_by_group(state.prepared.network, state.activations)
            parameters = activations_of(state, units, progress, cancelled)
            _, held_out = state.split()
            first = next(iter(formats.values()))
            asked = Sensitivity(state.prepared.network, held_out, first, activations=parameters, units=units)
            losses: dict[str, list[UnitLoss]] = {}
            sizes = {(unit.name, FLOAT): float(unit.bytes) for unit in asked.units}
            for number, (label, scheme) in enumerate(formats.items()):
                _give_all(asked, dict.fromkeys(asked.weights, scheme))
                part = _part(progress, 0.8 * number / len(formats), 0.8 / len(formats))
                losses[label] = list(asked.sweep(ALONE, progress=part, cancelled=cancelled, errors=not parameters))
                for unit in asked.units:
                    sizes[unit.name, label] = sum(bits_of(weight, scheme) / 8 for weight in unit.weights)
            points = frontier(choices(losses, sizes))
            weights = {unit.name: tuple(weight.name for weight in unit.weights) for unit in asked.units}
            found = Frontier(points, formats, weights, state.samples.random)
            held.append(asked)
            tell(plan, found)
            places = sorted({round(i * (len(points) - 1) / (MEASURED - 1)) for i in range(MEASURED)})
            for done, place in enumerate(places):
                tell(plan, _measured(asked, found, points[place], cancelled))
                progress(0.8 + 0.2 * (done + 1) / len(places))

        self._submit(plan, work, urgent=True)

    def measure(self, point: FrontierPoint) -> None:
        """Run the network with one choice."""
        found, plan, held, tell = self._frontier, self._plan, self._held, self._came.emit
        if found is None:
            return

        def work(progress: Progress, cancelled: IsCancelled) -> None:
            tell(plan, _measured(held[0], found, point, cancelled))

        self._submit(plan, work)

    def reach(self, target: Target) -> None:
        """Look for the smallest choice that reaches a target, by running the network with few of them.

        What is predicted says where to begin: whether it holds is measured.
        """
        found, plan, tell, known = self._frontier, self._plan, self._came.emit, dict(self._known)
        held = self._held
        if found is None:
            return
        points = found.points

        def work(progress: Progress, cancelled: IsCancelled) -> FrontierPoint:
            asked = held[0]

            def reaches(at: int) -> bool:
                if at not in known:
                    known[at] = _measured(asked, found, points[at], cancelled)
                    tell(plan, known[at])
                    progress(min(0.9, len(known) / 12))
                return known[at].reaches(target)

            at = first_reached(len(points), reaches, guess_at(points, target))
            if at is None:
                raise Problem("No choice was measured to keep that much: tick larger formats, or ask for less.")
            return points[at]

        self._submit(target, work)

    def forget(self) -> None:
        """What was found is of another network, other data or other schemes."""
        self.cancel()
        self._plan = self._frontier = None
        self._held = []

    def _purpose(self, key: Any) -> Phrase:
        return Phrase("this network's activations")

    def _answer(self, key: Any, found: Any) -> None:
        if isinstance(found, FrontierPoint) and self._frontier is not None and found in self._frontier.points:
            self.reached.emit(found)

    @Slot(object, object)
    def _on_came(self, plan: object, item: object) -> None:
        if plan is not self._plan:
            return
        if isinstance(item, Frontier):
            self._frontier = item
            self.predicted.emit(item)
        elif isinstance(item, Measured):
            points = self._frontier.points if self._frontier is not None else ()
            self._known.update({at: item for at, point in enumerate(points) if point is item.point})
            self.measured.emit(item)


def _give_all(asked: Sensitivity, schemes: Mapping[str, Scheme | None]) -> None:
    for name, scheme in schemes.items():
        asked.change(name, scheme)


def _measured(asked: Sensitivity, found: Frontier, point: FrontierPoint, cancelled: IsCancelled) -> Measured:
    check(cancelled)
    _give_all(asked, found.schemes(point))
    left = frozenset(unit for unit, label in point.formats.items() if label == FLOAT)
    sums = asked.everything(left, cancelled=cancelled)
    return Measured(point, sums.sqnr_db, sums.figures())


def _part(progress: Progress, start: float, share: float) -> Progress:
    return lambda fraction: progress(start + share * fraction)
