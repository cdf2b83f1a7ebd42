"""How do the outputs of an integer product differ from those of the float one, where most, and because of what?"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from PySide6.QtCore import QPointF, Qt

from qviz.core.questions.product import Product
from qviz.core.questions.product_sums import SOURCES, PerIndexLoss
from qviz.gui.charts.axes import IndexAxis
from qviz.gui.charts.bars import Bar, BarChart
from qviz.gui.charts.base import Chart, LinkedCursor, Table
from qviz.gui.charts.counts import CountChart, rung
from qviz.gui.charts.drawing import Brush
from qviz.gui.kit.judgement import lossless, sqnr_heading
from qviz.gui.kit.theme import Theme
from qviz.gui.words.numbers import decibels, number

ROLES = {"weight": "weight", "activation": "activation", "both": "dequantized"}
"""The colour of what is quantized."""

BAR_PIXELS = 3
"""Bins of the histogram are joined until each is worth so many."""

DOT_PIXELS = 3
"""How wide a dot for an output is."""

IN_SIGHT = 0.999
"""Of the errors; the few beyond are seen by zooming out."""


class ProductChart(Chart):
    """A chart of a `Product`, which it is given whenever there is a new one."""

    product: Product | None = None

    @property
    def empty(self) -> bool:
        return self.product is None

    def show_product(self, product: Product) -> None:
        """Show a new answer; only hands ready points to the items."""
        if self.product is None:
            self.canvas.show()
        self.read_out.emit("")  # what the pointer read was of another product
        self.product = product


class OutputsChart(ProductChart):
    """Integer output, or its error, over the float output: a dot for each of a few thousand."""

    name: ClassVar[str] = "outputs"

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link)
        self.errors = False
        self._reach: tuple[float, float, float, float] | None = None
        self._label()

    def title(self) -> str:
        return self.tr("Outputs")

    def description(self) -> str:
        return self.tr(
            "What the integers give for what the floats give. Without any loss every dot would lie on the dashed line. "
            "“Error” draws how far off the line each one is."
        )

    def show_errors(self, errors: bool) -> None:
        """The error itself over the float output, or the integer output."""
        self.errors = errors
        self._reach = None
        self._label()
        if self.product is not None:
            self.show_product(self.product)

    def _label(self) -> None:
        left = self.tr("Error: integer − float") if self.errors else self.tr("Integer output")
        self.set_labels(self.tr("Float output"), left)

    def show_product(self, product: Product) -> None:
        super().show_product(product)
        sample, total = product.sample, product.shape[0] * product.shape[1]
        few = sample.exact.size < total
        count, of = f"{sample.exact.size:,}", f"{total:,}"
        self.set_note(self.tr("{count} of {of} drawn").format(count=count, of=of) if few else "")
        x = max(rung(float(np.abs(sample.exact).max())), 1e-30)
        y = max(rung(float(np.abs(self._heights()).max())), 1e-30)
        reach = (-x, x, -y, y) if self.errors else (-x, x, -max(x, y), max(x, y))
        if reach != self._reach:
            self._reach = reach
            self.reset_view()
        self.repaint_marks()

    def _heights(self) -> np.ndarray[Any, Any]:
        assert self.product is not None
        sample = self.product.sample
        return sample.quantized - sample.exact if self.errors else sample.quantized

    def paint_marks(self, brush: Brush) -> None:
        left, right = self.view.viewRange()[0]
        line = self.pen("original", style=Qt.PenStyle.DashLine)
        brush.line(left, 0 if self.errors else left, right, 0 if self.errors else right, line)
        if self.product is not None:
            brush.dots(self.product.sample.exact, self._heights(), DOT_PIXELS, self.color("dequantized", 190))

    def restyle(self, theme: Theme) -> None:
        self._label()
        self.repaint_marks()

    def reset_view(self) -> None:
        if self._reach is not None:
            left, right, low, high = self._reach
            self.view.move_to(x=(left, right), y=(low, high))

    def hover(self, point: QPointF) -> None:
        if self.product is None:
            return
        sample = self.product.sample
        (left, right), (low, high) = self.view.viewRange()
        away = np.hypot((sample.exact - point.x()) / (right - left), (self._heights() - point.y()) / (high - low))
        at = int(np.argmin(away))
        if away[at] > 0.03:
            self.read_out.emit("")
            return
        self.read_out.emit(
            self.tr("row {row}, output {column}: {exact} → {quantized}").format(
                row=f"{int(sample.row[at]):,}",
                column=f"{int(sample.column[at]):,}",
                exact=number(float(sample.exact[at])),
                quantized=number(float(sample.quantized[at])),
            )
        )

    def tables(self) -> dict[str, Table]:
        if self.product is None:
            return {}
        s = self.product.sample
        return {"": Table({"row": s.row, "output": s.column, "float": s.exact, "integer": s.quantized})}


class OutputErrorChart(ProductChart, CountChart):
    """Every output's error in bins: with both operands quantized, and with one alone."""

    name: ClassVar[str] = "output_error"

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link)
        self.add_legend(
            {
                ROLES["both"]: self.tr("both"),
                ROLES["weight"]: self.tr("weight"),
                ROLES["activation"]: self.tr("activation"),
            }
        )
        self.set_labels(self.tr("Error of an output: integer − float"), self.tr("Outputs in a bin"))
        self._reach = 0.0
        self._edges = np.zeros(1)
        self._counts: dict[str, np.ndarray[Any, Any]] = {}
        self.follow_view()

    def title(self) -> str:
        return self.tr("Output errors")

    def description(self) -> str:
        return self.tr(
            "Every output's error, counted. The lines tell what is left when only the weight, or only the activation, "
            "is quantized. Zoom out for the rarest."
        )

    def show_product(self, product: Product) -> None:
        super().show_product(product)
        self.set_note(self.tr("at most {error}").format(error=number(product.loss.max_abs_error)))
        reach = self._usual()
        with self.moving():
            if reach != self._reach:
                self._reach = reach
                self.reset_view()

    def _usual(self) -> float:
        """How far nearly all of the errors reach."""
        assert self.product is not None
        errors = self.product.errors
        counts = errors.counts["both"]
        half = counts.size // 2
        sizes = np.cumsum(counts[half:] + counts[:half][::-1])
        last = int(np.searchsorted(sizes, IN_SIGHT * sizes[-1])) + 1
        return rung(float(errors.edges[half + min(last, half)])) * 1.05

    def set_logarithmic(self, logarithmic: bool) -> None:
        super().set_logarithmic(logarithmic)
        if not self.empty:
            self.draw()

    def draw(self) -> None:
        """Join bins until each is worth some pixels."""
        if self.product is None:
            return
        errors = self.product.errors
        left, right = self.view.viewRange()[0]
        width = float(errors.edges[1] - errors.edges[0])
        bins = errors.edges.size - 1
        # A power of two leaves an edge at 0, where rounding either way begins.
        join = 1
        while join < bins // 2 and width * join / (right - left) * self.pixels() < BAR_PIXELS:
            join *= 2
        self._edges = errors.edges[::join]
        self._counts = {s: self.heights(c.reshape(-1, join).sum(axis=1)) for s, c in errors.counts.items()}
        inside = (self._edges[1:] > left) & (self._edges[:-1] < right)
        self.fit_counts(float(max(c[inside].max(initial=self.floor) for c in self._counts.values())))
        self.repaint_marks()

    def paint_marks(self, brush: Brush) -> None:
        if not self._counts:
            return
        edges = brush.x(self._edges)
        for source in ("both", "weight", "activation"):
            heights = self._counts[source]
            if source == "both":
                tops = np.where(heights > self.floor, brush.y(heights), np.nan)
                brush.columns(edges, tops, self.solid(ROLES[source], 0.6))
            else:
                brush.stairs(edges, brush.y(heights), self.pen(ROLES[source]))

    def restyle(self, theme: Theme) -> None:
        self.repaint_marks()

    def reset_view(self) -> None:
        if self._reach:
            self.view.move_to(x=(-self._reach, self._reach))

    def hover(self, point: QPointF) -> None:
        if self.product is None:
            return
        at = int(np.searchsorted(self._edges, point.x(), "right")) - 1
        if not 0 <= at < self._edges.size - 1:
            self.read_out.emit("")
            return
        low, high = float(self._edges[at]), float(self._edges[at + 1])
        errors = self.product.errors
        inside = (errors.edges[:-1] >= low) & (errors.edges[:-1] < high)
        both, weight, activation = (
            f"{int(errors.counts[s][inside].sum()):,}" for s in ("both", "weight", "activation")
        )
        self.read_out.emit(
            self.tr("{low}…{high}: {both}, weight alone {weight}, activation alone {activation}").format(
                low=number(low), high=number(high), both=both, weight=weight, activation=activation
            )
        )

    def tables(self) -> dict[str, Table]:
        if self.product is None:
            return {}
        errors = self.product.errors
        used = np.flatnonzero(sum(errors.counts.values()))
        part = slice(int(used[0]), int(used[-1]) + 1)
        columns = {"error_low": errors.edges[:-1][part], "error_high": errors.edges[1:][part]}
        return {"": Table({**columns, **{source: errors.counts[source][part] for source in SOURCES}})}


