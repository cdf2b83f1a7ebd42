"""How often is each value there? Of 16 bits there are 65,536 at most, whatever the size; and counts add up."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np

from qviz.core.arrays import Array, Counts, FloatArray
from qviz.core.compiler import kernel
from qviz.core.frozen import frozen
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import THREADS, IsCancelled, Progress, check, ignore, never

Kind = Literal["bfloat16", "float16"]

SHIFTS: dict[str, int] = {"bfloat16": 16, "float16": 13}
"""Bits at the end of a float32 that are zero where it was stored as 16 bits."""

PATTERNS = 1 << 16

PIECE = 1 << 22
"""Elements that are counted between two looks at the cancel flag."""


def _example_bits() -> tuple[Any, ...]:
    bits = np.zeros(1, np.uint16)
    bits.flags.writeable = False
    return bits, np.zeros((4, 1), np.uint32)


@kernel(_example_bits)
def count_patterns(bits: Any, tables: Any) -> None:
    """Add to four tables in turn, so that equal neighbours do not wait for each other.

    Parameters
    ----------
    bits : uint16 array
    tables : uint32 array, shape (4, 65536)
    """
    size = bits.size
    whole = size - size % 4
    for i in range(0, whole, 4):
        tables[0, bits[i]] += np.uint32(1)
        tables[1, bits[i + 1]] += np.uint32(1)
        tables[2, bits[i + 2]] += np.uint32(1)
        tables[3, bits[i + 3]] += np.uint32(1)
    for i in range(whole, size):
        tables[0, bits[i]] += np.uint32(1)


def _example_values() -> tuple[Any, ...]:
    bits = np.zeros(1, np.uint32)
    bits.flags.writeable = False
    return bits, np.uint32(16), np.zeros((2, 1 << 16), np.uint32)


@kernel(_example_values)
def count_prefixes(bits: Any, shift: Any, tables: Any) -> Any:
    """Count float32 values by their first bits, in two tables in turn.

    Parameters
    ----------
    bits : uint32 array
        Of float32 values.
    shift : uint32
        How many bits at the end are left out.
    tables : uint32 array, shape (2, 1 << (32 - shift))

    Returns
    -------
    uint32
        Every bit that was set among those left out.
    """
    size = bits.size
    rest = np.uint32(0)
    whole = size - size % 2
    for i in range(0, whole, 2):
        one, two = bits[i], bits[i + 1]
        tables[0, one >> shift] += np.uint32(1)
        tables[1, two >> shift] += np.uint32(1)
        rest |= one | two
    if whole < size:
        tables[0, bits[whole] >> shift] += np.uint32(1)
        rest |= bits[whole]
    return rest & ((np.uint32(1) << shift) - np.uint32(1))


@frozen(eq=False)
class ValueCounts:
    """Every finite value of a tensor, and how often it is there.

    Attributes
    ----------
    values : float32 array, shape (m,)
        Ascending, each once; −0 is 0.
    counts : int64 array, shape (m,)
        At least 1.
    nan, inf : int
        Elements that are not finite.
    """

    values: FloatArray
    counts: Counts
    nan: int = 0
    inf: int = 0

    @property
    def finite(self) -> int:
        """Finite elements."""
        return int(self.counts.sum())

    @property
    def elements(self) -> int:
        """All of them."""
        return self.finite + self.nan + self.inf

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.values.nbytes + self.counts.nbytes

    def __add__(self, other: ValueCounts) -> ValueCounts:
        """Those of two pieces together."""
        values, place = np.unique(np.concatenate([self.values, other.values]), return_inverse=True)
        counts = np.zeros(values.size, np.int64)
        np.add.at(counts, place, np.concatenate([self.counts, other.counts]))
        return ValueCounts(values, counts, self.nan + other.nan, self.inf + other.inf)


def counted_bits(pieces: Iterable[Array], kind: Kind, *, cancelled: IsCancelled = never) -> ValueCounts:
    """Count the bit patterns of 16-bit floats.

    Parameters
    ----------
    pieces : iterable of uint16 array
        In the byte order of this machine.
    kind : {"bfloat16", "float16"}
    cancelled : Callable[[], bool]

    Raises
    ------
    Cancelled
        When asked to stop.
    """
    return of_patterns(counted_patterns(pieces, cancelled=cancelled), kind)


def counted_patterns(pieces: Iterable[Array], *, cancelled: IsCancelled = never) -> Counts:
    """How often each of 65,536 bit patterns is there; those of several parts are added.

    Parameters
    ----------
    pieces : iterable of uint16 array
        In the byte order of this machine; one may lie where the one before it lay.

    Raises
    ------
    Cancelled
        When asked to stop.
    """
    tally = _Tally()
    for piece in pieces:
        check(cancelled)
        tally.add(piece)
    return tally.total()


def of_patterns(found: Counts, kind: Kind) -> ValueCounts:
    """The values that 65,536 counts of bit patterns stand for."""
    used = np.flatnonzero(found)
    values = _floats(used.astype(np.uint16), kind)
    counts = found[used]
    return _merged(values, counts, int(counts[np.isnan(values)].sum()), int(counts[np.isinf(values)].sum()))


def counted_values(
    tensor: Tensor, *, progress: Progress = ignore, cancelled: IsCancelled = never
) -> ValueCounts | None:
    """Count the values of a tensor that was stored in 16 bits.

    Parameters
    ----------
    tensor : Tensor
        Every element counted.

    Returns
    -------
    ValueCounts or None
        None where some value has more digits than 16 bits hold.

    Raises
    ------
    Cancelled
        When asked to stop.
    """
    shift = SHIFTS.get(tensor.dtype)
    if shift is None:
        return None
    table = np.zeros((2, 1 << (32 - shift)), np.uint32)
    sums = np.zeros(table.shape[1], np.int64)
    done = waiting = 0
    for piece in tensor.pieces(PIECE):
        check(cancelled)
        bits = np.ascontiguousarray(piece, np.float32).view(np.uint32)
        if count_prefixes.ready:
            bits.flags.writeable = False
            rest = count_prefixes(bits, np.uint32(shift), table)
            waiting += bits.size
        else:
            rest = np.bitwise_or.reduce(bits & np.uint32((1 << shift) - 1))
            sums += np.bincount(bits >> np.uint32(shift), minlength=sums.size)
        if rest or waiting > 1 << 31:
            sums += table.sum(axis=0, dtype=np.int64)
            table[:] = waiting = 0
        if rest:
            return None
        done += PIECE
        progress(min(1.0, done / tensor.elements))
    sums += table.sum(axis=0, dtype=np.int64)
    used = np.flatnonzero(sums)
    values = (used.astype(np.uint32) << np.uint32(shift)).view(np.float32)
    if tensor.dtype == "float16" and not _are_halves(values):
        return None
    return _merged(values, sums[used], tensor.nan, tensor.inf + tensor.overflowed)


def _are_halves(values: FloatArray) -> bool:
    """Whether float16 has all of these; NaN stands for what was not finite."""
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16)
    return bool(((halves == values) | np.isnan(values)).all())


def _merged(values: FloatArray, counts: Counts, nan: int, inf: int) -> ValueCounts:
    """The finite ones in order, −0 with 0."""
    finite = np.isfinite(values)
    merged, place = np.unique(values[finite] + np.float32(0), return_inverse=True)  # + 0 makes −0 0
    summed = np.zeros(merged.size, np.int64)
    np.add.at(summed, place, counts[finite])
    return ValueCounts(merged, summed, nan, inf)


def _floats(patterns: Array, kind: Kind) -> FloatArray:
    if kind == "float16":
        return patterns.view(np.float16).astype(np.float32)
    return np.asarray((patterns.astype(np.uint32) << np.uint32(16)).view(np.float32))


_spare: deque[Array] = deque(maxlen=THREADS)
"""Tables of zeros for the next tensor: fresh memory costs as much as counting a million elements."""


class _Tally:
    """Counts that are added up, compiled where that is ready."""

    def __init__(self) -> None:
        self._sums: Counts = np.zeros(PATTERNS, np.int64)
        self._tables: Array | None = None
        self._waiting = 0

    def add(self, bits: Array) -> None:
        bits = np.ascontiguousarray(bits, np.uint16)
        for start in range(0, bits.size, PIECE):
            piece = bits[start : start + PIECE]
            if count_patterns.ready:
                if piece.flags.writeable:
                    piece = piece.view()
                    piece.flags.writeable = False
                if self._tables is None:
                    self._tables = _zeros()
                count_patterns(piece, self._tables)
                self._waiting += piece.size
                if self._waiting > 1 << 31:
                    self._settle(self._tables)
            else:
                self._sums += np.bincount(piece, minlength=PATTERNS)

    def _settle(self, tables: Array) -> None:
        # No more than fits 32 bits waits, so that nothing is made wider before it is added up.
        found = tables.sum(axis=0, dtype=np.uint32)
        self._sums += found
        tables[:, np.flatnonzero(found)] = 0
        self._waiting = 0

    def total(self) -> Counts:
        if self._tables is not None:
            self._settle(self._tables)
            _spare.append(self._tables)
            self._tables = None
        return self._sums


def _zeros() -> Array:
    try:
        return _spare.pop()
    except IndexError:
        return np.zeros((4, PATTERNS), np.uint32)
