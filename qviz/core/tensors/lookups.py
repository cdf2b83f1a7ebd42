"""Where is a sorted tensor cut? Many keys, each fetched ahead."""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.compiler import kernel, prefetch
from qviz.core.tensors.survey import WIDTH

AHEAD = 32
"""Keys whose blocks are fetched before the first of them is counted."""

HALF_BLOCK = WIDTH // 2
"""Numbers that are fetched from memory together."""


def _example_of_places() -> tuple[Any, ...]:
    numbers = np.zeros(WIDTH, np.float32)
    return numbers, 0, 1, numbers, numbers, np.zeros(1, np.int64)


@kernel(_example_of_places)
def places(keys: Any, begin: Any, end: Any, values: Any, index: Any, position: Any) -> None:
    """How many elements are smaller than the keys ``begin`` … ``end``.

    Parameters
    ----------
    keys : float32 array
        Not NaN; ascending ones are found faster.
    values : float32 array, shape (blocks * WIDTH,)
        Ascending, filled up with infinity.
    index : float32 array, shape (blocks,)
        The first value of each block.
    position : int64 array
        Filled, as the keys.
    """
    low, before = 0, -np.inf
    for start in range(begin, end, AHEAD):
        stop = min(start + AHEAD, end)
        for k in range(start, stop):
            key = keys[k]
            low = low if key >= before else 0
            before = key
            # Neighbours lie near each other: ever longer strides, and then halves of the last one.
            high, stride = low, 1
            while high < index.size and index[high] < key:
                low = high + 1
                high += stride
                stride *= 2
            high = min(high, index.size)
            while low < high:
                middle = (low + high) // 2
                if index[middle] < key:
                    low = middle + 1
                else:
                    high = middle
            position[k] = max(low - 1, 0) * WIDTH
            prefetch(values, position[k])
            prefetch(values, position[k] + HALF_BLOCK)
        for k in range(start, stop):
            key, at, inside = keys[k], np.uint64(position[k]), np.int64(0)
            for i in range(WIDTH):
                inside += np.int64(values[at + np.uint64(i)] < key)
            position[k] += inside
