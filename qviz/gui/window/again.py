"""What can be done about a file that has changed under the tensor that is shown?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QObject, Signal, Slot

from qviz.gui.window.toasts import Offer, Toasts, Topic
from qviz.session.settings import Settings
from qviz.session.state import Session
from qviz.session.watch import Change


class Again(QObject):
    """The commands that read files again, and what is said when one is another.

    Signals
    -------
    item_requested(Item)
        Read its files again.
    paths_requested(list of Path)
        Read these again, whatever is shown.
    """

    item_requested = Signal(object)
    paths_requested = Signal(object)

    def __init__(self, session: Session, settings: Settings, toasts: Toasts, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._settings, self._toasts = session, settings, toasts

    @property
    def can_open_again(self) -> bool:
        """Whether what is shown comes from a file."""
        current = self._session.state.current
        return current is not None and bool(current.paths)

    @Slot()
    def open_again(self) -> None:
        if self.can_open_again:
            self.item_requested.emit(self._session.state.current)

    @Slot(bool)
    def reload_changed(self, wanted: bool) -> None:
        self._settings.set("reload_changed", wanted)

    @Slot(object)
    def tell(self, change: Change) -> None:
        """It stays until it is over: every figure is of what was in the file then."""
        current = self._session.state.current
        act: Callable[[], None] = partial(self.paths_requested.emit, list(change.paths))
        if current is not None and set(change.paths) <= set(current.paths):
            act = self.open_again
        offer = Offer(self.tr("Open again"), act) if change.paths else None
        self._toasts.notice(change.text, Topic.FILE, offer, stays=True)

    @Slot()
    def forget(self) -> None:
        self._toasts.withdraw(Topic.FILE)
