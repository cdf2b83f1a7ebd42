"""Loss curves are drawn when somebody looks and nothing moves, once for equal questions, never for older ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication
from pytestqt.qtbot import QtBot

from qviz.core import (
    MSE,
    IntFormat,
    PerAxis,
    Percentile,
    PerTensor,
    Problem,
    Scheme,
    Tensor,
    analyze,
    estimate,
    prepare,
)
from qviz.core.questions import loss_curves as curves_question
from qviz.core.questions.effort import Limits
from qviz.core.questions.loss_curves import Losses, compare_ranges
from qviz.core.work import IsCancelled
from qviz.session.frame import Frame
from qviz.session.loss_curves import STILL_MILLISECONDS, LossCurves
from qviz.session.state import Session
from tests.session.conftest import HandTimers, Heard, until
from tests.session.ladder import Gate, small_samples
from tests.session.ladder import large as many

X = np.random.default_rng(0).normal(0, 1, (4, 50)).astype(np.float32)


LIMITS = Limits(estimated_above=X.size)


class Comparison:
    """In the place of `compare_ranges`: compares when it is let go."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.asked: list[tuple[Scheme, str]] = []
        self.error: Exception | None = None

    def __call__(self, source: Any, scheme: Scheme, rule: Any, *, cancelled: IsCancelled, limits: Limits) -> Losses:
        self.asked.append((scheme, rule.kind))
        self.source = source
        self.gate.began.set()
        self.gate.wait(cancelled)
        if self.error is not None:
            raise self.error
        return compare_ranges(source, scheme, rule, limits=limits)


class Desk:
    """A worker, the frames it is shown, and what it says."""

    def __init__(self, qtbot: QtBot, comparison: Comparison) -> None:
        self.bot, self.comparison = qtbot, comparison
        self.timers = HandTimers()
        self.curves = LossCurves(Session(limits=LIMITS, timers=self.timers))
        self.heard = Heard(self.curves, "traced", "forgotten")
        self.tensor = Tensor(X, "x")

    def frame(self, tensor: Tensor | None = None, channel: int | None = None, **scheme: Any) -> Frame:
        tensor = tensor or self.tensor
        chosen = Scheme(**scheme)
        whole = shown = analyze(tensor, chosen)
        if channel is not None:
            shown = analyze(tensor.channel(chosen.granularity, channel), Scheme())
        return Frame(tensor, None, chosen, channel, whole, shown)

    def look(self, tensor: Tensor | None = None, channel: int | None = None, **scheme: Any) -> None:
        self.curves.follow(self.frame(tensor, channel, **scheme))

    def settle(self) -> None:
        self.timers.settle(self.bot, self.curves)
        assert not self.curves.busy

    def begin(self, **scheme: Any) -> None:
        """Curves are being computed."""
        self.comparison.gate.hold()
        self.look(**scheme)
        self.timers.fire()
        until(self.bot, self.comparison.gate.began.is_set)

    def finish(self) -> None:
        self.comparison.gate.let_go.set()
        self.settle()

    @property
    def traced(self) -> list[Losses]:
        return self.heard.of("traced")

    @property
    def asked(self) -> int:
        return len(self.comparison.asked)


