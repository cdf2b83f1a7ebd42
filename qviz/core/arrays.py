"""What are arrays called in signatures, where does float32 end, and where does memory for large ones come from?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
FloatArray = np.ndarray[Any, np.dtype[np.float32]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Counts = np.ndarray[Any, np.dtype[np.int64]]

LARGEST = float(np.finfo(np.float32).max)
"""The levels of the widest ranges lie beyond it: there they are infinite, and nothing is drawn."""


def is_one_number(array: Array) -> bool:
    """Whether all of several elements are the same one in memory, as `numpy.broadcast_to` has them."""
    return array.size > 1 and not any(step for step, n in zip(array.strides, array.shape, strict=True) if n > 1)


def distinct(array: Array) -> Array:
    """The array, or its only number where all elements are the same one in memory: for what asks of each, once."""
    return array.reshape(-1)[:1] if is_one_number(array) else array


def ends_of(array: Array) -> tuple[float, float]:
    """The smallest and the largest number."""
    array = distinct(array)
    return float(array.min()), float(array.max())


def only_read(array: Array) -> FloatArray:
    """All its numbers one after the other in float32, as kernels take what they do not write to."""
    flat = np.ascontiguousarray(array, np.float32).reshape(-1).view()
    flat.flags.writeable = False
    return flat


# --- memory that is used again -------------------------------------------------------------------------
#
# One answer after the other holds as many numbers, and goes when the next one comes. The C library gives large pieces
# back to the system, whose new pages cost several times what is written into them.

LARGE_BYTES, MOST_BYTES = 1 << 20, 1 << 26
"""Smaller arrays are not worth it; and what is kept of all together, when nobody holds them."""

WASTED = 2
"""As many times as large as what is wanted a piece may be, at most."""

_spare: list[Array] = []


class _Lent:
    """A piece of memory that comes back when the last array in it is gone."""

    def __init__(self, memory: Array) -> None:
        self._memory = memory
        self.__array_interface__ = memory.__array_interface__

    def __del__(self, spare: list[Array] = _spare, most: int = MOST_BYTES) -> None:
        # Without a lock, each step whole in itself: this is called at any moment, in any thread, and at the very end.
        spare.append(self._memory)
        while sum(each.nbytes for each in tuple(spare)) > most:
            try:
                spare.pop(0)
            except IndexError:
                break


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """What `numpy.empty` gives; where it is large, in memory of an array that is gone, if there is some."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if not LARGE_BYTES <= size <= MOST_BYTES:
        return np.empty(shape, dtype)
    memory = None
    for _ in range(len(_spare)):
        try:
            memory = _spare.pop(0)
        except IndexError:
            break
        if size <= memory.nbytes <= WASTED * size:
            break
        _spare.append(memory)
        memory = None
    if memory is None:
        memory = np.empty(size, np.uint8)
    made: Array = np.asarray(_Lent(memory))[:size].view(dtype).reshape(shape)
    return made


def zeros(shape: tuple[int, ...], dtype: Any) -> Array:
    """The same, of zeros."""
    made = empty(shape, dtype)
    made.fill(0)
    return made


def let_go() -> None:
    """Keep nothing."""
    _spare.clear()
