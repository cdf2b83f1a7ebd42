"""What are arrays called in signatures, and where does float32 end?"""

from __future__ import annotations

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
