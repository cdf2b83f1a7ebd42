"""Where exactly does a quantizer step? The quantizer itself is asked, never a formula about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from qviz.core.arrays import LARGEST, Array, FloatArray

Reached = Callable[[FloatArray, Any], np.ndarray[Any, np.dtype[np.bool_]]]
"""``reached(x, which)``: whether each x, shape (tries, steps), lies at or beyond the steps ``which`` (an index)."""

TOGETHER = 1 << 13
"""Steps whose tries stay in the cache, in memory that is not given back to the system after each."""

SECTIONS = 16
INFINITY = int(np.float32(np.inf).view(np.int32))


def first_reaching(reached: Reached, guess: np.ndarray[Any, Any], near: int = 2) -> FloatArray:
    """The smallest float32 at or beyond each step of a monotone staircase.

    Parameters
    ----------
    reached : Reached
        Monotone in x: once true, true for all larger x.
    guess : float array, shape (steps,)
        Where each step is about; only speed depends on it.
    near : int
        How many float32 numbers on either side of the guess are tried before searching.

    Returns
    -------
    float32 array, shape (steps,)
        Infinity where no finite value reaches the step; -infinity where even that one does.
    """
    guess = np.asarray(guess)
    found: FloatArray = np.empty(guess.size, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, guess.size, TOGETHER):
            here = slice(start, min(start + TOGETHER, guess.size))
            found[here], elsewhere = _tried(reached, here, guess[here], near)
            if elsewhere.size:
                found[elsewhere] = _search(reached, elsewhere)
    return found


def _tried(reached: Reached, here: slice, guess: Array, near: int) -> tuple[FloatArray, Array]:
    """The steps ``here`` as far as they are near the guesses: nearly always one or its neighbour; and which are not."""
    middle = np.nan_to_num(guess.astype(np.float32), nan=0.0, posinf=LARGEST, neginf=-LARGEST)
    tries = _value(_key(middle) + np.arange(-near, near + 1, dtype=np.int32)[:, None])
    hit = reached(tries, here)
    found: FloatArray = tries[np.argmax(hit, axis=0), np.arange(middle.size)]
    return found, np.flatnonzero(hit[0] | ~hit[-1]) + here.start


def _search(reached: Reached, steps: np.ndarray[Any, Any]) -> FloatArray:
    """By dividing all float32 numbers, in their own order, into ever smaller sections."""
    # Not reached at ``low``; reached at ``high``, or never, which infinity stands for.
    low = np.full(steps.size, -INFINITY - 1, np.int64)
    high = np.full(steps.size, INFINITY, np.int64)
    fractions = np.arange(1, SECTIONS)[:, None] / SECTIONS
    column = np.arange(steps.size)
    while (high - low).max() > 1:
        inner = np.minimum(low + np.ceil((high - low) * fractions).astype(np.int64), high)
        hit = reached(_value(inner), steps)
        first = np.where(hit.any(axis=0), np.argmax(hit, axis=0), SECTIONS - 1)
        ends = np.concatenate((low[None], inner, high[None]))
        low, high = ends[first, column], ends[first + 1, column]
    return _value(high)


def _key(values: FloatArray) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Whole numbers in the order of float32 values; neighbours differ by one (±0 share a key)."""
    bits = values.view(np.int32)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def _value(keys: np.ndarray[Any, np.dtype[Any]]) -> FloatArray:
    keys = np.minimum(keys, INFINITY).astype(np.int32, copy=False)
    bits = np.where(keys < 0, -keys | np.int32(-0x80000000), keys)
    return bits.view(np.float32)
