"""What is said of values that lie so far away that a chart opens without them?"""

from __future__ import annotations

from collections.abc import Mapping

from qviz.core.tensors.robust_range import RobustRange
from qviz.gui.words.estimates import about
from qviz.gui.words.numbers import number, whole
from qviz.session.language import tr


def chips(robust: RobustRange | None, *, shown: bool, exact: bool, upright: bool = False) -> Mapping[str, str]:
    """What stands at the edges of a chart, by the edge; ``shown`` where the outliers are in sight.

    ``upright`` charts have their values from the bottom to the top.
    """
    if robust is None:
        return {}
    low, high = ("bottom", "top") if upright else ("left", "right")
    if shown:
        count = robust.below + robust.above
        text = tr("without {about}{count} outliers") if count > 1 else tr("without the outlier")
        return {high: text.format(about=about(exact), count=whole(count))}
    signs = ("▾", "▴") if upright else ("◂", "▸")
    said = {}
    if robust.below:
        text = tr("{sign} {about}{count} beyond, down to {value}")
        value = number(robust.lowest, 3)
        said[low] = text.format(sign=signs[0], about=about(exact), count=whole(robust.below), value=value)
    if robust.above:
        text = tr("{about}{count} beyond, up to {value} {sign}")
        value = number(robust.highest, 3)
        said[high] = text.format(sign=signs[1], about=about(exact), count=whole(robust.above), value=value)
    return said
