"""Where do the values lie, where do the levels lie, and what is clipped?"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, Signal, Slot

from qviz.core.arrays import LARGEST, Array
from qviz.core.formats.integers import IntFormat
from qviz.core.frozen import frozen
from qviz.core.tensors.robust_range import RobustRange, robust_range
from qviz.core.tensors.tensor import Tensor
from qviz.core.tensors.value_histogram import Histogram
from qviz.gui.charts.base import LinkedCursor, Table, pen
from qviz.gui.charts.counts import CountChart
from qviz.gui.charts.drawing import Brush
from qviz.gui.charts.ornaments import LABEL_MIDDLE
from qviz.gui.kit.theme import Theme
from qviz.gui.words.groups import group_words
from qviz.gui.words.numbers import number
from qviz.gui.words.outliers import chips

if TYPE_CHECKING:
    from qviz.core.questions.analysis import Analysis

BINS_IN_SIGHT = 400
STEMS_UP_TO = 48
"""More levels than this in sight would hide the histogram: their tops are joined instead."""

LABEL_MARGINS = 8
"""Pixels that a label is wider than its text."""

LINE_ROOM = 4
"""Pixels to either side of a line that it may cover."""

LEVELS_UP_TO = 1024
"""More levels than this are narrower than a pixel: they are counted in the histogram's own bins."""


@frozen
class Label:
    """What stands beside a line, and where, in pixels."""

    text: str
    left: float
    width: float
    middle: float

    @property
    def right(self) -> float:
        return self.left + self.width


@frozen(eq=False)
class Levels:
    """The levels as they are drawn.

    Attributes
    ----------
    level, used : arrays, shape (levels,)
        Empty where there are too many to tell apart.
    cells, heights : arrays, shapes (n + 1,) and (n,)
        How many elements there are at each, as a staircase.
    few : bool
        Whether each is a stem of its own.
    """

    level: Array
    used: Array
    cells: Array
    heights: Array
    few: bool


class ClipLine(pg.InfiniteLine):
    """An upright line to drag, which is as high wherever it stands: pyqtgraph finds that out at each place."""

    def __init__(self) -> None:
        super().__init__(angle=90, movable=True)

    def setPos(self, pos: Any) -> None:
        place = pos.x() if isinstance(pos, QPointF) else float(pos)
        low, high = self.maxRange
        place = place if low is None else max(place, low)
        place = place if high is None else min(place, high)
        if self.p != [place, 0]:
            self.p = [place, 0]
            pg.GraphicsObject.setPos(self, place, 0)
            self.sigPositionChanged.emit(self)


