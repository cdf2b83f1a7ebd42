"""What a hand still holds: while an answer is found or painted only the newest is kept, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from qviz.core import IntFormat, Manual, PerAxis, Problem, Scheme, Tensor, analyze
from qviz.session import answering
from qviz.session.analyst import Analyst
from qviz.session.state import Session, State
from tests.session.conftest import HandTimers, Heard, Work, settle, until

pytestmark = pytest.mark.usefixtures("qapp")


class Road:
    """A session whose answers are behind as long as a test says so."""

    def __init__(self) -> None:
        self.behind = False
        self.timers = HandTimers()
        self.session = Session(timers=self.timers)
        self.session.pace_by(lambda: self.behind)
        self.heard = Heard(self.session, "changed")

    @property
    def told(self) -> list[int]:
        """The bits that everybody was told of."""
        return [new.scheme.number_format.bits for _, new in self.heard.of("changed")]


@pytest.fixture
def road() -> Road:
    return Road()


@pytest.fixture
def held_up(road: Road) -> Road:
    """Two movements wait: 7 bits, then 6."""
    road.behind = True
    for bits in (7, 6):
        road.session.steer(bits=bits)
    assert road.told == []
    return road


def test_where_there_is_time_each_movement_is_taken(road: Road) -> None:
    for bits in (7, 6, 5):
        road.session.steer(bits=bits)
    assert road.told == [7, 6, 5]


def test_of_what_waits_the_newest_is_taken_once(held_up: Road) -> None:
    held_up.session.settle()
    held_up.session.settle()
    assert held_up.told == [6]
    assert not held_up.timers.active


def test_however_long_an_answer_takes_what_is_held_is_told(held_up: Road) -> None:
    held_up.timers.fire()
    assert held_up.told == [6]
    held_up.session.steer(bits=5)
    held_up.timers.fire()
    assert held_up.told == [6, 5]


def test_whatever_else_changes_comes_after_it(held_up: Road) -> None:
    held_up.session.update(symmetric=False)
    schemes = [new.scheme for _, new in held_up.heard.of("changed")]
    assert schemes == [Scheme(IntFormat(6)), Scheme(IntFormat(6), False)]


def test_movements_of_two_hands_are_both_taken(held_up: Road) -> None:
    held_up.session.steer(range_rule=Manual(-1.0, 1.0))
    held_up.session.settle()
    assert held_up.session.scheme == Scheme(IntFormat(6), range_rule=Manual(-1.0, 1.0))


def test_back_where_it_began_nobody_is_told(held_up: Road) -> None:
    held_up.session.steer(bits=8)
    held_up.session.settle()
    assert held_up.told == []
    assert not held_up.session.can_undo


def test_undo_goes_back_to_before_the_hand_came(held_up: Road) -> None:
    held_up.session.history.undo()
    assert held_up.told == [6, 8]
    held_up.session.history.redo()
    assert held_up.session.scheme.number_format.bits == 6


def test_what_cannot_be_is_refused_at_once_and_what_waits_stays(held_up: Road) -> None:
    with pytest.raises(Problem):
        held_up.session.steer(bits=99)
    held_up.session.settle()
    assert held_up.told == [6]


# --- the analyst paces it ---------------------------------------------------------------------------


class Desk:
    """A session and its analyst, whose answers wait until they are let go."""

    def __init__(self, bot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bot, self.timers, self.work = bot, HandTimers(), Work()
        self.session = Session(timers=self.timers)
        self.analyst = Analyst(self.session)
        self.heard = Heard(self.analyst, "answered")
        self.changes: list[State] = []

        def analyze_when_let_go(x: Tensor, scheme: Scheme, **known: Any) -> Any:
            self.work(known["progress"], known["cancelled"])
            return analyze(x, scheme, **known)

        monkeypatch.setattr(answering, "analyze", analyze_when_let_go)
        self.session.update(
            tensor=Tensor(np.random.default_rng(0).normal(0, 1, (4, 6)).astype(np.float32)), granularity=PerAxis(0)
        )
        self.timers.settle(bot, self.analyst)
        self.session.changed.connect(self._on_changed)
        self.heard.all.clear()

    def _on_changed(self, old: State, new: State) -> None:
        self.changes.append(new)

    def hold(self) -> None:
        """Answers that begin from now on wait to be let go."""
        self.work = Work(held=True)

    @property
    def shown(self) -> list[int]:
        return [frame.scheme.number_format.bits for frame in self.heard.of("answered")]


@pytest.fixture
def desk(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    made = Desk(qtbot, monkeypatch)
    yield made
    made.work.let_go.set()
    made.analyst.close()


def test_movements_during_an_answer_are_one_change_that_is_painted_with_it(desk: Desk) -> None:
    desk.hold()
    desk.session.steer(bits=7)
    until(desk.bot, desk.work.began.is_set)
    for bits in (6, 5, 4, 3):
        desk.session.steer(bits=bits)
    assert len(desk.changes) == 1
    desk.work.let_go.set()
    until(desk.bot, lambda: desk.session.scheme.number_format.bits == 3)
    settle(desk.bot, desk.analyst)
    assert [state.scheme.number_format.bits for state in desk.changes] == [7, 3]
    assert desk.shown == [7, 3]


def test_movements_while_everything_is_computed_are_not_kept_waiting(desk: Desk) -> None:
    """What rests is computed in full; who moves on gives that up, and does not wait for it."""
    desk.hold()
    desk.analyst.answer_exactly()
    until(desk.bot, desk.work.began.is_set)
    desk.session.steer(bits=7)
    assert [state.scheme.number_format.bits for state in desk.changes] == [7]


def test_what_a_movement_changes_is_painted_before_the_thread_is_busy(desk: Desk) -> None:
    """Two threads of Python at once would make painting slow."""
    heard = Heard(desk.analyst, "began")
    desk.session.steer(bits=7)
    assert desk.analyst.busy
    assert heard.names == []
    until(desk.bot, lambda: heard.names == ["began"])


def test_an_answer_that_fails_lets_movements_go_on(desk: Desk) -> None:
    desk.hold()
    desk.work.answer = Problem("no answer")
    desk.session.steer(bits=7)
    until(desk.bot, desk.work.began.is_set)
    desk.session.steer(bits=6)
    failing, desk.work = desk.work, Work()
    failing.let_go.set()
    until(desk.bot, lambda: desk.shown == [6])
