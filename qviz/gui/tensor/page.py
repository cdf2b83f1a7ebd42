"""What does this scheme do to this tensor? The page that opens."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Signal, Slot

from qviz.core.questions.speed import Speed
from qviz.core.ranges.entropy import Entropy
from qviz.core.ranges.known import LARGEST
from qviz.core.ranges.mse import MSE
from qviz.core.ranges.rules import Manual
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerAxis, PerTensor
from qviz.gui.charts.base import Chart, LinkedCursor
from qviz.gui.charts.cards import ChartMenus
from qviz.gui.charts.counts import CountChart
from qviz.gui.charts.page import Closing, Job, Subject
from qviz.gui.kit.docks import Dock
from qviz.gui.kit.theme import Theme
from qviz.gui.tensor.distribution_chart import DistributionChart
from qviz.gui.tensor.error_chart import ErrorChart
from qviz.gui.tensor.formula_panel import FormulaPanel
from qviz.gui.tensor.layout import GROUP_DOCKS, DockedPage
from qviz.gui.tensor.memory_speed_charts import MemoryChart, SpeedChart
from qviz.gui.tensor.metrics_panel import MetricsPanel
from qviz.gui.tensor.operation_button import OperationButton
from qviz.gui.tensor.scheme_panel import SchemePanel
from qviz.gui.tensor.tensor_list_panel import TensorListPanel
from qviz.gui.tensor.transfer_chart import TransferChart
from qviz.gui.tensor.value_table import ValueTable
from qviz.gui.tensor.values_chart import ValuesChart
from qviz.gui.words.estimates import exactness_note
from qviz.gui.words.groups import alone_text, group_words
from qviz.gui.words.schemes import line
from qviz.session.analyst import STILL_MILLISECONDS
from qviz.session.frame import EVERYTHING, Frame, Part, foresee_groups, foresee_worst
from qviz.session.guard import guarded
from qviz.session.presets import Presets
from qviz.session.settings import Settings
from qviz.session.state import Session, State

if TYPE_CHECKING:
    from qviz.core.questions.loss_curves import Losses
    from qviz.gui.tensor.channels_chart import ChannelsChart
    from qviz.gui.tensor.generator_panel import GeneratorPanel
    from qviz.gui.tensor.heat_map_chart import HeatMapChart
    from qviz.gui.tensor.late_parts import LateParts
    from qviz.gui.tensor.loss_chart import LossChart
    from qviz.gui.tensor.worst_groups_panel import WorstGroupsPanel

CHARTS = ("values", "distribution", "error", "transfer", "loss", "channels", "heat_map", "memory", "speed")
"""Names of charts, in the order of the page."""

PARTS = {"error": Part.ERROR_HISTOGRAM, "values": Part.ENVELOPE}
"""What a dock shows that may be left out of an answer."""

MANY_GROUPS = 1 << 16
"""Of more than these, what each dock shows takes milliseconds."""


@guarded
class TensorPage(DockedPage):
    """Composes the panels and charts; shows a `Frame`; asks the session for changes."""

    export_requested = Signal(object, str)
    copy_requested = Signal(object)
    problem = Signal(str)
    notice = Signal(str)
    loss_wanted = Signal(bool)
    loss_chosen = Signal(object)
    looked_at = Signal(object)
    """The `Part` values that can be seen, whenever they are others."""
    reduced_by = Signal(object)
    """What is to be made of an answer by whoever finds it, whenever that is something else: see `Reductions`."""
    spec_changed = Signal(object)
    """What is to be generated."""
    completed = Signal()
    """What nobody sees at the start has been made."""
    batch_chosen = Signal(int)
    """How many rows the speed of multiplications is looked at for; 0 for the addition."""

    def __init__(self, session: Session, presets: Presets) -> None:
        super().__init__()
        self._session, self._presets = session, presets
        self.history = session.history
        self.workers: tuple[Closing, ...] = ()
        self.jobs: tuple[Job, ...] = ()
        self.frame: Frame | None = None
        self._in_sight: set[str] = set()
        self._behind: set[str] = set()
        self._rest = session.timers(STILL_MILLISECONDS, self._catch_up, self)
        self._late: LateParts | None = None
        self._caveat = ""
        self._clicked: tuple[Scheme, Scheme] | None = None
        """The schemes before and after a click on the chart of losses."""
        self.link = LinkedCursor()
        self.menus = ChartMenus(self)
        self._build()
        self._arrange()
        self._connect()

    def _build(self) -> None:
        link = self.link
        self.values = ValuesChart(link)
        self.distribution = DistributionChart(link)
        self.error = ErrorChart(link)
        self.transfer = TransferChart(link)
        self.memory = MemoryChart(link)
        self.speed = SpeedChart(link)
        self._first_charts: tuple[Chart, ...] = (
            self.values,
            self.distribution,
            self.error,
            self.transfer,
            self.memory,
            self.speed,
        )
        self.tensors = TensorListPanel(self._session)
        self.scheme = SchemePanel(self._session, self._presets)
        self.metrics = MetricsPanel()
        self.formula = FormulaPanel()
        self.table = ValueTable()
        self.docks = {
            "tensors": Dock("tensors", self.tr("Tensors"), self.tensors),
            "generator": Dock("generator", self.tr("Generator")),
            "scheme": Dock("scheme", self.tr("Scheme"), self.scheme, scrolls=True),
            "metrics": Dock("metrics", self.tr("Metrics"), self.metrics, scrolls=True),
            "formula": Dock("formula", self.tr("Formula"), self.formula),
            "table": Dock("table", self.tr("Elements"), self.table),
            "worst": Dock("worst", self.tr("Worst")),
        }
        # Four tabs have no room for whole titles, and some are there before their charts.
        tabs = {
            "transfer": self.tr("Transfer"),
            "loss": self.tr("Loss"),
            "channels": self.tr("Channels"),
            "heat_map": self.tr("Heat map"),
        }
        of_first = {chart.name: chart for chart in self._first_charts}
        for name in CHARTS:
            chart = of_first.get(name)
            tab = tabs.get(name, "")
            dock = self.docks[name] = Dock(name, tab if chart is None else chart.title(), chart)
            if chart is not None:
                dock.rename(chart.title(), tab=tab)
                self.menus.dress(chart, dock.title)
        self.formula.heading_changed.connect(self._on_formula_heading)
        copy = self.docks["metrics"].title.add_tool("copy", self.tr("Copy the metrics as text"))
        copy.clicked.connect(self.copy_figures)
        self.docks["table"].title.add_widget(self.table.tools)
        copy = self.docks["table"].title.add_tool("copy", self.tr("Copy the rows in sight as text"))
        copy.clicked.connect(self.table.copy)
        self.pin_button = self.docks["scheme"].title.add_tool("pin", self.tr("Pin this scheme, to compare it (P)"))
        self.docks["scheme"].title.add_widget(self.scheme.preset.more)  # beside the list, names would be cut
        self.operation = OperationButton()
        self.docks["speed"].title.add_widget(self.operation)
        self.measure_button = self.docks["speed"].title.add_tool("refresh", self.tr("Measure again"))

    @Slot()
    def complete(self) -> None:
        """Make what nobody saw yet: after the first painting, or when it is asked for."""
        if self._late is None:
            from qviz.gui.tensor.late_parts import LateParts

            self._late = late = LateParts(self.docks, self.link, self.menus, self.distribution, self)
            late.loss.clip_moved.connect(self._on_loss_clicked)
            late.loss.click_taken_back.connect(self._on_click_taken_back)
            for part in (late.channels, late.heat_map, late.worst):
                part.channel_clicked.connect(self._on_channel_clicked)
            late.heat_map.sight_changed.connect(self._ask_for_reductions)
            late.losses.chosen.connect(self.loss_chosen)
            late.generator.spec_changed.connect(self.spec_changed)
            self._ask_for_reductions()
            self.completed.emit()

    @property
    def late(self) -> LateParts:
        """What is made after the first painting."""
        self.complete()
        assert self._late is not None
        return self._late

    @property
    def loss(self) -> LossChart:
        return self.late.loss

    @property
    def channels(self) -> ChannelsChart:
        return self.late.channels

    @property
    def heat_map(self) -> HeatMapChart:
        return self.late.heat_map

    @property
    def worst(self) -> WorstGroupsPanel:
        return self.late.worst

    @property
    def generator(self) -> GeneratorPanel:
        return self.late.generator

    @property
    def charts(self) -> tuple[Chart, ...]:
        """Every chart, in the order of `CHARTS`."""
        of_all = {chart.name: chart for chart in (*self._first_charts, *self.late.charts)}
        return tuple(of_all[name] for name in CHARTS)

    def _connect(self) -> None:
        session = self._session
        session.changed.connect(self._on_changed)
        self.menus.export_requested.connect(self.export_requested)
        self.menus.copy_requested.connect(self.copy_requested)
        self.distribution.clip_moved.connect(self._on_clip_moved)
        self.distribution.released.connect(session.settle)
        self.docks["loss"].visibilityChanged.connect(self.loss_wanted)
        for name, dock in self.docks.items():
            dock.visibilityChanged.connect(partial(self._on_sight, name))
        self.values.element_clicked.connect(self._on_element)
        self.values.sight_changed.connect(self._ask_for_reductions)
        self.table.element_chosen.connect(self._on_element)
        self.operation.chosen.connect(self._on_operation)
        self.scheme.problem.connect(self.problem)
        self.tensors.generate_requested.connect(self._on_generate)

    # -- what is shown

    @Slot(object)
    def present(self, frame: Frame) -> None:
        """Paint an answer: each part only hands ready points to its items.

        Of one that is passing, and of one of very many groups, those that nobody sees wait until it rests.
        """
        self.frame = frame
        self.complete()
        self._behind = set(self._shows)
        waits = frame.passing or frame.whole.layout.groups > MANY_GROUPS
        for name in self._shows:
            if not waits or self._can_show(name):
                self._show(name)
        if self._behind and frame.parts == EVERYTHING:
            self._rest.start(STILL_MILLISECONDS)
        else:
            self._rest.stop()
        alone = self._alone
        note = alone if frame.shown.exact else exactness_note(False)
        for name in ("metrics", "table"):
            self.docks[name].title.set_note(note)

    @property
    def _shows(self) -> tuple[str, ...]:
        """The docks that show answers."""
        return (*CHARTS, "worst", "metrics", "formula", "table")

    @property
    def behind(self) -> frozenset[str]:
        """The docks that show an older answer, which nobody sees: they follow when it rests."""
        return frozenset(self._behind)

    @property
    def _alone(self) -> str:
        """What is looked at alone, in words."""
        frame = self.frame
        if frame is None or frame.channel is None:
            return ""
        return alone_text(frame.whole.scheme.granularity, frame.channel)

    def _can_show(self, name: str) -> bool:
        """Whether somebody sees it, and the answer holds what it needs."""
        dock = self.docks[name]
        seen = name in self._in_sight or (dock.isFloating() and dock.isVisible())
        return seen and self.frame is not None and (name not in PARTS or PARTS[name] in self.frame.parts)

    def _show(self, name: str) -> None:
        assert self.frame is not None
        self._behind.discard(name)
        content: Any = self.docks[name].content
        if self.frame.reduced.get(name) is not None:
            content.foresee(self.frame.reduced[name])
        content.present(self.frame.whole if name in GROUP_DOCKS else self.frame.shown)
        if name == "worst":
            self.docks[name].title.set_note(exactness_note(self.frame.whole.exact))
        if self._alone and name in (self.values.name, self.transfer.name):
            content.set_note(self._alone)

    @Slot()
    def _catch_up(self) -> None:
        """Nothing moves: there is time for what nobody sees, one after the other."""
        if self._behind:
            self._show(min(self._behind))
        if self._behind:
            self._rest.start(0)

    @Slot(bool)
    def _on_sight(self, name: str, visible: bool) -> None:
        """What was passed over as long as nobody saw it is made up for."""
        before = self._parts_in_sight()
        (self._in_sight.add if visible else self._in_sight.discard)(name)
        if visible and name in self._behind and self._can_show(name):
            self._show(name)
        if self._parts_in_sight() != before:
            self.looked_at.emit(self._parts_in_sight())
        if name in (self.values.name, "heat_map", "channels", "worst"):
            self._ask_for_reductions()

    @Slot(object)
    def _ask_for_reductions(self, *_: object) -> None:
        """What is seen of many groups is found where the answer is."""
        reductions: dict[str, Any] = {self.values.name: self.values.sight()}
        if self._late is not None:
            reductions |= {
                self.heat_map.name: self.heat_map.sight(),
                self.channels.name: foresee_groups,
                "worst": foresee_worst,
            }
        self.reduced_by.emit({name: each for name, each in reductions.items() if each and name in self._in_sight})

    def _parts_in_sight(self) -> frozenset[Part]:
        return frozenset(part for name, part in PARTS.items() if name in self._in_sight)

    def set_stale(self, stale: bool) -> None:
        """Figures of an older scheme are pale until their successors arrive."""
        for panel in (self.metrics, self.formula, self.table):
            if panel.isEnabled() == stale:
                panel.setEnabled(not stale)

    @Slot(str)
    def set_caveat(self, caveat: str) -> None:
        """What must be known of every chart of an answer, until it is taken back with ""."""
        if caveat == self._caveat:
            return
        self._caveat = caveat
        for chart in self.charts:
            if chart is not self.speed:  # measured for itself
                chart.set_caveat(caveat)

    @Slot(object)
    def show_losses(self, losses: Losses) -> None:
        self.loss.show_losses(losses)

    @Slot()
    def forget_losses(self) -> None:
        if self._late is not None:
            self.loss.forget()

    @Slot(object)
    def show_speed(self, speed: Speed) -> None:
        self.speed.show_speed(speed)

    @Slot(int)
    def _on_operation(self, batch: int) -> None:
        self.speed.choose(batch)
        self.batch_chosen.emit(batch)

    @Slot()
    def show_measuring(self) -> None:
        """The button stops the measurement."""
        self._dress_measure_button("stop", self.tr("Stop measuring"))

    @Slot()
    def show_measured(self) -> None:
        """The button starts another one."""
        self._dress_measure_button("refresh", self.tr("Measure again"))

    def _dress_measure_button(self, icon_name: str, tip: str) -> None:
        self.docks["speed"].title.change_tool(self.measure_button, icon_name, tip)

    def set_logarithmic(self, logarithmic: bool) -> None:
        """Counts as powers of ten in every chart of counts."""
        for chart in self._first_charts:
            if isinstance(chart, CountChart):
                chart.set_logarithmic(logarithmic)

    def apply_theme(self, theme: Theme) -> None:
        for dock in self.docks.values():
            dock.apply_theme(theme)

    # -- from the session

    @Slot(object, object)
    def _on_changed(self, old: State, new: State) -> None:
        if new.selected != old.selected:
            for part in (self.values, self.transfer, self.formula, self.table):
                part.point_to(new.selected)
        if new.channel != old.channel:
            for each in (self.channels, self.heat_map, self.worst):
                each.choose(new.channel)
        if new.scheme.granularity != old.scheme.granularity or new.tensor is not old.tensor:
            self._show_channels(new)
        if new.scheme != old.scheme and self._rest.active:
            self._rest.start(STILL_MILLISECONDS)  # the slider has not come to rest
        if new.scheme.range_rule != old.scheme.range_rule:
            self._show_loss(new.scheme)
        if new.current is not old.current:
            spec = new.current.spec if new.current else None
            self.docks["generator"].setVisible(spec is not None and self.docks["generator"].isVisible())
            if spec is not None and spec != self.generator.spec():
                self.generator.show_spec(spec)

    @Slot()
    def show_docks(self) -> None:
        """Those that the present scheme has, and not those that another one had."""
        self._show_channels(self._session.state)

    def _on_arranged(self) -> None:
        self._show_channels(self._session.state)
        self._show_loss(self._session.state.scheme)

    def _show_loss(self, scheme: Scheme) -> None:
        """The curve comes to the front when its least point is what the scheme follows."""
        kind = scheme.range_rule.kind
        if kind in (MSE.kind, Entropy.kind):
            self.late.losses.choose(kind)
            self.loss_chosen.emit(kind)
            self.docks["loss"].show()
            self.docks["loss"].raise_()

    def _show_channels(self, state: State) -> None:
        """What is said of channels, blocks or tokens is there when there are some."""
        granularity = state.scheme.granularity
        grouped = not isinstance(granularity, PerTensor)
        fresh = grouped and all(self.docks[name].isHidden() for name in GROUP_DOCKS)
        for name in GROUP_DOCKS:
            if fresh or not grouped:
                self.docks[name].setVisible(grouped)
        if not grouped:
            return
        words = group_words(granularity)
        self.docks["channels"].rename(words.titles)
        self.docks["worst"].rename(self.tr("Worst {groups}").format(groups=words.many))
        if fresh:
            self.docks["channels" if isinstance(granularity, PerAxis) else "heat_map"].raise_()
            self.docks["error"].raise_()

    # -- to the session

    @Slot(str)
    def _on_formula_heading(self, heading: str) -> None:
        exact = self.frame is None or self.frame.shown.exact
        self.docks["formula"].title.set_note(exactness_note(exact, heading))

    @Slot(float, float)
    def _on_clip_moved(self, low: float, high: float) -> None:
        low, high = max(low, -LARGEST), min(high, LARGEST)  # a chart may show more than float32 has
        if low < high:
            steered = self._session.steer if self.distribution.held else self._session.update
            steered(range_rule=Manual(low, high))

    @Slot(float, float)
    def _on_loss_clicked(self, low: float, high: float) -> None:
        before = self._session.scheme
        self._on_clip_moved(low, high)
        self._clicked = before, self._session.scheme

    @Slot()
    def _on_click_taken_back(self) -> None:
        before, after = self._clicked or (None, None)
        if before != after == self._session.scheme:
            self._session.undo()

    @Slot(int)
    def _on_channel_clicked(self, channel: int) -> None:
        now = self._session.state.channel
        self._session.update(channel=None if channel == now else channel)

    @Slot(int)
    def _on_element(self, index: int) -> None:
        self._session.update(selected=index)

    @Slot()
    def _on_generate(self) -> None:
        dock = self.docks["generator"]
        dock.setVisible(dock.isHidden())
        self.size_left()
        spec = self.generator.spec()
        current = self._session.state.current
        if not dock.isHidden() and spec is not None and (current is None or current.spec is None):
            self.generator.spec_changed.emit(spec)

    # -- away

    @property
    def step_name(self) -> str:
        return self.tr("scheme change")

    @property
    def ready(self) -> bool:
        return self.frame is not None

    def subject(self, chart: Chart) -> Subject:
        """The tensor, or the part of it that is shown, and the scheme."""
        if self.frame is None:
            return Subject()
        of = self.frame.whole.tensor.name
        if self.frame.channel is not None and chart not in (self.channels, self.heat_map):
            of = f"{of} {alone_text(self.frame.whole.scheme.granularity, self.frame.channel)}"
        return Subject(of, line(self.frame.whole.scheme))

    @Slot()
    def copy_figures(self) -> None:
        self.metrics.copy()

    def remember(self, settings: Settings) -> None:
        settings.set("layout", self.layout_state())
        self._session.settle()
        settings.set("scheme", self._session.scheme.to_dict())

    def recall(self, settings: Settings) -> None:
        """The layout; the scheme is the session's from its beginning."""
        self.restore_layout(settings.get("layout"))
