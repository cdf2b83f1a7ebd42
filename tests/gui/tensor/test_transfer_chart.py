"""The staircase is seen whole, with a little air on both sides."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import Scheme
from qviz.core.ranges.rules import Manual
from tests.gui.conftest import Gallery


def test_there_is_a_twenty_fifth_of_the_data_s_reach_on_each_side(gallery: Gallery) -> None:
    chart = gallery["transfer"]
    gallery.present(np.linspace(-2, 3, 50, dtype=np.float32), Scheme(range_rule=Manual(-1, 1)))
    low, high = chart._reach
    assert (low, high) == (-2, 3)
    chart.reset_view()
    assert chart.view.viewRange()[0] == pytest.approx([low - 0.2, high + 0.2])


@pytest.mark.parametrize(("value", "margin"), [(0.5, 0.04), (250.0, 10.0), (-250.0, 10.0)])
def test_a_reach_of_one_point_has_room_around_it(gallery: Gallery, value: float, margin: float) -> None:
    chart = gallery["transfer"]
    gallery.present(np.linspace(-2, 3, 50, dtype=np.float32))
    chart._reach = (value, value)
    chart.reset_view()
    assert chart.view.viewRange()[0] == pytest.approx([value - margin, value + margin])
