"""Work leaves the window's thread and comes back: one request running, at most one waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QObject, Qt, QTimer
from pytestqt.qtbot import QtBot

from qviz.core.problems import Problem
from qviz.core.work import Cancelled, IsCancelled, Progress, in_company
from qviz.session.runner import LatestRunner, Request
from tests.session.conftest import PATIENCE, Heard, Work, until

SIGNALS = ("started", "progressed", "finished", "failed", "cancelled")


class Bench:
    """A runner, everything it says, and requests called by their keys."""

    def __init__(self, qtbot: QtBot) -> None:
        self.bot = qtbot
        self.runner = LatestRunner()
        self.heard = Heard(self.runner, *SIGNALS)
        self.works: list[Work] = []

    def submit(self, key: str, work: Any = None, *, urgent: bool = False, ahead: bool = False) -> Any:
        work = work or Work(f"answer {key}")
        if isinstance(work, Work):
            self.works.append(work)
        self.runner.submit(Request(key, work, ahead), urgent=urgent)
        return work

    def hold(self, key: str, **options: Any) -> Work:
        """Submit work, and wait until it is under way."""
        work: Work = self.submit(key, Work(f"answer {key}", held=True, **options))
        until(self.bot, work.began.is_set)
        return work

    def settle(self) -> list[str]:
        """Wait until nothing runs or waits; what was said, as "signal key"."""
        until(self.bot, lambda: not (self.runner.busy or self.runner.resting))
        return self.told()

    def told(self) -> list[str]:
        return [f"{name} {arguments[0].key}" for name, arguments in self.heard.all]


@pytest.fixture
def bench(qtbot: QtBot) -> Iterator[Bench]:
    made = Bench(qtbot)
    yield made
    for work in made.works:
        work.let_go.set()
    made.runner.close()


def test_an_answer_comes_back_with_its_question(bench: Bench) -> None:
    request = Request("a", Work("answer"))
    with bench.bot.waitSignal(bench.runner.finished, timeout=int(1000 * PATIENCE)) as finished:
        bench.runner.submit(request)
        assert bench.runner.busy
    assert finished.args == [request, "answer"]
    assert bench.settle() == ["started a", "finished a"]
    assert not bench.runner.busy


def test_work_is_done_in_another_thread_and_told_in_this_one(bench: Bench) -> None:
    def work(progress: Progress, cancelled: IsCancelled) -> int:
        progress(0.5)
        return threading.get_ident()

    bench.submit("a", work)
    bench.submit("b", Work(Problem("no")))
    bench.settle()
    assert set(bench.heard.names) == {"started", "progressed", "finished", "failed"}
    assert bench.heard.threads == {threading.get_ident()}
    assert bench.heard.of("finished")[0][1] != threading.get_ident()


def test_requests_that_each_wait_their_turn_are_done_in_order(bench: Bench) -> None:
    for key in "abc":
        bench.submit(key)
        bench.settle()
    assert bench.told() == ["started a", "finished a", "started b", "finished b", "started c", "finished c"]


def test_while_one_runs_nothing_else_does(bench: Bench) -> None:
    first = bench.hold("a")
    second = bench.submit("b")
    QCoreApplication.processEvents()
    assert not second.began.is_set()
    first.let_go.set()
    assert bench.settle() == ["started a", "finished a", "started b", "finished b"]


def test_one_waits_at_most_and_a_newer_one_takes_its_place(bench: Bench) -> None:
    first = bench.hold("a")
    overtaken = [bench.submit(key) for key in "bcd"]
    bench.submit("e")
    first.let_go.set()
    assert bench.settle() == ["started a", "finished a", "started e", "finished e"]
    assert [work.calls for work in overtaken] == [0, 0, 0]


def test_an_urgent_one_cancels_what_runs(bench: Bench) -> None:
    first = Work()
    bench.submit("a", first.until_cancelled)
    bench.submit("b", urgent=True)
    assert bench.settle() == ["started a", "cancelled a", "started b", "finished b"]


def test_one_that_is_not_urgent_lets_the_other_finish(bench: Bench) -> None:
    first = bench.hold("a")
    bench.submit("b")
    first.let_go.set()
    assert "finished a" in bench.settle()


def test_an_urgent_one_does_not_cancel_itself(bench: Bench) -> None:
    bench.submit("a", urgent=True)
    assert bench.settle() == ["started a", "finished a"]
    bench.submit("b", urgent=True)
    assert bench.settle()[2:] == ["started b", "finished b"]


def test_failed_and_cancelled_are_told_apart(bench: Bench) -> None:
    problem, bug = Problem("bad input"), KeyError("bug")
    for key, error in (("a", problem), ("b", bug), ("c", Cancelled()), ("d", MemoryError())):
        bench.submit(key, Work(error))
        bench.settle()
    assert [line for line in bench.told() if "started" not in line] == [
        "failed a",
        "failed b",
        "cancelled c",
        "failed d",
    ]
    assert [error for _, error in bench.heard.of("failed")][:2] == [problem, bug]


def test_a_panic_that_is_no_exception_fails_too(bench: Bench) -> None:
    class Panic(BaseException):
        """As pyo3's, which libraries written in Rust raise."""

    bench.submit("a", Work(Panic("index out of bounds")))
    assert bench.settle() == ["started a", "failed a"]
    ((_, error),) = bench.heard.of("failed")
    assert isinstance(error, RuntimeError)
    assert str(error) == "Panic: index out of bounds"
    assert isinstance(error.__cause__, Panic)


