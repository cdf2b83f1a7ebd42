"""Where are bits best spent? Errors nearly add up over groups, so that one sweep gives size against output error.

What is predicted is never handed out unmeasured: `Sensitivity.everything` measures the chosen set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import field

import numpy as np

from qviz.core.arrays import Floats
from qviz.core.frozen import frozen
from qviz.core.problems import Problem
from qviz.models.sensitivity import UnitLoss

NEARLY = 2.5
"""dB that a prediction may be off where losses add up; beyond a saturated softmax, or for many groups, they do not."""


@frozen
class Choice:
    """One format of one unit.

    Attributes
    ----------
    unit : str
    format : str
        A label of the scheme; "float" for none.
    bytes : float
    noise : float
        What it alone adds to the output's noise, as a share of the signal's power.
    error : float64 array or None
        The error itself, as a sketch whose square is the noise; None where it is not known.
    """

    unit: str
    format: str
    bytes: float
    noise: float
    error: Floats | None = field(default=None, compare=False, repr=False)


@frozen
class FrontierPoint:
    """A choice for every unit.

    Attributes
    ----------
    formats : mapping of str to str
        The format of each unit.
    bytes : float
    noise : float
        Predicted: of the sum of the errors that each makes alone, where these are known; else the sum of their noise.
    """

    formats: Mapping[str, str]
    bytes: float
    noise: float

    @property
    def sqnr_db(self) -> float:
        """Predicted, in dB; higher is better."""
        return decibels(self.noise)


def choices(losses: Mapping[str, Sequence[UnitLoss]], sizes: Mapping[tuple[str, str], float]) -> list[list[Choice]]:
    """All formats of each unit, from one sweep a format.

    Parameters
    ----------
    losses : mapping of str to sequence of UnitLoss
        A sweep of single units by the label of its format.
    sizes : mapping of (unit, format) to float
        Bytes; those under ``"float"`` are what a unit takes that is left alone.
    """
    units = list(dict.fromkeys(loss.unit.name for sweep in losses.values() for loss in sweep))
    table = {(loss.unit.name, label): loss for label, sweep in losses.items() for loss in sweep}
    found = []
    for unit in units:
        rows = [Choice(unit, "float", sizes[unit, "float"], 0.0)]
        rows += [
            Choice(unit, label, sizes[unit, label], table[unit, label].noise, table[unit, label].error)
            for label in losses
            if (unit, label) in table
        ]
        found.append(_undominated(rows))
    return found


def frontier(options: Sequence[Sequence[Choice]]) -> tuple[FrontierPoint, ...]:
    """From the smallest choice to the most exact one, a step at a time: each buys most noise for its bytes.

    Between two points of the convex hull of each unit's choices nothing is better (greedy is optimal there).

    Parameters
    ----------
    options : sequence of sequences of Choice
        For each unit, by bytes.
    """
    hulls = [_hull(sorted(rows, key=lambda row: (row.bytes, row.noise))) for rows in options]
    place = [0] * len(hulls)
    points = [_point(hulls, place)]
    steps = [(_gain(rows[i], rows[i + 1]), unit, i) for unit, rows in enumerate(hulls) for i in range(len(rows) - 1)]
    for _, unit, i in sorted(steps, key=lambda step: (-step[0], step[2])):
        place[unit] = i + 1
        points.append(_point(hulls, place))
    return tuple(points)


def adds_up(predicted_db: float, measured_db: float) -> bool:
    """Whether what was measured lies as near to the prediction as it does where losses add up."""
    if not (math.isfinite(predicted_db) and math.isfinite(measured_db)):
        return True  # nothing is lost, or nothing can be said
    return abs(measured_db - predicted_db) <= NEARLY


def at_most(points: Sequence[FrontierPoint], size: float) -> FrontierPoint:
    """The most exact point of so many bytes.

    Raises
    ------
    Problem
        When even the smallest is larger.
    """
    fitting = [point for point in points if point.bytes <= size]
    if not fitting:
        raise Problem(
            "The smallest choice takes {least:,.0f} bytes, more than {size:,.0f}: tick smaller formats.",
            least=min(point.bytes for point in points),
            size=size,
        )
    return min(fitting, key=lambda point: point.noise)


def _undominated(rows: list[Choice]) -> list[Choice]:
    kept: list[Choice] = []
    for row in sorted(rows, key=lambda row: (row.bytes, row.noise)):
        if not kept or row.noise < kept[-1].noise:
            kept.append(row)
    return kept


def _hull(rows: list[Choice]) -> list[Choice]:
    """The lower convex hull: what lies above the line between two others is never the best."""
    hull: list[Choice] = []
    for row in _undominated(list(rows)):
        while len(hull) >= 2 and _gain(hull[-2], hull[-1]) <= _gain(hull[-1], row):
            hull.pop()
        hull.append(row)
    return hull


def _gain(smaller: Choice, larger: Choice) -> float:
    """Noise that is saved for each byte more."""
    spent = larger.bytes - smaller.bytes
    return (smaller.noise - larger.noise) / spent if spent > 0 else math.inf


def _point(hulls: list[list[Choice]], place: list[int]) -> FrontierPoint:
    rows = [each[p] for each, p in zip(hulls, place, strict=True)]
    formats = {row.unit: row.format for row in rows}
    return FrontierPoint(formats, sum(row.bytes for row in rows), _noise([row for row in rows if row.noise]))


def _noise(rows: list[Choice]) -> float:
    errors = [row.error for row in rows if row.error is not None]
    if not errors or len(errors) < len(rows):
        return math.fsum(row.noise for row in rows)
    together = np.sum(errors, axis=0)
    return float(together @ together)


def decibels(noise: float) -> float:
    """SQNR in dB of noise as a share of the signal's power."""
    return math.inf if noise == 0 else -10 * math.log10(noise)
