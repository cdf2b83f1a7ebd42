"""The one truth of the window: what changes it, what is told of it, and how it goes back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qviz.core import (
    Codebook,
    FloatFormat,
    IntFormat,
    MinMax,
    PerAxis,
    PerBlock,
    Percentile,
    PerTensor,
    Problem,
    Scheme,
    Tensor,
    prepare,
)
from qviz.session.history import MERGE_SECONDS
from qviz.session.state import Item, Session, State
from tests.session.ladder import large, small_samples

pytestmark = pytest.mark.usefixtures("qapp")


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def session(clock: Clock) -> Session:
    return Session(clock=clock)


@pytest.fixture
def changes(session: Session) -> list[tuple[State, State]]:
    told: list[tuple[State, State]] = []
    session.changed.connect(lambda old, new: told.append((old, new)))
    return told


def tensor(*shape: int) -> Tensor:
    return Tensor(np.arange(np.prod(shape), dtype=np.float32).reshape(shape))


def item(name: str = "a") -> Item:
    return Item(name, "a test", (2,), "float32", lambda progress, cancelled: tensor(2))


# --- update -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"bits": 4}, Scheme(IntFormat(4))),
        ({"signed": False}, Scheme(IntFormat(8, False))),
        ({"bits": 3, "signed": False}, Scheme(IntFormat(3, False))),
        ({"number_format": IntFormat(5)}, Scheme(IntFormat(5))),
        ({"symmetric": False}, Scheme(symmetric=False)),
        ({"granularity": PerAxis(1)}, Scheme(granularity=PerAxis(1))),
        ({"range_rule": Percentile(99.0)}, Scheme(range_rule=Percentile(99.0))),
        ({"convention": "textbook"}, Scheme(convention="textbook")),
        ({"scheme": Scheme(symmetric=False)}, Scheme(symmetric=False)),
        ({"scheme": Scheme(symmetric=False), "bits": 2}, Scheme(IntFormat(2), symmetric=False)),
        ({"bits": 6, "symmetric": False, "convention": "textbook"}, Scheme(IntFormat(6), False, convention="textbook")),
    ],
)
def test_a_name_finds_the_part_it_belongs_to(
    session: Session, changes: list[Any], change: dict[str, Any], expected: Scheme
) -> None:
    session.update(**change)
    assert session.scheme == expected
    assert changes == [(State(), State(scheme=expected))]


def test_fields_of_the_state_change_alongside(session: Session, changes: list[Any]) -> None:
    a, t = item(), tensor(2)
    session.update(items=(a,), current=a, tensor=t, bits=4, selected=1)
    assert session.state == State((a,), a, t, None, Scheme(IntFormat(4)), None, 1)
    assert len(changes) == 1


def test_old_and_new_are_told(session: Session, changes: list[Any]) -> None:
    before = session.state
    session.update(bits=4)
    assert changes[0][0] is before
    assert changes[0][1] is session.state
    assert before.scheme == Scheme()


def test_an_equal_value_tells_nobody(session: Session, changes: list[Any]) -> None:
    before = session.state
    session.update()
    session.update(bits=8, symmetric=True, scheme=Scheme(), range_rule=MinMax(), channel=None, items=())
    assert changes == []
    assert session.state is before
    assert not session.can_undo


def test_a_listener_that_asks_for_the_same_again_makes_no_loop(session: Session, changes: list[Any]) -> None:
    session.changed.connect(lambda old, new: session.update(bits=new.scheme.number_format.bits))
    session.update(bits=4)
    assert len(changes) == 1


@pytest.mark.parametrize("change", [{"bits": 1}, {"bits": 17}, {"bits": 2.5}, {"convention": "none"}])
def test_a_value_that_makes_no_scheme_is_a_problem_and_changes_nothing(
    session: Session, changes: list[Any], change: dict[str, Any]
) -> None:
    before = session.state
    with pytest.raises(Problem):
        session.update(**change, symmetric=False, selected=3)
    assert session.state is before
    assert changes == []
    assert not session.can_undo


def test_an_unknown_name_is_a_mistake_of_the_programmer(session: Session, changes: list[Any]) -> None:
    with pytest.raises(TypeError, match="no such field: bit, zoom"):
        session.update(bit=4, zoom=2, bits=4)
    assert (session.state, changes) == (State(), [])


def test_it_begins_with_the_state_it_is_given() -> None:
    given = State(scheme=Scheme(IntFormat(4)))
    assert Session(given).state is given


# --- what is looked at alone ------------------------------------------------------------------------


@pytest.fixture
def looking(session: Session) -> Session:
    """At element 5 in channel 1 of a tensor per axis 0."""
    session.update(tensor=tensor(2, 4), granularity=PerAxis(0))
    session.update(channel=1)
    session.update(selected=5)
    assert (session.state.channel, session.state.selected) == (1, 5)
    return session


def test_another_tensor_has_no_such_channel_or_element(looking: Session) -> None:
    looking.update(tensor=tensor(2, 4))
    assert (looking.state.channel, looking.state.selected) == (None, None)


@pytest.mark.parametrize("granularity", [PerTensor(), PerAxis(1)])
def test_another_granularity_has_other_channels(looking: Session, granularity: Any) -> None:
    looking.update(granularity=granularity)
    assert (looking.state.channel, looking.state.selected) == (None, 5)


def test_another_channel_has_other_elements(looking: Session) -> None:
    looking.update(channel=0)
    assert (looking.state.channel, looking.state.selected) == (0, None)


def test_an_element_is_chosen_together_with_its_channel_or_tensor(looking: Session) -> None:
    looking.update(channel=0, selected=2)
    assert (looking.state.channel, looking.state.selected) == (0, 2)
    looking.update(tensor=tensor(3, 4), channel=2, selected=9)
    assert (looking.state.channel, looking.state.selected) == (2, 9)


@pytest.mark.parametrize("change", [{"bits": 4}, {"symmetric": False}, {"convention": "textbook"}])
def test_any_other_change_leaves_the_view_alone(looking: Session, change: dict[str, Any]) -> None:
    looking.update(**change)
    assert (looking.state.channel, looking.state.selected) == (1, 5)


def test_going_back_to_another_granularity_closes_the_channel(looking: Session) -> None:
    looking.undo()
    assert looking.scheme.granularity == PerTensor()
    assert looking.state.channel is None


# --- undo and redo ----------------------------------------------------------------------------------


def test_undo_goes_back_and_redo_forth(session: Session, changes: list[Any], clock: Clock) -> None:
    session.update(bits=4)
    session.update(symmetric=False)
    session.undo()
    assert session.scheme == Scheme(IntFormat(4))
    session.undo()
    assert session.scheme == Scheme()
    assert (session.can_undo, session.can_redo) == (False, True)
    session.redo()
    session.redo()
    assert session.scheme == Scheme(IntFormat(4), symmetric=False)
    assert (session.can_undo, session.can_redo) == (True, False)
    assert len(changes) == 6


def test_at_either_end_nothing_happens(session: Session, changes: list[Any]) -> None:
    session.undo()
    session.redo()
    assert changes == []
    session.update(bits=4)
    session.redo()
    assert session.scheme == Scheme(IntFormat(4))


def test_a_new_change_ends_the_way_forth(session: Session, clock: Clock) -> None:
    session.update(bits=4)
    session.undo()
    session.update(symmetric=False)
    assert not session.can_redo
    session.undo()
    assert session.scheme == Scheme()


def test_quick_changes_of_one_control_are_one_step(session: Session, changes: list[Any], clock: Clock) -> None:
    for bits in (7, 6, 5, 4):
        session.update(bits=bits)
        clock.now += MERGE_SECONDS * 0.9
    assert len(changes) == 4
    session.undo()
    assert session.scheme == Scheme()
    assert not session.can_undo


def test_slow_changes_of_one_control_are_steps(session: Session, clock: Clock) -> None:
    session.update(bits=7)
    clock.now += MERGE_SECONDS * 1.1
    session.update(bits=6)
    session.undo()
    assert session.scheme.number_format.bits == 7


def test_quick_changes_of_two_controls_are_steps(session: Session, clock: Clock) -> None:
    session.update(bits=7)
    session.update(symmetric=False)
    session.update(bits=6)
    for expected in (Scheme(IntFormat(7), False), Scheme(IntFormat(7)), Scheme()):
        session.undo()
        assert session.scheme == expected


def test_a_change_after_an_undo_is_a_step_of_its_own(session: Session, clock: Clock) -> None:
    session.update(symmetric=False)
    session.update(bits=7)
    session.undo()
    session.update(bits=6)
    session.undo()
    assert session.scheme == Scheme(symmetric=False)


def test_there_and_back_again_leaves_nothing_to_undo(session: Session, clock: Clock) -> None:
    session.update(symmetric=False)
    session.update(bits=7)
    session.update(bits=8)
    session.undo()
    assert session.scheme == Scheme()
    assert not session.can_undo


def test_the_step_after_there_and_back_again_is_a_new_one(session: Session, clock: Clock) -> None:
    session.update(bits=4)
    clock.now += 2 * MERGE_SECONDS
    for bits in (5, 4, 6):
        session.update(bits=bits)
    session.undo()
    assert session.scheme.number_format.bits == 4


def test_what_is_shown_is_no_step(session: Session) -> None:
    session.update(tensor=tensor(4), items=(item(),), selected=2)
    assert not session.can_undo


def test_undo_keeps_what_is_shown(session: Session) -> None:
    shown = tensor(4)
    session.update(bits=4)
    session.update(tensor=shown, selected=2)
    session.undo()
    assert session.state == replace(State(tensor=shown, selected=2), scheme=Scheme())


def test_undo_brings_no_axis_back_that_the_tensor_of_today_lacks(session: Session) -> None:
    session.update(tensor=tensor(2, 3, 4))
    session.update(granularity=PerAxis(2))
    session.update(granularity=PerTensor(), bits=4)
    session.update(tensor=tensor(6))
    session.undo()
    assert session.scheme == Scheme()


def test_undo_brings_no_blocks_back_that_the_tensor_of_today_lacks(session: Session, clock: Clock) -> None:
    session.update(tensor=tensor(4, 32))
    for scheme in (
        Scheme(FloatFormat("e4m3fn"), granularity=PerBlock(-1, 32), convention="mx_floor"),
        Scheme(IntFormat(4), granularity=PerBlock(0, 4), convention="textbook"),
        Scheme(IntFormat(3)),
    ):
        clock.now += 10
        session.update(scheme=scheme)
    session.update(tensor=tensor(3, 5))
    session.undo()
    assert session.scheme == Scheme(IntFormat(4), convention="textbook")
    session.undo()
    assert session.scheme == Scheme(FloatFormat("e4m3fn"))
    session.redo()
    assert session.scheme == Scheme(IntFormat(4), convention="textbook")


@pytest.mark.parametrize("number_format", [FloatFormat("e5m2"), Codebook("nf4")])
def test_bits_and_signs_make_an_integer_of_any_other_format(session: Session, number_format: Any) -> None:
    session.update(number_format=number_format, convention="textbook")
    session.update(bits=4)
    assert session.scheme.number_format == IntFormat(4)
    session.update(number_format=number_format)
    session.update(signed=False)
    assert session.scheme.number_format == IntFormat(8, False)


@pytest.mark.parametrize("size", [33, 0, -1])
def test_a_block_that_the_tensor_has_no_room_for_is_a_problem(session: Session, changes: list[Any], size: int) -> None:
    session.update(tensor=tensor(4, 32))
    changes.clear()
    with pytest.raises(Problem, match="choose a block size"):
        session.update(granularity=PerBlock(-1, size))
    assert (changes, session.scheme) == ([], Scheme())


# --- the same tensor, better known ------------------------------------------------------------------


def test_counting_and_sorting_leave_the_choices(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    small_samples(monkeypatch)
    shown = large()
    session.update(tensor=shown, granularity=PerAxis(0), channel=2)
    session.update(selected=9)
    counted = shown.count()
    session.update(tensor=counted)
    assert (session.state.tensor, session.state.channel, session.state.selected) == (counted, 2, 9)
    ordered = prepare(shown)
    session.update(tensor=ordered.tensor, prepared=ordered)
    assert (session.state.prepared, session.state.channel, session.state.selected) == (ordered, 2, 9)
    session.update(bits=4)
    session.undo()
    assert session.state.prepared is ordered


def test_another_tensor_is_not_in_the_order_of_the_last(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    small_samples(monkeypatch)
    first, second = prepare(large()), prepare(large(seed=1))
    session.update(tensor=first.tensor, prepared=first, selected=9)
    session.update(tensor=large(seed=1))
    assert (session.state.prepared, session.state.selected) == (None, None)
    session.update(tensor=second.tensor, prepared=second)
    assert session.state.prepared is second
