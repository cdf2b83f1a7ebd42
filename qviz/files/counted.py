"""How often is each value there, of those that a file keeps in 16 bits? Counted as they lie, a stretch at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.arrays import Counts
from qviz.core.tensors.stored import Stored
from qviz.core.tensors.value_counts import Kind, ValueCounts, counted_patterns, of_patterns
from qviz.core.work import THREADS, IsCancelled, never
from qviz.files.problems import system_errors

KINDS: dict[str, Kind] = {"bfloat16": "bfloat16", "float16": "float16"}
"""Types whose values can be counted."""

BITS: dict[str, np.dtype[Any]] = {
    "float16": np.dtype("<f2"),
    "float32": np.dtype("<f4"),
    "float64": np.dtype("<f8"),
    "bfloat16": np.dtype("<u2"),
}
"""As what fractions are read by those who look at a part: bfloat16 as whole numbers."""

READ = 1 << 18
"""Elements that are read and counted at once: they stay in the cache in between."""

MANY_READS = 16
"""So many are worth a thread of their own."""


def counted_in(
    path: Path, bits: Callable[[], Stored], kind: Kind, *, threads: int = THREADS, cancelled: IsCancelled = never
) -> ValueCounts:
    """Count the values of a tensor.

    Parameters
    ----------
    path : Path
        The file, for messages.
    bits : Callable
        Gives its values, of 16 bits each.
    kind : {"bfloat16", "float16"}
    threads : int
        At most.

    Raises
    ------
    FileProblem
        When it can't be read.
    Cancelled
        When asked to stop.
    """
    with system_errors(path):
        stored = bits()
        starts = range(0, stored.size, READ)
        sharing = min(threads, max(1, len(starts) // MANY_READS))

        def counted(place: int) -> Counts:
            # In the same memory each time: fresh memory costs more than what is read into it.
            room = np.empty(min(READ, stored.size), stored.dtype)
            pieces = stored.stretches(starts[place::sharing], room)
            return counted_patterns((piece.view(np.uint16) for piece in pieces), cancelled=cancelled)

        if sharing == 1:
            return of_patterns(counted(0), kind)
        # Each thread reads and counts its share: counts add up.
        with ThreadPoolExecutor(sharing) as pool:
            return of_patterns(reduce(add, pool.map(counted, range(sharing))), kind)
