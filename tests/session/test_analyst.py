"""Each change of tensor or scheme asks for one frozen answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication
from pytestqt.qtbot import QtBot

from qviz.core import IntFormat, PerAxis, PerBlock, PerTensor, PerToken, Problem, Scheme, Tensor, analyze, prepare
from qviz.core.questions.effort import Limits
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.schemes.presets import PRESETS
from qviz.core.tensors.granularity import Granularity
from qviz.core.work import IsCancelled, Progress, ignore, never
from qviz.session import answering
from qviz.session.analyst import Analyst
from qviz.session.frame import EVERYTHING, Frame, Part
from qviz.session.state import Session
from tests.session.conftest import PATIENCE, HandTimers, Heard, Work, settle, until


def tensor(*shape: int, seed: int = 0) -> Tensor:
    return Tensor(np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32), f"seed {seed}")


class Desk:
    """A session, its analyst, and the answers."""

    def __init__(self, qtbot: QtBot, limits: Limits | None = None) -> None:
        self.bot = qtbot
        self.timers = HandTimers()
        self.session = Session(timers=self.timers, limits=limits)
        self.analyst = Analyst(self.session)
        self.heard = Heard(self.analyst, "began", "answered", "problem")

    def settle(self) -> None:
        settle(self.bot, self.analyst)

    def update(self, **changes: Any) -> Frame:
        self.session.update(**changes)
        self.settle()
        assert self.analyst.last is not None
        return self.analyst.last

    @property
    def frames(self) -> list[Frame]:
        return self.heard.of("answered")


@pytest.fixture
def desk(qtbot: QtBot) -> Iterator[Desk]:
    made = Desk(qtbot)
    yield made
    made.analyst.close()


@pytest.fixture
def analyzed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, Scheme]]:
    """What was really computed."""
    calls: list[tuple[Tensor, Scheme]] = []

    def counting(
        x: Tensor, scheme: Scheme, *, progress: Progress = ignore, cancelled: IsCancelled = never, **known: Any
    ) -> Any:
        calls.append((x, scheme))
        return analyze(x, scheme, progress=progress, cancelled=cancelled, **known)

    monkeypatch.setattr(answering, "analyze", counting)
    return calls


# --- answers ----------------------------------------------------------------------------------------


def test_a_tensor_is_answered_for(desk: Desk) -> None:
    shown = tensor(4, 5)
    frame = desk.update(tensor=shown, bits=4)
    assert desk.frames == [frame]
    assert (frame.tensor, frame.scheme, frame.channel) == (shown, Scheme(IntFormat(4)), None)
    assert frame.shown is frame.whole
    assert frame.whole.mse == analyze(shown, Scheme(IntFormat(4))).mse


def test_nothing_is_computed_without_a_tensor(desk: Desk) -> None:
    desk.session.update(bits=4)
    assert not desk.analyst.busy
    assert desk.analyst.last is None


@pytest.mark.parametrize("change", [{"bits": 4}, {"symmetric": False}, {"granularity": PerAxis(0)}])
def test_another_scheme_is_another_answer(desk: Desk, change: dict[str, Any]) -> None:
    desk.update(tensor=tensor(4, 5))
    frame = desk.update(**change)
    assert len(desk.frames) == 2
    assert frame.scheme == desk.session.scheme != desk.frames[0].scheme


def test_pointing_at_an_element_computes_nothing(desk: Desk, analyzed: list[Any]) -> None:
    desk.update(tensor=tensor(4, 5))
    desk.update(selected=3)
    assert len(desk.frames) == len(analyzed) == 1


def test_answers_come_in_order_and_end_with_the_last_scheme(desk: Desk) -> None:
    desk.update(tensor=tensor(4, 5), bits=8)
    for bits in (7, 6, 5, 4, 3):
        desk.session.update(bits=bits)
    desk.settle()
    # The first was under way and is shown though newer ones waited; of those only the last was kept.
    assert [frame.scheme.number_format.bits for frame in desk.frames] == [8, 7, 3]


def test_only_the_current_tensor_is_answered_for(desk: Desk) -> None:
    first, second = tensor(4, 5, seed=1), tensor(6, seed=2)
    desk.session.update(tensor=first)
    desk.session.update(tensor=second)
    desk.settle()
    assert [frame.tensor for frame in desk.frames] == [second]
    assert desk.analyst.last is desk.frames[0]


def test_another_tensor_does_not_wait_for_the_answer_about_the_one_before(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tensor(4, 5, seed=1), tensor(6, seed=2)
    began = threading.Event()

    def analyze_slowly(x: Tensor, scheme: Scheme, *, cancelled: IsCancelled, **known: Any) -> Any:
        if x.same_data(first):
            Work().until_cancelled(lambda fraction: began.set(), lambda: (began.set(), cancelled())[1])
        return analyze(x, scheme, cancelled=cancelled, **known)

    monkeypatch.setattr(answering, "analyze", analyze_slowly)
    desk.session.update(tensor=first)
    until(desk.bot, began.is_set)
    desk.session.update(tensor=second)
    desk.settle()
    assert [frame.tensor for frame in desk.frames] == [second]


def test_a_channel_chosen_when_the_order_is_known_is_answered_from_it(desk: Desk) -> None:
    before = desk.update(tensor=tensor(4, 5), granularity=PerAxis(0))
    ordered = prepare(before.tensor)
    frame = desk.update(prepared=ordered, channel=1)
    assert frame.whole is not before.whole
    assert frame.prepared is ordered


def test_what_the_charts_draw_from_is_ready(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = desk.update(tensor=tensor(4, 5))

    def fail(*arguments: object, **options: object) -> None:
        raise AssertionError("counted in the window's thread")

    monkeypatch.setattr(np, "histogram", fail)
    assert frame.tensor.histogram().counts.sum() == 20


# --- a channel alone --------------------------------------------------------------------------------


def test_a_channel_is_looked_at_alone(desk: Desk, analyzed: list[Any]) -> None:
    whole = desk.update(tensor=tensor(4, 5), granularity=PerAxis(0))
    frame = desk.update(channel=2)
    assert frame.channel == 2
    assert frame.whole is whole.whole  # not computed again
    assert len(analyzed) == 2
    np.testing.assert_array_equal(frame.shown.tensor.values, frame.tensor.values.reshape(4, 5)[2])
    assert frame.shown.scheme.granularity == PerTensor()
    assert frame.shown.qparams.scale == frame.whole.qparams.scale[2]
    assert frame.shown.mse == pytest.approx(frame.whole.groups.mse[2], rel=1e-12)


def test_a_block_is_looked_at_alone_where_a_runtime_has_nothing_but_blocks(desk: Desk) -> None:
    desk.update(tensor=tensor(4, 128))
    chosen = {p.scheme.convention: p.scheme for p in PRESETS if CONVENTIONS[p.scheme.convention].per_block}
    assert len(chosen) >= 4
    turned = replace(chosen["onnxruntime_matmulnbits"], granularity=PerBlock(0, 16))
    wrong = []
    for scheme in (*chosen.values(), turned):
        desk.session.update(scheme=scheme, channel=None)
        desk.settle()
        assert desk.analyst.last is not None
        groups = desk.analyst.last.whole.groups
        frame = desk.update(channel=groups.sqnr_db.size - 1)
        if frame.channel is None or frame.shown.mse != pytest.approx(groups.mse[-1], rel=1e-9):
            wrong.append((scheme, frame.channel, frame.shown.mse, groups.mse[-1]))
    assert not wrong
    assert not desk.heard.of("problem")


def test_leaving_the_channel_shows_all_again(desk: Desk, analyzed: list[Any]) -> None:
    whole = desk.update(tensor=tensor(4, 5), granularity=PerAxis(0)).whole
    desk.update(channel=2)
    frame = desk.update(channel=None)
    assert frame.shown is frame.whole is whole
    assert len(analyzed) == 2


def test_a_channel_is_followed_through_schemes(desk: Desk) -> None:
    desk.update(tensor=tensor(4, 5), granularity=PerAxis(0), channel=1)
    frame = desk.update(bits=3)
    assert frame.channel == 1
    assert frame.shown.scheme == Scheme(IntFormat(3))


def test_a_channel_that_does_not_exist_is_a_problem(desk: Desk) -> None:
    desk.update(tensor=tensor(4, 5), granularity=PerAxis(0))
    desk.update(channel=9)
    assert desk.heard.of("problem") == ["There is no channel 9 in seed 0: it has 4."]


# --- what does not work -----------------------------------------------------------------------------


def test_a_scheme_that_does_not_fit_is_refused_and_the_last_answer_stays(desk: Desk) -> None:
    last = desk.update(tensor=tensor(4, 5))
    with pytest.raises(Problem, match=r"There is no axis 5 in a tensor of shape \(4, 5\)"):
        desk.session.update(granularity=PerAxis(5))
    desk.settle()
    assert desk.analyst.last is last
    assert desk.session.scheme == last.scheme
    assert desk.update(granularity=PerAxis(1)).scheme.granularity == PerAxis(1)


def test_no_memory_is_a_problem(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_out(*arguments: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(answering, "analyze", run_out)
    desk.session.update(tensor=tensor(4, 5))
    desk.settle()
    assert desk.heard.of("problem") == [
        "There is not enough memory for this scheme: close other programs and try again."
    ]


def test_a_bug_is_not_hidden(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*arguments: object, **options: object) -> None:
        raise KeyError("bug")

    monkeypatch.setattr(answering, "analyze", bug)
    with desk.bot.capture_exceptions() as caught:
        desk.session.update(tensor=tensor(4, 5))
        desk.settle()
    assert [error for error, *_ in caught] == [KeyError]
    assert "problem" not in desk.heard.names


def test_nothing_is_answered_after_closing(desk: Desk) -> None:
    desk.session.update(tensor=tensor(4, 5))
    desk.analyst.close()
    desk.session.update(bits=4)
    QCoreApplication.processEvents()
    assert desk.heard.names == ["began"]


# --- what is left out while something is dragged -----------------------------------------------------


LARGE = (64, 40)
DRAGGED = Limits(direct_up_to=100, estimated_above=1000, cuts_moving=1 << 12)


@pytest.fixture
def dragging(qtbot: QtBot) -> Iterator[Desk]:
    """At rest over a tensor that is large here, each of its rows with a scale of its own."""
    made = Desk(qtbot, DRAGGED)
    made.update(tensor=tensor(*LARGE), granularity=PerAxis(0))
    made.heard.all.clear()
    yield made
    made.analyst.close()


def same_as_asked_alone(frame: Frame) -> None:
    """Every figure, and the envelope, as `analyze` alone would have them."""
    alone = analyze(frame.tensor, frame.scheme)
    assert frame.whole.figures == replace(alone.figures, seconds=frame.whole.seconds)
    np.testing.assert_array_equal(frame.whole.occupancy, alone.occupancy)
    for edge in ("low", "high"):
        ours, theirs = (getattr(a.views(0, frame.tensor.elements, 8)[1], edge) for a in (frame.whole, alone))
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("granularity", [PerAxis(0), PerAxis(1), PerBlock(1, 8), PerToken()], ids=str)
def test_what_nobody_sees_is_left_out_while_something_is_dragged(dragging: Desk, granularity: Granularity) -> None:
    dragging.analyst.look_at(frozenset())
    for bits in (7, 6, 5):
        frame = dragging.update(bits=bits, granularity=granularity)
        assert (frame.parts, frame.passing) == (frozenset(), True)
        assert frame.whole.error_histogram.rounding.size == 0
        assert frame.whole.exact
        same_as_asked_alone(frame)
    assert [frame.scheme.number_format.bits for frame in dragging.frames] == [7, 6, 5]


def test_what_a_hand_steers_is_passing_and_complete_where_nothing_has_to_be_left_out(desk: Desk) -> None:
    desk.update(tensor=tensor(4, 5))
    desk.session.steer(bits=5)
    desk.settle()
    assert [(frame.parts, frame.passing) for frame in desk.frames] == [(EVERYTHING, False), (EVERYTHING, True)]
    same_as_asked_alone(desk.frames[-1])
    desk.update(bits=4)
    assert not desk.frames[-1].passing


def test_what_was_left_out_is_made_up_for_at_rest(dragging: Desk) -> None:
    dragging.analyst.look_at(frozenset())
    passing = dragging.update(bits=5)
    dragging.timers.settle(dragging.bot, dragging.analyst)
    complete = dragging.analyst.last
    assert complete is not None and dragging.frames == [passing, complete]
    assert (complete.parts, complete.passing) == (EVERYTHING, False)
    assert complete.scheme == passing.scheme
    alone = analyze(complete.tensor, complete.scheme).error_histogram
    np.testing.assert_array_equal(complete.whole.error_histogram.rounding, alone.rounding)
    np.testing.assert_array_equal(complete.whole.error_histogram.edges, alone.edges)


@pytest.mark.parametrize("part", list(Part))
def test_what_comes_in_sight_is_asked_for_at_once(dragging: Desk, part: Part) -> None:
    dragging.analyst.look_at(frozenset())
    dragging.update(bits=5)
    dragging.analyst.look_at(frozenset({part}))
    dragging.settle()
    frame = dragging.frames[-1]
    assert len(dragging.frames) == 2
    assert frame.parts == {part}
    assert bool(frame.whole.error_histogram.rounding.size) == (part is Part.ERROR_HISTOGRAM)


def test_what_goes_out_of_sight_asks_nothing(dragging: Desk) -> None:
    dragging.update(bits=5)
    dragging.analyst.look_at(frozenset())
    dragging.settle()
    assert len(dragging.frames) == 1


def test_everything_in_sight_needs_no_second_answer(dragging: Desk) -> None:
    frame = dragging.update(bits=3)
    assert frame.parts == EVERYTHING
    assert not dragging.timers.active


def test_bins_are_coarser_while_something_is_dragged(dragging: Desk) -> None:
    passing = dragging.update(bits=10).whole.error_histogram
    dragging.timers.settle(dragging.bot, dragging.analyst)
    rest = dragging.frames[-1].whole.error_histogram
    assert 0 < passing.rounding.size < rest.rounding.size
    assert passing.rounding.sum() == rest.rounding.sum()


def test_a_channel_chosen_while_something_is_dragged_is_completed_too(dragging: Desk) -> None:
    dragging.analyst.look_at(frozenset())
    dragging.update(bits=5)
    frame = dragging.update(channel=3)
    assert frame.channel == 3
    dragging.timers.settle(dragging.bot, dragging.analyst)
    assert dragging.frames[-1].parts == EVERYTHING
    assert dragging.frames[-1].channel == 3


def test_nobody_waits_for_what_is_made_up_for_when_it_moves_on(dragging: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    dragging.analyst.look_at(frozenset())
    dragging.update(bits=5)
    began = threading.Event()

    def analyze_slowly(x: Tensor, scheme: Scheme, *, cancelled: IsCancelled, **known: Any) -> Any:
        if scheme.number_format.bits == 5:
            Work().until_cancelled(lambda fraction: began.set(), lambda: (began.set(), cancelled())[1])
        return analyze(x, scheme, cancelled=cancelled, **known)

    monkeypatch.setattr(answering, "analyze", analyze_slowly)
    dragging.timers.fire()
    until(dragging.bot, began.is_set)
    dragging.session.update(bits=4)
    dragging.timers.settle(dragging.bot, dragging.analyst)
    assert [(f.scheme.number_format.bits, f.parts == EVERYTHING) for f in dragging.frames] == [
        (5, False),
        (4, False),
        (4, True),
    ]


def test_what_is_dragged_and_takes_long_is_answered_before_anything_is_made_up_for(
    dragging: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    dragging.analyst.look_at(frozenset())
    work = Work(held=True)

    def analyze_slowly(x: Tensor, scheme: Scheme, **known: Any) -> Any:
        work(lambda fraction: None, lambda: False)
        return analyze(x, scheme, **known)

    monkeypatch.setattr(answering, "analyze", analyze_slowly)
    dragging.session.update(bits=5)
    assert work.began.wait(PATIENCE)
    dragging.timers.fire()  # still for a moment, but nothing of it is seen yet
    dragging.session.update(bits=4)  # the hand moves on: what is nearly found is not given up for it
    work.let_go.set()
    dragging.timers.settle(dragging.bot, dragging.analyst)
    assert [(f.scheme.number_format.bits, f.parts == EVERYTHING) for f in dragging.frames] == [
        (5, False),
        (4, False),
        (4, True),
    ]


@pytest.fixture
def many(qtbot: QtBot) -> Iterator[Desk]:
    """At rest over more elements than are dragged live with many scales."""
    limits = replace(DRAGGED, many_of_groups=200_000, few_of_groups=50_000, live_seconds=0.0)
    made = Desk(qtbot, limits)
    made.update(tensor=tensor(512, 512), granularity=PerAxis(0))
    made.timers.settle(qtbot, made.analyst)
    made.heard.all.clear()
    yield made
    made.analyst.close()


@pytest.mark.parametrize("granularity", [PerAxis(0), PerAxis(1), PerToken()], ids=str)
def test_over_very_many_elements_some_of_each_group_are_dragged_and_all_are_answered_for_at_rest(
    many: Desk, granularity: Granularity
) -> None:
    for bits in (7, 6):
        frame = many.update(bits=bits, granularity=granularity)
        assert (frame.judged, frame.whole.exact, frame.passing) == (True, False, True)
        assert frame.whole.looked_at == 1 << 16
        assert frame.whole.group_count == 512
    many.timers.settle(many.bot, many.analyst)
    complete = many.frames[-1]
    assert (complete.judged, complete.whole.exact, complete.passing) == (False, True, False)
    assert complete.scheme == frame.scheme
    same_as_asked_alone(complete)


def test_a_computer_that_is_quick_enough_drags_every_element(many: Desk) -> None:
    many.session.limits = replace(many.session.limits, live_seconds=3600.0)
    frame = many.update(bits=5)
    assert (frame.judged, frame.whole.exact) == (False, True)
    many.update(tensor=tensor(500, 512))  # nobody knows how long this one takes
    assert many.update(bits=4).judged
    many.timers.settle(many.bot, many.analyst)
    assert not many.update(bits=3).judged


def test_groups_too_short_to_be_judged_are_dragged_exactly(many: Desk) -> None:
    frame = many.update(granularity=PerBlock(-1, 32))
    assert (frame.judged, frame.whole.exact) == (False, True)


def test_a_channel_is_chosen_while_some_of_each_group_are_dragged(many: Desk) -> None:
    many.update(bits=5)
    frame = many.update(channel=3)
    assert (frame.judged, frame.shown.exact, frame.shown.tensor.elements) == (True, True, 512)
    many.timers.settle(many.bot, many.analyst)
    assert (many.frames[-1].channel, many.frames[-1].judged, many.frames[-1].whole.exact) == (3, False, True)


def test_an_exact_answer_to_what_is_dragged_can_be_asked_for(many: Desk) -> None:
    many.update(bits=5)
    many.analyst.answer_exactly()
    many.settle()
    assert (many.frames[-1].judged, many.frames[-1].whole.exact) == (False, True)


def test_what_is_drawn_of_the_groups_is_found_beside_the_window(dragging: Desk) -> None:
    groups = dragging.update(bits=5).whole.groups
    assert groups is not None
    assert {"worst", "sqnr_range", "robust_sqnr_range", "signal_to_noise"} <= vars(groups).keys()
