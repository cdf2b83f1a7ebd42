"""Where in a file do some bytes lie, and which values are they? A file, or a member that is stored in one."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast, overload

import numpy as np

from qviz.core.frozen import frozen
from qviz.core.problems import N_
from qviz.core.work import IsCancelled, Progress, check
from qviz.files.entry import Loaded
from qviz.files.file_array import FileArray, array_in
from qviz.files.memory import check_room
from qviz.files.problems import FileProblem, shortened
from qviz.files.small import NAMES, small_dtype, to_float32
from qviz.files.stamp import Stamp, check_stamp

MOST_AXES = 64
"""Of any array of NumPy."""

PACKED = {"int4": 4, "uint4": 4, "float4_e2m1fn": 4, "int2": 2, "uint2": 2}
"""Types of which a byte holds several, and their bits."""

_BLOCK = 1 << 20
_PAGE = 1 << 14

Order = Literal["<", ">"]


@frozen
class Region:
    """A stretch of a file; ``stamp`` is what the file was when it was listed."""

    path: Path
    start: int
    size: int
    stamp: Stamp

    @classmethod
    def whole(cls, path: Path) -> Region:
        """All of a file.

        Raises
        ------
        OSError
            When it can't be read.
        """
        stamp = Stamp.listed(path)
        return cls(path, 0, stamp.size, stamp)

    def within(self, start: int, size: int) -> Region:
        """A part of it.

        Raises
        ------
        ValueError
            When it does not lie inside.
        """
        if start < 0 or size < 0 or start + size > self.size:
            raise ValueError("it points beyond its end")
        return Region(self.path, self.start + start, size, self.stamp)

    def open(self) -> BinaryIO:
        """It as a file of its own, for libraries that read one."""
        return cast(BinaryIO, io.BufferedReader(_Window(self)))

    def read(self, start: int, size: int) -> bytes:
        """Some of its bytes.

        Raises
        ------
        ValueError
            When they do not lie inside.
        """
        part = self.within(start, size)
        with self.path.open("rb") as file:
            file.seek(part.start)
            return file.read(size)

    def unchanged(self) -> Region:
        """Itself, where the file is still what it was.

        Raises
        ------
        FileProblem
            When it was written since, so that nothing need lie where it lay.
        """
        check_stamp(self.path, self.stamp)
        return self

    def content(self) -> Content:
        """Its bytes, read where they are asked for."""
        return Content(self)

    def bits(self, dtype: np.dtype[Any] | str, shape: tuple[int, ...]) -> FileArray:
        """Its beginning as an array of a type of NumPy, read where it is asked for.

        Raises
        ------
        ValueError
            When the array is larger.
        """
        self.within(0, math.prod(shape) * np.dtype(dtype).itemsize)
        return FileArray(self.path, np.dtype(dtype), self.start, shape)


class Content:
    """The bytes of a region, as ``bytes`` gives them: single ones and slices."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._file = region.path.open("rb", buffering=0)
        self._page, self._first = b"", 0

    def __enter__(self) -> Content:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._region.size

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> bytes: ...
    def __getitem__(self, place: int | slice) -> int | bytes:
        if isinstance(place, int):
            within = place - self._first
            if not 0 <= within < len(self._page):
                self._page, self._first = self._read(place, _PAGE), place
                within = 0
            return self._page[within]
        start, stop, _ = place.indices(self._region.size)
        if self._first <= start and stop <= self._first + len(self._page):
            return self._page[start - self._first : stop - self._first]
        return self._read(start, max(0, stop - start))

    def find(self, mark: bytes, start: int, end: int) -> int:
        """Where a mark is; -1 where it is not."""
        found = self[start : min(end, self._region.size)].find(mark)
        return found if found < 0 else start + found

    def _read(self, start: int, size: int) -> bytes:
        if not 0 <= start <= self._region.size:
            raise IndexError(start)
        wanted = min(size, self._region.size - start)
        self._file.seek(self._region.start + start)
        data = self._file.read(wanted)
        if len(data) < wanted:
            raise FileProblem(self._region.path, N_("is cut off"), N_("Copy or download it again."))
        return data


def bits_of(dtype: str) -> int:
    """How many bits a value of a type takes, by the name that NumPy or ml_dtypes has for it."""
    if dtype in PACKED:
        return PACKED[dtype]
    return 8 * (small_dtype(dtype) if dtype in NAMES else np.dtype(dtype)).itemsize


def bytes_of(dtype: str, shape: tuple[int, ...]) -> int:
    """How many bytes an array takes, the last one filled up."""
    return -(-math.prod(shape) * bits_of(dtype) // 8)


def values_in(
    region: Region,
    member: str,
    dtype: str,
    shape: tuple[int, ...],
    progress: Progress,
    cancelled: IsCancelled,
    order: Order = "<",
) -> Loaded:
    """The values that a region holds: plain ones as they lie there, small floats as float32.

    Parameters
    ----------
    region : Region
        Where they begin; it may be longer.
    member : str
        What they are called, for messages.
    dtype : str
        A name of NumPy or of ml_dtypes; packed types are unpacked from the lowest bits on.
    shape : tuple of int
    order : Order
        ``"<"``, or ``">"`` for a big-endian file.

    Raises
    ------
    FileProblem
        When the file has changed, is too short, or there is no room for them.
    """
    check(cancelled)
    region = region.unchanged()
    if bytes_of(dtype, shape) > region.size:
        raise FileProblem(
            region.path, N_("is cut off inside '{member}'"), N_("Copy or download it again."), member=shortened(member)
        )
    if dtype in PACKED:
        return _unpacked(region, member, dtype, shape, progress, cancelled)
    if dtype in NAMES:
        small = small_dtype(dtype)
        return to_float32(
            region.path, member, region.bits(f"{order}u{small.itemsize}", shape), small, progress, cancelled
        )
    kind = np.dtype(dtype).newbyteorder(order)
    return array_in(region.path, kind, region.start, shape, progress=progress, cancelled=cancelled)


def _unpacked(
    region: Region, member: str, dtype: str, shape: tuple[int, ...], progress: Progress, cancelled: IsCancelled
) -> np.ndarray[Any, Any]:
    elements = math.prod(shape)
    is_float = dtype.startswith("float")
    check_room(region.path, member, (5 if is_float else 1) * elements, N_("Close other programs."))
    packed = region.bits("u1", (bytes_of(dtype, shape),))
    codes = np.empty(elements, np.uint8)
    each = 8 // PACKED[dtype]
    mask = (1 << PACKED[dtype]) - 1
    for first in range(0, packed.size, _BLOCK):
        check(cancelled)
        part = np.asarray(packed[first : first + _BLOCK])
        for place in range(each):
            target = codes[first * each + place : (first + _BLOCK) * each : each]
            target[:] = ((part >> (place * PACKED[dtype])) & mask)[: target.size]
    if is_float:
        return to_float32(region.path, member, codes.reshape(shape), small_dtype(dtype), progress, cancelled)
    progress(1.0)
    if dtype.startswith("int"):
        half = 1 << (PACKED[dtype] - 1)
        return ((codes ^ half).view(np.int8) - np.int8(half)).reshape(shape)
    return codes.reshape(shape)


class _Window(io.RawIOBase):
    """A region as a file that can be read and searched."""

    def __init__(self, region: Region) -> None:
        super().__init__()
        self._file = region.path.open("rb", buffering=0)
        self._region = region
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._region.size}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), max(0, self._region.size - self._at))
        self._file.seek(self._region.start + self._at)
        data = self._file.read(wanted)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
