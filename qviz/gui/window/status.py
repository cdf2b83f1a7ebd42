"""What does the status bar say: of what, how exact, how long it took, and what is going on?"""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QPushButton, QStatusBar

from qviz.core import compiler
from qviz.core.printable import brief
from qviz.gui.kit.widgets import Line, named_label
from qviz.gui.window.activity import Activity
from qviz.gui.words.groups import alone_text
from qviz.gui.words.numbers import time_text
from qviz.session.frame import Frame
from qviz.session.state import Session, State

PATIENCE_MILLISECONDS = 1000


class StatusLine(QObject):
    """Fills a status bar, and offers an exact answer where there is only an estimate."""

    exact_requested = Signal()
    stale = Signal(bool)
    outdated = Signal(str)

    def __init__(self, bar: QStatusBar, session: Session) -> None:
        super().__init__(bar)
        self._session = session
        self._frame: Frame | None = None
        self._is_sorting = self._exact_asked = self._is_coming = False
        self.about_tensor = named_label("", "caption")
        self.exactness = named_label("", "caption")
        self.exactness.setToolTip(self.tr("exact: computed over every element. estimate: from a sample."))
        self.exact_button = QPushButton(self.tr("Compute exactly"))
        self.exact_button.setToolTip(self.tr("Look at every element, which may take a while."))
        self.exact_button.clicked.connect(self._on_exact)
        self.exact_button.hide()
        self.timing = Line("caption", Qt.AlignmentFlag.AlignRight)
        self.timing.stand_on_its_own()
        self.timing.reserve(self.tr("updated in {time}").format(time="88.88 ms"))
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(PATIENCE_MILLISECONDS)
        self._patience.timeout.connect(self._say_computing)
        self.activity = Activity()
        self.analyzing, self.reading, self.sorting = (self.activity.task() for _ in range(3))
        bar.setSizeGripEnabled(False)
        bar.setContentsMargins(12, 0, 12, 2)
        self.alone = QPushButton()
        self.alone.setObjectName("chip")
        self.alone.setToolTip(self.tr("Look at the whole tensor again"))
        self.alone.clicked.connect(self._on_alone)
        self.alone.hide()
        session.changed.connect(self._show_alone)
        bar.addWidget(self.about_tensor)
        bar.addWidget(self.alone)
        bar.addWidget(self.exactness)
        bar.addWidget(self.exact_button)
        self.plain = named_label(self.tr("NumPy alone"), "caption")
        self.plain.setToolTip(self.tr("Without numba the same answers take longer: there is none for this Python yet."))
        bar.addPermanentWidget(self.activity)
        bar.addPermanentWidget(self.plain)
        self.plain.setVisible(not compiler.available())
        bar.addPermanentWidget(self.timing)

    @Slot(object, object)
    def _show_alone(self, old: State, new: State) -> None:
        """That one group is looked at alone, and the way back."""
        if new.channel is not None:
            text = alone_text(new.scheme.granularity, new.channel)
            self.alone.setText(f"{text} ✕")
            self.alone.setAccessibleName(self.tr("{what}: look at the whole tensor again").format(what=text))
        self.alone.setVisible(new.channel is not None)

    @Slot()
    def _on_alone(self) -> None:
        self._session.update(channel=None)

    def present(self, frame: Frame) -> None:
        """Say of what an answer is, how exact, and how long it took."""
        self._frame = frame
        self._patience.stop()
        self._exact_asked, self._is_coming = False, frame.judged
        self.analyzing.end()
        tensor = frame.shown.tensor
        shape = " × ".join(f"{n:,}" for n in tensor.shape)
        parts = [brief(tensor.name), shape, frame.tensor.dtype]
        if tensor.finite != tensor.elements:
            parts.append(self.tr("{count} left out").format(count=f"{tensor.elements - tensor.finite:,}"))
        self.about_tensor.setText("  ·  ".join(parts))
        self.exactness.setText(self._how_exact(frame))
        self._show_exact_button()
        self.timing.setText(self.tr("updated in {time}").format(time=time_text(frame.whole.seconds)))

    def _how_exact(self, frame: Frame) -> str:
        tensor = frame.shown.tensor
        if not frame.shown.exact:
            return self.tr("estimate from {sample} of {count} elements").format(
                sample=f"{frame.shown.looked_at:,}", count=f"{tensor.elements:,}"
            )
        text = self.tr("exact: {count} elements").format(count=f"{tensor.finite:,}")
        if tensor.finite == 1:
            text = self.tr("exact: 1 element")
        return self.tr("{text}, in a range judged from a sample").format(text=text) if frame.range_judged else text

    @Slot()
    def _show_exact_button(self) -> None:
        """Offered where an estimate is all there is, and nothing better is on its way."""
        frame = self._frame
        better = self._is_sorting or self._session.state.prepared is not None
        if frame is not None and frame.judged:  # no order of all values says more of groups
            better = self._is_coming
        inexact = frame is not None and not frame.shown.exact
        self.exact_button.setVisible(inexact and not (better or self._exact_asked))

    @Slot()
    def _on_exact(self) -> None:
        self._exact_asked = True
        self._show_exact_button()
        self.exact_requested.emit()

    @Slot(str)
    def show_sorting(self, text: str) -> None:
        """The tensor is being put in order; exact answers follow."""
        self._is_sorting, self._exact_asked = True, False
        self.sorting.begin(text)
        self._show_exact_button()

    @Slot()
    def show_sorted(self) -> None:
        """It is, or somebody stopped it."""
        self._is_sorting = False
        self.sorting.end()
        self._show_exact_button()

    @Slot()
    def show_computing(self) -> None:
        """An answer is on its way; said only when it takes a while."""
        self._patience.start()

    @Slot()
    def stop_waiting(self) -> None:
        """There will be no answer: what is shown stays, and stays pale where it is of something else."""
        self._patience.stop()
        self._exact_asked = self._is_coming = False
        self.analyzing.end()
        self.timing.setText(self.tr("not computed"))
        present = self._is_present()
        self.stale.emit(not present)
        if self._frame is not None and not present:
            text = self.tr("out of date: showing the previous scheme")
            if not self._frame.tensor.same_data(self._session.state.tensor):
                text = self.tr("out of date: showing the previous tensor")
            self.exactness.setText(text)
            self.outdated.emit(text)
        self._show_exact_button()

    @Slot()
    def _say_computing(self) -> None:
        self.timing.setText(self.tr("computing…"))
        self.stale.emit(not self._is_present())
        self.analyzing.begin(self.tr("Analyzing"))

    def _is_present(self) -> bool:
        """Whether what is shown is of the present tensor and scheme, though better may be on its way."""
        frame, state = self._frame, self._session.state
        if frame is None or not frame.tensor.same_data(state.tensor):
            return False
        return (frame.scheme, frame.channel) == (state.scheme, state.channel)
