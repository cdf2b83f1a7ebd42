"""From where to where shall the codes reach? The range estimators."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from qviz.core.cancel import IsCancelled, never
from qviz.core.granularity import Granularity
from qviz.core.problems import Problem
from qviz.core.tensor import Tensor

Range = tuple[np.ndarray[Any, np.dtype[np.float32]], np.ndarray[Any, np.dtype[np.float32]]]


class RangeRule(Protocol):
    """What the rest of qviz asks of a range estimator."""

    kind: ClassVar[str]

    def estimate(
        self, tensor: Tensor, granularity: Granularity, symmetric: bool, cancelled: IsCancelled = never
    ) -> Range:
        """The lowest and highest value of each group, float32, shape ``(groups,)``.

        A symmetric scheme reads the larger magnitude of the two.
        """
        ...

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        ...


@dataclass(frozen=True)
class MinMax:
    """From the smallest value to the largest: nothing is clipped."""

    kind: ClassVar[str] = "minmax"

    def estimate(
        self, tensor: Tensor, granularity: Granularity, symmetric: bool, cancelled: IsCancelled = never
    ) -> Range:
        """The extremes of each group."""
        return tensor.extremes(granularity.layout(tensor.shape), cancelled)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"kind": self.kind}


@dataclass(frozen=True)
class Percentile:
    """Keep ``percentile`` per cent of the elements and clip the rest.

    Symmetric: of the magnitudes. Asymmetric: half of the rest is cut off on each side. Between
    two order statistics the value is interpolated linearly, as ``numpy.percentile`` does.

    Raises
    ------
    Problem
        When ``percentile`` is not above 50 and at most 100.
    """

    kind: ClassVar[str] = "percentile"
    percentile: float = 99.9

    def __post_init__(self) -> None:
        if not 50 < self.percentile <= 100:
            raise Problem(f"A percentile of {self.percentile:g} makes no range: choose one above 50, up to 100.")

    def estimate(
        self, tensor: Tensor, granularity: Granularity, symmetric: bool, cancelled: IsCancelled = never
    ) -> Range:
        """The exact percentiles of each group."""
        upper = self.percentile / 100 if symmetric else (1 + self.percentile / 100) / 2
        groups = granularity.layout(tensor.shape).groups
        low = np.zeros(groups, np.float32)
        high = np.zeros(groups, np.float32)
        for group, values in tensor.finite_groups(granularity.layout(tensor.shape), cancelled):
            if not values.size:
                continue
            if symmetric:
                high[group] = _order_statistics(np.abs(values), upper)[0]
                low[group] = -high[group]
            else:
                low[group], high[group] = _order_statistics(values, 1 - upper, upper)
        return low, high

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"kind": self.kind, "percentile": self.percentile}


@dataclass(frozen=True)
class Manual:
    """The range a person drew: the two clip lines, the same for every group.

    Raises
    ------
    Problem
        When the bounds are not finite or not in order.
    """

    kind: ClassVar[str] = "manual"
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        largest = float(np.finfo(np.float32).max)
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise Problem(f"A range from {self.low:g} to {self.high:g} is empty: the low end must be below the high.")
        if max(abs(self.low), abs(self.high)) > largest:
            raise Problem(f"A range from {self.low:g} to {self.high:g} is beyond float32: stay within ±{largest:.2g}.")

    def estimate(
        self, tensor: Tensor, granularity: Granularity, symmetric: bool, cancelled: IsCancelled = never
    ) -> Range:
        """The two bounds, repeated for each group."""
        groups = granularity.layout(tensor.shape).groups
        return np.full(groups, self.low, np.float32), np.full(groups, self.high, np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"kind": self.kind, "low": self.low, "high": self.high}


def _order_statistics(values: np.ndarray[Any, Any], *quantiles: float) -> list[float]:
    """Linear-interpolation quantiles (numpy's default) by partitioning ``values`` in place."""
    wanted = []
    for q in quantiles:
        position = q * (values.size - 1)
        below = math.floor(position)
        wanted.append((below, min(below + 1, values.size - 1), position - below))
    values.partition(sorted({k for low, high, _ in wanted for k in (low, high)}))
    return [
        float(values[low]) + (float(values[high]) - float(values[low])) * fraction for low, high, fraction in wanted
    ]


RANGE_RULES: dict[str, type[MinMax] | type[Percentile] | type[Manual]] = {
    MinMax.kind: MinMax,
    Percentile.kind: Percentile,
    Manual.kind: Manual,
}
"""Every range estimator by its ``kind``; a new one is a class and a row."""
