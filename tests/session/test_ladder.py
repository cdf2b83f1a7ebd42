"""The ladder: an estimate at once, the exact answer as soon as there is one; every rung gives what `analyze` gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication
from pytestqt.qtbot import QtBot

from qviz.core import (
    MSE,
    Analysis,
    Entropy,
    IntFormat,
    PerAxis,
    Percentile,
    PerTensor,
    QParams,
    Scheme,
    Tensor,
    analyze,
)
from qviz.core.passes.error_bins import BINS_TO_HALF_STEP
from qviz.core.questions.effort import SEARCHES
from qviz.core.ranges.torch import MovingAverage
from qviz.session import answering
from qviz.session.analyst import STILL_MILLISECONDS, Analyst
from qviz.session.frame import Frame
from qviz.session.library import Library
from qviz.session.loss_curves import LossCurves
from qviz.session.memory import Memory
from qviz.session.preparer import Preparer
from qviz.session.state import Item, Session
from tests.session.conftest import HandTimers, Heard, until
from tests.session.ladder import FEW, LARGE, OUTLIER, SMALL, Gate, held_gate, small_samples, values

ENOUGH = 1 << 30


class House:
    """A window without a window: everything behind it, wired as it is there."""

    def __init__(self, qtbot: QtBot, gate: Gate) -> None:
        self.bot, self.gate = qtbot, gate
        self.budget = ENOUGH
        self.timers = HandTimers()
        self.session = Session(limits=FEW, timers=self.timers)
        self.memory = Memory(lambda: self.budget)
        self.library = Library(self.session, self.memory)
        self.analyst = Analyst(self.session)
        self.preparer = Preparer(self.session, self.memory)
        self.curves = LossCurves(self.session)
        self.analyst.answered.connect(self.curves.follow)
        self.heard = Heard(self.analyst, "began", "advanced", "given_up", "answered", "problem")
        self.read: list[str] = []

    def item(self, name: str = "large", array: Any = None, seed: int = 0) -> Item:
        array = values(seed) if array is None else array

        def load(progress: Any, cancelled: Any) -> Tensor:
            self.read.append(name)
            return Tensor(array, name, progress=progress, cancelled=cancelled, counted=array.size <= SMALL)

        made = Item(name, "a test", array.shape, "float32", load)
        self.session.update(items=(*self.session.state.items, made))
        return made

    def choose(self, item: Item) -> None:
        self.library.choose(item)
        until(self.bot, lambda: not self.library.busy)

    def settle(self) -> Frame:
        self.timers.settle(self.bot, self.library, self.analyst, self.preparer)
        assert self.analyst.last is not None
        return self.analyst.last

    def estimate(self) -> Frame:
        """The answer while the tensor waits to be put in order."""
        until(self.bot, lambda: not self.analyst.busy and not self.library.busy and self.analyst.last is not None)
        assert self.analyst.last is not None
        return self.analyst.last

    def show(self, **scheme: Any) -> Frame:
        """A large tensor, as far as it comes by itself."""
        self.session.update(**scheme)
        self.choose(self.item())
        return self.settle()

    def exactly(self) -> Frame:
        self.analyst.answer_exactly()
        return self.settle()

    @property
    def frames(self) -> list[Frame]:
        return self.heard.of("answered")

    def close(self) -> None:
        for part in (self.library, self.preparer, self.analyst, self.curves):
            part.close()


@pytest.fixture
def house(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    small_samples(monkeypatch)
    made = House(qtbot, held_gate(monkeypatch))
    yield made
    made.gate.let_go.set()
    made.close()


@pytest.fixture
def poor(house: House) -> House:
    """With memory for the tensor, not for its order."""
    house.budget = 5 * LARGE
    return house


def same(got: Analysis, scheme: Scheme, array: Any = None, qparams: QParams | None = None) -> None:
    """An answer is the direct pass's own, but for the rounding of sums."""
    expected = analyze(Tensor(values() if array is None else array), scheme, qparams=qparams)
    assert got.exact
    for name in ("mse", "mae", "max_abs_error", "sqnr_db", "relative_rmse", "cosine", "rounding_mse", "clipping_mse"):
        assert getattr(got, name) == pytest.approx(getattr(expected, name), rel=1e-9), name
    for name in ("saturated", "levels_used", "storage"):
        assert getattr(got, name) == getattr(expected, name)
    np.testing.assert_array_equal(got.occupancy, expected.occupancy)
    np.testing.assert_array_equal(got.qparams.scale, expected.qparams.scale)
    np.testing.assert_array_equal(got.qparams.zero_point, expected.qparams.zero_point)
    for field in fields(expected.error_histogram):
        one, other = (getattr(a.error_histogram, field.name) for a in (got, expected))
        np.testing.assert_allclose(one, other, rtol=1e-12)
    np.testing.assert_array_equal(got.histogram().counts, expected.histogram().counts)


