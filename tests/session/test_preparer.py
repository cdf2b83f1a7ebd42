"""What is shown is put in order beside everything else, where memory suffices; it can be stopped."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication
from pytestqt.qtbot import QtBot

from qviz.core import Problem, Tensor
from qviz.core.tensors.sorted_tensor import prepare, prepared_nbytes
from qviz.session.memory import Kept, Memory
from qviz.session.preparer import Preparer
from qviz.session.state import Item, Session
from tests.session.conftest import Heard, settle, until
from tests.session.ladder import FEW, LARGE, SMALL, Gate, held_gate, item, large, small_samples

ENOUGH = 1 << 30
TOO_LITTLE = 4 * LARGE


class Desk:
    """A session, its preparer, and what was said."""

    def __init__(self, qtbot: QtBot, gate: Gate) -> None:
        self.bot, self.gate = qtbot, gate
        self.budget = ENOUGH
        self.session = Session(limits=FEW)
        self.memory = Memory(lambda: self.budget)
        self.preparer = Preparer(self.session, self.memory)
        self.heard = Heard(self.preparer, "began", "advanced", "ended", "problem")

    def show(self, tensor: Tensor) -> Item:
        made = item(tensor.name, tensor)
        self.memory.keep(made, Kept(tensor))
        self.session.update(items=(*self.session.state.items, made), current=made, tensor=tensor, prepared=None)
        return made

    def settle(self) -> None:
        settle(self.bot, self.preparer)

    def wait_for_sorting(self) -> None:
        until(self.bot, self.gate.began.is_set)

    @property
    def said(self) -> list[str]:
        return [name for name in self.heard.names if name != "advanced"]


@pytest.fixture
def desk(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    small_samples(monkeypatch)
    made = Desk(qtbot, held_gate(monkeypatch))
    yield made
    made.gate.let_go.set()
    made.preparer.close()


def test_what_is_shown_is_put_in_order(desk: Desk) -> None:
    shown = large()
    chosen = desk.show(shown)
    desk.settle()
    state = desk.session.state
    assert state.prepared is not None
    assert state.tensor is state.prepared.tensor
    assert state.tensor.counted
    assert state.tensor.same_data(shown)
    np.testing.assert_array_equal(state.prepared.values, np.sort(shown.values[:]))
    kept = desk.memory.get(chosen)
    assert (kept.tensor, kept.prepared) == (state.tensor, state.prepared)
    assert desk.said == ["began", "ended"]
    assert desk.heard.of("began") == ["Sorting large"]
    told = desk.heard.of("advanced")
    assert told == sorted(told)
    assert told[-1] == 1


def test_all_that_drawing_needs_is_counted_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.show(large())
    desk.settle()

    def fail(*arguments: object, **options: object) -> None:
        raise AssertionError("counted in the window's thread")

    monkeypatch.setattr(np, "histogram", fail)
    assert desk.session.state.tensor.histogram().counts.sum() == LARGE


@pytest.mark.parametrize(("elements", "is_sorted"), [(SMALL, False), (SMALL + 1, True)])
def test_the_order_of_a_few_is_not_needed(desk: Desk, elements: int, is_sorted: bool) -> None:
    desk.show(Tensor(np.ones(elements, np.float32)))
    desk.settle()
    assert (desk.session.state.prepared is not None) is is_sorted
    assert bool(desk.gate.sorted) is is_sorted


def test_where_memory_does_not_suffice_nothing_is_sorted(desk: Desk) -> None:
    desk.budget = TOO_LITTLE
    desk.show(large())
    assert not desk.preparer.fits
    desk.preparer.prepare()
    assert not desk.preparer.busy
    assert desk.heard.all == []


def test_the_tensor_and_its_order_have_to_fit_to_the_byte(desk: Desk) -> None:
    shown = large()
    desk.budget = shown.nbytes + prepared_nbytes(LARGE) - 1
    desk.show(shown)
    assert desk.gate.sorted == []
    desk.budget += 1
    desk.preparer.prepare()
    desk.settle()
    assert desk.session.state.prepared is not None


def test_others_make_room_for_what_is_shown(desk: Desk) -> None:
    first = desk.show(large("first"))
    desk.settle()
    desk.budget = desk.memory.used + LARGE * 6  # for one order beside two tensors, not for two
    second = desk.show(large("second", 1))
    desk.settle()
    assert desk.session.state.prepared is not None
    assert desk.memory.get(second).prepared is desk.session.state.prepared
    assert desk.memory.get(first).prepared is None
    assert desk.memory.used <= desk.budget


def test_nothing_is_sorted_without_a_tensor(desk: Desk) -> None:
    assert not desk.preparer.fits
    desk.preparer.prepare()
    desk.session.update(bits=4)
    assert not desk.preparer.busy


def test_what_comes_in_order_is_not_sorted_again(desk: Desk) -> None:
    ordered = prepare(large().count())
    desk.session.update(tensor=ordered.tensor, prepared=ordered)
    desk.preparer.prepare()
    assert not desk.preparer.busy
    assert desk.gate.sorted == []


def test_a_scheme_or_an_element_leaves_it_alone(desk: Desk) -> None:
    desk.gate.hold()
    desk.show(large())
    desk.wait_for_sorting()
    desk.session.update(bits=4)
    desk.session.update(selected=7)
    desk.session.undo()
    desk.gate.let_go.set()
    desk.settle()
    assert desk.gate.sorted == ["large"]
    assert desk.session.state.prepared is not None
    assert desk.session.state.selected == 7


def test_asking_for_what_is_under_way_does_not_start_it_again(desk: Desk) -> None:
    desk.gate.hold()
    desk.show(large())
    desk.wait_for_sorting()
    desk.preparer.prepare()
    desk.gate.let_go.set()
    desk.settle()
    assert desk.gate.sorted == ["large"]
    assert desk.said == ["began", "ended"]


def test_what_was_counted_meanwhile_is_sorted_all_the_same(desk: Desk) -> None:
    desk.gate.hold()
    chosen = desk.show(large())
    desk.wait_for_sorting()
    counted = desk.session.state.tensor.count()
    desk.session.update(tensor=counted)
    desk.preparer.prepare()
    assert desk.memory.get(chosen).tensor is counted
    desk.gate.let_go.set()
    desk.settle()
    assert desk.gate.sorted == ["large"]
    assert desk.session.state.prepared is not None
    assert desk.memory.get(chosen).prepared is desk.session.state.prepared


# --- stopping ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("deaf", [False, True], ids=["stops", "comes too late"])
def test_cancelling_leaves_everything_as_it_was_and_it_can_be_asked_for_again(desk: Desk, deaf: bool) -> None:
    desk.gate.hold()
    desk.gate.deaf = deaf
    shown = large()
    desk.show(shown)
    desk.wait_for_sorting()
    desk.preparer.cancel()
    desk.gate.let_go.set()
    desk.settle()
    assert (desk.session.state.tensor, desk.session.state.prepared) == (shown, None)
    assert desk.said == ["began", "ended"]
    desk.session.update(bits=4)  # nothing of itself starts it again
    assert not desk.preparer.busy
    desk.preparer.prepare()
    desk.settle()
    assert desk.session.state.prepared is not None
    assert desk.said == ["began", "ended"] * 2


def test_asked_for_again_while_it_stops(desk: Desk) -> None:
    desk.gate.hold()
    desk.gate.deaf = True
    desk.show(large())
    desk.wait_for_sorting()
    desk.preparer.cancel()
    desk.preparer.prepare()
    desk.gate.let_go.set()
    desk.settle()
    assert desk.gate.sorted == ["large"] * 2
    assert desk.session.state.prepared is not None
    assert desk.said == ["began", "began", "ended"]


@pytest.mark.parametrize("deaf", [False, True], ids=["stops", "comes too late"])
def test_another_tensor_takes_its_place(desk: Desk, deaf: bool) -> None:
    desk.gate.hold()
    desk.gate.deaf = deaf
    first = desk.show(large("first"))
    desk.wait_for_sorting()
    shown = large("second", 1)
    second = desk.show(shown)
    desk.gate.let_go.set()
    desk.settle()
    state = desk.session.state
    assert desk.gate.sorted == ["first", "second"]
    assert state.current is second
    assert state.prepared is not None
    assert state.prepared.tensor.same_data(shown)
    assert desk.memory.get(first).prepared is None
    assert desk.said == ["began", "began", "ended"]
    assert desk.heard.of("began") == ["Sorting first", "Sorting second"]


def test_a_small_one_takes_its_place(desk: Desk) -> None:
    desk.gate.hold()
    desk.gate.deaf = True
    desk.show(large())
    desk.wait_for_sorting()
    small = Tensor(np.ones(3, np.float32), "small")
    desk.show(small)
    desk.gate.let_go.set()
    desk.settle()
    assert (desk.session.state.tensor, desk.session.state.prepared) == (small, None)
    assert desk.said == ["began", "ended"]


def test_there_and_back_ends_with_the_first(desk: Desk) -> None:
    desk.gate.hold()
    desk.gate.deaf = True
    shown = large("first")
    first = desk.show(shown)
    desk.wait_for_sorting()
    desk.show(large("second", 1))
    desk.session.update(current=first, tensor=shown, prepared=None)
    desk.gate.let_go.set()
    desk.settle()
    state = desk.session.state
    assert desk.gate.sorted == ["first", "first"]  # the second one never got that far
    assert state.prepared is not None
    assert state.prepared.tensor.same_data(shown)
    assert desk.said[-1] == "ended"


def test_what_is_closed_while_it_is_sorted_is_not_kept(desk: Desk) -> None:
    desk.gate.hold()
    chosen = desk.show(large())
    desk.wait_for_sorting()
    desk.memory.forget(chosen)
    desk.session.update(items=())
    desk.gate.let_go.set()
    desk.settle()
    assert desk.memory.used == 0


def test_closing_waits_for_the_thread_and_nothing_is_said_afterwards(desk: Desk) -> None:
    desk.gate.hold()
    desk.show(large())
    desk.wait_for_sorting()
    desk.heard.all.clear()
    desk.preparer.close()
    assert desk.preparer._runner._pool.activeThreadCount() == 0
    desk.show(large("another", 1))
    desk.preparer.prepare()
    desk.preparer.cancel()
    QCoreApplication.processEvents()
    assert desk.heard.all == []
    assert desk.session.state.prepared is None


# --- what does not work -----------------------------------------------------------------------------


def test_no_memory_leaves_the_estimate_and_is_not_tried_again(desk: Desk) -> None:
    desk.gate.error = MemoryError()
    shown = large()
    first = desk.show(shown)
    desk.settle()
    assert desk.said == ["began", "ended"]
    assert desk.session.state.prepared is None
    assert not desk.preparer.fits  # so that an exact answer is asked for in another way
    desk.preparer.prepare()
    assert not desk.preparer.busy
    desk.gate.error = None
    desk.show(large("another", 1))
    desk.settle()
    assert desk.session.state.prepared is not None
    desk.session.update(current=first, tensor=shown, prepared=None)  # there may be memory now
    desk.settle()
    assert desk.session.state.prepared is not None


def test_a_problem_is_told(desk: Desk) -> None:
    desk.gate.error = Problem("The file has vanished.")
    desk.show(large())
    desk.settle()
    assert desk.said == ["began", "ended", "problem"]
    assert desk.heard.of("problem") == ["The file has vanished."]


def test_a_bug_is_not_hidden(desk: Desk) -> None:
    desk.gate.error = KeyError("bug")
    with desk.bot.capture_exceptions() as caught:
        desk.show(large())
        desk.settle()
    assert [error for error, *_ in caught] == [KeyError]
    assert desk.said == ["began", "ended"]
