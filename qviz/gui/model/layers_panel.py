"""Which layer hurts? A row for each, as it is found, and one sentence on the worst."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QHBoxLayout, QMenu, QPushButton, QVBoxLayout, QWidget

from qviz.core.frozen import frozen
from qviz.core.printable import printable
from qviz.core.schemes.scheme import Scheme
from qviz.core.sizes import byte_text
from qviz.gui.kit.figure_model import Column
from qviz.gui.kit.figure_table import FigureTable
from qviz.gui.kit.theme import Theme
from qviz.gui.kit.widgets import named_label
from qviz.gui.words.numbers import NONE, decibels, percent
from qviz.gui.words.schemes import format_word
from qviz.models.advice import Advice
from qviz.models.node_errors import NodeError
from qviz.models.sensitivity import ALONE, RESTORED, UnitLoss
from qviz.models.targets import share_of
from qviz.models.units import Unit
from qviz.session.language import told, tr


@frozen(eq=False)
class Layer:
    """One row: what was found out about a unit; NaN for what was not yet."""

    unit: Unit
    operators: str
    isolated: float
    accumulated: float
    alone: float
    restored: float
    own: str
    changed: float = math.nan


def layers_of(
    units: Sequence[Unit],
    operators: Mapping[str, str],
    losses: Mapping[tuple[str, str], UnitLoss],
    errors: Mapping[str, NodeError],
    own: Mapping[str, Scheme | None],
) -> list[Layer]:
    """A row for each unit, the worst first."""
    rows = []
    for unit in units:
        seen = [errors[node] for node in unit.nodes if node in errors]
        alone, restored = losses.get((ALONE, unit.name)), losses.get((RESTORED, unit.name))
        names = dict.fromkeys(operators[node] for node in unit.nodes if node in operators)
        rows.append(
            Layer(
                unit,
                ", ".join(names),
                min((error.isolated_db for error in seen), default=math.nan),
                seen[-1].accumulated_db if seen else math.nan,
                alone.sqnr_db if alone is not None else math.nan,
                restored.sqnr_db if restored is not None else math.nan,
                own_word(unit, own),
                changed_answers(alone),
            )
        )
    return sorted(rows, key=lambda row: math.inf if math.isnan(row.alone) else row.alone)


def changed_answers(alone: UnitLoss | None) -> float:
    """What PaddleSlim's sensitivity analysis calls a layer's loss, with the float network's answers as the truth."""
    kept = share_of(alone.outputs, "agreement") if alone is not None else None
    return math.nan if kept is None else 1 - kept


def own_word(unit: Unit, own: Mapping[str, Scheme | None]) -> str:
    """What the weights of a unit have of their own, in a word; empty for nothing."""
    words = {_word(own[weight.name]) for weight in unit.weights if weight.name in own}
    return "" if not words else words.pop() if len(words) == 1 else tr("mixed")


def _word(scheme: Scheme | None) -> str:
    return tr("float") if scheme is None else format_word(scheme.number_format)


def _db(title: str, read: Callable[[Layer], float], tip: str) -> Column:
    def text(row: Layer) -> str:
        return NONE if math.isnan(read(row)) else decibels(read(row))

    return Column(title, text, read, tip, unit="dB")


def columns() -> list[Column]:
    """What is said of each layer."""
    return [
        Column(
            tr("Layer"),
            lambda row: row.unit.name,
            left=True,
            names=True,
            cell_tip=lambda row: "\n".join(map(printable, row.unit.nodes)),
        ),
        Column(tr("Operator"), lambda row: row.operators, left=True),
        Column(tr("Own"), lambda row: row.own, left=True, tip=tr("Where it has a scheme of its own.")),
        Column(
            tr("Bytes"),
            lambda row: byte_text(row.unit.bytes),
            lambda row: row.unit.bytes,
            tr("Of its weights, in the file."),
        ),
        _db(
            tr("Alone"),
            lambda row: row.alone,
            tr("What is left of the output when this layer alone is quantized: exact."),
        ),
        _db(
            tr("Restored"),
            lambda row: row.restored,
            tr("What is left of the output when this layer alone stays in float: exact."),
        ),
        Column(
            tr("Changed"),
            lambda row: NONE if math.isnan(row.changed) else percent(row.changed, 1.0),
            lambda row: row.changed,
            tr(
                "The share of answers (boxes, texts, largest classes) that change when this layer alone is quantized: "
                "what PaddleSlim's sensitivity analysis calls its loss."
            ),
        ),
        _db(
            tr("Isolated"),
            lambda row: row.isolated,
            tr("What is left of its own output, with exact inputs: says little about the network's."),
        ),
        _db(
            tr("Accumulated"),
            lambda row: row.accumulated,
            tr("What is left of its own output, with what comes to it: says little about the network's."),
        ),
    ]