def test_the_next_one_is_done_after_a_failure(bench: Bench) -> None:
    first = bench.submit("a", Work(KeyError("bug"), held=True))
    bench.submit("b")
    first.let_go.set()
    assert bench.settle() == ["started a", "failed a", "started b", "finished b"]


def test_cancelling_stops_what_runs_and_forgets_what_waits(bench: Bench) -> None:
    first = bench.hold("a")
    waiting = bench.submit("b")
    bench.runner.cancel()
    first.let_go.set()
    assert bench.settle() == ["started a", "cancelled b", "cancelled a"]
    assert waiting.calls == 0
    bench.submit("c")
    assert bench.settle()[3:] == ["started c", "finished c"]


def test_an_answer_that_comes_too_late_to_be_cancelled_is_not_told(bench: Bench) -> None:
    deaf = bench.hold("a", deaf=True)
    bench.runner.cancel()
    deaf.let_go.set()
    assert bench.settle() == ["started a", "cancelled a"]
    assert deaf.ended


def test_a_failure_is_told_even_when_it_was_cancelled(bench: Bench) -> None:
    work = bench.submit("a", Work(KeyError("bug"), held=True, deaf=True))
    bench.runner.cancel()
    work.let_go.set()
    assert bench.settle() == ["started a", "failed a"]


def test_cancelling_nothing_says_nothing(bench: Bench) -> None:
    bench.runner.cancel()
    bench.submit("a")
    assert bench.settle() == ["started a", "finished a"]
    bench.runner.cancel()
    bench.submit("b")
    assert bench.settle()[2:] == ["started b", "finished b"]


def test_the_next_one_starts_when_the_answer_is_painted(bench: Bench) -> None:
    class Screen(QObject):
        def event(self, event: QEvent) -> bool:
            if event.type() == QEvent.Type.UpdateRequest:
                bench.heard.all.append(("painted", (Request("a", work),)))
                assert not work.began.is_set()
                return True
            return super().event(event)

    screen = Screen()

    def paint(request: Request, answer: object) -> None:
        if request.key == "a":
            assert not work.began.is_set()
            QCoreApplication.postEvent(screen, QEvent(QEvent.Type.UpdateRequest))

    first = bench.hold("a")
    work = bench.submit("b")
    bench.runner.finished.connect(paint)
    first.let_go.set()
    assert bench.settle()[:4] == ["started a", "finished a", "painted a", "started b"]


