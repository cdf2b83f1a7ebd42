"""How are the tensors of object storage listed and read: ``s3://``, ``gs://``, ``az://`` and ``https://`` addresses?

`obstore` reads; who may read is what the environment says of it (``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL`` …).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import cache, partial, reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.arrays import Array, Counts
from qviz.core.frozen import frozen
from qviz.core.problems import N_, Problem
from qviz.core.tensors.stored import Stored
from qviz.core.tensors.value_counts import ValueCounts, counted_patterns, of_patterns
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.counted import BITS, KINDS
from qviz.files.encodings import decoded
from qviz.files.entry import Loaded, TensorEntry
from qviz.files.memory import check_room
from qviz.files.problems import FileProblem, shortened
from qviz.files.safetensors import LONGEST, NAMES, PLAIN, Info, plain_header
from qviz.files.small import small_dtype, to_float32
from qviz.files.stamp import changed

STRETCH = 1 << 23
"""Bytes that are asked for at once: an answer's way takes as long as some megabytes."""

CONNECTIONS = 8
"""Answers that are waited for together."""

PATIENCE = timedelta(seconds=20)
"""For one answer, with all attempts."""

SUFFIX, INDEX = ".safetensors", ".safetensors.index.json"

_MOST_FILES = 10_000
_DAMAGED = N_("Copy it again.")


@frozen
class Place:
    """An object: the store that it is in, its path there, its size, and what tells one state of it from another."""

    store: str
    path: str
    size: int
    tag: str | None

    @property
    def named(self) -> Path:
        """It as messages name it."""
        return Path(self.path)

    def read(self, start: int, stop: int) -> Any:
        """Some of its bytes, as a buffer.

        Raises
        ------
        FileProblem
            When it can't be reached, or is not what it was.
        """
        options: dict[str, Any] = {"range": (start, stop)}
        if self.tag:
            options["if_match"] = self.tag
        with said(self.path):
            found = _library().get(_store(self.store), self.path, options=options).bytes()
        if len(found) != stop - start:
            raise FileProblem(self.named, N_("is cut off"), _DAMAGED)
        return found


class RemoteArray(Stored):
    """Values of an object, read a stretch at a time.

    Parameters
    ----------
    place : Place
    dtype : dtype
    offset : int
        The byte at which they begin; they lie within the object.
    shape : tuple of int
    """

    def __init__(self, place: Place, dtype: np.dtype[Any], offset: int, shape: tuple[int, ...]) -> None:
        super().__init__(dtype, shape)
        self._place, self._offset = place, offset

    def check_unchanged(self) -> None:
        """Each answer is of the object that was listed, or none."""

    def fill(self, start: int, target: Array) -> None:
        first = self._offset + start * self.dtype.itemsize
        view = target.reshape(-1).view(np.uint8)

        def read(begin: int) -> None:
            part = view[begin : begin + STRETCH]
            part[:] = np.frombuffer(self._place.read(first + begin, first + begin + part.size), np.uint8)

        begins = range(0, view.size, STRETCH)
        if len(begins) < 2:
            read(0)
            return
        with ThreadPoolExecutor(min(CONNECTIONS, len(begins))) as pool:
            for _ in pool.map(read, begins):
                pass


def list_entries(address: str) -> tuple[TensorEntry, ...]:
    """The tensors of an object, of those that an index lists, or of all safetensors files under an address.

    Parameters
    ----------
    address : str
        ``s3://bucket/folder``, ``s3://bucket/folder/model.safetensors``, ``…/model.safetensors.index.json``.

    Raises
    ------
    Problem
        When it can't be reached, or what lies there is no safetensors file.
    """
    store, path = _parted(address)
    paths = _paths(store, path)
    with ThreadPoolExecutor(CONNECTIONS) as pool:  # each is far away: they are waited for together
        listed = pool.map(partial(_list, store), paths)
        entries = [entry for each in listed for entry in each]
    if not entries:
        raise FileProblem(Path(path), N_("has no tensors in it"), N_("Choose a file with weights."))
    return decoded(entries)


def _paths(store: str, path: str) -> list[str]:
    """The files of an address."""
    obstore = _library()
    if path.endswith(SUFFIX):
        return [path]
    folder = path.rpartition("/")[0]
    if path.endswith(INDEX):
        try:
            with said(path):
                wanted = json.loads(bytes(obstore.get(_store(store), path).bytes()))["weight_map"].values()
            names = dict.fromkeys(map(str, wanted))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise FileProblem(Path(path), N_("is a damaged index"), _DAMAGED) from None
        if any("/" in name or name.startswith(".") for name in names) or len(names) > _MOST_FILES:
            raise FileProblem(Path(path), N_("names files outside its folder"), _DAMAGED)
        return [f"{folder}/{name}".lstrip("/") for name in names]
    with said(path):
        found = obstore.list_with_delimiter(_store(store), path or None)["objects"]
    names_there = sorted(str(each["path"]) for each in found if str(each["path"]).endswith(SUFFIX))
    if not names_there:
        raise Problem(
            "There is no safetensors file at {address}: give the address of one, or of the folder that has them.",
            address=shortened(path or store, 80),
        )
    return names_there[:_MOST_FILES]


