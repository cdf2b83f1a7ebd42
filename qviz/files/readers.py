"""Which tensors does a file offer? The one registry of the formats that qviz reads."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.problems import N_, Phrase
from qviz.core.work import IsCancelled, Progress, ignore, never
from qviz.files.entry import Note, TensorEntry
from qviz.files.problems import FileProblem, system_errors


@dataclass(frozen=True)
class Format:
    """One row of the registry.

    ``list_entries(path)`` reads the headers of a file. ``magic`` is how such a file begins, so that
    it is recognized under a foreign name; empty where nothing tells.
    """

    description: str
    suffixes: tuple[str, ...]
    list_entries: Callable[[Path], tuple[TensorEntry, ...]]
    magic: bytes = b""


# The readers are imported when their first file is opened: that keeps the start quick.


def _list_npy(path: Path) -> tuple[TensorEntry, ...]:
    from qviz.files.npy import list_entries

    return list_entries(path)


def _list_npz(path: Path) -> tuple[TensorEntry, ...]:
    from qviz.files.npz import list_entries

    return list_entries(path)


def _list_safetensors(path: Path) -> tuple[TensorEntry, ...]:
    from qviz.files.safetensors import list_entries

    return list_entries(path)


def _list_gguf(path: Path) -> tuple[TensorEntry, ...]:
    from qviz.files.gguf import list_entries

    return list_entries(path)


def _list_text(path: Path) -> tuple[TensorEntry, ...]:
    from qviz.files.text import list_entries

    return list_entries(path)


FORMATS: tuple[Format, ...] = (
    Format(N_("NumPy array"), (".npy",), _list_npy, b"\x93NUMPY"),
    Format(N_("NumPy archive"), (".npz",), _list_npz, b"PK"),
    Format(N_("safetensors"), (".safetensors",), _list_safetensors),
    Format(N_("GGUF model"), (".gguf",), _list_gguf, b"GGUF"),
    Format(N_("Table of numbers"), (".csv", ".txt", ".tsv"), _list_text),
)

SUFFIXES: tuple[str, ...] = tuple(suffix for form in FORMATS for suffix in form.suffixes)


def list_tensors(path: str | Path) -> tuple[TensorEntry, ...]:
    """List what a file offers, from its headers alone.

    Parameters
    ----------
    path : str or Path
        A file; its name decides the format, and its first bytes do where the name is foreign.

    Returns
    -------
    tuple of TensorEntry
        In the order of the file; at least one.

    Raises
    ------
    FileProblem
        When the file can't be read, is of no known format, is damaged, or holds no real numbers.
    """
    path = Path(path)
    with system_errors(path):
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            # Opening a pipe would wait for ever.
            raise FileProblem(path, N_("is a device or a pipe"), N_("Save its content to a file first."))
        entries = _format_of(path).list_entries(path)
    return tuple(replace(entry, load=partial(_load, entry), note=partial(_note, entry)) for entry in entries)


def expand(paths: Iterable[str | Path]) -> list[Path]:
    """Replace each folder by the files in it that qviz reads.

    Parameters
    ----------
    paths : iterable of str or Path
        Files are kept as they are, known or not. Folders are not searched any deeper, and hidden
        files are left out.

    Returns
    -------
    list of Path
        Those of a folder in natural order: ``w2.npy`` before ``w10.npy``.

    Raises
    ------
    FileProblem
        When a folder can't be read or has no file of a known format.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if not path.is_dir():
            files.append(path)
            continue
        with system_errors(path):
            found = [file for file in path.iterdir() if _is_offered(file)]
        if not found:
            raise FileProblem(path, N_("has no file that qviz reads"), _supported())
        files += sorted(found, key=_natural_order)
    return files


def _load(entry: TensorEntry, *, progress: Progress = ignore, cancelled: IsCancelled = never) -> np.ndarray[Any, Any]:
    with system_errors(entry.path):
        return entry.load(progress=progress, cancelled=cancelled)


def _note(entry: TensorEntry) -> Note | None:
    with system_errors(entry.path):
        return entry.note()


def _format_of(path: Path) -> Format:
    for form in FORMATS:
        if path.suffix.lower() in form.suffixes:
            return form
    with path.open("rb") as file:
        start = file.read(16)
    for form in FORMATS:
        if form.magic and start.startswith(form.magic):
            return form
    raise FileProblem(path, N_("is of no format that qviz knows"), _supported())


def _supported() -> Phrase:
    return Phrase("It reads {first} and {last}.", first=", ".join(SUFFIXES[:-1]), last=SUFFIXES[-1])


def _is_offered(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()


def _natural_order(path: Path) -> list[str | int]:
    parts = re.split(r"(\d+)", path.name.lower())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]
