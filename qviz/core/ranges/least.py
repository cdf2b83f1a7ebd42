"""Which scale has the least squared error of all? Every interval between the data's own breakpoints is looked at."""

from __future__ import annotations

import numpy as np

from qviz.core.arrays import FloatArray, Floats
from qviz.core.ranges.rules import Grid, Range

MOST_BREAKPOINTS = 1 << 20
"""Of all groups and zero points together: beyond that a search has to do."""

KEPT = 24
"""Best candidates of a group that are measured in the scheme's own arithmetic."""


def least_ranges(groups: list[FloatArray], grid: Grid) -> list[Range]:
    """The best ranges of each group, so many for each: float32 arrays of shape (groups,).

    While no element crosses a threshold Σ(S·c − x)² is a parabola in S, with its least at Σxc / Σc². Scales where one
    does, x / t, are sorted; sums over all elements follow from one to the next.
    """
    found = np.zeros((KEPT, 2, len(groups)), np.float32)
    for number, x in enumerate(groups):
        losses, scales, points = [], [], []
        for zero_point in grid.zero_points:
            loss, scale = _parabolas(x[x != 0].astype(np.float64), grid.values - zero_point)
            best = np.argsort(loss, kind="stable")[:KEPT]
            losses.append(loss[best])
            scales.append(scale[best])
            points.append(np.full(best.size, zero_point))
        loss, scale, point = (np.concatenate(each) for each in (losses, scales, points))
        if not loss.size:
            continue
        best = np.resize(np.argsort(loss, kind="stable")[:KEPT], KEPT)
        with np.errstate(over="ignore"):
            found[:, 0, number] = (grid.first - point[best]) * scale[best]
            found[:, 1, number] = (grid.last - point[best]) * scale[best]
    return [(low, high) for low, high in found if np.isfinite(low).all() and np.isfinite(high).all()]


def _parabolas(x: Floats, values: Floats) -> tuple[Floats, Floats]:
    """The least loss between each two breakpoints, but for Σx², and the scale that has it."""
    thresholds = (values[:-1] + values[1:]) / 2
    lost = values[:-1] - values[1:]
    up, down = thresholds > 0, thresholds < 0
    positive, negative = x[x > 0], x[x < 0]
    # As the scale grows, a positive element falls below one threshold after the other; a negative one climbs.
    at = np.concatenate(
        [np.divide.outer(positive, thresholds[up]).ravel(), np.divide.outer(negative, thresholds[down]).ravel()]
    )
    step = np.concatenate(
        [np.multiply.outer(positive, lost[up]).ravel(), np.multiply.outer(negative, -lost[down]).ravel()]
    )
    squares = values * values
    fewer = squares[:-1] - squares[1:]
    of_squares = np.concatenate([np.tile(fewer[up], positive.size), np.tile(-fewer[down], negative.size)])
    order = np.argsort(at, kind="stable")
    at = at[order]
    # Without a threshold below 0 a negative element keeps the lowest code, and so on.
    product = values[-1] * positive.sum() + values[0] * negative.sum() + np.append(0, np.cumsum(step[order]))
    square = squares[-1] * positive.size + squares[0] * negative.size + np.append(0, np.cumsum(of_squares[order]))
    low, high = np.append(0, at), np.append(at, np.inf)
    with np.errstate(all="ignore"):
        scale = np.clip(product / square, low, high)
        loss = scale * (scale * square - 2 * product)
    usable = np.isfinite(loss) & (scale > 0) & np.isfinite(scale)
    return loss[usable], scale[usable]
