"""How many elements does a library's histogram count in each bin? To the last element, whatever its arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from qviz.core.arrays import Counts, FloatArray, Floats, only_read
from qviz.core.ranges.binning import count_between
from qviz.core.tensors.latest import Latest
from qviz.core.tensors.sorted_tensor import above, at_least
from qviz.core.tensors.tensor import Tensor

Answer = TypeVar("Answer")

_known: WeakKeyDictionary[Tensor, Latest] = WeakKeyDictionary()


def remembered(tensor: Tensor, question: Any, answer: Callable[[], Answer]) -> Answer:
    """What was found for a tensor before, for as long as it lives, or until later answers take its place.

    Parameters
    ----------
    tensor : Tensor
    question : hashable
    answer : Callable[[], Answer]
        Finds it.
    """
    known = _known.get(tensor)
    if known is None:
        known = _known.setdefault(tensor, Latest(4 * tensor.elements))
    if question not in known:
        known[question] = found = answer()
        return found
    kept: Answer = known[question]
    return kept


def is_remembered(tensor: Tensor, question: Any) -> bool:
    """Whether `remembered` has the answer."""
    return question in _known.get(tensor, ())


def edge_counts(pieces: Iterable[FloatArray], edges: FloatArray | Floats) -> Counts:
    """Elements between neighbouring edges, the last bin closed: ``numpy.histogram(x, edges)[0]``.

    NumPy corrects what it finds by dividing until it agrees with the edges, so that this is also
    what it counts in equal bins with such edges.

    Parameters
    ----------
    pieces : iterable of float32 arrays
        Finite.
    edges : float array, shape (bins + 1,)
        Ascending.
    """
    keys = _keys(edges)
    if count_between.ready:
        counts = np.zeros(keys.size - 1, np.int64)
        for piece in pieces:
            count_between(only_read(piece), keys, counts)
        return counts
    below = np.zeros(keys.size, np.int64)
    for piece in pieces:
        below += np.sort(piece).searchsorted(keys)
    return np.diff(below)


def _keys(edges: FloatArray | Floats) -> FloatArray:
    """The smallest float32 in each bin, and the smallest beyond the last."""
    if edges.dtype == np.float32:
        with np.errstate(over="ignore"):
            return np.append(edges[:-1], np.nextafter(edges[-1], np.float32(np.inf)))
    wide = edges.astype(np.float64)
    return np.append(at_least(wide[:-1]), above(wide[-1:]))


def linear_counts(pieces: Iterable[FloatArray], low: np.float32, high: np.float32, bins: int) -> Counts:
    """Elements in each of ``bins`` equal bins as ``torch.histc`` counts them.

    That is ⌊(x − low)·bins/(high − low)⌋ in float32; what lies beyond the ends is not counted. Where
    float32 is too narrow for that, so that PyTorch's own answer means nothing, it is float64.

    Parameters
    ----------
    pieces : iterable of float32 arrays
        Finite.
    low, high : float32
        Where they are equal, a bin reaches 1 to either side, as in PyTorch.
    """
    if low == high:
        low, high = np.float32(np.float64(low) - 1), np.float32(np.float64(high) + 1)
    with np.errstate(over="ignore"):
        narrow = not np.isfinite((high - low) * np.float32(bins))
    precision = np.float64 if narrow else np.float32
    start, many = precision(low), precision(bins)
    width = precision(high) - start or precision(1)  # far out, 1 is less than float32 can tell
    counts = np.zeros(bins, np.int64)
    for piece in pieces:
        inside = piece if piece.min() >= low and piece.max() <= high else piece[(piece >= low) & (piece <= high)]
        position = ((inside - start) * many / width).astype(np.intp)
        counts += np.bincount(np.minimum(position, bins - 1), minlength=bins)
    return counts


def bin_ends(low: Any, high: Any) -> tuple[Any, Any]:
    """The ends of NumPy's equal bins: half of 1 further apart where they are one."""
    return (low - 0.5, high + 0.5) if low == high else (low, high)
