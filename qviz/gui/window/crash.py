"""What happens when qviz itself is wrong? It says so, with a report to copy, and goes on."""

from __future__ import annotations

import logging
import platform
import sys
import threading
import traceback
from types import TracebackType

import numpy
import pyqtgraph
import PySide6
from PySide6.QtCore import QObject, Qt, Signal, Slot
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QApplication, QDialog, QDialogButtonBox, QPlainTextEdit, QVBoxLayout, QWidget

from qviz import __version__
from qviz.files.stamp import ChangedFile
from qviz.gui.kit.widgets import named_label
from qviz.session.guard import place_of

log = logging.getLogger(__name__)


class CrashReporter(QObject):
    """Takes every exception that nobody caught, from any thread, to the window's thread.

    ``stale`` tells of a file that is not the one any more that was opened: a chart was about to draw from it.
    """

    crashed = Signal(str)
    stale = Signal(object)

    _while_painting = Signal(str)
    _stale = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._told: set[tuple[object, ...]] = set()
        # A dialog must not open in the middle of a paint event.
        self._while_painting.connect(self.crashed, Qt.ConnectionType.QueuedConnection)
        self._stale.connect(self.stale, Qt.ConnectionType.QueuedConnection)

    def install(self) -> None:
        """Become Python's last resort."""
        sys.excepthook = self.report
        threading.excepthook = self._report_of_thread

    def uninstall(self) -> None:
        """Give Python its own back."""
        sys.excepthook = sys.__excepthook__
        threading.excepthook = threading.__excepthook__

    def _report_of_thread(self, failure: threading.ExceptHookArgs) -> None:
        if failure.exc_value is not None:
            self.report(failure.exc_type, failure.exc_value, failure.exc_traceback)

    def report(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Log it and tell the window."""
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        if isinstance(error, ChangedFile):
            self._stale.emit(error)
            return
        override = place_of(error)
        if override:  # which Qt may call sixty times a second
            place = (override, kind, *(line[:2] for line in traceback.extract_tb(trace)[-1:]))
            if place in self._told:
                return
            self._told.add(place)
        log.error("a bug", exc_info=(kind, error, trace))
        (self._while_painting if override else self.crashed).emit(report_text(error, trace))


def report_text(error: BaseException, trace: TracebackType | None) -> str:
    """Versions and traceback, ready to be sent."""
    versions = (
        f"qviz {__version__}, Python {platform.python_version()}, PySide6 {PySide6.__version__}, "
        f"pyqtgraph {pyqtgraph.__version__}, NumPy {numpy.__version__}, {platform.platform()}"
    )
    return versions + "\n\n" + "".join(traceback.format_exception(type(error), error, trace))


class CrashDialog(QDialog):
    """One at a time: a hundred broken frames are one bug."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("qviz made a mistake"))
        self.resize(640, 380)
        self.setModal(False)
        head = named_label(
            self.tr("Something went wrong inside qviz. What you have open is still there: you can go on working."),
            "value",
            wrap=True,
        )
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setAccessibleName(self.tr("Report"))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.copy_button = buttons.addButton(self.tr("Copy report"), QDialogButtonBox.ButtonRole.ActionRole)
        self.copy_button.clicked.connect(self.copy)
        buttons.rejected.connect(self.hide)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 16, 16, 12)
        layout.addWidget(head)
        layout.addWidget(named_label(self.tr("Please send this report along when you tell us:"), "caption"))
        layout.addWidget(self.text, 1)
        layout.addWidget(buttons)

    @Slot(str)
    def show_report(self, report: str) -> None:
        """Show the first report; later ones are in the log."""
        if self.isVisible():
            return
        self.text.setPlainText(report)
        self.setWindowFlag(Qt.WindowType.Dialog)
        self.show()

    @Slot()
    def copy(self) -> None:
        QApplication.clipboard().setText(self.text.toPlainText())
