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

    def worth(self, metrics: Figures) -> float:
        """What schemes are ranked by: the more the better, and NaN where there is no figure."""
        value = self.read(metrics)
        return value if self.higher_is_better else -value

    def height(self, metrics: Figures) -> float:
        """Where it is drawn: infinite beyond the axis, as where nothing is lost; NaN where there is no figure."""
        value = self.read(metrics)
        if not self.logarithmic:
            return value
        return math.log10(value) if value > 0 else -math.inf if value == 0 else math.nan

    @property
    def perfect(self) -> float:
        """The height of what loses nothing."""
        return math.inf if self.higher_is_better else -math.inf
