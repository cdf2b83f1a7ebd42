"""How does a person say how a table, or a file of bare numbers, is written?"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLineEdit,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from qviz.core.printable import printable
from qviz.core.problems import N_, Problem
from qviz.files.problems import system_errors
from qviz.files.raw import ORDERS, TYPES, RawForm
from qviz.files.raw import list_entries as list_raw
from qviz.files.tables.form import DECIMALS, SEPARATORS, TableOptions
from qviz.files.text import first_lines, form_of
from qviz.gui.kit.fields import ComboBox
from qviz.gui.kit.widgets import named_label, plain_tip
from qviz.session.guard import guarded
from qviz.session.language import told, tr

_RECOGNIZED = N_("as recognized")
_SEPARATORS = {
    "comma": N_("comma"),
    "semicolon": N_("semicolon"),
    "tab": N_("tab"),
    "bar": N_("bar |"),
    "space": N_("white space"),
    "none": N_("none: one column"),
}
_DECIMALS = {"point": N_("point"), "comma": N_("comma")}
_INDEX = {"yes": N_("an index, left out"), "no": N_("numbers, taken")}


class _Dialog(QDialog):
    """A form, what comes of it, and two buttons; it can be accepted when it makes sense."""

    said = Signal(object, object)

    def __init__(self, path: Path, title: str, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.path = path
        self.setWindowTitle(title)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.form = QFormLayout()
        self.outcome = named_label("", "caption", wrap=True)
        self.outcome.setMinimumHeight(2 * self.outcome.fontMetrics().lineSpacing() + 4)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Open | QDialogButtonBox.StandardButton.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(16, 16, 16, 12)
        name = named_label(printable(path.name), "value")
        name.setToolTip(plain_tip(printable(str(path))))
        self.body.addWidget(name)
        self.body.addLayout(self.form)
        self.body.addWidget(self.outcome)
        self.body.addWidget(self.buttons)

    def choice(self, label: str, words: dict[str, str], chosen: str | None) -> QComboBox:
        """A row of the form; its data are the keys."""
        box = ComboBox()
        for key, word in words.items():
            box.addItem(tr(word), key)
        box.setCurrentIndex(max(0, box.findData(chosen or "")))
        box.setAccessibleName(label)
        box.currentIndexChanged.connect(self.refresh)
        self.form.addRow(label, box)
        return box

    def line(self, label: str, text: str, hint: str) -> QLineEdit:
        """A row of the form to type into."""
        edit = QLineEdit(text)
        edit.setPlaceholderText(hint)
        edit.setAccessibleName(label)
        edit.setAcceptDrops(False)
        edit.textChanged.connect(self.refresh)
        self.form.addRow(label, edit)
        return edit

    def tell(self, text: str, *, can_open: bool) -> None:
        """What comes of the form."""
        self.outcome.setText(printable(text))
        self.buttons.button(QDialogButtonBox.StandardButton.Open).setEnabled(can_open)

    def refresh(self) -> None:
        raise NotImplementedError


@guarded
class RawDialog(_Dialog):
    """Of which type and shape are these bare numbers? It is asked once for a folder."""

    def __init__(self, path: Path, form: RawForm | None = None, parent: QWidget | None = None) -> None:
        super().__init__(path, "", parent)
        self.setWindowTitle(self.tr("How are these numbers written?"))
        form = form or RawForm()
        self.dtype = self.choice(self.tr("Type"), {name: name for name in TYPES}, form.dtype)
        shape = "" if form.shape is None else "x".join(map(str, form.shape))
        self.shape = self.line(self.tr("Shape"), shape, self.tr("64x512; nothing: all in a row"))
        self.offset = self.line(self.tr("Bytes before them"), str(form.offset), "0")
        orders = dict(zip(ORDERS, (N_("little-endian"), N_("big-endian")), strict=True))
        self.byteorder = self.choice(self.tr("Byte order"), orders, form.byteorder)
        self.resize(420, 260)
        self.refresh()

    def chosen(self) -> RawForm:
        """What the form says; a problem where it says nothing."""
        shape = f",shape={self.shape.text()}" if self.shape.text().strip() else ""
        return RawForm.parsed(
            f"dtype={self.dtype.currentData()}{shape},offset={self.offset.text().strip() or 0}"
            f",byteorder={self.byteorder.currentData()}"
        )

    @Slot()
    def refresh(self) -> None:
        try:
            with system_errors(self.path):
                (entry,) = list_raw(self.path, self.chosen())
        except Problem as problem:
            self.tell(told(problem), can_open=False)
            return
        assert entry.shape is not None
        note = entry.note()
        lengths = " × ".join(f"{length:,}" for length in entry.shape)
        self.tell(f"{lengths}. {told(note.phrase) if note else ''}", can_open=True)

    def accept(self) -> None:
        self.said.emit(self.path, self.chosen())
        super().accept()


@guarded
class TableDialog(_Dialog):
    """What was recognized of a table, its first lines, and what a person knows better."""

    def __init__(self, path: Path, options: TableOptions, parent: QWidget | None = None) -> None:
        super().__init__(path, "", parent)
        self.setWindowTitle(self.tr("How is this table written?"))
        self.separator = self._choice(self.tr("Between fields"), _SEPARATORS, SEPARATORS, options.separator)
        self.decimal = self._choice(self.tr("Decimal mark"), _DECIMALS, DECIMALS, options.decimal)
        header = "" if options.header is None else str(options.header)
        self.header = self.line(self.tr("Lines before the numbers"), header, tr(_RECOGNIZED))
        index = None if options.index is None else "yes" if options.index else "no"
        self.index = self.choice(self.tr("First column"), {"": _RECOGNIZED, **_INDEX}, index)
        columns = "" if options.columns is None else "+".join(map(str, options.columns))
        self.columns = self.line(self.tr("Columns"), columns, self.tr("all with numbers; 1-3+5 for some"))
        self.preview = QTableWidget()
        self.preview.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.preview.setAccessibleName(self.tr("First lines"))
        self.preview.setTabKeyNavigation(False)
        self.body.insertWidget(2, self.preview, 1)
        self.resize(640, 520)
        self.refresh()

    def _choice(self, label: str, words: dict[str, str], signs: object, sign: str | None) -> QComboBox:
        assert isinstance(signs, dict)
        chosen = next((name for name, each in signs.items() if each == sign and sign is not None), None)
        return self.choice(label, {"": _RECOGNIZED, **words}, chosen)

    def chosen(self) -> TableOptions:
        """What the form says; a problem where it says nothing."""
        said = {
            "separator": self.separator.currentData(),
            "decimal": self.decimal.currentData(),
            "header": self.header.text().strip(),
            "index": self.index.currentData(),
            "columns": self.columns.text().strip(),
        }
        return TableOptions.parsed(",".join(f"{key}={value}" for key, value in said.items() if value))

    @Slot()
    def refresh(self) -> None:
        try:
            with system_errors(self.path):
                form = form_of(self.path, self.chosen())
                lines = first_lines(self.path, form)
        except Problem as problem:
            self.tell(told(problem), can_open=False)
            return
        taken = {*form.columns}
        width = min(form.width, 60)
        self.preview.setColumnCount(width)
        self.preview.setRowCount(len(lines))
        names = form.names or tuple(str(at + 1) for at in range(width))
        self.preview.setHorizontalHeaderLabels([printable(name) or str(at) for at, name in enumerate(names[:width], 1)])
        self.preview.setVerticalHeaderLabels([str(at) for at in range(1, len(lines) + 1)])
        for row, cells in enumerate(lines):
            for column, cell in enumerate(cells[:width]):
                item = QTableWidgetItem(printable(cell))
                if column not in taken:
                    item.setFlags(Qt.ItemFlag.NoItemFlags)
                self.preview.setItem(row, column, item)
        self.tell(told(form.phrase()), can_open=True)

    def accept(self) -> None:
        self.said.emit(self.path, self.chosen())
        super().accept()
