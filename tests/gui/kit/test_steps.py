"""Steps in the window's thread, and what is left of them beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from pytestqt.qtbot import QtBot

from qviz.core.problems import Problem
from qviz.gui.kit.steps import Steps

PATIENCE = 20_000


MADE: list[Steps] = []


@pytest.fixture(autouse=True)
def gone_in_this_thread() -> Iterator[None]:
    """What a cancelled step goes on with holds its steps; without a parent they would end in the other thread."""
    yield
    for steps in MADE:
        assert steps._pool.waitForDone(PATIENCE)
    MADE.clear()


class Told:
    """What steps did, and in which thread."""

    def __init__(self) -> None:
        self.steps = Steps()
        MADE.append(self.steps)
        self.heard: list[object] = []
        self.threads: list[bool] = []

    def step(self, name: str, beside: Callable[[], object] | None = None) -> Callable[[], object] | None:
        self.heard.append(name)
        return beside

    def left(self, name: str) -> None:
        self.threads.append(threading.current_thread() is threading.main_thread())
        self.heard.append(name)

    def do(self, *steps: Callable[[], Callable[[], object] | None]) -> None:
        self.steps.do(steps, lambda: self.heard.append("then"), self.heard.append)


def test_what_a_step_leaves_is_done_beside_the_window_and_waited_for(qtbot: QtBot) -> None:
    told = Told()
    told.do(partial(told.step, "a", partial(told.left, "rest of a")), partial(told.step, "b"))
    assert told.steps.busy
    qtbot.waitUntil(lambda: not told.steps.busy, timeout=PATIENCE)
    assert told.heard == ["a", "rest of a", "b", "then"]
    assert told.threads == [False]


def test_a_single_step_is_done_at_once(qtbot: QtBot) -> None:
    told = Told()
    told.do(partial(told.step, "a"))
    assert told.heard == ["a", "then"] and not told.steps.busy


def test_a_problem_beside_the_window_ends_them(qtbot: QtBot) -> None:
    told, problem = Told(), Problem("no")

    def fail() -> None:
        raise problem

    told.do(partial(told.step, "a", fail), partial(told.step, "b"))
    qtbot.waitUntil(lambda: not told.steps.busy, timeout=PATIENCE)
    assert told.heard == ["a", problem]


@pytest.mark.parametrize("begun", [False, True])
def test_at_the_end_everything_is_finished(qtbot: QtBot, begun: bool) -> None:
    told = Told()
    told.do(partial(told.step, "a", partial(told.left, "rest of a")), partial(told.step, "b"))
    if begun:
        qtbot.waitUntil(lambda: "a" in told.heard, timeout=PATIENCE)
    told.steps.finish()
    assert told.heard == ["a", "rest of a", "b", "then"]
    assert not told.steps.busy


def test_what_is_given_meanwhile_comes_after_and_holds_up_nobody(qtbot: QtBot) -> None:
    told, gate = Told(), threading.Event()
    told.do(partial(told.step, "a", gate.wait), partial(told.step, "b"))
    qtbot.waitUntil(lambda: "a" in told.heard, timeout=PATIENCE)
    told.do(partial(told.step, "c", partial(told.left, "rest of c")))
    told.do(partial(told.step, "d"))
    assert told.heard == ["a"]
    gate.set()
    qtbot.waitUntil(lambda: not told.steps.busy, timeout=PATIENCE)
    assert told.heard == ["a", "b", "then", "c", "rest of c", "then", "d", "then"]
    assert told.threads == [False]


def test_what_waits_is_done_though_what_was_before_it_fails(qtbot: QtBot) -> None:
    told, problem, gate = Told(), Problem("no"), threading.Event()

    def fail() -> None:
        gate.wait()
        raise problem

    told.do(partial(told.step, "a", fail))
    told.do(partial(told.step, "b"))
    gate.set()
    qtbot.waitUntil(lambda: not told.steps.busy, timeout=PATIENCE)
    assert told.heard == ["a", problem, "b", "then"]


def test_what_waits_is_cancelled_or_finished_with_the_rest(qtbot: QtBot) -> None:
    for end in (Steps.cancel, Steps.finish):
        told, gate = Told(), threading.Event()
        told.do(partial(told.step, "a", gate.wait))
        told.do(partial(told.step, "b"))
        gate.set()
        end(told.steps)
        assert not told.steps.busy
        assert told.heard == (["a"] if end is Steps.cancel else ["a", "then", "b", "then"])


def test_what_is_cancelled_tells_nothing_any_more(qtbot: QtBot) -> None:
    told, gate = Told(), threading.Event()
    told.do(partial(told.step, "a", gate.wait), partial(told.step, "b"))
    qtbot.waitUntil(lambda: "a" in told.heard, timeout=PATIENCE)
    told.steps.cancel()
    gate.set()
    told.do(partial(told.step, "c"))
    qtbot.waitUntil(lambda: told.steps._pool.activeThreadCount() == 0, timeout=PATIENCE)
    qtbot.waitUntil(lambda: not told.steps.busy, timeout=PATIENCE)
    assert told.heard == ["a", "c", "then"]
