"""What all workers have in common: what is begun ends once, a lack of memory is a sentence, and a bug is loud."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from qviz.core.problems import Phrase, Problem
from qviz.core.work import Cancelled
from qviz.session.runner import Request
from qviz.session.worker import OutOfMemory, Worker
from tests.session.conftest import HandTimers, Heard, Work, settle, until


class Clerk(Worker):
    """Answers nothing but what it is given, and writes down what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[tuple[Any, ...]] = []
        self.during_answer = lambda: None

    def ask(self, key: str, work: Any, *, urgent: bool = False) -> None:
        self._submit(key, work, urgent=urgent)

    def wait_for(self, timers: HandTimers) -> None:
        self.rang = 0
        self.timer = self._timer(timers, 5, self._ring)

    def _ring(self) -> None:
        self.rang += 1

    def _answer(self, key: str, found: object) -> None:
        self.log.append(("answer", key, found, self._runner.busy))
        self.during_answer()

    def _give_up(self, key: str) -> None:
        self.log.append(("give up", key))

    def _fail(self, key: str, problem: Problem | None) -> None:
        self.log.append(("fail", key, problem))

    def _purpose(self, key: str) -> Phrase:
        return Phrase("letter {key}", key=key)


class Office:
    def __init__(self, bot: QtBot) -> None:
        self.bot, self.clerk = bot, Clerk()
        self.heard = Heard(self.clerk, "began", "advanced", "ended", "problem")

    def settle(self) -> list[str]:
        settle(self.bot, self.clerk)
        return self.heard.names

    def hold(self, key: str, **options: Any) -> Work:
        work = Work(key, held=True, **options)
        self.clerk.ask(key, work)
        until(self.bot, work.began.is_set)
        return work


@pytest.fixture
def office(qtbot: QtBot) -> Iterator[Office]:
    made = Office(qtbot)
    yield made
    made.clerk.close()


def test_an_answer_is_told_before_the_end(office: Office) -> None:
    def work(progress: Any, cancelled: Any) -> int:
        progress(1.0)
        return 7

    office.clerk.ask("a", work)
    assert office.clerk.busy
    assert office.settle() == ["began", "advanced", "ended"]
    assert office.clerk.log == [("answer", "a", 7, False)]


def test_what_follows_at_once_has_one_end(office: Office) -> None:
    first = office.hold("a")
    office.clerk.ask("b", Work("b"), urgent=True)
    first.let_go.set()
    assert office.settle() == ["began", "began", "ended"]
    assert office.clerk.log == [("give up", "a"), ("answer", "b", "b", False)]


def test_what_an_answer_asks_for_has_the_same_end(office: Office) -> None:
    office.clerk.during_answer = lambda: None if len(office.clerk.log) > 1 else office.clerk.ask("b", Work("b"))
    office.clerk.ask("a", Work("a"))
    until(office.bot, lambda: len(office.clerk.log) == 2)
    assert office.settle() == ["began", "began", "ended"]


def test_what_only_waits_when_it_is_given_up_ends_too_but_once(office: Office) -> None:
    first = office.hold("a", deaf=True)
    office.clerk.ask("b", Work("b"))
    office.clerk.during_answer = office.clerk.cancel
    first.let_go.set()
    assert office.settle() == ["began", "ended"]
    assert [entry[:2] for entry in office.clerk.log] == [("answer", "a"), ("give up", "b")]


def test_giving_up_is_told_after_the_end(office: Office) -> None:
    first = office.hold("a")
    office.clerk.cancel()
    assert office.heard.names == ["began"]  # it is still under way
    first.let_go.set()
    assert office.settle() == ["began", "ended"]
    assert office.clerk.log == [("give up", "a")]


def test_giving_up_nothing_ends_nothing(office: Office) -> None:
    office.clerk.cancel()
    assert office.settle() == []


def test_a_problem_is_passed_on(office: Office) -> None:
    problem = Problem("There is no {name}.", name="ink")
    office.clerk.ask("a", Work(problem))
    assert office.settle() == ["began", "ended", "problem"]
    assert office.heard.of("problem") == ["There is no ink."]
    assert office.clerk.log == [("fail", "a", problem)]


def test_a_lack_of_memory_says_for_what(office: Office) -> None:
    office.clerk.ask("a", Work(MemoryError()))
    office.settle()
    assert office.heard.of("problem") == [
        "There is not enough memory for letter a: close other programs and try again."
    ]
    assert isinstance(office.clerk.log[0][2], OutOfMemory)


def test_a_bug_is_loud_and_ends_too(office: Office) -> None:
    with office.bot.capture_exceptions() as caught:
        office.clerk.ask("a", Work(KeyError("bug")))
        assert office.settle() == ["began", "ended"]
    assert [error for error, *_ in caught] == [KeyError]
    assert office.clerk.log == [("fail", "a", None)]
    office.clerk.ask("b", Work("b"))
    assert office.settle() == ["began", "ended"] * 2


@pytest.mark.parametrize("end", ["cancelled", "problem", "bug"])
def test_what_has_no_answer_is_given_up_however_it_ended(office: Office, end: str) -> None:
    heard = Heard(office.clerk, "given_up")
    first = office.hold("a")
    office.clerk.ask("b", Work("b"))
    first.answer = {"problem": Problem("No."), "bug": KeyError("bug")}.get(end, "a")
    with office.bot.capture_exceptions():
        if end == "cancelled":
            office.clerk._runner.submit(Request("b", Work("b")), urgent=True)
        first.let_go.set()
        office.settle()
        assert heard.names == []  # another answer was on its way
        first.answer = first.answer if end != "cancelled" else Cancelled()
        office.clerk.ask("a", first)
        office.settle()
    assert heard.names == ["given_up"]


def test_timers_are_the_worker_s_and_stop_when_it_closes(office: Office) -> None:
    timers = HandTimers()
    office.clerk.wait_for(timers)
    office.clerk.timer.start()
    timers.fire()
    assert (office.clerk.rang, timers.all[0].milliseconds) == (1, 5)
    office.clerk.timer.start()
    office.clerk.close()
    assert not timers.active
