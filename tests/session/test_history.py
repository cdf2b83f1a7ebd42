"""A history knows what was chosen before, whatever it is that is chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from qviz.session import history
from qviz.session.history import History, parts_changed


@dataclass(frozen=True)
class Inner:
    low: int = 0
    high: int = 1


@dataclass(frozen=True)
class Outer:
    inner: Inner = Inner()
    name: str = ""


class Choice:
    """Something chosen, and its history."""

    def __init__(self, first: Any) -> None:
        self.value = first
        self.told = 0
        self.history = History(first, self.restore, clock=lambda: 0.0)
        self.history.changed.connect(self.count)

    def count(self) -> None:
        self.told += 1

    def choose(self, value: Any, what: object = None) -> None:
        self.value = value
        self.history.note(value, what)

    def restore(self, value: Any) -> Any:
        self.choose(min(value, 5))  # what it changes on the way is told to it as any change is
        return self.value


@pytest.fixture
def choice() -> Choice:
    return Choice(1)


def test_it_goes_back_and_forth_and_a_new_choice_ends_the_way_forth(choice: Choice) -> None:
    choice.choose(2)
    choice.choose(3)
    choice.history.undo()
    choice.history.undo()
    choice.history.undo()
    assert (choice.value, choice.history.can_undo, choice.history.can_redo) == (1, False, True)
    choice.history.redo()
    choice.choose(4)
    assert (choice.history.can_undo, choice.history.can_redo) == (True, False)
    choice.history.redo()
    assert choice.value == 4


def test_what_came_of_an_earlier_choice_is_the_present_one(choice: Choice) -> None:
    choice.choose(9)
    choice.choose(2)
    choice.history.undo()
    assert choice.history.present == choice.value == 5
    choice.history.redo()
    assert choice.value == 2


def test_the_same_again_is_no_step_and_what_settles_neither(choice: Choice) -> None:
    choice.choose(1)
    assert not choice.history.can_undo
    choice.history.settle(3)
    choice.choose(4)
    choice.history.undo()
    assert choice.value == 3
    assert not choice.history.can_undo


def test_only_quick_changes_of_one_thing_are_one_step(choice: Choice) -> None:
    for value in (2, 3, 4):
        choice.choose(value, "bits")
    choice.choose(5, "mode")
    choice.history.undo()
    assert choice.value == 4
    choice.history.undo()
    assert choice.value == 1
    choice.choose(2)
    choice.choose(3)
    choice.history.undo()
    assert choice.value == 2


def test_it_tells_whenever_something_else_can_be_undone(choice: Choice) -> None:
    choice.choose(2)
    choice.history.undo()
    choice.history.redo()
    choice.history.clear()
    assert choice.told == 4
    assert not choice.history.can_undo
    choice.history.undo()
    assert (choice.told, choice.value) == (4, 2)


def test_the_parts_that_changed_have_names() -> None:
    one = Outer()
    assert parts_changed(one, one) == frozenset()
    assert parts_changed(one, replace(one, name="x")) == {".name"}
    assert parts_changed(one, Outer(Inner(1, 2), "x")) == {".name", ".inner.low", ".inner.high"}
    assert parts_changed(one, Inner()) == {""}


def test_what_cannot_be_chosen_any_more_is_amended_and_steps_that_lead_nowhere_are_left_out() -> None:
    choice = Choice(1)
    for value in (2, 3, 4, 5):
        choice.choose(value)
    choice.history.undo()
    told = choice.told
    choice.history.amend(lambda value: 1 if value in (2, 4) else value)
    assert (choice.history.present, choice.told) == (1, told + 1)
    choice.history.redo()
    assert (choice.value, choice.history.can_redo) == (5, False)
    choice.history.undo()
    assert choice.value == 1
    choice.history.undo()
    assert choice.value == 3
    choice.history.undo()
    assert (choice.value, choice.history.can_undo) == (1, False)
    choice.history.amend(lambda value: value)
    assert choice.told == told + 5


def test_the_steps_that_are_longest_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_STEPS", 3)
    choice = Choice(0)
    for value in (1, 2, 3, 4, 5):
        choice.choose(value)
    while choice.history.can_undo:
        choice.history.undo()
    assert choice.value == 2