class LayersPanel(QWidget):
    """The sentence, the filter and the table.

    Signals
    -------
    pointed(Layer), opened(Layer)
        A row is current; it was double-clicked.
    sweep_requested()
        Ask about every layer, or stop asking.
    applied(Advice)
    own_requested(Unit, str)
        A layer shall have ``"all"`` (the scheme of all), ``"float"``, ``"8"`` or ``"4"`` bits.
    look_requested(Unit, str)
        Its ``"weight"``, ``"quantized"`` weight, ``"input"``, ``"output"`` or ``"pair"`` shall be seen on another page.
    """

    pointed = Signal(object)
    opened = Signal(object)
    sweep_requested = Signal()
    applied = Signal(object)
    own_requested = Signal(object, str)
    look_requested = Signal(object, str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.advice: Advice | None = None
        self._fitted: tuple[set[str], bool] = (set(), False)
        self.sentence = named_label("", "value", wrap=True)
        self.sentence.setTextFormat(Qt.TextFormat.PlainText)
        self.apply_button = QPushButton(self.tr("Apply"))
        self.apply_button.setToolTip(self.tr("Give this layer what would help; undo brings back what it had."))
        self.apply_button.hide()
        self.sweep_button = QPushButton(self.tr("Which layer hurts?"))
        self.sweep_button.setToolTip(
            self.tr("Run the network with each layer quantized alone, and with each left in float: exact.")
        )
        self.own_buttons: dict[str, QPushButton] = {}
        self.look_button = QPushButton(self.tr("Open"))
        self.look_button.setToolTip(self.tr("See what this layer reads, multiplies and gives on other pages."))
        self.look_button.setMenu(self._look_menu())
        self.look_button.setEnabled(False)
        self.table = FigureTable(columns(), self.tr("Layers"), opening=self.tr("Show its weight on the Tensor page"))
        self.filter = self.table.filter_box()
        said = QHBoxLayout()
        said.addWidget(self.sentence, 1)
        said.addWidget(self.apply_button)
        tools = QHBoxLayout()
        tools.setSpacing(6)
        tools.addWidget(self.sweep_button)
        tools.addWidget(self.filter, 1)
        tools.addWidget(named_label(self.tr("This layer:"), "caption"))
        for key, word in (("all", self.tr("as all")), ("float", self.tr("float")), ("8", "8 bits"), ("4", "4 bits")):
            button = QPushButton(word)
            button.setAccessibleName(self.tr("This layer: {word}").format(word=word))
            button.setProperty("key", key)
            button.setEnabled(False)
            button.clicked.connect(self._on_own)
            tools.addWidget(button)
            self.own_buttons[key] = button
        tools.addWidget(self.look_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.setSpacing(6)
        layout.addLayout(said)
        layout.addLayout(tools)
        layout.addWidget(self.table, 1)
        self.sweep_button.clicked.connect(self.sweep_requested)
        self.apply_button.clicked.connect(self._on_apply)
        self.table.pointed.connect(self._on_pointed)
        self.table.opened.connect(self.opened)
        self.say(None, "")

    def _look_menu(self) -> QMenu:
        menu = QMenu(self)
        for key, text in (
            ("weight", self.tr("Its weight")),
            ("quantized", self.tr("Its weight, quantized")),
            ("input", self.tr("What enters it")),
            ("output", self.tr("What leaves it")),
            ("pair", self.tr("Activation × weight, on the Product page")),
        ):
            menu.addAction(text).setData(key)
        menu.triggered.connect(self._on_look)
        return menu

    def show_layers(self, rows: Sequence[Layer]) -> None:
        """Other rows; the same layer stays current. Columns are fitted, which is slow, when figures have come."""
        current = self.table.current()
        wide = {row.unit.name for row in rows}, sum(not math.isnan(row.alone) for row in rows) > 0
        if wide == self._fitted:
            self.table.figures.set_rows(rows)
        else:
            self._fitted = wide
            self.table.set_rows(rows)
        if current is not None:
            self.point_to(current.unit.name)

    def say(self, advice: Advice | None, otherwise: str) -> None:
        """The sentence on the worst layer, or another one."""
        self.advice = advice
        if advice is not None:
            self.sentence.setText(" ".join(told(each) for each in advice.sentences))
        else:
            self.sentence.setText(otherwise)
        self.apply_button.setVisible(advice is not None and bool(advice.unit.weights))

    def point_to(self, unit: str) -> None:
        """Make the row of a unit current, without telling anybody."""
        row = next((row for row in self.table.figures.rows if row.unit.name == unit), None)
        self.table.point_to(row)
        self._allow(row)

    @Slot(bool)
    def show_sweeping(self, sweeping: bool) -> None:
        """The button stops what is under way."""
        self.sweep_button.setText(self.tr("Stop") if sweeping else self.tr("Which layer hurts?"))

    def apply_theme(self, theme: Theme) -> None:
        self.table.apply_theme(theme)

    def _allow(self, row: Layer | None) -> None:
        self.look_button.setEnabled(row is not None)
        for button in self.own_buttons.values():
            button.setEnabled(row is not None and bool(row.unit.weights))

    @Slot(object)
    def _on_pointed(self, row: Layer | None) -> None:
        self._allow(row)
        if row is not None:
            self.pointed.emit(row)

    @Slot(QAction)
    def _on_look(self, action: QAction) -> None:
        row = self.table.current()
        if row is not None:
            self.look_requested.emit(row.unit, action.data())

    @Slot()
    def _on_own(self) -> None:
        row, button = self.table.current(), self.sender()
        if row is not None and button is not None:
            self.own_requested.emit(row.unit, button.property("key"))

    @Slot()
    def _on_apply(self) -> None:
        if self.advice is not None:
            self.applied.emit(self.advice)
