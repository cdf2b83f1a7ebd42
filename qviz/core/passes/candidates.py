"""What would each of many ranges lose? Their staircases are looked up in a sorted tensor together.

One search asks for hundreds of ranges. Looked up one by one, most of the time goes into calling NumPy
for a few levels each.
"""

from __future__ import annotations

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.arrays import FloatArray, Floats
from qviz.core.passes.sorted_pass import code_steps, exact_cell_ends
from qviz.core.tensors.sorted_tensor import SortedTensor
from qviz.core.work import IsCancelled, check

CELLS = 1 << 14
"""Cells that are looked up together: they fit into the cache."""

TOGETHER = 32
"""Ranges that are looked up together at most: each crosses every superblock of the tensor."""


def squared_errors(prepared: SortedTensor, qparams: QParams, cancelled: IsCancelled) -> Floats:
    """Σ(x̂ − x)² over the whole tensor under each of many scales.

    Parameters
    ----------
    prepared : SortedTensor
    qparams : QParams
        Its groups are the candidates, each taken for the whole tensor.

    Returns
    -------
    float64 array, shape (candidates,)
        Infinite where an element's x̂, or the scale itself, leaves float32.

    Raises
    ------
    Cancelled
        When asked to stop.
    """
    levels = qparams.levels()
    errors = np.full(qparams.groups, np.inf)
    # Under the others every x̂ is NaN: nothing is left, and there are no steps to look up.
    finite = np.flatnonzero(np.isfinite(qparams.scale))
    each = max(1, min(TOGETHER, CELLS // levels.shape[1]))
    for start in range(0, finite.size, each):
        check(cancelled)
        some = finite[start : start + each]
        errors[some] = _squared_errors(prepared, levels[some], code_steps(qparams, some))
    return errors


def clipping_errors(prepared: SortedTensor, qparams: QParams, cancelled: IsCancelled) -> Floats:
    """The part of `squared_errors` that lies beyond the codes: no more than the whole, and quicker to know."""
    errors = np.empty(qparams.groups)
    low, high = qparams.clip_range()
    for start in range(0, qparams.groups, TOGETHER):
        check(cancelled)
        some = slice(start, start + TOGETHER)
        ends = np.stack((low[some], high[some]), axis=1)
        finite = np.isfinite(ends)
        keys = np.where(finite, ends, 0).astype(np.float32).reshape(-1)
        cuts = prepared.cut(keys)
        lower, upper = np.arange(1, keys.size + 1, 2), np.arange(2, keys.size + 1, 2)
        left = np.stack((np.zeros_like(lower), upper), axis=1).reshape(-1)
        right = np.stack((lower, np.full_like(upper, keys.size + 1)), axis=1).reshape(-1)
        second = prepared.between(cuts.pick(left), cuts.pick(right), keys.astype(np.float64))[1]
        second = np.maximum(second, 0.0).reshape(-1, 2)
        errors[some] = np.where(finite.all(axis=1), second.sum(axis=1), 0.0)
    return errors


def _squared_errors(prepared: SortedTensor, levels: FloatArray, steps: FloatArray) -> Floats:
    ways, each = steps.shape
    cuts = prepared.cut(steps.reshape(-1))
    # Each staircase from the beginning of the tensor, over its own steps, to the end.
    places = np.empty((ways, each + 2), np.intp)
    places[:, 0], places[:, -1] = 0, ways * each + 1
    places[:, 1:-1] = np.arange(1, ways * each + 1).reshape(ways, each)
    left, right = cuts.pick(places[:, :-1].reshape(-1)), cuts.pick(places[:, 1:].reshape(-1))
    level = np.concatenate((levels[:, :1], levels, levels[:, -1:]), axis=1).astype(np.float64).reshape(-1)
    inside = np.isfinite(level)
    level = np.where(inside, level, 0.0)
    first, second = prepared.between(left, right, level)
    second = exact_cell_ends(prepared, left.position, right.position, level, first, second)[1]
    second = np.where(~inside & (right.position > left.position), np.inf, np.maximum(second, 0.0))
    errors: Floats = second.reshape(ways, -1).sum(axis=1)
    return errors
