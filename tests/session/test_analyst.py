"""Each change of tensor or scheme asks for one frozen answer; time is measured when all is quiet."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication
from pytestqt.qtbot import QtBot

from qviz.core import FloatFormat, IntFormat, PerAxis, PerTensor, Problem, Scheme, Tensor, analyze
from qviz.core.questions.speed import Speed
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.session import analyst as analyst_module
from qviz.session.analyst import QUIET_MILLISECONDS, Analyst, Frame, SpeedMeter
from qviz.session.state import Session
from tests.session.conftest import Heard


def tensor(*shape: int, seed: int = 0) -> Tensor:
    return Tensor(np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32), f"seed {seed}")


class Desk:
    """A session, its analyst, and the answers."""

    def __init__(self, qtbot: QtBot) -> None:
        self.bot = qtbot
        self.session = Session()
        self.analyst = Analyst(self.session)
        self.heard = Heard(self.analyst, "began", "answered", "problem")

    def settle(self) -> None:
        self.bot.waitUntil(lambda: not self.analyst.busy)
        QCoreApplication.processEvents()

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

    monkeypatch.setattr(analyst_module, "analyze", counting)
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

    monkeypatch.setattr(analyst_module, "analyze", run_out)
    desk.session.update(tensor=tensor(4, 5))
    desk.settle()
    assert desk.heard.of("problem") == [
        "There is not enough memory for this scheme: close other programs and try again."
    ]


def test_a_bug_is_not_hidden(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*arguments: object, **options: object) -> None:
        raise KeyError("bug")

    monkeypatch.setattr(analyst_module, "analyze", bug)
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


# --- speed ------------------------------------------------------------------------------------------


class Stopwatch:
    """In the place of the measurement: says what is asked, and answers at once unless held."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str]] = []
        self.let_go = threading.Event()
        self.began = threading.Event()
        self.let_go.set()
        self.error: Exception | None = None

    def __call__(
        self, elements: int, dtype: np.dtype[Any], *, progress: Progress = ignore, cancelled: IsCancelled = never
    ) -> Speed:
        self.asked.append((elements, str(dtype)))
        self.began.set()
        progress(0.5)
        assert self.let_go.wait(10)
        check(cancelled)
        if self.error:
            raise self.error
        return Speed(elements, str(dtype), 4.0, len(self.asked))


class Workshop:
    """A session, its meter, and what it says."""

    def __init__(self, qtbot: QtBot) -> None:
        self.bot = qtbot
        self.session = Session()
        self.meter = SpeedMeter(self.session)
        self.heard = Heard(self.meter, "forgotten", "began", "advanced", "ended", "measured", "cancelled")

    def settle(self) -> None:
        self.bot.waitUntil(lambda: not self.meter._timer.isActive() and not self.meter._runner.busy)
        QCoreApplication.processEvents()

    def update(self, **changes: Any) -> None:
        self.session.update(**changes)
        self.settle()

    @property
    def measured(self) -> list[tuple[int, str]]:
        return [(speed.elements, speed.code_dtype) for speed in self.heard.of("measured")]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    made = Stopwatch()
    monkeypatch.setattr(analyst_module, "measure_addition", made)
    monkeypatch.setattr(analyst_module, "QUIET_MILLISECONDS", 1)
    return made


@pytest.fixture
def shop(qtbot: QtBot, watch: Stopwatch) -> Iterator[Workshop]:
    made = Workshop(qtbot)
    yield made
    watch.let_go.set()
    made.meter.close()


def test_it_is_measured_when_all_is_quiet(shop: Workshop, watch: Stopwatch) -> None:
    shop.session.update(tensor=tensor(4, 5))
    assert shop.heard.names == ["forgotten"]
    assert watch.asked == []
    shop.settle()
    assert shop.heard.names == ["forgotten", "began", "advanced", "ended", "measured"]
    assert watch.asked == shop.measured == [(20, "int8")]


