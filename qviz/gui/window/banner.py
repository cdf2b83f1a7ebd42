"""How is a person told, without being stopped? A strip above the page."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QPushButton, QToolButton, QWidget

from qviz.gui.kit.theme import Theme, icon
from qviz.gui.kit.widgets import named_label

NOTICE_SECONDS = 8


class Banner(QFrame):
    """One sentence: an error stays until it is closed or its cause is gone, a notice goes by itself."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("banner")
        self.kind, self.topic = "notice", ""
        self.label = named_label("", "value", wrap=True)
        self.label.setTextFormat(Qt.TextFormat.PlainText)  # a file's name may look like markup
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.close_button = QToolButton()
        self.close_button.setAccessibleName(self.tr("Close this message"))
        self.close_button.clicked.connect(self.hide)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 6, 8, 6)
        layout.addWidget(self.close_button)  # left: on the right it would hide a dock's own
        layout.addWidget(self.label, 1)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.hide)
        self.hide()

    @property
    def text(self) -> str:
        """What is said now; empty when nothing is."""
        return self.label.text() if not self.isHidden() else ""

    @Slot(str)
    def error(self, text: str, topic: str = "") -> None:
        """Something did not work; ``topic`` is what `withdraw` calls it by."""
        self._say("error", text, topic)

    @Slot(str)
    def notice(self, text: str, topic: str = "") -> None:
        """Something worth knowing; never in place of an error."""
        if self.isHidden() or self.kind != "error":
            self._say("notice", text, topic)
            self._timer.start(NOTICE_SECONDS * 1000)

    def apply_theme(self, theme: Theme) -> None:
        self.close_button.setIcon(icon("close", theme.ui["text"]))

    def withdraw(self, topic: str) -> None:
        """The cause of what was said is gone."""
        if self.topic == topic:
            self._timer.stop()
            self.hide()

    def _say(self, kind: str, text: str, topic: str) -> None:
        self._timer.stop()
        self.kind, self.topic = kind, topic
        self.setProperty("kind", kind)
        self.style().unpolish(self)
        self.style().polish(self)
        self.label.setText(text)
        self.setAccessibleName(text)
        self.show()


class Task(QObject):
    """One kind of long work: tells the status bar that it begins, how far it is, and that it ended."""

    cancel_requested = Signal()

    def __init__(self, activity: Activity) -> None:
        super().__init__(activity)
        self._activity = activity
        self.text = ""
        self.done = 0.0

    @Slot(str)
    def begin(self, text: str) -> None:
        self.text, self.done = text, 0.0
        self._activity.add(self)

    @Slot(float)
    def advance(self, fraction: float) -> None:
        self.done = fraction
        self._activity.show_progress(self)

    @Slot()
    def end(self) -> None:
        self._activity.remove(self)


class Activity(QWidget):
    """Long work in the status bar: what, how far, and a button to stop it; the latest of several."""

    def __init__(self) -> None:
        super().__init__()
        self.label = named_label("", "caption")
        self.bar = QProgressBar()
        self.bar.setRange(0, 100)
        self.bar.setTextVisible(False)
        self.bar.setFixedWidth(120)
        self.button = QPushButton(self.tr("Cancel"))
        self.button.clicked.connect(self._on_cancel)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 4, 0)
        for widget in (self.label, self.bar, self.button):
            layout.addWidget(widget)
        # Work that is over at once would only flicker.
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(250)
        self._patience.timeout.connect(self.show)
        self._tasks: list[Task] = []
        self.hide()

    def task(self) -> Task:
        """A new kind of work."""
        return Task(self)

    def add(self, task: Task) -> None:
        """It begins, and is shown."""
        self._tasks = [t for t in self._tasks if t is not task] + [task]
        self._show_last()

    def remove(self, task: Task) -> None:
        """It has ended; what goes on beside it is shown again."""
        if task in self._tasks:
            self._tasks.remove(task)
            self._show_last()

    def show_progress(self, task: Task) -> None:
        """How far it is, where it is the one that is shown."""
        if self._tasks and self._tasks[-1] is task:
            self.bar.setValue(round(100 * task.done))

    def _show_last(self) -> None:
        if not self._tasks:
            self._patience.stop()
            self.hide()
            return
        task = self._tasks[-1]
        self.label.setText(task.text)
        self.bar.setValue(round(100 * task.done))
        if self.isHidden() and not self._patience.isActive():
            self._patience.start()

    @Slot()
    def _on_cancel(self) -> None:
        if self._tasks:
            self._tasks[-1].cancel_requested.emit()
