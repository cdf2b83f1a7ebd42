"""How large are the errors, and which of them come from rounding, which from clipping?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from PySide6.QtCore import QPointF, Qt, Slot

from qviz.core.arrays import LARGEST
from qviz.core.tensors.robust_range import robust_range
from qviz.core.tensors.tensor import Tensor
from qviz.gui.charts.base import LinkedCursor, Table
from qviz.gui.charts.counts import CountChart, rung
from qviz.gui.charts.drawing import Brush
from qviz.gui.charts.ornaments import LABEL_MIDDLE
from qviz.gui.words.numbers import number, percent, whole
from qviz.gui.words.outliers import chips

if TYPE_CHECKING:
    from qviz.core.questions.analysis import Analysis

LABELS = ("−S/2", "+S/2")
"""At the two bounds of rounding."""

UNEVEN_LABELS = ("−Δ/2", "+Δ/2")
"""The same where steps are not alike: Δ is the widest."""


class ErrorChart(CountChart):
    """Every element's error in bins, rounding and clipping in their own colours."""

    name: ClassVar[str] = "error"

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link)
        self.add_pointer()
        self.add_legend({"rounding": self.tr("rounding"), "clipping": self.tr("clipping")})
        self.set_labels(self.tr("Error: dequantized − original"), self.tr("Elements in a bin"))
        self._range: tuple[float, float] = (0.0, 0.0)
        self._tensor: Tensor | None = None
        self._heights: tuple[np.ndarray, np.ndarray] = (np.zeros(0), np.zeros(0))
        self.view.sigResized.connect(self._fit)

    def title(self) -> str:
        return self.tr("Error histogram")

    def description(self) -> str:
        return self.tr(
            "Every element's error. Rounding stays within half the widest step on either side (the dashed lines; "
            "S/2 for integers); what clipping adds lies beyond."
        )

    def present(self, analysis: Analysis) -> None:
        self.analysis = analysis
        histogram = analysis.error_histogram
        notes = [] if analysis.groups is None else [self._of_which(analysis)]
        if analysis.saturated:
            notes.append(
                self.tr("{count} clipped ({share})").format(
                    count=whole(analysis.saturated), share=percent(analysis.saturated_share, 1)
                )
            )
        self.set_note(", ".join(notes))
        low, high = float(histogram.edges[0]), float(histogram.edges[-1])
        if not analysis.tensor.same_data(self._tensor):
            self._tensor, self.whole = analysis.tensor, False
        robust = robust_range(histogram.edges, histogram.rounding + histogram.clipping)
        self.show_chips(chips(robust, shown=self.whole, exact=analysis.exact))
        if robust is not None and not self.whole:  # but what rounding may do is always in sight
            low, high = min(robust.low, -histogram.half_step), max(robust.high, histogram.half_step)
        reach = (-rung(-low) if low < 0 else low, rung(high) if high > 0 else high)
        moved, self._range = reach != self._range, reach
        self._heights = self.heights(histogram.rounding), self.heights(histogram.clipping)
        if moved:
            self.fit_view()
        else:
            self._fit()
        self.repaint_marks()

    def _of_which(self, analysis: Analysis) -> str:
        if analysis.scheme.number_format.largest_step == 1:
            return self.tr("S/2 of the largest scale")
        return self.tr("Δ of the largest scale")

    def paint_marks(self, brush: Brush) -> None:
        if self.analysis is None:
            return
        histogram = self.analysis.error_histogram
        half = histogram.half_step
        low, high = brush.at_x(-half), brush.at_x(half)
        wide = high - low > 0.4 * brush.width
        paint = (self._paint_bars, self._paint_bounds) if wide else (self._paint_bounds, self._paint_bars)
        for each in paint:  # lines close to each other must not hide what is between them
            each(brush)
        # Inside the bounds where there is room for both, else outside.
        brush.take(self.letters())
        labels = LABELS if self.analysis.scheme.number_format.largest_step == 1 else UNEVEN_LABELS
        color, back = self.color("bound"), self.color("background", 200)
        for text, x, right in zip(labels, (low, high), (wide, not wide), strict=True):
            width, _ = brush.text_size(text)
            left = min(max(x if right else x - width, 0.0), brush.width - width)
            brush.label(text, left, LABEL_MIDDLE, right=True, color=color, back=back)

    def _paint_bars(self, brush: Brush) -> None:
        if self.analysis is not None:
            edges = brush.x(self.analysis.error_histogram.edges)
            for role, heights in zip(("rounding", "clipping"), self._heights, strict=True):
                there = heights > self.floor
                if there.any():
                    brush.columns(edges, np.where(there, brush.y(heights), np.nan), self.solid(role))

    def _paint_bounds(self, brush: Brush) -> None:
        if self.analysis is not None:
            for side in (-1, 1):
                value = side * self.analysis.error_histogram.half_step
                brush.upright(value, self.pen("bound", style=Qt.PenStyle.DashLine))

    @Slot()
    def _fit(self, *_: object) -> None:
        if self.analysis is not None:
            self.fit_counts(self._largest(self.analysis))

    def _largest(self, analysis: Analysis) -> float:
        """The highest bar, as drawn."""
        histogram = analysis.error_histogram
        return float(self.heights(histogram.rounding + histogram.clipping).max(initial=self.floor))

    def show_whole(self, whole: bool) -> None:
        changed, self.whole = whole != self.whole, whole
        if changed and self.analysis is not None:
            self.present(self.analysis)
        self.fit_view()

    def reset_view(self) -> None:
        self.show_whole(False)

    def fit_view(self) -> None:
        low, high = self._range
        margin = (high - low) * 0.03 or 1.0
        up = self.ends_for(self._largest(self.analysis)) if self.analysis is not None else None
        self.view.move_to(x=(low - margin, high + margin), y=up)  # at once: each move goes a long way

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
