"""How are the modules of a checkpoint shown as a tree, whose branches are made when they are opened?"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QPersistentModelIndex, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTreeView

from qviz.core.printable import printable
from qviz.gui.kit.copying import asks_to_copy, copy_lines
from qviz.gui.kit.theme import scaled_font
from qviz.gui.kit.widgets import plain_tip
from qviz.gui.words.numbers import whole
from qviz.models.module_tree import Module, ModuleTree
from qviz.models.weight_table import WeightTable
from qviz.session.guard import guarded
from qviz.session.language import tr

Index = QModelIndex | QPersistentModelIndex


@guarded
class ModulesModel(QAbstractItemModel):
    """A `ModuleTree` as Qt sees it: all tensors at the top, the modules below."""

    def __init__(self) -> None:
        super().__init__()
        self.tree = ModuleTree(WeightTable(()))

    def set_tree(self, tree: ModuleTree) -> None:
        """Another checkpoint."""
        self.beginResetModel()
        self.tree = tree
        self.endResetModel()

    def module(self, index: Index) -> Module:
        """What stands there; everything for nowhere."""
        return index.internalPointer() if index.isValid() else self.tree.root

    def index(self, row: int, column: int, parent: Index = QModelIndex()) -> QModelIndex:  # noqa: B008
        children = self.tree.children(self.module(parent))
        return self.createIndex(row, column, children[row]) if 0 <= row < len(children) else QModelIndex()

    def parent(self, index: Index = QModelIndex()) -> Any:  # noqa: B008
        module = self.module(index).parent if index.isValid() else None
        if module is None or module is self.tree.root:
            return QModelIndex()
        return self.createIndex(module.place, 0, module)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.column() > 0 else len(self.tree.children(self.module(parent)))

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 2

    def hasChildren(self, parent: Index = QModelIndex()) -> bool:  # noqa: B008
        return parent.column() <= 0 and self.tree.has_children(self.module(parent))

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return (tr("Module"), tr("Tensors"))[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        module = self.module(index)
        if role == Qt.ItemDataRole.DisplayRole:
            return printable(module.label) if index.column() == 0 else whole(len(module))
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(printable(module.label))
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() == 1:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None


@guarded
class ModuleTreeView(QTreeView):
    """The tree.

    Signals
    -------
    chosen(Module)
        The one whose tensors shall be in sight; the root for all.
    """

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.modules = ModulesModel()
        self.setModel(self.modules)
        self.setAccessibleName(self.tr("Modules"))
        self.setUniformRowHeights(True)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setFont(scaled_font(self.font(), 12))
        self.setIndentation(14)
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        header.setFont(self.font())
        self.selectionModel().currentChanged.connect(self._on_current)

    def show_tree(self, tree: ModuleTree) -> None:
        """Another checkpoint, its first modules open while they are few."""
        self.modules.set_tree(tree)
        few = self.modules.rowCount() <= 4
        for row in range(self.modules.rowCount() if few else 0):
            index = self.modules.index(row, 0)
            if self.modules.rowCount() == 1 or len(tree.children(self.modules.module(index))) <= 20:
                self.expand(index)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if asks_to_copy(event):
            self._copy()
        else:
            super().keyPressEvent(event)

    def _copy(self) -> None:
        """The module that the keyboard is at, or all tensors, to the clipboard."""
        module = self.modules.module(self.currentIndex())
        head, name = [tr("Module"), tr("Tensors")], printable(module.label)
        copy_lines([head, [name, len(module)]], [head, [name, whole(len(module))]])

    @Slot(QModelIndex, QModelIndex)
    def _on_current(self, now: QModelIndex, before: QModelIndex) -> None:
        self.chosen.emit(self.modules.module(now))
