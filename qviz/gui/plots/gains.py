"""What is gained: bytes that are counted, and time that is measured?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pyqtgraph as pg
from PySide6.QtGui import QFontMetricsF
from PySide6.QtWidgets import QGraphicsItem

from qviz.core.analysis import Analysis
from qviz.core.speed import Speed
from qviz.gui.plots.base import Chart, LinkedCursor, Table, pen, time_text
from qviz.gui.theme import Theme


class BarChart(Chart):
    """Named horizontal bars with their figures beside them."""

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link)
        self.plot.showGrid(x=False, y=False)
        self.plot.hideAxis("bottom")
        self.view.setMouseEnabled(x=False, y=False)
        self.view.invertY(True)
        self.plot.getAxis("left").setWidth(66)
        self.plot.getAxis("left").setCacheMode(QGraphicsItem.CacheMode.NoCache)
        self._bars = pg.BarGraphItem(x0=[0], y=[0], width=[0], height=0.56)
        self._extra = pg.BarGraphItem(x0=[0], y=[0], width=[0], height=0.56)
        self.plot.addItem(self._bars, ignoreBounds=True)
        self.plot.addItem(self._extra, ignoreBounds=True)
        self._labels = [pg.TextItem(anchor=(0, 0.5)) for _ in range(3)]
        for label in self._labels:
            self.plot.addItem(label, ignoreBounds=True)
        self._roles: list[str] = []
        self._ends: list[tuple[float, str]] = []
        self.view.sigResized.connect(self._make_room)
        self.setMinimumSize(160, 84)

    def draw_bars(
        self,
        names: Sequence[str],
        widths: Sequence[float],
        texts: Sequence[str],
        roles: list[str],
        extra: float = 0.0,
    ) -> None:
        """Bars from the top down; ``extra`` is added to the last one in its own colour."""
        rows = np.arange(len(names))
        self._roles = roles
        self._bars.setOpts(x0=np.zeros(rows.size), y=rows, width=np.asarray(widths, float))
        self._extra.setVisible(extra > 0)
        self._extra.setOpts(x0=[widths[-1]], y=[rows[-1]], width=[extra])
        self.plot.getAxis("left").setTicks([list(zip(rows.tolist(), names, strict=True))])
        longest = max([*widths, widths[-1] + extra]) or 1.0
        for row, label in enumerate(self._labels):
            label.setVisible(row < len(names))
            if row < len(names):
                label.setText(texts[row])
                label.setPos(widths[row] + (extra if row == rows[-1] else 0) + longest * 0.02, row)
        self._ends = [(w + (extra if row == rows[-1] else 0), texts[row]) for row, w in enumerate(widths)]
        self.view.setYRange(-0.6, len(names) - 0.4, padding=0)
        self._make_room()
        if self.theme is not None:
            self.restyle(self.theme)

    def _make_room(self) -> None:
        """As much of the width as each bar's label needs."""
        width = max(self.view.width(), 80.0)
        font = self.font()
        font.setPixelSize(11)
        metrics = QFontMetricsF(font)
        longest = max((end for end, _ in self._ends), default=0.0) or 1.0
        shares = [min(0.85, (metrics.horizontalAdvance(text) + 18) / width) for _, text in self._ends]
        needed = [end / (1 - share) for (end, _), share in zip(self._ends, shares, strict=True)]
        self.view.setXRange(0, max([longest, *needed]), padding=0)

    def reset_view(self) -> None:
        """Nothing can be moved here."""

    def restyle(self, theme: Theme) -> None:
        font = self.font()
        font.setPixelSize(11)
        if self._roles:
            brushes = [theme.color(role, 210) for role in self._roles]
            self._bars.setOpts(brushes=brushes, pen=None)
        self._extra.setOpts(brush=theme.color("bound"), pen=pen(theme, "bound"))
        for label in self._labels:
            label.setColor(theme.chart["axis"])
            label.setFont(font)


class MemoryChart(BarChart):
    """Bytes as float32, as float16, and as codes with their scales and zero points."""

    name: ClassVar[str] = "memory"

    def title(self) -> str:
        return self.tr("Memory")

    def description(self) -> str:
        return self.tr(
            "Bytes of this tensor: codes packed without gaps, scales and zero points counted (the small piece at "
            "the end of the bar)."
        )

    def present(self, analysis: Analysis) -> None:
        self.analysis = analysis
        s = analysis.storage
        overhead = s.quantized_bytes - s.code_bytes
        name = analysis.scheme.number_format.name
        self.draw_bars(
            ["float32", "float16", name],
            [s.float32_bytes, s.float16_bytes, s.code_bytes],
            [
                byte_text(s.float32_bytes),
                byte_text(s.float16_bytes),
                self.tr("{size} · {share} %").format(size=byte_text(s.quantized_bytes), share=f"{100 * s.ratio:.3g}"),
            ],
            ["unused", "unused", "dequantized"],
            extra=overhead,
        )
        self.set_note(self.tr("{bits} bits per element").format(bits=f"{s.bits_per_element:.4g}"))

    def tables(self) -> dict[str, Table]:
        if self.analysis is None:
            return {}
        s = self.analysis.storage
        rows = [
            ("float32", s.float32_bytes),
            ("float16", s.float16_bytes),
            ("codes", s.code_bytes),
            ("scales", s.scale_bytes),
            ("zero_points", s.zero_point_bytes),
        ]
        return {"": Table({"what": np.array([r[0] for r in rows]), "bytes": np.array([r[1] for r in rows], np.int64)})}


class SpeedChart(BarChart):
    """Seconds for one element-wise addition, measured on this computer."""

    name: ClassVar[str] = "speed"

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link)
        self.speed: Speed | None = None
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
        return self.tr(
            "Measured on this computer: element-wise addition, over and over in place, at this tensor's size; "
            "the median of several runs. A network's own speed depends on its runtime and kernels."
        )

    def present(self, analysis: Analysis) -> None:
        self.analysis = analysis

    def forget(self) -> None:
        """What was measured was another size or type."""
        self.speed = None
        self.draw_bars([""], [0.0], [""], ["unused"])
        self.set_note(self.tr("not measured yet"))

    def show_progress(self, fraction: float) -> None:
        """A measurement is under way."""
        self.set_note(self.tr("measuring {percent} %").format(percent=round(100 * fraction)))

    def show_speed(self, speed: Speed) -> None:
        """A measurement is done."""
        self.speed = speed
        verdict = (
            self.tr("{time} · {ratio} × quicker").format(time=time_text(speed.code_seconds), ratio=f"{speed.ratio:.1f}")
            if speed.gains
            else self.tr("{time} · no gain at this size").format(time=time_text(speed.code_seconds))
        )
        self.draw_bars(
            ["float32", speed.code_dtype],
            [speed.float32_seconds, speed.code_seconds],
            [time_text(speed.float32_seconds), verdict],
            ["unused", "dequantized"],
        )
        self.set_note("")

    def tables(self) -> dict[str, Table]:
        if self.speed is None:
            return {}
        return {
            "": Table(
                {
                    "type": np.array(["float32", self.speed.code_dtype]),
                    "seconds": np.array([self.speed.float32_seconds, self.speed.code_seconds]),
                }
            )
        }


def byte_text(size: float) -> str:
    """Bytes as people read them, in powers of 1024."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.4g} {unit}"
        size /= 1024
    raise AssertionError
