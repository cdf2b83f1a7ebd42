"""Of which operation is the speed looked at: the addition of the article, or a multiplication with a weight?"""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMenu, QToolButton

BATCHES = (1, 8, 32, 128)
ADDITION = 0


class OperationButton(QToolButton):
    """Says what is measured, and opens the list of what else can be.

    Signals
    -------
    chosen(int)
        How many rows are multiplied; `ADDITION` for none.
    """

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.batch = ADDITION
        self.setObjectName("text")
        self.setFixedSize(74, 24)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setToolTip(self.tr("What is measured: an addition, or matrix products with a weight of this shape."))
        self.setAccessibleName(self.tr("Operation"))
        menu, group = QMenu(self), QActionGroup(self)
        self.actions_: dict[int, QAction] = {}
        words = {ADDITION: self.tr("Addition, element by element")}
        words |= {batch: self.tr("Matrix product, batch {batch}").format(batch=batch) for batch in BATCHES}
        for batch, text in words.items():
            action = menu.addAction(text)
            action.setCheckable(True)
            action.setChecked(batch == ADDITION)
            action.setData(batch)
            group.addAction(action)
            self.actions_[batch] = action
        self.setMenu(menu)
        group.triggered.connect(self._on_triggered)
        self._show()

    def _show(self) -> None:
        self.setText("a + b" if self.batch == ADDITION else f"{self.batch} × W")

    @Slot(QAction)
    def _on_triggered(self, action: QAction) -> None:
        if action.data() != self.batch:
            self.batch = action.data()
            self._show()
            self.chosen.emit(self.batch)
