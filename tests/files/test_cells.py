"""A field or a run of blanks is looked at once however long it is, and what it means has stayed the same."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from qviz.files.problems import FileProblem
from qviz.files.readers import list_tensors
from qviz.files.tables.cells import is_beyond, is_number
from qviz.files.tables.mended import Layout
from tests.every import every

LONG = 100_000
"""Characters: to go through them for each of them would take minutes."""

POINT = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
BEYOND = (
    r"(?i)\(?[+-]?[0-9.]+(?:e[+-]?[0-9]+)?[+-][0-9.]+(?:e[+-]?[0-9]+)?[ij]\)?"
    r"|[+-]?0x[0-9a-f]*\.?[0-9a-f]*p[+-]?[0-9]+"
)


@given(st.text("0127.eE+-", max_size=9))
@example("1.")
@example(".")
@example(".5e-3")
def test_the_same_fields_are_numbers_as_by_the_obvious_pattern(cell: str) -> None:
    assert is_number(cell) == bool(re.fullmatch(POINT, cell))


@given(st.text("01af.x+-pj()", max_size=10))
@example("0x.8p1")
@example("0x1.p-1")
@example("(1+2j)")
def test_the_same_fields_are_beyond_as_by_the_obvious_pattern(cell: str) -> None:
    assert is_beyond(cell) == bool(re.fullmatch(BEYOND, cell))


@given(st.text("1 \t,\n", max_size=14).map(str.encode), st.sampled_from(",;|\t"))
@example(b", , ,", ",")
@example(b" \t 1 \t, \n\t", "\t")
def test_the_same_blanks_are_taken_away_as_by_the_obvious_pattern(piece: bytes, separator: str) -> None:
    piece = piece.replace(b",", separator.encode())
    blank = rb" *" if separator == "\t" else rb"[ \t]*"
    mark = re.escape(separator).encode()
    around = re.sub(blank + mark + blank, separator.encode(), piece)
    expected = re.sub(rb"(?m)^" + blank + rb"|" + blank + rb"$", b"", around)
    assert Layout(separator).tidied(piece) == expected


@every(
    "field",
    {
        "digits": "1" * LONG,
        "digits with a sign": "-" + "1" * LONG,
        "decimals that end in a letter": "1." + "1" * LONG + "x",
        "hexadecimal digits": "0x" + "1" * LONG,
        "an exponent": "1e" + "1" * LONG + "x",
        "thousands": "1" + ",111" * LONG + "x",
        "blanks": "1" + " " * LONG + "2",
        "tabs and blanks": "1" + "\t " * LONG + "2",
        "stars": "*" * LONG + "x",
        "bars": "|" * LONG + "x",
        "dots": "1." * LONG,
    }.values(),
    ids=lambda field: f"{field[:4]}…{field[-4:]}",
)
def test_a_long_field_is_answered_in_a_short_sentence(tmp_path: Path, field: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f"{field},2\n3,4\n")
    try:
        (entry,) = list_tensors(path)
        assert len(str(entry.note().phrase)) < 400
        entry.load()
    except FileProblem as problem:
        assert len(str(problem)) < 400


@every("length", [10_000, 60_000])
def test_a_number_of_many_digits_is_one(tmp_path: Path, length: int) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f"0.{'1' * length},2\n3,4\n")
    (entry,) = list_tensors(path)
    assert entry.load().tolist() == [[float("0." + "1" * 30), 2], [3, 4]]


def test_long_fields_and_names_are_shortened_where_they_are_quoted(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text(f"{'1' * 10_000},2\n3,4\n5,6\n")
    words = tmp_path / "words.csv"
    words.write_text(f"a,{'n' * 10_000},c\n1,x,3\n4,y,6\n")
    for path in (pairs, words):
        (entry,) = list_tensors(path)
        said = str(entry.note().phrase)
        assert "…" in said
        assert len(said) < 400
