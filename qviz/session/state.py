"""What is open, and what did the person choose? The one truth of the window."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import field, fields, replace
from pathlib import Path
from typing import Any, Literal

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.formats.integers import IntFormat
from qviz.core.frozen import frozen
from qviz.core.questions.effort import Limits
from qviz.core.schemes.fitting import check_fits, fitted
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.generators import GeneratorSpec
from qviz.core.tensors.sorted_tensor import SortedTensor
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, Progress
from qviz.files.entry import Note
from qviz.session.history import History
from qviz.session.timers import Timer, Timers, WindowTimer


@frozen(eq=False)
class Item:
    """A tensor that can be shown: what the list knows of it before it is read.

    ``origin`` says where it comes from (a path, or "generated"), ``paths`` which files it is read from;
    ``load`` reads it; ``note`` says how, where something had to be recognized. ``refused`` where it is known that
    it can't be read.
    ``written`` is what a person may say more about, and ``outputs_first`` how a layer's weight lies, as
    `TensorEntry` has them. ``known`` reads the scheme that the file has for it, where that is to be shown.
    """

    name: str
    origin: str
    shape: tuple[int, ...] | None
    dtype: str | None
    load: Callable[[Progress, IsCancelled], Tensor]
    spec: GeneratorSpec | None = None
    note: Callable[[], Note | None] = lambda: None
    refused: bool = False
    written: Literal["", "table", "raw"] = ""
    paths: tuple[Path, ...] = ()
    outputs_first: bool | None = None
    known: Callable[[], Scheme | None] | None = None


@frozen
class State:
    """One frozen moment of the window.

    Attributes
    ----------
    items : tuple of Item
    current : Item or None
        The one that is shown; ``tensor`` holds its values.
    prepared : SortedTensor or None
        The same in order, as soon as that is done.
    scheme : Scheme
    channel : int or None
        The group that is looked at alone.
    selected : int or None
        The flat index of the element that the charts point at.
    """

    items: tuple[Item, ...] = ()
    current: Item | None = None
    tensor: Tensor | None = None
    prepared: SortedTensor | None = None
    scheme: Scheme = field(default_factory=Scheme)
    channel: int | None = None
    selected: int | None = None


_STATE_FIELDS = {f.name for f in fields(State)}
_SCHEME_FIELDS = {f.name for f in fields(Scheme)}
_FORMAT_FIELDS = {f.name for f in fields(IntFormat)}


STEERED_MILLISECONDS = 200
"""What a hand holds still is taken after this long, however long an answer takes."""


class Session(QObject):
    """Holds the state; every change is asked for here and told once. ``history`` knows the schemes before.

    Signals
    -------
    changed(old, new)
        Two `State` values that differ.
    """

    changed = Signal(object, object)

    def __init__(
        self,
        state: State | None = None,
        parent: QObject | None = None,
        *,
        limits: Limits | None = None,
        timers: Timers = WindowTimer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``limits`` say what is a large tensor, ``timers`` and ``clock`` (seconds) when nothing moves.

        They are those of everyone who answers for this session.
        """
        super().__init__(parent)
        self.limits, self.timers = limits or Limits(), timers
        self._state = state or State()
        self.steering = False
        """Whether what changes now is dragged, so that there is more to come."""
        self._steered: tuple[State, frozenset[str]] | None = None
        self._behind: Callable[[], bool] = lambda: False
        self._unpainted: Callable[[], bool] = lambda: False
        self._impatience: Timer | None = None
        self.history = History(self._state.scheme, self._go_to, self, clock=clock, settle=self.settle)

    @property
    def state(self) -> State:
        return self._state

    @property
    def scheme(self) -> Scheme:
        return self._state.scheme

    @property
    def can_undo(self) -> bool:
        return self.history.can_undo

    @property
    def can_redo(self) -> bool:
        return self.history.can_redo

    def update(self, **changes: Any) -> None:
        """Change fields of the state, of its scheme, or of the scheme's number format.

        Nothing happens when the new state equals the old one, which ends feedback loops.

        Raises
        ------
        TypeError
            For a name that none of them has.
        Problem
            For a value that makes no scheme; the state stays as it was.
        """
        self.settle()
        self._take(*self._changed(self._state, changes))

    def steer(self, **changes: Any) -> None:
        """`update` by what a hand still holds: what comes quicker than it is answered waits, and the newest is taken.

        It is refused at once where it can't be, as by `update`; whatever else changes takes it first.
        """
        state, what = self._steered or (self._state, frozenset())
        state, more = self._changed(state, changes)
        self._steered = state, what | more
        if not self._behind():
            self.settle()
            return
        if self._impatience is None:
            self._impatience = self.timers(STEERED_MILLISECONDS, self.settle, self)
        if not self._impatience.active:
            self._impatience.start()

    @Slot()
    def settle(self) -> None:
        """Take what waits, now: there is time, or the hand has let go."""
        steered, self._steered = self._steered, None
        if steered is not None:
            if self._impatience is not None:
                self._impatience.stop()
            self.steering = True
            try:
                self._take(*steered)
            finally:
                self.steering = False

    def pace_by(self, behind: Callable[[], bool]) -> None:
        """What is steered waits while ``behind``; who says so calls `settle` when that is over."""
        self._behind = behind

    def paint_by(self, due: Callable[[], bool]) -> None:
        """What is told is painted later, as long as it is ``due``."""
        self._unpainted = due

    def is_unpainted(self) -> bool:
        """Whether some of what was told is not painted yet."""
        return self._unpainted()

    def _changed(self, state: State, changes: dict[str, Any]) -> tuple[State, frozenset[str]]:
        """The state that changes lead to, and what of the scheme they are of."""
        format_changes = {k: changes.pop(k) for k in list(changes) if k in _FORMAT_FIELDS}
        scheme_changes = {k: changes.pop(k) for k in list(changes) if k in _SCHEME_FIELDS}
        unknown = changes.keys() - _STATE_FIELDS
        if unknown:
            raise TypeError(f"no such field: {', '.join(sorted(unknown))}")
        scheme = changes.get("scheme", state.scheme)
        if format_changes:
            integers = scheme.number_format if isinstance(scheme.number_format, IntFormat) else IntFormat()
            scheme_changes["number_format"] = replace(integers, **format_changes)
        if scheme_changes:
            scheme = replace(scheme, **scheme_changes)
        tensor = changes.get("tensor", state.tensor)
        if tensor is not None:
            check_fits(scheme, tensor.shape)
        what = frozenset(format_changes or scheme_changes or {"scheme"})
        return replace(state, **{**changes, "scheme": scheme}), what

    def _take(self, new: State, what: frozenset[str]) -> None:
        if new.scheme != self._state.scheme:
            self.history.note(new.scheme, what)
        self._set(new)

    def undo(self) -> None:
        """Go back to the scheme before the last change."""
        self.history.undo()

    def redo(self) -> None:
        """Take the last undo back."""
        self.history.redo()

    def _go_to(self, scheme: Scheme) -> Scheme:
        tensor = self._state.tensor
        scheme = scheme if tensor is None else fitted(scheme, tensor.shape)
        self._set(replace(self._state, scheme=scheme))
        return self._state.scheme

    def _set(self, new: State) -> None:
        old = self._state
        other = new.tensor is not None and not new.tensor.same_data(old.tensor)
        if other and new.prepared is old.prepared:
            new = replace(new, prepared=None)
        if other or new.scheme.granularity != old.scheme.granularity:
            # A channel or an element of another tensor or axis means nothing here.
            channel = new.channel if new.channel != old.channel else None
            selected = new.selected if not other or new.selected != old.selected else None
            new = replace(new, channel=channel, selected=selected)
        elif new.channel != old.channel:
            new = replace(new, selected=new.selected if new.selected != old.selected else None)
        if new != old:
            self._state = new
            self.changed.emit(old, new)
