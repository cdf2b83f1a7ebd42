"""Which schemes shall be swept? Everything ticked is combined with everything else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QGridLayout, QVBoxLayout, QWidget

from qviz.core.formats.codebooks import CODEBOOKS, Codebook
from qviz.core.formats.floats import FLOATS, FloatFormat
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.questions.sweep import Combinations
from qviz.core.ranges.entropy import Entropy
from qviz.core.ranges.known import Known
from qviz.core.ranges.mse import MSE
from qviz.core.ranges.rules import Manual, MinMax, Percentile
from qviz.core.ranges.table import RANGE_RULES
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.tensors.granularity import PerAxis, PerBlock, PerTensor, PerToken
from qviz.gui.kit.widgets import column, named_label, quiet
from qviz.gui.words.schemes import format_word, granularity_word, range_word
from qviz.session.language import told, tr
from qviz.session.state import Session, State
from qviz.session.sweeper import Choice

BITS = (2, 3, 4, 5, 6, 7, 8, 16)
BLOCK_SIZES = (32, 64, 128)
TICKED_FORMATS = ("float8_e4m3fn",)
MOST_AXES = 4
"""Axes of a tensor that can be ticked: those of a convolution's weights."""


class Ticks(QWidget):
    """A group of check boxes; ``data`` behind each."""

    changed = Signal()

    def __init__(self, title: str, columns: int = 2) -> None:
        super().__init__()
        self._columns = columns
        self.boxes: list[tuple[QCheckBox, Any]] = []
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(named_label(title, "section"))
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(10)
        self._grid.setVerticalSpacing(3)
        layout.addLayout(self._grid)
        self._title = title

    def fill(self, rows: Sequence[tuple[Any, str, bool, str]], *, keep: bool = True) -> None:
        """Data, word, whether it is ticked, and tooltip of each; those that were there ``keep`` their ticks."""
        ticked = {repr(data): box.isChecked() for box, data in self.boxes if keep}
        for box, _ in self.boxes:
            self._grid.removeWidget(box)
            box.deleteLater()
        self.boxes = []
        for data, word, on, tip in rows:
            self._add(data, word, ticked.get(repr(data), on), tip)

    def _add(self, data: Any, word: str, on: bool, tip: str) -> None:
        at = len(self.boxes)
        box = QCheckBox(word)
        box.setChecked(on)
        box.setToolTip(tip)
        box.setAccessibleName(f"{self._title}: {word}")
        box.toggled.connect(self.changed)
        self._grid.addWidget(box, at // self._columns, at % self._columns)
        self.boxes.append((box, data))

    def also(self, data: Any, word: str, tip: str) -> None:
        """Tick one more, without telling anybody; it gets a box where it has none."""
        box = next((box for box, each in self.boxes if each == data), None)
        if box is None:
            self._add(data, word, True, tip)
        else:
            with quiet((box,)):
                box.setChecked(True)

    def ticked(self) -> tuple[Any, ...]:
        """The data of what is ticked."""
        return tuple(data for box, data in self.boxes if box.isChecked())

    def tick(self, wanted: Sequence[Any]) -> None:
        """Tick these alone, without telling anybody."""
        with quiet(box for box, _ in self.boxes):
            for box, data in self.boxes:
                box.setChecked(data in wanted)


class SweepPanel(QWidget):
    """Check boxes for each part of a scheme, and how many schemes they make.

    Signals
    -------
    chosen(Choice)
    ticked()
        A person changed it; ``chosen`` follows, which is told for another tensor too.
    """

    chosen = Signal(object)
    ticked = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.setObjectName("panel")
        self._session = session
        self.bits = Ticks(self.tr("Integers, bits"), columns=4)
        self.formats = Ticks(self.tr("Floats and codebooks"))
        self.modes = Ticks(self.tr("Mode"))
        self.granularities = Ticks(self.tr("One scale for each"))
        self.rules = Ticks(self.tr("Range"))
        self.library_rules = Ticks(self.tr("Range, as a library finds it"), columns=1)
        self.count = named_label("", "value", wrap=True)
        self.missing = named_label("", "hint", wrap=True)
        layout = column(self, spacing=10)
        self._groups = (self.bits, self.modes, self.granularities, self.rules, self.formats, self.library_rules)
        for group in self._groups:
            layout.addWidget(group)
            group.changed.connect(self._on_changed)
        layout.addWidget(self.count)
        layout.addWidget(self.missing)
        layout.addStretch(1)
        self._filled: object = None
        self._by_hand = False
        self._fill()
        self.refresh(session.state)
        session.changed.connect(self._on_session)

    def _fill(self) -> None:
        self.bits.fill([(n, str(n), n in (2, 3, 4, 5, 6, 8), self.tr("{bits} bits").format(bits=n)) for n in BITS])
        self.modes.fill(
            [
                (True, self.tr("symmetric"), True, self.tr("The range is centred on zero.")),
                (False, self.tr("asymmetric"), False, self.tr("The range follows the data.")),
            ]
        )
        self.rules.fill(
            [
                (MinMax(), self.tr("min–max"), True, self.tr("Nothing is clipped.")),
                (MSE(), self.tr("least MSE"), True, self.tr("Each candidate measured on every element.")),
                (Percentile(99.9), self.tr("99.9 %"), True, self.tr("Clips one element in a thousand.")),
                (Entropy(), self.tr("entropy"), False, self.tr("ONNX Runtime's entropy calibration.")),
                (Percentile(99.99), self.tr("99.99 %"), False, self.tr("Clips one element in ten thousand.")),
            ]
        )

        formats: list[NumberFormat] = [*map(FloatFormat, FLOATS), *map(Codebook, CODEBOOKS)]
        self.formats.fill(
            [
                (each, format_word(each), each.name in TICKED_FORMATS, self.tr("{bits} bits").format(bits=each.bits))
                for each in formats
            ]
        )
        ours = {MinMax.kind, MSE.kind, Percentile.kind, Entropy.kind, Manual.kind, Known.kind}
        rules: list[Any] = [rule() for kind, rule in RANGE_RULES.items() if kind not in ours]
        self.library_rules.fill([(rule, range_word(rule), False, "") for rule in rules])

    def _fill_granularities(self, shape: tuple[int, ...], batch_axis: int | None) -> None:
        if (shape, batch_axis) == self._filled:
            return
        self._filled = shape, batch_axis
        # Batches are measured one after the other: nobody gives each of them a scale.
        channels = [axis for axis in range(len(shape)) if axis != batch_axis][:2] if len(shape) > 1 else []
        rows: list[tuple[Any, str, bool, str]] = [
            (PerTensor(), self.tr("tensor"), True, self.tr("One scale for everything."))
        ]
        for axis, size in enumerate(shape[:MOST_AXES]):
            tip = self.tr("One scale for each of {count} channels.").format(count=f"{size:,}")
            rows.append((PerAxis(axis), granularity_word(PerAxis(axis)), axis in channels, tip))
        for size in BLOCK_SIZES:
            block, tip = PerBlock(-1, size), self.tr("One scale for {count} neighbours of the last axis.")
            rows.append((block, granularity_word(block), size == BLOCK_SIZES[0], tip.format(count=size)))
        rows.append((PerToken(), granularity_word(PerToken()), False, self.tr("One scale for each row of features.")))
        self.granularities.fill(rows, keep=self._by_hand)

    def follow(self) -> None:
        """Tick what the scheme on the Tensor page is made of, as long as nobody has ticked anything."""
        if self._by_hand or self._session.state.tensor is None:
            return
        before, scheme = self.choice(), self._session.scheme
        tip = self.tr("As on the Tensor page.")
        if isinstance(scheme.number_format, IntFormat):
            self.bits.also(scheme.number_format.bits, str(scheme.number_format.bits), tip)
        else:
            self.formats.also(scheme.number_format, format_word(scheme.number_format), tip)
        self.modes.also(scheme.symmetric, "", tip)
        self.granularities.also(scheme.granularity, granularity_word(scheme.granularity), tip)
        if not isinstance(scheme.range_rule, Manual | Known):  # these are one for this scheme alone
            rules = self.rules if any(each == scheme.range_rule for _, each in self.rules.boxes) else self.library_rules
            rules.also(scheme.range_rule, range_word(scheme.range_rule), tip)
        if self.choice() != before:
            self._say(self.choice().combinations(self._session.state))
            self.chosen.emit(self.choice())

    def choice(self) -> Choice:
        """What is ticked."""
        signed = getattr(self._session.scheme.number_format, "signed", True)
        return Choice(
            number_formats=(*(IntFormat(bits, signed) for bits in self.bits.ticked()), *self.formats.ticked()),
            granularities=self.granularities.ticked(),
            range_rules=self.rules.ticked() + self.library_rules.ticked(),
            symmetries=self.modes.ticked(),
        )

    def refresh(self, state: State) -> None:
        """What can be ticked for the tensor that is shown, and how many schemes that makes."""
        if state.tensor is not None:
            self._fill_granularities(state.tensor.shape, _batch_axis(state))
        self._say(self.choice().combinations(state))

    def _say(self, made: Combinations) -> None:
        runtime = tr(CONVENTIONS[self._session.scheme.convention].label)
        count = len(made.schemes)
        self.count.setText(
            self.tr("1 scheme under {runtime}").format(runtime=runtime)
            if count == 1
            else self.tr("{count} schemes under {runtime}").format(count=count, runtime=runtime)
            if count
            else self.tr("Tick at least one box of each group.")
        )
        lines = [
            self.tr("{count} left out: {why}").format(count=n, why=told(made.reasons[why]))
            for why, n in made.missing.items()
        ]
        self.missing.setText("\n".join(lines))
        self.missing.setVisible(bool(lines))

    @Slot()
    def _on_changed(self) -> None:
        self._by_hand = True
        self._say(self.choice().combinations(self._session.state))
        self.ticked.emit()
        self.chosen.emit(self.choice())

    def tick(self, choice: Choice) -> None:
        """Choose what was chosen before, as far as this tensor has it."""
        self._by_hand = True
        integers = [each.bits for each in choice.number_formats if isinstance(each, IntFormat)]
        for group, wanted in (
            (self.bits, integers),
            (self.formats, choice.number_formats),
            (self.modes, choice.symmetries),
            (self.granularities, choice.granularities),
            (self.rules, choice.range_rules),
            (self.library_rules, choice.range_rules),
        ):
            group.tick(wanted)
        self._say(self.choice().combinations(self._session.state))
        self.chosen.emit(self.choice())

    @Slot(object, object)
    def _on_session(self, old: State, new: State) -> None:
        before = self.choice()
        if new.tensor is not old.tensor or new.scheme != old.scheme:
            self.refresh(new)
        signed = getattr(new.scheme.number_format, "signed", True) != getattr(old.scheme.number_format, "signed", True)
        if signed or before != self.choice():
            self.chosen.emit(self.choice())


def _batch_axis(state: State) -> int | None:
    """The axis whose indices are batches: that of the range rule, or the first of files that were stacked."""
    axis = getattr(state.scheme.range_rule, "batch_axis", None)
    if state.tensor is not None and axis is not None:
        return int(axis) % len(state.tensor.shape)
    return 0 if state.current is not None and len(state.current.paths) > 1 else None
