"""Which layer hurts? The network's output with each of them quantized alone, or each left in float, exactly.

Errors that add up along the graph and errors of weights say little about this (rank correlation −0.4 to 0.5); only
running the network tells. What comes before a layer is kept, so that each costs about half an inference a sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from qviz.core.arithmetic.scaling import qparams_from_range
from qviz.core.arrays import Array, FloatArray, Floats
from qviz.core.formats.integers import IntFormat
from qviz.core.problems import Problem
from qviz.core.schemes.scheme import Scheme
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.models.error_sketch import ErrorSketch
from qviz.models.kept_values import KeptValues
from qviz.models.network import Network
from qviz.models.output_figures import Answers, OutputFigures, RightAnswer
from qviz.models.pieces import ActivationParameters, Pieces, Point, Values
from qviz.models.sessions import Feeds, Samples
from qviz.models.stacked_weights import StackedWeights
from qviz.models.weights import CountedWeight, Weight, bits_of, values_of, weights_of

ALONE, RESTORED = "alone", "restored"

CORE_OPERATORS = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})
"""Before these, activations are quantized where somebody asks for it."""

FEWEST_GROUPS, MOST_GROUPS = 8, 60

KEPT_BYTES = 1 << 28
"""Of values between the pieces, all samples together, for the next time that everything is asked about."""

ON, OFF = np.array(True), np.array(False)

WORTH_SECONDS = 0.25e-3
"""A piece that is quicker than this is not worth starting alone: keeping what comes before it gains nothing."""

MULTIPLICATIONS_A_SECOND, NODE_SECONDS = 3e10, 2.5e-6
"""About what one core does, and what a node takes however small it is."""

READING = 12
"""Multiplications that one core does while it reads an element of a weight that has not been packed."""

WHOLE_ENDS_UP_TO = 1 << 28
"""Bytes of a network's constants."""

LAID_OUT_UP_TO = 1 << 25
"""The same: laying weights out takes up to eight times as much."""


@dataclass(frozen=True)
class Unit:
    """What is quantized together or left in float together.

    Attributes
    ----------
    name : str
    nodes : tuple of str
    weights : tuple of Weight
    points : tuple of Point
        Where activations enter its nodes.
    """

    name: str
    nodes: tuple[str, ...]
    weights: tuple[Weight, ...]
    points: tuple[Point, ...] = ()

    @property
    def bytes(self) -> int:
        """Of its weights in the file."""
        return sum(weight.bytes for weight in self.weights)


@dataclass(frozen=True, eq=False)
class UnitLoss:
    """What the output loses by one unit.

    Attributes
    ----------
    unit : Unit
    mode : str
        `ALONE` (only this one is quantized) or `RESTORED` (all but this one are).
    sqnr_db : float
        Of all outputs together, in dB; higher is better.
    noise : float
        The same as a share of the signal's power: what adds up, nearly, over units.
    outputs : tuple of OutputFigures
    samples : int
    error : float64 array or None
        A sketch of the output's error, whose square is the noise, where that was asked for.
    """

    unit: Unit
    mode: str
    sqnr_db: float
    noise: float
    outputs: tuple[OutputFigures, ...]
    samples: int
    error: Floats | None = None


def units_by_node(network: Network, activations: bool = False) -> tuple[Unit, ...]:
    """A unit for each node that has a weight (or, with activations, that is a core operator)."""
    weights: dict[str, list[Weight]] = {}
    for weight in weights_of(network):
        weights.setdefault(weight.node, []).append(weight)
    constants = {each.name for each in network.model.graph.initializer}
    units = []
    for node in network.model.graph.node:
        points: tuple[Point, ...] = ()
        if activations and node.op_type in CORE_OPERATORS:
            places = range(1) if node.op_type in ("Conv", "ConvTranspose") else range(2)
            points = tuple(
                Point(node.input[i], node.name, i)
                for i in places
                if i < len(node.input) and node.input[i] not in constants
            )
        mine = tuple(weights.get(node.name, ()))
        if mine or points:
            units.append(Unit(node.name, (node.name,), mine, points))
    return tuple(units)


