"""Where do the values lie, where do the levels lie, and what is clipped?"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, Signal, Slot

from qviz.core.analysis import Analysis
from qviz.gui.plots.base import LARGEST, CountChart, LinkedCursor, Table, number, pen, step_curve
from qviz.gui.theme import Theme

BINS_IN_SIGHT = 400
STEMS_UP_TO = 48
"""More levels than this in sight would hide the histogram: their tops are joined instead."""

LEVELS_UP_TO = 1024
"""More levels than this are narrower than a pixel: they are counted in the histogram's own bins."""


class DistributionChart(CountChart):
    """A histogram of every value, the levels with their occupancy, and two clip lines to drag."""

    name: ClassVar[str] = "distribution"
    clip_moved = Signal(float, float)

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link)
        self._bars = step_curve()
        self._stems = pg.PlotCurveItem(connect="pairs")
        self._unused = pg.PlotCurveItem(connect="pairs")
        self._steps = step_curve()
        for item in (self._bars, self._unused, self._stems, self._steps):
            self.plot.addItem(item, ignoreBounds=True)
        self._beyond = [pg.LinearRegionItem(movable=False) for _ in range(2)]
        for region in self._beyond:
            region.setZValue(-10)
            for line in region.lines:
                line.hide()
            self.plot.addItem(region, ignoreBounds=True)
        self._clip = [
            pg.InfiniteLine(angle=90, movable=True, label="{value:.4g}", labelOpts={"position": 0.84}) for _ in range(2)
        ]
        for line in self._clip:
            line.setZValue(10)
            line.sigDragged.connect(self._on_dragged)
            line.sigPositionChangeFinished.connect(self._settle)
            self.plot.addItem(line, ignoreBounds=True)
        self.add_pointer()
        self.add_legend({"original": self.tr("original"), "dequantized": self.tr("levels")}, middle=True)
        self.set_labels(self.tr("Value"), self.tr("Elements in a bin"))
        self._tensor: object = None
        self._by_hand = False
        self.view.sigRangeChangedManually.connect(self._on_moved_by_hand)
        self.view.sigXRangeChanged.connect(self._place_labels)
        self._tables: dict[str, Table] = {}
        self._bins: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None = None
        self.follow_view()

    def title(self) -> str:
        return self.tr("Distribution")

    def description(self) -> str:
        return self.tr(
            "How many values lie where, and the levels that codes can stand for, as high as the number of elements "
            "that land on them. Drag the two clip lines: values beyond them are clipped."
        )

    def present(self, analysis: Analysis) -> None:
        self.analysis = analysis
        if analysis.tensor is not self._tensor:
            self._tensor = analysis.tensor
            self._by_hand = False
        dragged = any(line.moving for line in self._clip)
        with self.moving():
            if not (self._by_hand or dragged):
                self._fit_width()
            self._bound_lines(analysis)
            if not dragged:
                self._settle()

    def _range(self) -> tuple[float, float]:
        assert self.analysis is not None
        return float(self.analysis.qparams.low.min()), float(self.analysis.qparams.high.max())

    def _bound_lines(self, analysis: Analysis) -> None:
        """A line stops at the other one, and where the scheme would not follow it."""
        low, high = self._range()
        gap = max(high - low, 1e-30) * 1e-3
        around_zero = analysis.scheme.symmetric or analysis.qparams.convention.range_includes_zero
        floor, ceiling = (-gap, gap) if analysis.scheme.symmetric else (0.0, 0.0)
        self._clip[0].setBounds((None, floor if around_zero else high - gap))
        self._clip[1].setBounds((ceiling if around_zero else low + gap, None))

    @Slot()
    def _settle(self, *_: object) -> None:
        """The lines stand where the scheme says."""
        if self.analysis is None:
            return
        for line, value in zip(self._clip, self._range(), strict=True):
            if line.value() != value:
                line.setPos(value)
        self._place_labels()

    @Slot()
    def _place_labels(self, *_: object) -> None:
        """Between the lines where there is room, else outside."""
        left, right = self.view.viewRange()[0]
        narrow = self._clip[1].value() - self._clip[0].value() < 0.4 * (right - left)
        for line, inside in zip(self._clip, (0, 1), strict=True):
            line.label.anchors = [(1 - inside if narrow else inside, 0.5)] * 2
            line.label.updatePosition()

    @Slot()
    def _on_moved_by_hand(self, *_: object) -> None:
        self._by_hand = True

    def reset_view(self) -> None:
        self._by_hand = False
        self._fit_width()

    def _fit_width(self) -> None:
        if self.analysis is None:
            return
        edges = self.analysis.tensor.histogram().edges
        low = min(float(edges[0]), float(self.analysis.qparams.low.min()))
        high = max(float(edges[-1]), float(self.analysis.qparams.high.max()))
        # A range drawn far beyond the data must not make the data vanish.
        span = float(edges[-1] - edges[0])
        low, high = max(low, float(edges[0]) - span), min(high, float(edges[-1]) + span)
        margin = (high - low) * 0.04
        self.view.setXRange(low - margin, high + margin, padding=0)

    def tables(self) -> dict[str, Table]:
        return self._tables

    def restyle(self, theme: Theme) -> None:
        self._bars.setPen(pen(theme, "original"))
        self._bars.setBrush(theme.color("original", 110))
        self._stems.setPen(pen(theme, "dequantized"))
        self._steps.setPen(pen(theme, "dequantized"))
        self._unused.setPen(pen(theme, "unused"))
        for region in self._beyond:
            region.setBrush(theme.color("clipping", 38))
        for line in self._clip:
            line.setPen(pen(theme, "clipping", width=2))
            line.setHoverPen(pen(theme, "clipping", width=4))
            line.label.setColor(theme.color("clipping"))
            line.label.fill = pg.mkBrush(theme.color("background", 220))

    def draw(self) -> None:
        if self.analysis is None:
            return
        analysis = self.analysis
        edges, counts = self._visible_bins(analysis)
        self._bins = edges, counts
        heights = self.heights(counts)
        self._bars.setData(edges, heights, fillLevel=self.floor)
        largest = float(heights.max(initial=self.floor))
        self._tables = {"": Table({"bin_low": edges[:-1], "bin_high": edges[1:], "elements": counts})}
        largest = max(largest, self._draw_levels(analysis, edges))
        self.fit_counts(largest, headroom=0.18)
        low, high = (line.value() for line in self._clip)
        reach = 10 * abs(high - low) + float(edges[-1] - edges[0]) * 100
        self._beyond[0].setRegion((low - reach, low))
        self._beyond[1].setRegion((high, high + reach))

    def _visible_bins(self, analysis: Analysis) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """The tensor's fine bins, joined until no more are in sight than can be told apart."""
        histogram = analysis.tensor.histogram()
        edges, counts = histogram.edges, histogram.counts
        left, right = self.view.viewRange()[0]
        width = float(edges[1] - edges[0])
        first = min(max(int((left - edges[0]) / width), 0), counts.size)
        last = min(max(int((right - edges[0]) / width) + 1, first), counts.size)
        join = 1
        wanted = min(BINS_IN_SIGHT, max(32, 2 * math.sqrt(analysis.tensor.finite)))
        while (last - first) / join > wanted:
            join *= 2
        first, last = first // join * join, min(-(-last // join) * join, counts.size)
        if last <= first:
            first, last = 0, counts.size
        return edges[first : last + 1 : join], counts[first:last].reshape(-1, join).sum(axis=1)

    def _draw_levels(self, analysis: Analysis, edges: np.ndarray[Any, Any]) -> float:
        """The levels of the one scale there is; returns the height they reach."""
        for item in (self._stems, self._unused, self._steps):
            item.setVisible(analysis.groups is None)
        if analysis.groups is not None:
            self.set_note(self.tr("each channel has its own levels: click one in Channels"))
            return self.floor
        levels = analysis.qparams.levels()[0].astype(np.float64)
        self._tables["levels"] = Table(
            {
                "code": np.arange(analysis.qparams.quant_min, analysis.qparams.quant_max + 1),
                "level": levels,
                "elements": analysis.occupancy,
            }
        )
        note = self.tr("{used} of {count} levels in use").format(
            used=f"{analysis.levels_used:,}", count=f"{levels.size:,}"
        )
        levels = np.clip(levels, -LARGEST, LARGEST)  # x̂ may leave float32
        between = (levels[1:] + levels[:-1]) / 2
        cells = np.concatenate(([2 * levels[0] - between[0]], between, [2 * levels[-1] - between[-1]]))
        bin_width = float(edges[1] - edges[0])
        narrow = levels.size > LEVELS_UP_TO or float(np.median(np.diff(cells))) < bin_width
        # A level gathers the elements of a whole step: drawn per bin, it stands as high as the
        # histogram it came from.
        if narrow:
            before = np.concatenate(([0], np.cumsum(analysis.occupancy)))
            heights, cells = self.heights(np.diff(np.interp(edges, cells, before))), edges
        else:
            heights = self.heights(analysis.occupancy * (bin_width / np.maximum(np.diff(cells), 1e-300)))
        taller = int(np.count_nonzero(heights > self._headroom()))
        heights = np.minimum(heights, self._headroom())
        left, right = self.view.viewRange()[0]
        few = not narrow and bool(np.count_nonzero((levels >= left) & (levels <= right)) <= STEMS_UP_TO)
        self.set_note(self.tr("{note}, {count} taller than shown").format(note=note, count=taller) if taller else note)
        self._steps.setVisible(not few)
        self._steps.setData(cells, heights)
        self._draw_ticks(levels, analysis.occupancy > 0, heights if few else None)
        return float(heights.max(initial=self.floor))

    def _draw_ticks(
        self, levels: np.ndarray[Any, Any], used: np.ndarray[Any, Any], heights: np.ndarray[Any, Any] | None
    ) -> None:
        """Each level as a stem of its height, or as a small tick where the tops are joined."""
        visible = levels.size <= LEVELS_UP_TO
        for item in (self._stems, self._unused):
            item.setVisible(visible)
        if visible:
            tick = np.full(levels.size, self.floor + (self._headroom() - self.floor) * 0.03)
            tops = tick if heights is None else heights
            self._stems.setData(np.repeat(levels[used], 2), _pairs(self.floor, tops[used]))
            self._unused.setData(np.repeat(levels[~used], 2), _pairs(self.floor, tick[~used]))

    def _headroom(self) -> float:
        """Stems of clipped ends may tower over the histogram: they reach the top, no further."""
        top = float(self._bars.yData.max(initial=self.floor))
        return self.floor + (top - self.floor) * 1.05

    @Slot(object)
    def _on_dragged(self, line: pg.InfiniteLine) -> None:
        if self.analysis is None:
            return
        low, high = (each.value() for each in self._clip)
        if self.analysis.scheme.symmetric:
            high = abs(line.value())
            low = -high
        if low < high:
            self.clip_moved.emit(low, high)

    def hover(self, point: QPointF) -> None:
        if self.analysis is None or self._bins is None:
            return
        edges, counts = self._bins
        at = int(np.searchsorted(edges, point.x(), "right")) - 1
        text = self.tr("x {value}").format(value=number(point.x()))
        if 0 <= at < counts.size:
            text += "  " + self.tr("{count} in {low}…{high}").format(
                count=f"{int(counts[at]):,}", low=number(float(edges[at])), high=number(float(edges[at + 1]))
            )
        self.read_out.emit(text)
        self.link.moved.emit(self, point.x())


def _pairs(floor: float, heights: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.column_stack((np.full(heights.size, floor), heights)).reshape(-1)
