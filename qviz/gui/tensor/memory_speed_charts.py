"""What is gained: bytes that are counted, and time that is measured?"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from qviz.core.formats.integers import IntFormat
from qviz.core.questions.speed import NO_GAIN, ProductSpeed, Speed
from qviz.core.sizes import byte_text
from qviz.gui.charts.bars import Bar, BarChart
from qviz.gui.charts.base import LinkedCursor, Table
from qviz.gui.words.numbers import fixed, number, percent, time_text
from qviz.gui.words.schemes import format_word

if TYPE_CHECKING:
    from qviz.core.arithmetic.storage import Storage
    from qviz.core.formats.table import NumberFormat
    from qviz.core.questions.analysis import Analysis


class MemoryChart(BarChart):
    """Bytes as float32, as float16, and as codes with their scales and zero points."""

    name: ClassVar[str] = "memory"
    judged: ClassVar[bool] = False
    _shown: tuple[Storage, NumberFormat] | None = None
    """What the bars are of."""

    def title(self) -> str:
        return self.tr("Memory")

    def description(self) -> str:
        return self.tr(
            "Bytes of this tensor: codes packed without gaps, scales, zero points and minima counted (the small piece "
            "at the end of the bar)."
        )

    def present(self, analysis: Analysis) -> None:
        self.analysis = analysis
        s = analysis.storage
        if (s, analysis.scheme.number_format) == self._shown:
            return
        self._shown = s, analysis.scheme.number_format
        share = f"{byte_text(s.quantized_bytes)} · {percent(s.ratio, 1)}"
        self.draw_bars(
            Bar("float32", s.float32_bytes, byte_text(s.float32_bytes), "unused"),
            Bar("float16", s.float16_bytes, byte_text(s.float16_bytes), "unused"),
            Bar(
                format_word(analysis.scheme.number_format),
                s.code_bytes,
                share,
                "dequantized",
                extra=s.quantized_bytes - s.code_bytes,
            ),
        )
        self.set_note(self.tr("{bits} bits per element").format(bits=number(s.bits_per_element)))

    def tables(self) -> dict[str, Table]:
        if self.analysis is None:
            return {}
        s = self.analysis.storage
        rows = [
            ("float32", s.float32_bytes),
            ("float16", s.float16_bytes),
            ("codes", s.code_bytes),
            ("scales", s.scale_bytes),
            ("zero_points" if self.analysis.qparams.offset is None else "minima", s.zero_point_bytes),
        ]
        return {"": Table({"what": np.array([r[0] for r in rows]), "bytes": np.array([r[1] for r in rows], np.int64)})}


class SpeedChart(BarChart):
    """Seconds for one element-wise addition, or for one multiplication with a weight, measured on this computer."""

    name: ClassVar[str] = "speed"
    judged: ClassVar[bool] = False
    batch = 0
    """Rows that are multiplied; 0 for the addition."""

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link)
        self.speed: Speed | None = None
        self.products: ProductSpeed | None = None
        self.set_note(self.tr("not measured yet"))
        self.plot.showAxis("bottom")
        axis = self.plot.getAxis("bottom")
        axis.setStyle(showValues=False, tickLength=0)
        axis.setTicks([])
        axis.setHeight(36)
        self.plot.setLabel(
            "bottom", self.tr("measured on this computer:<br>element-wise addition"), **{"font-size": "11px"}
        )

    def title(self) -> str:
        return self.tr("Speed")

    def description(self) -> str:
        if self.batch:
            return self.tr(
                "Measured on this computer: ONNX Runtime multiplies rows with a weight of this tensor's shape, on all "
                "cores, in float32, in int8 whose ranges are found anew each time (unsigned and signed weights), in "
                "int8 throughout (QLinearMatMul), and with weights of 4 bits in blocks of 32 (MatMulNBits); 10th "
                "percentiles of many runs in turn."
            )
        return self.tr(
            "Measured on this computer: element-wise addition, over and over in place, at this tensor's size; "
            "the median of several runs. A network's own speed depends on its runtime and kernels."
        )

    def present(self, analysis: Analysis) -> None:
        self.analysis = analysis
        if self.batch or self.speed is not None:
            return
        if not isinstance(analysis.scheme.number_format, IntFormat):
            self.set_note(self.tr("{name} codes cannot be added").format(name=analysis.scheme.number_format.label))

    def choose(self, batch: int) -> None:
        """Show multiplications of so many rows, or the addition (0)."""
        self.batch = batch
        self.setAccessibleDescription(self.description())
        (self.plot.hideAxis if batch else self.plot.showAxis)("bottom")  # more bars need its room
        if batch:
            self.forget_products("")
        elif self.speed is not None:
            self.show_speed(self.speed)
        else:
            self.forget()
            if self.analysis is not None:
                self.present(self.analysis)

    def forget(self) -> None:
        """What was measured was another size or type."""
        self.speed = None
        if not self.batch:
            self._show_nothing("")

    def forget_products(self, why: str) -> None:
        """Nothing is measured of this shape."""
        self.products = None
        if self.batch:
            self._show_nothing(why)

    def _show_nothing(self, why: str) -> None:
        self.draw_bars(Bar("", 0.0, "", "unused"))
        self.set_note(why or self.tr("not measured yet"))

    def show_progress(self, fraction: float) -> None:
        """A measurement of the addition is under way."""
        if not self.batch:
            self._show_percent(fraction)

    def show_product_progress(self, fraction: float) -> None:
        """A measurement of multiplications is under way."""
        if self.batch:
            self._show_percent(fraction)

    def _show_percent(self, fraction: float) -> None:
        self.set_note(self.tr("measuring {percent} %").format(percent=round(100 * fraction)))

    def show_speed(self, speed: Speed) -> None:
        """A measurement is done."""
        self.speed = speed
        if self.batch:
            return
        verdict = (
            self.tr("{time} · {ratio} × quicker").format(
                time=time_text(speed.code_seconds), ratio=fixed(speed.ratio, 1)
            )
            if speed.gains
            else self.tr("{time} · no gain at this size").format(time=time_text(speed.code_seconds))
        )
        self.draw_bars(
            Bar("float32", speed.float32_seconds, time_text(speed.float32_seconds), "unused"),
            Bar(speed.code_dtype, speed.code_seconds, verdict, "dequantized"),
        )
        self.set_note("")

    def show_products(self, speed: ProductSpeed) -> None:
        """Multiplications were measured; slower is said as plainly as quicker."""
        self.products = speed
        if speed.batch != self.batch:
            return
        bars = []
        for kind, seconds in speed.seconds:
            text, ratio = time_text(seconds), speed.ratio(kind)
            if kind != "float32" and ratio >= NO_GAIN:
                text = self.tr("{time} · {ratio} × quicker").format(time=text, ratio=fixed(ratio, 1))
            elif ratio <= 1 / NO_GAIN:
                text = self.tr("{time} · {ratio} × slower").format(time=text, ratio=fixed(1 / ratio, 1))
            bars.append(Bar(kind, seconds, text, "unused" if kind == "float32" else "dequantized"))
        self.draw_bars(*bars)
        said = self.tr("product with {rows} rows").format(rows=speed.batch)
        if speed.batch == 1:
            said = self.tr("product with 1 row")
        if speed.share < 1:
            said += self.tr(", from {share} of the outputs").format(share=percent(speed.share, 1))
        self.set_note(said)

    def tables(self) -> dict[str, Table]:
        if self.batch:
            rows = self.products.seconds if self.products is not None else ()
        elif self.speed is not None:
            rows = (("float32", self.speed.float32_seconds), (self.speed.code_dtype, self.speed.code_seconds))
        else:
            rows = ()
        if not rows:
            return {}
        return {"": Table({"type": np.array([r[0] for r in rows]), "seconds": np.array([r[1] for r in rows])})}
