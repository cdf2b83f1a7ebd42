"""Why does no recipe give the codes of a quantized tensor? What can be seen of it: scaled columns, reordered ones.

Only what was measured is said; where nothing is seen, nothing is.
"""

from __future__ import annotations

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.problems import N_, Phrase, Problem
from qviz.models.checkpoint import Weight

FEWEST_ROWS, FEWEST_COLUMNS = 16, 16
"""Of a matrix whose columns are compared."""

SURE = 8.0
"""Standard errors that a column's factor has to be away from the middle one."""

SPREAD = 1.05
"""Least ratio of the factors that nine in ten columns and one in ten stay below."""

LEFT = 0.1
"""Largest share of the energy that factors may leave unexplained."""


def why_none(original: FloatArray, quantized: FloatArray, weight: Weight) -> Phrase | None:
    """What keeps every recipe from these codes, where it can be seen.

    Parameters
    ----------
    original, quantized : float32 arrays of the same shape
    weight : Weight
        The quantized tensor.
    """
    if _is_reordered(weight):
        return Phrase(N_("groups in the order of activations (g_idx), as GPTQ's act-order has them"))
    factors = _factors(original, quantized)
    if factors is None:
        return None
    said = N_("columns scaled by {low} to {high} before they were rounded, as AWQ scales them")
    low, high = (f"{each:.3g}" for each in factors)
    return Phrase(said, low=low, high=high)


def _is_reordered(weight: Weight) -> bool:
    encoding = weight.entry.encoding
    for part in encoding.parts if encoding is not None else ():
        if str(part.key).endswith("g_idx"):
            try:
                groups = np.asarray(part.load()[:])
            except Problem:
                return False
            return bool((groups >= 0).all() and (np.diff(groups.astype(np.int64)) < 0).any())
    return False


def _factors(original: FloatArray, quantized: FloatArray) -> tuple[float, float] | None:
    """The factors of the middle eight tenths of the columns, where most differ by more than by chance."""
    if original.ndim != 2 or original.shape[0] < FEWEST_ROWS or original.shape[1] < FEWEST_COLUMNS:
        return None
    products, squares, energy = np.zeros((3, original.shape[1]))
    for first in range(0, len(original), 256):
        here = slice(first, first + 256)
        x, y = original[here].astype(np.float64), quantized[here].astype(np.float64)
        products += np.einsum("ij,ij->j", x, y)
        squares += np.einsum("ij,ij->j", x, x)
        energy += np.einsum("ij,ij->j", y, y)
    told = (squares > 0) & (energy > 0)
    if np.count_nonzero(told) < FEWEST_COLUMNS:
        return None
    products, squares, energy = products[told], squares[told], energy[told]
    factors = products / squares
    left = np.maximum(energy - factors * products, 0)
    error = np.sqrt(left / len(original) / squares)
    low, high = np.quantile(factors, (0.1, 0.9))
    sure = np.abs(factors - np.median(factors)) > SURE * error
    if low <= 0 or high < SPREAD * low or np.mean(sure) < 0.5 or left.sum() > LEFT * energy.sum():
        return None
    return float(low), float(high)
