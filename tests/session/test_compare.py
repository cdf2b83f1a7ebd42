"""Sweeps, pins and runtimes: answered while somebody looks, and for what is shown alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from qviz.core import (
    MSE,
    Figures,
    IntFormat,
    MinMax,
    PerAxis,
    Percentile,
    PerTensor,
    Problem,
    Scheme,
    Tensor,
    analyze,
    prepare,
)
from qviz.core.questions.analysis import Analysis
from qviz.core.questions.effort import Limits
from qviz.core.questions.sweep import Combinations
from qviz.core.work import check
from qviz.session import sweeper as sweeper_module
from qviz.session.on_demand import OnDemand
from qviz.session.pins import MOST_PINS, Pin, PinAnalyst, Pins, placed
from qviz.session.runtime_comparison import RuntimeComparison
from qviz.session.state import Session
from qviz.session.sweeper import Choice, Sweeper
from tests.session.conftest import PATIENCE, Heard, settle, until

F = np.float32
X = np.random.default_rng(0).standard_normal((6, 50)).astype(F)
CHOICE = Choice((IntFormat(4), IntFormat(8)), (PerTensor(), PerAxis(0)), (MinMax(), Percentile(99.0)))


class Sorting:
    """Whether the tensor is being put in order."""

    def __init__(self) -> None:
        self.now = False

    def __call__(self) -> bool:
        return self.now


@pytest.fixture
def session(qapp: object) -> Session:
    session = Session(limits=Limits(estimated_above=X.size))
    session.update(tensor=Tensor(X))
    return session


@pytest.fixture
def sorting() -> Sorting:
    return Sorting()


@pytest.fixture
def made(qtbot: QtBot) -> Iterator[Callable[..., Any]]:
    workers: list[OnDemand] = []

    def make(kind: Callable[..., Any], *arguments: Any) -> Any:
        workers.append(kind(*arguments))
        return workers[-1]

    yield make
    for worker in workers:
        worker.close()


def rest(bot: QtBot, worker: OnDemand) -> None:
    until(bot, lambda: not worker.busy)
    settle(bot, worker)


# --- sweeping ----------------------------------------------------------------------------------------


def test_nothing_is_swept_while_nobody_looks(session: Session, sorting: Sorting, made: Any, qtbot: QtBot) -> None:
    sweeper = made(Sweeper, session, sorting)
    heard = Heard(sweeper, "planned", "found", "began")
    sweeper.choose(CHOICE)
    assert not sweeper.busy
    sweeper.want(True)
    sweeper.want(False)
    rest(qtbot, sweeper)
    assert heard.all == []


def test_every_scheme_is_found_in_turn_and_then_it_is_complete(
    session: Session, sorting: Sorting, made: Any, qtbot: QtBot
) -> None:
    sweeper = made(Sweeper, session, sorting)
    heard = Heard(sweeper, "planned", "began", "found", "completed", "ended")
    sweeper.choose(CHOICE)
    with qtbot.waitSignal(sweeper.ended, timeout=int(1000 * PATIENCE)):
        sweeper.want(True)
    assert heard.names == ["planned", "began", *["found"] * 8, "completed", "ended"]
    (plan,) = heard.of("planned")
    assert isinstance(plan, Combinations)
    assert [m.scheme for m in heard.of("found")] == list(plan.schemes)
    assert {type(each) for each in heard.of("found")} == {Figures}  # a table of them keeps no tensor alive
    assert len(heard.threads) == 1


def test_another_tensor_runtime_or_choice_is_swept_anew_and_the_same_is_not(
    session: Session, sorting: Sorting, made: Any, qtbot: QtBot
) -> None:
    sweeper = made(Sweeper, session, sorting)
    sweeper.choose(CHOICE)
    sweeper.want(True)
    rest(qtbot, sweeper)
    heard = Heard(sweeper, "forgotten", "completed")
    session.update(bits=5)  # the sweep is of all bit widths
    sweeper.choose(CHOICE)
    assert not sweeper.busy
    for change in (
        lambda: session.update(convention="pytorch"),
        lambda: session.update(tensor=Tensor(X + F(1))),
        lambda: sweeper.choose(Choice()),
        sweeper.again,
    ):
        heard.all.clear()
        change()
        rest(qtbot, sweeper)
        assert heard.names[-1] == "completed"
    assert heard.names == ["completed"]


def test_results_that_come_too_late_are_not_told(session: Session, sorting: Sorting, made: Any, qtbot: QtBot) -> None:
    sweeper = made(Sweeper, session, sorting)
    sweeper.choose(CHOICE)
    sweeper.want(True)
    rest(qtbot, sweeper)
    heard = Heard(sweeper, "found")
    sweeper._on_came(object(), object())
    assert heard.all == []


def test_a_large_tensor_is_waited_for_while_it_is_sorted(
    session: Session, sorting: Sorting, made: Any, qtbot: QtBot
) -> None:
    x = Tensor(np.random.default_rng(1).standard_normal(1 << 12).astype(F))
    session.update(tensor=x)
    sorting.now = True
    sweeper = made(Sweeper, session, sorting)
    heard = Heard(sweeper, "waiting", "found")
    sweeper.want(True)
    assert (heard.names, sweeper.busy) == (["waiting"], False)
    sorting.now = False
    session.update(prepared=prepare(x))
    rest(qtbot, sweeper)
    assert [m.exact for m in heard.of("found")] == [True]


def test_what_was_cancelled_is_asked_for_again_only_by_hand_or_when_it_is_another(
    session: Session, sorting: Sorting, made: Any, qtbot: QtBot
) -> None:
    sweeper = made(Sweeper, session, sorting)
    heard = Heard(sweeper, "completed")
    sweeper.want(True)
    sweeper.cancel()
    sweeper.look()
    assert not sweeper.busy
    sweeper.again()
    rest(qtbot, sweeper)
    session.update(convention="pytorch")
    rest(qtbot, sweeper)
    assert heard.names == ["completed", "completed"]


def test_a_sweep_under_way_goes_on_unseen_and_is_there_when_somebody_looks_again(
    session: Session, sorting: Sorting, made: Any, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = held_sweep(monkeypatch)
    sweeper = made(Sweeper, session, sorting)
    heard = Heard(sweeper, "began", "found", "completed", "forgotten", "ended")
    sweeper.choose(CHOICE)
    sweeper.want(True)
    until(qtbot, lambda: bool(heard.of("found")))
    sweeper.want(False)
    session.update(bits=3)  # of no concern to it
    let_go.set()
    rest(qtbot, sweeper)
    sweeper.want(True)
    rest(qtbot, sweeper)
    assert heard.names == ["began", *["found"] * 8, "completed", "ended"]


def test_unseen_it_is_given_up_when_it_is_about_something_else(
    session: Session, sorting: Sorting, made: Any, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = held_sweep(monkeypatch)
    sweeper = made(Sweeper, session, sorting)
    heard = Heard(sweeper, "began", "found", "completed")
    sweeper.choose(CHOICE)
    sweeper.want(True)
    until(qtbot, lambda: bool(heard.of("found")))
    sweeper.want(False)
    session.update(tensor=Tensor(X * 2))
    let_go.set()
    rest(qtbot, sweeper)
    assert heard.names.count("began") == 1
    assert "completed" not in heard.names


def held_sweep(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Sweeps tell one result, and the others when they are let go."""
    let_go, original = threading.Event(), sweeper_module.sweep

    def held(*arguments: Any, cancelled: Any, **options: Any) -> Iterator[Any]:
        for metrics in original(*arguments, **options):
            yield metrics
            assert let_go.wait(PATIENCE)
            check(cancelled)

    monkeypatch.setattr(sweeper_module, "sweep", held)
    return let_go