def _list(store: str, path: str) -> list[TensorEntry]:
    with said(path):
        about = _library().head(_store(store), path)
    place = Place(store, path, int(about["size"]), about["e_tag"])
    found = None
    if place.size > 8:
        length = int.from_bytes(bytes(place.read(0, 8)), "little")
        if length <= min(LONGEST, place.size - 8):
            found = plain_header(bytes(place.read(8, 8 + length)), 8 + length, place.size)
    if found is None:
        raise FileProblem(place.named, N_("is not a safetensors file, or a damaged one"), _DAMAGED)
    return [_entry(place, info) for info in found.values() if 0 not in info.shape]


def _entry(place: Place, info: Info) -> TensorEntry:
    return TensorEntry(
        f"{place.named.stem}/{info.key}",
        place.named,
        info.key,
        info.shape,
        NAMES.get(info.kind, info.kind),
        partial(_load, place, info),
        outputs_first=True,
        counted=partial(_counted, place, info) if NAMES.get(info.kind) in KINDS else None,
        bits=partial(_bits, place, info) if NAMES.get(info.kind) in BITS else None,
    )


def _bits(place: Place, info: Info) -> RemoteArray:
    return RemoteArray(place, BITS[NAMES[info.kind]], info.start, info.shape)


def _load(place: Place, info: Info, *, progress: Progress = ignore, cancelled: IsCancelled = never) -> Loaded:
    small = None if info.kind in PLAIN else small_dtype(NAMES[info.kind])
    dtype = np.dtype(f"<u{small.itemsize}") if small is not None else PLAIN[info.kind]
    source = RemoteArray(place, dtype, info.start, info.shape)
    check_room(place.named, info.key, source.nbytes, N_("Close other programs, or choose a smaller tensor."))
    values = np.empty(info.shape, dtype)
    flat = values.reshape(-1)
    step = max(1, CONNECTIONS * STRETCH // dtype.itemsize)
    for first in range(0, flat.size, step):
        check(cancelled)
        source.fill(first, flat[first : first + step])
        progress(min(1.0, (first + step) / flat.size))
    return values if small is None else to_float32(place.named, info.key, values, small, progress, cancelled)


def _counted(place: Place, info: Info, *, threads: int = CONNECTIONS, cancelled: IsCancelled = never) -> ValueCounts:
    source = _bits(place, info)
    step = STRETCH // source.dtype.itemsize
    starts = range(0, math.prod(info.shape), step)
    sharing = min(CONNECTIONS, len(starts))

    def counted(share: int) -> Counts:
        pieces: Iterator[Array] = (source[first : first + step].view(np.uint16) for first in starts[share::sharing])
        return counted_patterns(pieces, cancelled=cancelled)

    with ThreadPoolExecutor(sharing) as pool:
        return of_patterns(reduce(add, pool.map(counted, range(sharing))), KINDS[NAMES[info.kind]])


# -- the store


def _parted(address: str) -> tuple[str, str]:
    """The store of an address, and the path in it."""
    scheme, _, rest = address.partition("://")
    host, _, path = rest.partition("/")
    return f"{scheme.lower()}://{host}", path.strip("/")


def _library() -> Any:
    """``obstore``.

    Raises
    ------
    Problem
        When it is not installed.
    """
    try:
        import obstore.exceptions
        import obstore.store
    except ImportError as error:
        raise Problem(
            "Reading from object storage needs obstore, which is not installed: pip install 'qviz[cluster]'."
        ) from error
    return obstore


@cache
def _store(address: str) -> Any:
    """What reads, one for each store and process."""
    from_url = _library().store.from_url
    if address.startswith("file:"):
        return from_url("file:///")
    patient = {"max_retries": 3, "retry_timeout": PATIENCE}
    return from_url(address, client_options={"allow_http": True, "timeout": PATIENCE}, retry_config=patient)


@contextmanager
def said(path: str) -> Iterator[None]:
    """Say in a sentence what a store refuses."""
    refused = _library().exceptions
    try:
        yield
    except refused.PreconditionError as error:
        raise changed(Path(path)) from error
    except FileNotFoundError as error:
        raise FileProblem(path, N_("does not exist"), N_("Check its address.")) from error
    except (refused.BaseError, OSError) as error:
        raise FileProblem(
            path,
            N_("can't be read: {reason}"),
            N_("Check the address, and what the environment says of access."),
            reason=shortened(str(error).split("\n", 1)[0], 120),
        ) from error