@pytest.fixture
def desk(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    comparison = Comparison()
    monkeypatch.setattr(curves_question, "compare_ranges", comparison)
    made = Desk(qtbot, comparison)
    yield made
    comparison.gate.let_go.set()
    made.curves.close()


@pytest.fixture
def watched(desk: Desk) -> Desk:
    """Somebody looks."""
    desk.curves.want(True)
    return desk


# --- when -------------------------------------------------------------------------------------------


def test_nothing_is_traced_until_somebody_looks(desk: Desk) -> None:
    desk.look()
    desk.settle()
    assert desk.asked == 0
    desk.curves.want(True)
    desk.settle()
    assert desk.heard.names == ["traced"]


def test_nothing_is_traced_without_an_answer(watched: Desk) -> None:
    watched.curves.choose("entropy")
    watched.curves.want(False)
    watched.curves.want(True)
    watched.settle()
    assert watched.asked == 0


def test_looking_away_at_once_asks_for_nothing(watched: Desk) -> None:
    watched.look()
    watched.curves.want(False)
    watched.settle()
    assert watched.asked == 0


def test_the_curves_are_those_of_what_is_shown(watched: Desk) -> None:
    watched.look(number_format=IntFormat(4))
    watched.settle()
    (losses,) = watched.traced
    expected = compare_ranges(watched.tensor, Scheme(IntFormat(4)), MSE())
    assert losses.ranges == expected.ranges
    assert losses.tensor is watched.tensor
    assert losses.exact
    np.testing.assert_array_equal(losses.curves[0].value, expected.curves[0].value)


def test_it_waits_until_nothing_moves(watched: Desk) -> None:
    (timer,) = watched.timers.all
    assert timer.milliseconds == STILL_MILLISECONDS == 120
    watched.look()
    assert watched.curves.busy
    assert not watched.curves._runner.busy
    watched.curves.close()
    assert not watched.curves.busy


def test_many_answers_in_a_row_are_one_trace(watched: Desk) -> None:
    for bits in (7, 6, 5, 4):
        watched.look(number_format=IntFormat(bits))
    assert watched.timers.all[0].starts == 4
    watched.settle()
    assert watched.comparison.asked == [(Scheme(IntFormat(4)), "mse")]
    assert len(watched.traced) == 1


# --- once -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [{}, {"range_rule": MSE()}], ids=["the same", "another rule"])
def test_equal_questions_are_traced_once(watched: Desk, change: dict[str, Any]) -> None:
    watched.look()
    watched.settle()
    watched.look(**change)
    watched.curves.want(False)
    watched.curves.want(True)
    watched.curves.choose("mse")
    watched.settle()
    assert watched.asked == 1
    assert watched.heard.names == ["traced"]


@pytest.mark.parametrize(
    "change",
    [
        {"number_format": IntFormat(4)},
        {"number_format": IntFormat(8, signed=False)},
        {"symmetric": False},
        {"convention": "textbook"},
        {"range_rule": Percentile(90.0)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_question_is_traced_anew_and_the_curves_stay_until_then(watched: Desk, change: dict[str, Any]) -> None:
    watched.look()
    watched.settle()
    watched.look(**change)
    watched.settle()
    assert watched.comparison.asked == [(Scheme(), "mse"), (Scheme(**change), "mse")]
    assert watched.heard.names == ["traced", "traced"]


def test_an_answer_to_the_same_question_does_not_begin_again_what_is_under_way(watched: Desk) -> None:
    watched.begin()
    watched.look()
    watched.look(range_rule=MSE())
    assert not watched.timers.active
    watched.finish()
    assert watched.asked == 1
    assert len(watched.traced) == 1


def test_there_and_back_traces_nothing(watched: Desk) -> None:
    watched.look()
    watched.settle()
    watched.look(number_format=IntFormat(4))
    watched.look()
    watched.settle()
    assert watched.asked == 1
    assert watched.heard.names == ["traced"]


def test_an_exact_answer_is_traced_after_the_estimate(watched: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    small_samples(monkeypatch)
    large = many()
    guess = estimate(large, Scheme())
    watched.curves.follow(Frame(large, None, Scheme(), None, guess, guess))
    watched.settle()
    ordered = prepare(large)
    exact = analyze(ordered, Scheme())
    watched.curves.follow(Frame(ordered.tensor, ordered, Scheme(), None, exact, exact))
    watched.settle()
    assert [losses.exact for losses in watched.traced] == [False, True]
    assert watched.comparison.source is ordered
    assert watched.heard.names == ["traced", "traced"]  # the estimate stayed in sight


# --- whose ------------------------------------------------------------------------------------------


def test_entropy_is_traced_after_it_is_chosen(watched: Desk) -> None:
    watched.look()
    watched.settle()
    watched.curves.choose("entropy")
    watched.settle()
    watched.curves.choose("mse")
    watched.settle()
    assert [loss for _, loss in watched.comparison.asked] == ["mse", "entropy", "mse"]
    assert [losses.loss for losses in watched.traced] == ["mse", "entropy", "mse"]


def test_channels_have_no_curves(watched: Desk) -> None:
    watched.look(granularity=PerAxis(0))
    watched.settle()
    assert watched.asked == 0
    assert watched.heard.all == []


def test_a_channel_alone_has_one(watched: Desk) -> None:
    watched.look(granularity=PerAxis(0))
    watched.look(granularity=PerAxis(0), channel=2)
    watched.settle()
    (losses,) = watched.traced
    np.testing.assert_array_equal(losses.tensor.values, X[2])
    assert watched.comparison.asked == [(Scheme(granularity=PerTensor()), "mse")]


@pytest.mark.parametrize("wanted", [True, False], ids=["looked at", "out of sight"])
def test_after_channels_the_curve_is_traced_again_because_the_chart_was_emptied(watched: Desk, wanted: bool) -> None:
    watched.look()
    watched.settle()
    watched.curves.want(wanted)
    watched.look(granularity=PerAxis(0))
    watched.settle()
    watched.curves.want(True)
    watched.look()
    watched.settle()
    assert watched.heard.names == ["traced", "forgotten", "traced"]


# --- too late ---------------------------------------------------------------------------------------


def test_a_stale_answer_is_not_shown(watched: Desk) -> None:
    watched.comparison.gate.deaf = True
    watched.begin()
    watched.look(number_format=IntFormat(4))
    watched.finish()
    assert [losses.scheme.number_format.bits for losses in watched.traced] == [4]


def test_nor_one_that_comes_before_its_successor_was_asked_for(watched: Desk) -> None:
    watched.begin()
    watched.look(number_format=IntFormat(4))
    watched.comparison.gate.let_go.set()
    until(watched.bot, lambda: not watched.curves._runner.busy)
    assert watched.traced == []
    watched.settle()
    assert [losses.scheme.number_format.bits for losses in watched.traced] == [4]


def test_an_answer_that_comes_when_there_are_channels_is_not_shown(watched: Desk) -> None:
    watched.comparison.gate.deaf = True
    watched.begin()
    watched.look(granularity=PerAxis(0))
    watched.finish()
    assert watched.traced == []


def test_channels_and_back_while_it_is_traced(watched: Desk) -> None:
    watched.comparison.gate.deaf = True
    watched.begin()
    watched.look(granularity=PerAxis(0))
    watched.look()
    watched.finish()
    assert watched.asked == 2
    assert watched.heard.names == ["traced"]


def test_the_curves_of_another_tensor_go_at_once(watched: Desk) -> None:
    watched.look()
    watched.settle()
    watched.look(Tensor(X, "another"))
    assert watched.heard.names == ["traced", "forgotten"]
    watched.settle()
    assert watched.heard.names == ["traced", "forgotten", "traced"]


def test_curves_that_nobody_looks_at_go_with_their_scheme(watched: Desk) -> None:
    watched.look()
    watched.settle()
    watched.curves.want(False)
    watched.look()
    assert watched.heard.names == ["traced"]
    watched.look(number_format=IntFormat(4))
    assert watched.heard.names == ["traced", "forgotten"]
    watched.look(number_format=IntFormat(5))
    assert watched.heard.names == ["traced", "forgotten"]
    watched.curves.want(True)
    watched.settle()
    assert watched.heard.names == ["traced", "forgotten", "traced"]


# --- what does not work -----------------------------------------------------------------------------


@pytest.mark.parametrize("error", [MemoryError(), Problem("None.")], ids=["memory", "problem"])
def test_what_cannot_be_traced_leaves_the_chart_empty(watched: Desk, error: Exception) -> None:
    watched.look()
    watched.settle()
    watched.comparison.error = error
    watched.look(number_format=IntFormat(4))
    watched.settle()
    assert watched.heard.names == ["traced", "forgotten"]
    watched.comparison.error = None
    watched.look(number_format=IntFormat(4))
    watched.settle()
    assert watched.heard.names == ["traced", "forgotten", "traced"]


def test_a_bug_is_not_hidden(watched: Desk) -> None:
    watched.comparison.error = KeyError("bug")
    with watched.bot.capture_exceptions() as caught:
        watched.look()
        watched.settle()
    assert [error for error, *_ in caught] == [KeyError]


def test_closing_while_it_is_traced(watched: Desk) -> None:
    watched.begin()
    watched.curves.close()
    assert watched.curves._runner._pool.activeThreadCount() == 0
    watched.look(number_format=IntFormat(4))
    watched.timers.fire()
    QCoreApplication.processEvents()
    assert watched.heard.all == []
    assert watched.asked == 1
