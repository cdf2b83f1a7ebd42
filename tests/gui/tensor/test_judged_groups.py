"""A drag over very many elements with many scales shows what some of each group say, says so, and ends exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPointF

from qviz.core import PerAxis, analyze
from qviz.core.questions.effort import Limits
from qviz.gui.tensor import page as page_module
from qviz.session import analyst as analyst_module
from qviz.session import answering
from tests.gui.conftest import PATIENCE, Desk

X = np.random.default_rng(0).standard_normal((512, 512)).astype(np.float32)
FEW = "estimate from 65,536 of 262,144 elements"
ALL = "exact: 262,144 elements"
NEVER = 10**8


@pytest.fixture
def desk(desks: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch) -> Desk:
    """At rest over a tensor that is very large here; what follows at rest comes when a test says so."""
    for module in (page_module, analyst_module):
        monkeypatch.setattr(module, "STILL_MILLISECONDS", NEVER)
    limits = Limits(direct_up_to=100, estimated_above=1000, many_of_groups=200_000, few_of_groups=50_000)
    limits = replace(limits, live_seconds=0.0)
    made = desks(limits=limits)
    made.show(X, granularity=PerAxis(0))
    made.bot.waitUntil(lambda: made.session.state.prepared is not None, timeout=PATIENCE)
    rest(made)
    return made


def rest(desk: Desk) -> None:
    """The hand has not moved for a moment."""
    desk.settle()
    desk.app.analyst._refinement.start(1)
    desk.bot.waitUntil(lambda: not desk.app.analyst._refinement.active and not desk.app.analyst.busy, timeout=PATIENCE)
    desk.app.analyst._refinement.start(NEVER)  # from now on, too
    desk.app.analyst._refinement.stop()


def told(desk: Desk) -> tuple[str, bool]:
    status = desk.window.status
    return status.exactness.text(), not status.exact_button.isHidden()


def test_some_are_shown_and_called_so_until_it_rests(desk: Desk) -> None:
    assert told(desk) == (ALL, False)
    for bits in (5, 4):
        desk.session.update(bits=bits)
        frame = desk.settle()
        assert told(desk) == (FEW, False)
        assert frame.judged and not frame.whole.exact
        assert desk.page.values.analysis is frame.shown
    rest(desk)
    assert told(desk) == (ALL, False)
    expected, shown = analyze(X, desk.session.scheme), desk.page.frame.shown
    assert (shown.mse, shown.saturated) == (expected.mse, expected.saturated)
    np.testing.assert_array_equal(shown.occupancy, expected.occupancy)


def test_the_exact_answer_can_be_given_up_and_asked_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.session.update(bits=5)
    desk.settle()
    began = []

    def until_cancelled(x: Any, scheme: Any, *, cancelled: Callable[[], bool], **options: Any) -> Any:
        began.append(scheme)
        while not cancelled():
            pass
        return analyze(x, scheme, cancelled=cancelled, **options)

    with monkeypatch.context() as slow:
        slow.setattr(answering, "analyze", until_cancelled)
        desk.app.analyst._refinement.start(1)
        desk.bot.waitUntil(lambda: bool(began), timeout=PATIENCE)
        assert told(desk) == (FEW, False)
        desk.app.analyst.cancel()
        desk.bot.waitUntil(lambda: not desk.app.analyst.busy, timeout=PATIENCE)
    assert told(desk) == (FEW, True)
    desk.click(desk.window.status.exact_button)
    desk.bot.waitUntil(lambda: told(desk) == (ALL, False), timeout=PATIENCE)


def test_charts_of_some_say_that_they_are_estimates(desk: Desk) -> None:
    names = ("values", "error", "channels", "heat_map", "worst")

    def notes() -> list[bool]:
        for name in names:
            desk.page.docks[name].raise_()
            desk.bot.waitUntil(lambda name=name: name not in desk.page.behind, timeout=PATIENCE)
        return ["estimate" in desk.page.docks[name].title.note.text() for name in names]

    desk.session.update(bits=5)
    desk.settle()
    assert all(notes())
    rest(desk)
    assert not any(notes())


def test_figures_of_single_groups_are_about_what_they_are(desk: Desk) -> None:
    desk.session.update(bits=5)
    desk.settle()
    heat_map, channels, told = desk.page.heat_map, desk.page.channels, []
    channels.read_out.connect(told.append)
    for about in ("≈ ", ""):
        for name in ("heat_map", "channels"):
            desk.page.docks[name].raise_()
            desk.bot.waitUntil(lambda name=name: name not in desk.page.behind, timeout=PATIENCE)
        assert heat_map._bar.best.startswith("≈ ") is heat_map._bar.worst.startswith("≈ ") is bool(about)
        assert [value.startswith("≈ ") for _, value in heat_map._lines(3)] == [False, *[bool(about)] * 5]
        channels.hover(QPointF(3, 0))
        assert told[-1].count("≈ ") == 3 * bool(about)
        rest(desk)
    heat_map.choose_quantity("scale")  # of a range that may have been sought among some
    desk.session.update(bits=4)
    desk.settle()
    desk.page.docks["heat_map"].raise_()
    desk.bot.waitUntil(lambda: "heat_map" not in desk.page.behind, timeout=PATIENCE)
    assert heat_map._bar.best.startswith("≈ ")
