"""No name that a file gives is obeyed by a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qviz.core.printable import printable
from tests.every import every


@every(
    ("name", "shown"),
    [
        ("layers.0.größe 重み", "layers.0.größe 重み"),
        ("x\x1b]52;c;ZWNobw==\x07", "x␛]52;c;ZWNobw==␇"),
        ("a\x1b[2J\x1b[31mred", "a␛[2J␛[31mred"),
        ("a\nb\tc\rd\x00\x7f", "a␊b␉c␍d␀␡"),
        ("a\x9b31m", "a�31m"),
        ("a\u202eb\u2066\u200b", "a�b��"),
        ("a\u2028b\ud800", "a�b�"),
        ("a\xa0b", "a b"),
    ],
)
def test_what_is_obeyed_becomes_a_symbol(name: str, shown: str) -> None:
    assert printable(name) == shown


@given(st.text())
def test_any_text_is_one_printable_line_of_the_same_length(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) == len(text)
    assert printable(shown) == shown
