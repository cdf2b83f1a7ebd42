"""A scheme in words says what there is to say, and among others what tells it from them."""

from __future__ import annotations

from qviz.core import IntFormat, PerAxis, Percentile, Scheme
from qviz.gui.words.schemes import line

EIGHT = Scheme()
FOUR = Scheme(IntFormat(4))
WHOLE = "int8 · symmetric · tensor · min–max · ONNX Runtime"


def test_alone_it_says_everything() -> None:
    assert line(EIGHT) == line(EIGHT, ()) == line(EIGHT, [EIGHT]) == WHOLE


def test_among_others_it_says_its_format_and_what_is_not_the_same_in_all() -> None:
    assert line(EIGHT, [EIGHT, FOUR]) == "int8"
    per_axis = Scheme(IntFormat(4), granularity=PerAxis(0))
    assert line(per_axis, [EIGHT, per_axis]) == "int4 · axis 0"
    cut = Scheme(range_rule=Percentile(99.5))
    assert line(cut, [EIGHT, FOUR, cut]) == "int8 · 99.5 %"
    assert line(EIGHT, [EIGHT, FOUR, cut]) == "int8 · min–max"


def test_among_its_equals_it_says_its_format() -> None:
    assert line(EIGHT, [EIGHT, EIGHT]) == "int8"
