"""How is a safetensors file read: plain values in place, bfloat16 and float8 as float32?

The format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.problems import N_
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.entry import Loaded, TensorEntry
from qviz.files.file_array import FileArray, array_in
from qviz.files.problems import FileProblem, NoNumbers, shortened
from qviz.files.small import small_dtype, to_float32

_DAMAGED = N_("Copy or download it again.")
_MOST_AXES = 64

_PLAIN: dict[str, np.dtype[Any]] = {
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

_NAMES = {kind: dtype.name for kind, dtype in _PLAIN.items()} | _SMALL


@dataclass(frozen=True)
class _Info:
    """What the header says of one tensor, and where its bytes begin."""

    key: str
    shape: tuple[int, ...]
    kind: str
    start: int

    @property
    def dtype(self) -> str:
        return _NAMES.get(self.kind, self.kind)


def list_entries(path: Path) -> tuple[TensorEntry, ...]:
    """The tensors of the file in their order; those without elements are left out.

    Raises
    ------
    FileProblem
        When the file is damaged, or holds no tensors.
    """
    infos = _infos(path)
    if not infos:
        raise FileProblem(path, N_("has no tensors in it"), N_("Choose a file with weights."))
    filled = [info for info in infos.values() if 0 not in info.shape]
    if not filled:
        key = shortened(next(iter(infos)))
        raise NoNumbers(path, N_("holds '{key}', which has no elements"), N_("Choose a file with weights."), key=key)
    return tuple(
        TensorEntry(f"{path.stem}/{info.key}", path, info.key, info.shape, info.dtype, partial(_load, path, info.key))
        for info in filled
    )


def _load(path: Path, key: str, *, progress: Progress = ignore, cancelled: IsCancelled = never) -> Loaded:
    check(cancelled)
    # Once more: the file may have changed since it was listed.
    info = _infos(path).get(key)
    if info is None or 0 in info.shape:
        raise FileProblem(path, N_("has no tensor '{key}' any more"), N_("Open the file again."), key=shortened(key))
    if plain := _PLAIN.get(info.kind):
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


def _converted(path: Path, info: _Info, progress: Progress, cancelled: IsCancelled) -> np.ndarray[Any, Any]:
    dtype = small_dtype(_SMALL[info.kind])
    bits = FileArray(path, np.dtype(f"<u{dtype.itemsize}"), info.start, info.shape)
    return to_float32(path, info.key, bits, dtype, progress, cancelled)


def _infos(path: Path) -> dict[str, _Info]:
    """Every tensor by its name; the library has made sure that each lies inside the file."""
    with path.open("rb") as file:
        start = file.read(8)
    if not start:
        raise FileProblem(path, N_("is empty"), _DAMAGED)
    infos = {}
    with _opened(path) as file:
        # There are no gaps, neither behind the header nor between tensors: the library refuses them.
        at = 8 + int.from_bytes(start, "little")
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
            infos[key] = _Info(key, shape or (1,), kind, at)
            at += -(-math.prod(shape) * _bits(kind) // 8)
    return infos


def _bits(kind: str) -> int:
    """Bits of one value: the number in the name of its type."""
    return 8 if kind == "BOOL" else int("".join(c for c in kind.split("_", 1)[0] if c.isdigit()))


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