def test_what_the_slot_of_an_answer_asks_for_waits_for_the_painting_too(bench: Bench) -> None:
    def ask(request: Request, answer: object) -> None:
        if request.key == "a":
            bench.submit("b")
            assert "started b" not in bench.told()

    bench.runner.finished.connect(ask)
    bench.submit("a")
    until(bench.bot, lambda: "finished b" in bench.told())
    assert bench.settle() == ["started a", "finished a", "started b", "finished b"]


def test_painting_that_asks_for_more_painting_comes_first_too(bench: Bench) -> None:
    class Screen(QObject):
        painted = 0

        def event(self, event: QEvent) -> bool:
            if event.type() == QEvent.Type.UpdateRequest:
                self.painted += 1
                if self.painted < 2:
                    self.update()
                return True
            return super().event(event)

        def update(self) -> None:
            QCoreApplication.postEvent(self, QEvent(QEvent.Type.UpdateRequest), Qt.EventPriority.LowEventPriority.value)

    screen = Screen()
    painted_before: list[int] = []
    bench.runner.started.connect(lambda request: painted_before.append(screen.painted))
    bench.runner.finished.connect(lambda request, answer: screen.update() if request.key == "a" else None)
    first = bench.hold("a")
    bench.submit("b")
    first.let_go.set()
    bench.settle()
    assert painted_before == [0, 2]


def paints_for_long(bench: Bench) -> threading.Event:
    """Painting the answer to "a" takes until the event is set, or what is asked next has ended."""
    ended = threading.Event()

    def paint() -> None:
        bench.heard.all.append(("painted", (Request("a", Work()),)))
        assert ended.wait(PATIENCE)

    screen = QTimer(bench.runner)
    screen.setSingleShot(True)
    screen.timeout.connect(paint)
    bench.runner.finished.connect(lambda request, answer: screen.start() if request.key == "a" else None)
    return ended


def test_one_that_may_is_done_while_the_answer_before_it_is_painted(bench: Bench) -> None:
    ended = paints_for_long(bench)
    busy: list[bool] = []

    def work(progress: Progress, cancelled: IsCancelled) -> str:
        busy.append(in_company())
        ended.set()
        return "answer b"

    bench.runner.finished.connect(lambda request, answer: busy.append(bench.runner.busy))
    first = bench.hold("a")
    bench.submit("b", work, ahead=True)
    first.let_go.set()
    assert bench.settle() == ["started a", "finished a", "started b", "painted a", "finished b"]
    assert bench.heard.of("finished")[1][1] == "answer b"
    assert sorted(busy) == [False, True, True], "busy at the first answer, as what runs then is told; not at the last"


def test_what_was_found_meanwhile_has_a_turn_to_itself(bench: Bench) -> None:
    """Painting and telling in one turn keep a hand waiting for both."""
    ended = paints_for_long(bench)

    def work(progress: Progress, cancelled: IsCancelled) -> str:
        ended.set()
        return "answer b"

    hand = QTimer(bench.runner)
    hand.setSingleShot(True)
    hand.timeout.connect(lambda: bench.heard.all.append(("heard", (Request("a", work),))))
    bench.runner._after_painting.painted.connect(hand.start)
    bench.runner._after_painting.painted.disconnect(bench.runner._on_painted)
    bench.runner._after_painting.painted.connect(bench.runner._on_painted)
    first = bench.hold("a")
    bench.submit("b", work, ahead=True)
    first.let_go.set()
    assert bench.settle()[:6] == ["started a", "finished a", "started b", "painted a", "heard a", "finished b"]


def test_of_what_may_be_done_ahead_the_newest_is_and_the_next_one_waits_its_turn(bench: Bench) -> None:
    overtaken: list[Work] = []

    def ask(request: Request, answer: object) -> None:
        if request.key == "a":
            overtaken.append(bench.submit("b", Work(held=True), ahead=True))
            bench.submit("c", ahead=True)
            bench.submit("d", ahead=True)
            overtaken[0].let_go.set()

    bench.runner.finished.connect(ask)
    bench.submit("a")
    assert bench.settle() == ["started a", "finished a", "started b", "finished b", "started d", "finished d"]