def test_without_a_tensor_there_is_nothing_to_ask(sorting: Sorting, made: Any, qapp: object) -> None:
    session = Session()
    for worker in (made(Sweeper, session, sorting), made(PinAnalyst, session, Pins(), sorting)):
        worker.want(True)
        worker.again()
        assert not worker.busy
    comparison = made(RuntimeComparison, session, sorting)
    comparison.want(True)
    assert not comparison.busy


def test_problems_are_told_and_bugs_are_not_hidden(session: Session, sorting: Sorting, made: Any) -> None:
    sweeper = made(Sweeper, session, sorting)
    heard = Heard(sweeper, "problem")

    class Request:
        key = "this"

    sweeper._on_failed(Request(), Problem("No."))
    sweeper._on_failed(Request(), MemoryError())
    assert heard.of("problem")[0] == "No."
    assert "memory" in heard.of("problem")[1]
    with pytest.raises(ZeroDivisionError):
        sweeper._on_failed(Request(), ZeroDivisionError())


# --- pins --------------------------------------------------------------------------------------------

FOUR = Scheme(IntFormat(4))


def test_pins_keep_their_order_and_their_place(qapp: object) -> None:
    pins = Pins()
    heard = Heard(pins, "changed")
    for bits in (3, 4, 5):
        pins.add(Scheme(IntFormat(bits)))
    pins.remove(pins.pins[1])
    pins.add(Scheme(IntFormat(6)))
    assert [(p.scheme.number_format.bits, p.place) for p in pins.pins] == [(3, 0), (5, 2), (6, 1)]
    pins.rename(pins.pins[0], "  mine ")
    assert pins.pins[0].name == "mine"
    assert len(heard.all) == 6
    pins.rename(pins.pins[0], "mine")
    assert len(heard.all) == 6
    pins.clear()
    assert pins.pins == ()


def test_a_scheme_is_pinned_once_and_there_are_six_places(qapp: object) -> None:
    pins = Pins()
    pins.add(FOUR)
    with pytest.raises(Problem, match="already"):
        pins.add(FOUR)
    for bits in range(5, 4 + MOST_PINS):
        pins.add(Scheme(IntFormat(bits)))
    with pytest.raises(Problem, match="remove one"):
        pins.add(Scheme(IntFormat(2)))


