"""How is a safetensors file read: plain values in place, bfloat16 and float8 as float32?

The format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from types import GenericAlias
from typing import Any, NamedTuple

import numpy as np

from qviz.core.problems import N_
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.counted import BITS, KINDS, counted_in
from qviz.files.entry import Loaded, TensorEntry
from qviz.files.file_array import FileArray, array_in
from qviz.files.problems import FileProblem, NoNumbers, check_number, shortened, system_errors
from qviz.files.small import small_dtype, to_float32
from qviz.files.stamp import Stamp, changed

_DAMAGED = N_("Copy or download it again.")
_MOST_AXES = 64

PLAIN: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}
"""What NumPy knows itself."""

_SMALL = {
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
}
"""What ml_dtypes knows, by the names it has there."""

LONGEST = 100_000_000
"""Bytes of a header, as the library has it."""

NAMES = {kind: dtype.name for kind, dtype in PLAIN.items()} | _SMALL


class Info(NamedTuple):
    """What the header says of one tensor, and where its bytes begin."""

    key: str
    shape: tuple[int, ...]
    kind: str
    start: int


def list_entries(path: Path, stem: str | None = None) -> tuple[TensorEntry, ...]:
    """The tensors of the file in their order; those without elements are left out.

    Parameters
    ----------
    path : Path
    stem : str, optional
        What stands in front of their names; that of the file by default.

    Raises
    ------
    FileProblem
        When the file is damaged, or holds no tensors.
    """
    stamp = Stamp.listed(path)
    infos = _infos(path)
    if not infos:
        raise FileProblem(path, N_("has no tensors in it"), N_("Choose a file with weights."))
    stem = path.stem if stem is None else stem
    # Without __init__, which takes a second for 90,000 of a frozen class.
    usual = dict(TensorEntry("", path, "", None, None, _load, outputs_first=True).__dict__)
    entries = []
    for key, info in infos.items():
        if 0 in info.shape:
            continue
        bits = partial(_bits_of, path, info, stamp) if NAMES.get(info.kind) in BITS else None
        kind = KINDS.get(NAMES.get(info.kind, ""))
        entry = object.__new__(TensorEntry)
        entry.__dict__.update(
            usual,
            name=f"{stem}/{key}",
            key=key,
            shape=info.shape,
            dtype=NAMES.get(info.kind, info.kind),
            load=partial(_load, path, info, stamp),
            bits=bits,
            counted=partial(counted_in, path, bits, kind) if bits is not None and kind is not None else None,
        )
        entries.append(entry)
    if not entries:
        key = shortened(next(iter(infos)))
        raise NoNumbers(path, N_("holds '{key}', which has no elements"), N_("Choose a file with weights."), key=key)
    return tuple(entries)


def _load(
    path: Path, listed: Info, stamp: Stamp, *, progress: Progress = ignore, cancelled: IsCancelled = never
) -> Loaded:
    check(cancelled)
    key = listed.key
    # The header again only where the file has changed since it was listed: it may be long.
    info = listed if Stamp.of(path) == stamp else _infos(path).get(key)
    if info is None or 0 in info.shape:
        raise FileProblem(path, N_("has no tensor '{key}' any more"), N_("Open the file again."), key=shortened(key))
    if plain := PLAIN.get(info.kind):
        return array_in(path, plain, info.start, info.shape, progress=progress, cancelled=cancelled)
    if info.kind not in _SMALL:
        raise FileProblem(
            path,
            N_("holds '{key}', whose values of type {kind} qviz does not read"),
            N_("Save it as float32."),
            key=shortened(key),
            kind=info.kind,
        )
    return _converted(path, info, progress, cancelled)


def _bits_of(path: Path, listed: Info, stamp: Stamp) -> FileArray:
    with system_errors(path):
        # The header again only where the file has changed since it was listed.
        info = listed if Stamp.of(path) == stamp else _infos(path).get(listed.key)
        if info is None or info.kind != listed.kind or info.shape != listed.shape:
            raise changed(path)
        return FileArray(path, BITS[NAMES[info.kind]], info.start, info.shape)


def places(path: Path) -> dict[str, Info]:
    """What the header says of each part of a file, for formats that are made of this one.

    Raises
    ------
    FileProblem
        When the file is damaged.
    """
    return _infos(path)


def _converted(path: Path, info: Info, progress: Progress, cancelled: IsCancelled) -> np.ndarray[Any, Any]:
    dtype = small_dtype(_SMALL[info.kind])
    bits = FileArray(path, np.dtype(f"<u{dtype.itemsize}"), info.start, info.shape)
    return to_float32(path, info.key, bits, dtype, progress, cancelled)


def _infos(path: Path) -> dict[str, Info]:
    """Every tensor by its name, in the order of the bytes; each lies inside the file, without gaps between them."""
    with path.open("rb") as file:
        start = file.read(8)
        if not start:
            raise FileProblem(path, N_("is empty"), _DAMAGED)
        length = int.from_bytes(start, "little")
        size = os.fstat(file.fileno()).st_size
        header = file.read(length) if length <= min(LONGEST, size - 8) else b""
    check_number(path, header.count(b'"dtype"'))
    found = plain_header(header, 8 + length, size)
    if found is None:
        found = _by_the_library(path, 8 + length)
    if any(header.count(word) > max(1, len(found)) for word in _WORDS) or header.count(_ABOUT) > 1:
        _check_keys(path, header)
    return found


_ABOUT = b'"__metadata__"'
_WORDS = (b'"dtype"', b'"shape"', b'"data_offsets"')
"""Each stands once for each tensor, where none is named twice."""


def _check_keys(path: Path, header: bytes) -> None:
    """Make sure that nothing is said twice, of which readers would take one or the other: the format forbids it."""

    twice: list[str] = []

    def checked(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                twice.append(key)
            seen.add(key)

    with suppress(ValueError, RecursionError):
        json.loads(header, object_pairs_hook=checked)
    if twice:
        raise FileProblem(path, N_("says '{key}' twice in its header"), _DAMAGED, key=shortened(twice[0]))


def plain_header(header: bytes, first: int, size: int) -> dict[str, Info] | None:
    """What a flawless header says; None for all others, of which the library has to say what is wrong.

    Parameters
    ----------
    header : bytes
        JSON, as it lies in the file.
    first, size : int
        Where the values begin, and where the file ends.
    """
    import msgspec

    if not header.startswith(b"{"):
        return None
    try:
        said = _header_decoder().decode(header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    said.pop("__metadata__", None)
    infos = {}
    at = 0
    for key, row in sorted(said.items(), key=lambda each: each[1].data_offsets):
        begin, end = row.data_offsets
        shape, bits = row.shape, _KNOWN_BITS.get(row.dtype)
        if bits is None or begin != at or len(shape) > _MOST_AXES or (shape and min(shape) < 0):
            return None
        if 8 * (end - begin) != bits * math.prod(shape):
            return None
        infos[key] = Info(key, shape or (1,), row.dtype, first + at)
        at = end
    return infos if first + at == size else None


@cache
def _header_decoder() -> Any:
    """What the header says of each tensor; msgspec is not needed before the first file."""
    import msgspec

    row = msgspec.defstruct(
        "HeaderRow",
        [("dtype", str, ""), ("shape", tuple[int, ...], ()), ("data_offsets", tuple[int, int], (-1, -1))],
        gc=False,
    )
    return msgspec.json.Decoder(GenericAlias(dict, (str, row)))


def _by_the_library(path: Path, at: int) -> dict[str, Info]:
    infos = {}
    with _opened(path) as file:
        # There are no gaps, neither behind the header nor between tensors: the library refuses them.
        for key in file.offset_keys():
            part = file.get_slice(key)
            shape, kind = tuple(part.get_shape()), part.get_dtype()
            if len(shape) > _MOST_AXES:
                raise FileProblem(
                    path,
                    N_("holds '{key}', which has {axes} axes"),
                    N_("Reshape it."),
                    key=shortened(key),
                    axes=len(shape),
                )
            infos[key] = Info(key, shape or (1,), kind, at)
            at += -(-math.prod(shape) * _bits(kind) // 8)
    return infos


def _bits(kind: str) -> int:
    """Bits of one value: the number in the name of its type."""
    return 8 if kind == "BOOL" else int("".join(c for c in kind.split("_", 1)[0] if c.isdigit()))


_KNOWN_BITS = {kind: 8 if kind == "BOOL" else _bits(kind) for kind in NAMES}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            yield file
    except SafetensorError as error:
        detail = shortened(str(error).removeprefix("Error while deserializing header: "), 80)
        raise FileProblem(
            path, N_("is not a safetensors file, or a damaged one ({detail})"), _DAMAGED, detail=detail
        ) from error
