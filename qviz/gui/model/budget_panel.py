"""How many bytes may a checkpoint take? A slider along the front of its choices, and what is written of one."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QHBoxLayout, QMenu, QPushButton, QToolButton, QVBoxLayout, QWidget

from qviz.core.printable import printable
from qviz.core.sizes import byte_text
from qviz.gui.kit.fields import ComboBox, Slider
from qviz.gui.kit.theme import Theme
from qviz.gui.kit.widgets import named_label, plain_tip, quiet
from qviz.gui.model.budget_chart import BudgetChart
from qviz.gui.model.hints import Hinted
from qviz.gui.words.numbers import decibels, whole
from qviz.models import plans
from qviz.session.checkpoint_budget import INTEGERS, LLAMA, Budget
from qviz.session.language import tr

CHOOSE = "choose"
"""The objective that asks for a file."""

LEAST_HEIGHT = 132
"""Of the chart: the title of its axis is read from below."""


class BudgetPanel(QWidget):
    """The formats to choose among, the front, and the slider.

    Signals
    -------
    find_requested(str)
        Among the formats of a kind.
    importances_requested()
        A file of importances shall be chosen.
    moved(int)
        To a point of the front.
    save_requested(str)
        In the words of a tool: one of `qviz.models.plans.FORMS`.
    """

    find_requested = Signal(str)
    importances_requested = Signal()
    moved = Signal(int)
    save_requested = Signal(str)

    def __init__(self, chart: BudgetChart) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.chart = chart
        self.kind = ComboBox()
        self.kind.setAccessibleName(self.tr("Formats to choose among"))
        self.kind.addItem(self.tr("int3 … int8"), INTEGERS)
        self.kind.addItem(self.tr("Q2_K … Q8_0"), LLAMA)
        self.kind.setToolTip(self.tr("Integers of 3 to 8 bits in blocks of 32, or llama.cpp's types."))
        self.objective = ComboBox()
        self.objective.setAccessibleName(self.tr("What an error counts"))
        self.objective.addItem(self.tr("Errors alike"), None)
        self.objective.addItem(self.tr("Importance matrix…"), CHOOSE)
        self.objective.setToolTip(
            self.tr(
                "Errors of all weights count alike, or each column's as much as llama-imatrix measured; K-quants then "
                "seek their scales by it, too."
            )
        )
        for field in (self.kind, self.objective):
            field.stay_narrow(12)
        self.find_button = QPushButton(self.tr("Find"))
        self.find_button.setToolTip(
            self.tr("Measure every tensor under each of these formats, and find the best choices.")
        )
        self.save_button = QToolButton()
        self.save_button.setObjectName("text")
        self.save_button.setText(self.tr("Save for…"))
        self.save_button.setToolTip(self.tr("Write this choice in the words of another tool."))
        self.save_button.setAccessibleName(self.tr("Save the choice for another tool"))
        self.save_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self)
        for form, text in (
            (plans.CSV, tr("A table (CSV)…")),
            (plans.LLAMA, tr("llama.cpp (--tensor-type)…")),
            (plans.COMPRESSED_TENSORS, tr("compressed-tensors (a recipe)…")),
            (plans.ONNXRUNTIME, tr("ONNX Runtime (overrides)…")),
            (plans.NETRON, tr("Netron (an attachment)…")),
            (plans.MODEL_EXPLORER, tr("Model Explorer (node data)…")),
        ):
            menu.addAction(text).setData(form)
        menu.triggered.connect(self._on_save)
        self.save_button.setMenu(menu)
        self.slider = Slider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName(self.tr("From the fewest bytes to the least error"))
        self.said = named_label("", "caption")
        self.said.setToolTip(self.tr("Weight error is not accuracy: Network measures what the output loses."))
        first = QHBoxLayout()
        first.addWidget(self.kind, 3)
        first.addWidget(self.objective, 2)
        first.addWidget(self.find_button)
        first.addWidget(self.save_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 4)
        layout.setSpacing(3)
        layout.addLayout(first)
        self.place = Hinted(chart, self.tr("Which tensors need more bits? Choose formats and find out."))
        self.place.hint.setMargin(4)
        self.place.setMinimumHeight(LEAST_HEIGHT)
        layout.addWidget(self.place, 1)
        layout.addWidget(self.slider)
        layout.addWidget(self.said)
        self.find_button.clicked.connect(self._on_find)
        self.objective.activated.connect(self._on_objective)
        self.slider.valueChanged.connect(self._on_slider)
        chart.chosen.connect(self.slider.setValue)
        self.present(None)

    @property
    def budget(self) -> Budget | None:
        return self.chart.budget

    @property
    def at(self) -> int:
        """The point that is chosen."""
        return self.slider.value()

    @property
    def importances(self) -> Path | None:
        """What errors are weighed by."""
        found = self.objective.currentData()
        return found if isinstance(found, Path) else None

    def set_importances(self, path: Path | None) -> None:
        """What was chosen; None where nothing was."""
        if path is not None:
            while self.objective.count() > 2:
                self.objective.removeItem(1)
            self.objective.insertItem(1, printable(path.name), path)
            self.objective.setItemData(1, plain_tip(printable(str(path))), Qt.ItemDataRole.ToolTipRole)
            self.objective.setCurrentIndex(1)
        elif self.objective.currentData() == CHOOSE:
            self.objective.setCurrentIndex(0)

    def present(self, budget: Budget | None) -> None:
        """Another front; in the middle of it."""
        self.chart.show_budget(budget)
        last = len(budget.front) - 1 if budget is not None else 0
        with quiet((self.slider,)):
            self.slider.setRange(0, last)
            self.slider.setValue(last // 2)
        self.place.show_content(budget is not None)
        for widget in (self.slider, self.save_button):
            widget.setEnabled(budget is not None)
        self._show()

    def show_finding(self, finding: bool) -> None:
        """What is under way can be stopped in the status bar."""
        self.find_button.setEnabled(not finding)

    def apply_theme(self, theme: Theme) -> None:
        self.place.apply_theme(theme)

    def _show(self) -> None:
        budget = self.budget
        if budget is None:
            self.said.setText("")
            return
        self.chart.choose(self.at)
        size, error = float(budget.nbytes[self.at]), float(budget.sqnr_db[self.at])
        counts = ", ".join(f"{whole(count)} × {name}" for name, count in budget.counts(self.at).items())
        by = " " + tr("weighed by {name}").format(name=budget.by) if budget.by else ""
        self.said.setText(f"{byte_text(round(size))}, {decibels(error)}{by}: {counts}")

    @Slot()
    def _on_find(self) -> None:
        self.find_requested.emit(self.kind.currentData())

    @Slot(int)
    def _on_objective(self, at: int) -> None:
        if self.objective.itemData(at) == CHOOSE:
            self.importances_requested.emit()

    @Slot(int)
    def _on_slider(self, at: int) -> None:
        self._show()
        self.moved.emit(at)

    @Slot(QAction)
    def _on_save(self, action: QAction) -> None:
        self.save_requested.emit(action.data())
