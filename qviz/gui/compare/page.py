"""Which scheme is best for this tensor, and what does each bit buy? Sweep, pins and conventions."""

from __future__ import annotations

import time

from PySide6.QtCore import QEvent, Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QScrollArea,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from qviz.core.problems import Problem
from qviz.core.questions.analysis import Analysis
from qviz.core.questions.differences import Differences, Example
from qviz.core.questions.figures import Figures
from qviz.core.questions.sweep import Combinations
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.schemes.scheme import Scheme
from qviz.files.printable import brief
from qviz.gui.charts.base import Chart, LinkedCursor
from qviz.gui.charts.cards import Card, ChartMenus
from qviz.gui.charts.page import Closing, Job, Subject
from qviz.gui.compare.conventions_panel import ConventionRow, ConventionsTable, ExamplesTable, PairsTable
from qviz.gui.compare.overlay_chart import ErrorOverlay, Overlaid, RareErrors
from qviz.gui.compare.pareto_chart import ParetoChart, Point
from qviz.gui.compare.pins_panel import OPEN, PinRow, PinsTable, pin_rows
from qviz.gui.compare.sweep_panel import SweepPanel
from qviz.gui.compare.sweep_results_panel import Result, SweepResults
from qviz.gui.kit.fields import ComboBox
from qviz.gui.kit.figure_table import FigureTable
from qviz.gui.kit.theme import Theme
from qviz.gui.kit.widgets import Segments, named_label
from qviz.gui.words.figures import MEASURES, known
from qviz.gui.words.schemes import line, lines, words
from qviz.session.guard import guarded
from qviz.session.history import History
from qviz.session.language import tr
from qviz.session.pins import MOST_PINS, Pin, Pins
from qviz.session.settings import Settings
from qviz.session.state import Session, State
from qviz.session.sweeper import Choice

SWEEP, PINS, CONVENTIONS_PART = "sweep", "pins", "conventions"
SIDE_WIDTH = 286
PINS_HEIGHT, RUNTIMES_HEIGHT = 214, 236
"""Of the tables: room for every pin, and for most runtimes."""

REFRESH_MILLISECONDS = 60
"""Results that come in quick succession are shown together."""

REST = 6
"""Times as long as it took to show many results, the next ones wait: the window is there for hands, too."""


