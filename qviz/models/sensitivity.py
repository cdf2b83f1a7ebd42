"""Which layer hurts? The network's output with each of them quantized alone, or each left in float, exactly.

Errors that add up along the graph and errors of weights say little about this (rank correlation −0.4 to 0.5); only
running the network tells. What comes before a layer is kept, so that each costs about half an inference a sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qviz.core.arrays import Array, Floats
from qviz.core.frozen import frozen
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.models.error_sketch import ErrorSketch
from qviz.models.output_figures import Answers, OutputFigures, RightAnswer
from qviz.models.pieces import Values
from qviz.models.quantized_network import QuantizedNetwork
from qviz.models.units import Unit

ALONE, RESTORED = "alone", "restored"


@frozen(eq=False)
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


class Sensitivity(QuantizedNetwork):
    """Asks a network about its layers, on samples, under schemes."""

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
            base = self.baseline(mode == RESTORED, sample)
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
                base = self.baseline(mode == RESTORED, sample)
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
                values = self._pieces.advance(self._plain(piece, mode == RESTORED), values)
            values = self._pieces.kept(values, piece + 1)
        for piece in range(pieces[-1] + 1, end):
            last = end - 1 if self._whole_ends else piece
            values = self._pieces.advance(self._plain(piece, mode == RESTORED, last), values)
            values = self._pieces.kept(values, last + 1)
            if last == end - 1:
                break
        self.inferences += self._pieces.share_from(pieces[0])
        return self.answers(values)
