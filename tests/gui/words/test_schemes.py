"""A scheme in words says what there is to say, and among others what tells it from them."""

from __future__ import annotations

import pytest

from qviz.core import IntFormat, PerAxis, PerBlock, Percentile, PerTensor, PerTile, PerToken, Scheme
from qviz.core.formats.codebooks import CODEBOOKS, Codebook
from qviz.core.formats.floats import FLOATS, FloatFormat
from qviz.gui.words.schemes import format_word, granularity_word, line, lines, words

EIGHT = Scheme()
FOUR = Scheme(IntFormat(4))
WHOLE = "int8 · symmetric · tensor · min–max · ONNX Runtime"


def said(*schemes: Scheme) -> list[str]:
    return lines([words(scheme) for scheme in schemes])


def test_alone_it_says_everything() -> None:
    assert [line(EIGHT)] == said(EIGHT) == [WHOLE]
    assert said() == []


def test_among_others_it_says_its_format_and_what_is_not_the_same_in_all() -> None:
    assert said(EIGHT, FOUR) == ["int8", "int4"]
    per_axis = Scheme(IntFormat(4), granularity=PerAxis(0))
    assert said(EIGHT, per_axis) == ["int8 · tensor", "int4 · axis 0"]
    cut = Scheme(range_rule=Percentile(99.5))
    assert said(EIGHT, FOUR, cut) == ["int8 · min–max", "int4 · min–max", "int8 · 99.5 %"]


def test_among_its_equals_it_says_its_format() -> None:
    assert said(EIGHT, EIGHT) == ["int8", "int8"]


def test_many_schemes_are_put_into_words_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("qviz.gui.words.schemes.tr", lambda text: asked.append(text) or text)
    few = said(*[EIGHT, FOUR] * 5)
    for_few = len(asked)
    assert said(*[EIGHT, FOUR] * 50) == few * 10
    assert len(asked) == 11 * for_few


def test_no_two_formats_have_the_same_word() -> None:
    formats = [*map(FloatFormat, FLOATS), *map(Codebook, CODEBOOKS)]
    assert len({format_word(each) for each in formats}) == len(formats)


def test_no_two_granularities_have_the_same_word() -> None:
    every = (PerTensor(), PerToken(), PerAxis(0), PerAxis(1), PerTile(32, 64), PerTile(64, 32))
    blocks = tuple(PerBlock(axis, size) for axis in (-1, 0, 1) for size in (32, 128))
    words = [granularity_word(each) for each in (*every, *blocks)]
    assert len({*words}) == len(words)
    assert granularity_word(PerBlock(-1, 128)) == "block 128"
    assert granularity_word(PerBlock(0, 128)) == "block 128, axis 0"
