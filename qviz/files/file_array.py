"""How are the values of a file read so that nothing that happens to the file ends the process or mixes old and new?

A memory map of a file that is truncated ends the process with a signal, and one that is rewritten shows new
values among old ones. Here small arrays are copied into memory, and large ones are read where they are asked
for; each time the file is made sure to be the one that was opened.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from qviz.core.problems import N_
from qviz.core.tensors.stored import Stored
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.memory import check_room
from qviz.files.problems import FileProblem, system_errors
from qviz.files.stamp import Stamp, check_stamp

KEPT_BYTES = 1 << 26
"""An array that takes no more is copied into memory."""

PIECE = 1 << 14
"""Bytes of the pieces in which small reads are kept, for the next one nearby."""

PIECES = 1 << 10
"""How many of them are kept of one array."""

BLOCK = 1 << 22
"""Bytes between two looks at the cancel flag."""

_READ_ONLY = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)

_Array = np.ndarray[Any, Any]


class FileArray(Stored):
    """A large array in a file, read with positioned reads; nothing is held open in between.

    Parameters
    ----------
    path : Path
    dtype : dtype
        Of plain numbers or of records.
    offset : int
        The byte at which the values begin; they lie within the file.
    shape : tuple of int

    Raises
    ------
    OSError
        When the file can't be looked at.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], offset: int, shape: tuple[int, ...]) -> None:
        super().__init__(np.dtype(dtype), shape)
        self.path, self._offset = path, offset
        self.stamp = Stamp.of(path)
        self._lock = threading.Lock()
        self._pieces: dict[int, bytes] = {}

    def check_unchanged(self) -> None:
        """Make sure that the file is the one that was opened.

        Raises
        ------
        FileProblem
            A ``ChangedFile`` when it is not.
        """
        check_stamp(self.path, self.stamp)

    def fill(self, start: int, target: _Array) -> None:
        first = self._offset + start * self.dtype.itemsize
        view = target.reshape(-1).view(np.uint8).data
        if view.nbytes > PIECE:
            self._read(first, view)
            return
        checked = False
        done = 0
        while done < view.nbytes:
            number, within = divmod(first + done, PIECE)
            piece = self._pieces.get(number)
            if piece is None:
                piece, checked = self._fetch(number), True
            part = piece[within : within + view.nbytes - done]
            if not part:
                raise self._cut_off()
            view[done : done + len(part)] = part
            done += len(part)
        if not checked:
            self.check_unchanged()

    def stretches(self, starts: Iterable[int], room: _Array) -> Iterator[_Array]:
        with self._opened() as file:
            for first in starts:
                piece = room[: self.size - first]
                view = piece.view(np.uint8).data
                if _read_into(file, self._offset + first * self.dtype.itemsize, view) < view.nbytes:
                    check_stamp(self.path, self.stamp, file)
                    raise self._cut_off()
                yield piece

    def _fetch(self, number: int) -> bytes:
        """A piece of the file, which is kept; the last one is shorter."""
        target = bytearray(min(PIECE, max(0, self.stamp.size - number * PIECE)))
        self._read(number * PIECE, memoryview(target))
        piece = bytes(target)
        with self._lock:
            self._pieces[number] = piece
            while len(self._pieces) > PIECES:
                del self._pieces[next(iter(self._pieces))]
        return piece

    def _read(self, first: int, target: memoryview) -> None:
        """Read some bytes."""
        with self._opened() as file:
            if _read_into(file, first, target) < target.nbytes:
                raise self._cut_off()

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """The very file that was opened, to read from, and no other one that has its name now."""
        try:
            file = os.open(self.path, _READ_ONLY)
            try:
                check_stamp(self.path, self.stamp, file)
                yield file
                # What was written meanwhile may be among what was read.
                check_stamp(self.path, self.stamp, file)
            finally:
                os.close(file)
        except OSError as error:
            if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
                self.check_unchanged()  # says so better
            with system_errors(self.path):
                raise

    def _cut_off(self) -> FileProblem:
        return FileProblem(self.path, N_("is cut off"), N_("Copy or download it again."))


def _read_into(file: int, first: int, target: memoryview) -> int:
    """Read from byte ``first`` of an open file on; how many bytes there were."""
    done = 0
    while done < target.nbytes:
        if hasattr(os, "preadv"):
            got = os.preadv(file, [target[done:]], first + done)
        else:  # Windows; nobody else reads with this descriptor
            os.lseek(file, first + done, os.SEEK_SET)
            part = os.read(file, target.nbytes - done)
            target[done : done + len(part)] = part
            got = len(part)
        if not got:
            break
        done += got
    return done


def array_in(
    path: Path,
    dtype: np.dtype[Any],
    offset: int,
    shape: tuple[int, ...],
    order: Literal["C", "F"] = "C",
    *,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> _Array | FileArray:
    """The values that lie in a file: a read-only copy where they are few or in Fortran's order, else a `FileArray`.

    Parameters
    ----------
    path, dtype, offset, shape
        As in `FileArray`; whoever calls has made sure that the values lie within the file.
    order : {"C", "F"}

    Raises
    ------
    FileProblem
        When there is no room for a copy, or the file changes meanwhile.
    OSError
        When it can't be read.
    """
    stored = FileArray(path, dtype, offset, shape)
    flat = order == "C" or len(shape) < 2
    if flat and stored.nbytes > KEPT_BYTES:
        progress(1.0)
        return stored
    check_room(path, path.name, stored.nbytes, N_("Close other programs, or choose a smaller tensor."))
    values = np.empty(shape, stored.dtype, order)
    # Neighbours in the file are neighbours here.
    target = values.reshape(-1) if flat else values.T.reshape(-1)
    step = max(1, BLOCK // stored.dtype.itemsize)
    for first in range(0, stored.size, step):
        check(cancelled)
        stored.fill(first, target[first : first + step])
        progress(min(1.0, (first + step) / stored.size))
    values.flags.writeable = False
    return values