def units_by_group(network: Network, activations: bool = False) -> tuple[Unit, ...]:
    """Neighbouring nodes of one module together, by the paths in their names; by equal numbers where there are none."""
    singles = units_by_node(network, activations)
    if len(singles) <= FEWEST_GROUPS:
        return singles
    best: list[tuple[str, list[Unit]]] = []
    for depth in range(1, 12):
        runs = _runs([(_scope(unit.name, depth), unit) for unit in singles])
        if len(runs) > MOST_GROUPS:
            break
        best = runs
        if len(runs) == len(singles):
            break
    if len(best) < FEWEST_GROUPS:
        size = -(-len(singles) // min(MOST_GROUPS, len(singles)))
        chunks = [list(singles[i : i + size]) for i in range(0, len(singles), size)]
        best = [(c[0].name if len(c) == 1 else f"{c[0].name} … {c[-1].name}", c) for c in chunks]
    return tuple(
        Unit(
            name,
            tuple(node for unit in units for node in unit.nodes),
            tuple(weight for unit in units for weight in unit.weights),
            tuple(point for unit in units for point in unit.points),
        )
        for name, units in best
    )


def _scope(name: str, depth: int) -> str:
    parts = [part for part in name.replace(".", "/").split("/") if part]
    return "/".join(parts[:depth]) if parts else name


def _runs(named: Sequence[tuple[str, Unit]]) -> list[tuple[str, list[Unit]]]:
    runs: list[tuple[str, list[Unit]]] = []
    seen: dict[str, int] = {}
    for name, unit in named:
        if runs and runs[-1][0] == name:
            runs[-1][1].append(unit)
        else:
            seen[name] = seen.get(name, 0) + 1
            runs.append((name if seen[name] == 1 else f"{name} ({seen[name]})", [unit]))
    return runs


class Sensitivity:
    """Asks a network about its layers, on samples, under schemes.

    Parameters
    ----------
    network : Network
        Prepared.
    samples : Samples
        What is fed; held-out data, not what ranges were chosen from.
    scheme : Scheme or mapping of str to Scheme
        Of the weights: one for all, or one a weight by its name (a weight without one stays float).
    activations : mapping of Point to ActivationParameters, optional
        Where activations are quantized, and how.
    units : sequence of Unit, optional
        `units_by_node` otherwise.

    Raises
    ------
    Problem
        When there is nothing to quantize, or no sample.
    """

    def __init__(
        self,
        network: Network,
        samples: Samples,
        scheme: Scheme | Mapping[str, Scheme],
        *,
        activations: Mapping[Point, ActivationParameters] | None = None,
        units: Sequence[Unit] | None = None,
        threads: int = 0,
    ) -> None:
        self.network, self.samples, self.threads = network, samples, threads
        self.parameters = dict(activations or {})
        self.units = tuple(units if units is not None else units_by_node(network, bool(self.parameters)))
        if not self.units:
            raise Problem("This network has no weights that qviz knows: there is nothing to quantize.")
        if not len(samples):
            raise Problem("There is no sample to run the network on: give some.")
        self.weights = {weight.name: weight for unit in self.units for weight in unit.weights}
        self.values = {name: value for name, value in values_of(network).items() if name in self.weights}
        self.schemes: dict[str, Scheme] = (
            dict.fromkeys(self.weights, scheme) if isinstance(scheme, Scheme) else dict(scheme)
        )
        self._counted = {name: CountedWeight(weight, self.values[name]) for name, weight in self.weights.items()}
        self._stacked = StackedWeights(self.weights.values(), self.values)
        self._quantized: dict[str, FloatArray] = {}
        costs = _costs(network, self.units)
        self._pieces = Pieces(network, costs)
        seconds = sum(costs.values()) / MULTIPLICATIONS_A_SECOND + NODE_SECONDS * len(self._pieces.nodes)
        self._spans = self._pieces.spans(int(seconds / WORTH_SECONDS))
        # The ends of a small network are sessions of their own: several copies of its weights.
        self._whole_ends = network.parameter_bytes < WHOLE_ENDS_UP_TO
        self._laid_out = network.parameter_bytes < LAID_OUT_UP_TO
        self._right: list[list[RightAnswer] | None] = [None] * len(samples)
        self._right_bytes = 0
        self._kept = [KeptValues(KEPT_BYTES // len(samples)) for _ in range(len(samples))]
        self._owner = {weight.name: unit.name for unit in self.units for weight in unit.weights}
        self.inferences = 0.0

    def quantized(self, name: str) -> FloatArray:
        """x̂ of a weight under its scheme; the weight itself where it has none."""
        if name not in self._quantized:
            scheme, values = self.schemes.get(name), self.values[name]
            self._quantized[name] = self._counted[name].quantized(scheme) if scheme else values
        return self._quantized[name]

    def quantize(self) -> None:
        """Have x̂ of all weights, those that are small together."""
        missing = {name: scheme for name, scheme in self.schemes.items() if name not in self._quantized}
        if len(missing) > 1:
            self._quantized.update(self._stacked.quantized(missing))

    def change(self, name: str, scheme: Scheme | None) -> None:
        """Another scheme for one weight; None for float."""
        self._quantized.pop(name, None)
        if scheme is None:
            self.schemes.pop(name, None)
        else:
            self.schemes[name] = scheme
        self._pieces.forget("quantized")

    def quantized_bytes(self, left: frozenset[str] = frozenset()) -> float:
        """Bytes of all weights, those of the units in ``left`` as the file has them."""
        total = 0.0
        for unit in self.units:
            for weight in unit.weights:
                scheme = None if unit.name in left else self.schemes.get(weight.name)
                total += weight.bytes if scheme is None else bits_of(weight, scheme) / 8
        return total

    def baseline(self, mode: str, sample: Feeds) -> list[Values]:
        """The values before each piece and behind the last, all in float or all quantized."""
        values: Values = dict(sample)
        kept = [self._pieces.kept(values, 0)]
        for piece in range(len(self._pieces)):
            values = self._pieces.advance(self._plain(piece, mode), kept[-1])
            kept.append(self._pieces.kept(values, piece + 1))
        self.inferences += 1
        return kept

    def answers(self, values: Values) -> list[Array]:
        """The outputs among the values behind the last piece."""
        return [values[name] for name in self._pieces.outputs]

    def right(self, number: int, sample: Feeds) -> list[RightAnswer]:
        """What the float network answers on a sample; kept, as long as there is room."""
        known = self._right[number]
        if known is None:
            known = [RightAnswer(array) for array in self.answers(self.baseline(ALONE, sample)[-1])]
            self._right_bytes += sum(each.nbytes for each in known)
            if self._right_bytes <= KEPT_BYTES:  # however many samples there are
                self._right[number] = known
        return known

    def everything(
        self,
        left: frozenset[str] = frozenset(),
        cancelled: IsCancelled = never,
        found: Callable[[Answers, int], None] | None = None,
    ) -> Answers:
        """The output with all units quantized but those in ``left``, over all samples.

        What comes before the first weight that has changed since the last time is not computed again.

        Parameters
        ----------
        left : frozenset of str
            Names of units.
        found : Callable[[Answers, int], None], optional
            Told the sums after each sample, and of how many samples they are.

        Raises
        ------
        Cancelled
            When asked to stop; the first sample is always run.
        """
        sums = Answers(self._pieces.outputs)
        chosen = frozenset(unit.name for unit in self.units) - left
        self.quantize()
        of_pieces = [self._inputs(piece, chosen) for piece in range(len(self._pieces))]
        inputs = [dict(_joined(of_pieces[first : last + 1])) for first, last in self._spans]
        for number in range(len(self.samples)):
            if number:
                check(cancelled)
            answers = self.answers(self._advanced(number, inputs))
            sums.add(self._right[number] or self.right(number, self.samples[number]), answers)
            if found is not None:
                found(sums, number + 1)
        return sums

    def _advanced(self, number: int, inputs: list[dict[str, Any]]) -> Values:
        """The values behind the last piece; a sample is not even read where nothing has changed before some span."""
        kept = self._kept[number]
        start, known = kept.begin(inputs)
        values: Values = dict(self.samples[number]) if known is None else known
        if start == 0 and kept.all_changed:  # at once is quickest, and what would be kept changes with the next scheme
            last = len(self._pieces) - 1
            made = self._pieces.advance(self._exchangeable(0, last), values, dict(_joined(inputs)))
            values, start = self._pieces.kept(made, last + 1), len(inputs)
            self.inferences += 1
        for place in range(start, len(inputs)):
            kept.keep(place, values)
            first, last = self._spans[place]
            made = self._pieces.advance(self._exchangeable(first, last), values, inputs[place])
            values = self._pieces.kept(made, last + 1)
        kept.keep(len(inputs), values)
        self.inferences += self._pieces.share_from(self._spans[start][0]) if start < len(inputs) else 0
        return values

    def sweep(
        self,
        mode: str = ALONE,
        order: Sequence[int] | None = None,
        *,
        progress: Progress = ignore,
        cancelled: IsCancelled = never,
        keep_bytes: int = 1 << 30,
        errors: bool = False,
    ) -> Iterator[UnitLoss]:
        """The output's loss for each unit, exact over all samples, as they are found.

        Parameters
        ----------
        mode : str
            `ALONE` or `RESTORED`.
        order : sequence of int, optional
            Of the units, the most suspicious first; one that was stopped goes on with what is left of it.
        keep_bytes : int
            What the values between the pieces may take; more samples than fit are taken in turns.
        errors : bool
            Whether sketches of the errors are kept.

        Raises
        ------
        Cancelled
            When asked to stop; what was found before stays true.
        """
        order = list(order if order is not None else range(len(self.units)))
        self.quantize()
        everyone = frozenset(unit.name for unit in self.units)
        known: list[tuple[list[RightAnswer], list[Values]]] = []
        held = 0
        for number, sample in enumerate(self.samples):
            check(cancelled)
            base = self.baseline(mode, sample)
            right = self.right(number, sample)
            held += sum(a.nbytes for values in base for a in values.values()) + sum(each.nbytes for each in right)
            if known and held > keep_bytes:
                break
            known.append((right, base))
        rest = self.samples[len(known) :] if len(known) < len(self.samples) else ()
        for done, place in enumerate(order):
            unit = self.units[place]
            sums = Answers(self._pieces.outputs)
            sketch = ErrorSketch(len(self._pieces.outputs)) if errors else None
            chosen = frozenset({unit.name}) if mode == ALONE else everyone - {unit.name}
            for right, base in known:
                check(cancelled)
                answers = self._changed(unit, chosen, base, mode)
                sums.add(right, answers)
                if sketch is not None:
                    sketch.add(right, answers)
            for offset, sample in enumerate(rest):
                check(cancelled)
                base = self.baseline(mode, sample)
                right = self.right(len(known) + offset, sample)
                answers = self._changed(unit, chosen, base, mode)
                sums.add(right, answers)
                if sketch is not None:
                    sketch.add(right, answers)
            progress((done + 1) / len(order))
            error = sketch.error([each.signal for each in sums.sums]) if sketch is not None else None
            yield UnitLoss(unit, mode, sums.sqnr_db, sums.noise, sums.figures(), len(self.samples), error)

    def _changed(self, unit: Unit, chosen: frozenset[str], base: list[Values], mode: str) -> list[Array]:
        pieces = sorted({self._pieces.piece_of(node) for node in unit.nodes})
        values, end = base[pieces[0]], len(self._pieces)
        for piece in range(pieces[0], pieces[-1] + 1):
            if piece in pieces:
                values = self._pieces.advance(self._exchangeable(piece), values, self._inputs(piece, chosen))
            else:
                values = self._pieces.advance(self._plain(piece, mode), values)
            values = self._pieces.kept(values, piece + 1)
        for piece in range(pieces[-1] + 1, end):
            last = end - 1 if self._whole_ends else piece
            values = self._pieces.advance(self._plain(piece, mode, last), values)
            values = self._pieces.kept(values, last + 1)
            if last == end - 1:
                break
        self.inferences += self._pieces.share_from(pieces[0])
        return self.answers(values)

    def _plain(self, piece: int, mode: str, last: int | None = None) -> Any:
        last = None if last == piece else last
        if mode == ALONE:
            return self._pieces.session(piece, last=last, key="float", threads=self.threads)
        through = range(piece, (piece if last is None else last) + 1)
        weights = {name: self.quantized(name) for each in through for name in self._names(each)}
        return self._pieces.session(
            piece,
            last=last,
            points=tuple(point for each in through for point in self._points(each)),
            weights=weights,
            parameters=self.parameters,
            key="quantized",
            threads=self.threads,
        )

    def _exchangeable(self, piece: int, last: int | None = None) -> Any:
        through = range(piece, (piece if last is None else last) + 1)
        return self._pieces.session(
            piece,
            last=None if last == piece else last,
            exchanged=tuple(dict.fromkeys(name for each in through for name in self._names(each))),
            points=tuple(point for each in through for point in self._points(each)),
            switched=True,
            parameters=self.parameters,
            laid_out=self._laid_out,
            key="exchangeable",
            threads=self.threads,
        )

    def inputs_of(self, node: Any, chosen: frozenset[str]) -> dict[str, Any]:
        """What is handed to one node beside its values: quantized weights, and that its points are on."""
        inputs: dict[str, Any] = {}
        for unit in self.units:
            if node.name in unit.nodes and unit.name in chosen:
                inputs.update({f"{p.key}/on": np.array(True) for p in self.points_of(node)})
        inputs.update({name: self.quantized(name) for name in node.input if name in self.weights})
        return inputs

    def points_of(self, node: Any) -> tuple[Point, ...]:
        """Where activations are quantized on their way into one node."""
        return tuple(p for unit in self.units for p in unit.points if p.node == node.name and p in self.parameters)

    @cached_property
    def _by_piece(self) -> list[tuple[tuple[str, ...], tuple[tuple[str, Point], ...]]]:
        """Of each piece, the weights that it reads, and the points in it with the units that they are of."""
        points: list[list[tuple[str, Point]]] = [[] for _ in range(len(self._pieces))]
        for unit in self.units:
            for point in unit.points:
                if point in self.parameters:
                    points[self._pieces.piece_of(point.node)].append((unit.name, point))
        read = [
            {name for node in self._pieces.nodes_of(piece) for name in node.input} for piece in range(len(self._pieces))
        ]
        return [
            (tuple(name for name in self.weights if name in names), tuple(here))
            for names, here in zip(read, points, strict=True)
        ]

    def _names(self, piece: int) -> tuple[str, ...]:
        return self._by_piece[piece][0]

    def _points(self, piece: int) -> tuple[Point, ...]:
        return tuple(point for _, point in self._by_piece[piece][1])

    def _inputs(self, piece: int, chosen: frozenset[str]) -> dict[str, Any]:
        inputs: dict[str, Any] = {
            name: (self.quantized(name) if self._owner[name] in chosen else self.values[name])
            for name in self._names(piece)
        }
        for unit, point in self._by_piece[piece][1]:
            inputs[f"{point.key}/on"] = ON if unit in chosen else OFF
        return inputs


def _joined(inputs: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    for each in inputs:
        yield from each.items()


def _costs(network: Network, units: Sequence[Unit]) -> dict[str, float]:
    """Multiplications of each node of the units, as far as shapes tell."""
    outputs = {node.name: node.output[0] for node in network.model.graph.node}
    shapes = {
        value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in (*network.model.graph.value_info, *network.model.graph.output)
    }
    costs: dict[str, float] = {}
    for unit in units:
        for node in unit.nodes:
            costs[node] = 1.0
        for weight in unit.weights:
            elements = math.prod(shapes.get(outputs[weight.node]) or [0])
            if weight.operator == "Gather" or not elements:
                costs[weight.node] = max(costs[weight.node], 1.0)
            else:
                costs[weight.node] += elements * weight.matrix_shape[1] + READING * weight.elements
    return costs


def activation_parameters(
    low: float, high: float, number_format: IntFormat, *, symmetric: bool = False
) -> ActivationParameters:
    """Scale and zero point of one tensor of activations, as ONNX Runtime chooses them from a range."""
    scheme = Scheme(number_format, symmetric)
    q = qparams_from_range(np.array(low, np.float32), np.array(high, np.float32), scheme)
    return ActivationParameters(
        np.asarray(q.scale, np.float32).reshape(()), q.zero_point.astype(number_format.dtype).reshape(())
    )


def decibels(noise: float) -> float:
    """SQNR in dB of noise as a share of the signal's power."""
    return math.inf if noise == 0 else -10 * math.log10(noise)
