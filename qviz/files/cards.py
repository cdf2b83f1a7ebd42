"""What is a card? What is counted of a checkpoint, without the places of its elements: it answers, and stays small.

A card is a safetensors file. ``tensors`` is JSON: names, shapes, types, bytes, and where the counts of each lie;
``values`` and ``counts`` are what is counted of all of them, ``low`` and ``high`` the extremes of their rows.
"""

from __future__ import annotations

import json
import math
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.frozen import frozen
from qviz.core.problems import N_, Phrase, Problem
from qviz.core.tensors.value_counts import ValueCounts
from qviz.core.work import IsCancelled, never
from qviz.files.atomic import atomic_write
from qviz.files.entry import Loaded, TensorEntry
from qviz.files.problems import FileProblem, shortened
from qviz.files.region import Region

MARK = '"qvizcard"'
SUFFIX = ".qvizcard"

_VERSION = "1"
_LARGEST_LIST = 1 << 28
_DAMAGED = N_("Make it again with qviz card.")
_MOST_AXES = 64


@frozen(eq=False)
class CardRow:
    """What a card keeps of a tensor.

    Attributes
    ----------
    name, dtype : str
    shape : tuple of int
    nbytes : int
        In the checkpoint.
    counts : ValueCounts or None
        None where it has more values than can be counted.
    rows : tuple of two float32 arrays, or None
        The smallest and the largest value of each index of the first axis.
    why : str
        Why there are no counts.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    counts: ValueCounts | None
    rows: tuple[FloatArray, FloatArray] | None = None
    why: str = ""


def write_card(path: Path, rows: Iterable[CardRow]) -> int:
    """Write a card, tensor by tensor; nothing of a large checkpoint is held in memory.

    Parameters
    ----------
    path : Path
    rows : iterable of CardRow

    Returns
    -------
    int
        Tensors whose counts it has.

    Raises
    ------
    FileProblem
        When it can't be written.
    """
    listed: list[dict[str, Any]] = []
    sizes = dict.fromkeys(("values", "counts", "low", "high"), 0)
    counted = 0
    with atomic_write(path) as target, tempfile.TemporaryDirectory(dir=target.parent) as folder:
        parts = {name: (Path(folder) / name).open("wb+") for name in sizes}
        try:
            for row in rows:
                about: dict[str, Any] = {
                    "name": row.name,
                    "dtype": row.dtype,
                    "shape": list(row.shape),
                    "bytes": row.nbytes,
                }
                if row.counts is not None:
                    counted += 1
                    about |= {"first": sizes["counts"] // 8, "many": row.counts.values.size}
                    about |= {"nan": row.counts.nan, "inf": row.counts.inf}
                    sizes["values"] += parts["values"].write(row.counts.values.astype("<f4").tobytes())
                    sizes["counts"] += parts["counts"].write(row.counts.counts.astype("<u8").tobytes())
                elif row.why:
                    about["why"] = row.why
                if row.rows is not None:
                    about |= {"first_row": sizes["low"] // 4, "rows": row.rows[0].size}
                    for name, ends in zip(("low", "high"), row.rows, strict=True):
                        sizes[name] += parts[name].write(ends.astype("<f4").tobytes())
                listed.append(about)
            _join(target, json.dumps(listed).encode(), sizes, parts)
        finally:
            for part in parts.values():
                part.close()
    return counted


def _join(target: Path, listed: bytes, sizes: dict[str, int], parts: Mapping[str, IO[bytes]]) -> None:
    kinds = {"counts": ("U64", 8), "values": ("F32", 4), "low": ("F32", 4), "high": ("F32", 4)}
    header: dict[str, Any] = {"__metadata__": {"qvizcard": _VERSION}}
    at = 0
    for name, (kind, width) in kinds.items():  # the widest first: each lies at a multiple of its width
        header[name] = {"dtype": kind, "shape": [sizes[name] // width], "data_offsets": [at, at + sizes[name]]}
        at += sizes[name]
    header["tensors"] = {"dtype": "U8", "shape": [len(listed)], "data_offsets": [at, at + len(listed)]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with target.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in kinds:
            parts[name].seek(0)
            shutil.copyfileobj(parts[name], file)
        file.write(listed)


def list_entries(path: Path) -> tuple[TensorEntry, ...]:
    """The tensors of a card: what one scale does to them is known, and they can't be loaded.

    Raises
    ------
    FileProblem
        When it is damaged.
    """
    from qviz.files.safetensors import places

    parts = places(path)
    region = Region.whole(path)
    found = {}
    for name, kind in (("tensors", "U8"), ("values", "F32"), ("counts", "U64"), ("low", "F32"), ("high", "F32")):
        part = parts.get(name)
        if part is None or part.kind != kind or len(part.shape) != 1:
            raise FileProblem(path, N_("is a damaged card"), _DAMAGED)
        found[name] = (region.within(part.start, math.prod(part.shape) * _WIDTHS[kind]), math.prod(part.shape))
    listing, size = found["tensors"]
    if size > _LARGEST_LIST:
        raise FileProblem(path, N_("is a damaged card"), _DAMAGED)
    try:
        listed = json.loads(listing.read(0, size))
        rows = [_row(path, each, found) for each in listed]
    except (ValueError, TypeError, KeyError, RecursionError, AttributeError):
        raise FileProblem(path, N_("is a damaged card"), _DAMAGED) from None
    if not rows:
        raise FileProblem(path, N_("has no tensors in it"), N_("Choose a file with weights."))
    return tuple(rows)


_WIDTHS = {"U8": 1, "F32": 4, "U64": 8}

Parts = dict[str, tuple[Region, int]]


def _row(path: Path, about: dict[str, Any], parts: Parts) -> TensorEntry:
    name, dtype, shape, nbytes = about["name"], about["dtype"], tuple(about["shape"]), about["bytes"]
    if not (isinstance(name, str) and isinstance(dtype, str) and type(nbytes) is int and nbytes >= 0):
        raise ValueError(name)
    if len(shape) > _MOST_AXES or any(type(each) is not int or each < 1 for each in shape) or not shape:
        raise ValueError(shape)
    counted: Callable[..., ValueCounts] | None = None
    if "many" in about:
        first, many, nan, inf = (about[key] for key in ("first", "many", "nan", "inf"))
        if any(type(each) is not int or each < 0 for each in (first, many, nan, inf)):
            raise ValueError(first)
        if first + many > min(parts["values"][1], parts["counts"][1]):
            raise ValueError(many)
        counted = partial(_counts, path, parts, (first, many, nan, inf), math.prod(shape))
    said = about.get("why")
    problem = _no_elements(path, name) if counted is not None else _no_counts(path, name, str(said or ""))

    def load(**_: object) -> Loaded:
        raise problem

    return TensorEntry(
        f"{path.stem}/{name}",
        path,
        name,
        shape,
        dtype,
        load,
        refused=problem,
        nbytes=nbytes,
        outputs_first=True,
        counted=counted,
    )


def _no_elements(path: Path, name: str) -> Problem:
    return FileProblem(
        path,
        N_("has only the counts of '{name}', which tell what one scale does to it"),
        N_("For pictures, blocks and channels open the checkpoint itself."),
        name=shortened(name),
    )


def _no_counts(path: Path, name: str, why: str) -> Problem:
    return FileProblem(
        path,
        N_("has no counts of '{name}' ({why})"),
        N_("Open the checkpoint itself."),
        name=shortened(name),
        why=Phrase("{why}", why=shortened(why)) if why else Phrase("values of more than 16 bits"),
    )


def _counts(
    path: Path,
    parts: Parts,
    place: tuple[int, int, int, int],
    elements: int,
    *,
    threads: int = 1,
    cancelled: IsCancelled = never,
) -> ValueCounts:
    first, many, nan, inf = place
    values = np.frombuffer(parts["values"][0].unchanged().read(4 * first, 4 * many), "<f4").astype(np.float32)
    counts = np.frombuffer(parts["counts"][0].read(8 * first, 8 * many), "<u8").astype(np.int64)
    sound = bool(np.isfinite(values).all() and (np.diff(values) > 0).all() and (counts > 0).all())
    if not sound or int(counts.sum()) + nan + inf != elements:
        raise FileProblem(path, N_("is a damaged card"), _DAMAGED)
    return ValueCounts(values, counts, nan, inf)


def row_extremes(path: Path) -> dict[str, tuple[FloatArray, FloatArray]]:
    """The extremes of the rows of each tensor that a card has them of.

    Raises
    ------
    FileProblem
        When it is damaged.
    """
    from qviz.files.safetensors import places

    region, parts = Region.whole(path), places(path)
    ends = []
    for name in ("low", "high"):
        part = parts[name]
        ends.append(np.frombuffer(region.read(part.start, 4 * math.prod(part.shape)), "<f4").astype(np.float32))
    listing = parts["tensors"]
    listed = json.loads(region.read(listing.start, math.prod(listing.shape)))
    found = {}
    for about in listed:
        if "rows" in about:
            here = slice(about["first_row"], about["first_row"] + about["rows"])
            found[about["name"]] = (ends[0][here], ends[1][here])
    return found
