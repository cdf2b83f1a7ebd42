"""Where do the weights of a layer lie, and how does training move them to their levels?"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from PySide6.QtCore import QPointF, Slot

from qviz.gui.charts.axes import CountAxis
from qviz.gui.charts.base import LinkedCursor, Table
from qviz.gui.charts.counts import rung
from qviz.gui.charts.drawing import Brush
from qviz.gui.charts.ornaments import LEGEND_HEIGHT
from qviz.gui.training.run_chart import NAMES, ROLES, RunChart
from qviz.gui.words.numbers import number
from qviz.session.language import tr
from qviz.training.snapshot import LayerWeights, Snapshot

STEMS_UP_TO = 40
"""Levels: more of them are ticks at the bottom."""


class WeightsChart(RunChart):
    """Histograms of one layer's weights in float and quantization-aware, and the levels they are rounded to."""

    name: ClassVar[str] = "layer_weights"

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link, wheel_axis=0, axes={"left": CountAxis()})
        self.layer = 1
        self._drawn: LayerWeights | None = None
        self.add_legend(self.names())
        self.set_labels(self.tr("Weight before quantization; stems: levels"), self.tr("Weights"))

    def title(self) -> str:
        return self.tr("Weights")

    def description(self) -> str:
        return self.tr(
            "The weights of one layer: filled in the float network, outlined as quantization-aware training has "
            "them before they are rounded. Stems stand at the levels that they are rounded to."
        )

    @property
    def shown(self) -> LayerWeights | None:
        """The layer that is shown."""
        if self.snapshot is None:
            return None
        return self.snapshot.weights[min(self.layer, len(self.snapshot.weights) - 1)]

    @Slot(int)
    def choose(self, layer: int) -> None:
        """Show another layer."""
        if layer >= 0 and layer != self.layer:
            self.layer = layer
            if self.snapshot is not None:
                self.draw_snapshot(self.snapshot, fresh=True)

    def draw_snapshot(self, snapshot: Snapshot, fresh: bool) -> None:
        weights = self.shown
        assert weights is not None
        if weights is self._drawn and not fresh:
            return
        self._drawn = weights
        tallest = max((int(c.max(initial=0)) for c in weights.counts.values()), default=1)
        _, top = self.with_room(0.0, max(tallest, 1), above=LEGEND_HEIGHT)
        ends = [np.abs(found[np.isfinite(found)]).max(initial=0) for found in weights.levels.values()]
        reach = 1.05 * float(max(weights.edges[-1], *ends, 0))
        self.fit_to(x=(-rung(reach), rung(reach)), y=(0, rung(top)))
        levels = {tr(NAMES[name]): found.size for name, found in weights.levels.items()}
        self.set_note(" · ".join(self.tr("{name} {count} levels").format(name=n, count=c) for n, c in levels.items()))
        self.repaint_marks()

    def paint_marks(self, brush: Brush) -> None:
        weights = self.shown
        if weights is None:
            return
        edges, floor = brush.x(weights.edges), float(brush.y(0.0))
        counts = weights.counts
        tops = brush.y(counts["float"])
        brush.area(edges, np.full(tops.size, floor), tops, self.color(ROLES["float"], 90))
        brush.stairs(edges, tops, self.pen(ROLES["float"]))
        for name, share in (("ptq", 0.55), ("qat", 0.8)):
            if name in weights.levels:
                places = brush.x(weights.levels[name])
                length = share if places.size <= STEMS_UP_TO else 0.06
                end = np.full(places.size, floor - length * (floor - LEGEND_HEIGHT))
                brush.stems(places, floor, end, self.pen(ROLES[name], width=2 if length > 0.1 else 1))
        if "qat" in counts:
            brush.stairs(edges, brush.y(counts["qat"]), self.pen(ROLES["qat"], width=2))

    def reset_view(self) -> None:
        if self.snapshot is not None:
            self.draw_snapshot(self.snapshot, fresh=True)

    def tables(self) -> dict[str, Table]:
        weights = self.shown
        if weights is None:
            return {}
        columns = {"bin_low": weights.edges[:-1], "bin_high": weights.edges[1:]}
        columns |= {f"{name}_weights": counts for name, counts in weights.counts.items()}
        tables = {"": Table(columns)}
        tables |= {f"{name}-levels": Table({"level": levels}) for name, levels in weights.levels.items()}
        return tables

    def hover(self, point: QPointF) -> None:
        weights = self.shown
        if weights is None:
            return
        at = int(np.searchsorted(weights.edges, point.x(), "right")) - 1
        if 0 <= at < weights.edges.size - 1:
            low, high = (number(float(v), 3) for v in weights.edges[at : at + 2])
            found = "  ".join(f"{tr(NAMES[n])} {int(c[at])}" for n, c in weights.counts.items())
            self.read_out.emit(self.tr("{low} … {high}: {found}").format(low=low, high=high, found=found))
