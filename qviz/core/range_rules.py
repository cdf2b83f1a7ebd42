"""Which range estimators are there?"""

from __future__ import annotations

from qviz.core.optimal_ranges import MSE, Entropy
from qviz.core.ranges import Manual, MinMax, Percentile

RANGE_RULES: dict[str, type[MinMax] | type[Percentile] | type[MSE] | type[Entropy] | type[Manual]] = {
    rule.kind: rule for rule in (MinMax, Percentile, MSE, Entropy, Manual)
}
"""Every range estimator by its ``kind``; a new one is a class and a row."""
