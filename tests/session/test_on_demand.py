"""An answer that is asked for while somebody looks, when nothing moves, once for equal questions."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator

import pytest
from PySide6.QtCore import QCoreApplication
from pytestqt.qtbot import QtBot

from qviz.core.problems import Phrase, Problem
from qviz.session.on_demand import STILL_MILLISECONDS, OnDemand
from tests.session.conftest import HandTimers, Heard, Work, until


class Question(OnDemand):
    """About whatever a test says."""

    def __init__(self, timers: HandTimers) -> None:
        super().__init__(timers)
        self.subject: Hashable = "a"
        self.works: list[Work] = []
        self.answers: list[object] = []
        self.held = self.deaf = self.blocked = self.sticky = False
        self.fails: Exception | None = None

    def key(self) -> Hashable:
        return self.subject

    def work(self) -> Work:
        self.works.append(Work(self.fails or self.subject, held=self.held, deaf=self.deaf))
        return self.works[-1]

    def answer(self, found: object) -> None:
        self.answers.append(found)

    def _must_wait(self) -> bool:
        return self.blocked

    def _may_stay(self) -> bool:
        return self.sticky

    def _purpose(self, key: Hashable) -> Phrase:
        return Phrase("this")


class Desk:
    def __init__(self, bot: QtBot) -> None:
        self.bot, self.timers = bot, HandTimers()
        self.question = Question(self.timers)
        self.heard = Heard(self.question, "began", "ended", "waiting", "forgotten", "stopped", "problem")

    def settle(self) -> None:
        self.timers.settle(self.bot, self.question)

    def ask(self, subject: Hashable) -> None:
        self.question.subject = subject
        self.question.look()

    def begin(self) -> Work:
        """What is wanted is under way, and held."""
        self.question.held = True
        self.question.want(True)
        self.timers.fire()
        until(self.bot, self.question.works[-1].began.is_set)
        return self.question.works[-1]


@pytest.fixture
def desk(qtbot: QtBot) -> Iterator[Desk]:
    made = Desk(qtbot)
    yield made
    for work in made.question.works:
        work.let_go.set()
    made.question.close()


def test_it_is_asked_when_somebody_looks_and_nothing_moves(desk: Desk) -> None:
    desk.question.look()
    assert not desk.question.busy
    desk.question.want(True)
    assert desk.timers.all[0].milliseconds == STILL_MILLISECONDS == 150
    assert (desk.question.busy, desk.question.works) == (True, [])
    desk.settle()
    assert desk.question.answers == ["a"]
    assert desk.heard.names == ["began", "ended"]
    assert not desk.question.busy


def test_who_looks_away_stops_what_is_under_way_and_what_was_going_to_be(desk: Desk) -> None:
    desk.question.want(True)
    desk.question.want(False)
    assert not desk.timers.active
    work = desk.begin()
    desk.question.want(False)
    work.let_go.set()
    desk.settle()
    assert not work.ended
    assert desk.question.answers == []
    desk.question.held = False
    desk.question.want(True)
    desk.settle()
    assert desk.question.answers == ["a"]


def test_who_looks_again_does_not_stop_what_is_under_way(desk: Desk) -> None:
    work = desk.begin()
    desk.question.want(True)
    desk.question.look()
    assert not desk.timers.active
    work.let_go.set()
    desk.settle()
    assert work.ended
    assert len(desk.question.works) == 1
    assert desk.question.answers == ["a"]


def test_equal_questions_are_asked_once(desk: Desk) -> None:
    desk.question.want(True)
    desk.settle()
    desk.question.want(False)
    desk.question.want(True)
    desk.question.look()
    assert not desk.question.busy
    assert "forgotten" not in desk.heard.names


def test_another_question_forgets_the_answer_at_once_and_asks_anew(desk: Desk) -> None:
    desk.question.want(True)
    desk.settle()
    desk.ask("b")
    desk.ask("c")
    assert desk.heard.names[2:] == ["forgotten"]
    desk.settle()
    assert desk.question.answers == ["a", "c"]


def test_there_and_back_while_it_is_answered_asks_nothing_else(desk: Desk) -> None:
    work = desk.begin()
    desk.ask("b")
    assert desk.timers.active
    desk.ask("a")
    assert not desk.timers.active
    work.let_go.set()
    desk.settle()
    assert desk.question.answers == ["a"]


def test_an_answer_to_the_question_before_is_not_told(desk: Desk) -> None:
    desk.question.deaf = True
    work = desk.begin()
    desk.question.held = False
    desk.ask("b")
    work.let_go.set()
    until(desk.bot, lambda: not desk.question._runner.busy)
    assert desk.question.answers == []
    desk.settle()
    assert desk.question.answers == ["b"]


def test_no_question_stops_what_is_under_way(desk: Desk) -> None:
    work = desk.begin()
    desk.ask(None)
    work.let_go.set()
    desk.settle()
    assert not work.ended
    desk.question.again()
    assert not desk.question.busy


def test_an_answer_that_may_stay_is_shown_until_its_successor_is_there(desk: Desk) -> None:
    desk.question.sticky = True
    desk.question.want(True)
    desk.settle()
    desk.ask("b")
    assert "forgotten" not in desk.heard.names
    desk.settle()
    assert desk.question.answers == ["a", "b"]
    desk.question.sticky = False
    desk.ask("c")
    assert desk.heard.names[-1] == "forgotten"


def test_what_has_to_wait_says_so_and_stops_the_timer(desk: Desk) -> None:
    desk.question.want(True)
    desk.question.blocked = True
    desk.question.look()
    assert desk.heard.names == ["waiting"]
    assert not desk.question.busy
    desk.question.blocked = False
    desk.question.look()
    desk.settle()
    assert desk.question.answers == ["a"]


@pytest.mark.parametrize("way", ["again", "another question"])
def test_what_was_cancelled_stays_so_until_somebody_asks(desk: Desk, way: str) -> None:
    work = desk.begin()
    desk.question.held = False
    desk.question.cancel()
    assert desk.heard.names[-1] == "stopped"
    work.let_go.set()
    desk.question.look()
    desk.settle()
    assert desk.question.answers == []
    if way == "again":
        desk.question.again()
    else:
        desk.ask("b")
        desk.ask("a")  # not declined any more
    desk.settle()
    assert desk.question.answers == ["a"]


def test_cancelling_before_it_began_is_cancelling_too(desk: Desk) -> None:
    desk.question.want(True)
    desk.question.cancel()
    desk.question.look()
    assert not desk.timers.active


def test_again_forgets_nothing_and_asks_now(desk: Desk) -> None:
    desk.question.want(True)
    desk.settle()
    desk.question.again()
    assert desk.question._runner.busy
    assert not desk.timers.active
    desk.settle()
    assert desk.question.answers == ["a", "a"]
    desk.question.want(False)
    desk.question.again()
    assert not desk.question.busy


def test_a_problem_is_said_once(desk: Desk) -> None:
    desk.question.fails = Problem("No.")
    desk.question.want(True)
    desk.settle()
    desk.question.look()
    desk.settle()
    assert desk.heard.names == ["began", "ended", "stopped", "problem"]


def test_a_bug_is_loud(desk: Desk) -> None:
    desk.question.fails = KeyError("bug")
    with desk.bot.capture_exceptions() as caught:
        desk.question.want(True)
        desk.settle()
    assert [error for error, *_ in caught] == [KeyError]
    assert desk.heard.names == ["began", "ended", "stopped"]  # nobody waits for it any more


def test_closing_stops_everything(desk: Desk) -> None:
    act: Callable[[], None] = desk.question.close
    desk.question.want(True)
    act()
    assert not desk.question.busy
    desk.question.again()
    QCoreApplication.processEvents()
    assert desk.heard.names == []
