"""Which channels, blocks or tokens suffer?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PySide6.QtCore import QPointF, Qt, Signal, Slot

from qviz.core.tensors.granularity import PerAxis
from qviz.gui.charts.axes import IndexAxis
from qviz.gui.charts.base import Chart, LinkedCursor, Table
from qviz.gui.charts.drawing import Brush
from qviz.gui.kit.judgement import lossless, sqnr_heading
from qviz.gui.kit.theme import Theme
from qviz.gui.words.estimates import about
from qviz.gui.words.groups import GroupWords, group_columns, group_words, place_text
from qviz.gui.words.numbers import decibels, number
from qviz.gui.words.outliers import chips

if TYPE_CHECKING:
    from qviz.core.questions.analysis import Analysis
    from qviz.core.questions.figures import Groups


MARK = 9
"""Pixels that the triangle at the worst one is wide."""


class ChannelsChart(Chart):
    """SQNR of each channel, block or token as a bar; a click looks at one alone."""

    name: ClassVar[str] = "channels"
    channel_clicked = Signal(int)
    _words: GroupWords | None = None

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link, wheel_axis=0, axes={"bottom": IndexAxis()})
        self._edges, self._heights = np.zeros(0), np.zeros(0)
        self._chosen: int | None = None
        self._groups: Groups | None = None
        self._key: Any = None
        self.canvas.scene().sigMouseClicked.connect(self._on_clicked)
        self.follow_view()

    def title(self) -> str:
        return self.tr("Channels") if self._words is None else self._words.titles

    def description(self) -> str:
        return self.tr(
            "Signal to quantization noise of each channel, block or token: the triangle marks the worst. "
            "Click one to see it alone in every chart; click it again to see all."
        )

    def present(self, analysis: Analysis) -> None:
        self.analysis = analysis
        groups = analysis.groups
        words = group_words(analysis.scheme.granularity)
        if words != self._words:
            self._words = words
            self._label()
        self._groups = groups
        if groups is None:
            self.show_chips({})
            self.set_note(self.tr("one {group} only").format(group=words.one))
            self.repaint_marks()
            return
        key = (analysis.tensor.shape, analysis.scheme.granularity)
        if key != self._key:
            self._key = key
            self.whole = False
            self.fit_view()
        self.draw()
        self.write_heights(not groups.lossless)
        low, high = groups.sqnr_range
        robust = groups.robust_sqnr_range
        self.show_chips(chips(robust, shown=self.whole, exact=analysis.exact, upright=True))
        if robust is not None and not self.whole:
            low, high = robust.low, robust.high
        self.view.setYRange(min(0.0, low * 1.08), max(1.0, high * 1.08), padding=0)

    def choose(self, channel: int | None) -> None:
        """Mark the channel that is looked at alone."""
        self._chosen = channel
        self.repaint_marks()

    def show_whole(self, whole: bool) -> None:
        changed, self.whole = whole != self.whole, whole
        if changed and self.analysis is not None:
            self.present(self.analysis)
        self.fit_view()

    def reset_view(self) -> None:
        self.show_whole(False)

    def fit_view(self) -> None:
        if self._count:
            self.view.setXRange(-0.5, self._count - 0.5, padding=0.02)

    def tables(self) -> dict[str, Table]:
        columns = {} if self.analysis is None else group_columns(self.analysis)
        return {"": Table(columns)} if columns else {}

    @property
    def _count(self) -> int:
        """How many there are."""
        return 0 if self._groups is None else self._groups.finite.size

    def _label(self) -> None:
        self.setAccessibleName(self.title())
        title = self.tr("Channel") if self._words is None else self._words.title
        self.set_labels(title, sqnr_heading())

    def restyle(self, theme: Theme) -> None:
        self._label()

    def draw(self) -> None:
        if self._groups is None:
            return
        left, right = self.view.viewRange()[0]
        pixels = self.pixels() // 2
        first = min(max(int(left), 0), self._count - 1)
        last = max(min(int(right) + 2, self._count), first + 1)
        join = max(1, -(-(last - first) // pixels))
        first = first // join * join
        starts = np.arange(first, last, join)
        self._edges, self._heights = np.append(starts, last) - 0.5, self._groups.lowest_sqnr_db(starts, last)
        if self._groups.lossless:  # all are as high as the chart
            self._heights = np.ones(starts.size)
            self.set_note(lossless(decibels(math.inf)))
            self.repaint_marks()
            return
        self.set_note("" if join == 1 else self.tr("a bar is the worst of {count}").format(count=f"{join:,}"))
        self.repaint_marks()

    def paint_marks(self, brush: Brush) -> None:
        if self._groups is None or self.analysis is None:
            return
        edges, tops = brush.x(self._edges), brush.y(self._heights)
        # Never of glass: for each of its bars Qt wakes several threads, and waits for them.
        brush.bars(edges, brush.at_y(0.0), tops, self.solid("rounding", 0.47))
        if self._chosen is not None:
            brush.tint(brush.at_x(self._chosen - 0.5), brush.at_x(self._chosen + 0.5), self.color("pointer", 60))
        brush.stairs(edges, tops, self.pen("rounding"))
        if math.isfinite(self.analysis.sqnr_db):
            brush.across(self.analysis.sqnr_db, self.pen("bound", style=Qt.PenStyle.DashLine))
        if self._groups.lossless:
            return
        worst = self._groups.worst
        brush.mark(worst, self._groups.drawn_sqnr_db(worst), MARK, self.color("clipping"))

    def _channel_at(self, point: QPointF) -> int | None:
        channel = round(point.x())
        return channel if 0 <= channel < self._count else None

    def hover(self, point: QPointF) -> None:
        channel = self._channel_at(point)
        if channel is None or self.analysis is None or self.analysis.groups is None:
            self.read_out.emit("")
            return
        groups, q, granularity = self.analysis.groups, self.analysis.qparams, self.analysis.scheme.granularity
        where = f"{channel:,}"
        if not isinstance(granularity, PerAxis):
            where += f" ({place_text(granularity, self.analysis.tensor.shape, channel)})"
        each = about(self.analysis.exact)
        self.read_out.emit(
            self.tr("#{number}  {sqnr}  MSE {mse}  S {scale}").format(
                number=where,
                sqnr=each + decibels(groups.sqnr_db_of(channel)),
                mse=each + number(float(groups.mse[channel])),
                scale=each + number(float(q.scale.reshape(-1)[channel])),
            )
        )

    @Slot(object)
    def _on_clicked(self, event: Any) -> None:
        if event.isAccepted() or event.double() or event.button() != Qt.MouseButton.LeftButton:
            return
        if self.view.sceneBoundingRect().contains(event.scenePos()):
            channel = self._channel_at(self.view.mapSceneToView(event.scenePos()))
            if channel is not None:
                self.channel_clicked.emit(channel)
