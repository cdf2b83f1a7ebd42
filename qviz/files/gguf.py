"""How is a GGUF file read: the quantized tensors of a language model, decoded to float32?

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The header is walked here and
not by the ``gguf`` package, which believes every count that it finds; the package decodes the values.
"""

from __future__ import annotations

import functools
import math
import os
import struct
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.frozen import frozen
from qviz.core.problems import N_
from qviz.core.sizes import byte_text
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.counted import BITS, KINDS, counted_in
from qviz.files.entry import Loaded, TensorEntry
from qviz.files.file_array import FileArray, array_in
from qviz.files.memory import check_room
from qviz.files.problems import FileProblem, NoNumbers, check_number, shortened, system_errors
from qviz.files.stamp import Stamp, check_stamp

MAGIC = b"GGUF"
BLOCK = 1 << 18
"""Elements decoded between two looks at the cancel flag."""

_DAMAGED = N_("Copy or download it again.")
_CONVERT = N_("Convert the model again with a current llama.cpp.")
_MOST_AXES = 8
_LONGEST_NAME = (1 << 16) - 1
_LEAST_ROW = 8 + 4 + 4 + 8
"""Bytes that the header has of a tensor at least."""

_MOST_ITEMS = 1 << 21
"""Keys, tensors and strings in lists: the largest vocabularies have a quarter of a million."""

_STRING, _LIST = 8, 9
_SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of the metadata's scalar types."""

_INTEGERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 10: "Q", 11: "q"}
"""Those of them that are integers, as ``struct`` has them."""

_SPLIT = ("split.no", "split.count")

_GONE = {
    4: "Q4_2",
    5: "Q4_3",
    31: "Q4_0_4_4",
    32: "Q4_0_4_8",
    33: "Q4_0_8_8",
    36: "IQ4_NL_4_4",
    37: "IQ4_NL_4_8",
    38: "IQ4_NL_8_8",
}
"""Types that llama.cpp had once."""

_HALVES: dict[str, tuple[int, ...]] = {
    "BF16": (0,),
    "Q4_0": (0,),
    "Q4_1": (0, 2),
    "Q5_0": (0,),
    "Q5_1": (0, 2),
    "Q8_0": (0,),
    "Q2_K": (80, 82),
    "Q3_K": (108,),
    "Q4_K": (0, 2),
    "Q5_K": (0, 2),
    "Q6_K": (208,),
}
"""Where the numbers of two bytes stand in a block, which big-endian files have the other way round (ggml-common.h)."""

_PLAIN: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "F64": np.dtype("<f8"),
    "I8": np.dtype("i1"),
    "I16": np.dtype("<i2"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
}
"""What needs no decoding."""

_DTYPES = {kind: dtype.name for kind, dtype in _PLAIN.items()} | {"BF16": "bfloat16"}
"""Their names, which NumPy puts together each time that it is asked."""


@frozen
class _Info:
    """What the header says of one tensor; ``start`` and ``nbytes`` are its place in the file.

    ``refused`` is why it can't be read; ``is_swapped`` where the file is big-endian.
    """

    key: str
    shape: tuple[int, ...]
    kind: str
    start: int
    nbytes: int
    is_swapped: bool
    refused: FileProblem | None = None

    @property
    def dtype(self) -> str:
        """``"float32"`` where the values are plain, else the name of the quantization: ``"Q4_K"``."""
        return _DTYPES.get(self.kind, self.kind)


def list_entries(path: Path) -> tuple[TensorEntry, ...]:
    """The tensors of the model in their order; those without elements are left out.

    Raises
    ------
    FileProblem
        When the file is no GGUF file, is damaged, or holds no tensors.
    """
    stamp = Stamp.listed(path)
    infos = _infos(path)
    filled = [info for info in infos.values() if info.nbytes or info.refused]
    if not filled:
        key = shortened(next(iter(infos)))
        raise NoNumbers(path, N_("holds '{key}', which has no elements"), N_("Choose a model with weights."), key=key)
    return tuple(_entry(path, info, stamp) for info in filled)


def _entry(path: Path, info: _Info, stamp: Stamp) -> TensorEntry:
    plain = info.refused is None and not info.is_swapped and info.dtype in BITS
    bits = partial(_bits, path, info, stamp) if plain else None
    kind = KINDS.get(info.dtype)
    return TensorEntry(
        f"{path.stem}/{info.key}",
        path,
        info.key,
        info.shape,
        info.dtype,
        partial(_load, path, info, stamp),
        refused=info.refused,
        nbytes=info.nbytes if info.refused is None else None,
        counted=partial(counted_in, path, bits, kind) if bits is not None and kind is not None else None,
        bits=bits,
    )


def _bits(path: Path, info: _Info, stamp: Stamp) -> FileArray:
    with system_errors(path):
        check_stamp(path, stamp)
        return FileArray(path, BITS[info.dtype], info.start, info.shape)


