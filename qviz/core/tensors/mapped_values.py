"""How is a tensor larger than memory read? As float32, a stretch at a time, letting go of what was read."""

from __future__ import annotations

import mmap
from typing import Any, TypeAlias

import numpy as np

from qviz.core.arrays import FloatArray, empty
from qviz.core.problems import Problem
from qviz.core.tensors.stored import Stored

Source: TypeAlias = "np.ndarray[Any, Any] | Stored"
"""What a tensor is read from: flat and in C order, in memory or outside of it."""

READ_AROUND = 1 << 21
"""A system that has to fetch one page of a file fetches its neighbours too."""

HELD_BYTES = 1 << 27
"""Of a mapped file: read more, and its pages are given back. They stay in the system's cache."""


class Mapping:
    """The file behind what is read, if there is one.

    Parameters
    ----------
    source : array or Stored
        A view of a mapping, or anything else, for which nothing is ever done. A mapping whose
        changes stay in memory (mode ``"c"``) counts as memory: to let go of them would undo them.
    """

    def __init__(self, source: Source) -> None:
        self._stored = isinstance(source, Stored)
        base: Any = source
        private = False
        while isinstance(base, np.ndarray) and base.base is not None:
            private = private or getattr(base, "mode", None) == "c"
            base = base.base
        file = isinstance(base, mmap.mmap) and hasattr(base, "madvise") and not private
        self._map: Any = base if file else None
        self._read = 0

    @property
    def exists(self) -> bool:
        """Whether the values lie outside memory."""
        return self._stored or self._map is not None

    def read(self, nbytes: int) -> None:
        """Take note that so much was read; from time to time all of it is let go."""
        self._read += nbytes
        if self._map is not None and self._read >= HELD_BYTES:
            self._read = 0
            self._map.madvise(mmap.MADV_DONTNEED)


class FlatValues:
    """A flat array of any real type, read as float32 with NaN for what is not finite.

    Parameters
    ----------
    source : array or Stored, flat
        Of a real or boolean type; kept as it is, never written to.
    mapping : Mapping, optional
        Is told what is read.
    clean : bool
        ``source`` is known to be float32 without infinities: it needs no copy.
    """

    def __init__(self, source: Source, mapping: Mapping | None = None, *, clean: bool = False) -> None:
        self._source, self._mapping, self._clean = source, mapping, clean

    @property
    def size(self) -> int:
        return int(self._source.size)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, where: Any) -> FloatArray:
        piece = np.asarray(self._source[where])
        if self._mapping is not None:
            self._mapping.read(max(piece.nbytes, READ_AROUND))
        return piece if self._clean else as_float32(piece)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.asarray(self[:], dtype)


class DrawnValues(FlatValues):
    """Values for the eye alone: NaN for what can't be read any more, of which whoever computes with it tells."""

    def __getitem__(self, where: Any) -> FloatArray:
        try:
            return super().__getitem__(where)
        except Problem:
            shape = len(range(*where.indices(self.size))) if isinstance(where, slice) else np.shape(where)
            return np.full(shape, np.nan, np.float32)


def as_float32(piece: np.ndarray[Any, Any]) -> FloatArray:
    """A float32 copy with NaN for what is not finite."""
    values: FloatArray = empty(piece.shape, np.float32)
    with np.errstate(over="ignore"):
        np.copyto(values, piece, casting="unsafe")
    np.copyto(values, np.nan, where=np.isinf(values))
    return values


def box_of(source: Source, shape: tuple[int, ...], box: tuple[slice, ...]) -> np.ndarray[Any, Any]:
    """A part of a flat source seen in a shape; a slice for each axis or the first of them, C-ordered."""
    if isinstance(source, Stored):
        return source.box(shape, box)
    return np.ascontiguousarray(source.reshape(shape)[box])
