"""What do all the errors add up to? A few binary searches in a sorted tensor, whatever its size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.arrays import Array, Counts, FloatArray, Floats
from qviz.core.passes.direct_pass import direct_sums
from qviz.core.passes.error_counts import QUEUE, count_errors
from qviz.core.passes.reductions import dot
from qviz.core.passes.staircase import first_reaching
from qviz.core.passes.sums import ErrorHistogram, Sums
from qviz.core.tensors.cells import exact_ends
from qviz.core.tensors.layout import Layout
from qviz.core.tensors.sorted_tensor import SortedTensor, share

FAR_BEYOND = 1e6
"""Where Σx̂² is so much larger than Σx², x is lost beside x̂."""


def sorted_sums(prepared: SortedTensor, qparams: QParams, error_edges: tuple[Floats, float] | None = None) -> Sums:
    """What all the errors add up to under one scale, as the direct pass answers it.

    Parameters
    ----------
    prepared : SortedTensor
    qparams : QParams
        Of one group.
    error_edges : tuple, optional
        Edges of the error histogram, float64, shape (bins + 1,), and half a step; none is made
        without them.

    Notes
    -----
    Counts, the largest error and the histograms equal those of the direct pass; sums of squares
    differ by roundings of float64 (relative 1e-12 up to 8 bits, 1e-9 at 16). Where the scale breaks,
    codes are no staircase, and the direct pass is asked.
    """
    if not qparams.climbs:
        return direct_sums(prepared.tensor, qparams, _whole(prepared), error_edges=error_edges)
    levels, steps = qparams.levels()[0], code_steps(qparams)[0]
    # Cells: below the range, one for each code, above it; each parted where the error changes sign.
    level = np.concatenate((levels[:1], levels, levels[-1:]))
    keys = np.empty(2 * level.size - 1, np.float32)
    keys[0] = min(level[0], steps[0])
    keys[2:-1:2] = np.minimum(np.maximum(levels, steps[:-1]), steps[1:])
    keys[-1] = max(level[-1], steps[-1])
    keys[1::2] = steps
    cuts = prepared.cut(keys)
    inside = np.isfinite(level)  # x̂ may leave float32
    wide = np.where(inside, level, 0).astype(np.float64)
    bounds = cuts.position[::2]
    counts = np.diff(bounds)
    overflows = bool(np.any(counts[~inside]))
    parts = np.repeat(wide, 2)
    first, second = prepared.add_up(cuts, parts)
    first, second, largest = exact_cell_ends(prepared, cuts.position[:-1], cuts.position[1:], parts, first, second)
    second = np.maximum(second[::2] + second[1::2], 0.0)
    infinite = math.inf if overflows else 0.0
    clips_to_infinity = bool(np.any(counts[[0, -1]][~inside[[0, -1]]]))
    occupancy = counts[1:-1].copy()
    occupancy[0] += counts[0]
    occupancy[-1] += counts[-1]
    totals = counts * wide
    squared_dequantized = dot(totals, wide)
    product = dot(wide, first[::2] + first[1::2] + totals)
    if squared_dequantized > FAR_BEYOND * prepared.squared_sum:
        product = dot(wide, prepared.add_up(cuts.pick(slice(None, None, 2)), np.zeros(wide.size))[0])
    return Sums(
        finite=np.array([prepared.values.size]),
        squared_error=np.array([float(second.sum()) + infinite]),
        squared_value=np.array([prepared.squared_sum]),
        max_abs_error=np.array([largest + infinite]),
        saturated=np.array([counts[0] + counts[-1]]),
        absolute_error=float(np.abs(first).sum()) + infinite,
        clipping_squared_error=math.inf if clips_to_infinity else float(second[0] + second[-1]),
        product=math.nan if overflows else product,
        squared_dequantized=squared_dequantized + infinite,
        occupancy=occupancy,
        error_histogram=None if error_edges is None else _histogram(prepared, level, bounds, counts, *error_edges),
        dequantized=None,
    )


def sorted_squared_error(prepared: SortedTensor, qparams: QParams) -> float:
    """Σ(x̂ − x)² under one scale, and nothing else."""
    if not qparams.climbs:
        only = direct_sums(prepared.tensor, qparams, _whole(prepared), occupancy=False, products=False)
        return float(only.squared_error[0])
    levels = qparams.levels()[0]
    level = np.concatenate((levels[:1], levels, levels[-1:])).astype(np.float64)
    cuts = prepared.cut(code_steps(qparams)[0])
    counts = np.diff(cuts.position)
    inside = np.isfinite(level)
    if np.any(counts[~inside]):
        return math.inf
    level = np.where(inside, level, 0.0)
    first, second = prepared.add_up(cuts, level)
    second = exact_cell_ends(prepared, cuts.position[:-1], cuts.position[1:], level, first, second)[1]
    return float(np.maximum(second, 0.0).sum())


def _whole(prepared: SortedTensor) -> Layout:
    return Layout(1, 1, prepared.tensor.elements)


def code_steps(qparams: QParams, groups: Any = (0,)) -> FloatArray:
    """The smallest float32 of each code, and of the first one beyond the last: shape (groups, codes + 1).

    Parameters
    ----------
    groups : int array, shape (groups,)
        Whose steps.
    """
    codes, groups = qparams.codes, np.asarray(groups)
    gaps = np.diff(codes.astype(np.float64))
    middles = np.concatenate((codes[:1] - gaps[:1] / 2, codes[1:] - gaps / 2, codes[-1:] + gaps[-1:] / 2))
    beyond = codes[-1:] + 1 if qparams.number_format.offers_zero_point else np.nextafter(codes[-1:], np.float32(np.inf))
    wanted = np.tile(np.concatenate((codes, beyond)), groups.size)
    quantizer = qparams.quantizer(np.repeat(groups, codes.size + 1))

    def reached(x: FloatArray, which: Any) -> Any:
        return quantizer.map(lambda a: a[which]).unclipped(x) >= wanted[which]

    zero_point, scale = (a.astype(np.float64) for a in (quantizer.zero_point, quantizer.scale))
    guess = (np.tile(middles, groups.size) - zero_point) * scale
    return first_reaching(reached, guess).reshape(groups.size, -1)


def exact_cell_ends(
    prepared: SortedTensor, start: Counts, stop: Counts, level: Floats, first: Floats, second: Floats
) -> tuple[Floats, Floats, float]:
    """Exact sums of the errors and of their squares where the ends are all of a cell; and the largest error.

    Equal values, or two alone, have so small errors at times that sums around another centre lose them. The largest
    error is at the ends of a cell.

    Parameters
    ----------
    prepared : SortedTensor
    start, stop : int arrays, shape (cells,)
    level : float64 array, shape (cells,)
        What the values of each cell become.
    first, second : float64 arrays, shape (cells,)
        The sums for all cells.
    """
    first, second, searched, values = first.copy(), second.copy(), prepared.searched, prepared.values
    if exact_ends.ready and searched is not None:
        start, stop = np.ascontiguousarray(start), np.ascontiguousarray(stop)
        found = share(lambda ends: exact_ends(searched[0], *ends, start, stop, level, first, second), level.size)
        return first, second, max(found)
    counts = stop - start
    used = np.flatnonzero(counts)
    lowest, highest = values[start[used]] - level[used], values[stop[used] - 1] - level[used]
    same = lowest == highest
    cells, error = used[same], lowest[same]
    first[cells] = counts[cells] * error
    second[cells] = first[cells] * error
    pair = counts[used] == 2
    cells, low, high = used[pair], lowest[pair], highest[pair]
    first[cells] = low + high
    second[cells] = low * low + high * high
    return first, second, float(max(np.abs(lowest).max(), np.abs(highest).max()))


def _histogram(
    prepared: SortedTensor, level: FloatArray, bounds: Counts, counts: Counts, edges: Floats, half_step: float
) -> ErrorHistogram:
    """Exactly the histogram of the float64 errors: one cut for every edge that a cell's errors cross."""
    searched = prepared.searched
    if count_errors.ready and searched is not None:
        parts = _counted_errors(level, np.ascontiguousarray(bounds), searched, edges)
    else:
        parts = _looked_up_errors(prepared, level, bounds, counts, edges)
    return ErrorHistogram(edges, parts[0], parts[1], half_step)