SCHEMES = [
    Scheme(),
    Scheme(IntFormat(4), symmetric=False),
    Scheme(IntFormat(12)),
    Scheme(range_rule=Percentile(95.0)),
    Scheme(IntFormat(4), range_rule=MSE()),
    Scheme(range_rule=Entropy()),
    Scheme(IntFormat(5, signed=False), symmetric=False, convention="textbook"),
]
NAMES = ["default", "asymmetric", "12 bits", "percentile", "MSE", "entropy", "textbook"]


# --- the first rung: few elements -------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES, ids=NAMES)
def test_a_small_tensor_is_answered_for_at_once(house: House, scheme: Scheme) -> None:
    few = values().reshape(-1)[:SMALL]
    house.session.update(scheme=scheme)
    house.choose(house.item("few", few))
    frame = house.settle()
    assert house.frames == [frame]
    assert house.session.state.tensor.counted
    assert house.gate.sorted == []
    same(frame.whole, scheme, few)


# --- the second: an estimate, until it is in order --------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES, ids=NAMES)
def test_a_large_tensor_is_an_estimate_until_it_is_in_order(house: House, scheme: Scheme) -> None:
    house.gate.hold()
    house.session.update(scheme=scheme)
    chosen = house.item()
    house.choose(chosen)
    guess = house.estimate()
    assert house.preparer.busy
    assert not guess.whole.exact
    assert not guess.shown.exact
    assert guess.prepared is None
    assert guess.whole.occupancy.sum() == pytest.approx(LARGE, abs=scheme.number_format.levels)
    assert guess.whole.histogram().counts.sum() == pytest.approx(LARGE, rel=0.5)
    house.gate.let_go.set()
    frame = house.settle()
    state = house.session.state
    assert frame.whole.prepared is state.prepared is frame.prepared
    assert frame.prepared is not None
    assert frame.tensor is state.tensor
    assert frame.tensor.same_data(guess.tensor)
    same(frame.whole, scheme)
    exactness = [f.whole.exact for f in house.frames]
    assert exactness == sorted(exactness)  # never back to an estimate
    assert house.read == ["large"]


def test_while_it_is_sorted_every_change_is_answered(house: House) -> None:
    house.gate.hold()
    house.choose(house.item())
    until(house.bot, house.gate.began.is_set)
    for bits in (4, 5, 6):
        house.session.update(bits=bits)
        frame = house.estimate()
        assert frame.scheme.number_format.bits == bits
        assert not frame.whole.exact
    assert house.preparer.busy
    assert house.gate.sorted == ["large"]
    house.gate.let_go.set()
    assert house.settle().scheme.number_format.bits == 6


def test_in_order_every_scheme_is_exact(house: House) -> None:
    house.show()
    for scheme in SCHEMES:
        house.session.update(scheme=scheme)
        frame = house.settle()
        assert frame.whole.prepared is house.session.state.prepared is not None
        same(frame.whole, scheme)
    assert house.gate.sorted == ["large"]


def test_the_choices_survive_the_change_to_exact(house: House) -> None:
    house.gate.hold()
    house.choose(house.item())
    house.estimate()
    house.session.update(selected=77)
    house.session.update(bits=4)
    house.estimate()
    house.gate.let_go.set()
    house.settle()
    assert house.session.state.selected == 77
    assert house.session.can_undo
    house.session.undo()
    frame = house.settle()
    assert frame.scheme == Scheme()
    assert house.session.state.selected == 77
    same(frame.whole, Scheme())
    house.session.redo()
    same(house.settle().whole, Scheme(IntFormat(4)))


def test_undo_and_redo_while_it_is_sorted(house: House) -> None:
    house.gate.hold()
    house.choose(house.item())
    house.session.update(bits=4)
    house.session.update(symmetric=False)
    house.session.undo()
    assert house.estimate().scheme == Scheme(IntFormat(4))
    house.gate.let_go.set()
    same(house.settle().whole, Scheme(IntFormat(4)))
    house.session.redo()
    same(house.settle().whole, Scheme(IntFormat(4), symmetric=False))


