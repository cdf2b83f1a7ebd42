"""By which figure are schemes compared, and which way is better?"""

from __future__ import annotations

import math
from collections.abc import Callable

from qviz.core.frozen import frozen
from qviz.core.questions.figures import Figures


@frozen
class Measure:
    """A figure that schemes are compared by: ``read`` from the metrics, ``height`` as it is drawn."""

    key: str
    label: str
    read: Callable[[Figures], float]
    text: Callable[[float], str]
    higher_is_better: bool
    logarithmic: bool

    def height(self, metrics: Figures) -> float:
        """Where it is drawn; NaN for what cannot be."""
        value = self.read(metrics)
        if self.logarithmic:
            return math.log10(value) if value > 0 and math.isfinite(value) else math.nan
        return value if math.isfinite(value) else math.nan
