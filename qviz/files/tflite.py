"""How is a TensorFlow Lite model read: its constants, quantized ones decoded by their own scales?

The file is one FlatBuffer, walked here with every offset checked. Fields by number:
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs
"""

from __future__ import annotations

import math
import struct
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.frozen import frozen
from qviz.core.problems import N_, Phrase
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.entry import Loaded, Note, TensorEntry
from qviz.files.memory import check_room
from qviz.files.problems import FileProblem, NoNumbers, shortened
from qviz.files.region import MOST_AXES, Content, Region, bytes_of, values_in

MARK = b"TFL3"

_DAMAGED = N_("Copy or download it again.")
_MOST = 500_000
"""Tensors, buffers and graphs of one model together: each offset may lead to the same one."""

_MOST_SAID = 1 << 27
"""Bytes of all names, shapes and scales together: thousands of tensors may point to the same long one."""

_DTYPES = {
    0: "float32",
    1: "float16",
    2: "int32",
    3: "uint8",
    4: "int64",
    6: "bool",
    7: "int16",
    9: "int8",
    10: "float64",
    12: "uint64",
    15: "uint32",
    16: "uint16",
    17: "int4",
    18: "bfloat16",
}


@frozen
class _Tensor:
    """What the file says of one constant, and where its values lie."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    place: Region
    scale: tuple[float, ...] = ()
    zero_point: tuple[int, ...] = ()
    axis: int = 0


def list_entries(path: Path) -> tuple[TensorEntry, ...]:
    """The constants of the model, graph by graph; those without elements are left out.

    Raises
    ------
    FileProblem
        When the file is damaged, or holds no constants of real numbers.
    """
    region = Region.whole(path)
    if not region.size:
        raise FileProblem(path, N_("is empty"), _DAMAGED)
    try:
        with region.content() as content:
            tensors = _tensors(region, content)
    except (struct.error, IndexError, _Damage) as error:
        detail = str(error) if isinstance(error, _Damage) else "it points beyond its end"
        raise FileProblem(
            path, N_("is no TensorFlow Lite model, or a damaged one ({detail})"), _DAMAGED, detail=detail
        ) from None
    if not tensors:
        raise NoNumbers(path, N_("has no weights in it"), N_("Choose a model with weights."))
    return tuple(
        TensorEntry(
            f"{path.stem}/{each.name}",
            path,
            each.name,
            each.shape,
            each.dtype,
            partial(_load, each),
            partial(_note, each),
            nbytes=each.place.size,
        )
        for each in tensors
    )


class _Damage(Exception):
    """The file contradicts itself."""


class _Tables:
    """Reads tables and vectors of a FlatBuffer; whatever lies outside of it raises."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._parts = self._said = 0

    def _reads(self, nbytes: int) -> None:
        self._said += nbytes
        if self._said > _MOST_SAID:
            raise _Damage("its parts say too much of themselves")

    def number(self, form: str, at: int) -> Any:
        return struct.unpack("<" + form, self._content[at : at + struct.calcsize("<" + form)])[0]

    def follow(self, at: int) -> int:
        """Where an offset leads: forward, always."""
        offset = self.number("I", at)
        if not offset or at + offset >= len(self._content):
            raise _Damage("it points beyond its end")
        return int(at + offset)

    def field(self, table: int, number: int) -> int | None:
        """Where a field of a table is; None where it is left out."""
        fields = table - self.number("i", table)
        if not 0 <= fields < len(self._content):
            raise _Damage("it points beyond its end")
        if 4 + 2 * number >= self.number("H", fields):
            return None
        offset = self.number("H", fields + 4 + 2 * number)
        return table + offset if offset else None

    def value(self, table: int, number: int, form: str, default: int = 0) -> int:
        at = self.field(table, number)
        return default if at is None else int(self.number(form, at))

    def vector(self, table: int, number: int, size: int) -> tuple[int, int]:
        """Where the elements of a vector begin, and how many there are."""
        at = self.field(table, number)
        if at is None:
            return 0, 0
        start = self.follow(at)
        count = self.number("I", start)
        if start + 4 + count * size > len(self._content):
            raise _Damage("a part of it is longer than the file")
        return start + 4, count

    def numbers(self, table: int, number: int, form: str) -> tuple[Any, ...]:
        start, count = self.vector(table, number, struct.calcsize("<" + form))
        self._reads(count * struct.calcsize("<" + form))
        return struct.unpack(f"<{count}{form}", self._content[start : start + count * struct.calcsize("<" + form)])

    def tables(self, table: int, number: int) -> list[int]:
        start, count = self.vector(table, number, 4)
        self._parts += count
        if self._parts > _MOST:
            raise _Damage("it has too many parts")
        offsets = np.frombuffer(self._content[start : start + 4 * count], "<u4").astype(np.int64)
        places = start + 4 * np.arange(count) + offsets
        if not offsets.all() or (places >= len(self._content)).any():
            raise _Damage("it points beyond its end")
        found: list[int] = places.tolist()
        return found

    def text(self, table: int, number: int) -> str:
        start, count = self.vector(table, number, 1)
        length = min(count, 1 << 16)
        self._reads(length)
        return self._content[start : start + length].decode("utf-8", "replace")


