"""From where to where do the values of each group reach?"""

from __future__ import annotations

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.tensors.layout import BLOCK, Flat, Layout
from qviz.core.work import IsCancelled, check

SHORT_RUN = 256
"""Neighbours of one group; more are reduced as fast as they are read."""


def group_extremes(
    values: Flat, layout: Layout, all_finite: bool, cancelled: IsCancelled
) -> tuple[FloatArray, FloatArray]:
    """Smallest and largest finite value of each group, shape (groups,); 0 where a group has none.

    Parameters
    ----------
    values : float32 array, or what reads like one, shape (elements,)
        NaN where not finite.
    all_finite : bool
        There is no NaN among them.

    Raises
    ------
    Cancelled
        When asked to stop.
    """
    low = np.full(layout.groups, np.inf, np.float32)
    high = np.full(layout.groups, -np.inf, np.float32)
    plain = all_finite and not layout.ragged
    smallest, largest = (np.minimum, np.maximum) if plain else (np.fmin, np.fmax)
    for block in layout.blocks(BLOCK):
        check(cancelled)
        g, piece = block[1], layout.take(values, block)
        low[g] = np.fmin(low[g], _over_groups(smallest, piece))
        high[g] = np.fmax(high[g], _over_groups(largest, piece))
    empty = ~(low <= high)
    low[empty] = high[empty] = 0
    return low, high


def _over_groups(extreme: np.ufunc, piece: FloatArray) -> FloatArray:
    """The extreme of each group of a block ``(outer, groups, inner)``, shape (groups,)."""
    # NumPy reduces short runs one by one; halved again and again they are taken many at a time.
    while piece.shape[2] <= SHORT_RUN and piece.shape[2] % 2 == 0:
        half = piece.shape[2] // 2
        piece = extreme(piece[:, :, :half], piece[:, :, half:])
    found: FloatArray = extreme.reduce(piece, axis=(0, 2))
    return found
