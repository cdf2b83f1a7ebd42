"""How is a checkpoint of PyTorch read (.pt, .pth, .bin, .ckpt): without PyTorch, and without running what is in it?

A zip file holds a pickle, which describes the tensors, and a member for each storage; TorchScript is kept alike. Before
PyTorch 1.6 a file was a stream: five pickles, and then the storages one after another
(https://github.com/pytorch/pytorch/blob/main/torch/serialization.py).
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.problems import N_
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.counted import BITS, KINDS, counted_in
from qviz.files.entry import Loaded, TensorEntry
from qviz.files.file_array import FileArray
from qviz.files.memory import check_room
from qviz.files.pickled_tensors import StoredTensor, is_known, storage_of, tensors_of
from qviz.files.pickles import BadPickle, Pairs, Persistent, Refused, read_pickle
from qviz.files.problems import FileProblem, NoNumbers, shortened, system_errors
from qviz.files.region import Order, Region, bits_of, values_in
from qviz.files.small import NAMES, small_dtype, to_float32
from qviz.files.zips import content, opened, stored_in

MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
"""How the stream begins: a pickle of a number."""

_DAMAGED = N_("Copy or download it again.")
_LARGEST_PICKLE = 1 << 28
_PICKLES = ("data.pkl", "constants.pkl")

Place = Callable[[], Region]
"""Where a storage lies; asked when a tensor is read."""


def list_entries(path: Path) -> tuple[TensorEntry, ...]:
    """The tensors of the checkpoint in their order; those without elements or real numbers are left out.

    Raises
    ------
    FileProblem
        When the file is damaged, asks for anything but tensors, or holds none.
    """
    return list_region(Region.whole(path), path.stem)


def list_region(region: Region, name: str) -> tuple[TensorEntry, ...]:
    """The same of a member of another file; ``name`` is what the names of its tensors begin with."""
    start = region.read(0, min(len(MAGIC), region.size))
    if not start.startswith((MAGIC, b"PK")):
        what = N_("is no PyTorch checkpoint: it does not begin like one") if start else N_("is empty")
        raise FileProblem(region.path, what, _DAMAGED)
    return list_stream(region, name) if start == MAGIC else list_zip(region, name)


def list_zip(region: Region, name: str | None = None) -> tuple[TensorEntry, ...]:
    """The tensors of a checkpoint that is a zip file; ``name`` is what their names begin with."""
    entries: list[TensorEntry] = []
    with opened(region) as archive:
        members = {member.filename: member for member in archive.infolist()}
        for pickle in _PICKLES:
            root = _root(members, pickle)
            if root is None:
                continue
            order = _order(region, archive, members.get(f"{root}byteorder"))
            data = content(region, archive, members[root + pickle], _LARGEST_PICKLE)
            folder = root + ("data/" if pickle == "data.pkl" else "constants/")
            storages = {
                key.removeprefix(folder): (member.file_size, partial(_member, region, member))
                for key, member in members.items()
                if key.startswith(folder)
            }
            with _problems(region.path):
                value = read_pickle(data, 0, is_known).value
                prefix = "" if pickle == "data.pkl" else "constants."
                entries += _entries(region.path, name or region.path.stem, prefix, value, storages, order)
    return _some(region.path, entries)


def _root(members: dict[str, zipfile.ZipInfo], pickle: str) -> str | None:
    """The folder in the archive, with its slash, in which a pickle lies."""
    found = [name for name in members if name == pickle or (name.endswith("/" + pickle) and name.count("/") == 1)]
    return found[0].removesuffix(pickle) if found else None


def _order(region: Region, archive: zipfile.ZipFile, member: zipfile.ZipInfo | None) -> Order:
    return ">" if member is not None and content(region, archive, member, 16).strip() == b"big" else "<"


def list_stream(region: Region, name: str | None = None) -> tuple[TensorEntry, ...]:
    """The tensors of a checkpoint as PyTorch wrote it before 1.6."""
    path = region.path
    with region.content() as whole, _problems(path):
        at = 0
        values = []
        outside: list[Persistent] = []
        for _ in range(5):
            found = read_pickle(whole, at, is_known)
            values.append(found.value)
            outside += found.outside
            at = found.end
        system, value, keys = values[2:]
        is_little = system.get("little_endian") if isinstance(system, Pairs) else True
        order: Order = ">" if is_little is False else "<"
        if not isinstance(keys, list) or any(type(key) is not str for key in keys):
            raise BadPickle("its storages have no names")
        sizes = {each.key: bits_of(each.dtype or "uint8") // 8 for each in map(storage_of, outside)}
        storages: dict[str, tuple[int, Place]] = {}
        for key in keys:
            count = int.from_bytes(whole[at : at + 8], "little" if order == "<" else "big", signed=True)
            size = sizes.get(key)
            if size is None:
                raise BadPickle("a storage is of an unknown size")
            if count < 0 or at + 8 + count * size > region.size:
                raise BadPickle("it ends too early")
            place = region.within(at + 8, count * size)
            storages[key] = (place.size, partial(_itself, place))
            at += 8 + place.size
        entries = _entries(path, name or path.stem, "", value, storages, order)
    return _some(path, entries)


def _member(region: Region, member: zipfile.ZipInfo) -> Region:
    return stored_in(region.unchanged(), member)


def _itself(place: Region) -> Region:
    return place


def _stored(value: Any) -> Iterator[StoredTensor]:
    return (each for each in tensors_of(value) if isinstance(each, StoredTensor))


def _some(path: Path, entries: list[TensorEntry]) -> tuple[TensorEntry, ...]:
    if not entries:
        raise NoNumbers(path, N_("has no tensors in it"), N_("Choose a checkpoint with weights."))
    return tuple(entries)


@contextmanager
def _problems(path: Path) -> Iterator[None]:
    """What is wrong with a pickle, as a person reads it."""
    try:
        yield
    except Refused as refused:
        raise FileProblem(
            path,
            N_("asks for {name}, which no tensor needs; nothing of it was run"),
            N_("If you trust its author, load it where it was made and save its state_dict alone."),
            name=shortened(refused.name, 80),
        ) from None
    except BadPickle as error:
        raise FileProblem(
            path, N_("is no PyTorch checkpoint, or a damaged one ({detail})"), _DAMAGED, detail=str(error)
        ) from None


def _entries(
    path: Path, stem: str, prefix: str, value: Any, storages: Mapping[str, tuple[int, Place]], order: Order
) -> list[TensorEntry]:
    entries = []
    for found in _stored(value):
        tensor = replace(found, name=prefix + found.name or "tensor")
        size, place = storages.get(tensor.storage.key, (-1, None))
        if place is None:
            raise BadPickle("the values of a tensor are missing")
        if (tensor.last + 1) * bits_of(tensor.dtype) // 8 > size:
            raise BadPickle("a tensor is larger than its values")
        bits = partial(_bits, path, tensor, place) if order == "<" and _is_plain(tensor) else None
        kind = KINDS.get(tensor.dtype) if bits is not None else None
        entries.append(
            TensorEntry(
                f"{stem}/{tensor.name}",
                path,
                tensor.name,
                tensor.shape or (1,),
                tensor.dtype,
                partial(_load, path, tensor, place, order),
                identity=(path, tensor.storage.key, tensor.offset, tensor.shape, tensor.strides),
                counted=partial(counted_in, path, bits, kind) if bits is not None and kind is not None else None,
                bits=bits,
            )
        )
    return entries


def _is_plain(tensor: StoredTensor) -> bool:
    """Whether its values lie in a row, so that parts of it can be read by themselves."""
    return tensor.dtype in BITS and tensor.is_contiguous


def _bits(path: Path, tensor: StoredTensor, place: Place) -> FileArray:
    with system_errors(path):
        region, dtype, shape = place().unchanged(), BITS[tensor.dtype], tensor.shape or (1,)
        start, size = tensor.offset * dtype.itemsize, math.prod(shape) * dtype.itemsize
        return region.within(start, size).bits(dtype, shape)


def _load(
    path: Path,
    tensor: StoredTensor,
    place: Place,
    order: Order,
    *,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Loaded:
    check(cancelled)
    region = place().unchanged()
    size = bits_of(tensor.dtype) // 8
    shape = tensor.shape or (1,)
    if tensor.is_contiguous:
        part = region.within(tensor.offset * size, region.size - tensor.offset * size)
        return values_in(part, tensor.name, tensor.dtype, shape, progress, cancelled, order)
    small = small_dtype(tensor.dtype) if tensor.dtype in NAMES else None
    kind = np.dtype(f"{order}u{size}") if small is not None else np.dtype(tensor.dtype).newbyteorder(order)
    advice = N_("Close other programs, or choose a smaller tensor.")
    span = tensor.last + 1 - tensor.offset
    check_room(path, tensor.name, (math.prod(shape) + span) * size, advice)
    flat = np.empty(span, kind)
    region.bits(kind, (tensor.last + 1,)).fill(tensor.offset, flat)
    strides = tuple(size * stride for stride in tensor.strides or (1,))
    array = np.ascontiguousarray(np.lib.stride_tricks.as_strided(flat, shape, strides, writeable=False))
    if small is not None:
        return to_float32(path, tensor.name, array, small, progress, cancelled)
    progress(1.0)
    return array