@pytest.mark.parametrize("how", ["cancel", "urgent"])
def test_what_was_found_ahead_can_be_given_up_until_it_is_told(bench: Bench, how: str) -> None:
    ended = paints_for_long(bench)

    def give_up() -> None:
        if how == "cancel":
            bench.runner.cancel()
        else:
            bench.submit("c", urgent=True)

    def ask(request: Request, answer: object) -> None:
        if request.key == "a":
            bench.submit("b", lambda progress, cancelled: ended.set(), ahead=True)
            QTimer.singleShot(0, bench.runner, give_up)

    bench.runner.finished.connect(ask)
    bench.submit("a")
    told = bench.settle()
    assert [line for line in told if line.endswith(" b")] == ["started b", "cancelled b"]
    assert told[-2:] == (["painted a", "cancelled b"] if how == "cancel" else ["started c", "finished c"])


def test_what_was_found_ahead_is_not_told_after_closing(bench: Bench) -> None:
    def ask(request: Request, answer: object) -> None:
        bench.submit("b", ahead=True)
        bench.runner.close()

    bench.runner.finished.connect(ask)
    bench.submit("a")
    until(bench.bot, lambda: "finished a" in bench.told())
    for _ in range(10):
        QCoreApplication.processEvents()
    assert bench.told() == ["started a", "finished a", "started b"]


def test_there_is_rest_only_when_nothing_is_done_ahead_either(bench: Bench) -> None:
    rested: list[list[str]] = []
    bench.runner.rested.connect(lambda: rested.append(bench.told()))

    def ask(request: Request, answer: object) -> None:
        if request.key == "a":
            bench.submit("b", ahead=True)

    bench.runner.finished.connect(ask)
    bench.submit("a")
    until(bench.bot, lambda: bool(rested))
    assert rested == [["started a", "finished a", "started b", "finished b"]]


def test_what_waits_for_the_painting_can_be_cancelled(bench: Bench) -> None:
    def ask(request: Request, answer: object) -> None:
        if request.key == "a":
            bench.submit("b")
            bench.runner.cancel()

    bench.runner.finished.connect(ask)
    bench.submit("a")
    assert bench.settle() == ["started a", "finished a", "cancelled b"]


def test_progress_belongs_to_its_request(bench: Bench) -> None:
    def work(progress: Progress, cancelled: IsCancelled) -> None:
        progress(0.25)
        progress(1.0)

    bench.submit("a", work)
    assert bench.settle() == ["started a", "progressed a", "progressed a", "finished a"]
    assert [fraction for _, fraction in bench.heard.of("progressed")] == [0.25, 1.0]


def test_closing_waits_and_leaves_no_thread(bench: Bench) -> None:
    work = Work()
    bench.submit("a", work.until_cancelled)
    until(bench.bot, work.began.is_set)
    bench.runner.close()
    assert work.ended
    assert bench.runner._pool.activeThreadCount() == 0


@pytest.mark.parametrize("answer", ["late", Problem("late"), KeyError("late"), Cancelled()], ids=repr)
def test_nothing_is_told_after_closing(bench: Bench, answer: object) -> None:
    def work(progress: Progress, cancelled: IsCancelled) -> object:
        while not cancelled():
            first.let_go.wait(0.001)
        progress(1.0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    first = Work(held=True)
    bench.submit("a", work)
    bench.submit("b")
    bench.runner.close()
    bench.submit("c")
    bench.runner.cancel()
    bench.runner.close()
    QCoreApplication.processEvents()
    assert bench.told() == ["started a"]


def test_one_that_is_painted_at_closing_is_not_followed_by_another(bench: Bench) -> None:
    bench.runner.finished.connect(lambda request, answer: (bench.submit("b"), bench.runner.close()))
    bench.submit("a")
    until(bench.bot, lambda: "finished a" in bench.told())
    QCoreApplication.processEvents()
    assert bench.told() == ["started a", "finished a"]
