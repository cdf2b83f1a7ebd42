"""How do sixteen numbers go through one instruction? A vector means the same to NumPy and, compiled, to a processor."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core.lanes import (
    LANES,
    any_marks,
    anywhere,
    anywhere_negative,
    choose,
    clamped,
    exceeds,
    how_many_negative,
    larger,
    largest_of,
    largest_of_eight,
    load,
    load_words,
    looked_up,
    looked_up_near,
    magnitude,
    marked,
    moved_down,
    no_marks,
    nothing,
    root,
    spread,
    store,
    store_codes,
    sum_of,
    sums_of_eight,
    unmarked,
    widened_eight,
    with_marks,
    with_product,
    with_squares_of_negative,
)
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


def test_sixteen_numbers_come_to_what_they_come_to_one_by_one() -> None:
    values = np.random.default_rng(7).standard_normal(64)
    numbers = values[:LANES].astype(np.float32)

    exact, eight = numbers.astype(np.float64), widened_eight(numbers, 4)
    signs = np.where(exact < 0, np.int32(-7), np.int32(7))
    squares = with_squares_of_negative(nothing(), signs, exact[:8], exact[8:])
    assert sum_of(squares) == pytest.approx(float((exact[exact < 0] ** 2).sum()))
    assert how_many_negative(signs) == np.count_nonzero(exact < 0)
    assert sum_of(with_product(nothing(), eight, eight)) == pytest.approx(float((exact[4:12] ** 2).sum()))
    assert largest_of(larger(nothing(), magnitude(eight))) == np.abs(exact[4:12]).max()
    np.testing.assert_allclose(sums_of_eight(values, 0), values.reshape(8, 8).sum(axis=1))
    np.testing.assert_array_equal(largest_of_eight(np.abs(values), 0), np.abs(values).reshape(8, 8).max(axis=1))


def test_negative_places_lie_beyond_every_window() -> None:
    places = np.arange(-8, 8, dtype=np.int32)

    beyond = exceeds(places, spread(np.int32(3)))
    assert beyond.tolist() == [not 0 <= place <= 3 for place in places]
    marks = marked(beyond)
    assert marks.tolist() == [-1 if each else 0 for each in beyond]
    assert unmarked(load_words(places, 0), marks).tolist() == [0] * 8 + [0, 1, 2, 3] + [0] * 4
    assert moved_down(places, np.int32(31)).tolist() == [-1] * 8 + [0] * 8
    assert anywhere_negative(marks)
    assert any_marks(with_marks(no_marks(), marks))
    assert not any_marks(with_marks(no_marks(), unmarked(marks, marks)))
    assert not anywhere_negative(unmarked(marks, marks))
    assert looked_up(places.astype(np.float32), spread(np.int32(9)))[0] == 1
    assert looked_up_near(places.astype(np.float32), spread(np.int32(7)))[0] == -1
