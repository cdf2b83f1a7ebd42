"""Where exactly does a quantizer step?"""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qviz.core.passes.staircase import first_reaching
from tests.every import every

F = np.float32
LARGEST, TINY, SMALLEST = np.finfo(F).max, np.finfo(F).tiny, np.finfo(F).smallest_subnormal

PLACES = [0.0, -0.0, 1.0, -1.0, 0.1, -3e-5, SMALLEST, -SMALLEST, 3 * SMALLEST, TINY, -TINY, 1e38, LARGEST, -LARGEST]
GUESSES = [0.0, -0.0, np.nan, np.inf, -np.inf, 1.0, -1e30, 1e300, -1e300, SMALLEST, 1e-300, float(LARGEST)]


def stands_at(places):
    """A staircase with a step at each place."""
    places = np.asarray(places, F)
    return lambda x, which: x >= places[which]


def assert_first(reached, found):
    """Each is reached, and its neighbour below is not: the staircase itself is asked for both."""
    assert found.dtype == F
    assert not np.isnan(found).any()
    rows, everywhere = found.reshape(1, -1), slice(None)
    with np.errstate(over="ignore"):
        at, below = (reached(x, everywhere)[0] for x in (rows, np.nextafter(rows, F(-np.inf))))
    assert np.all(at | (found == np.inf))
    assert np.all(~below | (found == -np.inf))


@every("guess", GUESSES)
def test_a_step_anywhere_whatever_the_guess(guess):
    found = first_reaching(stands_at(PLACES), np.full(len(PLACES), guess))
    np.testing.assert_array_equal(found, np.array(PLACES, F), strict=True)


@every("off", range(-4, 5))
def test_a_guess_some_neighbours_off(off):
    places = np.array(PLACES, F)
    guess = places.copy()
    for _ in range(abs(off)):
        with np.errstate(over="ignore"):
            guess = np.nextafter(guess, F(np.copysign(np.inf, off)))
    np.testing.assert_array_equal(first_reaching(stands_at(places), guess), places)


@settings(max_examples=300, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.floats(allow_nan=False, width=32), st.floats(allow_nan=True, width=64)), min_size=1, max_size=8
    )
)
@example(steps=[(float("inf"), 0.0), (float("-inf"), 0.0), (0.0, float("nan"))])
def test_any_step_from_any_guess(steps):
    places, guess = (np.array(column) for column in zip(*steps, strict=True))
    found = first_reaching(stands_at(places), guess)
    np.testing.assert_array_equal(found, places.astype(F))


@every("guess", GUESSES)
def test_a_step_that_is_never_reached_is_at_infinity(guess):
    found = first_reaching(lambda x, which: np.zeros(x.shape, bool), np.full(3, guess))
    np.testing.assert_array_equal(found, np.full(3, np.inf, F), strict=True)


@every("guess", GUESSES)
def test_a_step_that_is_always_reached_is_at_minus_infinity(guess):
    found = first_reaching(lambda x, which: np.ones(x.shape, bool), np.full(3, guess))
    np.testing.assert_array_equal(found, np.full(3, -np.inf, F), strict=True)


@every("guess", GUESSES)
def test_a_step_that_only_infinity_reaches(guess):
    found = first_reaching(lambda x, which: x > LARGEST, np.full(2, guess))
    assert found.tolist() == [np.inf, np.inf]
    found = first_reaching(lambda x, which: x >= -LARGEST, np.full(2, guess))
    assert found.tolist() == [-LARGEST, -LARGEST]


def test_easy_steps_and_hard_ones_together():
    # One is guessed, one is far off, one never comes, one was always there.
    def reached(x, which):
        places = np.array([1.5, 1e-40, np.nan, -np.inf], F)
        return x >= places[which]

    found = first_reaching(reached, np.array([1.5, 1e30, 0, 0]))
    np.testing.assert_array_equal(found, np.array([1.5, 1e-40, np.inf, -np.inf], F))


CODES = np.arange(-8, 9, dtype=F)
NASTY = {
    "plateaus": lambda x, which: np.rint(np.floor(x) / F(4)) >= CODES[which],
    "all steps in one place": lambda x, which: np.where(x >= F(0.3), F(99), F(-99)) >= CODES[which],
    "zero alone": lambda x, which: np.sign(x) >= CODES[which],
    "denormal steps": lambda x, which: np.rint(x / F(3e-45)) >= CODES[which],
    "steps of a fifth of float32": lambda x, which: np.rint(x / F(6.8e37)) >= CODES[which],
    "far from zero": lambda x, which: np.rint(x / F(1e-3) - F(1e6)) >= CODES[which],
    "a huge zero point": lambda x, which: np.rint(x / F(1e-3)) + F(3e7) >= CODES[which],
    "roots": lambda x, which: np.cbrt(x) >= CODES[which],
    "divided to infinity": lambda x, which: np.rint(x / F(1e-38)) >= CODES[which] * F(5e37),
    "saturating": lambda x, which: np.tanh(x) * F(8) >= CODES[which],
}


@every("name", NASTY)
def test_the_steps_of_nasty_staircases(name):
    reached = NASTY[name]
    for guess in (CODES, CODES * 1e-3, np.full(17, np.nan), CODES.astype(float) * 1e300):
        found = first_reaching(reached, guess)
        assert_first(reached, found)
        assert np.all(found[:-1] <= found[1:])


@settings(max_examples=100, deadline=None)
@given(
    scale=st.floats(2.0**-126, 2.0**127, width=32),
    zero_point=st.floats(-(2.0**90), 2.0**90, width=32),
    before_rounding=st.booleans(),
    guess=st.floats(width=32),
)
def test_the_steps_of_any_quantizer(scale, zero_point, before_rounding, guess):
    s, z = F(scale), F(zero_point)

    def reached(x, which):
        with np.errstate(over="ignore"):
            codes = np.rint(x / s + z) if before_rounding else np.rint(x / s) + z
        return codes >= CODES[which]

    assert_first(reached, first_reaching(reached, np.full(17, guess)))


def test_no_steps_at_all():
    assert first_reaching(lambda x, which: x >= 0, np.zeros(0)).shape == (0,)
