"""What does a network answer with its weights and activations under any schemes? One changes, and the output follows.

What comes before the change is kept, so that it costs no more than the layers behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from qviz.core.arrays import Array, FloatArray
from qviz.core.problems import Phrase, Problem
from qviz.core.schemes.scheme import Scheme
from qviz.core.work import IsCancelled, check, never
from qviz.models.costs import MULTIPLICATIONS_A_SECOND, NODE_SECONDS, costs_of
from qviz.models.kept_values import KeptValues
from qviz.models.network import Network
from qviz.models.not_finite import counted, of_outputs, sentences
from qviz.models.output_figures import Answers, OutputFigures, RightAnswer
from qviz.models.pieces import ActivationParameters, Pieces, Point, Values
from qviz.models.sessions import Feeds, Samples
from qviz.models.stacked_weights import StackedWeights
from qviz.models.units import Unit, units_by_node
from qviz.models.weights import CountedWeight, bits_of, values_of

KEPT_BYTES = 1 << 28
"""Of values between the pieces, all samples together, for the next time that everything is asked about."""

ON, OFF = np.array(True), np.array(False)

WORTH_SECONDS = 0.25e-3
"""A piece that is quicker than this is not worth starting alone: keeping what comes before it gains nothing."""

WHOLE_ENDS_UP_TO = 1 << 28
"""Bytes of a network's constants."""

LAID_OUT_UP_TO = 1 << 25
"""The same: laying weights out takes up to eight times as much."""


class QuantizedNetwork:
    """A network whose weights are inputs and whose activations can be quantized, on samples, under schemes.

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
        costs = costs_of(network, self.units)
        self._pieces = Pieces(network, costs)
        seconds = sum(costs.values()) / MULTIPLICATIONS_A_SECOND + NODE_SECONDS * len(self._pieces.nodes)
        self._spans = self._pieces.spans(int(seconds / WORTH_SECONDS))
        # The ends of a small network are sessions of their own: several copies of its weights.
        self._whole_ends = network.parameter_bytes < WHOLE_ENDS_UP_TO
        self._laid_out = network.parameter_bytes < LAID_OUT_UP_TO
        self._right: list[list[RightAnswer] | None] = [None] * len(samples)
        self._right_bytes = 0
        self._inputs_lost: dict[int, dict[str, int]] = {}
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

    def baseline(self, quantized: bool, sample: Feeds) -> list[Values]:
        """The values before each piece and behind the last, all in float or all quantized."""
        values: Values = dict(sample)
        kept = [self._pieces.kept(values, 0)]
        for piece in range(len(self._pieces)):
            values = self._pieces.advance(self._plain(piece, quantized), kept[-1])
            kept.append(self._pieces.kept(values, piece + 1))
        self.inferences += 1
        return kept

    def not_finite(self, outputs: Sequence[OutputFigures]) -> tuple[Phrase, ...]:
        """What of the weights, of the samples that were run, and of these answers is NaN or infinite."""
        inputs: Counter[str] = Counter()
        for counts in self._inputs_lost.values():
            inputs.update(counts)
        return sentences(self._weights_lost, inputs, of_outputs(outputs))

    @cached_property
    def _weights_lost(self) -> dict[str, int]:
        return counted(self.values)

    def answers(self, values: Values) -> list[Array]:
        """The outputs among the values behind the last piece."""
        return [values[name] for name in self._pieces.outputs]

    def right(self, number: int, sample: Feeds) -> list[RightAnswer]:
        """What the float network answers on a sample; kept, as long as there is room."""
        known = self._right[number]
        if known is None:
            self._inputs_lost[number] = counted(sample)
            known = [RightAnswer(array) for array in self.answers(self.baseline(False, sample)[-1])]
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

    def _plain(self, piece: int, quantized: bool, last: int | None = None) -> Any:
        last = None if last == piece else last
        if not quantized:
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
        if chosen.intersection(self._units_of.get(node.name, ())):
            inputs.update({f"{point.key}/on": ON for point in self.points_of(node)})
        inputs.update({name: self.quantized(name) for name in node.input if name in self.weights})
        return inputs

    def points_of(self, node: Any) -> tuple[Point, ...]:
        """Where activations are quantized on their way into one node."""
        return tuple(self._points_of.get(node.name, ()))

    @cached_property
    def _units_of(self) -> dict[str, list[str]]:
        """The names of the units that a node is in."""
        found: dict[str, list[str]] = {}
        for unit in self.units:
            for node in unit.nodes:
                found.setdefault(node, []).append(unit.name)
        return found

    @cached_property
    def _points_of(self) -> dict[str, list[Point]]:
        found: dict[str, list[Point]] = {}
        for unit in self.units:
            for point in unit.points:
                if point in self.parameters:
                    found.setdefault(point.node, []).append(point)
        return found

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
