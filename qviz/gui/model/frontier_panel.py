"""How many bytes, or how many dB? A slider along the frontier, whose point is measured before it is applied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from qviz.core.formats.integers import IntFormat
from qviz.core.problems import Problem
from qviz.core.schemes.scheme import Scheme
from qviz.core.sizes import byte_text
from qviz.core.tensors.granularity import PerAxis, PerBlock
from qviz.gui.kit.fields import Slider
from qviz.gui.kit.theme import Theme
from qviz.gui.kit.widgets import named_label, quiet
from qviz.gui.model.frontier_chart import FrontierChart
from qviz.gui.model.hints import Hinted
from qviz.gui.words.numbers import decibels, number, percent
from qviz.models.frontier import FrontierPoint, adds_up, at_most
from qviz.models.targets import target_of
from qviz.session.language import told
from qviz.session.network_frontier import Frontier, Measured

BITS = (2, 3, 4, 5, 6, 8)
TICKED = (4, 6, 8)
BLOCK = 32
FEW = 5
"""Bits below which a scale for each output is too coarse: blocks."""


def format_of(bits: int) -> Scheme:
    """The scheme of a number of bits: what serves best at that width without looking at more than the weight."""
    granularity = PerBlock(-1, BLOCK) if bits < FEW else PerAxis(0)
    return Scheme(IntFormat(bits), granularity=granularity)


LEAST_CHART = 128
"""Pixels, below which the title of its axis would be cut."""


class FrontierPanel(QWidget):
    """The chart, the formats to choose among, and the target.

    Signals
    -------
    find_requested(dict of str to Scheme)
    measure_requested(FrontierPoint)
    reach_requested(Target)
    applied(FrontierPoint)
    refused(str)
    """

    find_requested = Signal(object)
    measure_requested = Signal(object)
    reach_requested = Signal(object)
    applied = Signal(object)
    refused = Signal(str)

    def __init__(self, chart: FrontierChart) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.chart = chart
        self.ticks: dict[int, QCheckBox] = {}
        formats = QHBoxLayout()
        formats.setSpacing(4)
        formats.addWidget(named_label(self.tr("Bits"), "caption"))
        for bits in BITS:
            box = QCheckBox(str(bits))
            box.setChecked(bits in TICKED)
            box.setAccessibleName(self.tr("{bits} bits among the formats").format(bits=bits))
            formats.addWidget(box)
            self.ticks[bits] = box
        formats.addStretch(1)
        self.find_button = QPushButton(self.tr("Find"))
        self.find_button.setToolTip(
            self.tr("Ask about every group of layers under each of these formats, and measure points of the curve.")
        )
        self.slider = Slider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName(self.tr("From the fewest bytes to the least error"))
        self.target = QLineEdit()
        self.target.setPlaceholderText(
            self.tr("≥ {exact}, ≤ {small}, ≥ {share}").format(
                exact=number(40, unit="dB"), small=byte_text(4 << 20), share=percent(99, 100)
            )
        )
        self.target.setToolTip(
            self.tr(
                "What has to be kept, or may be taken: dB, bytes, or a share of answers that stay the same (agreement, "
                "top-1, top-5, texts, boxes). The smallest choice that was measured to reach it is taken."
            )
        )
        self.target.setAccessibleName(self.tr("Target"))
        self.said = named_label("", "caption", wrap=True)
        self.said.setMinimumHeight(34)
        self.said.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.apply_button = QPushButton(self.tr("Apply"))
        self.apply_button.setToolTip(
            self.tr("Give every layer the format of this point; undo brings back what they had.")
        )
        first = QHBoxLayout()
        first.addLayout(formats, 1)
        first.addWidget(self.find_button)
        second = QHBoxLayout()
        second.addWidget(self.target, 1)
        second.addWidget(self.apply_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.setSpacing(4)
        layout.addLayout(first)
        self.place = Hinted(
            chart,
            self.tr("Which layers need more bits? Tick formats and find out."),
        )
        self.place.setMinimumHeight(LEAST_CHART)
        layout.addWidget(self.place, 1)
        layout.addWidget(self.slider)
        layout.addLayout(second)
        layout.addWidget(self.said)
        self.find_button.clicked.connect(self._on_find)
        self.slider.valueChanged.connect(self._on_slider)
        self.slider.sliderReleased.connect(self._measure)
        self.target.returnPressed.connect(self._on_target)
        self.apply_button.clicked.connect(self._on_apply)
        chart.chosen.connect(self._on_chosen)
        self._show()

    @property
    def frontier(self) -> Frontier | None:
        return self.chart.frontier

    @property
    def point(self) -> FrontierPoint | None:
        """The one that is chosen."""
        return None if self.frontier is None else self.frontier.points[self.slider.value()]

    @Slot(object)
    def present(self, frontier: Frontier | None) -> None:
        """Another curve."""
        self.chart.show_frontier(frontier)
        with quiet((self.slider,)):
            self.slider.setRange(0, len(frontier.points) - 1 if frontier is not None else 0)
            self.slider.setValue(0)
        self._show()

    @Slot(object)
    def add_measured(self, measured: Measured) -> None:
        """One point was run."""
        self.chart.add_measured(measured)
        self._show()

    @Slot(bool)
    def show_finding(self, finding: bool) -> None:
        """What is under way can be stopped in the status bar."""
        self.find_button.setEnabled(not finding)

    def apply_theme(self, theme: Theme) -> None:
        self.chart.apply_theme(theme)

    def _show(self) -> None:
        point, frontier = self.point, self.frontier
        self.place.show_content(frontier is not None)
        for widget in (self.slider, self.target):
            widget.setEnabled(point is not None)
        measured = self.chart.measured_at(point) if point is not None else None
        self.apply_button.setEnabled(measured is not None)
        if point is None or frontier is None:
            self.said.setText("")
            return
        counts = ", ".join(f"{n} × {label}" for label, n in Counter(point.formats.values()).items())
        text = self.tr("{bytes}: {counts}; predicted {predicted}").format(
            bytes=byte_text(round(point.bytes)), counts=counts, predicted=decibels(point.sqnr_db)
        )
        if measured is not None:
            text += self.tr(", measured {measured}").format(measured=decibels(measured.sqnr_db))
            if not adds_up(point.sqnr_db, measured.sqnr_db):
                apart = decibels(abs(point.sqnr_db - measured.sqnr_db))
                text += self.tr(" ({apart} apart: losses do not add up here)").format(apart=apart)
            share = measured.figure("agreement")
            if share is not None:
                text += self.tr(", {share} same answers").format(share=percent(share, 1.0))
        else:
            text += self.tr("; not measured yet")
        self.said.setText(text)

    def formats(self) -> Mapping[str, Scheme]:
        """What is ticked, by label."""
        return {f"int{bits}": format_of(bits) for bits, box in self.ticks.items() if box.isChecked()}

    @Slot()
    def _on_find(self) -> None:
        self.find_requested.emit(self.formats())

    @Slot(int)
    def _on_slider(self, at: int) -> None:
        self.chart.choose(at)
        self._show()
        if not self.slider.isSliderDown():
            self._measure()

    @Slot()
    def _measure(self) -> None:
        """What is chosen is measured before it can be applied."""
        point = self.point
        if point is not None and self.chart.measured_at(point) is None:
            self.measure_requested.emit(point)

    @Slot(int)
    def _on_chosen(self, at: int) -> None:
        self.slider.setValue(at)

    @Slot()
    def _on_target(self) -> None:
        """Bytes are known; what is to be kept is measured."""
        if self.frontier is None:
            return
        try:
            target = target_of(self.target.text())
            if target.figure != "bytes":
                self.reach_requested.emit(target)
                return
            self.show_reached(at_most(self.frontier.points, target.value))
        except Problem as problem:
            self.refused.emit(told(problem))

    @Slot(object)
    def show_reached(self, point: FrontierPoint) -> None:
        """A target is reached here."""
        points = self.frontier.points if self.frontier is not None else ()
        at = next((i for i, each in enumerate(points) if each is point), None)
        if at is None:
            return
        if at == self.slider.value():
            self._measure()
        self.slider.setValue(at)

    @Slot()
    def _on_apply(self) -> None:
        if self.point is not None:
            self.applied.emit(self.point)
