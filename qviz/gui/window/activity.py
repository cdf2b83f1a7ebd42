"""What is going on beside the window, how far is it, and how is it stopped?"""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QWidget

from qviz.gui.charts.page import Busy
from qviz.gui.kit.widgets import named_label


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

    def tell(self, work: Busy, text: str) -> None:
        """Say so whenever some work is under way, and let it be stopped."""
        task = self.task()
        work.began.connect(partial(task.begin, text))
        work.advanced.connect(task.advance)
        work.ended.connect(task.end)
        task.cancel_requested.connect(work.cancel)

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
