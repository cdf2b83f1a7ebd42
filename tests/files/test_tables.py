"""Tables as programs and people write them: the numbers are right, and what was recognized is said."""

from __future__ import annotations

import gzip
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qviz.core.problems import Problem
from qviz.files.problems import FileProblem
from qviz.files.readers import Reading, list_tensors
from qviz.files.tables.form import TableOptions
from qviz.files.text import form_of, list_entries
from tests.every import every

A = np.array([[-1.738266, -1.336643, -1.5], [-2.312582, -0.188897, 0.25], [0.956847, 1.392258, 3.5], [0.1, 2.5, -7.25]])
N = A.copy()
N[1, 2] = math.nan


def written(array: np.ndarray[Any, Any], separator: str = ",", decimal: str = ".", end: str = "\n") -> str:
    return "".join(separator.join(map(repr, row)).replace(".", decimal) + end for row in array.tolist())


def numbered(text: str, first: str = "{}", separator: str = ",", start: int = 0) -> str:
    """A column before the others."""
    return "".join(first.format(i) + separator + line + "\n" for i, line in enumerate(text.splitlines(), start))


def quoted(array: np.ndarray[Any, Any], decimal: str = ".") -> str:
    return "".join(",".join(f'"{x!r}"' for x in row).replace(".", decimal) + "\n" for row in array.tolist())


def saved(array: np.ndarray[Any, Any], **options: Any) -> str:
    buffer = io.StringIO()
    np.savetxt(buffer, array, **options)
    return buffer.getvalue()


WHOLE = np.array([[12, 7, -3, 4], [9, -8, 5, 1], [3, 30, -11, 6]])

