"""How are bare numbers read (.bin)? As a person says: of which type, shape, offset and byte order."""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from qviz.core.frozen import frozen
from qviz.core.problems import N_, Phrase, Problem
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.entry import Loaded, Note, TensorEntry
from qviz.files.file_array import FileArray, array_in
from qviz.files.problems import FileProblem
from qviz.files.small import NAMES, small_dtype, to_float32

SUFFIXES = (".bin", ".raw")

TYPES = (
    "float32",
    "float16",
    "bfloat16",
    "float64",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float8_e4m3fn",
    "float8_e5m2",
)
ORDERS = ("little", "big")


class SayRaw(FileProblem):
    """Only a person knows how the numbers of this file are written."""


@frozen
class RawForm:
    """How bare numbers are written.

    Parameters
    ----------
    dtype : str
        One of `TYPES`.
    shape : tuple of int, optional
        All that follow the offset by itself, in a row; one length may be -1.
    offset : int
        Bytes before the first number.
    byteorder : {'little', 'big'}
    """

    dtype: str = "float32"
    shape: tuple[int, ...] | None = None
    offset: int = 0
    byteorder: Literal["little", "big"] = "little"

    @classmethod
    def parsed(cls, text: str) -> RawForm:
        """From ``dtype=float16,shape=64x512,offset=128,byteorder=big``.

        Raises
        ------
        Problem
            For a name or a value that is not known.
        """
        said: dict[str, Any] = {}
        for part in filter(None, re.sub(r"\s", "", text).split(",")):
            key, _, value = part.partition("=")
            if key not in _READ:
                raise Problem(
                    N_("bare numbers have no option “{name}”: choose from {names}."), name=key, names=", ".join(_READ)
                )
            try:
                said[key] = _READ[key](value)
            except ValueError:
                raise Problem(
                    N_("{name} of bare numbers can't be “{value}”: give {values}."),
                    name=key,
                    value=value,
                    values=_VALUES[key],
                ) from None
        return cls(**said)

    def __str__(self) -> str:
        shape = f",shape={'x'.join(map(str, self.shape))}" if self.shape is not None else ""
        return f"dtype={self.dtype}{shape},offset={self.offset},byteorder={self.byteorder}"


def _one_of(values: tuple[str, ...]) -> Any:
    def read(text: str) -> str:
        if text not in values:
            raise ValueError(text)
        return text

    return read


def _shape(text: str) -> tuple[int, ...]:
    lengths = re.split("[x×*]", text)
    if not 0 < len(lengths) <= 8 or not all(re.fullmatch(r"-1|[1-9][0-9]{0,17}", length) for length in lengths):
        raise ValueError(text)
    shape = tuple(map(int, lengths))
    if shape.count(-1) > 1:
        raise ValueError(text)
    return shape


def _offset(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError(text)
    return int(text)


_READ: dict[str, Any] = {"dtype": _one_of(TYPES), "shape": _shape, "offset": _offset, "byteorder": _one_of(ORDERS)}
_VALUES = {
    "dtype": ", ".join(TYPES),
    "shape": "64x512",
    "offset": N_("a number of bytes"),
    "byteorder": ", ".join(ORDERS),
}


def list_entries(path: Path, form: RawForm | None) -> tuple[TensorEntry, ...]:
    """The one tensor of the file.

    Raises
    ------
    SayRaw
        When nobody has said how it is written.
    FileProblem
        When the file has other bytes than what was said takes.
    """
    if form is None:
        raise SayRaw(
            path,
            N_("holds bare numbers and does not say of which type and shape"),
            N_("Say it: --raw dtype=float32,shape=64x512,offset=0,byteorder=little."),
        )
    shape, left = _fitted(path, form)
    note = Note(
        Phrase(
            N_("Read as {dtype}, {order}-endian, from byte {offset:,}; {left:,} bytes follow."),
            dtype=form.dtype,
            order=form.byteorder,
            offset=form.offset,
            left=left,
        ),
        is_plain=not left,
    )
    return (
        TensorEntry(path.name, path, None, shape, form.dtype, partial(_load, path, form), lambda: note, written="raw"),
    )


def _fitted(path: Path, form: RawForm) -> tuple[tuple[int, ...], int]:
    """The shape, and how many bytes follow the tensor."""
    held = path.stat().st_size - form.offset
    width = _dtype(form).itemsize
    if held < width:
        raise FileProblem(
            path, N_("has no numbers behind byte {offset:,}"), N_("Give a smaller offset."), offset=form.offset
        )
    if form.shape is None:
        return (held // width,), held % width
    known = math.prod(length for length in form.shape if length != -1)
    shape = tuple(held // width // known if length == -1 else length for length in form.shape)
    needed = math.prod(shape) * width
    if needed > held or 0 in shape:
        raise FileProblem(
            path,
            N_("has {held:,} bytes behind byte {offset:,}, but {shape} values of {dtype} take {needed:,}"),
            N_("Give another shape or type."),
            held=held,
            offset=form.offset,
            shape="×".join(map(str, form.shape)),
            dtype=form.dtype,
            needed=max(needed, known * width),
        )
    return shape, held - needed


def _dtype(form: RawForm) -> np.dtype[Any]:
    return small_dtype(form.dtype) if form.dtype in NAMES else np.dtype(form.dtype)


def _load(path: Path, form: RawForm, *, progress: Progress = ignore, cancelled: IsCancelled = never) -> Loaded:
    check(cancelled)
    shape, _ = _fitted(path, form)
    dtype = _dtype(form)
    order: Literal["<", ">"] = "<" if form.byteorder == "little" else ">"
    if form.dtype not in NAMES:
        return array_in(path, dtype.newbyteorder(order), form.offset, shape, progress=progress, cancelled=cancelled)
    bits = FileArray(path, np.dtype(f"{order}u{dtype.itemsize}"), form.offset, shape)
    return to_float32(path, path.name, bits, dtype, progress, cancelled)
