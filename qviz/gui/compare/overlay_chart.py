"""How do the errors of several schemes differ? Their histograms, and how rare large errors are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QPen

from qviz.core.frozen import frozen
from qviz.core.questions.analysis import Analysis
from qviz.gui.charts.axes import PowerAxis
from qviz.gui.charts.base import Chart, LinkedCursor, Table
from qviz.gui.charts.drawing import Brush
from qviz.gui.words.estimates import exactness_note
from qviz.gui.words.numbers import number, percent

LEAST = 1e-300

DECADES = 5
"""What is rarer than so many powers of ten below the densest is out of sight at first."""


@frozen(eq=False)
class Overlaid:
    """One scheme's errors, the colour role of its lines, and its name."""

    name: str
    role: str
    dashed: bool
    analysis: Analysis


class OverlayChart(Chart):
    """Several schemes in one chart, each in its own colour; the one that is pointed at stands out."""

    def __init__(self, link: LinkedCursor, **options: Any) -> None:
        super().__init__(link, **options)
        self.shown: tuple[Overlaid, ...] = ()
        self.pointed: str | None = None

    def overlay(self, shown: Sequence[Overlaid]) -> None:
        """Show other schemes."""
        fresh = not self.shown or (bool(shown) and shown[0].analysis.tensor is not self.shown[0].analysis.tensor)
        count = len(self.shown)
        self.shown = tuple(shown)
        self.canvas.setVisible(bool(shown))
        if shown:
            self.analysis = shown[0].analysis
            self.set_note(exactness_note(all(o.analysis.exact for o in shown)))
        self.measure()
        if fresh or count != len(shown):
            self.reset_view()
        self.repaint_marks()

    def point_to(self, name: str | None) -> None:
        """Let one stand out."""
        if name != self.pointed:
            self.pointed = name
            self.repaint_marks()

    def measure(self) -> None:
        """Find what is drawn."""

    def line(self, overlaid: Overlaid) -> QPen:
        """The pen of one scheme."""
        faint = self.pointed is not None and self.pointed != overlaid.name
        style = Qt.PenStyle.DashLine if overlaid.dashed else Qt.PenStyle.SolidLine
        return self.pen(overlaid.role, width=1 if faint else 2, alpha=110 if faint else 255, style=style)

    def in_order(self) -> list[int]:
        """What stands out is painted last."""
        return sorted(range(len(self.shown)), key=lambda i: self.shown[i].name == self.pointed)


class ErrorOverlay(OverlayChart):
    """The error histograms of several schemes, as densities: areas are shares of the elements."""

    name: ClassVar[str] = "errors"

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link, wheel_axis=0, axes={"left": PowerAxis("left")})
        self.set_labels(self.tr("Error: dequantized − original"), self.tr("Density of errors (1 / unit)"))
        self._heights: list[np.ndarray[Any, Any]] = []

    def title(self) -> str:
        return self.tr("Error histograms")

    def description(self) -> str:
        return self.tr(
            "How many elements have which error, under each pinned scheme. Drawn as densities, so that histograms with "
            "bins of different widths can be laid over each other: each encloses the same area."
        )

    def measure(self) -> None:
        self._heights = []
        for overlaid in self.shown:
            histogram = overlaid.analysis.error_histogram
            counts = histogram.rounding + histogram.clipping
            width = np.diff(histogram.edges)
            total = max(int(counts.sum()), 1)
            density = counts / (np.where(width > 0, width, 1) * total)
            self._heights.append(np.where(counts > 0, np.log10(np.maximum(density, LEAST)), np.nan))

    def paint_marks(self, brush: Brush) -> None:
        for at in self.in_order():
            edges = brush.x(self.shown[at].analysis.error_histogram.edges)
            below = brush.height + 8.0
            heights = np.nan_to_num(brush.y(self._heights[at]), nan=below)
            outline = np.concatenate(([edges[0]], edges, [edges[-1]]))
            brush.stairs(outline, np.concatenate(([below], heights, [below])), self.line(self.shown[at]))

    def reset_view(self) -> None:
        """All of what rounding does under the coarsest scheme, and the beginning of what clipping does."""
        there = [h[~np.isnan(h)] for h in self._heights]
        heights = np.concatenate(there) if there else np.zeros(0)
        if not heights.size:
            return
        reach = max(2.4 * o.analysis.error_histogram.half_step for o in self.shown) or 1.0
        top = float(heights.max())
        bottom = max(float(heights.min()), top - DECADES)
        self.view.move_to(x=(-reach, reach), y=(bottom - 0.1, top + 0.08 * (top - bottom) + 0.1))

    def tables(self) -> dict[str, Table]:
        return {
            f"{at + 1}": Table(
                {
                    "error_low": o.analysis.error_histogram.edges[:-1],
                    "error_high": o.analysis.error_histogram.edges[1:],
                    "elements": o.analysis.error_histogram.rounding + o.analysis.error_histogram.clipping,
                    "density": np.nan_to_num(10.0 ** self._heights[at]),
                }
            )
            for at, o in enumerate(self.shown)
        }

    def hover(self, point: QPointF) -> None:
        parts = []
        for overlaid in self.shown:
            histogram = overlaid.analysis.error_histogram
            at = int(np.searchsorted(histogram.edges, point.x(), "right")) - 1
            if 0 <= at < histogram.rounding.size:
                count = int(histogram.rounding[at] + histogram.clipping[at])
                parts.append(f"{overlaid.name}: {count:,}")
        text = self.tr("error {value}").format(value=number(point.x(), 3))
        self.read_out.emit(f"{text}   {'   '.join(parts)}" if parts else "")