def _load(
    path: Path, info: _Info, stamp: Stamp, *, progress: Progress = ignore, cancelled: IsCancelled = never
) -> Loaded:
    check(cancelled)
    found: _Info | None = info
    if Stamp.of(path) != stamp:
        found = _infos(path).get(info.key)
    if found is None or not (found.nbytes or found.refused):
        raise FileProblem(
            path, N_("has no tensor '{key}' any more"), N_("Open the file again."), key=shortened(info.key)
        )
    if found.refused:
        raise found.refused
    if plain := _PLAIN.get(found.kind):
        dtype = plain.newbyteorder() if found.is_swapped else plain
        return array_in(path, dtype, found.start, found.shape, progress=progress, cancelled=cancelled)
    return _decode(path, found, progress, cancelled)


def _decode(path: Path, info: _Info, progress: Progress, cancelled: IsCancelled) -> np.ndarray[Any, Any]:
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
    from gguf.quants import dequantize

    name = shortened(info.key)
    kind = GGMLQuantizationType[info.kind]
    block, block_bytes = GGML_QUANT_SIZES[kind]
    elements = math.prod(info.shape)
    check_room(path, info.key, 4 * elements, N_("Close other programs, or choose a smaller tensor."))
    stored = FileArray(path, np.dtype(np.uint8), info.start, (info.nbytes,))
    values = np.empty(elements, np.float32)
    step = max(1, BLOCK // block)
    for first in range(0, elements // block, step):
        check(cancelled)
        piece = np.asarray(stored[first * block_bytes : (first + step) * block_bytes])
        if info.is_swapped:
            piece = _swapped(piece, info.kind, block_bytes)
        try:
            # Scales of damaged blocks may be infinite or NaN: their values are, too, and are left out later.
            with np.errstate(all="ignore"):
                decoded = dequantize(piece.reshape(1, -1), kind)
        except NotImplementedError:
            raise FileProblem(
                path,
                N_("holds '{name}', whose type {kind} cannot be decoded by the gguf package"),
                N_("Update it, or save the tensor in another type."),
                name=name,
                kind=info.kind,
            ) from None
        values[first * block : first * block + decoded.size] = decoded[0]
        progress(min(1.0, (first + step) * block / elements))
    return values.reshape(info.shape)


def _swapped(piece: np.ndarray[Any, Any], kind: str, block_bytes: int) -> np.ndarray[Any, Any]:
    """Blocks of a big-endian file as a little-endian one has them."""
    blocks = piece.reshape(-1, block_bytes).copy()
    for place in _HALVES[kind]:
        blocks[:, place : place + 2] = blocks[:, place + 1 : place - 1 if place else None : -1][:, :2]
    return blocks


def _infos(path: Path) -> dict[str, _Info]:
    """Every tensor by its name; each is known to lie inside the file."""
    with path.open("rb") as file:
        start = file.read(len(MAGIC))
        if not start:
            raise FileProblem(path, N_("is empty"), _DAMAGED)
        if not start.startswith(MAGIC[: len(start)]):
            raise FileProblem(path, N_("is not a GGUF file: it does not begin like one"), _CONVERT)
        return _Header(path, file).tensors()


class _Header:
    """A place in a file that moves on with what is read, and never beyond its end."""

    def __init__(self, path: Path, file: BufferedReader) -> None:
        self._path = path
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._at = len(MAGIC)
        file.seek(self._at)
        self._items = 0
        self._order = "<"

    @property
    def _is_swapped(self) -> bool:
        return self._order == ">"

    def tensors(self) -> dict[str, _Info]:
        version = self._number("I")
        if version and not version & 0xFFFF:
            self._order = ">"
            version = int.from_bytes(version.to_bytes(4, "little"), "big")
        if version not in (2, 3):
            raise FileProblem(
                self._path, N_("is of GGUF version {version}, where 2 and 3 are known"), _CONVERT, version=version
            )
        count, keys = self._number("Q"), self._number("Q")
        if count * _LEAST_ROW <= self._size:
            check_number(self._path, count)
        said = {"general.alignment": 32}
        for _ in range(keys):
            key, kind = self._text(), self._number("I")
            if key in (*said, *_SPLIT) and kind in _INTEGERS:
                said[key] = self._number(_INTEGERS[kind])
            else:
                self._skip(kind)
        alignment = said["general.alignment"]
        if not 0 < alignment <= 1 << 20 or alignment & (alignment - 1):
            raise self._damaged(N_("has an impossible alignment ({alignment})"), alignment=alignment)
        rows: list[tuple[str, tuple[int, ...], int, int]] = []
        names = set()
        for _ in range(count):
            key, shape = self._text(), self._shape()
            number, offset = self._numbers("IQ")
            rows.append((key, shape, number, offset))
            names.add(rows[-1][0])
            if len(names) < len(rows):
                raise self._damaged(N_("names two of its tensors alike"))
        data = -(-self._at // alignment) * alignment
        found = {key: self._placed(key, shape, number, data + offset) for key, shape, number, offset in rows}
        if not found:
            raise self._empty(said.get("split.no", 0), said.get("split.count", 1))
        return found

    def _empty(self, number: int, count: int) -> FileProblem:
        if count > 1:
            return NoNumbers(
                self._path,
                N_("is part {number:,} of {count:,} and holds no tensors"),
                N_("Open the other parts, or their folder."),
                number=number + 1,
                count=count,
            )
        return NoNumbers(
            self._path, N_("has no tensors in it: it holds a vocabulary alone"), N_("Choose a model with weights.")
        )

    def _placed(self, key: str, shape: tuple[int, ...], number: int, start: int) -> _Info:
        name = shortened(key)
        known = _type_numbered(number)
        if known is None:
            label = _GONE.get(number, f"type {number}")
            return _Info(key, shape, label, start, 0, self._is_swapped, self._unknown(name, number))
        kind, block, block_bytes = known
        if shape[-1] % block:
            raise self._damaged(
                N_("holds '{name}', whose rows of {row:,} do not fit the blocks of {block} of {kind}"),
                name=name,
                row=shape[-1],
                block=block,
                kind=kind,
            )
        nbytes = math.prod(shape) // block * block_bytes
        if nbytes and start + nbytes > self._size:
            if start + nbytes >= 1 << 63:
                raise self._damaged(N_("holds '{name}', which promises more values than any disk holds"), name=name)
            raise self._damaged(
                N_("is cut off: '{name}' reaches to byte {end:,}, but the file has {size}"),
                name=name,
                end=start + nbytes,
                size=byte_text(self._size),
            )
        refused = None
        if self._is_swapped and kind not in _PLAIN and kind not in _HALVES:
            refused = FileProblem(
                self._path,
                N_("holds '{name}' in {kind}, which qviz does not read in big-endian order"),
                _CONVERT,
                name=name,
                kind=kind,
            )
        return _Info(key, shape, kind, start, nbytes, self._is_swapped, refused)

    def _unknown(self, name: str, number: int) -> FileProblem:
        if number in _GONE:
            return FileProblem(
                self._path,
                N_("holds '{name}' in {kind}, a type that llama.cpp has no longer"),
                N_("Choose another tensor, or convert the model again."),
                name=name,
                kind=_GONE[number],
            )
        return FileProblem(
            self._path,
            N_("holds '{name}', whose type {number} the gguf package does not know"),
            N_("Choose another tensor, or save this one in another type."),
            name=name,
            number=number,
        )

    def _shape(self) -> tuple[int, ...]:
        axes = self._number("I")
        if axes > _MOST_AXES:
            raise self._damaged(N_("promises a tensor of {axes:,} axes"), axes=axes)
        # The first is the one whose elements are neighbours.
        return tuple(self._numbers("Q" * axes))[::-1] or (1,)

    def _skip(self, kind: int) -> None:
        """Pass by one value of the metadata."""
        if kind == _LIST:
            inner, count = self._number("I"), self._number("Q")
            if inner == _STRING:
                for _ in range(count):
                    self._pass(self._number("Q"))
                    self._count()
                return
            self._pass(count * self._bytes_of(inner))
        else:
            self._pass(self._number("Q") if kind == _STRING else self._bytes_of(kind))

    def _bytes_of(self, kind: int) -> int:
        if kind not in _SCALAR_BYTES:
            raise self._damaged(N_("has metadata of an unknown type ({kind})"), kind=kind)
        return _SCALAR_BYTES[kind]

    def _text(self) -> str:
        self._count()
        length = self._number("Q")
        if length > _LONGEST_NAME:
            raise self._damaged(N_("promises a name of {size}"), size=byte_text(length))
        try:
            return self._take(length).decode()
        except UnicodeDecodeError:
            raise self._damaged(N_("has a name that is no text")) from None

    def _number(self, code: str) -> int:
        return self._numbers(code)[0]

    def _numbers(self, codes: str) -> tuple[int, ...]:
        """Whole numbers, one behind the other."""
        form = _form(self._order + codes)
        return form.unpack(self._take(form.size))

    def _take(self, length: int) -> bytes:
        """So many bytes, and move on behind them."""
        self._move(length)
        content = self._file.read(length)
        if len(content) < length:
            raise self._cut_off()
        return content

    def _pass(self, length: int) -> None:
        """Move on by so many bytes."""
        self._move(length)
        self._file.seek(length, os.SEEK_CUR)

    def _move(self, length: int) -> None:
        if length > self._size - self._at:
            raise self._cut_off()
        self._at += length

    def _cut_off(self) -> FileProblem:
        return self._damaged(N_("is cut off inside its header"))

    def _count(self) -> None:
        self._items += 1
        if self._items > _MOST_ITEMS:
            raise self._damaged(N_("has a header of more than {most:,} parts, which no model has"), most=_MOST_ITEMS)

    def _damaged(self, what: str, **values: object) -> FileProblem:
        return FileProblem(self._path, what, _DAMAGED, **values)


@functools.cache
def _form(codes: str) -> struct.Struct:
    return struct.Struct(codes)


@functools.cache
def _type_numbered(number: int) -> tuple[str, int, int] | None:
    """The name of a type, and elements and bytes of its blocks; None where there is no such type."""
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    try:
        kind = GGMLQuantizationType(number)
    except ValueError:
        return None
    return kind.name, *GGML_QUANT_SIZES[kind]
