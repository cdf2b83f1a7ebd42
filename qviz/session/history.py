"""What was chosen before, to go back to and forth again?"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass
from itertools import pairwise
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

MERGE_SECONDS = 0.7
"""Changes of the same control closer together than this are one step of undo."""

MOST_STEPS = 1000
"""Of more, those that are longest ago can't be undone any more."""


class History(QObject):
    """Frozen choices, in the order in which a person made them.

    Parameters
    ----------
    present : object
        What is chosen in the beginning; frozen, and compared with ``==``.
    restore : callable
        Makes an earlier choice the present one again, and returns what came of it: a scheme is fitted
        to the tensor that there is now. What it changes on the way is no step of its own.
    clock : callable
        Seconds that go by.
    settle : callable
        Notes what a hand holds still, before anything is undone.

    Signals
    -------
    changed()
        Something else may be undone or redone.
    """

    changed = Signal()

    def __init__(
        self,
        present: Any,
        restore: Callable[[Any], Any],
        parent: QObject | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(parent)
        self._clock = clock
        self._settle = settle
        self._present = present
        self._restore = restore
        self._undo: list[Any] = []
        self._redo: list[Any] = []
        self._last_change: tuple[Hashable, float] = (None, 0.0)
        self._restoring = False

    @property
    def present(self) -> Any:
        return self._present

    @property
    def can_undo(self) -> bool:
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        return bool(self._redo)

    def note(self, new: Any, what: Hashable = None) -> None:
        """A person chose something; quick changes of the same ``what``, unless it is None, are one step."""
        if self._restoring or new == self._present:
            return
        now = self._clock()
        same, before = self._last_change
        merges = what is not None and bool(self._undo) and what == same and now - before < MERGE_SECONDS
        self._redo.clear()
        self._last_change = (what, now)
        if not merges:
            self._undo.append(self._present)
            del self._undo[:-MOST_STEPS]
        elif self._undo[-1] == new:  # there and back again: nothing is left to undo
            self._undo.pop()
            self._last_change = (None, 0.0)
        self._present = new
        self.changed.emit()

    def settle(self, new: Any) -> None:
        """What is chosen became something else without a person's doing: there is nothing to undo in it."""
        if not self._restoring:
            self._present = new

    def amend(self, change: Callable[[Any], Any]) -> None:
        """Make something else of every choice, which can't be chosen any more as it was.

        A step that then leads nowhere is left out.
        """
        present = change(self._present)
        undo, redo = ([change(each) for each in steps] for steps in (self._undo, self._redo))
        if (present, undo, redo) != (self._present, self._undo, self._redo):
            self._present, self._undo, self._redo = present, _leading(undo, present), _leading(redo, present)
            self.changed.emit()

    def clear(self) -> None:
        """Forget every step; what is chosen stays."""
        self._undo.clear()
        self._redo.clear()
        self._last_change = (None, 0.0)
        self.changed.emit()

    @Slot()
    def undo(self) -> None:
        """Go back to what was chosen before the last change."""
        self._travel(self._undo, self._redo)

    @Slot()
    def redo(self) -> None:
        """Take the last undo back."""
        self._travel(self._redo, self._undo)

    def _travel(self, source: list[Any], target: list[Any]) -> None:
        self._settle()
        if not source:
            return
        wanted = source.pop()
        target.append(self._present)
        self._last_change = (None, 0.0)
        self._restoring = True
        try:
            self._present = wanted
            self._present = self._restore(wanted)
        finally:
            self._restoring = False
            self.changed.emit()


def _leading(steps: list[Any], present: Any) -> list[Any]:
    """Those that lead to something else; the last one comes before what is present."""
    return [step for step, after in pairwise([*steps, present]) if step != after]


def parts_changed(old: object, new: object, name: str = "") -> frozenset[str]:
    """The names of the fields of two dataclasses that differ, down to the innermost."""
    if old == new:
        return frozenset()
    if is_dataclass(old) and is_dataclass(new) and type(old) is type(new):
        each = (parts_changed(getattr(old, f.name), getattr(new, f.name), f"{name}.{f.name}") for f in fields(old))
        return frozenset().union(*each) or frozenset({name})
    return frozenset({name})