@guarded
class ComparePage(QWidget):
    """Composes the three parts; asks for what is in sight alone.

    Signals
    -------
    sweep_wanted(bool), pins_wanted(bool), conventions_wanted(bool)
        That part is looked at, or is not any more.
    scheme_requested(Scheme)
        To be shown on the Tensor page.
    element_requested(int)
        So is an element of the tensor.
    pin_requested(Scheme)
    export_requested(Chart, str), copy_requested(Chart)
    """

    sweep_wanted = Signal(bool)
    pins_wanted = Signal(bool)
    conventions_wanted = Signal(bool)
    scheme_requested = Signal(object)
    element_requested = Signal(int)
    pin_requested = Signal(object)
    export_requested = Signal(object, str)
    copy_requested = Signal(object)
    problem = Signal(str)
    notice = Signal(str)

    def __init__(self, session: Session, pins: Pins) -> None:
        super().__init__()
        self._session, self._pins = session, pins
        self._metrics: list[Figures] = []
        self._words: list[dict[str, str]] = []
        self._planned: Combinations | None = None
        self._stopped = False
        self._found: dict[Scheme, Analysis | Problem] = {}
        self.differences: Differences | None = None
        self.workers: tuple[Closing, ...] = ()
        self.jobs: tuple[Job, ...] = ()
        self.menus = ChartMenus(self)
        self.menus.export_requested.connect(self.export_requested)
        self.menus.copy_requested.connect(self.copy_requested)
        self._refresh = QTimer(self)
        self._refresh.setSingleShot(True)
        self._refresh.setInterval(REFRESH_MILLISECONDS)
        self._refresh.timeout.connect(self._show_results)
        self._build()
        self.history = History((self.sweep.choice(), pins.pins), self._go_to, self)
        self._connect()
        self._show_pins()
        self._on_changed(session.state, session.state)

    # -- made of

    def _build(self) -> None:
        link = LinkedCursor()
        self.parts = Segments(
            [
                (SWEEP, self.tr("Sweep"), self.tr("Many schemes: what does each bit buy?")),
                (PINS, self.tr("Pins"), self.tr("A few schemes that you pinned, side by side.")),
                (
                    CONVENTIONS_PART,
                    self.tr("Runtimes"),
                    self.tr("Which elements get another code from another runtime?"),
                ),
            ],
            self.tr("What is compared"),
        )
        self.parts.setFixedWidth(270)
        self.pareto = ParetoChart(link, MEASURES[0])
        self.errors, self.rare = ErrorOverlay(link), RareErrors(link)
        self.charts: tuple[Chart, ...] = (self.pareto, self.errors, self.rare)
        self.sweep, self.results = SweepPanel(self._session), SweepResults()
        self.pins = PinsTable()
        self.runtimes, self.pairs, self.examples = ConventionsTable(), PairsTable(), ExamplesTable()
        self.about = named_label("", "caption")
        self.about.setTextInteractionFlags(Qt.TextInteractionFlag.NoTextInteraction)
        self.stack = QStackedWidget()
        self._tables = {SWEEP: self.results, PINS: self.pins, CONVENTIONS_PART: self.runtimes}
        self._places = {SWEEP: 0, PINS: 1, CONVENTIONS_PART: 2}
        for part in (self._sweep_part(), self._pins_part(), self._conventions_part()):
            self.stack.addWidget(part)
        head = QHBoxLayout()
        head.setContentsMargins(2, 0, 8, 0)
        head.setSpacing(12)
        head.addWidget(self.parts)
        head.addWidget(self.about, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(head)
        layout.addWidget(self.stack, 1)
        self.parts.choose(SWEEP)

    def _chart_card(self, chart: Chart) -> Card:
        card = Card(chart.title(), chart)
        self.menus.dress(chart, card.title)
        return card

    def _table_card(self, title: str, table: FigureTable) -> Card:
        card = Card(title, table)
        if table.isSortingEnabled():
            card.title.add_widget(table.filter_box())
        copy = card.title.add_tool("copy", self.tr("Copy the table as text"))
        copy.clicked.connect(table.copy)
        return card

    def _sweep_part(self) -> QWidget:
        area = QScrollArea()
        area.setObjectName("panelScroll")
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(self.sweep)
        area.setMinimumWidth(SIDE_WIDTH)
        self.choice_card = Card(self.tr("Schemes"), area)
        self.pareto_card = self._chart_card(self.pareto)
        self.results_card = self._table_card(self.tr("Results"), self.results)
        self.measure = ComboBox()
        self.measure.setAccessibleName(self.tr("Figure to compare by"))
        for each in MEASURES:
            self.measure.addItem(tr(each.label), each.key)
        self.pareto_card.title.add_widget(self.measure)
        self.again = self.choice_card.title.add_tool("refresh", self.tr("Sweep again"))
        right = _splitter(Qt.Orientation.Vertical, (self.pareto_card, 3), (self.results_card, 2))
        whole = _splitter(Qt.Orientation.Horizontal, (self.choice_card, 0), (right, 1))
        whole.setSizes([SIDE_WIDTH, 1000])
        return whole

    def _pins_part(self) -> QWidget:
        self.errors_card, self.rare_card = self._chart_card(self.errors), self._chart_card(self.rare)
        self.pins_card = self._table_card(self.tr("Pinned schemes"), self.pins)
        self.pin_button = self.pins_card.title.add_tool("pin", self.tr("Pin the scheme of the Tensor page (P)"))
        self.clear_button = self.pins_card.title.add_tool("close", self.tr("Remove every pin"))
        self.nothing = named_label(
            self.tr(
                "Nothing is pinned yet.\n\nChoose a scheme on the Tensor page and press P, "
                "or click ＋ beside a result of the sweep; up to {count} can be laid over each other."
            ).format(count=MOST_PINS),
            "hint",
            wrap=True,
        )
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        charts = _splitter(Qt.Orientation.Horizontal, (self.errors_card, 1), (self.rare_card, 1))
        self._pins_content = _splitter(Qt.Orientation.Vertical, (charts, 1), (self.pins_card, 0))
        self._pins_content.setSizes([1000, PINS_HEIGHT])
        stack = QStackedWidget()
        stack.addWidget(self._pins_content)
        stack.addWidget(self.nothing)
        self._pins_stack = stack
        return stack

    def _conventions_part(self) -> QWidget:
        self.runtimes_card = self._table_card(self.tr("Against the chosen runtime"), self.runtimes)
        self.pairs_card = self._table_card(self.tr("Every pair"), self.pairs)
        self.examples_card = self._table_card(self.tr("First elements whose codes differ"), self.examples)
        whole = _splitter(
            Qt.Orientation.Vertical, (self.runtimes_card, 0), (self.pairs_card, 0), (self.examples_card, 1)
        )
        whole.setSizes([RUNTIMES_HEIGHT, RUNTIMES_HEIGHT, 160])
        return whole

    def _connect(self) -> None:
        self.parts.chosen.connect(self.show_part)
        self.measure.currentIndexChanged.connect(self._on_measure)
        self.pareto.chosen.connect(self._on_metrics)
        self.pareto.pointed.connect(self.results.point_to_metrics)
        self.results.pointed.connect(self._on_result_pointed)
        self.results.opened.connect(self._on_result)
        self.results.acted.connect(self._on_result_acted)
        self.pins.opened.connect(self._on_pin)
        self.pins.acted.connect(self._on_pin_acted)
        self.pins.edited.connect(self._on_pin_renamed)
        self.pins.removed.connect(self._on_pin_removed)
        self.pins.pointed.connect(self._on_pin_pointed)
        self.pin_button.clicked.connect(self._on_pin_button)
        self.clear_button.clicked.connect(self._pins.clear)
        self.runtimes.opened.connect(self._on_runtime)
        self.examples.opened.connect(self._on_example)
        self._pins.changed.connect(self._show_pins)
        self._pins.changed.connect(self._on_chosen)
        self.sweep.ticked.connect(self._on_chosen)
        self.sweep.chosen.connect(self._on_fitted)
        self._session.changed.connect(self._on_changed)

    # -- what the window asks

    @property
    def step_name(self) -> str:
        return self.tr("choice of schemes")

    @property
    def ready(self) -> bool:
        return True

    def subject(self, chart: Chart) -> Subject:
        """The tensor, and what is compared on it."""
        tensor = self._session.state.tensor
        runtime = CONVENTIONS[self._session.scheme.convention].label
        what = self.tr("schemes under {runtime}").format(runtime=runtime)
        if chart is not self.pareto:
            what = self.tr("pinned schemes")
        return Subject(tensor.name if tensor is not None else "", what)

    @Slot()
    def copy_figures(self) -> None:
        """The table of the part that is in sight."""
        self._tables[self.part].copy()

    def reset_layout(self) -> None:
        """The parts have their places."""

    def remember(self, settings: Settings) -> None:
        """The pins are remembered as they are pinned."""

    def recall(self, settings: Settings) -> None:
        """So they are there already."""

    # -- undo

    @Slot()
    def _on_chosen(self) -> None:
        """A person ticked or pinned something, or took it away."""
        self.history.note((self.sweep.choice(), self._pins.pins))

    @Slot()
    def _on_fitted(self) -> None:
        """Another tensor has other axes: that is no step."""
        self.history.settle((self.sweep.choice(), self._pins.pins))

    def _go_to(self, chosen: tuple[Choice, tuple[Pin, ...]]) -> tuple[Choice, tuple[Pin, ...]]:
        choice, pins = chosen
        self._pins.put_back(pins)
        self.sweep.tick(choice)
        return self.sweep.choice(), self._pins.pins

    def apply_theme(self, theme: Theme) -> None:
        for card in self.findChildren(Card):
            card.apply_theme(theme)

    # -- which part

    @property
    def part(self) -> str:
        """The part in sight."""
        return next(name for name, place in self._places.items() if place == self.stack.currentIndex())

    @Slot(object)
    def show_part(self, part: str) -> None:
        """Bring a part to the front; nothing happens for one that there is not."""
        if part in self._places:
            self.parts.choose(part)
            self.stack.setCurrentIndex(self._places[part])
            self._tell()

    def _tell(self) -> None:
        looked = self.part if self.isVisible() else ""
        self.sweep_wanted.emit(looked == SWEEP)
        self.pins_wanted.emit(looked == PINS)
        self.conventions_wanted.emit(looked == CONVENTIONS_PART)

    def showEvent(self, event: QEvent) -> None:
        super().showEvent(event)  # type: ignore[arg-type]
        self.sweep.follow()
        self._tell()
        self._tables[self.part].setFocus()

    def hideEvent(self, event: QEvent) -> None:
        super().hideEvent(event)  # type: ignore[arg-type]
        self._tell()

    @Slot(object, object)
    def _on_changed(self, old: State, new: State) -> None:
        self.pareto.point_to_scheme(new.scheme)
        name = brief(new.tensor.name) if new.tensor is not None else ""
        runtime = tr(CONVENTIONS[new.scheme.convention].label)
        self.about.setText(
            self.tr("{name}  ·  on the Tensor page: {scheme}").format(name=name, scheme=line(new.scheme))
            if name
            else runtime
        )

    # -- the sweep

    @Slot(object)
    def plan(self, combinations: Combinations) -> None:
        """A sweep begins."""
        self._planned, self._metrics, self._words, self._stopped = combinations, [], [], False
        self._refresh.start()

    @Slot(object)
    def add_metrics(self, metrics: Figures) -> None:
        """One result has come."""
        self._metrics.append(metrics)
        if not self._refresh.isActive():
            self._refresh.start()

    @Slot()
    def forget_sweep(self) -> None:
        """The results are of another tensor."""
        self._metrics, self._words, self._planned, self._stopped = [], [], None, False
        self._refresh.start()

    @Slot()
    def stop_sweep(self) -> None:
        """Somebody stopped it, or it failed."""
        self._stopped = True
        self._refresh.start()

    @Slot()
    def wait_for_order(self) -> None:
        """The tensor is being sorted; what is asked for follows."""
        for card in (self.results_card, self.pins_card, self.runtimes_card):
            card.title.set_note(self.tr("waiting until the tensor is sorted"))

    @Slot()
    def _show_results(self) -> None:
        began = time.thread_time()
        self._words += [words(m.scheme) for m in self._metrics[len(self._words) :]]
        of_range, of_group = tr("Range"), tr("Per")
        points = [
            Point(metrics, name, parts[of_range], parts[of_group])
            for metrics, name, parts in zip(self._metrics, lines(self._words), self._words, strict=True)
        ]
        self.pareto.show_points(points)
        self._show_table()
        planned = len(self._planned.schemes) if self._planned is not None else 0
        done = len(self._metrics)
        stopped = self._stopped and done < planned
        if stopped:
            note = self.tr("stopped: {done} of {count} schemes").format(done=done, count=planned)
        elif done < planned:
            note = self.tr("{done} of {count}").format(done=done, count=planned)
        else:
            note = self.tr("{count} schemes, {best} unbeaten").format(count=done, best=len(self.pareto.front))
        self.results_card.title.set_note(note if planned else "")
        self.pareto.set_caveat(note if stopped else "")
        took = round(1000 * (time.thread_time() - began))
        self._refresh.setInterval(max(REFRESH_MILLISECONDS, REST * took))

    def _show_table(self) -> None:
        front = {id(self.pareto.points[at].metrics) for at in self.pareto.front.tolist()}
        self.results.show_metrics(self._metrics, front)

    @Slot()
    def _on_measure(self) -> None:
        self.pareto.set_measure(MEASURES[self.measure.currentIndex()])
        self._show_table()

    @Slot(object)
    def _on_metrics(self, metrics: Figures) -> None:
        self.scheme_requested.emit(metrics.scheme)

    @Slot(object)
    def _on_result(self, result: Result) -> None:
        self.scheme_requested.emit(result.metrics.scheme)

    @Slot(object)
    def _on_result_pointed(self, result: Result | None) -> None:
        self.pareto.mark(result.metrics if result is not None else None)

    @Slot(object, str)
    def _on_result_acted(self, result: Result, action: str) -> None:
        (self.scheme_requested if action == OPEN else self.pin_requested).emit(result.metrics.scheme)

    # -- the pins

    @Slot(object, object)
    def judge(self, scheme: Scheme, found: Analysis | Problem) -> None:
        """What one pinned scheme does to the tensor is known."""
        self._found[scheme] = found
        self._show_pins()

    @Slot()
    def forget_pins(self) -> None:
        """What is known is of another tensor, or of other pins."""
        tensor = self._session.state.tensor
        self._found = {s: a for s, a in self._found.items() if isinstance(a, Analysis) and a.tensor is tensor}
        self._show_pins()

    @Slot()
    def _show_pins(self) -> None:
        rows = pin_rows(self._pins.pins, self._found)
        self._pins_stack.setCurrentIndex(0 if rows else 1)
        self.pins.show_pins(rows)
        analyses = [(row, known(row.found)) for row in rows]
        shown = [Overlaid(r.name, r.role, r.dashed, a) for r, a in analyses if isinstance(a, Analysis)]
        self.errors.overlay(shown)
        self.rare.overlay(shown)
        count = self.tr("{count} of {most}").format(count=len(rows), most=MOST_PINS)
        self.pins_card.title.set_note(count if rows else "")

    @Slot()
    def _on_pin_button(self) -> None:
        self.pin_requested.emit(self._session.scheme)

    @Slot(object)
    def _on_pin(self, row: PinRow) -> None:
        self.scheme_requested.emit(row.pin.scheme)

    @Slot(object, str)
    def _on_pin_acted(self, row: PinRow, action: str) -> None:
        if action == OPEN:
            self.scheme_requested.emit(row.pin.scheme)
        else:
            self._pins.remove(row.pin)

    @Slot(object, str)
    def _on_pin_renamed(self, row: PinRow, name: str) -> None:
        if name != row.name:
            self._pins.rename(row.pin, name)

    @Slot(object)
    def _on_pin_removed(self, row: PinRow) -> None:
        self._pins.remove(row.pin)

    @Slot(object)
    def _on_pin_pointed(self, row: PinRow | None) -> None:
        for chart in (self.errors, self.rare):
            chart.point_to(row.name if row is not None else None)

    # -- the conventions

    @Slot(object)
    def compare(self, differences: Differences) -> None:
        """Every element was quantized under every convention."""
        self.differences = differences
        self._show_differences()

    @Slot()
    def forget_conventions(self) -> None:
        """What is shown is of another tensor or scheme."""
        self.differences = None
        self._show_differences()

    def _show_differences(self) -> None:
        differences = self.differences
        for table in (self.runtimes, self.pairs, self.examples):
            table.show_differences(differences)
        note = ""
        if differences is not None:
            note = self.tr("{scheme}: every one of {count} elements").format(
                scheme=line(differences.schemes[0]), count=f"{differences.tensor.finite:,}"
            )
            if differences.range_judged:
                note = self.tr("{note}, in ranges judged from a sample").format(note=note)
        self.runtimes_card.title.set_note(note)
        self.examples_card.title.set_note(
            self.tr("double click: see it on the Tensor page") if differences and differences.examples else ""
        )

    @Slot(object)
    def _on_runtime(self, row: ConventionRow) -> None:
        if row.at is not None:
            self.scheme_requested.emit(row.differences.schemes[row.at])

    @Slot(object)
    def _on_example(self, example: Example) -> None:
        self.element_requested.emit(example.index)


def _splitter(orientation: Qt.Orientation, *parts: tuple[QWidget, int]) -> QSplitter:
    """Widgets side by side or one above the other, each with its share of the room."""
    splitter = QSplitter(orientation)
    splitter.setChildrenCollapsible(False)
    splitter.setHandleWidth(6)
    for at, (widget, stretch) in enumerate(parts):
        splitter.addWidget(widget)
        splitter.setStretchFactor(at, stretch)
    splitter.setSizes([max(1, stretch) * 300 for _, stretch in parts])
    return splitter
