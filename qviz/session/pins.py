"""Which schemes are pinned, to be compared on every tensor? They survive the session."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.frozen import frozen
from qviz.core.problems import Problem
from qviz.core.questions.effort import Limits, plan
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.sorted_tensor import SortedTensor
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, Progress
from qviz.session.on_demand import TensorOnDemand
from qviz.session.state import Session
from qviz.session.worker import Work

if TYPE_CHECKING:
    from qviz.core.questions.analysis import Analysis

log = logging.getLogger(__name__)

MOST_PINS = 6
"""As many as there are colours that can be told apart."""


@frozen
class Pin:
    """A scheme under the name that a person gave it; "" for one that names itself.

    ``place`` decides its colour, and stays when others come and go.
    """

    scheme: Scheme
    name: str = ""
    place: int = 0


def placed(pins: list[Any]) -> list[Any]:
    """Plain pins of several windows: where two have the same place, the later one gets a free one."""
    found: list[Any] = []
    taken: set[object] = set()
    for each in pins:
        pin = each
        if isinstance(pin, dict) and pin.get("place") in taken:
            place = next((place for place in range(MOST_PINS) if place not in taken), pin["place"])
            pin = pin | {"place": place}
        found.append(pin)
        taken.add(pin.get("place") if isinstance(pin, dict) else None)
    return found


class Pins(QObject):
    """The pinned schemes, in the order in which they were pinned.

    Signals
    -------
    changed()
        There are others, or other names.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pins: tuple[Pin, ...] = ()

    @property
    def pins(self) -> tuple[Pin, ...]:
        return self._pins

    def add(self, scheme: Scheme) -> None:
        """Pin a scheme.

        Raises
        ------
        Problem
            When it is pinned already, or there is no room for another.
        """
        if any(pin.scheme == scheme for pin in self._pins):
            raise Problem("This scheme is pinned already.")
        if len(self._pins) == MOST_PINS:
            raise Problem("{count} schemes are pinned: remove one first.", count=MOST_PINS)
        taken = {pin.place for pin in self._pins}
        place = next(place for place in range(MOST_PINS) if place not in taken)
        self._set((*self._pins, Pin(scheme, place=place)))

    def remove(self, pin: Pin) -> None:
        """Take one away."""
        self._set(tuple(each for each in self._pins if each != pin))

    def rename(self, pin: Pin, name: str) -> None:
        """Give one a name; "" gives it its own back."""
        self._set(tuple(replace(each, name=name.strip()) if each == pin else each for each in self._pins))

    def clear(self) -> None:
        """Take all away."""
        self._set(())

    def put_back(self, pins: tuple[Pin, ...]) -> None:
        """Those that there were before."""
        self._set(pins)

    def to_list(self) -> list[dict[str, Any]]:
        """Plain values for the settings."""
        return [{"name": p.name, "place": p.place, "scheme": p.scheme.to_dict()} for p in self._pins]

    def restore(self, data: list[Any]) -> None:
        """The pins that `to_list` wrote; what is damaged is left out."""
        found: dict[int, Pin] = {}
        for each in data:
            try:
                pin = Pin(Scheme.from_dict(each["scheme"]), str(each["name"]), int(each["place"]))
            except (Problem, KeyError, TypeError, ValueError) as error:
                log.info("a pin cannot be used: %s", error)
                continue
            known = any(pin.scheme == other.scheme for other in found.values())
            if 0 <= pin.place < MOST_PINS and pin.place not in found and not known:
                found[pin.place] = pin
        self._set(tuple(found.values()))

    def _set(self, pins: tuple[Pin, ...]) -> None:
        if pins != self._pins:
            self._pins = pins
            self.changed.emit()


class PinAnalyst(TensorOnDemand):
    """Analyzes the tensor that is shown under every pinned scheme.

    Signals
    -------
    judged(Scheme, Analysis or Problem)
        What one scheme does to it, or why it cannot be said.
    """

    judged = Signal(object, object)

    _came = Signal(object, object, object)

    def __init__(
        self, session: Session, pins: Pins, sorting: Callable[[], bool], parent: QObject | None = None
    ) -> None:
        super().__init__(session, sorting, parent)
        self._pins = pins
        self._known: dict[Scheme, Analysis | Problem] = {}
        self._of: tuple[Tensor | None, SortedTensor | None] = (None, None)
        self._came.connect(self._on_came)
        pins.changed.connect(self.look)

    def key(self) -> Hashable:
        state, schemes = self._session.state, frozenset(pin.scheme for pin in self._pins.pins)
        return (state.tensor, state.prepared, schemes) if state.tensor is not None and schemes else None

    def work(self) -> Work:
        state = self._session.state
        tensor, prepared = state.tensor, state.prepared
        assert tensor is not None
        if self._of != (tensor, prepared):
            self._of, self._known = (tensor, prepared), {}
        missing = []
        for pin in self._pins.pins:
            if pin.scheme in self._known:
                self.judged.emit(pin.scheme, self._known[pin.scheme])
            else:
                missing.append(pin.scheme)
        of, tell, limits = self._of, self._came.emit, self._session.limits

        def run(progress: Progress, cancelled: IsCancelled) -> None:
            for done, scheme in enumerate(missing):

                def advance(fraction: float, done: int = done) -> None:
                    progress((done + fraction) / len(missing))

                try:
                    found: Analysis | Problem = _analyze(tensor, prepared, scheme, limits, advance, cancelled)
                except Problem as problem:
                    found = problem
                tell(of, scheme, found)

        return run

    def answer(self, found: object) -> None:
        """Each was told as it came."""

    @Slot(object, object, object)
    def _on_came(self, of: object, scheme: Scheme, found: Analysis | Problem) -> None:
        if of == self._of:
            self._known[scheme] = found
            self.judged.emit(scheme, found)


def _analyze(
    tensor: Tensor,
    prepared: SortedTensor | None,
    scheme: Scheme,
    limits: Limits,
    progress: Progress,
    cancelled: IsCancelled,
) -> Analysis:
    from qviz.core.questions.analysis import analyze, estimate

    if plan(tensor, prepared, scheme, limits).exact:
        return analyze(prepared or tensor, scheme, limits=limits, progress=progress, cancelled=cancelled)
    return estimate(tensor, scheme, cancelled=cancelled)
