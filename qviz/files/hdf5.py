"""How is an HDF5 file read, as Keras (.h5, .keras) and h5py write it? Values that lie in one piece are read in place.

Links to other files and values that are kept in other files are left out: a file speaks of itself alone.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.problems import N_, Problem
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.entry import Loaded, TensorEntry, refused_entry
from qviz.files.file_array import array_in
from qviz.files.memory import check_room
from qviz.files.problems import FileProblem, NoNumbers, check_number, shortened
from qviz.files.region import Region
from qviz.files.zips import opened, stored_in

MARK = b"\x89HDF\r\n\x1a\n"
KERAS = "model.weights.h5"

_DAMAGED = N_("Copy or download it again.")
_DEEPEST = 64


def list_entries(path: Path) -> tuple[TensorEntry, ...]:
    """The arrays of the file in its order; those without elements or real numbers are left out.

    Raises
    ------
    FileProblem
        When the file is damaged, or holds no arrays.
    """
    region = Region.whole(path)
    if not region.size:
        raise FileProblem(path, N_("is empty"), _DAMAGED)
    if region.read(0, min(2, region.size)) == b"PK":
        region = _member(region)
    entries: list[TensorEntry] = []
    with _file(region) as file:
        for name, dataset in _datasets(file, "", 0, set()):
            entry = _entry(region, name, dataset)
            if entry is not None:
                entries.append(entry)
                check_number(path, len(entries))
    if not entries:
        raise NoNumbers(path, N_("has no arrays of numbers in it"), N_("Choose a file with weights."))
    return tuple(entries)


def _member(region: Region) -> Region:
    """The weights in a file of Keras, which is a zip file."""
    with opened(region) as archive:
        members: list[zipfile.ZipInfo] = archive.infolist()
        found = next((member for member in members if member.filename.endswith(KERAS)), None)
        if found is None:
            raise FileProblem(region.path, N_("has no weights in it"), _DAMAGED)
        return stored_in(region, found)


@contextmanager
def _file(region: Region) -> Iterator[Any]:
    import h5py

    with region.open() as content:
        try:
            with h5py.File(content, "r") as file:
                yield file
        except Problem:
            raise
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
            detail = shortened(str(error), 80)
            raise FileProblem(
                region.path, N_("is no HDF5 file, or a damaged one ({detail})"), _DAMAGED, detail=detail
            ) from None


def _datasets(group: Any, name: str, depth: int, seen: set[Any]) -> Iterator[tuple[str, Any]]:
    import h5py

    if depth > _DEEPEST:
        return
    for key in group:
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            continue  # to another place, or another file
        each = group[key]
        where = h5py.h5o.get_info(each.id).addr
        if where in seen:
            continue
        seen.add(where)
        called = f"{name}/{key}" if name else str(key)
        if isinstance(each, h5py.Group):
            yield from _datasets(each, called, depth + 1, seen)
        elif isinstance(each, h5py.Dataset):
            yield called, each


def _entry(region: Region, name: str, dataset: Any) -> TensorEntry | None:
    dtype, shape = dataset.dtype, dataset.shape
    if shape is None or 0 in shape or dtype.kind not in "fiub" or dtype.names is not None:
        return None
    called = f"{region.path.stem}/{name}"
    if dataset.external or dataset.is_virtual:
        said = N_("keeps '{name}' in other files, which qviz does not follow")
        problem = FileProblem(region.path, said, N_("Save it in one file."), name=shortened(name))
        return refused_entry(called, region.path, name, problem)
    offset = dataset.id.get_offset()
    load = partial(_load, region, name, dtype, shape or (1,), offset)
    return TensorEntry(called, region.path, name, shape or (1,), dtype.name, load)


def _load(
    region: Region,
    name: str,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    offset: int | None,
    *,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Loaded:
    check(cancelled)
    region.unchanged()
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if offset is not None:
        if offset + size > region.size:
            raise FileProblem(region.path, N_("is cut off inside '{name}'"), _DAMAGED, name=shortened(name))
        return array_in(region.path, dtype, region.start + offset, shape, progress=progress, cancelled=cancelled)
    check_room(region.path, name, size, N_("Close other programs, or choose a smaller tensor."))
    with _file(region) as file:
        values = np.asarray(file[name][()]).reshape(shape)
    progress(1.0)
    return values