def test_pins_survive_and_what_is_damaged_is_left_out(qapp: object) -> None:
    pins, other = Pins(), Pins()
    pins.add(FOUR)
    pins.rename(pins.pins[0], "four")
    good = pins.to_list()
    scheme = Scheme().to_dict()
    other.restore(
        [
            *good,
            {"name": "again", "place": 3, "scheme": FOUR.to_dict()},
            {"name": "same place", "place": 0, "scheme": scheme},
            {"name": "no place", "place": 9, "scheme": scheme},
            {"name": "no scheme", "place": 1},
            {"name": "bad", "place": 1, "scheme": {"kind": "?"}},
            "nothing",
            None,
        ]
    )
    assert other.pins == (Pin(FOUR, "four", 0),)


def test_every_pin_is_analyzed_and_what_does_not_fit_says_why(
    session: Session, sorting: Sorting, made: Any, qtbot: QtBot
) -> None:
    pins = Pins()
    pins.add(FOUR)
    pins.add(Scheme(granularity=PerAxis(4)))
    analyst = made(PinAnalyst, session, pins, sorting)
    heard = Heard(analyst, "judged")
    with qtbot.waitSignal(analyst.ended, timeout=int(1000 * PATIENCE)):
        analyst.want(True)
    (four, analysis), (_, problem) = heard.of("judged")
    assert four == FOUR
    assert isinstance(analysis, Analysis)
    assert analysis.mse == analyze(X, FOUR).mse
    assert isinstance(problem, Problem)


def test_a_pin_that_is_known_is_not_analyzed_again(session: Session, sorting: Sorting, made: Any, qtbot: QtBot) -> None:
    pins = Pins()
    pins.add(FOUR)
    analyst = made(PinAnalyst, session, pins, sorting)
    analyst.want(True)
    rest(qtbot, analyst)
    heard = Heard(analyst, "judged")
    pins.add(Scheme())
    rest(qtbot, analyst)
    assert [scheme for scheme, _ in heard.of("judged")] == [FOUR, Scheme()]
    first = heard.of("judged")[0][1]
    pins.remove(pins.pins[1])
    rest(qtbot, analyst)
    assert heard.of("judged")[-1][1] is first
    session.update(tensor=Tensor(X * F(2)))
    rest(qtbot, analyst)
    assert heard.of("judged")[-1][1] is not first


def test_pins_of_a_large_tensor_are_estimates_until_it_is_in_order(
    session: Session, sorting: Sorting, made: Any, qtbot: QtBot
) -> None:
    x = Tensor(np.random.default_rng(1).standard_normal(1 << 12).astype(F))
    session.update(tensor=x)
    pins = Pins()
    pins.add(FOUR)
    analyst = made(PinAnalyst, session, pins, sorting)
    heard = Heard(analyst, "judged")
    analyst.want(True)
    rest(qtbot, analyst)
    session.update(prepared=prepare(x))
    rest(qtbot, analyst)
    assert [found.exact for _, found in heard.of("judged")] == [False, True]


# --- runtimes ----------------------------------------------------------------------------------------


def test_runtimes_are_compared_for_the_scheme_that_is_shown(
    session: Session, sorting: Sorting, made: Any, qtbot: QtBot
) -> None:
    comparison = made(RuntimeComparison, session, sorting)
    heard = Heard(comparison, "compared", "forgotten")
    with qtbot.waitSignal(comparison.compared, timeout=int(1000 * PATIENCE)):
        comparison.want(True)
    with qtbot.waitSignal(comparison.compared, timeout=int(1000 * PATIENCE)):
        session.update(bits=4)
    assert heard.names == ["compared", "forgotten", "compared"]
    assert [d.schemes[0].number_format.bits for d in heard.of("compared")] == [8, 4]


def test_a_sample_decides_what_a_search_would_sort_for(
    session: Session, sorting: Sorting, made: Any, qtbot: QtBot
) -> None:
    x = Tensor(np.random.default_rng(1).standard_normal(2 * X.size).astype(F))
    session.update(tensor=x, range_rule=MSE())
    comparison = made(RuntimeComparison, session, sorting)
    with qtbot.waitSignal(comparison.compared, timeout=int(1000 * PATIENCE)) as compared:
        comparison.want(True)
    assert compared.args[0].range_judged
    with qtbot.waitSignal(comparison.compared, timeout=int(1000 * PATIENCE)) as compared:
        session.update(prepared=prepare(x))
    assert not compared.args[0].range_judged


def test_pins_of_two_windows_get_places_of_their_own() -> None:
    a, b, c = ({"name": n, "place": p, "scheme": {}} for n, p in (("a", 0), ("b", 1), ("c", 1)))
    assert placed([a, b, c]) == [a, b, c | {"place": 2}]
    crowd = [{"name": str(n), "place": n, "scheme": {}} for n in range(6)]
    assert placed([*crowd, c])[6] == c  # kept for a window that has room
    assert placed(["damaged", 3]) == ["damaged", 3]
