"""How are all tensors of a checkpoint looked at: a tree of its modules, a table, and a map of the whole model?"""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from qviz.core.problems import Problem
from qviz.core.schemes.presets import PRESETS
from qviz.core.schemes.scheme import Scheme
from qviz.core.sizes import byte_text
from qviz.gui.charts.cards import Card
from qviz.gui.kit.fields import ComboBox, FilterBox
from qviz.gui.kit.figure_model import Column
from qviz.gui.kit.figure_table import FigureTable
from qviz.gui.kit.theme import Theme
from qviz.gui.kit.widgets import Segments, named_label, plain_tip, quiet
from qviz.gui.model.budget_panel import BudgetPanel
from qviz.gui.model.module_tree_view import ModuleTreeView
from qviz.gui.model.other_schemes import OtherSchemes
from qviz.gui.model.weight_map_chart import WeightMapChart
from qviz.gui.model.weights_model import counted, group_filter, group_word
from qviz.gui.model.weights_view import WeightsView
from qviz.gui.words.numbers import NONE, fixed, percent, whole
from qviz.models.module_tree import Module, ModuleTree
from qviz.models.weight_filter import of_cell, weight_filter
from qviz.models.weight_table import Group, WeightTable, grouped
from qviz.session.language import told, tr

TENSORS, LAYERS, ROLES = "", "layer", "role"


def group_columns(by: str) -> list[Column]:
    """Of each layer or role."""

    def db(value: float) -> str:
        return NONE if np.isnan(value) else tr("exact") if np.isinf(value) else fixed(value, 2)

    lowest = tr("The lowest among its tensors.")
    return [
        Column(
            tr("Layer") if by == LAYERS else tr("Role"),
            lambda group: group_word(by, group.key),
            lambda group: int(group.key or 1 << 30) if by == LAYERS else group.key,
            left=True,
        ),
        Column(tr("Tensors"), lambda group: whole(group.rows.size), lambda group: int(group.rows.size)),
        Column(tr("Bytes"), lambda group: byte_text(int(group.nbytes)), lambda group: group.nbytes),
        Column(tr("Share"), lambda group: percent(group.share, 1.0), lambda group: group.share),
        Column(tr("SQNR (dB)"), lambda group: db(group.sqnr), lambda group: float(group.sqnr), lowest, 1),
        Column(tr("Worst group (dB)"), lambda group: db(group.worst), lambda group: float(group.worst), lowest, 1),
        Column(
            tr("Saturated"),
            lambda group: NONE if np.isnan(group.saturated) else percent(group.saturated, 1.0),
            lambda group: float(group.saturated),
            tr("The largest share among its tensors."),
            -1,
        ),
    ]