class LinesChart(ProductChart):
    """SQNR of each row of the output, or of each of its columns, the worst first."""

    name: ClassVar[str] = "lines"

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link, wheel_axis=0, axes={"bottom": IndexAxis()})
        self.of_rows = True
        self._order = np.zeros(0, np.int64)
        self._key: Any = None
        self._label()
        self.follow_view()

    def title(self) -> str:
        return self.tr("Worst tokens and outputs")

    def description(self) -> str:
        return self.tr(
            "Signal to quantization noise of each token (a row of the output) or each output channel (a column), in "
            "order, the worst at the left. The dashed line is that of the whole output."
        )

    def show_rows(self, of_rows: bool) -> None:
        """Of the rows, or of the columns."""
        self.of_rows = of_rows
        self._label()
        if self.product is not None:
            self.show_product(self.product)

    def _label(self) -> None:
        bottom = self.tr("Tokens, the worst first") if self.of_rows else self.tr("Outputs, the worst first")
        self.set_labels(bottom, sqnr_heading())

    @property
    def lines(self) -> PerIndexLoss | None:
        """What the bars are of."""
        if self.product is None:
            return None
        return self.product.rows if self.of_rows else self.product.columns

    def show_product(self, product: Product) -> None:
        super().show_product(product)
        lines = self.lines
        assert lines is not None
        self._order = lines.worst_first
        worst = f"{int(self._order[0]):,}"
        said = self.tr("token {worst} is the worst") if self.of_rows else self.tr("output {worst} is the worst")
        kept = bool(np.isposinf(lines.sqnr_db).all())
        self.set_note(lossless(decibels(math.inf)) if kept else said.format(worst=worst))
        self.write_heights(not kept)
        drawn = self._drawn()
        with self.moving():
            key = (self.of_rows, self._order.size)
            if key != self._key:
                self._key = key
                self.reset_view()
            high = max(float(drawn.max()), product.loss.sqnr_db if math.isfinite(product.loss.sqnr_db) else 0.0, 1.0)
            low = min(0.0, float(drawn.min()))
            self.view.move_to(y=(-rung(-low), rung(high * 1.04)))

    def _drawn(self) -> np.ndarray[Any, Any]:
        """In their order; what has no finite SQNR is drawn as high, or as low, as what has."""
        lines = self.lines
        assert lines is not None
        sqnr = lines.sqnr_db[self._order]
        finite = sqnr[np.isfinite(sqnr)]
        if not finite.size:
            return np.isposinf(sqnr).astype(np.float64)  # as high as the chart
        return np.clip(sqnr, float(finite.min()), float(finite.max()))

    def draw(self) -> None:
        self.repaint_marks()

    def paint_marks(self, brush: Brush) -> None:
        if self.product is None or not self._order.size:
            return
        left, right = self.view.viewRange()[0]
        drawn = self._drawn()
        first, last = max(int(left), 0), min(int(right) + 2, drawn.size)
        if first < last:
            edges = np.arange(first, last + 1) - 0.5
            zero = np.full(last - first, float(brush.y(0.0)))
            tops = brush.y(drawn[first:last])
            brush.area(brush.x(edges), np.maximum(zero, tops), np.minimum(zero, tops), self.solid("rounding", 0.7))
        if math.isfinite(self.product.loss.sqnr_db):
            pen_ = self.pen("bound", style=Qt.PenStyle.DashLine)
            brush.line(left, self.product.loss.sqnr_db, right, self.product.loss.sqnr_db, pen_)

    def restyle(self, theme: Theme) -> None:
        self._label()
        self.repaint_marks()

    def reset_view(self) -> None:
        if self._order.size:
            self.view.move_to(x=(-0.5, self._order.size - 0.5))

    def hover(self, point: QPointF) -> None:
        lines, rank = self.lines, round(point.x())
        if lines is None or self.product is None or not 0 <= rank < self._order.size:
            self.read_out.emit("")
            return
        at = int(self._order[rank])
        said = (
            self.tr("token {line}: {sqnr}, error at most {error}, S {scale}")
            if self.of_rows
            else self.tr("output {line}: {sqnr}, error at most {error}, S {scale}")
        )
        scales = self.product.row_scales if self.of_rows else self.product.column_scales
        self.read_out.emit(
            said.format(
                line=f"{at:,}",
                sqnr=decibels(float(lines.sqnr_db[at])),
                error=number(float(lines.max_abs_error[at])),
                scale=number(float(scales[at])),
            )
        )

    def tables(self) -> dict[str, Table]:
        if self.product is None:
            return {}
        tables = {}
        for suffix, lines, scales in (
            ("rows", self.product.rows, self.product.row_scales),
            ("outputs", self.product.columns, self.product.column_scales),
        ):
            order = lines.worst_first
            tables[suffix] = Table(
                {
                    suffix.removesuffix("s"): order,
                    "sqnr_db": lines.sqnr_db[order],
                    "mse": lines.mse[order],
                    "max_abs_error": lines.max_abs_error[order],
                    "scale": scales[order],
                }
            )
        return tables