def _tensors(region: Region, content: Content) -> list[_Tensor]:
    tables = _Tables(content)
    if content[4:8] != MARK:
        raise _Damage("it does not begin like one")
    model = tables.follow(0)
    buffers = tables.tables(model, 4)
    graphs = tables.tables(model, 2)
    found: dict[str, _Tensor] = {}
    for number, graph in enumerate(graphs):
        prefix = f"{tables.text(graph, 4) or number}/" if number else ""
        for place, table in enumerate(tables.tables(graph, 0)):
            tensor = _tensor(region, tables, table, buffers, f"{prefix}{tables.text(table, 3) or place}")
            if tensor is not None:
                found.setdefault(tensor.name, tensor)
    return list(found.values())


def _tensor(region: Region, tables: _Tables, table: int, buffers: list[int], name: str) -> _Tensor | None:
    """None for what is no constant, or holds no real numbers."""
    number = tables.value(table, 2, "I")
    dtype = _DTYPES.get(tables.value(table, 1, "b"))
    if not 0 < number < len(buffers) or dtype is None:
        return None
    start, size = tables.vector(buffers[number], 0, 1)
    if not size and tables.value(buffers[number], 1, "Q") > 1:  # large models keep them behind the tables
        start, size = tables.value(buffers[number], 1, "Q"), tables.value(buffers[number], 2, "Q")
    shape = tables.numbers(table, 0, "i")
    if not size or 0 in shape:
        return None
    if len(shape) > MOST_AXES or min(shape, default=1) < 0 or bytes_of(dtype, shape) != size:
        raise _Damage(f"{shortened(name)} does not fit its shape")
    if start + size > region.size:
        raise _Damage("it points beyond its end")
    tensor = _Tensor(name, shape or (1,), dtype, region.within(start, size))
    about = tables.field(table, 4)
    if about is None or not dtype.startswith(("int", "uint")):
        return tensor
    about = tables.follow(about)
    scale, zero_point = tables.numbers(about, 2, "f"), tables.numbers(about, 3, "q")
    axis = tables.value(about, 6, "i")
    if not scale:
        return tensor
    zero_point = zero_point or (0,) * len(scale)
    if not 0 <= axis < len(tensor.shape):
        axis = -1
    fits = len(scale) == 1 or (axis >= 0 and tensor.shape[axis] == len(scale))
    if not fits or len(zero_point) not in (1, len(scale)):
        raise _Damage(f"the scales of {shortened(name)} do not fit its shape")
    return _Tensor(name, tensor.shape, dtype, tensor.place, scale, zero_point, max(0, axis))


def _note(tensor: _Tensor) -> Note | None:
    """How a quantized tensor is read."""
    if not tensor.scale:
        return None
    if len(tensor.scale) == 1:
        return Note(Phrase(N_("Decoded from {dtype} with one scale."), dtype=tensor.dtype), is_plain=True)
    said = Phrase(
        N_("Decoded from {dtype} with {count:,} scales along axis {axis}."),
        dtype=tensor.dtype,
        count=len(tensor.scale),
        axis=tensor.axis,
    )
    return Note(said, is_plain=True)


def _load(tensor: _Tensor, *, progress: Progress = ignore, cancelled: IsCancelled = never) -> Loaded:
    codes = values_in(tensor.place, tensor.name, tensor.dtype, tensor.shape, progress, cancelled)
    if not tensor.scale:
        return codes
    check(cancelled)
    check_room(tensor.place.path, tensor.name, 4 * math.prod(tensor.shape), N_("Close other programs."))
    across = [1] * len(tensor.shape)
    if len(tensor.scale) > 1:
        across[tensor.axis] = -1
    scale = np.array(tensor.scale, np.float32).reshape(across)
    zero_point = np.array(tensor.zero_point, np.int64).reshape(across if len(tensor.zero_point) > 1 else 1)
    # As TFLite's own Dequantize: the difference is exact, the product is float32's.
    whole = np.asarray(codes[:]).reshape(tensor.shape).astype(np.int64)
    with np.errstate(over="ignore", invalid="ignore"):  # a damaged scale makes numbers that are not finite
        return np.asarray((whole - zero_point).astype(np.float32) * scale)
