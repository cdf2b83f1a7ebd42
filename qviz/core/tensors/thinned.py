"""Which few elements of each group stand for all of them, while something is dragged over very many?"""

from __future__ import annotations

import math
from collections.abc import Callable
from weakref import WeakKeyDictionary

import numpy as np

from qviz.core.arrays import Counts, FloatArray
from qviz.core.frozen import frozen
from qviz.core.tensors.granularity import Granularity, PerAxis, PerToken
from qviz.core.tensors.layout import BLOCK, Layout
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, check, never

RUN = 16
"""Neighbours that are looked at together: a line of the cache, which costs as much to read as one of them."""

LEAST_OF_GROUP = 128
"""Elements of each group that say something about it."""

LEAST_SAVED = 3
"""So many times as many elements there must be as are looked at, or all of them are hardly slower."""

_kept: WeakKeyDictionary[Tensor, tuple[object, Thinned]] = WeakKeyDictionary()
"""The last one of each tensor, by what was asked."""


@frozen(eq=False)
class Thinned:
    """Some elements of every group of a tensor.

    Attributes
    ----------
    tensor : Tensor
        Runs of `RUN` neighbours, one at a chance place in each of equal stretches of a group, the same each time.
    granularity : Granularity
        What groups them as the whole tensor is grouped.
    layout : Layout
        How these groups lie.
    """

    tensor: Tensor
    granularity: Granularity
    layout: Layout


def can_be_thinned(granularity: Granularity, shape: tuple[int, ...], few: int) -> bool:
    """Whether every group has a part in so ``few`` elements that says something about it."""
    return isinstance(granularity, PerAxis | PerToken) and _how(granularity.layout(shape), few) is not None


def thinned(tensor: Tensor, granularity: Granularity, few: int, *, cancelled: IsCancelled = never) -> Thinned | None:
    """About so ``few`` elements, or more where groups are short; of every group alike.

    None where groups are too short or nothing finite is among them.

    Parameters
    ----------
    tensor : Tensor
        Counted.
    granularity : PerAxis or PerToken
        One that `can_be_thinned`.
    few : int

    Raises
    ------
    Cancelled
        When asked to stop.
    """
    asked = (granularity, tensor.shape, few)
    known = _kept.get(tensor)
    if known is None or known[0] != asked:
        made = _made(tensor, granularity, few, cancelled)
        if made is None:
            return None
        known = _kept[tensor] = asked, made
    return known[1]


def _how(layout: Layout, few: int) -> tuple[Callable[[Layout, Counts, Tensor, IsCancelled], FloatArray], Counts] | None:
    """What takes runs of each group, and the edges of the stretches to take them from, in runs or in rows."""
    factor = layout.outer * layout.groups * layout.inner / few
    for take, places, each in ((_along, layout.inner // RUN, RUN), (_across, layout.outer, layout.inner)):
        stretches = max(round(places / factor), -(-LEAST_OF_GROUP // each))
        if places >= LEAST_SAVED * stretches:
            return take, np.arange(stretches + 1) * places // stretches
    return None


def _made(tensor: Tensor, granularity: Granularity, few: int, cancelled: IsCancelled) -> Thinned | None:
    layout = granularity.layout(tensor.shape)
    how = _how(layout, few)
    if how is None:
        return None
    take, edges = how
    values = take(layout, edges, tensor, cancelled)
    if not np.isfinite(values).any():
        return None
    if take is _across:
        assert isinstance(granularity, PerAxis)
        alike: Granularity = PerAxis(1)
        shape = (values.shape[0], *tensor.shape[granularity.resolve(tensor.shape) :])
    else:
        axes = granularity.resolve(tensor.shape) + 1 if isinstance(granularity, PerAxis) else len(tensor.shape) - 1
        alike = PerAxis(axes - 1) if isinstance(granularity, PerAxis) else granularity
        shape = (*tensor.shape[:axes], values.shape[2])
    piece = Tensor(values.reshape(shape), tensor.name, dtype=tensor.dtype)
    return Thinned(piece, alike, alike.layout(shape))


def _along(layout: Layout, edges: Counts, tensor: Tensor, cancelled: IsCancelled) -> FloatArray:
    """Runs of each group's neighbours, shape (outer, groups, few)."""
    chance, widths = np.random.default_rng(0), np.diff(edges)
    lines = layout.outer * layout.groups
    found = np.empty((lines, widths.size, RUN), np.float32)
    whole = layout.inner // RUN * RUN
    step = max(1, BLOCK // layout.inner)
    for first in range(0, lines, step):
        check(cancelled)
        some = slice(first, min(first + step, lines))
        rows = np.asarray(tensor.values[some.start * layout.inner : some.stop * layout.inner])
        runs = rows.reshape(-1, layout.inner)[:, :whole].reshape(-1, whole // RUN, RUN)
        picked = edges[:-1] + (chance.random((len(runs), widths.size)) * widths).astype(np.int64)
        found[some] = runs[np.arange(len(runs))[:, None], picked]
    return found.reshape(layout.outer, layout.groups, -1)


def _across(layout: Layout, edges: Counts, tensor: Tensor, cancelled: IsCancelled) -> FloatArray:
    """For each run of a row of groups one row of every stretch of rows, shape (few, groups, inner)."""
    chance, widths = np.random.default_rng(0), np.diff(edges)
    length = layout.groups * layout.inner
    columns, runs = np.arange(length), math.ceil(length / RUN)
    found = np.empty((widths.size, length), np.float32)
    step = max(1, BLOCK // (length * int(widths.max())))
    for first in range(0, widths.size, step):
        check(cancelled)
        some = slice(first, min(first + step, widths.size))
        above, below = int(edges[some.start]), int(edges[some.stop])
        rows = np.asarray(tensor.values[above * length : below * length]).reshape(-1, length)
        picked = (edges[:-1][some, None] - above) + (chance.random((some.stop - first, runs)) * widths[some, None])
        found[some] = rows[np.repeat(picked.astype(np.int64), RUN, axis=1)[:, :length], columns]
    return found.reshape(-1, layout.groups, layout.inner)