class SourcesChart(ProductChart, BarChart):
    """How much of the error comes from the weight, how much from the activation?"""

    name: ClassVar[str] = "sources"

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link)
        self.plot.getAxis("left").keep_width(84)

    def title(self) -> str:
        return self.tr("Where the error comes from")

    def description(self) -> str:
        return self.tr(
            "Mean squared error of the output when only the weight, only the activation, or both are quantized. "
            "What takes the longer bar is what to improve first."
        )

    def show_product(self, product: Product) -> None:
        super().show_product(product)
        names = {"weight": self.tr("weight"), "activation": self.tr("activation"), "both": self.tr("both")}
        total = product.loss.mse
        bars = []
        for source in SOURCES:
            loss = product.losses[source]
            text = self.tr("MSE {mse} · {db}").format(mse=number(loss.mse), db=decibels(loss.sqnr_db))
            bars.append(Bar(names[source], loss.mse, text, ROLES[source]))
        self.draw_bars(*bars)
        weight, activation = (product.losses[s].mse for s in ("weight", "activation"))
        self.set_note("" if not total else self._verdict(weight, activation))

    def _verdict(self, weight: float, activation: float) -> str:
        if max(weight, activation) <= 1.5 * min(weight, activation):
            return self.tr("about the same from either")
        more, less = max(weight, activation), min(weight, activation)
        what = self.tr("weight") if weight > activation else self.tr("activation")
        if not less:
            return self.tr("all from the {what}").format(what=what)
        return self.tr("{times} × as much from the {what}").format(
            times=f"{more / less:,.0f}" if more > 10 * less else number(more / less, 2), what=what
        )

    def tables(self) -> dict[str, Table]:
        if self.product is None:
            return {}
        losses = [self.product.losses[source] for source in SOURCES]
        return {
            "": Table(
                {
                    "quantized": np.array(SOURCES),
                    "mse": np.array([loss.mse for loss in losses]),
                    "sqnr_db": np.array([loss.sqnr_db for loss in losses]),
                    "max_abs_error": np.array([loss.max_abs_error for loss in losses]),
                    "cosine": np.array([loss.cosine for loss in losses]),
                }
            )
        }


CHARTS = (OutputsChart, OutputErrorChart, LinesChart, SourcesChart)
"""Every chart of the page, in its order; a new one is a class and a row."""
