"""How do sixteen searches go on at once? A vector means the same to NumPy and, compiled, to any processor."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core.lanes import LANES, anywhere, choose, clamped, load, magnitude, root, spread, store, store_codes
from qviz.core.ranges.ggml_search import nearest


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_codes_are_those_of_one_number_after_the_other() -> None:
    hard = np.array([0.5, 1.5, -0.5, 2.49, 1e9, -1e9, np.inf, -np.inf, np.nan, 7, 8, -8, -9, 0, -0.0, 3e38], np.float32)

    expected = [max(-8, min(7, int(nearest(value)))) for value in hard]
    assert clamped(hard, np.int32(-8), np.int32(7)).tolist() == expected


def test_each_lane_is_chosen_by_itself() -> None:
    values = np.arange(-8, 24, dtype=np.float32)
    codes = np.zeros(40, np.uint8)

    above = load(values, 4) > spread(np.float32(2))
    store(values, 0, choose(above, root(magnitude(load(values, 4))), spread(np.float32(-1))))
    store_codes(codes, 3, load(values, 12))

    assert values[:LANES].tolist() == [-1.0] * 7 + np.sqrt(np.arange(3, 12, dtype=np.float32)).tolist()
    assert codes.tolist() == [0] * 3 + values[12:28].astype(int).tolist() + [0] * 21
    assert anywhere(above)
    assert not anywhere(above & (load(values, 16) < spread(np.float32(0))))
