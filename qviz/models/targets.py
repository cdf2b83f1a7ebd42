"""What has to be kept, or may be taken: “≥ 40 dB”, “≤ 4 MB”, “agreement ≥ 99 %”; and which choice reaches it?"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from qviz.core.frozen import frozen
from qviz.core.problems import Problem
from qviz.models.frontier import FrontierPoint
from qviz.models.output_figures import OutputFigures

UNITS = {
    "b": 1.0,
    "kb": 1024.0,
    "kib": 1024.0,
    "mb": 1048576.0,
    "mib": 1048576.0,
    "gb": 1073741824.0,
    "gib": 1073741824.0,
}
FIGURES = {
    "": "agreement",
    "agreement": "agreement",
    "top1": "top1",
    "top5": "topk",
    "topk": "topk",
    "ctc": "sequences",
    "text": "sequences",
    "texts": "sequences",
    "sequences": "sequences",
    "box": "detections",
    "boxes": "detections",
    "detections": "detections",
}
"""What people call a share of answers that stay the same, and the attribute of `OutputFigures` that it is."""


@frozen
class Target:
    """A number of decibels or a share that is to be kept, or of bytes that may be taken.

    Attributes
    ----------
    figure : str
        ``"sqnr_db"``, ``"bytes"``, or an attribute of `OutputFigures` that is a share.
    value : float
        In dB, bytes, or as a share from 0 to 1.
    """

    figure: str
    value: float


def target_of(text: str) -> Target:
    """A target in words, in any of the ways that people write one.

    Raises
    ------
    Problem
        When it has no unit, or none that is known.
    """
    plain = re.sub(r"[≥≤<>=:]|\bat (least|most)\b", " ", text.lower().replace(",", ".")).strip()
    found = re.fullmatch(
        r"(top[\s-]*[15k](?![0-9.])|[a-z]*)[\s-]*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(db|%|[kmg]?i?b)", plain
    )
    figure, number, unit = found.groups() if found else ("", "", "")
    figure = re.sub(r"[\s-]", "", figure)
    wrong = Problem(
        "“{text}” is no target: give dB to keep (40 dB), bytes to take (4 MB), or a share of answers that stay the "
        "same (agreement 99 %, top-1 99 %, top-5 95 %).",
        text=text.strip(),
    )
    if not number or (figure and unit != "%"):
        raise wrong
    value = float(number)
    if unit == "db":
        return Target("sqnr_db", value)
    if unit in UNITS:
        return Target("bytes", value * UNITS[unit])
    if figure not in FIGURES or value > 100:
        raise wrong
    return Target(FIGURES[figure], value / 100)


def share_of(outputs: Sequence[OutputFigures], figure: str) -> float | None:
    """The least share of all outputs that have such a figure; None where none has.

    Parameters
    ----------
    outputs : sequence of OutputFigures
    figure : str
        ``"agreement"``, ``"top1"``, ``"topk"``, ``"sequences"`` or ``"detections"``.
    """
    known = [share for share in (getattr(output, figure) for output in outputs) if share is not None]
    return min(known) if known else None


def first_reached(count: int, reaches: Callable[[int], bool], guess: int = 0) -> int | None:
    """The first of so many choices that reaches a target, if later ones reach what earlier ones do; None for none.

    Parameters
    ----------
    count : int
    reaches : callable
        Measures one, by its number; few are asked.
    guess : int
        Where it probably is.
    """
    low, high, step = -1, count, 1  # what is too little, and what is enough
    at = min(max(guess, 0), count - 1)
    while high - low > 1:
        if reaches(at):
            high = at
            at = max(low + 1, at - step) if low == -1 else (low + high) // 2
        else:
            low = at
            at = min(high - 1, at + step) if high == count else (low + high) // 2
        step *= 2
    return high if high < count else None


def guess_at(points: Sequence[FrontierPoint], target: Target) -> int:
    """Where on a frontier a target is probably reached first; the middle where nothing was predicted of it."""
    if target.figure == "sqnr_db":
        return next((at for at, point in enumerate(points) if point.sqnr_db >= target.value), len(points) - 1)
    return len(points) // 2
