"""How do the dequantized values run beside the original ones, over the index?"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt, Signal, Slot

from qviz.core.frozen import frozen
from qviz.core.tensors.envelope import EnvelopeView
from qviz.core.tensors.robust_range import RobustRange, robust_range
from qviz.core.tensors.tensor import Tensor
from qviz.core.tensors.value_histogram import Histogram
from qviz.gui.charts.axes import IndexAxis
from qviz.gui.charts.base import Chart, LinkedCursor, Table, pen
from qviz.gui.charts.drawing import Brush
from qviz.gui.charts.ornaments import LEGEND_HEIGHT
from qviz.gui.kit.theme import Theme
from qviz.gui.words.numbers import number
from qviz.gui.words.outliers import chips

if TYPE_CHECKING:
    from qviz.core.questions.analysis import Analysis

DOTS_BELOW = 160
"""With fewer elements in sight each one gets a dot."""

ALIKE = 0.25
"""A share by which the chart may get wider before other places of a tensor are looked at that is only sampled."""


@frozen(eq=False)
class Views:
    """What there is to draw of an answer in some stretch."""

    analysis: Analysis
    stretch: tuple[int, int, int]
    original: EnvelopeView
    dequantized: EnvelopeView


@frozen
class Stretch:
    """What is in sight: what is drawn of an answer is found where the answer is, since it may have to be read.

    Attributes
    ----------
    start, stop : int or None
        Elements; None where the whole tensor is in sight, as it is of the next one.
    columns : int
    """

    start: int | None
    stop: int | None
    columns: int

    def __call__(self, analysis: Analysis) -> Views:
        stop = analysis.tensor.elements if self.stop is None else self.stop
        stretch = self.start or 0, stop, self.columns
        return Views(analysis, stretch, *analysis.views(*stretch))


class ValuesChart(Chart):
    """The whole tensor at every zoom: a true min/max envelope, or every sample as a step."""

    name: ClassVar[str] = "values"
    element_clicked = Signal(int)
    sight_changed = Signal(object)

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link, wheel_axis=0, axes={"bottom": IndexAxis()})
        self._dots = pg.ScatterPlotItem(size=6, pxMode=True)
        self._mark = pg.InfiniteLine(angle=90)
        self._marked = pg.ScatterPlotItem(size=9, pxMode=True)
        for item in (self._dots, self._mark, self._marked):
            item.hide()
            self.plot.addItem(item, ignoreBounds=True)
        self.add_pointer(angle=0)
        self.add_legend({"original": self.tr("original"), "dequantized": self.tr("dequantized")})
        self.set_labels(self.tr("Element index (row by row)"), self.tr("Value"))
        self._views: Views | None = None
        self._foreseen: Views | None = None
        self._told: Stretch | None = None
        self._columns = 0
        self._tensor: Tensor | None = None
        self._selected: int | None = None
        self._fitted: list[float] | None = None
        self._counted: Histogram | None = None
        self._robust: RobustRange | None = None
        self.view.sigRangeChangedManually.connect(self._on_moved_by_hand)
        self.follow_view()
        self.canvas.scene().sigMouseClicked.connect(self._on_clicked)

    def title(self) -> str:
        return self.tr("Values")

    def description(self) -> str:
        return self.tr(
            "Original and dequantized values over the index. Zoomed out, the band spans the smallest and largest "
            "value under each pixel, of every element; zoomed in, each element is a step."
        )

    def present(self, analysis: Analysis) -> None:
        self.analysis = analysis
        if not analysis.tensor.same_data(self._tensor):
            self._tensor = analysis.tensor
            self.whole = False
            self._find_outliers(analysis)
            n = analysis.tensor.elements
            with self.moving():
                self.view.setLimits(xMin=-0.5 - n * 0.02, xMax=n - 0.5 + n * 0.02, minXRange=min(4, n))
                self._fitted = []
                self.view.move_to(x=(-0.5, n - 0.5))
        else:
            self._find_outliers(analysis)
            self.draw()
        self.point_to(self._selected)

    def _find_outliers(self, analysis: Analysis) -> None:
        histogram = analysis.histogram()
        if histogram is not self._counted:
            self._counted, self._robust = histogram, robust_range(histogram.edges, histogram.counts)

    def reset_view(self) -> None:
        self.show_whole(False)

    def fit_view(self) -> None:
        if self.analysis is None:
            return
        self._fitted = []
        with self.moving():
            self.view.move_to(x=(-0.5, self.analysis.tensor.elements - 0.5))

    def _fit_height(self, original: EnvelopeView, dequantized: EnvelopeView) -> None:
        """The values in sight fill the height, until a person stretches it by hand."""
        if self._fitted is None or not original.low.size:
            return
        low = np.fmin(np.fmin.reduce(original.low), np.fmin.reduce(dequantized.low))
        high = np.fmax(np.fmax.reduce(original.high), np.fmax.reduce(dequantized.high))
        if not (np.isfinite(low) and np.isfinite(high)):
            return
        robust = self._robust
        if robust is not None and self.analysis is not None:
            in_sight = replace(
                robust,
                below=robust.below if low < robust.low else 0,
                above=robust.above if high > robust.high else 0,
            )
            beyond = in_sight.below + in_sight.above
            found = chips(in_sight, shown=self.whole, exact=self.analysis.exact, upright=True) if beyond else {}
            self.show_chips(found)
            if not self.whole:
                low, high = max(low, robust.low), min(high, robust.high)
        else:
            self.show_chips({})
        span = float(high) - float(low)
        margin = span * 0.05 or max(abs(float(high)), 1e-30) * 0.05
        self.view.move_to(y=self.with_room(float(low) - margin, float(high) + margin, above=LEGEND_HEIGHT))
        self._fitted = self.view.viewRange()[1]

    @Slot()
    def _on_moved_by_hand(self, *_: object) -> None:
        if self._fitted is not None and self.view.viewRange()[1] != self._fitted:
            self._fitted = None

    def point_to(self, index: int | None) -> None:
        """Mark one element; follow it when it is out of sight."""
        self._selected = index
        visible = index is not None and self.analysis is not None and index < self.analysis.tensor.elements
        self._mark.setVisible(visible)
        self._marked.hide()
        if not visible or index is None or self.analysis is None:
            return
        x = self.analysis.tensor.drawn[index]
        x_hat = self.analysis.fake_quantize(index, index + 1)[0]
        self._mark.setValue(index)
        if np.isfinite(x_hat):  # what is not a number has a place, but no height
            self._marked.setData([index, index], [x, x_hat])
            self._marked.show()
        left, right = self.view.viewRange()[0]
        if not left <= index <= right:
            half = (right - left) / 2
            self.view.setXRange(index - half, index + half, padding=0)

    def tables(self) -> dict[str, Table]:
        if self._views is None:
            return {}
        original, dequantized = self._views.original, self._views.dequantized
        if original.is_samples:
            columns: dict[str, np.ndarray[Any, Any]] = {
                "index": original.start[:-1],
                "original": original.low,
                "dequantized": dequantized.low,
            }
        else:
            columns = {
                "first_index": original.start[:-1],
                "last_index": original.start[1:] - 1,
                "original_min": original.low,
                "original_max": original.high,
                "dequantized_min": dequantized.low,
                "dequantized_max": dequantized.high,
            }
        return {"": Table(columns)}

    def restyle(self, theme: Theme) -> None:
        self._dots.setPen(None)
        self._dots.setBrush(theme.color("original"))
        self._mark.setPen(pen(theme, "pointer", style=Qt.PenStyle.DashLine))
        self._marked.setPen(pen(theme, "pointer"))
        self._marked.setBrush(theme.color("dequantized"))

    def draw(self) -> None:
        if self.analysis is None:
            return
        sight = self._sight(self.analysis)
        self._views = self._found(self.analysis, sight)
        if sight != self._told:
            self._told = sight
            self.sight_changed.emit(sight)
        original, dequantized = self._views.original, self._views.dequantized
        self._fit_height(original, dequantized)
        samples = original.is_samples
        few = samples and original.low.size <= DOTS_BELOW
        self._dots.setVisible(few)
        if few:
            numbers = ~np.isnan(original.low)
            self._dots.setData(original.start[:-1][numbers], original.low[numbers])
        if samples:
            self.set_note("")
        else:
            width = int(original.start[1] - original.start[0])
            self.set_note(self.tr("min and max of every {count}").format(count=f"{width:,}"))
        self.repaint_marks()

    def sight(self) -> Stretch | None:
        """What is looked at: of an answer that was asked for it before, what is drawn is there."""
        return self._told

    def foresee(self, views: Views) -> None:
        """This is what there is to draw of the answer that is presented next."""
        self._foreseen = views

    def _sight(self, analysis: Analysis) -> Stretch:
        left, right = self.view.viewRange()[0]
        columns, elements = self.pixels(), analysis.tensor.elements
        if analysis.tensor.counted or abs(columns - self._columns) > ALIKE * self._columns:
            self._columns = columns
        if left <= 0 and right >= elements - 1:
            return Stretch(None, None, self._columns)
        start, stop = max(math.floor(left), 0), min(math.ceil(right) + 1, elements)
        return Stretch(start, max(start, stop), self._columns)

    def _found(self, analysis: Analysis, sight: Stretch) -> Views:
        """What is there already, or is found now."""
        foreseen, self._foreseen = self._foreseen, None
        stop = analysis.tensor.elements if sight.stop is None else sight.stop
        stretch = sight.start or 0, stop, sight.columns
        for views in (foreseen, self._views):
            if views is not None and views.analysis is analysis and views.stretch == stretch:
                return views
        return sight(analysis)

    def paint_marks(self, brush: Brush) -> None:
        if self._views is None or not self._views.original.low.size:
            return
        original, dequantized = self._views.original, self._views.dequantized
        edges = brush.x(original.start - 0.5)
        if original.is_samples:
            brush.stairs(edges, brush.y(original.low), self.pen("original", alpha=200))
            brush.stairs(edges, brush.y(dequantized.low), self.pen("dequantized"))
            return
        color = self.color("original")
        stretch = int(original.start[0]), int(original.start[-1]), original.low.size
        what = (self._tensor, stretch, self.view.viewRange(), color.rgba())
        brush.keep("band", what, lambda b: b.band(edges, b.y(original.low), b.y(original.high), color))
        # Dashes at the ends of the envelope: lines between them would fill narrow spikes, and
        # quantization would seem to make values larger than they are.
        sides = np.concatenate((edges[:-1], edges[:-1])), np.concatenate((edges[1:], edges[1:]))
        brush.dashes(*sides, brush.y(np.concatenate((dequantized.low, dequantized.high))), self.pen("dequantized"))

    def hover(self, point: QPointF) -> None:
        if self.analysis is None or self._views is None:
            return
        original, dequantized = self._views.original, self._views.dequantized
        index = round(point.x())
        if not 0 <= index < self.analysis.tensor.elements or not original.low.size:
            self.leave()
            return
        if original.is_samples:
            x = float(self.analysis.tensor.drawn[index])
            x_hat = float(self.analysis.fake_quantize(index, index + 1)[0])
            text = self.tr("#{index}  x {x}  x̂ {x_hat}  error {error}").format(
                index=f"{index:,}", x=number(x), x_hat=number(x_hat), error=number(x_hat - x)
            )
            self.link.moved.emit(self, x)
        else:
            bucket = min(max(int(np.searchsorted(original.start, index, "right")) - 1, 0), original.low.size - 1)
            text = self.tr("#{first}…  x {low}…{high}  x̂ {low_hat}…{high_hat}").format(
                first=f"{original.start[bucket]:,}",
                low=number(float(original.low[bucket]), 3),
                high=number(float(original.high[bucket]), 3),
                low_hat=number(float(dequantized.low[bucket]), 3),
                high_hat=number(float(dequantized.high[bucket]), 3),
            )
            self.link.moved.emit(self, point.y())
        self.read_out.emit(text)

    @Slot(object)
    def _on_clicked(self, event: Any) -> None:
        if self.analysis is None or event.isAccepted() or event.double() or event.button() != Qt.MouseButton.LeftButton:
            return
        if not self.view.sceneBoundingRect().contains(event.scenePos()):
            return
        index = round(self.view.mapSceneToView(event.scenePos()).x())
        if 0 <= index < self.analysis.tensor.elements:
            self.element_clicked.emit(index)
