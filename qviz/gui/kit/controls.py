"""With which controls are bits, a mode and a range rule chosen, wherever they are?"""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QWidget

from qviz.gui.kit.fields import ComboBox, Slider, SpinBox
from qviz.gui.kit.widgets import Segments, quiet
from qviz.session.language import tr

BOX_WIDTH = 44


class BitsControl(QWidget):
    """A bit width, with a slider and as a number.

    Signals
    -------
    chosen(int)
        A person chose another one, with either.
    """

    chosen = Signal(int)

    def __init__(self, bits: range, name: str, number_name: str = "") -> None:
        """``name`` and ``number_name``: what a screen reader calls the slider, and the number beside it."""
        super().__init__()
        self.slider, self.box = Slider(Qt.Orientation.Horizontal), SpinBox()
        for control, called in ((self.slider, name), (self.box, number_name or name)):
            control.setRange(bits.start, bits.stop - 1)
            control.setAccessibleName(called)
            control.valueChanged.connect(self._on_value)
        self.slider.setPageStep(1)
        self.box.setFixedWidth(BOX_WIDTH)
        self.box.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.row = QHBoxLayout(self)
        self.row.setContentsMargins(0, 0, 0, 0)
        self.row.addWidget(self.slider)
        self.row.addWidget(self.box)

    @property
    def bits(self) -> int:
        return self.slider.value()

    def show_bits(self, bits: int) -> None:
        """Show a width, without telling anybody."""
        with quiet((self.slider, self.box)):
            self.slider.setValue(bits)
            if self.box.value() != bits:  # which is painted anew even where it has that value already
                self.box.setValue(bits)

    @Slot(int)
    def _on_value(self, bits: int) -> None:
        self.show_bits(bits)
        self.chosen.emit(bits)


class ModeControl(Segments):
    """Symmetric (True) or asymmetric (False)."""

    def __init__(self, name: str) -> None:
        super().__init__(
            [
                (True, tr("Symmetric"), tr("The range is centred on zero; zero point in the middle.")),
                (False, tr("Asymmetric"), tr("The range follows the data; the zero point is shifted.")),
            ],
            name,
        )


class RangeChoice(ComboBox):
    """Which range estimator, by its kind."""

    def __init__(self, rules: Iterable[tuple[str, str, str]], name: str) -> None:
        """``rules``: kind, word and tip of each; a kind of "" is a line between groups."""
        super().__init__()
        for kind, label, tip in rules:
            if not kind:
                self.insertSeparator(self.count())
                continue
            self.addItem(label, kind)
            self.setItemData(self.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.setMaxVisibleItems(self.count())
        self.stay_narrow()
        self.setAccessibleName(name)

    def show_kind(self, kind: str) -> None:
        """Show a choice, without telling anybody."""
        with quiet((self,)):
            self.setCurrentIndex(self.findData(kind))