def test_cancelled_the_estimate_stays_until_it_is_asked_for(house: House) -> None:
    house.gate.hold()
    house.choose(house.item())
    guess = house.estimate()
    house.preparer.cancel()
    assert house.settle() is guess
    house.session.update(bits=4)
    assert not house.settle().whole.exact
    house.gate.let_go.set()
    house.preparer.prepare()
    same(house.settle().whole, Scheme(IntFormat(4)))


# --- the third: every element, once -----------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES, ids=NAMES)
def test_without_memory_the_estimate_stays_and_an_exact_answer_can_be_asked_for(poor: House, scheme: Scheme) -> None:
    guess = poor.show(scheme=scheme)
    assert not guess.whole.exact
    assert poor.gate.sorted == []
    assert not guess.tensor.counted
    assert guess.tensor.maximum < OUTLIER
    poor.heard.all.clear()
    frame = poor.exactly()
    assert poor.frames == [frame]
    assert frame.prepared is None
    assert poor.session.state.tensor is frame.tensor
    assert frame.tensor.counted
    assert frame.range_judged == (scheme.range_rule.kind in SEARCHES)  # searching every element would sort them all
    same(frame.whole, scheme, qparams=frame.whole.qparams if frame.range_judged else None)
    told = poor.heard.of("advanced")
    assert told == sorted(told)
    assert told[-1] == 1


def test_afterwards_another_scheme_is_an_estimate_with_the_true_ends(poor: House) -> None:
    before = poor.show()
    poor.exactly()
    poor.session.update(bits=4)
    frame = poor.settle()
    assert not frame.whole.exact
    assert frame.tensor.counted
    assert frame.tensor.maximum == OUTLIER
    assert float(frame.whole.qparams.high) == OUTLIER > float(before.whole.qparams.high)
    assert frame.whole.qparams.scale == analyze(values(), Scheme(IntFormat(4))).qparams.scale
    same(poor.exactly().whole, Scheme(IntFormat(4)))
    poor.session.undo()
    assert not poor.settle().whole.exact


def test_what_was_counted_is_known_when_it_is_shown_again(poor: House) -> None:
    poor.budget = 2 * 4 * LARGE + 1000  # for both, but for no order
    poor.show()
    frame = poor.exactly()
    shown = poor.session.state.current
    poor.choose(shown)  # clicked once more in the list
    assert poor.settle() is frame
    poor.choose(poor.item("other", seed=1))
    assert not poor.settle().whole.exact
    poor.choose(shown)
    frame = poor.settle()
    assert frame.tensor.counted
    assert poor.read == ["large", "other"]


