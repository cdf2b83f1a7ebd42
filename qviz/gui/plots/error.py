"""How large are the errors, and which of them come from rounding, which from clipping?"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt, Slot

from qviz.core.analysis import Analysis
from qviz.gui.plots.base import LARGEST, CountChart, LinkedCursor, Table, number, pen
from qviz.gui.theme import Theme

OUTLINES_UP_TO = 200
"""Bars narrower than a pixel are seen by their outlines alone; a thousand outlines cost a frame."""


class ErrorChart(CountChart):
    """Every element's error in bins, rounding and clipping in their own colours."""

    name: ClassVar[str] = "error"

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link)
        self._rounding = pg.BarGraphItem(x0=[0], x1=[0], height=[0])
        self._clipping = pg.BarGraphItem(x0=[0], x1=[0], height=[0])
        for item in (self._rounding, self._clipping):
            self.plot.addItem(item, ignoreBounds=True)
        self._bounds = [pg.InfiniteLine(angle=90, label=text, labelOpts={"position": 0.8}) for text in ("−S/2", "+S/2")]
        for line in self._bounds:
            line.setZValue(10)
            self.plot.addItem(line, ignoreBounds=True)
        self.add_pointer()
        self.add_legend({"rounding": self.tr("rounding"), "clipping": self.tr("clipping")})
        self.set_labels(self.tr("Error: dequantized − original"), self.tr("Elements in a bin"))
        self._range: tuple[float, float] = (0.0, 0.0)
        self._outline = {self._rounding: pg.mkPen("g"), self._clipping: pg.mkPen("r")}
        self.view.sigXRangeChanged.connect(self._place_labels)

    def title(self) -> str:
        return self.tr("Error histogram")

    def description(self) -> str:
        return self.tr(
            "Every element's error. Rounding stays within half a scale on either side (the dashed lines); "
            "what clipping adds lies beyond."
        )

    def present(self, analysis: Analysis) -> None:
        self.analysis = analysis
        histogram = analysis.error_histogram
        edges = histogram.edges
        for item, counts in ((self._rounding, histogram.rounding), (self._clipping, histogram.clipping)):
            full = counts > 0
            heights = self.heights(counts[full]) - self.floor
            item.setOpts(
                x0=edges[:-1][full],
                x1=edges[1:][full],
                y0=np.full(heights.size, self.floor),
                height=heights,
                pen=self._outline[item] if heights.size <= OUTLINES_UP_TO else None,
            )
        for line, side in zip(self._bounds, (-1, 1), strict=True):
            line.setValue(side * histogram.half_step)
        notes = [] if analysis.groups is None else [self.tr("S/2 of the largest scale")]
        if analysis.saturated:
            share = f"{100 * analysis.saturated_share:.3g}"
            notes.append(self.tr("{count} clipped ({share} %)").format(count=f"{analysis.saturated:,}", share=share))
        self.set_note(", ".join(notes))
        reach = (float(edges[0]), float(edges[-1]))
        if reach != self._range:
            self._range = reach
            self.reset_view()
        self._fit(histogram.rounding + histogram.clipping)
        self._place_labels()

    @Slot()
    def _place_labels(self, *_: object) -> None:
        """Inside the bounds where there is room for both, else outside."""
        if self.analysis is None:
            return
        left, right = self.view.viewRange()[0]
        wide = 2 * self.analysis.error_histogram.half_step > 0.4 * (right - left)
        for line, inside in zip(self._bounds, (0, 1), strict=True):
            line.label.anchors = [(inside if wide else 1 - inside, 0.5)] * 2
            line.label.updatePosition()

    def _fit(self, counts: np.ndarray) -> None:
        self.fit_counts(float(self.heights(counts).max(initial=self.floor)), headroom=0.2)

    def reset_view(self) -> None:
        low, high = self._range
        margin = (high - low) * 0.03 or 1.0
        self.view.setXRange(low - margin, high + margin, padding=0)
        if self.analysis is not None:
            self._fit(self.analysis.error_histogram.rounding + self.analysis.error_histogram.clipping)

    def tables(self) -> dict[str, Table]:
        if self.analysis is None:
            return {}
        histogram = self.analysis.error_histogram
        return {
            "": Table(
                {
                    "error_low": histogram.edges[:-1],
                    "error_high": histogram.edges[1:],
                    "rounding": histogram.rounding,
                    "clipping": histogram.clipping,
                }
            )
        }

    def restyle(self, theme: Theme) -> None:
        for item, role in ((self._rounding, "rounding"), (self._clipping, "clipping")):
            self._outline[item] = pen(theme, role)
            item.setOpts(pen=self._outline[item], brush=theme.color(role, 215))
        for line in self._bounds:
            line.setPen(pen(theme, "bound", style=Qt.PenStyle.DashLine))
            line.label.setColor(theme.color("bound"))
            line.label.fill = pg.mkBrush(theme.color("background", 200))

    def point_at(self, value: float | None) -> None:
        if value is None or self.analysis is None:
            super().point_at(None)
            return
        group = self.analysis.groups.worst if self.analysis.groups else 0
        x = np.clip(np.array([value]), -LARGEST, LARGEST)
        error = float(self.analysis.transfer(x, group)[0]) - float(x[0])
        super().point_at(error if math.isfinite(error) else None)

    def hover(self, point: QPointF) -> None:
        if self.analysis is None:
            return
        histogram = self.analysis.error_histogram
        at = int(np.searchsorted(histogram.edges, point.x(), "right")) - 1
        if not 0 <= at < histogram.rounding.size:
            self.read_out.emit("")
            return
        self.read_out.emit(
            self.tr("{low}…{high}  {rounding} rounded, {clipping} clipped").format(
                low=number(float(histogram.edges[at])),
                high=number(float(histogram.edges[at + 1])),
                rounding=f"{int(histogram.rounding[at]):,}",
                clipping=f"{int(histogram.clipping[at]):,}",
            )
        )