KINDS: dict[str, tuple[str | bytes, Any]] = {
    # pandas
    "DataFrame(array), no index": ("0,1,2\n" + written(A), A),
    "DataFrame(integers), no index": ("0,1,2,3\n" + saved(WHOLE, fmt="%d", delimiter=","), WHOLE),
    "one column, no index": ("0\n" + written(A[:, :1]), A[:, 0]),
    "a name for each column, and an index": (",a,b,c\n" + numbered(written(A)), A),
    "column numbers, and an index": (",0,1,2\n" + numbered(written(A)), A),
    "rows of a larger table": (",a,b,c\n" + numbered(written(A), "{}7").replace("07,", "9,"), A),
    "read and written again": ("Unnamed: 0,a,b,c\n" + numbered(written(A)), A),
    "an index with a name": ("id,a,b,c\n" + numbered(written(A), start=1), A),
    "two rows of names, and an index": (",x,x,y\n,a,b,a\n" + numbered(written(A)), A),
    "dates as index": (",0,1,2\n" + numbered(written(A), "2024-01-0{}", start=1), A),
    "years as names": ("2019,2020,2021\n" + written(A), A),
    "names in quotes, numbers bare": ('"0","1","2"\n' + written(A), A),
    # missing values
    "pandas' empty field": ("a,b,c\n" + written(N).replace("nan", ""), N),
    "R's NA": ('"a","b","c"\n' + written(N).replace("nan", "NA"), N),
    "Excel's #N/A": ("a,b,c\n" + written(N).replace("nan", "#N/A"), N),
    "NULL": ("a,b,c\n" + written(N).replace("nan", "NULL"), N),
    "a dash": ("a,b,c\n" + written(N).replace("nan", "-"), N),
    "nan(ind)": (written(N).replace("nan", "-nan(ind)"), N),
    "an empty field between tabs": (written(N, "\t").replace("nan", ""), N),
    "stars of Fortran": (written(N, "  ").replace("nan", "*****"), N),
    # quotes
    "all in quotes": (quoted(A), A),
    "R's write.csv": ('"","a","b","c"\n' + numbered(written(A), '"{}"', start=1), A),
    "R's write.table": ('"a" "b" "c"\n' + numbered(written(A, " "), '"{}"', " ", 1), A),
    "R's write.table of named rows": ('"a" "b" "c"\n' + numbered(written(A, " "), '"row {}"', " "), A),
    "single quotes": ("'a','b','c'\n" + written(A), A),
    # separators and decimal marks
    "separators at the ends": (written(A, end=",\n"), A),
    "separators at the ends, not of the header": ("a,b,c\n" + written(A, end=",\n"), A),
    "separators at both ends": ("".join(f"|{line}|\n" for line in written(A, "|").split()), A),
    "semicolons and decimal commas": (written(A, ";", ","), A),
    "tabs and decimal commas": ("a\tb\tc\n" + written(A, "\t", ","), A),
    "blanks and decimal commas": (written(A, "  ", ","), A),
    "commas, and decimal commas in quotes": (quoted(A, ","), A),
    "decimal commas in one column": ("Wert\n0,5\n1,25\n-0,75\n", [0.5, 1.25, -0.75]),
    "decimal commas in one column that counts": ("Wert\n1,5\n2,75\n3,25\n", [1.5, 2.75, 3.25]),
    "months": ("2024-01,1.5\n2024-02,2.5\n", [1.5, 2.5]),
    "decimal commas in one column without a name": ("0,5\n1,25\n-0,75\n", [0.5, 1.25, -0.75]),
    "marks between thousands": ("a;b\n1.234,5;2\n-2.000.000,25;3\n", [[1234.5, 2], [-2000000.25, 3]]),
    "marks between thousands in quotes": ('a,b\n"1,234.5",2\n"-2,000.25",3\n', [[1234.5, 2], [-2000.25, 3]]),
    "Excel's sep=": ("sep=;\n" + written(A, ";"), A),
    "bars": (written(A, "|"), A),
    # encodings
    "Windows' header": ("Zeit [µs],Größe,c\n".encode("cp1252") + written(A).encode(), A),
    "Latin-1's words": ("café,1.5\nthé,2.5\nmaté,3.5\n".encode("latin-1"), [1.5, 2.5, 3.5]),
    "UTF-16 without a mark": (("a,b,c\n" + written(A)).encode("utf-16-le"), A),
    "UTF-16 with the other order": (written(A).encode("utf-16-be"), A),
    "UTF-32": (written(A).encode("utf-32"), A),
    # numbers
    "D exponents": ("1.5D+00 -2.5d-01\n 3.0D+2  4.0D0\n", [[1.5, -0.25], [300, 4]]),
    "exponents without a letter": ("1.5-103 2.0\n3.0 4.0+101\n", [[1.5e-103, 2], [3, 4e101]]),
    "infinite in MSVC": ("0.5,1.#INF\n0.25,-1.#INF00\n", [[0.5, math.inf], [0.25, -math.inf]]),
    "not a number in MSVC": ("a,b\n1.5,-1.#IND\n1.#QNAN,3\n", [[1.5, math.nan], [math.nan, 3]]),
    "plus signs": ("+1.5,+2E+2\n+inf,-3e+0\n", [[1.5, 200], [math.inf, -3]]),
    "the minus of typography": ("−1.5,2\n3,−4e−2\n", [[-1.5, 2], [3, -0.04]]),
    # headers
    "units below the names": ("time,voltage\ns,V\n0,1.5\n1,2.5\n", [[0, 1.5], [1, 2.5]]),
    "units that look like numbers": ("ratio,speed\n1,m/s\n0.5,1.5\n0.25,2.5\n", [[0.5, 1.5], [0.25, 2.5]]),
    "two rows of names": ("a,b,c\nmean,std,max\n" + written(A), A),
    "names that begin with a digit": ("1st,2nd,3rd\n" + written(A), A),
    "columns called inf and nan": ("inf,nan,c\n" + written(A), A),
    "numbers in the names": ("0,0,1\na,b,a\n" + written(A), A),
    "a title": ("Measured on 2024-05-06, by hand\n\na,b,c\n" + written(A), A),
    # other columns
    "words at the end": ("5.1,3.5,setosa\n4.9,3,setosa\n", [[5.1, 3.5], [4.9, 3]]),
    "times": ("t,a,b,c\n" + numbered(written(A), "2024-01-01 10:0{}:00"), A),
    "times without a header": (numbered(written(A), "10:0{}:00.5"), A),
    "words in the middle": ("1.5,up,2\n2.5,down,3\n", [[1.5, 2], [2.5, 3]]),
    # NumPy, MATLAB, Fortran
    "savetxt": (saved(A), A),
    "savetxt with a header": (saved(A, delimiter=",", header="a,b,c"), A),
    "savetxt of integers": (saved(np.arange(12).reshape(3, 4), fmt="%5d"), np.arange(12).reshape(3, 4)),
    "MATLAB": ("".join("".join(f"  {x:15.7e}" for x in row) + "\n" for row in A.tolist()), A),
    "MATLAB's remarks": ("% made by hand\n" + written(A, " "), A),
    # what is no header and no index
    "counting integers": ("0,1,2\n3,4,5\n6,7,8\n", np.arange(9).reshape(3, 3)),
    "a grid": ("0,1,2,3\n0,1,2,3\n0,1,2,3\n", [[0, 1, 2, 3]] * 3),
    "distances": ("0,1,2,3\n1,0,1,2\n2,1,0,1\n", [[0, 1, 2, 3], [1, 0, 1, 2], [2, 1, 0, 1]]),
    "zeros first": ("0,0,0\n0.5,1.5,2.5\n", [[0, 0, 0], [0.5, 1.5, 2.5]]),
    "a line from 0 to 1": ("0\n0.25\n0.5\n0.75\n1\n", [0, 0.25, 0.5, 0.75, 1]),
    "a column that counts without a name": ("0,1.5\n1,2.5\n2,0.5\n", [[0, 1.5], [1, 2.5], [2, 0.5]]),
    "a first value that is missing": (",1.5\n3,4.5\n7,8.5\n", [[math.nan, 1.5], [3, 4.5], [7, 8.5]]),
    "one value": ("7\n", [7]),
    "one row": ("1,2,3", [1, 2, 3]),
}  # fmt: skip


