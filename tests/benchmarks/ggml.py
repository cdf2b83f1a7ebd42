"""How quickly are blocks of ggml encoded, beside ggml's own C code? Each in one thread, in turn, in one run.

``GGML_SOURCE`` is the folder of which `tests.golden.record_ggml` tells; without it nothing is measured.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from qviz.files.ggml_blocks import encoded_bytes
from tests.golden import record_ggml

ROUNDS, ROWS, COLUMNS = 7, 256, 1024


def measure(largest: int) -> Iterator[str]:
    """A table of types: million elements a second of either, with and without importances."""
    source = os.environ.get("GGML_SOURCE")
    if not source:
        yield "GGML_SOURCE names no folder with ggml's C code: not measured."
        return
    rng = np.random.default_rng(0)
    x = rng.standard_normal((max(1, min(ROWS, largest // COLUMNS)), COLUMNS)).astype(np.float32)
    importances = rng.random(COLUMNS).astype(np.float32)
    yield "| type | importances | ggml, Mel/s | qviz, Mel/s | of ggml | the same bytes |"
    yield "|---|---|---|---|---|---|"
    with tempfile.TemporaryDirectory() as folder:
        library = record_ggml._library(Path(source), Path(folder))
        for name in record_ggml.TYPES:
            for given in (None, importances):
                yield _row(library, name, x, given)


def _row(library: ctypes.CDLL, name: str, x: np.ndarray, given: np.ndarray | None) -> str:
    ways = (lambda: record_ggml._ask(library, name, x, given), lambda: encoded_bytes(x, name, given))
    same = all((ways[0]() == ways[1]()).ravel())
    least = [float("inf")] * 2
    for _ in range(ROUNDS):
        for i, way in enumerate(ways):
            start = time.perf_counter()
            way()
            least[i] = min(least[i], time.perf_counter() - start)
    theirs, own = (x.size / seconds / 1e6 for seconds in least)
    told = ("no", "yes")
    return f"| {name} | {told[given is not None]} | {theirs:.1f} | {own:.1f} | {own / theirs:.2f} | {told[same]} |"
