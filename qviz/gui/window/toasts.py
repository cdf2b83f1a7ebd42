"""How is a person told, without being stopped? Messages that float over the page and go with their cause."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QEnterEvent
from PySide6.QtWidgets import QApplication, QFrame, QHBoxLayout, QPushButton, QToolButton, QVBoxLayout, QWidget

from qviz.core.frozen import frozen
from qviz.gui.kit.theme import Theme, icon
from qviz.gui.kit.widgets import named_label
from qviz.session.guard import guarded
from qviz.session.worker import Worker

NOTICE_SECONDS = 8

MOST_LINES = 3
"""Sentences of one message that are read; of more, their number is told."""

MOST_SHOWN = 3
"""Messages in sight; the others wait behind them."""

WIDTH, FROM_EDGE, ABOVE_STATUS = 560, 40, 12
"""Pixels: the widest message, and what is left free beside and below."""


class Topic(StrEnum):
    """What a message is about, so that it can go with it."""

    ANALYSIS = "analysis"  # until there is another answer
    TENSOR = "tensor"  # until another one is shown
    SCHEME = "scheme"  # until there is another one
    OPENING = "opening"  # what cannot be opened: until something else is tried
    OPENED = "opened"  # what was opened behind another page: until it is in sight
    SAVING = "saving"  # until something else is saved or copied
    FILE = "file"  # what has changed under what is shown: until it is read again
    PINS = "pins"  # until there are others
    ELEMENT = "element"  # one that there is not: until another one is gone to, or another tensor is shown


@frozen
class Offer:
    """What a message offers to do: the word on its button, and what happens then; the message goes with it."""

    word: str
    act: Callable[[], object]


@guarded
class Toast(QFrame):
    """One message; the pointer over it keeps it from going by itself."""

    done = Signal()

    def __init__(self, kind: str, texts: list[str], topic: str, offer: Offer | None, *, stays: bool) -> None:
        super().__init__()
        self.setObjectName("banner")
        self.setProperty("kind", kind)
        self.kind, self.topic, self.stays = kind, topic, stays
        self.texts: list[str] = []
        self._offer = offer
        self.label = named_label("", "value", wrap=True)
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.label.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.offer_button = self._button(offer.word if offer is not None else "")
        self.offer_button.setVisible(offer is not None)
        self.offer_button.clicked.connect(self._on_offer)
        self.copy_button = self._button(self.tr("Copy all"))
        self.copy_button.clicked.connect(self._on_copy)
        self.close_button = QToolButton()
        self.close_button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.close_button.setAccessibleName(self.tr("Close this message"))
        self.close_button.setToolTip(self.tr("Close this message"))
        self.close_button.clicked.connect(self.done)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 6, 8, 6)
        layout.addWidget(self.label, 1)
        for button in (self.copy_button, self.offer_button, self.close_button):
            layout.addWidget(button)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(NOTICE_SECONDS * 1000)
        self._timer.timeout.connect(self.done)
        self.add(texts)

    @property
    def text(self) -> str:
        """What is read."""
        return self.label.text()

    def add(self, texts: list[str]) -> None:
        """More of the same; its time begins anew."""
        self.texts += [text for text in texts if text not in self.texts]
        many = len(self.texts) > MOST_LINES
        shown = "\n".join(self.texts)
        if many:
            shown = self.tr("{count} messages; the first: {text}").format(
                count=f"{len(self.texts):,}", text=self.texts[0]
            )
        self.label.setText(shown)
        self.copy_button.setVisible(many)
        self.setAccessibleName(shown)
        if not self.stays:
            self._timer.start()

    def _button(self, word: str) -> QPushButton:
        button = QPushButton(word)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.setAutoDefault(False)
        return button

    @Slot()
    def _on_offer(self) -> None:
        offer = self._offer
        self.done.emit()
        if offer is not None:
            offer.act()

    @Slot()
    def _on_copy(self) -> None:
        QApplication.clipboard().setText("\n".join(self.texts))

    def enterEvent(self, event: QEnterEvent) -> None:
        self._timer.stop()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        if not self.stays:
            self._timer.start()
        super().leaveEvent(event)

    def apply_theme(self, theme: Theme) -> None:
        self.close_button.setIcon(icon("close", theme.ui["text"]))


@guarded
class Toasts(QWidget):
    """Messages over the foot of a window, the newest below; the page beneath neither moves nor loses the focus.

    An error stays until it is closed or its cause is gone, a notice goes by itself. What has a ``topic`` takes the
    place of what was said of it before, and `withdraw` takes it back. What is said twice is shown once.
    """

    def __init__(self, window: QWidget, foot: QWidget | None = None) -> None:
        """``foot``: what at the foot of the window is never covered."""
        super().__init__(window)
        self._window, self._foot = window, foot
        self._theme: Theme | None = None
        self._toasts: list[Toast] = []
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(6)
        window.installEventFilter(self)
        self.hide()

    # -- what is said

    @property
    def all(self) -> tuple[Toast, ...]:
        """Every message that there is, the oldest first."""
        return tuple(self._toasts)

    @property
    def latest(self) -> Toast | None:
        """The newest error; without any, the newest notice."""
        errors = [toast for toast in self._toasts if toast.kind == "error"]
        return next(reversed(errors or self._toasts), None)

    @property
    def text(self) -> str:
        """What the `latest` says; empty when there is none."""
        return self.latest.text if self.latest is not None else ""

    @property
    def kind(self) -> str:
        """``error`` or ``notice``, of the `latest`."""
        return self.latest.kind if self.latest is not None else ""

    @Slot(str)
    def error(self, text: str, topic: str = "", offer: Offer | None = None) -> None:
        """Something did not work; it stays."""
        self._say(Toast("error", text.splitlines(), topic, offer, stays=True))

    @Slot(str)
    def notice(self, text: str, topic: str = "", offer: Offer | None = None, *, stays: bool = False) -> None:
        """Something worth knowing; it goes by itself, unless it ``stays``."""
        self._say(Toast("notice", text.splitlines(), topic, offer, stays=stays))

    def add_error(self, text: str, topic: str) -> None:
        """One more error of a topic, in the message that there is of it."""
        there = next((toast for toast in self._toasts if toast.topic == topic), None)
        if there is None:
            self.error(text, topic)
        else:
            there.add(text.splitlines())
            self._lay_out()

    def withdraw(self, topic: str, *_: object) -> None:
        """The cause of what was said is gone; what a signal tells beside it does not matter."""
        self._remove([toast for toast in self._toasts if toast.topic == topic])

    def clear(self) -> None:
        """Nothing is said any more."""
        self._remove(self._toasts)

    def _say(self, toast: Toast) -> None:
        self._remove([t for t in self._toasts if t.texts == toast.texts or (t.topic and t.topic == toast.topic)])
        self._toasts.append(toast)
        toast.done.connect(self._on_done)
        if self._theme is not None:
            toast.apply_theme(self._theme)
        self._column.addWidget(toast)
        self._lay_out()

    @Slot()
    def _on_done(self) -> None:
        self._remove([toast for toast in self._toasts if toast is self.sender()])

    def _remove(self, toasts: list[Toast]) -> None:
        for toast in list(toasts):
            self._toasts.remove(toast)
            self._column.removeWidget(toast)
            toast.hide()
            toast.deleteLater()
        self._lay_out()

    # -- where

    def _lay_out(self) -> None:
        """As high as the messages need at their width, in the middle of the foot."""
        for at, toast in enumerate(reversed(self._toasts)):
            toast.setVisible(at < MOST_SHOWN)
        self.setVisible(bool(self._toasts))
        if self._toasts:
            width = min(WIDTH, self._window.width() - 2 * FROM_EDGE)
            height = self._column.heightForWidth(width)
            foot = self._foot.height() if self._foot is not None else 0
            left, top = (self._window.width() - width) // 2, self._window.height() - foot - ABOVE_STATUS - height
            self.setGeometry(left, max(0, top), width, height)
            self.raise_()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            self._lay_out()
        return super().eventFilter(watched, event)

    def apply_theme(self, theme: Theme) -> None:
        self._theme = theme
        for toast in self._toasts:
            toast.apply_theme(theme)


class PageErrors(QObject):
    """What goes wrong on one page: the last of it is said, and is over when whoever said it tries again.

    Parameters
    ----------
    topic : str
        Of what is said.
    workers : sequence of QObject
        Whoever works for the page; those that begin and have problems, as a `Worker` does, are listened to.
    """

    def __init__(self, toasts: Toasts, topic: str, workers: Sequence[object], parent: QObject) -> None:
        super().__init__(parent)
        self._toasts, self._topic = toasts, topic
        self._by: Worker | None = None
        for worker in workers:
            if isinstance(worker, Worker):
                worker.problem.connect(partial(self._blame, worker))
                worker.began.connect(partial(self._on_began, worker))

    @Slot(str)
    def tell(self, text: str) -> None:
        """By a worker of the page, where one is blamed next, or by a control."""
        self._by = None
        self._toasts.error(text, self._topic)

    @Slot()
    def withdraw(self) -> None:
        """Something was changed on the page."""
        self._toasts.withdraw(self._topic)

    def _blame(self, worker: Worker, *_: object) -> None:
        self._by = worker

    def _on_began(self, worker: Worker) -> None:
        if self._by is worker:
            self._toasts.withdraw(self._topic)
