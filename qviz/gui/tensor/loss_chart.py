"""Where is the best place to clip? What each threshold would lose."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt, Signal, Slot
from PySide6.QtGui import QPalette

from qviz.gui.charts.axes import PowerAxis
from qviz.gui.charts.base import Chart, LinkedCursor, Table, pen
from qviz.gui.charts.ornaments import LEGEND_HEIGHT
from qviz.gui.kit.theme import Theme
from qviz.gui.kit.widgets import named_label
from qviz.gui.tensor.distribution_chart import DistributionChart
from qviz.gui.words.estimates import exactness_note
from qviz.gui.words.groups import group_words
from qviz.gui.words.numbers import number
from qviz.gui.words.outliers import chips

if TYPE_CHECKING:
    from qviz.core.questions.analysis import Analysis
    from qviz.core.questions.loss_curves import Losses

DECADES = 6
"""What loses more than so many powers of ten above the least is out of sight at first."""


class LossChart(Chart):
    """Loss against threshold under the axis of the distribution; a click sets the clip lines there."""

    name: ClassVar[str] = "loss"
    clip_moved = Signal(float, float)
    click_taken_back = Signal()
    """The last click was the first half of a double one, which shows everything again and clips nothing."""

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link, wheel_axis=0, axes={"left": PowerAxis("left")})
        self._curves = [pg.PlotCurveItem(connect="finite") for _ in range(2)]
        self._best = pg.ScatterPlotItem(size=9, pxMode=True)
        self._rivals = {name: [pg.InfiniteLine(angle=90) for _ in range(2)] for name in ("minmax", "percentile")}
        self._clip = [pg.InfiniteLine(angle=90) for _ in range(2)]
        for item in (*self._curves, self._best, *self._clip):
            self.plot.addItem(item, ignoreBounds=True)
        for lines in self._rivals.values():
            for line in lines:
                self.plot.addItem(line, ignoreBounds=True)
        self.add_pointer()
        self.add_legend(
            {
                "dequantized": self.tr("least"),
                "unused": self.tr("min–max"),
                "bound": self.tr("percentile"),
            }
        )
        self.set_labels(self.tr("Clip threshold"), self.tr("Loss"))
        self.hint = named_label("", "hint", wrap=True)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.hint.hide()
        self.setAutoFillBackground(True)
        layout = self.layout()
        assert layout is not None
        layout.addWidget(self.hint)
        self._losses: Losses | None = None
        self._fitted: list[float] | None = None
        self._follows = self._clipped = False
        self._leader: DistributionChart | None = None
        self.view.setLimits(yMin=-330, yMax=308)  # powers of ten that a float can have
        self.forget()
        self.canvas.scene().sigMouseClicked.connect(self._on_clicked)
        self.view.sigResized.connect(self._refit)

    def follow(self, view: pg.ViewBox) -> None:
        """Keep the same values at the same place as another chart."""
        self._follows = True
        self.view.setXLink(view)

    def lead_by(self, chart: DistributionChart) -> None:
        """`follow` a distribution, and say of outliers what it says."""
        self.follow(chart.view)
        self._leader = chart
        chart.robust_changed.connect(self._say_outliers)

    @Slot()
    def _say_outliers(self) -> None:
        chart = self._leader
        if chart is not None and chart.analysis is not None:
            self.show_chips(chips(chart.robust, shown=chart.whole, exact=chart.analysis.exact))

    def show_whole(self, whole: bool) -> None:
        if self._leader is not None:
            self._leader.show_whole(not self._leader.whole)
        else:
            super().show_whole(whole)

    def title(self) -> str:
        return self.tr("Loss by threshold")

    def description(self) -> str:
        return self.tr(
            "What each place of the clip lines would lose: rounding grows towards the outside, clipping towards the "
            "inside. The dot loses least; click anywhere to clip there."
        )

    def present(self, analysis: Analysis) -> None:
        self.analysis = analysis
        shown = analysis.groups is None
        for line, ends in zip(self._clip, (analysis.qparams.low, analysis.qparams.high), strict=True):
            line.setVisible(shown)
            if shown:
                line.setValue(float(ends.reshape(-1)[0]))
        if not shown:
            self.forget()
            words = group_words(analysis.scheme.granularity)
            text = self.tr("Each {group} has its own range: click one in {groups}.")
            self._say(text.format(group=words.one, groups=words.titles))
        elif analysis.qparams.convention.recipe is not None or not analysis.scheme.number_format.scaled:
            self.forget()
            self._say(self.tr("There is no threshold to choose: the scale follows a rule of its own."))
        else:
            self._say("")

    def _say(self, why: str) -> None:
        """Why there will be no curve, in place of axes without one; nothing where one is to come."""
        self.hint.setText(why)
        self.hint.setVisible(bool(why))
        self.canvas.setVisible(not why)

    @Slot()
    def forget(self) -> None:
        """There is no curve for what is shown."""
        self._losses = None
        self.set_note("")
        for item in (*self._curves, self._best, *(line for lines in self._rivals.values() for line in lines)):
            item.hide()

    @Slot(object)
    def show_losses(self, losses: Losses) -> None:
        """Curves, and the ranges that the estimators choose."""
        fresh = self._losses is None or not losses.tensor.same_data(self._losses.tensor)
        self._losses = losses
        name = {"mse": self.tr("mean squared error"), "entropy": self.tr("KL divergence, nats")}[losses.loss]
        self.set_labels(self.tr("Clip threshold"), name)
        for item in self._curves:
            item.hide()
        for item, (thresholds, values) in zip(self._curves, self._drawn(), strict=False):
            item.setData(thresholds, np.log10(np.maximum(values, 1e-300)))
            item.show()
        low, high = losses.ranges["best"]
        # An end that no curve reaches (all values lie on one side of 0) has no dot.
        ends = [end for end in (low, high) if math.isfinite(self._height(end))]
        self._best.setData(ends, [self._height(end) for end in ends])
        self._best.show()
        for key, lines in self._rivals.items():
            for line, value in zip(lines, losses.ranges[key], strict=True):
                line.setValue(value)
                line.show()
        text = self.tr("least at {low} … {high}").format(low=number(low), high=number(high))
        if not losses.exact and self.analysis is not None and self.analysis.exact:
            text = exactness_note(False, text)  # the answer is not one, its curve is
        self.set_note(text)
        if fresh:
            self.reset_view()
        self._fit_height()

    def _drawn(self) -> list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
        """Each curve over the values of the axis; a symmetric one on both sides."""
        if self._losses is None:
            return []
        drawn = []
        for curve in self._losses.curves:
            drawn.append((curve.threshold, curve.value))
            if curve.side == "both":
                drawn.append((-curve.threshold[::-1], curve.value[::-1]))
        return drawn

    def _height(self, threshold: float) -> float:
        for x, y in self._drawn():
            if x[0] <= threshold <= x[-1]:
                return math.log10(max(float(np.interp(threshold, x, y)), 1e-300))
        return math.nan

    def _fit_height(self) -> None:
        values = np.concatenate([y for _, y in self._drawn()] or [np.ones(1)])
        values = values[np.isfinite(values) & (values > 0)]
        if values.size:
            low = math.log10(float(values.min()))
            high = min(math.log10(float(values.max())), low + DECADES)
            margin = (high - low) * 0.08 or 0.1
            self.view.move_to(y=self.with_room(low - margin, high + margin, above=LEGEND_HEIGHT))
            self._fitted = self.view.viewRange()[1]

    @Slot()
    def _refit(self, *_: object) -> None:
        """Another height, as long as nobody has moved what was shown."""
        if self.view.viewRange()[1] == self._fitted:
            self._fit_height()

    def reset_view(self) -> None:
        if self._losses is None:
            return
        if self._follows:
            self._fit_height()
            return
        ends = [float(x[i]) for x, _ in self._drawn() for i in (0, -1)]
        if ends:
            low, high = min(ends), max(ends)
            margin = (high - low) * 0.04 or 1.0
            self.view.setXRange(low - margin, high + margin, padding=0)
        self._fit_height()

    def tables(self) -> dict[str, Table]:
        if self._losses is None:
            return {}
        names = {"both": "", "low": "low", "high": "high"}
        return {
            names[curve.side]: Table({"threshold": curve.threshold, self._losses.loss: curve.value})
            for curve in self._losses.curves
        }

    def restyle(self, theme: Theme) -> None:
        ground = self.palette()
        ground.setColor(QPalette.ColorRole.Window, theme.color("background"))  # behind the hint
        self.setPalette(ground)
        for item in self._curves:
            item.setPen(pen(theme, "original", width=2))
        self._best.setPen(pen(theme, "pointer"))
        self._best.setBrush(theme.color("dequantized"))
        for line in self._rivals["minmax"]:
            line.setPen(pen(theme, "unused", style=Qt.PenStyle.DashLine))
        for line in self._rivals["percentile"]:
            line.setPen(pen(theme, "bound", style=Qt.PenStyle.DashLine))
        for line in self._clip:
            line.setPen(pen(theme, "clipping", width=2))

    def hover(self, point: QPointF) -> None:
        if self._losses is None:
            return
        height = self._height(point.x())
        if math.isfinite(height):
            self.read_out.emit(
                self.tr("clip at {value}: {loss}").format(value=number(point.x()), loss=number(10**height))
            )
        else:
            self.read_out.emit("")
        self.link.moved.emit(self, point.x())

    @Slot(object)
    def _on_clicked(self, event: Any) -> None:
        if event.double() and self._clipped:
            self._clipped = False
            self.click_taken_back.emit()
        if self._losses is None or event.isAccepted() or event.double() or event.button() != Qt.MouseButton.LeftButton:
            return
        if not self.view.sceneBoundingRect().contains(event.scenePos()):
            return
        x = self.view.mapSceneToView(event.scenePos()).x()
        low, high = (line.value() for line in self._clip)
        if any(curve.side == "both" for curve in self._losses.curves):
            low, high = -abs(x), abs(x)
        elif abs(x - low) < abs(x - high):
            low = x
        else:
            high = x
        self._clipped = low < high
        if low < high:
            self.clip_moved.emit(low, high)