class CheckpointPanel(QWidget):
    """Tree, table and map, what they are narrowed by, and what is measured.

    Signals
    -------
    opened(int)
        A row, to be seen on the Tensor page.
    open_requested(), audit_requested(), cancel_requested()
    scheme_chosen()
        Figures under another scheme shall be shown.
    budget_toggled(bool)
        The budget was shown or hidden.
    """

    opened = Signal(int)
    open_requested = Signal()
    audit_requested = Signal()
    cancel_requested = Signal()
    scheme_chosen = Signal()
    budget_toggled = Signal(bool)

    def __init__(self, chart: WeightMapChart, budget: BudgetPanel) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.map, self.budget = chart, budget
        self._module: Module | None = None
        self._build()
        self._arrange()
        self.filter.textChanged.connect(self._on_filter)
        self.filter.descended.connect(self._on_descended)
        self.filter.returnPressed.connect(self._on_descended)
        self.by.chosen.connect(self._on_by)
        self.tree.chosen.connect(self._on_module)
        self.view.opened.connect(self.opened)
        self.groups.opened.connect(self._on_group)
        self.map.chosen.connect(self._on_cell)
        self.scheme.activated.connect(self.scheme_chosen)
        self.others.chosen.connect(self._on_others)
        self.open_button.clicked.connect(self.open_requested)
        self.audit_button.clicked.connect(self._on_audit)
        self.budget_button.toggled.connect(self._on_budget)

    def _build(self) -> None:
        self.open_button = QPushButton(self.tr("Open…"))
        self.open_button.setToolTip(self.tr("Open a checkpoint; a folder of its parts can be dropped."))
        self.filter = FilterBox(
            self.tr("Filter: a part of a name, or sqnr < 30 and bytes > 1 MiB"), self.tr("Filter tensors")
        )
        self.filter.setToolTip(
            self.tr(
                "Words are looked for in the names. Figures are compared: bytes, share, elements, axes, layer, sqnr, "
                "rmse, worst, outlier, kurtosis, saturated, bits, gain; sqnr2 and so on under more schemes. Texts too: "
                "role = q, type = bf*, name ~ layers.3. Join them by and, or, not and parentheses."
            )
        )
        self.trouble = named_label("", "problem", wrap=True)
        self.trouble.hide()
        self.about = named_label("", "caption")
        self.by = Segments(
            [
                (TENSORS, self.tr("Tensors"), self.tr("Each tensor by itself.")),
                (LAYERS, self.tr("Layers"), self.tr("The tensors of each layer together.")),
                (ROLES, self.tr("Roles"), self.tr("All tensors that do the same together: q, k, v, up, down …")),
            ],
            self.tr("Rows"),
        )
        self.by.setFixedWidth(230)
        self.by.choose(TENSORS)
        self.scheme = ComboBox()
        self.scheme.setAccessibleName(self.tr("Scheme to measure"))
        self.scheme.setMaxVisibleItems(40)
        self.scheme.addItem(self.tr("Scheme of the Tensor page"), None)
        for preset in PRESETS:
            self.scheme.addItem(tr(preset.name), preset.scheme)
            tip = plain_tip(told(preset.about))
            self.scheme.setItemData(self.scheme.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.scheme.stay_narrow(22)
        self.others = OtherSchemes()
        self.one_axis = QCheckBox(self.tr("1-D too"))
        self.one_axis.setToolTip(self.tr("Biases and the scales of norms stay in float otherwise, as in practice."))
        self.estimators = QCheckBox(self.tr("Estimators"))
        self.estimators.setToolTip(
            self.tr(
                "Try min–max, a percentile and least MSE on each tensor, too (entropy where it has one scale), and "
                "name the best."
            )
        )
        self.audit_button = QPushButton(self.tr("Measure"))
        self.audit_button.setToolTip(
            self.tr("Quantize every tensor that the filter leaves, every element of it. It can be stopped and gone on.")
        )
        self.budget_button = QPushButton(self.tr("Budget"))
        self.budget_button.setCheckable(True)
        self.budget_button.setToolTip(self.tr("A format for each tensor, so that all fit in so many bytes."))
        self.progress = named_label("", "caption")
        self.tree = ModuleTreeView()
        self.view = WeightsView()
        self.groups = FigureTable(
            group_columns(LAYERS), self.tr("Layers and roles"), opening=self.tr("Show these tensors")
        )

    def _arrange(self) -> None:
        first, second = QHBoxLayout(), QHBoxLayout()
        first.addWidget(self.open_button)
        first.addWidget(self.filter, 1)
        first.addWidget(self.about)
        second.addWidget(self.by)
        second.addSpacing(8)
        second.addWidget(self.scheme)
        second.addWidget(self.others)
        second.addWidget(self.one_axis)
        second.addWidget(self.estimators)
        second.addWidget(self.audit_button)
        second.addWidget(self.progress, 1)
        second.addWidget(self.budget_button)
        self.tables = QStackedWidget()
        self.tables.addWidget(self.view)
        self.tables.addWidget(self.groups)
        self.map_card = Card(self.map.title(), self.map)
        down = QSplitter(Qt.Orientation.Vertical)
        down.addWidget(self.tables)
        self.budget_card = Card(self.budget.chart.title(), self.budget)
        self.budget_card.hide()
        self.below = QSplitter(Qt.Orientation.Horizontal)
        self.below.addWidget(self.map_card)
        self.below.addWidget(self.budget_card)
        self.below.setStretchFactor(0, 1)
        down.addWidget(self.below)
        down.setStretchFactor(0, 1)
        down.setSizes([320, 230])
        across = QSplitter(Qt.Orientation.Horizontal)
        across.addWidget(self.tree)
        across.addWidget(down)
        across.setStretchFactor(0, 0)
        across.setStretchFactor(1, 1)
        across.setSizes([230, 900])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 6)
        layout.addLayout(first)
        layout.addWidget(self.trouble)
        layout.addLayout(second)
        layout.addWidget(across, 1)

    # -- what is shown

    @property
    def table(self) -> WeightTable:
        """Of the checkpoint that is shown."""
        return self.view.weights.table

    def chosen_scheme(self) -> Scheme | None:
        """None for that of the Tensor page."""
        found = self.scheme.currentData()
        return found if isinstance(found, Scheme) else None

    @Slot()
    def _on_others(self) -> None:
        self.view.set_others(self.others.names)
        self.scheme_chosen.emit()

    def show_table(self, table: WeightTable, tree: ModuleTree) -> None:
        """Another checkpoint, all of it."""
        self._module = None
        with quiet((self.filter,)):
            self.filter.clear()
        self.trouble.hide()
        self.view.weights.set_table(table)
        self.tree.show_tree(tree)
        self.view.fit()
        self.show_progress("")
        self._show_rows()

    def refresh(self) -> None:
        """Figures have come."""
        if "sqnr" in self.filter.text().lower() or not self.view.weights.shown.size:
            self._keep()
        else:
            self.view.weights.refresh()
        self._show_rows()

    def _show_rows(self) -> None:
        rows = self.view.weights.shown
        self.about.setText(counted(rows, self.table) if len(self.table) else "")
        by = LAYERS if self.by.button(LAYERS).isChecked() else ROLES if self.by.button(ROLES).isChecked() else TENSORS
        self.tables.setCurrentIndex(0 if by == TENSORS else 1)
        if by != TENSORS:
            self.groups.set_rows(grouped(self.table, np.sort(rows), by), group_columns(by))

    def show_progress(self, text: str, *, busy: bool = False) -> None:
        """What stands beside the button, and whether it stops what is under way."""
        self.progress.setText(text)
        self.audit_button.setText(self.tr("Stop") if busy else self.tr("Measure"))

    def point_to(self, row: int) -> None:
        """What the Tensor page shows."""
        self.view.point_to(row)

    def text(self) -> str:
        """What is in sight, as tab-separated lines."""
        return "".join("\t".join(line) + "\n" for line in self.view.excerpt().pretty())

    @Slot()
    def copy(self) -> None:
        """What is in sight, to the clipboard: figures to their last digit."""
        (self.view if self.tables.currentIndex() == 0 else self.groups).copy()

    def apply_theme(self, theme: Theme) -> None:
        self.view.weights.set_theme(theme)
        self.groups.apply_theme(theme)
        self.map_card.apply_theme(theme)
        self.budget_card.apply_theme(theme)

    # -- what narrows it

    @Slot(str)
    def _on_filter(self, text: str) -> None:
        self._keep()
        self._show_rows()

    def _keep(self) -> None:
        try:
            mask = weight_filter(self.filter.text())(self.table)
        except Problem as problem:
            self.trouble.setText(told(problem))
            self.trouble.show()
            return
        self.trouble.hide()
        if self._module is not None and self._module.parent is not None:
            within = np.zeros(len(self.table), bool)
            within[self.tree.modules.tree.rows(self._module)] = True
            mask = mask & within
        self.view.weights.keep(mask)

    @Slot(object)
    def _on_module(self, module: Module) -> None:
        self._module = module
        self._keep()
        self._show_rows()
        self.view.scrollToTop()

    @Slot()
    def _on_descended(self) -> None:
        """From the filter into the table."""
        self.by.choose(TENSORS)
        self._show_rows()
        self.view.setFocus(Qt.FocusReason.OtherFocusReason)
        if self.view.current_row() < 0 and self.view.weights.shown.size:
            self.view.selectRow(0)

    @Slot(object)
    def _on_by(self, by: str) -> None:
        self._show_rows()

    @Slot(object)
    def _on_group(self, group: Group) -> None:
        by = LAYERS if self.by.button(LAYERS).isChecked() else ROLES
        self._narrow(group_filter(by, group))

    @Slot(int, str)
    def _on_cell(self, layer: int, role: str) -> None:
        self._narrow(of_cell(layer, role))

    def _narrow(self, text: str) -> None:
        self.by.choose(TENSORS)
        self.filter.setText(text)
        self._show_rows()

    @Slot(bool)
    def _on_budget(self, shown: bool) -> None:
        self.budget_card.setVisible(shown)
        if shown:
            width = max(2, self.below.width())
            self.below.setSizes([width * 55 // 100, width * 45 // 100])
        self.budget_toggled.emit(shown)

    @Slot()
    def _on_audit(self) -> None:
        if self.audit_button.text() == self.tr("Stop"):
            self.cancel_requested.emit()
        else:
            self.audit_requested.emit()
