"""How are the finite values of a tensor put in order? Gathered, parted at the median, and sorted in two threads."""

from __future__ import annotations

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.tensors.layout import BLOCK
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, Progress, check, in_two_threads

PARTED_ABOVE = 1 << 22
"""More elements are parted at the median first: two threads sort a half each."""


def gather(tensor: Tensor, target: FloatArray, progress: Progress, cancelled: IsCancelled) -> None:
    """Copy the finite values, side by side."""
    filled = 0
    for piece in tensor.pieces(16 * BLOCK):
        check(cancelled)
        finite = piece if tensor.all_finite else piece[~np.isnan(piece)]
        target[filled : filled + finite.size] = finite
        filled += finite.size
        progress(filled / target.size)


def sort(values: FloatArray, progress: Progress, cancelled: IsCancelled) -> None:
    """In place; NumPy leaves other threads running while it sorts."""
    check(cancelled)
    if values.size <= PARTED_ABOVE:
        values.sort()
        return
    middle = values.size // 2
    values.partition(middle)
    progress(0.3)
    check(cancelled)
    in_two_threads(np.ndarray.sort, values[:middle], values[middle:])
    progress(1.0)
