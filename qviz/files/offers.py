"""Which tensors does one NumPy array offer? Itself, or each field of its records; raw bytes by what wrote them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.frozen import frozen
from qviz.core.problems import N_, Phrase
from qviz.core.work import IsCancelled, Progress, check
from qviz.files.entry import Loaded, Note
from qviz.files.memory import check_room
from qviz.files.small import BLOCK, NAMES, small_dtype, to_float32

KINDS_OF_NUMBERS = "fiub"

_RAW = {"<V2": "bfloat16", "|V2": "bfloat16", "<f1": "float8_e5m2", "<V1": "float8_e4m3fn", "|V1": "float8_e4m3fn"}
"""What NumPy writes of the types of ml_dtypes (JAX, MLX, Keras): it has no names for them."""

_TWO_BYTES = np.dtype("V2")

_ASSUMED = {
    "bfloat16": N_("Values of two raw bytes are taken as bfloat16."),
    "float8_e4m3fn": N_("Values of one raw byte are taken as float8_e4m3fn; other types of one byte look the same."),
}


@frozen
class Offer:
    """One tensor of an array: its field (names joined by dots), None for the array itself."""

    field: str | None
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_assumed: bool = False

    def note(self) -> Note | None:
        """What was assumed of raw bytes."""
        return Note(Phrase(_ASSUMED[self.dtype.name])) if self.is_assumed else None


def named_dtype(descr: str) -> np.dtype[Any]:
    """The type that a header names, by a name of ml_dtypes too.

    Raises
    ------
    TypeError
        When neither knows it.
    """
    if descr in NAMES:
        return small_dtype(descr)
    if descr in _RAW:
        return small_dtype(_RAW[descr])
    return np.dtype(descr)


def is_small(dtype: np.dtype[Any]) -> bool:
    """Whether it is one of ml_dtypes."""
    return dtype.isbuiltin != 1 and dtype.name in NAMES  # NumPy puts a name together each time that it is asked


def is_of_numbers(dtype: np.dtype[Any]) -> bool:
    """Whether real numbers are made of it."""
    return is_small(dtype) or (dtype.kind in KINDS_OF_NUMBERS and dtype.names is None and dtype.subdtype is None)


def is_raw(descr: str) -> bool:
    """Whether a header names raw bytes, whose type is assumed."""
    return descr in _RAW and "V" in descr


def offers(dtype: np.dtype[Any], shape: tuple[int, ...], *, is_assumed: bool = False) -> tuple[Offer, ...]:
    """The tensors of an array: itself, or its fields of real numbers."""
    if dtype.names is None:
        return (Offer(None, shape, dtype, is_assumed),) if is_of_numbers(dtype) else ()
    return tuple(
        Offer(".".join(path), shape + inner, kind) for path, kind, inner in _fields(dtype) if is_of_numbers(kind)
    )


def _fields(dtype: np.dtype[Any]) -> Iterator[tuple[tuple[str, ...], np.dtype[Any], tuple[int, ...]]]:
    for name in dtype.names or ():
        kind = dtype[name]
        base, inner = kind.subdtype or (kind, ())
        if base.names is not None and not inner:
            yield from (((name, *path), deep, shape) for path, deep, shape in _fields(base))
        elif 0 not in inner:
            yield (name,), small_dtype("bfloat16") if base == _TWO_BYTES else base, inner


def taken(
    path: Path, member: str, array: Loaded, field: str | None, progress: Progress, cancelled: IsCancelled
) -> Loaded:
    """The tensor that an offer promised: a field as an array of its own, small types as float32.

    Raises
    ------
    FileProblem
        When there is no room for it.
    """
    check(cancelled)
    if field is not None:
        names, dtype, _ = next(each for each in _fields(array.dtype) if ".".join(each[0]) == field)
        array = _field_of(path, member, array, names, progress, cancelled).view(dtype)
    if is_small(array.dtype):
        return to_float32(path, member, array, array.dtype, progress, cancelled)
    progress(1.0)
    return array


def _field_of(
    path: Path, member: str, records: Loaded, names: tuple[str, ...], progress: Progress, cancelled: IsCancelled
) -> np.ndarray[Any, Any]:
    """A copy of one field of all records."""

    def of(part: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return reduce(lambda records, name: records[name], names, part)

    few = of(np.empty(0, records.dtype))
    inner, dtype = few.shape[1:], few.dtype
    size = math.prod(records.shape)
    check_room(path, member, size * math.prod(inner) * dtype.itemsize, N_("Close other programs."))
    if isinstance(records, np.ndarray):
        return np.ascontiguousarray(of(records))
    copied = np.empty((size, *inner), dtype)
    for first in range(0, size, BLOCK):
        check(cancelled)
        copied[first : first + BLOCK] = of(records[first : first + BLOCK])
        progress(min(1.0, (first + BLOCK) / size))
    return copied.reshape(*records.shape, *inner)
