"""While something is dragged only what can be seen follows; what comes in sight is filled, at rest everything is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from qviz.core import PerAxis, PerBlock, PerToken, analyze
from qviz.core.questions.effort import Limits
from qviz.core.tensors.granularity import Granularity
from qviz.gui.tensor import page as page_module
from qviz.session import analyst as analyst_module
from qviz.session.frame import EVERYTHING, Part
from tests.gui.conftest import PATIENCE, Desk

X = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
NEVER = 10**8


@pytest.fixture
def desk(desks: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A tensor that is large here, and a hand that never rests."""
    for module in (page_module, analyst_module):
        monkeypatch.setattr(module, "STILL_MILLISECONDS", NEVER)
    made = desks(limits=Limits(direct_up_to=100, estimated_above=1000))
    made.show(X, granularity=PerAxis(0))
    made.bot.waitUntil(lambda: made.session.state.prepared is not None, timeout=PATIENCE)
    made.settle()
    return made


def drag(desk: Desk, bits: int) -> None:
    desk.session.update(bits=bits)
    desk.settle()


def raise_dock(desk: Desk, name: str) -> None:
    desk.page.docks[name].raise_()


def wait(desk: Desk, what: Callable[[], bool]) -> None:
    desk.bot.waitUntil(what, timeout=PATIENCE)


def test_what_is_in_sight_follows_and_what_is_not_waits(desk: Desk) -> None:
    raise_dock(desk, "channels")
    before = desk.page.heat_map.analysis
    drag(desk, 4)
    frame, page = desk.page.frame, desk.page
    assert frame is not None
    assert page.channels.analysis is frame.whole
    assert page.distribution.analysis is page.values.analysis is page.metrics.analysis is frame.shown
    assert page.heat_map.analysis is before is not frame.whole


@pytest.mark.parametrize("name", ["heat_map", "transfer", "loss"])
def test_what_comes_in_sight_is_filled(desk: Desk, name: str) -> None:
    raise_dock(desk, "channels")
    drag(desk, 4)
    raise_dock(desk, name)
    frame = desk.page.frame
    assert frame is not None
    wait(desk, lambda: desk.page.docks[name].content.analysis in (frame.whole, frame.shown))


def test_each_chart_is_handed_all_that_it_draws_when_it_alone_is_in_sight(desk: Desk) -> None:
    """What a chart draws that may be left out has a row in `page.PARTS`: without it, it has nothing to draw."""
    page = desk.page
    page.complete()
    for name in page_module.CHARTS:
        for other in page_module.CHARTS:
            page.docks[other].setVisible(other == name)
        raise_dock(desk, name)
        for bits in (4, 5):
            drag(desk, bits)
            frame, chart = page.frame, page.docks[name].content
            assert frame is not None
            assert frame.scheme.number_format.bits == bits
            assert chart.analysis in (frame.whole, frame.shown), f"{name} is behind"
            drawn = chart.grab().toImage()
            chart.present(analyze(X, frame.scheme))
            assert drawn == chart.grab().toImage(), f"{name} lacks what a whole answer has"


def test_errors_that_nobody_sees_are_not_counted_until_they_are_looked_at(desk: Desk) -> None:
    raise_dock(desk, "worst")
    drag(desk, 4)
    frame = desk.page.frame
    assert frame is not None
    assert frame.parts == {Part.ENVELOPE}
    raise_dock(desk, "error")
    wait(desk, lambda: desk.page.frame is not frame)
    shown = desk.page.error.analysis
    assert shown is not None
    expected = analyze(X, desk.session.scheme).error_histogram
    np.testing.assert_array_equal(shown.error_histogram.rounding, expected.rounding)
    np.testing.assert_array_equal(shown.error_histogram.clipping, expected.clipping)


@pytest.mark.parametrize("granularity", [PerAxis(0), PerAxis(1), PerBlock(1, 16), PerToken()], ids=str)
def test_every_state_is_a_scheme_that_was_set_and_exact(desk: Desk, granularity: Granularity) -> None:
    raise_dock(desk, "worst")
    desk.frames.clear()
    for bits in range(2, 10):
        desk.session.update(bits=bits, granularity=granularity)
    desk.settle()
    for frame in desk.frames:
        assert frame.scheme.number_format.bits in range(2, 10)
        assert frame.whole.exact
        expected = analyze(X, frame.scheme)
        assert frame.whole.mse == expected.mse
        np.testing.assert_array_equal(frame.whole.occupancy, expected.occupancy)
    assert desk.frames[-1].scheme == desk.session.scheme


def test_of_very_many_groups_what_nobody_sees_waits_however_complete_the_answer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "MANY_GROUPS", 4)
    raise_dock(desk, "channels")
    page, before = desk.page, desk.page.heat_map.analysis
    desk.session.update(bits=4)
    desk.app.analyst._refinement.start(1)
    wait(desk, lambda: page.frame.scheme.number_format.bits == 4 and page.frame.parts == EVERYTHING)
    assert page.channels.analysis is page.frame.whole
    assert page.heat_map.analysis is before
    raise_dock(desk, "heat_map")
    wait(desk, lambda: page.heat_map.analysis is page.frame.whole)


def test_at_rest_everything_is_filled(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    raise_dock(desk, "worst")
    drag(desk, 4)
    for module in (page_module, analyst_module):
        monkeypatch.setattr(module, "STILL_MILLISECONDS", 1)
    desk.app.analyst._refinement.start(1)
    wait(desk, lambda: desk.page.frame is not None and desk.page.frame.parts == EVERYTHING)
    frame = desk.page.frame
    assert frame is not None
    wait(desk, lambda: all(chart.analysis in (frame.whole, frame.shown) for chart in desk.page.charts))
    assert int(desk.page.error.tables()[""].columns["rounding"].sum()) + frame.whole.saturated >= X.size