@every("kind", KINDS)
def test_the_numbers_are_right(tmp_path: Path, kind: str) -> None:
    content, expected = KINDS[kind]
    path = tmp_path / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (entry,) = list_tensors(path)
    np.testing.assert_array_equal(entry.load(), np.asarray(expected, float))
    note = entry.note()
    assert note is not None
    assert str(note.phrase).startswith("Recognized: ")


@every(
    ("content", "note"),
    [
        ("1.5,2\n3,4\n", "Recognized: comma-separated."),
        (
            ",a,b,c\n" + numbered(written(A)),
            "Recognized: comma-separated, header in line 1, first column is an index and left out.",
        ),
        ("a;b\nm;s\n1,5;2\n2,5;3\n", "Recognized: semicolon-separated, header in lines 1 to 2, decimal commas."),
        (
            "x,name\n1.5,up\n2.5,down\n",
            "Recognized: comma-separated, header in line 1, column name holds words and is left out.",
        ),
        ("1.5\tup\tA\n2.5\tdown\tB\n", "Recognized: tab-separated, 2 columns hold words and are left out (2, 3)."),
        ("größe\n1.5\n2\n".encode("latin-1"), "Recognized: one column, in Windows-1252, header in line 1."),
        (
            "0,1,2\n3,4,5\n",
            "Recognized: comma-separated. Line 1 (0, 1, 2) could be column numbers; it is taken as values.",
        ),
        (
            "0 1.5\n1 2.5\n2 0.5\n",
            "Recognized: separated by white space. The first column counts 0, 1, 2: if it is an index, leave it out.",
        ),
        (
            "0,5\n1,4\n",
            "Recognized: comma-separated. Fields such as 0,5 could be numbers with a decimal comma;"
            " they are taken as two columns.",
        ),
    ],
)  # fmt: skip
def test_what_was_recognized_is_said(tmp_path: Path, content: str | bytes, note: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert str(form_of(path).phrase()) == note


@every(
    ("content", "what"),
    [
        ("a,b\n1.5,2\n3,4 mV\n", "has '4 mV' in line 3 where a number should be"),
        ("1.5,2\n3,12%\n", "has '12%' in line 2"),
        (
            "1,234;2\n5,678;3\n",
            "has '1,234' in line 1, which may have decimals or thousands behind its comma. Say",
        ),
        ("a,b\n12%,1\n13%,2\n", "has '12%' in line 2"),
        ("x;y\n1 234,5;2,5\n2 000,5;3,5\n", "has '1 234,5' in line 2"),
        ("1.5,1.#J\n2,3\n", "has '1.#J' in line 1"),
        ("1.5x,2.5\n3,4\n5,6\n", "has '1.5x' in line 1"),
        ("1+2,3\n4,5\n", "has '1+2' in line 1"),
        ("a b c\nd e f\n", "has 'd' in line 2"),
        ("1,2,3\n4,5\n6,7,8\n", "has 2 instead of 3 numbers in line 2"),
        ("#version: 0.2\nĠ t\nh e\n", "has 'h' in line 3"),
        ("1+2j,3\n4,5\n", "has '1+2j' in line 1"),
        ("a,b\n(1-2i),3\n4,5\n", "has '(1-2i)' in line 2"),
        ("0x1.8p+1,1\n2,3\n", "has '0x1.8p+1' in line 1"),
    ],
)
def test_what_is_not_sure_is_refused(tmp_path: Path, content: str, what: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(content)
    with pytest.raises(FileProblem) as caught:
        list_tensors(path)[0].load()
    assert what in str(caught.value)


@every(
    ("said", "expected"),
    [
        ("header=no", [[0, 1, 2], *A.tolist()]),
        ("header=2", A[1:]),
        ("index=yes", A[:, 1:]),
        ("columns=1+3", A[:, [0, 2]]),
        ("header=1,columns=2-3,index=no,separator=comma,decimal=point", A[:, 1:]),
    ],
)
def test_a_person_has_the_last_word(tmp_path: Path, said: str, expected: Any) -> None:
    path = tmp_path / "table.csv"
    path.write_text("0,1,2\n" + written(A))
    (entry,) = list_entries(path, TableOptions.parsed(said))
    np.testing.assert_array_equal(entry.load(), expected)


def test_thousands_are_what_a_person_says(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("1,234;2\n5,678;3\n")
    assert list_entries(path, TableOptions(decimal=","))[0].load().tolist() == [[1.234, 2], [5.678, 3]]
    assert list_entries(path, TableOptions(decimal="."))[0].load().tolist() == [[1234, 2], [5678, 3]]


@every("said", ["head=1", "header=x", "header", "index=maybe", "columns=0", "columns=3-1", "decimal=;"])
def test_options_that_mean_nothing_are_refused(said: str) -> None:
    with pytest.raises(Problem, match="table"):
        TableOptions.parsed(said)


def test_columns_that_are_not_taken_may_hold_anything(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b\n12%,1\n13,2\nx,3\n")
    (entry,) = list_entries(path, TableOptions.parsed("columns=2"))
    assert entry.load().tolist() == [1, 2, 3]
    note = entry.note()
    assert note is not None
    assert str(note.phrase) == "Recognized: comma-separated, header in line 1, 1 of 2 columns chosen."


def test_columns_that_there_are_not_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(written(A))
    with pytest.raises(FileProblem, match="has 3 columns"):
        list_entries(path, TableOptions.parsed("columns=2-4"))[0].load()


@pytest.mark.parametrize("width", [3, 64, 65, 3000])
@pytest.mark.parametrize("separator", [",", "\t", " ", ";"])
def test_wide_tables_are_read_as_narrow_ones(tmp_path: Path, width: int, separator: str) -> None:
    array = np.random.default_rng(0).normal(size=(5, width))
    array[2, 1] = math.nan
    header = separator.join(f"name{i}" for i in range(width)) + "\n"
    path = tmp_path / "table.csv"
    for decimal in (".", ",") if separator != "," else ".":
        path.write_text(header + written(array, separator, decimal))
        np.testing.assert_array_equal(list_tensors(path)[0].load(), array)
    labelled = (
        separator.join(["", *map(str, range(width))]) + "\n" + numbered(written(array, separator), "{}", separator)
    )
    path.write_text(labelled if separator != " " else labelled.lstrip())
    np.testing.assert_array_equal(list_tensors(path)[0].load(), array)


def test_pyarrow_is_imported_only_when_a_table_is_read(tmp_path: Path) -> None:
    import subprocess
    import sys

    path = tmp_path / "table.csv"
    path.write_text("1,2\n")
    code = (
        "import sys; from qviz.files.readers import Reading, list_tensors;"
        f"(entry,) = list_tensors({str(path)!r}); assert 'pyarrow' not in sys.modules;"
        "entry.load(); assert 'pyarrow' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_said_of_a_table_reaches_packed_ones_and_nothing_else(tmp_path: Path) -> None:
    said = Reading(table=TableOptions.parsed("columns=2"))
    (tmp_path / "w.csv.gz").write_bytes(gzip.compress(written(A).encode()))
    np.testing.assert_array_equal(list_tensors(tmp_path / "w.csv.gz", said)[0].load(), A[:, 1])
    np.save(tmp_path / "w.npy", A)
    with pytest.raises(FileProblem, match="is no table of text"):
        list_tensors(tmp_path / "w.npy", said)
