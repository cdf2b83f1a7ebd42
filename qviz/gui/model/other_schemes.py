"""Under which more schemes are the tensors of a checkpoint measured, a column each?"""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QToolButton

from qviz.core.schemes.presets import PRESETS
from qviz.core.schemes.scheme import Scheme
from qviz.gui.kit.widgets import plain_tip
from qviz.models.weight_table import OTHERS
from qviz.session.language import told, tr


class OtherSchemes(QToolButton):
    """A button with all presets to tick.

    Signals
    -------
    chosen()
        Others are ticked now.
    """

    chosen = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("text")
        self.setToolTip(
            self.tr("Measure under more schemes, too: each gets a column, by which rows are ordered and filtered.")
        )
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._ticked: list[QAction] = []
        self._menu = QMenu(self)
        self._menu.setToolTipsVisible(True)
        for preset in PRESETS:
            action = self._menu.addAction(tr(preset.name))
            action.setCheckable(True)
            action.setData(preset.scheme)
            action.setToolTip(plain_tip(told(preset.about)))
        self._menu.triggered.connect(self._on_ticked)
        self.setMenu(self._menu)
        self._say()

    @property
    def schemes(self) -> tuple[Scheme, ...]:
        """In the order in which they were ticked."""
        return tuple(action.data() for action in self._ticked)

    @property
    def names(self) -> tuple[str, ...]:
        """What they are called."""
        return tuple(action.text() for action in self._ticked)

    @Slot(QAction)
    def _on_ticked(self, action: QAction) -> None:
        if not action.isChecked():
            self._ticked.remove(action)
        elif len(self._ticked) == len(OTHERS):
            action.setChecked(False)
            return
        else:
            self._ticked.append(action)
        self._say()
        self.chosen.emit()

    def _say(self) -> None:
        count = len(self._ticked)
        text = self.tr("+ {count} schemes").format(count=count) if count else self.tr("+ Schemes")
        self.setText(self.tr("+ 1 scheme") if count == 1 else text)
        self.setAccessibleName(self.tr("More schemes to measure: {count}").format(count=count))
