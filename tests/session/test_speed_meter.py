"""The speed of additions is measured once for each size and type, when all is quiet."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication
from pytestqt.qtbot import QtBot

from qviz.core import FloatFormat, IntFormat, Scheme, Tensor
from qviz.core.questions.speed import Speed
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.session import speed_meter as speed_meter_module
from qviz.session.speed_meter import QUIET_MILLISECONDS, SpeedMeter
from qviz.session.state import Session
from tests.session.conftest import PATIENCE, HandTimers, Heard, until


def tensor(*shape: int) -> Tensor:
    return Tensor(np.random.default_rng(0).normal(0, 1, shape).astype(np.float32))


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
        assert self.let_go.wait(PATIENCE)
        check(cancelled)
        if self.error:
            raise self.error
        return Speed(elements, str(dtype), 4.0, len(self.asked))


class Workshop:
    """A session, its meter, and what it says."""

    def __init__(self, qtbot: QtBot) -> None:
        self.bot = qtbot
        self.timers = HandTimers()
        self.session = Session(timers=self.timers)
        self.meter = SpeedMeter(self.session)
        self.heard = Heard(self.meter, "forgotten", "began", "advanced", "ended", "measured", "cancelled")

    def settle(self) -> None:
        self.timers.settle(self.bot, self.meter)

    def update(self, **changes: Any) -> None:
        self.session.update(**changes)
        self.settle()

    @property
    def measured(self) -> list[tuple[int, str]]:
        return [(speed.elements, speed.code_dtype) for speed in self.heard.of("measured")]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    made = Stopwatch()
    monkeypatch.setattr(speed_meter_module, "measure_addition", made)
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
    assert shop.heard.names == ["forgotten", "began", "advanced", "measured", "ended"]
    assert watch.asked == shop.measured == [(20, "int8")]


def test_each_change_puts_it_off(shop: Workshop, watch: Stopwatch) -> None:
    (timer,) = shop.timers.all
    assert timer.milliseconds == QUIET_MILLISECONDS == 700
    shop.session.update(tensor=tensor(4, 5))
    shop.session.update(bits=7)
    shop.session.update(symmetric=False)
    assert timer.starts == 3
    assert watch.asked == []


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
    shop.timers.fire()
    until(shop.bot, watch.began.is_set)
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
    shop.timers.fire()
    until(shop.bot, watch.began.is_set)
    shop.meter.toggle()
    watch.let_go.set()
    shop.settle()
    assert shop.measured == []
    shop.meter.toggle()
    shop.settle()
    assert shop.measured == [(20, "int8")]


def test_a_change_puts_off_what_is_being_measured(shop: Workshop, watch: Stopwatch) -> None:
    watch.let_go.clear()
    shop.session.update(tensor=tensor(4, 5))
    shop.timers.fire()
    until(shop.bot, watch.began.is_set)
    shop.session.update(bits=7)
    shop.session.update(bits=6)
    watch.let_go.set()
    until(shop.bot, lambda: not shop.meter.busy)
    assert shop.measured == []
    assert shop.timers.active
    shop.settle()
    assert watch.asked == [(20, "int8")] * 2
    assert shop.measured == [(20, "int8")]


def test_another_size_stops_what_is_measured(shop: Workshop, watch: Stopwatch) -> None:
    watch.let_go.clear()
    shop.session.update(tensor=tensor(4, 5))
    shop.timers.fire()
    until(shop.bot, watch.began.is_set)
    shop.session.update(tensor=tensor(6))
    shop.timers.all[0].stop()  # what was stopped is over before the next one begins
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
    shop.timers.fire()
    until(shop.bot, watch.began.is_set)
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
    assert not shop.timers.active
    shop.meter.measure()
    QCoreApplication.processEvents()
    assert watch.asked == []
