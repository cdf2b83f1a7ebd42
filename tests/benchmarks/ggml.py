"""How quickly are blocks of ggml encoded, beside ggml's own C code? Each in one thread, in turn, in one run.

``GGML_SOURCE`` is the folder of which `tests.golden.record_ggml` tells; without it nothing is measured. ggml is built
as its own build does it: its quantizers stand in ``ggml-base``, a release (``-O3``) for every x86-64, whatever
``GGML_NATIVE`` says, which is of ``ggml-cpu`` alone. And, harder, as if that held for them, too.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from qviz.files.ggml_blocks import encoded_bytes
from tests.golden import record_ggml

ROUNDS, ROWS, COLUMNS = 7, 256, 1024

RELEASE = ("-O3",)
NATIVE = ("-O3", "-march=native", "-ffp-contract=off")


def measure(largest: int) -> Iterator[str]:
    """A table of types: million elements a second of either, with and without importances."""
    source = os.environ.get("GGML_SOURCE")
    if not source:
        yield "GGML_SOURCE names no folder with ggml's C code: not measured."
        return
    rng = np.random.default_rng(0)
    x = rng.standard_normal((max(1, min(ROWS, largest // COLUMNS)), COLUMNS)).astype(np.float32)
    importances = rng.random(COLUMNS).astype(np.float32)
    yield "| type | importances | ggml, Mel/s | for this processor | qviz, Mel/s | of ggml | the same bytes |"
    yield "|---|---|---|---|---|---|---|"
    with tempfile.TemporaryDirectory() as folder:
        libraries = [record_ggml._library(Path(source), Path(folder), flags) for flags in (RELEASE, NATIVE)]
        for name in record_ggml.TYPES:
            for given in (None, importances):
                yield _row(libraries, name, x, given)


def _row(libraries: list[ctypes.CDLL], name: str, x: np.ndarray, given: np.ndarray | None) -> str:
    ways = [
        *(partial(record_ggml._ask, library, name, x, given) for library in libraries),
        partial(encoded_bytes, x, name, given),
    ]
    same = all((ways[0]() == ways[-1]()).ravel())
    least = [float("inf")] * len(ways)
    for _ in range(ROUNDS):
        for i, way in enumerate(ways):
            start = time.perf_counter()
            way()
            least[i] = min(least[i], time.perf_counter() - start)
    theirs, native, own = (x.size / seconds / 1e6 for seconds in least)
    told = ("no", "yes")
    figures = f"{theirs:.1f} | {native:.1f} | {own:.1f} | {own / max(theirs, native):.2f}"
    return f"| {name} | {told[given is not None]} | {figures} | {told[same]} |"
