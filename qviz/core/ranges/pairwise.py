"""What is NumPy's float32 mean of something computed from a tensor, to the last bit, without holding it all?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.tensors.batches import Batch
from qviz.core.work import IsCancelled, check, in_two_threads

LEAF = 1 << 16
"""Elements computed at once: they stay in the cache."""

THREADED = 1 << 20
"""More elements are halved between two threads."""


def means(
    batch: Batch, terms: Callable[[FloatArray, FloatArray, int], FloatArray], count: int, cancelled: IsCancelled
) -> FloatArray:
    """``numpy.mean`` of ``count`` float32 arrays that are computed from a batch element by element.

    NumPy adds float32 pairwise: halves, each a multiple of 8 long, down to 128 elements. The sums
    of pieces that arise so are its own.

    Parameters
    ----------
    batch : Batch
        Finite, not empty.
    terms : Callable[[values, memory, number], float32 array]
        The ``number``-th array of a piece of the batch; ``memory`` of the piece's shape may hold it.
    count : int
    cancelled : Callable[[], bool]

    Returns
    -------
    float32 array, shape (count,)
    """

    def added(start: int, size: int) -> FloatArray:
        if size <= LEAF:
            check(cancelled)
            values, memory = batch.read(start, start + size), np.empty(size, np.float32)
            with np.errstate(all="ignore"):  # each thread has its own
                return np.array([np.add.reduce(terms(values, memory, i)) for i in range(count)], np.float32)
        half = size // 2
        half -= half % 8
        if size <= THREADED or (start, size) != (0, batch.size):
            return added(start, half) + added(start + half, size - half)
        left, right = in_two_threads(lambda part: added(*part), (0, half), (half, size - half))
        return left + right

    with np.errstate(all="ignore"):
        return (added(0, batch.size) / np.float64(batch.size)).astype(np.float32)
