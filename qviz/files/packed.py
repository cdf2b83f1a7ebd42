"""How is a file read that gzip has packed: an array (.npy.gz), or a table?"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.problems import N_
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files import text
from qviz.files.entry import Loaded, TensorEntry
from qviz.files.memory import check_room
from qviz.files.npy import HEAD, MAGIC, Header, entries, read_header
from qviz.files.offers import taken
from qviz.files.problems import FileProblem
from qviz.files.start import LENGTH, Start
from qviz.files.tables.form import TableOptions

GZIP = b"\x1f\x8b"
BLOCK = 1 << 20
"""Bytes unpacked between two looks at the cancel flag."""

_DAMAGED = N_("Copy or download it again.")
_TAR, _USTAR = 257, b"ustar"
"""Where a tar file says what it is."""

_OTHERS = (b"GGUF", b"PK\x03\x04", b"\x89HDF", b"PAR1", GZIP)


def list_entries(path: Path, options: TableOptions | None = None) -> tuple[TensorEntry, ...]:
    """The array, or the table, that is packed.

    Raises
    ------
    FileProblem
        When it is damaged, or something else is packed.
    """
    with text.damage(path), gzip.open(path) as file:
        head = file.read(HEAD)
    if not head.startswith(MAGIC):
        is_tar = head[_TAR : _TAR + len(_USTAR)] == _USTAR
        if is_tar or head.startswith(_OTHERS) or Start(path, len(head), head[:LENGTH]).head[8:9] == b"{":
            raise FileProblem(path, N_("is packed with gzip"), N_("Unpack it with gunzip, and open what is in it."))
        return text.list_entries(path, options)
    return entries(path, read_header(head, path), _load)


def _load(path: Path, field: str | None, *, progress: Progress = ignore, cancelled: IsCancelled = never) -> Loaded:
    with text.damage(path), gzip.open(path) as file:
        header = read_header(file.read(HEAD), path)
        if field not in [offer.field for offer in header.offers]:
            raise FileProblem(path, N_("has no field '{field}' any more"), N_("Open the file again."), field=field)
        check_room(path, path.name, header.nbytes, N_("Unpack it with gunzip, and open what is in it."))
        file.seek(header.data_offset)
        content = _content(file, header, path, progress, cancelled)
    array = content.view(header.dtype).reshape(header.shape, order=header.order)
    return taken(path, field or path.name, array, field, lambda f: progress(0.5 + 0.5 * f), cancelled)


def _content(
    file: gzip.GzipFile, header: Header, path: Path, progress: Progress, cancelled: IsCancelled
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    content = np.empty(header.nbytes, np.uint8)
    for first in range(0, header.nbytes, BLOCK):
        check(cancelled)
        part = content[first : first + BLOCK]
        data = file.read(part.size)
        if len(data) < part.size:
            raise FileProblem(path, N_("is cut off: it ends inside the array"), _DAMAGED)
        part[:] = np.frombuffer(data, np.uint8)
        progress(0.5 * min(1.0, (first + BLOCK) / header.nbytes))
    if file.read(1):
        raise FileProblem(path, N_("is not one array: more follows it"), N_("Save each array on its own."))
    return content