class RareErrors(OverlayChart):
    """The share of elements whose error is at least so large, both as powers of ten."""

    name: ClassVar[str] = "rare_errors"

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link, axes={"left": PowerAxis("left"), "bottom": PowerAxis("bottom")})
        self.set_labels(self.tr("|error|"), self.tr("Share with a larger error"))
        self._curves: list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]] = []

    def title(self) -> str:
        return self.tr("Error curve")

    def description(self) -> str:
        return self.tr(
            "The share of elements whose |error| is larger than a value. Rounding falls off at half a step; what "
            "clipping leaves is the tail behind it. A curve further left and further down is better."
        )

    def measure(self) -> None:
        self._curves = [_exceedance(o.analysis) for o in self.shown]
        if self.shown and not any(x.size for x, _ in self._curves):
            self.canvas.hide()  # axes without a curve would tell something that is not so
            self.set_note(exactness_note(all(o.analysis.exact for o in self.shown), self.tr("no error at all")))

    def paint_marks(self, brush: Brush) -> None:
        for at in self.in_order():
            x, share = self._curves[at]
            brush.path(brush.x(x), brush.y(share), self.line(self.shown[at]))

    def reset_view(self) -> None:
        if not self.shown:
            return
        x = np.concatenate([c[0] for c in self._curves])
        y = np.concatenate([c[1] for c in self._curves])
        if not x.size:
            return
        left, right, bottom = float(x.max()) - 3.2, float(x.max()), float(y.min())
        smallest = min(float(c[0][0]) for c in self._curves if c[0].size)
        self.view.move_to(x=(max(left, smallest), right + 0.12), y=(bottom - 0.2, 0.15))

    def tables(self) -> dict[str, Table]:
        return {
            f"{at + 1}": Table({"absolute_error": 10.0**x, "share_larger": 10.0**share})
            for at, (x, share) in enumerate(self._curves)
            if x.size
        }

    def hover(self, point: QPointF) -> None:
        parts = []
        for overlaid, (x, share) in zip(self.shown, self._curves, strict=True):
            if x.size and x[0] <= point.x() <= x[-1]:
                parts.append(f"{overlaid.name}: {_share_text(10 ** float(np.interp(point.x(), x, share)))}")
        text = self.tr("|error| > {value}").format(value=number(10 ** point.x(), 3))
        self.read_out.emit(f"{text}   {'   '.join(parts)}" if parts else "")


def _share_text(share: float) -> str:
    if share >= 0.001:
        return percent(share, 1)
    return f"1 / {1 / max(share, LEAST):,.3g}" if share > 0 else "0"


def _exceedance(analysis: Analysis) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """log₁₀ of |error| at the edges of the bins, and log₁₀ of the share of elements beyond; counted, not drawn in."""
    histogram = analysis.error_histogram
    counts = (histogram.rounding + histogram.clipping).astype(np.float64)
    edges = histogram.edges
    total = counts.sum()
    zero = int(np.searchsorted(edges, 0.0, "left"))
    if not total or not edges.size > 0:
        return np.zeros(0), np.zeros(0)
    above, below = counts[zero:], counts[:zero][::-1]
    size = max(above.size, below.size)
    by_size = np.zeros(size)
    by_size[: above.size] += above
    by_size[: below.size] += below
    width = float(edges[1] - edges[0])
    beyond = total - np.cumsum(by_size)
    x = width * np.arange(1, size + 1)
    some = beyond > 0
    x, beyond = x[some], beyond[some]
    largest = float(analysis.max_abs_error)
    if math.isfinite(largest) and largest > 0:
        inside = x < largest
        last = beyond[inside][-1] if inside.any() else total  # up to the largest error, and down from there
        x, beyond = np.append(x[inside], (largest, largest)), np.append(beyond[inside], (last, 1.0))
    return np.log10(np.maximum(x, LEAST)), np.log10(np.maximum(beyond / total, LEAST))
