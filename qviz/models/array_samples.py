"""Which samples of a network are in a file of arrays, .npy or .npz?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.arrays import Array
from qviz.core.problems import N_, Phrase, Problem
from qviz.files.problems import FileProblem, system_errors
from qviz.models.data_settings import DataSettings, filled_with
from qviz.models.network import Network, Port
from qviz.models.sessions import Feeds


def _header(file: Any, path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except ValueError:
        raise FileProblem(path, N_("is no array"), N_("Save it with numpy.save.")) from None
    if dtype.hasobject:
        raise FileProblem(path, N_("holds Python objects, which are never read"), N_("Save plain numbers."))
    return tuple(int(n) for n in shape), bool(fortran), dtype


def npy_readers(network: Network, path: Path, settings: DataSettings) -> list[Any]:
    ports = network.inputs
    if len(ports) != 1:
        names = ", ".join(port.name for port in ports)
        raise FileProblem(
            path,
            N_("holds one array, but this network has the inputs {names}"),
            N_("Save them in an .npz under these names."),
            names=names,
        )
    port = ports[0]
    with system_errors(path), path.open("rb") as file:
        shape, fortran, dtype = _header(file, path)
        start, there = file.tell(), path.stat().st_size
    count, each = _counted(shape, port, settings, path)
    nbytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if start + nbytes > there:
        raise FileProblem(path, N_("is shorter than its header says"), N_("Copy or download it again."))
    if fortran or count == 1:
        return [partial(_npy_whole, path, port, i, each) for i in range(count)]
    size = nbytes // count
    return [partial(_npy_row, path, port, start + i * size, size, dtype, each) for i in range(count)]


def _npy_whole(path: Path, port: Port, place: int, each: tuple[int, ...]) -> Feeds:
    with system_errors(path):
        array = np.load(path, allow_pickle=False)
    rows = array.reshape(-1, *each) if array.size == int(np.prod(each)) else array.reshape(array.shape[0], *each)
    return {port.name: _typed(rows[place], port, path)}


def _npy_row(path: Path, port: Port, start: int, size: int, dtype: np.dtype[Any], each: tuple[int, ...]) -> Feeds:
    with system_errors(path), path.open("rb") as file:
        file.seek(start)
        data = file.read(size)
    if len(data) != size:
        raise FileProblem(path, N_("has become shorter"), N_("Open it again."))
    return {port.name: _typed(np.frombuffer(data, dtype).reshape(each), port, path)}


def npz_readers(network: Network, path: Path, settings: DataSettings) -> list[Any]:
    import zipfile

    ports = {port.name: port for port in network.inputs}
    try:
        with system_errors(path), np.load(path, allow_pickle=False) as archive:
            names = set(archive.files)
            missing = [name for name in ports if name not in names]
            if missing:  # what stands under another name may be another input, or the output
                raise FileProblem(
                    path,
                    N_("has no array called {name}, which the network asks for, but {given}"),
                    N_("Save every input under its name."),
                    name=missing[0],
                    given=_listed(archive.files) or Phrase("nothing"),
                )
            shapes = {name: archive[name].shape for name in ports}
    except Problem:
        raise
    except (zipfile.BadZipFile, ValueError, KeyError):
        raise FileProblem(path, N_("is no archive of arrays"), N_("Save it with numpy.savez.")) from None
    counted = {name: _counted(shape, ports[name], settings, path) for name, shape in shapes.items()}
    counts = {count for count, _ in counted.values()}
    if len(counts) > 1:
        said = ", ".join(f"{name}: {count}" for name, (count, _) in counted.items())
        raise FileProblem(
            path, N_("has another number of samples for each input ({said})"), N_("Save as many of each."), said=said
        )
    return [partial(_npz_row, path, counted, ports, i) for i in range(counts.pop())]


MOST_NAMES = 3
"""Names of arrays that are told of an archive without the right one."""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMES]) + (", …" if len(names) > MOST_NAMES else "")


def _npz_row(path: Path, counted: dict[str, Any], ports: dict[str, Port], place: int) -> Feeds:
    with system_errors(path), np.load(path, allow_pickle=False) as archive:
        found = {}
        for name, (count, each) in counted.items():
            array = archive[name]
            row = array.reshape(each) if count == 1 else array.reshape(count, *each)[place]
            found[name] = _typed(row, ports[name], path)
    return found


def _counted(shape: tuple[int, ...], port: Port, settings: DataSettings, path: Path) -> tuple[int, tuple[int, ...]]:
    """How many samples an array holds, and the shape of one as the network takes it."""
    wanted = port.shape
    if wanted is None:
        return 1, shape
    fits = [n if isinstance(n, int) else None for n in filled_with(port, settings.dimensions)]

    def matches(part: tuple[int, ...], pattern: list[int | None]) -> bool:
        return len(part) == len(pattern) and all(b is None or a == b for a, b in zip(part, pattern, strict=True))

    if matches(shape, fits) and (not fits or fits[0] is not None or shape[0] == 1):
        return 1, shape
    if len(shape) == len(fits) + 1 and matches(shape[1:], fits):
        return shape[0], shape[1:]
    batch = (fits[0] or 1) if fits else 1
    if fits and len(shape) == len(fits) and matches(shape[1:], fits[1:]) and shape[0] % batch == 0 and shape[0]:
        return shape[0] // batch, (batch, *shape[1:])
    if fits and len(shape) == len(fits) - 1 and fits[0] in (None, 1) and matches(shape, fits[1:]):
        return 1, (1, *shape)
    said = " × ".join(str(n) if n is not None else "?" for n in fits) or "one number"
    raise FileProblem(
        path,
        N_("has the shape {shape}, but the input {name} takes {said}"),
        N_("Save it in that shape, samples along a first axis."),
        shape=" × ".join(map(str, shape)) or "()",
        name=port.name,
        said=said,
    )


def _typed(array: Array, port: Port, path: Path) -> Array:
    if array.dtype.kind not in "fiub" or port.dtype == "string":
        raise FileProblem(
            path,
            N_("holds {given}, but the input {name} takes {wanted}"),
            N_("Save numbers of that type."),
            given=str(array.dtype),
            name=port.name,
            wanted=port.dtype,
        )
    return np.ascontiguousarray(array.astype(port.dtype, copy=False))
