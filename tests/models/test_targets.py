"""What people write as a target, and the few choices that are measured for it."""

from __future__ import annotations

import itertools

import pytest

from qviz.core import Problem
from qviz.models.output_figures import OutputFigures
from qviz.models.targets import Target, first_reached, share_of, target_of
from tests.every import every


@every(
    ("text", "figure", "value"),
    [
        ("≥ 40 dB", "sqnr_db", 40),
        ("40dB", "sqnr_db", 40),
        ("at least 38,5 dB", "sqnr_db", 38.5),
        ("≤ 4 MB", "bytes", 4 << 20),
        ("at most .5 MiB", "bytes", 1 << 19),
        ("900 b", "bytes", 900),
        ("agreement ≥ 99 %", "agreement", 0.99),
        ("99%", "agreement", 0.99),
        ("top-1 ≥ 99.5 %", "top1", 0.995),
        ("Top 5 95 %", "topk", 0.95),
        ("CTC >= 98%", "sequences", 0.98),
        ("boxes: 90 %", "detections", 0.9),
    ],
)
def test_a_target_is_read_as_it_is_written(text, figure, value):
    assert target_of(text) == Target(figure, pytest.approx(value))


@every("text", ["", "40", "much", "dB", "120 %", "top-1 40 dB", "top-15 %", "colour 9 %", "∞ dB"])
def test_what_is_no_target_is_said(text):
    with pytest.raises(Problem, match="is no target"):
        target_of(text)


def test_the_worst_output_counts_and_those_without_the_figure_do_not():
    def of(**shares):
        known = dict.fromkeys(("kl", "top1", "topk", "sequences", "detections"))
        return OutputFigures("y", 30.0, 1.0, 0.1, samples=2, **{**known, **shares})

    outputs = (of(top1=0.9, topk=0.95), of(top1=0.8), of())
    assert share_of(outputs, "top1") == share_of(outputs, "agreement") == 0.8
    assert share_of(outputs, "topk") == 0.95
    assert share_of(outputs, "detections") is None


def test_few_are_measured_until_the_first_is_found():
    for count, guess in itertools.product((1, 2, 7, 64), (0, 3, 40)):
        for first in range(count + 1):
            asked = []
            found = first_reached(count, lambda at: not asked.append(at) and at >= first, guess)  # noqa: B023
            assert found == (first if first < count else None)
            assert len(asked) == len(set(asked)) <= 14
