"""Which value comes out for each value that goes in? The staircase."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt

from qviz.core.arithmetic.quantize import quantize
from qviz.core.arrays import LARGEST
from qviz.core.tensors.robust_range import RobustRange, robust_range
from qviz.core.tensors.tensor import Tensor
from qviz.core.tensors.value_histogram import Histogram
from qviz.gui.charts.base import Chart, LinkedCursor, Table, pen
from qviz.gui.charts.drawing import Brush
from qviz.gui.kit.theme import Theme
from qviz.gui.words.groups import code_text, group_words
from qviz.gui.words.numbers import number
from qviz.gui.words.outliers import chips

if TYPE_CHECKING:
    from qviz.core.questions.analysis import Analysis

POINTS_A_PIXEL = 4


class TransferChart(Chart):
    """x against x̂, sampled finer than a pixel at every zoom by the quantizer itself."""

    name: ClassVar[str] = "transfer"

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link, wheel_axis=0)
        self._mark = pg.ScatterPlotItem(size=9, pxMode=True)
        self._mark.hide()
        self.plot.addItem(self._mark, ignoreBounds=True)
        self.add_pointer()
        self.set_labels(self.tr("Original x"), self.tr("Dequantized x̂"))
        self._group = 0
        self._reach: tuple[float, float] | None = None
        self._curve: tuple[np.ndarray, np.ndarray] | None = None
        self._selected: int | None = None
        self._tensor: Tensor | None = None
        self._counted: Histogram | None = None
        self._robust: RobustRange | None = None
        self.follow_view()

    def title(self) -> str:
        return self.tr("Transfer curve")

    def description(self) -> str:
        return self.tr(
            "What each value becomes. Steps of integers are as wide as the scale, those of floats grow with the value; "
            "the flat ends are where values are clipped. "
            "The dashed diagonal is no quantization at all."
        )

    def present(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self._group = analysis.groups.worst if analysis.groups else 0
        if analysis.groups is not None:
            self.set_note(
                self.tr("of {group} {number}, the worst").format(
                    group=group_words(analysis.scheme.granularity).one, number=f"{self._group:,}"
                )
            )
        else:
            self.set_note("")
        tensor, q = analysis.tensor, analysis.qparams
        ends = q.for_group(self._group).clip_range()
        low, high = (float(np.clip(end, -LARGEST, LARGEST)[0]) for end in ends)
        lowest, highest = tensor.minimum, tensor.maximum
        if not tensor.same_data(self._tensor):
            self._tensor, self.whole = tensor, False
        robust = self._outliers(analysis)
        self.show_chips(chips(robust, shown=self.whole, exact=analysis.exact))
        if analysis.groups is not None:
            lowest, highest = (float(end.reshape(-1)[self._group]) for end in (q.low, q.high))
            margin = (highest - lowest) / 4
            lowest, highest = lowest - margin, highest + margin
        reach = min(lowest, low), max(highest, high)
        if not q.number_format.scaled:  # all levels there are would make the data vanish
            span = tensor.maximum - tensor.minimum
            reach = max(reach[0], tensor.minimum - span), min(reach[1], tensor.maximum + span)
        if robust is not None and not self.whole:
            reach = max(reach[0], robust.low), min(reach[1], robust.high)
        with self.moving():
            if reach != self._reach:
                self._reach = reach
                self.fit_view()
        self.point_to(self._selected)

    def _outliers(self, analysis: Analysis) -> RobustRange | None:
        """What lies so far away that the curve opens without it; of groups, the worst is drawn over its own range."""
        if analysis.groups is not None:
            return None
        histogram = analysis.histogram()
        if histogram is not self._counted:
            self._counted, self._robust = histogram, robust_range(histogram.edges, histogram.counts)
        return self._robust

    def show_whole(self, whole: bool) -> None:
        changed, self.whole = whole != self.whole, whole
        if changed and self.analysis is not None:
            self.present(self.analysis)
        self.fit_view()

    def reset_view(self) -> None:
        self.show_whole(False)

    def fit_view(self) -> None:
        if self._reach is None:
            return
        low, high = self._reach
        margin = (high - low) * 0.04 or max(abs(high), 1.0) * 0.04
        span = (low - margin, high + margin)
        self.view.move_to(x=span)

    def point_to(self, index: int | None) -> None:
        """Mark the place of one element on the staircase."""
        self._selected = index
        self._mark.hide()
        if index is None or self.analysis is None or index >= self.analysis.tensor.elements:
            return
        if int(self.analysis.layout.group_of(index)) != self._group:
            return  # its own staircase is another one
        x, x_hat = float(self.analysis.tensor.drawn[index]), float(self.analysis.fake_quantize(index, index + 1)[0])
        if math.isfinite(x_hat):  # what is not a number has no place on the staircase
            self._mark.setData([x], [x_hat])
            self._mark.show()

    def tables(self) -> dict[str, Table]:
        if self._curve is None:
            return {}
        x, y = self._curve
        return {"": Table({"x": x, "x_hat": y})}

    def restyle(self, theme: Theme) -> None:
        self._mark.setPen(pen(theme, "pointer"))
        self._mark.setBrush(theme.color("dequantized"))

    def draw(self) -> None:
        if self.analysis is None:
            return
        left, right = self.view.viewRange()[0]
        x = np.clip(np.linspace(left, right, self.pixels() * POINTS_A_PIXEL), -LARGEST, LARGEST).astype(np.float32)
        y = self.analysis.transfer(x, self._group)
        self._curve = x, y
        finite = y[np.isfinite(y)]
        if finite.size:  # the curve and the diagonal stay in sight at every zoom
            self.view.move_to(y=(min(left, float(finite.min())), max(right, float(finite.max()))))
        self.repaint_marks()

    def paint_marks(self, brush: Brush) -> None:
        if self.analysis is None or self._curve is None:
            return
        left, right = self.view.viewRange()[0]
        brush.line(left, left, right, right, self.pen("original", style=Qt.PenStyle.DashLine))
        x, y = self._curve
        brush.curve(brush.x(x), brush.y(y), self.pen("dequantized", width=2))
        for asked in (self.analysis.qparams.low, self.analysis.qparams.high):
            brush.upright(float(asked.reshape(-1)[self._group]), self.pen("clipping", style=Qt.PenStyle.DashLine))

    def hover(self, point: QPointF) -> None:
        if self.analysis is None:
            return
        x = np.clip(np.array([point.x()]), -LARGEST, LARGEST).astype(np.float32)
        x_hat = float(self.analysis.transfer(x, self._group)[0])
        q = self.analysis.qparams.for_group(self._group)
        self.read_out.emit(
            self.tr("x {x} → code {code} → x̂ {x_hat}").format(
                x=number(float(x[0])), code=code_text(q.number_format, quantize(x, q)[0]), x_hat=number(x_hat)
            )
        )
        self.link.moved.emit(self, float(x[0]))
