"""A number is written in one way, wherever in the window it stands."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

import qviz.gui
from qviz.gui.words.estimates import exactness_note
from qviz.gui.words.numbers import counted, decibels, number, percent, spread, time_text, typographic, whole
from tests.every import every


@every(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (-1.25, "−1.25"),
        (12345.6, "1.235e+04"),
        (-2e-9, "−2e−09"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (math.nan, "–"),
    ],
)
def test_a_number_has_the_minus_of_typography_and_no_more_digits_than_asked(value, text):
    assert number(value) == text


def test_a_unit_stands_behind_a_gap_but_not_behind_what_is_unknown():
    assert (number(1.5, unit="%"), number(math.inf, unit="%"), number(math.nan, unit="%")) == ("1.5 %", "∞ %", "–")


def test_nothing_has_no_sign():
    assert [decibels(x) for x in (-0.0, -0.004, 0.004)] == ["0.00 dB"] * 3


def test_decibels_have_two_places():
    assert [decibels(x) for x in (20, -3.456, math.inf, math.nan)] == ["20.00 dB", "−3.46 dB", "∞ dB", "–"]


def test_counts_and_shares():
    assert (whole(-1234567), typographic(-8)) == ("−1,234,567", "−8")
    assert (percent(1, 8), counted(1234, 12340)) == ("12.5 %", "1,234 · 10 %")


def test_many_numbers_are_told_from_the_lowest_to_the_highest():
    assert spread(np.array([[0.5, -1.0], [2, 3]])) == "−1…3"
    assert spread(np.array(0.123456), 3) == "0.123"


def test_seconds():
    assert [time_text(s) for s in (2.5, 0.0123, 4.56e-5, 7e-9)] == ["2.5 s", "12.3 ms", "45.6 µs", "7 ns"]


def test_an_estimate_says_that_it_is_one(qapp):
    notes = [exactness_note(exact, note) for exact in (True, False) for note in ("", "3 of 4")]
    assert notes == ["", "3 of 4", "estimate", "estimate, 3 of 4"]


AD_HOC = re.compile(r":\.\d[gf]\}|replace\(\"-\", \"−\"\)|[KM]i?B\"(?!\), self.tr)|estimate, \{|(igher|ower) is better")

HOMES = {"words/numbers.py", "words/estimates.py", "kit/judgement.py", "charts/axes.py", "charts/svg.py"}
"""`axes` writes the numbers at the ticks, each as its neighbours; `svg` writes places, for programs."""


def test_no_other_module_writes_numbers_of_its_own():
    root = Path(qviz.gui.__file__).parent
    found = [
        f"{path.relative_to(root)}:{at}: {line.strip()}"
        for path in sorted(root.rglob("*.py"))
        if str(path.relative_to(root)) not in HOMES
        for at, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if AD_HOC.search(line)
    ]
    assert found == []


def test_extreme_figures_have_no_more_letters_than_there_is_room_for():
    assert [decibels(x) for x in (999.994, 1200.0, -1456.2)] == ["999.99 dB", "1200 dB", "−1456 dB"]
    assert spread(np.array([6.6666e-32, 6.6666e28])) == "6.67e−32…6.67e28"
    assert spread(np.array([1.92e-6, 1.68e-5])) == "1.92e−6…1.68e−5"
    assert spread(np.array([-1e20, 1e10])) == "−1e20…1e10"
    assert spread(np.array([0.0115, 1.8333])) == "0.0115…1.83"