def test_each_change_puts_it_off(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Workshop(qtbot)
    started: list[int] = []
    assert shop.meter._timer.interval() == QUIET_MILLISECONDS
    monkeypatch.setattr(shop.meter._timer, "start", lambda: started.append(1))
    monkeypatch.setattr(shop.meter._timer, "isActive", lambda: bool(started))
    shop.session.update(tensor=tensor(4, 5))
    shop.session.update(bits=7)
    shop.session.update(symmetric=False)
    assert len(started) == 3
    shop.meter.close()


def test_codes_that_are_no_integers_are_not_added(shop: Workshop, watch: Stopwatch) -> None:
    shop.update(tensor=tensor(4, 5))
    shop.update(scheme=Scheme(FloatFormat("e4m3fn")))
    shop.meter.measure_again()
    shop.settle()
    assert watch.asked == [(20, "int8")]
    assert shop.heard.names[-1] == "forgotten"
    shop.update(scheme=Scheme(IntFormat(4)))
    assert len(shop.heard.of("measured")) == 2


def test_nothing_is_measured_without_a_tensor(shop: Workshop, watch: Stopwatch) -> None:
    shop.update(bits=16)
    shop.meter.measure()
    shop.meter.measure_again()
    shop.settle()
    assert (watch.asked, shop.heard.all) == ([], [])


def test_once_for_each_size_and_type(shop: Workshop, watch: Stopwatch) -> None:
    shop.update(tensor=tensor(4, 5))
    shop.update(bits=4)  # still int8
    shop.update(tensor=tensor(5, 4))  # still 20 elements
    assert watch.asked == [(20, "int8")]
    shop.update(bits=16)
    shop.update(signed=False)
    shop.update(tensor=tensor(6))
    assert watch.asked == [(20, "int8"), (20, "int16"), (20, "uint16"), (6, "uint16")]


def test_what_is_known_is_shown_at_once(shop: Workshop, watch: Stopwatch) -> None:
    shop.update(tensor=tensor(4, 5))
    shop.update(bits=16)
    shop.heard.all.clear()
    shop.session.update(bits=8)
    assert shop.heard.names == ["measured"]
    assert shop.measured == [(20, "int8")]
    assert len(watch.asked) == 2


def test_measuring_again_forgets_what_was_known(shop: Workshop, watch: Stopwatch) -> None:
    shop.update(tensor=tensor(4, 5))
    shop.meter.measure_again()
    shop.settle()
    assert watch.asked == [(20, "int8")] * 2
    assert [speed.code_seconds for speed in shop.heard.of("measured")] == [1, 2]


def test_cancelling_ends_it_without_an_answer(shop: Workshop, watch: Stopwatch) -> None:
    watch.let_go.clear()
    shop.session.update(tensor=tensor(4, 5))
    shop.bot.waitUntil(watch.began.is_set)
    shop.meter.cancel()
    watch.let_go.set()
    shop.settle()
    assert shop.heard.names == ["forgotten", "began", "advanced", "ended", "cancelled"]
    shop.meter.measure()
    shop.settle()
    assert shop.measured == [(20, "int8")]


def test_the_button_stops_and_starts(shop: Workshop, watch: Stopwatch) -> None:
    watch.let_go.clear()
    shop.session.update(tensor=tensor(4, 5))
    shop.bot.waitUntil(watch.began.is_set)
    shop.meter.toggle()
    watch.let_go.set()
    shop.settle()
    assert shop.measured == []
    shop.meter.toggle()
    shop.settle()
    assert shop.measured == [(20, "int8")]


def test_another_size_stops_what_is_measured(shop: Workshop, watch: Stopwatch) -> None:
    watch.let_go.clear()
    shop.session.update(tensor=tensor(4, 5))
    shop.bot.waitUntil(watch.began.is_set)
    shop.session.update(tensor=tensor(6))
    shop.meter._timer.stop()  # what was stopped is over before the next one begins, however slow the machine
    watch.let_go.set()
    shop.settle()
    assert shop.measured == []
    shop.meter.measure()
    shop.settle()
    assert shop.measured == [(6, "int8")]
    assert shop.heard.names.count("began") == shop.heard.names.count("ended") == 2


def test_what_is_known_stays_shown_when_the_measuring_of_another_ends(shop: Workshop, watch: Stopwatch) -> None:
    shop.update(tensor=tensor(4, 5))
    watch.let_go.clear()
    watch.began.clear()
    shop.session.update(bits=16)
    shop.bot.waitUntil(watch.began.is_set)
    shop.heard.all.clear()
    shop.session.update(bits=8)
    watch.let_go.set()
    shop.settle()
    assert [name for name in shop.heard.names if name != "advanced"] == ["measured", "ended"]


def test_no_memory_ends_it_quietly(shop: Workshop, watch: Stopwatch) -> None:
    watch.error = MemoryError()
    shop.update(tensor=tensor(4, 5))
    assert shop.heard.names[-2:] == ["ended", "cancelled"]


def test_a_bug_in_measuring_is_not_hidden(shop: Workshop, watch: Stopwatch) -> None:
    watch.error = KeyError("bug")
    with shop.bot.capture_exceptions() as caught:
        shop.update(tensor=tensor(4, 5))
    assert [error for error, *_ in caught] == [KeyError]


def test_nothing_is_measured_after_closing(shop: Workshop, watch: Stopwatch) -> None:
    shop.session.update(tensor=tensor(4, 5))
    shop.meter.close()
    assert not shop.meter._timer.isActive()
    shop.meter.measure()
    QCoreApplication.processEvents()
    assert watch.asked == []