class DistributionChart(CountChart):
    """A histogram of every value, the levels with their occupancy, and two clip lines to drag."""

    name: ClassVar[str] = "distribution"
    clip_moved = Signal(float, float)
    released = Signal()
    """The hand has let go of a clip line."""
    robust_changed = Signal()

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link)
        self.lines = [ClipLine() for _ in range(2)]
        for line in self.lines:
            line.setZValue(10)
            line.sigPositionChanged.connect(self._on_line_moved)
            line.sigDragged.connect(self._on_dragged)
            line.sigPositionChangeFinished.connect(self._settle)
            line.sigPositionChangeFinished.connect(self.released)
            self.plot.addItem(line, ignoreBounds=True)
        self.add_pointer()
        self.add_legend({"original": self.tr("original"), "dequantized": self.tr("levels")}, middle=True)
        self.set_labels(self.tr("Value"), self.tr("Elements in a bin"))
        self._tensor: Tensor | None = None
        self._by_hand = False
        self.view.sigRangeChangedManually.connect(self._on_moved_by_hand)
        self._key: tuple[Any, ...] = ()
        self._counted: Histogram | None = None
        self.robust: RobustRange | None = None
        self._bins: tuple[Array, Array] | None = None
        self._heights = np.zeros(0)
        self._levels: Levels | None = None
        self._painted: tuple[tuple[float, float], tuple[Label, ...]] = (0.0, 0.0), ()
        """Where the lines were when they were painted, in pixels, and what stood beside them."""
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
        if not analysis.tensor.same_data(self._tensor):
            self._tensor = analysis.tensor
            self._by_hand = self.whole = False
        self._find_outliers(analysis)
        with self.moving():
            if not (self._by_hand or self.held):
                self._fit_width()
            self._bound_lines(analysis)
            self._settle()

    @property
    def held(self) -> bool:
        """Whether a clip line is being dragged."""
        return any(line.moving for line in self.lines)

    def _range(self) -> tuple[float, float]:
        assert self.analysis is not None
        return self.analysis.qparams.outermost

    def _bound_lines(self, analysis: Analysis) -> None:
        """A line stops at the other one, and where the scheme would not follow it."""
        low, high = self._range()
        gap = max(high - low, 1e-30) * 1e-3
        around_zero = analysis.scheme.symmetric or analysis.qparams.convention.range_includes_zero
        floor, ceiling = (-gap, gap) if analysis.scheme.symmetric else (0.0, 0.0)
        self.lines[0].setBounds((None, floor if around_zero else high - gap))
        self.lines[1].setBounds((ceiling if around_zero else low + gap, None))

    @Slot()
    def _settle(self, *_: object) -> None:
        """The lines stand where the scheme says."""
        if self.analysis is None:
            return
        for line, value in zip(self.lines, self._range(), strict=True):
            if line.value() != value and not line.moving:  # the hand decides where the one it holds stands
                line.setPos(value)
        self.repaint_marks()

    @Slot()
    def _on_moved_by_hand(self, *_: object) -> None:
        self._by_hand = True

    def _find_outliers(self, analysis: Analysis) -> None:
        histogram = analysis.histogram()
        if histogram is not self._counted:
            self._counted, self.robust = histogram, robust_range(histogram.edges, histogram.counts)
            self.robust_changed.emit()
        self.show_chips(chips(self.robust, shown=self.whole, exact=analysis.exact))

    def show_whole(self, whole: bool) -> None:
        super().show_whole(whole)
        if self.analysis is not None:
            self._find_outliers(self.analysis)
            self.robust_changed.emit()

    def fit_view(self) -> None:
        self._by_hand = False
        self._fit_width()

    def reset_view(self) -> None:
        self.show_whole(False)

    def _fit_width(self) -> None:
        if self.analysis is None:
            return
        edges = self.analysis.histogram().edges
        first, last = float(edges[0]), float(edges[-1])
        if self.robust is not None and not self.whole:
            first, last = self.robust.low, self.robust.high
        clip_low, clip_high = self._range()
        span = last - first
        low, high = min(first, clip_low), max(last, clip_high)
        if self.robust is not None and not self.whole:  # a line among the outliers is out of sight as they are
            low, high = first if low < first - span else low, last if high > last + span else high
        # A range drawn far beyond the data must not make the data vanish.
        low, high = max(low, first - span), min(high, last + span)
        margin = (high - low) * 0.04
        self.view.move_to(x=(low - margin, high + margin))

    def tables(self) -> dict[str, Table]:
        if self.analysis is None or self._bins is None:
            return {}
        edges, counts = self._bins
        tables = {"": Table({"bin_low": edges[:-1], "bin_high": edges[1:], "elements": counts})}
        if self.analysis.groups is None:
            q = self.analysis.qparams
            columns: dict[str, Array] = {"code": q.number_format.encode(q.codes, q.codes)}
            if not isinstance(q.number_format, IntFormat):
                columns["unit_value"] = q.codes
            levels = q.levels()[0].astype(np.float64)
            tables["levels"] = Table({**columns, "level": levels, "elements": self.analysis.occupancy})
        return tables

    def restyle(self, theme: Theme) -> None:
        for line in self.lines:
            line.setPen(pen(theme, "clipping", width=2))
            line.setHoverPen(pen(theme, "clipping", width=4))

    def draw(self) -> None:
        if self.analysis is None:
            return
        self._find_bins(self.analysis)
        self._levels = self._find_levels(self.analysis)
        tallest = [self._heights] if self._levels is None else [self._heights, self._levels.heights]
        self.fit_counts(max(float(heights.max(initial=self.floor)) for heights in tallest))
        self.repaint_marks()

    def _find_bins(self, analysis: Analysis) -> None:
        """The tensor's fine bins, joined until no more are in sight than can be told apart."""
        histogram = analysis.histogram()
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
        split = self._splits(analysis, wanted / max(last - first, 1), width)
        key = (histogram, first, last, join, split, self.logarithmic)
        if key != self._key:
            self._key = key
            self._bins = edges[first : last + 1 : join], counts[first:last].reshape(-1, join).sum(axis=1)
            if split > 1 and analysis.prepared is not None:
                steps = np.arange(first * split, last * split + 1, dtype=np.float64)
                finer = np.add(steps * (width / split), edges[0])
                self._bins = finer, analysis.prepared.counts(finer)
            self._heights = self.heights(self._bins[1])

    def _splits(self, analysis: Analysis, room: float, width: float) -> int:
        """Into how many parts each fine bin is divided when zoomed in: a tensor in order counts any bins."""
        if analysis.prepared is None or room < 2:
            return 1
        largest = max(abs(analysis.tensor.minimum), abs(analysis.tensor.maximum))
        finest = width / (4 * float(np.spacing(np.float32(largest))))
        return int(2 ** math.floor(math.log2(max(1.0, min(room, finest)))))

    def _find_levels(self, analysis: Analysis) -> Levels | None:
        """The levels of the one scale there is."""
        if analysis.groups is not None or self._bins is None:
            words = group_words(analysis.scheme.granularity)
            text = self.tr("each {group} has its own levels: click one in {groups}")
            self.set_note(text.format(group=words.one, groups=words.titles))
            return None
        edges, _ = self._bins
        levels = analysis.qparams.levels()[0].astype(np.float64)
        note = self.tr("{used} of {count} levels in use").format(
            used=f"{analysis.levels_used:,}", count=f"{levels.size:,}"
        )
        levels = np.clip(levels, -LARGEST, LARGEST)  # x̂ may leave float32
        occupancy = analysis.occupancy
        if levels[0] > levels[-1]:  # under a negative scale
            levels, occupancy = levels[::-1], occupancy[::-1]
        between = (levels[1:] + levels[:-1]) / 2
        cells = np.concatenate(([2 * levels[0] - between[0]], between, [2 * levels[-1] - between[-1]]))
        bin_width = float(edges[1] - edges[0])
        narrow = levels.size > LEVELS_UP_TO or float(np.median(np.diff(cells))) < bin_width
        # A level gathers the elements of a whole step: drawn per bin, it stands as high as the
        # histogram it came from.
        if narrow:
            before = np.concatenate(([0], np.cumsum(occupancy)))
            heights, cells = self.heights(np.diff(np.interp(edges, cells, before))), edges
        else:
            widths = np.diff(cells)
            widths = np.where(widths > bin_width / LARGEST, widths, bin_width)  # levels of a scale of 0 have none
            heights = self.heights(occupancy * (bin_width / widths))
        taller = int(np.count_nonzero(heights > self._headroom()))
        heights = np.minimum(heights, self._headroom())
        left, right = self.view.viewRange()[0]
        few = not narrow and bool(np.count_nonzero((levels >= left) & (levels <= right)) <= STEMS_UP_TO)
        self.set_note(self.tr("{note}, {count} taller than shown").format(note=note, count=taller) if taller else note)
        if levels.size > LEVELS_UP_TO:
            levels = levels[:0]
        return Levels(levels, occupancy[: levels.size] > 0, cells, heights, few)

    def _headroom(self) -> float:
        """Stems of clipped ends may tower over the histogram: they reach the top, no further."""
        top = float(self._heights.max(initial=self.floor))
        return self.floor + (top - self.floor) * 1.05

    def paint_marks(self, brush: Brush) -> None:
        if self.analysis is None or self._bins is None:
            return
        low, high = (brush.at_x(line.value()) for line in self.lines)
        labels = self._labels(low, high, brush.width)
        if brush.grain:
            self._painted = (low, high), labels
        for start, end in ((0.0, low), (high, brush.width)):
            brush.tint(max(start, 0.0), min(end, brush.width), self.solid("clipping", 0.15))
        looks = self.view.viewRange(), self.color("original").rgba()
        # Of one answer all is kept: a line that is dragged passes over it.
        brush.keep("data", (self._key, self._levels, *looks), partial(self._paint_data, looks))
        brush.take(self.letters())
        color, back = self.color("clipping"), self.color("background", 220)
        for label in labels:
            brush.label(label.text, label.left, label.middle, right=True, color=color, back=back)

    def _labels(self, low: float, high: float, width: float) -> tuple[Label, ...]:
        """What stands beside the lines, of which these are the places: between them where there is room."""
        narrow = high - low < 0.4 * width
        labels: list[Label] = []
        for line, x, right in zip(self.lines, (low, high), (not narrow, narrow), strict=True):
            if 0 <= x <= width:  # what is out of sight has no label
                text = number(line.value())
                wide = self.letters().width(text) + LABEL_MARGINS
                labels.append(Label(text, min(max(x if right else x - wide, 0.0), width - wide), wide, LABEL_MIDDLE))
        if len(labels) == 2 and labels[0].right > labels[1].left - 2:  # over each other
            first, second = labels
            left = min(first.right + 2, width - second.width)
            labels[1] = replace(second, left=left, middle=LABEL_MIDDLE + 20 * (first.right > left))
        return tuple(labels)

    def _paint_data(self, looks: tuple[Any, ...], brush: Brush) -> None:
        brush.keep("histogram", (self._key, *looks), self._paint_histogram)
        self._paint_levels(brush)

    def _paint_histogram(self, brush: Brush) -> None:
        if self._bins is not None:
            edges, tops, floor = brush.x(self._bins[0]), brush.y(self._heights), brush.at_y(self.floor)
            brush.area(edges, np.full(tops.size, floor), tops, self.color("original", 110))
            brush.stairs(*_standing(edges, tops, floor), self.pen("original"))

    def _paint_levels(self, brush: Brush) -> None:
        """Each level as a stem of its height, or as a small tick where the tops are joined."""
        levels, floor = self._levels, brush.at_y(self.floor)
        if levels is None:
            return
        places = brush.x(levels.level)
        tick = np.full(places.size, brush.at_y(self.floor + (self._headroom() - self.floor) * 0.03))
        tops = brush.y(levels.heights)
        brush.stems(places[~levels.used], floor, tick[~levels.used], self.pen("unused"))
        stems = tops if levels.few else tick
        brush.stems(places[levels.used], floor, stems[levels.used], self.pen("dequantized"))
        if not levels.few:
            brush.stairs(*_standing(brush.x(levels.cells), tops, floor), self.pen("dequantized"))

    @Slot(object)
    def _on_line_moved(self, line: pg.InfiniteLine) -> None:
        """What it leaves or covers changes its colour, and both labels their places."""
        if self.empty or self._drawing:
            return
        ruler = self._under.ruler()
        low, high = (ruler.at_x(each.value()) for each in self.lines)
        stood, were = self._painted
        changed = set(were) ^ set(self._labels(low, high, ruler.width))
        ends = [end for label in changed for end in (label.left, label.right)]
        ends += [end for was, now in zip(stood, (low, high), strict=True) if was != now for end in (was, now)]
        if ends:
            self._under.update_between(max(min(ends) - LINE_ROOM, 1.0), min(max(ends) + LINE_ROOM, ruler.width))

    @Slot(object)
    def _on_dragged(self, line: pg.InfiniteLine) -> None:
        if self.analysis is None:
            return
        low, high = (each.value() for each in self.lines)
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


def _standing(edges: Array, tops: Array, floor: float) -> tuple[Array, Array]:
    """A staircase whose ends stand on the floor."""
    return (
        np.concatenate((edges[:1], edges, edges[-1:])),
        np.concatenate(([floor], tops, [floor])),
    )
