"""A text of numbers becomes float64; anything else in it is named with its line."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qviz.core.work import Cancelled
from qviz.files import text
from qviz.files.problems import FileProblem
from qviz.files.readers import list_tensors
from qviz.files.tables import numbers
from tests.every import every


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    folder = tmp_path_factory.mktemp("tables")
    numbers = itertools.count()
    return lambda: folder / f"{next(numbers)}.csv"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


def read(path: Path, content: str | bytes) -> np.ndarray[Any, Any]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    (entry,) = list_tensors(path)
    array: np.ndarray[Any, Any] = entry.load()
    return array


def problem_of(path: Path, content: str | bytes) -> str:
    with pytest.raises(FileProblem) as caught:
        read(path, content)
    return str(caught.value)


def test_the_entry_leaves_open_what_only_parsing_tells(path: Path) -> None:
    path.write_text("1,2,3\n")
    (entry,) = list_tensors(path)
    assert (entry.name, entry.path, entry.key) == ("table.csv", path, None)
    assert (entry.shape, entry.dtype) == (None, None)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("1,2,3\n4,5,6\n", [[1, 2, 3], [4, 5, 6]]),
        ("1;2;3\n4;5;6\n", [[1, 2, 3], [4, 5, 6]]),
        ("1\t2\t3\n4\t5\t6\n", [[1, 2, 3], [4, 5, 6]]),
        ("1 2 3\n4 5 6\n", [[1, 2, 3], [4, 5, 6]]),
        ("  1.0   2.0\n 10.0 \t 20.0  \n", [[1, 2], [10, 20]]),
        ("1 , 2\n3 ,4", [[1, 2], [3, 4]]),
        ("1\n2\n3\n", [1, 2, 3]),
        ("1,2,3", [1, 2, 3]),
        ("7", [7]),
        ("-1.5e-3,+2E2,.5,3.\n", [-0.0015, 200, 0.5, 3]),
        ("nan,inf,-inf,NaN,Infinity", [math.nan, math.inf, -math.inf, math.nan, math.inf]),
        ("\n\n1,2\n\n  \n3,4\n\n", [[1, 2], [3, 4]]),
        ("# made by hand\n1,2 # the first\n#3,4\n5,6", [[1, 2], [5, 6]]),
        ("weight,bias\n1,2\n3,4\n", [[1, 2], [3, 4]]),
        (",weight\n1,2\n3,4\n", [[1, 2], [3, 4]]),
        ('# hello\n\n"my weights"\n1\n2\n', [1, 2]),
        ("weights of layer\n1,2\n3,4\n", [[1, 2], [3, 4]]),
        ("1,5;2,5\n", [1.5, 2.5]),
        ("a,b\nc,d\n1,2\n", [1, 2]),
        ("layer 3\n1 2\n", [1, 2]),
        ("1,,3\n", [1, math.nan, 3]),
        ("1,2,\n", [1, 2]),
        ("1\t\t3\n", [1, math.nan, 3]),
        ("1,2\r\n3,4\r\n", [[1, 2], [3, 4]]),
        ("1,2\r3,4\r", [[1, 2], [3, 4]]),
        ("\ufeff1,2\n3,4\n", [[1, 2], [3, 4]]),
        ("naïve,größe\n1,2\n3,4", [[1, 2], [3, 4]]),
        ("\ufeffa,b\r\n1,2\r\n3,4".encode("utf-16-le"), [[1, 2], [3, 4]]),
        ("\ufeff1,2\n3,4\n".encode("utf-16-be"), [[1, 2], [3, 4]]),
    ],
)
def test_what_is_understood(path: Path, content: str | bytes, expected: list[Any]) -> None:
    array = read(path, content)
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("1,2\n3,four\n", "has 'four' in line 2 where a number should be"),
        ("1,2\n\n# more\n3,1_000\n", "has '1_000' in line 4"),
        ("1\n0x10\n", "has '0x10' in line 2"),
        ("1 2\n3,4\n", "has '3,4' in line 2"),
        ("1.5.3\n2\n", "has '1.5.3' in line 1"),
        (",,\n", "has no numbers in it"),
        ("1,2\n\n3,4,5\n", "has 3 instead of 2 numbers in line 3. Give all lines"),
        ("1 2 3\n4 5\n", "has 2 instead of 3 numbers in line 2"),
        ("1,2\n" * 50_000 + "3\n", "has 1 instead of 2 numbers in line 50,001"),
        ("1,2\n" * 50_000 + "3,x\n", "has 'x' in line 50,001"),
        ("# nothing\n\n", "has no numbers in it"),
        ("only,a,header\n", "has no numbers in it"),
        ("", "is empty"),
        (b"\x00\x01\x02\x03", "is not a text file"),
        (b"\x80\x02}q\x01.", "is a Python pickle"),
        (b"1,2\n\xff\xfe3,4", "is not a text file"),
        (b"1,2\n3\xc3", "is not a text file"),
        (b"\xff\xfe1\x00,", "is not a text file"),
        ("x" * 1000 + "1\n" + "y" * 1000, "…' in line 2 where"),
    ],
)
def test_what_is_refused_and_where_it_stands(path: Path, content: str | bytes, what: str) -> None:
    message = problem_of(path, content)
    assert what in message
    assert message.startswith("table.csv ")
    assert len(message) < 250


TABLE = "weight,bias # names\n1.25,-2\n\n# a remark, in between\n3e5,nan\r\n5,6"


@every("block", range(1, len(TABLE) + 1))
def test_blocks_may_end_anywhere(path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    # Too small a block could not tell one long word from two; real ones have 32,768 characters.
    monkeypatch.setattr(text, "READ", block)
    np.testing.assert_array_equal(read(path, TABLE), [[1.25, -2], [3e5, math.nan], [5, 6]])
    monkeypatch.setattr(text, "BLOCK", max(block, 12))
    np.testing.assert_array_equal(read(path, TABLE), [[1.25, -2], [3e5, math.nan], [5, 6]])


@pytest.mark.parametrize("separator", [",", "; ", "\t", " ", "  \t "])
@pytest.mark.parametrize("end", ["", "\n", "\n\n", " # the end", " # the end, " + "of it all, " * 20 + "\n"])
def test_a_line_longer_than_many_blocks(path: Path, monkeypatch: pytest.MonkeyPatch, separator: str, end: str) -> None:
    monkeypatch.setattr(text, "BLOCK", 16)
    row = separator.join(str(i / 4) for i in range(100))
    np.testing.assert_array_equal(read(path, row + end), np.arange(100) / 4)
    np.testing.assert_array_equal(read(path, row + "\n" + row + end), [np.arange(100) / 4] * 2)


@pytest.mark.parametrize("length", range(60, 80))
def test_a_long_line_has_its_problems_too(path: Path, monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    monkeypatch.setattr(text, "BLOCK", 16)
    row = ",".join(["1"] * length)
    assert "has an empty field in line 2" in problem_of(path, f"{row}\n{row},\n")
    np.testing.assert_array_equal(read(path, f"{row},"), [1] * length)
    assert "has 'x' in line 2" in problem_of(path, f"{row}\n{row},x,{row}\n")
    assert f"has {length + 1} instead of {length} numbers in line 3" in problem_of(path, f"{row}\n{row}\n{row},1")
    assert f"has 1 instead of {length} numbers in line 2" in problem_of(path, f"{row}\n" + "1" * length * 2)


def test_a_header_longer_than_a_block(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "BLOCK", 16)
    header = ",".join(f"channel{i}" for i in range(20))
    row = ",".join(map(str, range(20)))
    np.testing.assert_array_equal(read(path, f"{header}\n{row}\n"), np.arange(20))
    np.testing.assert_array_equal(read(path, f"# {header}\n{row}\n"), np.arange(20))


def test_no_block_is_large_even_if_the_line_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    add = numbers.Parser.add

    def counted(self: numbers.Parser, piece: bytes) -> None:
        sizes.append(len(piece))
        add(self, piece)

    monkeypatch.setattr(numbers.Parser, "add", counted)
    array = read(path, ",".join(["1"] * 2_000_000))
    assert array.shape == (2_000_000,)
    assert len(sizes) >= 4
    assert max(sizes) <= text.BLOCK + 2


def test_loading_tells_its_progress_and_can_be_cancelled(path: Path) -> None:
    path.write_text("0.25\n" * 1_000_000)
    (entry,) = list_tensors(path)
    fractions: list[float] = []
    assert entry.load(progress=fractions.append).shape == (1_000_000,)
    assert len(fractions) >= 5
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0

    fractions.clear()
    with pytest.raises(Cancelled):
        entry.load(progress=fractions.append, cancelled=lambda: len(fractions) == 2)
    assert len(fractions) == 2


@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
        lambda shape: st.lists(st.floats(), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]).map(
            lambda values: np.array(values).reshape(shape)
        )
    ),
    st.sampled_from([",", ";", "\t", " "]),
)
def test_every_float_comes_back_bit_for_bit(
    fresh: Callable[[], Path], table: np.ndarray[Any, Any], separator: str
) -> None:
    lines = (separator.join(map(repr, row)) for row in table.tolist())
    array = read(fresh(), "\n".join(lines))
    np.testing.assert_array_equal(array, table.ravel() if 1 in table.shape else table)


@given(st.binary(min_size=1) | st.text(alphabet="01.,;\t \n#e-nax_\r", min_size=1).map(str.encode))
@example(b"\xff\xfe")
@example(b"\xef\xbb\xbf")
def test_any_content_gives_numbers_or_a_problem_and_nothing_worse(fresh: Callable[[], Path], content: bytes) -> None:
    try:
        array = read(fresh(), content)
    except FileProblem as problem:
        assert str(problem)
    else:
        assert array.size > 0
        assert array.ndim in (1, 2)