def slow(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Exact answers wait at a gate."""
    gate = Gate(held=True)

    def wait(x: Any, scheme: Scheme, progress: Any, cancelled: Any, **options: Any) -> Analysis:
        gate.began.set()
        progress(0.5)
        gate.wait(cancelled)
        return analyze(x, scheme, progress=progress, cancelled=cancelled, **options)

    monkeypatch.setattr(answering, "analyze", wait)
    return gate


def test_an_exact_answer_can_be_given_up(poor: House, monkeypatch: pytest.MonkeyPatch) -> None:
    guess = poor.show()
    gate = slow(monkeypatch)
    poor.analyst.answer_exactly()
    until(poor.bot, gate.began.is_set)
    poor.analyst.cancel()
    assert poor.settle() is guess
    assert poor.heard.names[-1] == "given_up"
    assert not poor.session.state.tensor.counted
    gate.let_go.set()
    same(poor.exactly().whole, Scheme())


def test_nobody_waits_for_the_exact_answer_of_a_scheme_that_was_left(
    poor: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    poor.show()
    gate = slow(monkeypatch)
    poor.analyst.answer_exactly()
    until(poor.bot, gate.began.is_set)
    poor.heard.all.clear()
    poor.session.update(bits=4)
    frame = poor.settle()  # the gate is still shut
    assert poor.frames == [frame]
    assert frame.scheme == Scheme(IntFormat(4))
    assert not frame.whole.exact


def test_an_exact_answer_needs_a_tensor(house: House) -> None:
    house.analyst.answer_exactly()
    assert not house.analyst.busy


def test_no_memory_for_the_order_after_all(house: House) -> None:
    house.gate.error = MemoryError()
    guess = house.show()
    assert not guess.whole.exact
    assert not house.preparer.fits
    same(house.exactly().whole, Scheme())


# --- channels ---------------------------------------------------------------------------------------


def test_per_axis_an_uncounted_tensor_is_counted_on_the_way(poor: House) -> None:
    scheme = Scheme(granularity=PerAxis(0))
    frame = poor.show(granularity=PerAxis(0))
    assert poor.frames == [frame]
    assert poor.session.state.tensor is frame.tensor
    assert frame.tensor.counted
    same(frame.whole, scheme)
    np.testing.assert_allclose(frame.whole.groups.mse, analyze(values(), scheme).groups.mse, rtol=1e-12)
    told = poor.heard.of("advanced")
    assert told == sorted(told)
    assert told[-1] == 1
    poor.session.update(granularity=PerTensor())
    frame = poor.settle()
    assert not frame.whole.exact
    assert frame.tensor.maximum == OUTLIER


def test_an_exact_answer_is_not_the_estimate_with_a_channel(poor: House) -> None:
    poor.session.update(granularity=PerAxis(0))
    poor.choose(poor.item(array=values().reshape(1, LARGE)))
    assert not poor.settle().whole.exact  # one channel is one scale
    poor.session.update(channel=0)
    frame = poor.exactly()
    assert (frame.channel, frame.whole.exact) == (0, True)


def test_where_batches_matter_there_is_no_estimate(poor: House) -> None:
    scheme = Scheme(range_rule=MovingAverage(batch_axis=0))
    frame = poor.show(range_rule=scheme.range_rule)
    assert poor.frames == [frame]
    same(frame.whole, scheme)


def test_a_channel_and_an_element_survive_the_change_to_exact(house: House) -> None:
    house.gate.hold()
    house.session.update(granularity=PerAxis(0))
    house.choose(house.item())
    house.estimate()
    house.session.update(channel=3)
    house.session.update(selected=9)
    frame = house.estimate()
    assert frame.channel == 3
    house.gate.let_go.set()
    frame = house.settle()
    state = house.session.state
    assert state.prepared is not None
    assert (state.channel, state.selected, frame.channel) == (3, 9, 3)
    assert frame.tensor is state.tensor
    np.testing.assert_array_equal(frame.shown.tensor.values, values()[3])
    assert frame.shown.exact


def test_a_newer_scheme_while_it_is_counted(poor: House, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = slow(monkeypatch)
    poor.session.update(granularity=PerAxis(0))
    poor.choose(poor.item())
    until(poor.bot, gate.began.is_set)
    poor.session.update(bits=4)
    poor.session.update(bits=3)
    gate.let_go.set()
    frame = poor.settle()
    assert [f.scheme.number_format.bits for f in poor.frames] == [8, 3]
    assert frame.tensor is poor.session.state.tensor is poor.frames[0].tensor
    same(frame.whole, Scheme(IntFormat(3), granularity=PerAxis(0)))


# --- error bins -------------------------------------------------------------------------------------


def bins_to_half_step(frame: Frame) -> float:
    histogram = frame.whole.error_histogram
    return histogram.half_step / (histogram.edges[1] - histogram.edges[0])


@pytest.mark.parametrize(
    ("bits", "moving", "at_rest"),
    [(4, 24, 24), (9, 16, 24), (10, 8, 24), (12, 2, 24), (14, 1, 24), (15, 1, 16), (16, 1, 8)],
)
def test_while_something_is_dragged_there_are_fewer_error_bins(
    house: House, bits: int, moving: int, at_rest: int
) -> None:
    house.show(bits=2)
    house.heard.all.clear()
    house.session.update(bits=bits)
    assert house.analyst._refinement.active is (moving < at_rest)
    last = house.settle()
    first = house.frames[0]
    assert len(house.frames) == (1 if moving == at_rest else 2)
    # A tensor of so few elements gets no more than some bins in all: what matters is what was asked.
    assert bins_to_half_step(first) <= moving
    assert bins_to_half_step(last) <= at_rest
    expected = analyze(house.session.state.prepared, last.scheme, error_bins=at_rest).error_histogram
    np.testing.assert_array_equal(last.whole.error_histogram.edges, expected.edges)
    expected = analyze(house.session.state.prepared, last.scheme, error_bins=moving).error_histogram
    np.testing.assert_array_equal(first.whole.error_histogram.edges, expected.edges)


def test_all_bins_come_when_nothing_has_moved_for_a_moment(house: House) -> None:
    house.show(bits=12)
    assert house.analyst._refinement.milliseconds == STILL_MILLISECONDS == 150
    house.heard.all.clear()
    for bits in (11, 12, 11, 12, 13):
        house.session.update(bits=bits)
        house.estimate()
    assert {f.scheme.number_format.bits for f in house.frames} == {11, 12, 13}
    full = house.settle()
    assert full is house.frames[-1]
    assert full.scheme.number_format.bits == 13
    assert bins_to_half_step(full) > bins_to_half_step(house.frames[-2])
    histogram = full.whole.error_histogram
    assert histogram.rounding.sum() + histogram.clipping.sum() == LARGE
    assert full.whole.mse == house.frames[-2].whole.mse


def test_what_is_not_in_order_has_all_bins_at_once(house: House) -> None:
    few = Tensor(np.arange(SMALL, dtype=np.float32))
    house.session.update(tensor=few, bits=16)
    assert not house.analyst._refinement.active
    frame = house.settle()
    expected = analyze(few, Scheme(IntFormat(16)), error_bins=BINS_TO_HALF_STEP).error_histogram
    np.testing.assert_array_equal(frame.whole.error_histogram.edges, expected.edges)


def test_giving_up_ends_the_refinement_too(house: House) -> None:
    house.show(bits=12)
    house.heard.all.clear()
    house.session.update(bits=13)
    house.estimate()
    assert house.analyst._refinement.active
    house.analyst.cancel()
    assert not house.timers.active
    house.settle()
    assert len(house.frames) == 1


# --- from one tensor to another ---------------------------------------------------------------------


def test_coming_back_to_what_is_in_order_neither_reads_nor_sorts(house: House) -> None:
    first, second = house.item("first"), house.item("second", seed=1)
    house.choose(first)
    house.settle()
    house.choose(second)
    house.settle()
    house.heard.all.clear()
    house.choose(first)
    assert not house.preparer.busy
    frame = house.settle()
    assert house.frames[0].whole.exact  # at once
    assert frame.whole.prepared is not None
    assert house.read == house.gate.sorted == ["first", "second"]
    same(frame.whole, Scheme())


def test_what_lost_its_order_is_sorted_again_but_not_read(house: House) -> None:
    first, second = house.item("first"), house.item("second", seed=1)
    house.choose(first)
    house.settle()
    house.budget = house.memory.used + 6 * LARGE
    house.choose(second)
    house.settle()
    house.choose(first)
    assert house.settle().whole.prepared is not None
    assert house.read == ["first", "second"]
    assert house.gate.sorted == ["first", "second", "first"]
    assert house.memory.used <= house.budget


def test_another_tensor_while_one_is_sorted(house: House) -> None:
    house.gate.hold()
    house.gate.deaf = True
    house.choose(house.item("first"))
    until(house.bot, house.gate.began.is_set)
    house.choose(house.item("second", seed=1))
    house.gate.let_go.set()
    frame = house.settle()
    assert frame.tensor.name == "second"
    same(frame.whole, Scheme(), values(1))
    shown = [f.tensor.name for f in house.frames]
    assert shown == sorted(shown)


def test_there_and_back_quickly_ends_with_the_first(house: House) -> None:
    first, second = house.item("first"), house.item("second", seed=1)
    house.choose(first)
    for chosen in (second, first, second, first):
        house.library.choose(chosen)
        QCoreApplication.processEvents()
    frame = house.settle()
    assert house.session.state.current is first
    assert frame.tensor.name == "first"
    same(frame.whole, Scheme())
    assert house.read.count("first") == 1


# --- closing ----------------------------------------------------------------------------------------


def test_closing_in_the_middle_of_everything(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.gate.hold()
    house.curves.want(True)
    house.choose(house.item())
    until(house.bot, house.gate.began.is_set)
    house.estimate()
    house.analyst.answer_exactly()
    said = Heard(house.preparer, "began", "advanced", "ended", "problem")
    house.heard.all.clear()
    traced = Heard(house.curves, "traced", "forgotten")
    house.close()
    house.session.update(bits=3)
    house.library.choose(house.item("late", seed=1))
    QCoreApplication.processEvents()
    assert (said.all, house.heard.all, traced.all) == ([], [], [])
    for part in (house.library, house.analyst, house.preparer, house.curves):
        assert part._runner._pool.activeThreadCount() == 0
    assert not house.analyst._refinement.active