def _counted_errors(
    level: FloatArray, bounds: Counts, searched: tuple[FloatArray, FloatArray], edges: Floats
) -> list[Counts]:
    """Those of rounding and those of clipping, by a compiled search."""

    def some(ends: tuple[int, int]) -> Counts:
        work = np.empty(QUEUE), np.empty((QUEUE, 5), np.int64)
        found = np.zeros((2, 2, edges.size), np.int64)
        count_errors(level, *ends, bounds, *searched, edges, *work, found[0], found[1])
        return found

    crossing, whole = np.sum(share(some, level.size), axis=0)
    return [_between_edges(*each) for each in zip(crossing, whole, strict=True)]


def _between_edges(crossing: Array, whole: Array) -> Counts:
    """How many errors lie between neighbouring edges.

    Parameters
    ----------
    crossing, whole : arrays, shape (bins + 1,)
        How many reach each edge: those counted there, and all of a cell's below its lowest.
    """
    reach = crossing + np.cumsum(whole[::-1])[::-1]
    return np.asarray(reach[:-1] - reach[1:]).astype(np.int64)


def _looked_up_errors(
    prepared: SortedTensor, level: FloatArray, bounds: Counts, counts: Counts, edges: Floats
) -> list[Counts]:
    """The same in NumPy."""
    used = np.flatnonzero((counts > 0) & np.isfinite(level))
    height, start, stop = level[used].astype(np.float64), bounds[used], bounds[used + 1]
    bins = edges.size - 1
    values = prepared.values

    def bin_of(errors: Floats) -> Counts:
        return np.clip(np.searchsorted(edges, errors, "right") - 1, 0, bins - 1)

    highest, lowest = bin_of(height - values[start]), bin_of(height - values[stop - 1])
    # The edges between, from the highest down, which is from the smallest value up.
    crossed = highest - lowest
    cell = np.repeat(np.arange(used.size), crossed)
    edge = highest[cell] - (np.arange(cell.size) - np.repeat(np.cumsum(crossed) - crossed, crossed))
    of_cell, of_edge = height[cell], edges[edge]

    def reached(x: FloatArray, which: Any) -> Any:
        return of_cell[which] - x < of_edge[which]

    place = prepared.count_below(first_reaching(reached, of_cell - of_edge, near=1))
    beyond = np.minimum(np.maximum(place, start[cell]), stop[cell]) - start[cell]
    clipped = (used == 0) | (used == level.size - 1)
    parts = []
    for chosen in (~clipped, clipped):
        mine = chosen[cell]
        crossing = np.bincount(edge[mine], beyond[mine], bins + 1)
        parts.append(_between_edges(crossing, np.bincount(lowest[chosen], (stop - start)[chosen], bins + 1)))
    return parts
