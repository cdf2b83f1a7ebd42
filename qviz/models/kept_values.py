"""Which values before a piece of a network hold still, because nothing before it has changed?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qviz.models.pieces import Values

Inputs = Mapping[str, Any]
"""What a piece is handed beside values: weights, and which of its points are on."""


class KeptValues:
    """Of one sample, the values before some pieces, within so many bytes; those before the first change go first.

    Parameters
    ----------
    room : int
        Bytes.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._inputs: Sequence[Inputs] = ()
        self._values: dict[int, Values] = {}
        self._changed = 0
        self._all_changed = False

    def begin(self, inputs: Sequence[Inputs]) -> tuple[int, Values | None]:
        """The piece from which on something has to be run with these inputs, and the values before it.

        Returns
        -------
        piece : int
            One beyond the last where all is as it was.
        values : mapping of str to array, or None
            None before the first piece when nothing is known.
        """
        count = len(inputs)
        changed = [piece for piece in range(count) if not self._holds(piece, inputs[piece])]
        self._changed = next(iter(changed), count)
        self._all_changed = bool(self._inputs) and len(changed) == sum(map(bool, inputs))
        self._inputs = inputs
        self._values = {piece: values for piece, values in self._values.items() if piece <= self._changed}
        start = max(self._values, default=0)
        return start, self._values.get(start)

    @property
    def all_changed(self) -> bool:
        """Whether each piece that is handed something got something else than the time before."""
        return self._all_changed

    def keep(self, piece: int, values: Values) -> None:
        """Take the values before a piece, or behind the last."""
        if _bytes_of([*self._values.values(), values]) <= self._room:
            self._values[piece] = values
        elif piece == self._changed and _bytes_of([values]) <= self._room:
            self._values = {piece: values}

    def _holds(self, piece: int, inputs: Inputs) -> bool:
        if piece >= len(self._inputs):
            return False
        before = self._inputs[piece]
        return all(before[name] is each for name, each in inputs.items())


def _bytes_of(values: Sequence[Values]) -> int:
    """Of all arrays, each counted once."""
    return sum({id(array): array.nbytes for each in values for array in each.values()}.values())
