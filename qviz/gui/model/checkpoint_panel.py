"""How are all tensors of a checkpoint looked at: a tree of its modules, a table, and a map of the whole model?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from PySide6.QtCore import QModelIndex, QPoint, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QMenu,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from qviz.core.problems import Problem
from qviz.core.schemes.presets import PRESETS
from qviz.core.schemes.scheme import Scheme
from qviz.core.sizes import byte_text
from qviz.gui.charts.cards import Card
from qviz.gui.kit.copying import Excerpt
from qviz.gui.kit.fields import ComboBox, FilterBox
from qviz.gui.kit.figure_model import Column
from qviz.gui.kit.figure_table import FigureTable
from qviz.gui.kit.theme import Theme, scaled_font
from qviz.gui.kit.widgets import Segments, named_label, plain_tip, quiet
from qviz.gui.model.module_tree_view import ModuleTreeView
from qviz.gui.model.weight_map_chart import WeightMapChart
from qviz.gui.model.weights_model import WeightsModel, counted, group_filter, group_word
from qviz.gui.words.numbers import NONE, fixed, percent, whole
from qviz.models.module_tree import Module, ModuleTree
from qviz.models.weight_filter import of_cell, weight_filter
from qviz.models.weight_table import Group, WeightTable, grouped
from qviz.session.guard import guarded
from qviz.session.language import told, tr

TENSORS, LAYERS, ROLES = "", "layer", "role"
ROW_HEIGHT = 22
WIDEST_NAME = 420


@guarded
class WeightsView(QTableView):
    """The table of tensors.

    Signals
    -------
    opened(int)
        A row of the table: double-clicked, or Enter was pressed on it.
    export_requested(Excerpt)
        Its rows shall go to a file.
    """

    opened = Signal(int)
    export_requested = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.weights = WeightsModel(self)
        self.setModel(self.weights)
        self.setObjectName("figures")
        self.setAccessibleName(self.tr("Tensors"))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.setFont(scaled_font(self.font(), 12))
        header = self.horizontalHeader()
        header.setFont(self.font())
        header.setHighlightSections(False)
        header.setMinimumSectionSize(28)
        header.setResizeContentsPrecision(100)
        header.setSectionsClickable(True)
        header.setSortIndicatorShown(True)
        header.setSortIndicatorClearable(True)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        header.sortIndicatorChanged.connect(self._on_sorted)
        self.doubleClicked.connect(self._on_double_click)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._on_context_menu)

    def excerpt(self, rows: Sequence[int] | None = None) -> Excerpt:
        """What is copied and exported of these rows of the table, or of all in sight."""
        weights, table = self.weights, self.weights.table
        shown = weights.shown.tolist() if rows is None else rows
        head = [column.title for column in weights.columns]
        plain: list[list[Any]] = [
            [
                weights.text(row, column) if column.text is None else float(table.numbers[column.key][row])
                for column in weights.columns
            ]
            for row in shown
        ]
        pretty = [[weights.text(row, column) for column in weights.columns] for row in shown]
        return Excerpt(self.accessibleName(), [head, *plain], [head, *pretty])

    def menu_of(self, row: int) -> QMenu:
        """What can be done with one row; made when it is asked for."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(self.tr("Show on the Tensor page")).triggered.connect(partial(self._open, row))
        menu.addSeparator()
        menu.addAction(self.tr("Copy row")).triggered.connect(partial(self._copy_row, row))
        menu.addAction(self.tr("Copy table")).triggered.connect(self.copy)
        menu.addAction(self.tr("Export table…")).triggered.connect(self._export)
        return menu

    def _open(self, row: int, *_: object) -> None:
        self.opened.emit(row)

    def _copy_row(self, row: int, *_: object) -> None:
        self.excerpt([row]).copy()

    @Slot()
    def copy(self) -> None:
        """What is in sight, to the clipboard: figures to their last digit."""
        self.excerpt().copy()

    @Slot()
    def _export(self) -> None:
        self.export_requested.emit(self.excerpt())

    @Slot(QPoint)
    def _on_context_menu(self, position: QPoint) -> None:
        index = self.indexAt(position)
        if index.isValid():
            self.menu_of(int(self.weights.shown[index.row()])).popup(self.viewport().mapToGlobal(position))

    def fit(self) -> None:
        """Columns as wide as what is in sight of them."""
        self.resizeColumnsToContents()
        self.setColumnWidth(0, min(self.columnWidth(0), max(160, min(WIDEST_NAME, 2 * self.viewport().width() // 5))))

    def current_row(self) -> int:
        """The row of the table that the keyboard is at; −1 for none."""
        at = self.currentIndex().row()
        return int(self.weights.shown[at]) if 0 <= at < self.weights.shown.size else -1

    def point_to(self, row: int) -> None:
        """Make a row current, where it is in sight."""
        at = self.weights.place(row)
        if at >= 0:
            index = self.weights.index(at, 0)
            self.setCurrentIndex(index)
            self.scrollTo(index)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        row = self.current_row()
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and row >= 0:
            self.opened.emit(row)
        else:
            super().keyPressEvent(event)

    @Slot(QModelIndex)
    def _on_double_click(self, index: QModelIndex) -> None:
        self.opened.emit(int(self.weights.shown[index.row()]))

    @Slot(int, Qt.SortOrder)
    def _on_sorted(self, column: int, order: Qt.SortOrder) -> None:
        self.weights.order_by(column, descending=order == Qt.SortOrder.DescendingOrder)
        if self.currentIndex().isValid():
            self.scrollTo(self.currentIndex())
        else:
            self.scrollToTop()


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
    """

    opened = Signal(int)
    open_requested = Signal()
    audit_requested = Signal()
    cancel_requested = Signal()
    scheme_chosen = Signal()

    def __init__(self, chart: WeightMapChart) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.map = chart
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
        self.open_button.clicked.connect(self.open_requested)
        self.audit_button.clicked.connect(self._on_audit)

    def _build(self) -> None:
        self.open_button = QPushButton(self.tr("Open…"))
        self.open_button.setToolTip(self.tr("Open a checkpoint; a folder of its parts can be dropped."))
        self.filter = FilterBox(
            self.tr("Filter: a part of a name, or sqnr < 30 and bytes > 1 MiB"), self.tr("Filter tensors")
        )
        self.filter.setToolTip(
            self.tr(
                "Words are looked for in the names. Figures are compared: bytes, share, elements, axes, layer, sqnr, "
                "rmse, worst, outlier, kurtosis, saturated, bits. Texts too: role = q, type = bf*, name ~ layers.3. "
                "Join them by and, or, not and parentheses."
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
        self.scheme.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.scheme.setMinimumContentsLength(22)
        self.one_axis = QCheckBox(self.tr("1-D too"))
        self.one_axis.setToolTip(self.tr("Biases and the scales of norms stay in float otherwise, as in practice."))
        self.audit_button = QPushButton(self.tr("Measure"))
        self.audit_button.setToolTip(
            self.tr("Quantize every tensor that the filter leaves, every element of it. It can be stopped and gone on.")
        )
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
        second.addWidget(self.one_axis)
        second.addWidget(self.audit_button)
        second.addWidget(self.progress, 1)
        self.tables = QStackedWidget()
        self.tables.addWidget(self.view)
        self.tables.addWidget(self.groups)
        self.map_card = Card(self.map.title(), self.map)
        down = QSplitter(Qt.Orientation.Vertical)
        down.addWidget(self.tables)
        down.addWidget(self.map_card)
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
        return "".join("\t".join(line) + "\n" for line in self.view.excerpt().pretty)

    @Slot()
    def copy(self) -> None:
        """What is in sight, to the clipboard: figures to their last digit."""
        (self.view if self.tables.currentIndex() == 0 else self.groups).copy()

    def apply_theme(self, theme: Theme) -> None:
        self.view.weights.set_theme(theme)
        self.groups.apply_theme(theme)
        self.map_card.apply_theme(theme)

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

    @Slot()
    def _on_audit(self) -> None:
        if self.audit_button.text() == self.tr("Stop"):
            self.cancel_requested.emit()
        else:
            self.audit_requested.emit()
