"""How much longer than reading a checkpoint of bfloat16 once does an audit take, and than the core's loops alone?

Each way is taken in turn, in as many threads as the audit has; the least of the rounds counts. Pages of the file are in
memory, or dropped before, as far as the system does so (``posix_fadvise``). The bare loop copies pages into memory that
stays in the cache, 30 GB/s a thread; a count is a store, of which a processor does one at a time: 8 GB/s. So what is in
memory is compared with reading it into arrays, too, as everybody has to who looks at it in another way.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from qviz.core import PerBlock, Scheme, Tensor
from qviz.core import measure as measure_tensor
from qviz.core.compiler import warm_up
from qviz.core.work import THREADS
from qviz.files.counted import READ
from qviz.models.audit import audit
from qviz.models.checkpoint import Checkpoint, Weight, open_checkpoint

TENSORS, ROWS, COLUMNS = 32, 8192, 8192
"""Of 128 MiB each: 4 GiB, which is more than memory leaves to pages on small machines."""

ROUNDS = 3
SOME = 4
"""Tensors that are looked at in blocks."""

PER_TENSOR = tuple(Scheme(f"int{bits}", symmetric) for bits in (8, 6, 4, 3) for symmetric in (True, False))
PER_BLOCK = (Scheme("int4", granularity=PerBlock(-1, 32)),)


@dataclass(frozen=True)
class Made:
    """A file, and where its values begin."""

    path: Path
    checkpoint: Checkpoint
    first: int


def measure(largest: int, *, compiled: bool = True) -> Iterator[str]:
    """A table: seconds of reading, of either audit, and of the core's loops.

    Parameters
    ----------
    largest : int
        Elements that a tensor has at most.
    compiled : bool
        Whether the compiled loops are made ready.
    """
    if compiled:
        warm_up()
    with tempfile.TemporaryDirectory() as folder:
        made = _made(Path(folder) / "model.safetensors", largest)
        if made is None:
            yield "There is no room for the file on the disk: not measured."
            return
        nbytes, some = made.checkpoint.nbytes, made.checkpoint.weights[:SOME]
        yield f"{nbytes / 1e9:.2f} GB of bfloat16, {len(made.checkpoint.weights)} tensors, {THREADS} threads"
        yield "| pages | way | seconds | GB/s | of its bare loop |"
        yield "|---|---|---|---|---|"
        reading: dict[str, Callable[[], object]] = {
            "read once": partial(_read, made, nbytes),
            "read into arrays": partial(_read_arrays, made),
            f"audit per tensor, {len(PER_TENSOR)} schemes": partial(_audited, made.checkpoint.weights, PER_TENSOR),
        }
        looping: dict[str, Callable[[], object]] = {
            "the core's loop, blocks of 32": partial(_looped, some),
            "audit in blocks of 32": partial(_audited, some, PER_BLOCK),
        }
        of_some = sum(weight.nbytes or 0 for weight in some)
        for pages, ways, size in (
            ("in memory", reading, nbytes),
            ("dropped", reading, nbytes),
            ("in memory", looping, of_some),
        ):
            found = _least(list(ways.values()), partial(_drop, made.path) if pages == "dropped" else None)
            for name, seconds in zip(ways, found, strict=True):
                yield f"| {pages} | {name} | {seconds:.3g} | {size / seconds / 1e9:.2f} | {seconds / found[0]:.2f} |"


def _made(path: Path, largest: int) -> Made | None:
    """A checkpoint of tensors that differ, each with a few far values as real ones have them; None without room."""
    columns = min(COLUMNS, largest)
    rows = max(1, min(ROWS, largest // columns))
    tensors = TENSORS if rows == ROWS else 2
    size = 2 * rows * columns
    if shutil.disk_usage(path.parent).free < 2 * tensors * size:
        return None
    rng = np.random.default_rng(0)
    values = rng.standard_normal(rows * columns, dtype=np.float32)
    values[:: max(1, values.size // 1000)] *= 8
    patterns = (values.view(np.uint32) >> 16).astype("<u2")
    entries = {
        f"layers.{i}.weight": {"dtype": "BF16", "shape": [rows, columns], "data_offsets": [i * size, (i + 1) * size]}
        for i in range(tensors)
    }
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for i in range(tensors):
            np.roll(patterns, 977 * i).tofile(file)
    return Made(path, open_checkpoint([path]), 8 + len(header))


def _read(made: Made, nbytes: int) -> None:
    """Every byte once, into memory that is used again: pieces of the size that counting reads."""
    size = 2 * READ

    def share(place: int) -> None:
        room = memoryview(bytearray(size))
        file = os.open(made.path, os.O_RDONLY)
        try:
            for start in range(made.first + place * size, made.first + nbytes, THREADS * size):
                os.preadv(file, [room], start)
        finally:
            os.close(file)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(share, range(THREADS)))


def _read_arrays(made: Made) -> None:
    """Each tensor into an array of its own."""

    def read(place: int) -> None:
        for i in range(place, len(made.checkpoint.weights), THREADS):
            elements = made.checkpoint.weights[i].elements or 0
            np.fromfile(made.path, np.uint16, elements, offset=made.first + 2 * elements * i)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(read, range(THREADS)))


def _audited(weights: Sequence[Weight], schemes: Sequence[Scheme]) -> None:
    for row in audit(weights, schemes, threads=THREADS):
        assert row.figures is not None


def _looped(weights: Sequence[Weight]) -> None:
    """What the core alone does, of tensors that are loaded one after the other."""
    for weight in weights:
        measure_tensor(Tensor(weight.entry.load(), weight.name, dtype=weight.entry.dtype), *PER_BLOCK)


def _drop(path: Path) -> None:
    if not hasattr(os, "posix_fadvise"):
        return
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)


def _least(ways: Sequence[Callable[[], object]], before: Callable[[], object] | None) -> list[float]:
    least = [float("inf")] * len(ways)
    for _ in range(ROUNDS):
        for i, way in enumerate(ways):
            if before is not None:
                before()
            start = time.perf_counter()
            way()
            least[i] = min(least[i], time.perf_counter() - start)
    return least
