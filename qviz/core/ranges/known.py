"""Which scale and zero point did somebody else choose: a person, a file, a runtime?"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.frozen import frozen
from qviz.core.plain import Tagged
from qviz.core.problems import Problem
from qviz.core.ranges.rules import Range, RangeInput

MOST = 1 << 20
"""Of numbers that a scheme carries about."""

LARGEST = float(np.finfo(np.float32).max)


@frozen
class Known(Tagged):
    """Scales and zero points that are given: nothing is looked for.

    One number for all groups, or one for each, in their order.

    Raises
    ------
    Problem
        When a scale is not above 0, a number is not finite in float32, or there are other numbers of both.
    """

    kind: ClassVar[str] = "known"
    scale: tuple[float, ...] = (1.0,)
    zero_point: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        super().__post_init__()
        for what, numbers in (("scale", self.scale), ("zero point", self.zero_point)):
            if not 1 <= len(numbers) <= MOST:
                raise Problem(
                    "A known {what} cannot be {count:,} numbers: give one, or one for each group.",
                    what=what,
                    count=len(numbers),
                )
            for number in numbers:
                if not (math.isfinite(number) and abs(number) <= LARGEST):
                    raise Problem(
                        "A known {what} cannot be {number:g}: give a finite number.", what=what, number=number
                    )
        if min(self.scale) <= 0:
            raise Problem("A known scale cannot be {scale:g}: give one above 0.", scale=min(self.scale))

    def estimate(self, given: RangeInput) -> Range:
        """The extremes of each group: no scale follows from them."""
        return given.tensor.extremes(given.layout, cancelled=given.cancelled)

    def of_groups(self, groups: int) -> tuple[FloatArray, FloatArray]:
        """Scale and zero point of each group, float32 of shape (groups,).

        Raises
        ------
        Problem
            When there are other numbers of them than groups.
        """
        found = []
        for what, numbers in (("scales", self.scale), ("zero points", self.zero_point)):
            if len(numbers) not in (1, groups):
                raise Problem(
                    "{count:,} known {what} do not fit {groups:,} groups: give one, or one for each group.",
                    count=len(numbers),
                    what=what,
                    groups=groups,
                )
            found.append(np.broadcast_to(np.array(numbers, np.float32), (groups,)))
        return found[0], found[1]
