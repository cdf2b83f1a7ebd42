"""Is what is shown still what is in its file? Looked at now and then, told once, and read anew on wish."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.frozen import frozen
from qviz.core.printable import printable
from qviz.files.problems import FileProblem
from qviz.files.stamp import ChangedFile, Stamp, check_stamp
from qviz.session.language import told
from qviz.session.state import Item, Session, State

BETWEEN_LOOKS = 1000
"""Milliseconds: a look costs microseconds, and needs nothing that a disk over the network has not."""

Stamps = Mapping[Path, Stamp]


@frozen
class Change:
    """What a person is told, and which files can be opened again; none where they are gone."""

    text: str
    paths: tuple[Path, ...] = ()


class Watch(QObject):
    """Compares the files behind the tensor that is shown with what they were when it was read.

    Signals
    -------
    changed(Change)
        They are others, or gone; told once for each state of them.
    settled()
        What was told is over: they are as they were, or something else is shown.
    reload(Item)
        They are others and at rest, and the person wants such tensors to be read anew.
    """

    changed = Signal(object)
    settled = Signal()
    reload = Signal(object)

    def __init__(
        self,
        session: Session,
        stamps: Callable[[Item], Stamps],
        wanted: Callable[[], bool],
        parent: QObject | None = None,
    ) -> None:
        """``stamps``: what the files of an item were when it was read; ``wanted``: whether to read anew by itself."""
        super().__init__(parent)
        self._session, self._stamps, self._wanted = session, stamps, wanted
        self._seen: Mapping[Path, Stamp | None] = {}
        self._told: Mapping[Path, Stamp | None] = {}
        self._tried: Mapping[Path, Stamp | None] = {}
        self._summed: dict[Path, tuple[Stamp, bool]] = {}
        self._timer = session.timers(BETWEEN_LOOKS, self.look, self)
        session.changed.connect(self._on_changed)

    def close(self) -> None:
        """Look no more."""
        self._timer.stop()

    @Slot()
    def look(self) -> None:
        """Compare now."""
        item = self._session.state.current
        known = self._stamps(item) if item is not None else {}
        if item is None or not known:
            self._timer.stop()
            self._settle()
            return
        self._timer.start()
        now = {path: self._now(path, stamp) for path, stamp in known.items()}
        at_rest, self._seen = now == self._seen, now
        if now == known:
            self._settle()
        elif self._wanted() and None not in now.values():
            if at_rest and now != self._tried:  # half a file is not read: whoever writes it goes on
                self._tried = now
                self.reload.emit(item)
        elif now != self._told:
            self._told = now
            self.changed.emit(self._change(known, now))

    @Slot(object)
    def refuse(self, problem: ChangedFile) -> None:
        """An answer was refused, because a file is not the one any more that was opened."""
        item = self._session.state.current
        if item is not None and problem.path in self._stamps(item):
            self._told = self._tried = {}
            self.look()
        else:
            self.changed.emit(Change(told(problem), (problem.path,)))

    @Slot(object, object)
    def _on_changed(self, old: State, new: State) -> None:
        if new.current is not old.current:
            self._settle()
            self._tried, self._summed = {}, {}
            self.look()

    def _settle(self) -> None:
        if self._told:
            self._told = {}
            self.settled.emit()

    def _now(self, path: Path, known: Stamp) -> Stamp | None:
        """What a file is now; what it was, where it was merely renamed and came back."""
        now = _stamp(path)
        if now is None or now == known:
            return now
        if self._summed.get(path, (None, False))[0] != now:
            try:
                self._summed[path] = now, known.is_content_of(path, now)
            except OSError:
                return None
        return known if self._summed[path][1] else now

    def _change(self, known: Stamps, now: Mapping[Path, Stamp | None]) -> Change:
        """What is said of the first file that is another."""
        for path, stamp in known.items():
            if now[path] == stamp:
                continue
            try:
                check_stamp(path, stamp)
            except FileProblem as problem:
                return Change(self._sentence(path, problem), tuple(known) if _stamp(path) is not None else ())
        return Change("")  # it came back in this very moment; the next look settles it

    def _sentence(self, path: Path, problem: FileProblem) -> str:
        tensor = self._session.state.tensor
        if tensor is not None and tensor.is_stored:
            return told(problem)
        # What was small is here: its figures stay right, of what it was.
        text = self.tr("{file} has changed since it was opened. What you see is what was in it then.")
        if _stamp(path) is None:
            text = self.tr("{file} was moved or deleted. What you see is what was in it.")
        return text.format(file=printable(path.name))


def _stamp(path: Path) -> Stamp | None:
    """That of a file now; None when it is gone."""
    try:
        return Stamp.of(path)
    except OSError:
        return None
