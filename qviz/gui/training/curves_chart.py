"""How do loss and accuracy of the three networks go, step by step, and what does each bit buy?"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt, Slot

from qviz.core.questions.analysis import Analysis
from qviz.gui.charts.axes import ChartAxis, IndexAxis, PowerAxis
from qviz.gui.charts.base import Chart, LinkedCursor, Table, pen
from qviz.gui.charts.drawing import Brush
from qviz.gui.charts.ornaments import LEGEND_HEIGHT
from qviz.gui.kit.theme import Theme
from qviz.gui.kit.widgets import named_label
from qviz.gui.training.run_chart import NAMES, ROLES, RunChart
from qviz.gui.words.numbers import fixed, number
from qviz.session.language import tr
from qviz.session.trainer import SweepProgress
from qviz.training.snapshot import NETWORKS, Snapshot

DASHES = {"float": Qt.PenStyle.SolidLine, "ptq": Qt.PenStyle.DashLine, "qat": Qt.PenStyle.SolidLine}
"""Colour is not all that tells the curves apart."""

LEAST_LOSS = 1e-4
"""Nats: what is less is drawn there."""


class ShareAxis(ChartAxis):
    """Per cent, of which there are no more than a hundred."""

    def tickValues(self, minVal: float, maxVal: float, size: float) -> Any:  # noqa: N803 - Qt's name
        return [(gap, [v for v in values if v <= 100]) for gap, values in super().tickValues(minVal, maxVal, size)]


class CurvesChart(RunChart):
    """A figure of the test data at each checkpoint, for the three networks."""

    figure: ClassVar[str]

    def __init__(self, link: LinkedCursor, **options: Any) -> None:
        super().__init__(link, wheel_axis=0, **options)
        self._curves = {name: pg.PlotCurveItem(connect="finite") for name in NETWORKS}
        self._turn = pg.InfiniteLine(angle=90)
        for item in (self._turn, *self._curves.values()):
            self.plot.addItem(item, ignoreBounds=True)
        self.add_pointer()
        self.add_legend(self.names())
        self.view.sigResized.connect(self._refit)

    @Slot()
    def _refit(self, *_: object) -> None:
        if self.snapshot is not None:
            self.fit(self.snapshot)

    def heights(self, values: np.ndarray) -> np.ndarray:
        """Values as they are drawn."""
        raise NotImplementedError

    def draw_snapshot(self, snapshot: Snapshot, fresh: bool) -> None:
        steps = snapshot.curves["step"]
        for name, curve in self._curves.items():
            values = snapshot.curves[f"{name}_{self.figure}"]
            known = np.isfinite(values)  # PTQ is not looked at in each checkpoint where it takes long
            curve.setData(steps[known], self.heights(values[known]))
        self._turn.setValue(snapshot.experiment.training.steps)
        last = snapshot.last
        parts = [
            f"{tr(NAMES[name])} {self.text(last[f'{name}_{self.figure}'])}"
            for name in NETWORKS
            if np.isfinite(last[f"{name}_{self.figure}"])
        ]
        if snapshot.diverged_in:
            parts.insert(0, self.tr("diverged"))
        self.set_note(" · ".join(parts))
        if fresh:
            self.view.move_to(x=(0, snapshot.steps))
        self.fit(snapshot)

    def fit(self, snapshot: Snapshot) -> None:
        """Give the curves the height they need."""
        raise NotImplementedError

    def text(self, value: float) -> str:
        """A figure as people read it."""
        raise NotImplementedError

    def reset_view(self) -> None:
        if self.snapshot is not None:
            self.view.move_to(x=(0, self.snapshot.steps))
            self.fit(self.snapshot)

    def tables(self) -> dict[str, Table]:
        if self.snapshot is None:
            return {}
        names = ["step", *(f"{name}_{self.figure}" for name in NETWORKS)]
        return {"": Table({name: self.snapshot.curves[name] for name in names})}

    def restyle(self, theme: Theme) -> None:
        for name, curve in self._curves.items():
            curve.setPen(pen(theme, ROLES[name], width=2, style=DASHES[name]))
        self._turn.setPen(pen(theme, "unused", style=Qt.PenStyle.DotLine))

    def hover(self, point: QPointF) -> None:
        if self.snapshot is None:
            return
        steps = self.snapshot.curves["step"]
        at = int(np.abs(steps - point.x()).argmin())
        parts = [self.tr("step {step}").format(step=f"{int(steps[at]):,}")]
        for name in NETWORKS:
            value = float(self.snapshot.curves[f"{name}_{self.figure}"][at])
            if np.isfinite(value):
                parts.append(f"{tr(NAMES[name])} {self.text(value)}")
        self.read_out.emit("  ".join(parts))
        self.link.moved.emit(self, point.x())


class AccuracyChart(CurvesChart):
    """Test accuracy by step."""

    name: ClassVar[str] = "accuracy"
    figure: ClassVar[str] = "accuracy"

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link, axes={"left": ShareAxis("left"), "bottom": IndexAxis()})
        self.set_labels(self.tr("Step"), self.tr("Test accuracy, %"))

    def title(self) -> str:
        return self.tr("Accuracy")

    def description(self) -> str:
        return self.tr(
            "What share of the test data each network gets right. First the float network is trained; PTQ is that "
            "network with its weights and activations quantized. At the dotted line QAT goes on from the float weights."
        )

    def heights(self, values: np.ndarray) -> np.ndarray:
        return 100 * values

    def text(self, value: float) -> str:
        return fixed(100 * value, 1, "%")

    def fit(self, snapshot: Snapshot) -> None:
        values = np.concatenate([snapshot.curves[f"{name}_accuracy"] for name in NETWORKS])
        low = 100 * float(np.nanmin(values, initial=1.0))
        low = 10 * np.floor(max(low - 2, 0) / 10)
        self.view.move_to(y=self.with_room(low, 102, above=LEGEND_HEIGHT))


class LossCurvesChart(CurvesChart):
    """Test loss by step, as powers of ten."""

    name: ClassVar[str] = "training_loss"
    figure: ClassVar[str] = "loss"

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link, axes={"left": PowerAxis("left"), "bottom": IndexAxis()})
        self.set_labels(self.tr("Step"), self.tr("Test cross-entropy, nats"))

    def title(self) -> str:
        return self.tr("Training loss")

    def description(self) -> str:
        return self.tr("The mean cross-entropy of the test data: what training makes small. A logarithmic axis.")

    def heights(self, values: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.asarray(np.log10(np.maximum(values, LEAST_LOSS)))

    def text(self, value: float) -> str:
        return number(value, 3)

    def fit(self, snapshot: Snapshot) -> None:
        values = self.heights(np.concatenate([snapshot.curves[f"{name}_loss"] for name in NETWORKS]))
        values = values[np.isfinite(values)]
        low, high = (float(values.min()), float(values.max())) if values.size else (-1.0, 0.0)
        low, high = np.floor(low * 4) / 4, np.ceil(high * 4) / 4 + 0.05
        self.view.move_to(y=self.with_room(low, high, above=LEGEND_HEIGHT))


class SweepChart(Chart):
    """Accuracy by bits, of PTQ and QAT, with the spread over seeds."""

    name: ClassVar[str] = "bits_sweep"
    judged: ClassVar[bool] = False

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link, wheel_axis=0, axes={"left": ShareAxis("left"), "bottom": IndexAxis()})
        self._swept: SweepProgress | None = None
        self._curves = {name: pg.PlotCurveItem(connect="finite") for name in NETWORKS}
        for item in self._curves.values():
            self.plot.addItem(item, ignoreBounds=True)
        names = {ROLES[name]: tr(NAMES[name]) for name in NETWORKS}
        self.add_legend(names)
        self.set_labels(self.tr("Bits of weights and activations"), self.tr("Test accuracy, %"))
        self.hint = named_label("", "hint", wrap=True)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        layout = self.layout()
        assert layout is not None
        layout.addWidget(self.hint)
        self.show_sweeping(False)
        self.reset_view()

    @property  # type: ignore[misc]
    def analysis(self) -> Any:
        """What is shown, for the base: whether there is anything."""
        return self._swept

    def title(self) -> str:
        return self.tr("Bits sweep")

    def description(self) -> str:
        return self.tr(
            "The experiment at 1 to 8 bits for weights and activations: lines join the means over the seeds, "
            "bars reach from the worst seed to the best."
        )

    def present(self, analysis: Analysis) -> None:
        """Nothing: a tensor has no sweep."""

    @Slot(bool)
    def show_sweeping(self, sweeping: bool) -> None:
        """Say that a sweep is at work, as long as nothing of it is known."""
        if sweeping:
            self.hint.setText(
                self.tr("Training at 1 to 8 bits…\n\nThe first accuracies stand here when their training has ended.")
            )
        else:
            self.hint.setText(
                self.tr("Nothing is swept yet.\n\nClick “Train at 1…8 bits” at the end of the Training panel.")
            )
        again = sweeping and self._swept is not None
        self.set_caveat(self.tr("sweeping again: showing the previous sweep") if again else "")

    @Slot(object)
    def show_sweep(self, swept: SweepProgress) -> None:
        """Show what is known by now."""
        if self._swept is None:
            self.hint.hide()
            self.canvas.show()
        self._swept = swept
        self.set_caveat("")
        for name, curve in self._curves.items():
            curve.setData(self._bits(), 100 * np.array([self._spread(s, name).mean for s in swept.summaries]))
        seeds = self.tr("1 seed") if swept.seeds == 1 else self.tr("{count} seeds").format(count=swept.seeds)
        part = self.tr("{share} % of {seeds}").format(share=round(100 * swept.share), seeds=seeds)
        self.set_note(seeds if swept.share >= 1 else part)
        self.reset_view()
        self.repaint_marks()

    def _bits(self) -> np.ndarray:
        assert self._swept is not None
        return np.array([s.experiment.quantization.weight_bits for s in self._swept.summaries], np.float64)

    def _spread(self, summary: Any, name: str) -> Any:
        return getattr(summary, f"{name}_accuracy")

    def paint_marks(self, brush: Brush) -> None:
        if self._swept is None:
            return
        places = brush.x(self._bits())
        for shift, name in ((-2, "ptq"), (2, "qat")):
            spreads = [self._spread(s, name).finite for s in self._swept.summaries]
            low = brush.y([100 * v.min() if v.size else np.nan for v in spreads])
            high = brush.y([100 * v.max() if v.size else np.nan for v in spreads])
            brush.stems(places + shift, low, high, self.pen(ROLES[name], width=2))

    def reset_view(self) -> None:
        low = 0.0
        if self._swept is not None:
            found = [v for s in self._swept.summaries for n in NETWORKS for v in self._spread(s, n).finite]
            low = 10 * np.floor(max(100 * min(found, default=0.0) - 2, 0) / 10)
        self.fit_to(x=(0.6, 8.4), y=self.with_room(low, 102, above=LEGEND_HEIGHT))

    def tables(self) -> dict[str, Table]:
        if self._swept is None:
            return {}
        columns: dict[str, np.ndarray] = {"bits": self._bits().astype(np.int64)}
        for name in NETWORKS:
            spreads = [self._spread(s, name) for s in self._swept.summaries]
            columns[f"{name}_accuracy"] = np.array([s.mean for s in spreads])
            columns[f"{name}_accuracy_std"] = np.array([s.std for s in spreads])
        return {"": Table(columns)}

    def restyle(self, theme: Theme) -> None:
        for name, curve in self._curves.items():
            curve.setPen(pen(theme, ROLES[name], width=2, style=DASHES[name]))

    def hover(self, point: QPointF) -> None:
        if self._swept is None:
            return
        at = int(np.abs(self._bits() - point.x()).argmin())
        summary = self._swept.summaries[at]
        parts = [self.tr("{bits} bits").format(bits=int(self._bits()[at]))]
        for name in NETWORKS:
            spread = self._spread(summary, name)
            parts.append(f"{tr(NAMES[name])} {fixed(100 * spread.mean, 1)} ± {fixed(100 * spread.std, 1, '%')}")
        self.read_out.emit("  ".join(parts))
