"""Which scheme is best for this tensor, and what does each bit buy? Sweep, pins and conventions."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Signal, Slot
from PySide6.QtWidgets import (
    QHBoxLayout,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from qviz.core.printable import brief
from qviz.core.runtimes.table import CONVENTIONS
from qviz.gui.charts.base import Chart, LinkedCursor
from qviz.gui.charts.cards import Card, ChartMenus
from qviz.gui.charts.page import Closing, Job, Subject
from qviz.gui.compare.pins_part import PinsPart
from qviz.gui.compare.runtimes_part import RuntimesPart
from qviz.gui.compare.sweep_part import SweepPart
from qviz.gui.kit.figure_table import FigureTable
from qviz.gui.kit.theme import Theme
from qviz.gui.kit.widgets import Line, Segments, plain_tip
from qviz.gui.words.schemes import line
from qviz.session.guard import guarded
from qviz.session.history import History
from qviz.session.language import tr
from qviz.session.pins import Pin, Pins
from qviz.session.settings import Settings
from qviz.session.state import Session, State
from qviz.session.sweeper import Choice

SWEEP, PINS, CONVENTIONS_PART = "sweep", "pins", "conventions"


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
        self.workers: tuple[Closing, ...] = ()
        self.jobs: tuple[Job, ...] = ()
        self.menus = ChartMenus(self)
        self.menus.export_requested.connect(self.export_requested)
        self.menus.copy_requested.connect(self.copy_requested)
        self._build()
        self.history = History((self.sweep.choice.choice(), pins.pins), self._go_to, self)
        self._connect()
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
        self.sweep = SweepPart(self._session, self.menus, link)
        self.pins = PinsPart(self._session, self._pins, self.menus, link)
        self.runtimes = RuntimesPart()
        self.charts: tuple[Chart, ...] = (self.sweep.pareto, self.pins.errors, self.pins.rare)
        self.about = Line("caption")
        self.stack = QStackedWidget()
        self._tables: dict[str, FigureTable] = {
            SWEEP: self.sweep.results,
            PINS: self.pins.table,
            CONVENTIONS_PART: self.runtimes.table,
        }
        self._places = {SWEEP: 0, PINS: 1, CONVENTIONS_PART: 2}
        for part in (self.sweep, self.pins, self.runtimes):
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

    def _connect(self) -> None:
        self.parts.chosen.connect(self.show_part)
        for part in (self.sweep, self.pins):
            part.scheme_requested.connect(self.scheme_requested)
            part.pin_requested.connect(self.pin_requested)
        self.runtimes.scheme_requested.connect(self.scheme_requested)
        self.runtimes.element_requested.connect(self.element_requested)
        self._pins.changed.connect(self._on_chosen)
        self.sweep.choice.ticked.connect(self._on_chosen)
        self.sweep.choice.chosen.connect(self._on_fitted)
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
        if chart is not self.sweep.pareto:
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
        self.history.note((self.sweep.choice.choice(), self._pins.pins))

    @Slot()
    def _on_fitted(self) -> None:
        """Another tensor has other axes: that is no step."""
        self.history.settle((self.sweep.choice.choice(), self._pins.pins))

    def _go_to(self, chosen: tuple[Choice, tuple[Pin, ...]]) -> tuple[Choice, tuple[Pin, ...]]:
        choice, pins = chosen
        self._pins.put_back(pins)
        self.sweep.choice.tick(choice)
        return self.sweep.choice.choice(), self._pins.pins

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
        self.sweep.choice.follow()
        self._tell()
        self._tables[self.part].setFocus()

    def hideEvent(self, event: QEvent) -> None:
        super().hideEvent(event)  # type: ignore[arg-type]
        self._tell()

    @Slot(object, object)
    def _on_changed(self, old: State, new: State) -> None:
        self.sweep.pareto.point_to_scheme(new.scheme)
        name = brief(new.tensor.name) if new.tensor is not None else ""
        runtime = tr(CONVENTIONS[new.scheme.convention].label)
        of_page = self.tr("{name}  ·  on the Tensor page: {scheme}").format(name=name, scheme=line(new.scheme))
        self.about.setText(of_page if name else runtime)
        self.about.setToolTip(plain_tip(of_page) if name else "")

    @Slot()
    def wait_for_order(self) -> None:
        """The tensor is being sorted; what is asked for follows."""
        for card in (self.sweep.results_card, self.pins.table_card, self.runtimes.table_card):
            card.title.set_note(self.tr("waiting until the tensor is sorted"))
