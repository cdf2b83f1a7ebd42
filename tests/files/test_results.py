"""What can be taken home is written whole or not at all, and comes back as it was."""

from __future__ import annotations

import csv
import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qviz.core import (
    CONVENTIONS,
    IntFormat,
    Manual,
    PerAxis,
    Percentile,
    Problem,
    Scheme,
    Tensor,
    analyze,
    dequantize,
    quantize,
)
from qviz.files import results
from qviz.files.problems import FileProblem
from qviz.files.results import (
    read_scheme,
    save_json,
    save_metrics,
    save_quantized,
    save_scheme,
    save_table,
    save_tensor,
    write_archive,
)
from tests.every import every
from tests.schemes import FREE_CONVENTIONS

X = np.random.default_rng(2).normal(0.3, 1, (3, 4)).astype(np.float32)
SCHEMES = [
    Scheme(),
    Scheme(IntFormat(4, False), False, PerAxis(-1), Percentile(99.5), "textbook"),
    Scheme(IntFormat(16), True, PerAxis(0), Manual(-0.1, 2.5)),
]


def strictly(text: str) -> Any:
    """Parse JSON as the standard has it: without NaN and Infinity."""

    def refuse(token: str) -> None:
        raise AssertionError(f"{token} is no JSON")

    return json.loads(text, parse_constant=refuse)


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# --- quantized tensors ------------------------------------------------------------------------------


@every("convention", FREE_CONVENTIONS)
@every("per_axis", [False, True])
@every(
    ("bits", "signed", "dtype"),
    [(8, True, "int8"), (8, False, "uint8"), (4, True, "int8"), (2, False, "uint8"), (9, True, "int16")],
)
def test_everything_a_runtime_needs_is_in_the_archive(
    tmp_path: Path, convention: str, per_axis: bool, bits: int, signed: bool, dtype: str
) -> None:
    granularity = {"granularity": PerAxis(1)} if per_axis else {}
    symmetric = CONVENTIONS[convention].symmetric_only
    if not CONVENTIONS[convention].offers(IntFormat(bits, signed), symmetric):
        pytest.skip("not offered")
    analysis = analyze(X, Scheme(IntFormat(bits, signed), symmetric, convention=convention, **granularity))
    q = analysis.qparams
    save_quantized(tmp_path / "q.npz", analysis)
    with np.load(tmp_path / "q.npz", allow_pickle=False) as saved:
        assert set(saved) == {"codes", "scale", "zero_point", "dequantized", "scheme"}
        arrays = {name: saved[name] for name in saved}
    np.testing.assert_array_equal(arrays["codes"], quantize(X, q), strict=True)
    np.testing.assert_array_equal(arrays["dequantized"], dequantize(arrays["codes"], q), strict=True)
    np.testing.assert_array_equal(arrays["scale"], q.scale, strict=True)
    np.testing.assert_array_equal(arrays["zero_point"], q.zero_point)
    assert arrays["codes"].dtype == dtype
    assert arrays["scale"].shape == arrays["zero_point"].shape == ((4,) if per_axis else ())
    # A zero point that is a code is stored as one; a real one keeps its fraction.
    real = convention == "textbook" or (convention == "nncf_activations" and not q.whole_zero_point)
    assert arrays["zero_point"].dtype == ("float32" if real else dtype)
    assert Scheme.from_dict(strictly(str(arrays["scheme"]))) == analysis.scheme


def test_what_was_not_finite_gets_the_codes_of_the_runtime(tmp_path: Path) -> None:
    x = np.array([1.0, np.nan, -1.0, np.inf], np.float32)
    save_quantized(tmp_path / "q.npz", analyze(x, Scheme()))
    with np.load(tmp_path / "q.npz") as saved:
        assert saved["codes"].tolist() == [127, -128, -127, 127]  # ONNX Runtime: the first for NaN, the last for inf
        assert np.isfinite(saved["dequantized"]).all()


def test_a_tensor_comes_back_as_it_was(tmp_path: Path) -> None:
    x = np.array([[1, np.nan], [-0.0, np.inf]], np.float32)
    save_tensor(tmp_path / "x.npy", x)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy").view(np.uint32), x.view(np.uint32), strict=True)


# --- metrics ----------------------------------------------------------------------------------------


@every("scheme", SCHEMES, ids=str)
def test_metrics_as_json(tmp_path: Path, scheme: Scheme) -> None:
    analysis = analyze(X, scheme)
    save_metrics(tmp_path / "m.json", analysis)
    saved = strictly((tmp_path / "m.json").read_text(encoding="utf-8"))
    assert Scheme.from_dict(saved.pop("scheme")) == scheme
    assert saved == analysis.to_dict()
    assert saved["mse"] == analysis.mse


@every("x", [np.zeros(3), np.full(3, 2.5), np.array([1, np.nan, np.inf])], ids=str)
def test_what_is_not_a_number_is_null_in_json_and_empty_in_csv(tmp_path: Path, x: Any) -> None:
    analysis = analyze(x, Scheme(IntFormat(8, False), False))
    save_metrics(tmp_path / "m.json", analysis)
    save_metrics(tmp_path / "m.csv", analysis)
    as_json = strictly((tmp_path / "m.json").read_text())
    with (tmp_path / "m.csv").open(newline="") as file:
        as_csv = dict(list(csv.reader(file))[1:])
    if not x.any():
        assert as_json["sqnr_db"] is as_json["cosine"] is None
    for key, value in analysis.to_dict().items():
        assert as_json[key] == value
        assert (as_csv[key] == "") == (value is None)


@pytest.mark.parametrize("name", ["m.csv", "M.CSV"])
def test_metrics_as_csv_are_a_row_each_with_all_their_digits(tmp_path: Path, name: str) -> None:
    analysis = analyze(X, Scheme(granularity=PerAxis(0)))
    save_metrics(tmp_path / name, analysis)
    with (tmp_path / name).open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert head == ["metric", "value"]
    assert [key for key, _ in rows] == list(analysis.to_dict())
    values = dict(rows)
    assert float(values["mse"]) == analysis.mse
    assert values["dtype"] == "float32"
    assert strictly(values["shape"]) == [3, 4]
    assert np.array_equal(np.float32(strictly(values["scale"])), analysis.qparams.scale)


# --- tables -----------------------------------------------------------------------------------------


def test_a_table_keeps_every_digit(tmp_path: Path) -> None:
    tiny, largest = np.finfo(np.float64).smallest_subnormal, np.finfo(np.float64).max
    columns = {
        "float64": np.array([0.1, 1 / 3, tiny, largest, -0.0]),
        "float32": np.array([0.1, 1 / 3, 1e-45, 3.4e38, -0.0], np.float32),
        "int64": np.array([2**62, -1, 0, 1, 2]),
        "list": [0.1, 1e-300, 1 / 3, 5.0, -2.5],
        "scalars": [np.float64(0.1), np.float32(0.1), np.int8(3), np.float64(1 / 3), np.float32(1e-45)],
    }
    save_table(tmp_path / "t.csv", columns)
    with (tmp_path / "t.csv").open(newline="") as file:
        back = {name: [] for name in columns}
        for row in csv.DictReader(file):
            for name, text in row.items():
                back[name].append(text)
    np.testing.assert_array_equal(np.array(back["float64"], np.float64), columns["float64"])
    np.testing.assert_array_equal(np.array(back["float32"], np.float32), columns["float32"])
    assert np.signbit(float(back["float64"][4]))
    assert [int(text) for text in back["int64"]] == columns["int64"].tolist()
    assert [float(text) for text in back["list"]] == columns["list"]
    assert [type(v)(text) for v, text in zip(columns["scalars"], back["scalars"], strict=True)] == columns["scalars"]


def test_a_table_says_nan_and_infinities_in_words(tmp_path: Path) -> None:
    save_table(tmp_path / "t.csv", {"x": np.array([np.nan, np.inf, -np.inf])})
    assert (tmp_path / "t.csv").read_text().split() == ["x", "nan", "inf", "-inf"]


def test_words_with_commas_quotes_and_foreign_letters_survive(tmp_path: Path) -> None:
    words = ['a, "b"', "two\nlines", "größe 大", ""]
    save_table(tmp_path / "t.csv", {"größe": words, "n": [1, 2, 3, 4]})
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert head == ["größe", "n"]
    assert [row[0] for row in rows] == words


def test_a_table_without_rows_is_its_head(tmp_path: Path) -> None:
    save_table(tmp_path / "t.csv", {"a": [], "b": np.array([])})
    assert (tmp_path / "t.csv").read_bytes() == b"a,b\r\n"


def test_columns_of_different_lengths_are_a_mistake_and_write_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shorter"):
        save_table(tmp_path / "t.csv", {"a": [1, 2], "b": [1]})
    assert list(tmp_path.iterdir()) == []


# --- schemes ----------------------------------------------------------------------------------------


@every("scheme", SCHEMES, ids=str)
def test_a_scheme_comes_back_as_it_was(tmp_path: Path, scheme: Scheme) -> None:
    save_scheme(tmp_path / "s.json", scheme)
    assert read_scheme(tmp_path / "s.json") == scheme
    assert strictly((tmp_path / "s.json").read_text()) == scheme.to_dict()


def test_a_scheme_of_another_editor_is_read_too(tmp_path: Path) -> None:
    text = json.dumps(Scheme().to_dict())
    assert read_scheme(written(tmp_path / "bom.json", b"\xef\xbb\xbf" + text.encode())) == Scheme()
    assert read_scheme(written(tmp_path / "utf16.json", text.encode("utf-16"))) == Scheme()


def changed(**parts: Any) -> str:
    return json.dumps({**Scheme().to_dict(), **parts})


def refused(path: Path) -> str:
    with pytest.raises(FileProblem) as caught:
        read_scheme(path)
    return str(caught.value)


@every(
    "content",
    [b"", "hello", "{", b"\xff\xfe\xff", b"\x93NUMPY\x01\x00", "[" * 100_000, "1" * 5000],
    ids=["empty", "words", "half", "bytes", "an array", "deep", "a huge number"],
)
def test_a_file_that_is_not_json(tmp_path: Path, content: str | bytes) -> None:
    path = written(tmp_path / "s.json", content)
    assert refused(path) == "s.json is not JSON. Choose a scheme that qviz saved as JSON."


@every(
    ("content", "why"),
    [
        ("3", "This is not a scheme: expected an object"),
        ("[]", "This is not a scheme"),
        ("null", "This is not a scheme"),
        ("{}", "This is not a complete scheme: number_format, symmetric,"),
        (changed(symmetric=1), "The scheme's “symmetric” must be true or false."),
        (changed(convention="cuda"), "There is no convention “cuda”"),
        (changed(convention=["a"]), "There is no convention"),
        (changed(granularity=None), "The scheme's granularity is unknown"),
        (changed(granularity={"kind": "galaxy"}), "The scheme's granularity is unknown"),
        (changed(granularity={"kind": "block", "block_size": 0}), "A block of 0 has no element"),
        (changed(granularity={"kind": "block", "size": 32}), "The scheme's granularity cannot have size = 32."),
        (changed(granularity={"kind": "token", "axis": 0}), "The scheme's granularity cannot have axis = 0."),
        (changed(number_format={"kind": "float", "format": "e9"}), "There is no float format “e9”"),
        (changed(number_format={"kind": "float", "bits": 8}), "The scheme's number format cannot have bits = 8."),
        (
            changed(number_format={"kind": "codebook", "format": []}),
            "The scheme's number format cannot have format = []",
        ),
        (changed(granularity={"kind": "axis", "axis": "0"}), "The scheme's granularity cannot have axis = '0'."),
        (changed(number_format={"kind": "int", "bits": 99}), "99 bits cannot be shown"),
        (changed(number_format={"kind": "int", "size": 3}), "The scheme's number format cannot have size = 3."),
        (changed(range_rule={"kind": "percentile", "percentile": 10}), "A percentile of 10 makes no range"),
        (changed(range_rule={"kind": "manual", "low": 1, "high": 0}), "A range from 1 to 0 is empty"),
        (changed(range_rule={"kind": "manual", "low": float("nan"), "high": 0}), "A range from nan to 0 is empty"),
    ],
)
def test_json_that_holds_no_scheme(tmp_path: Path, content: str, why: str) -> None:
    said = refused(written(tmp_path / "s.json", content))
    assert said.startswith(f"s.json holds no scheme that can be used: {why}")
    assert said.endswith(". Save the scheme again.")
    assert ".." not in said


def test_a_file_that_is_too_large_for_a_scheme(tmp_path: Path) -> None:
    text = json.dumps(Scheme().to_dict())
    assert read_scheme(written(tmp_path / "s.json", text.ljust(results.MAX_SCHEME_BYTES))) == Scheme()
    path = written(tmp_path / "s.json", text.ljust(results.MAX_SCHEME_BYTES + 1))
    assert refused(path) == "s.json is too large for a scheme. Choose a scheme that qviz saved as JSON."


def test_a_scheme_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match=r"^s\.json does not exist\. Check its name and its folder\.$"):
        read_scheme(tmp_path / "s.json")
    with pytest.raises(FileProblem, match="is a folder, not a file"):
        read_scheme(tmp_path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="has no endless file")
def test_a_file_without_an_end_is_not_read_to_its_end() -> None:
    with pytest.raises(FileProblem, match="zero is a device or a pipe"):
        read_scheme(Path("/dev/zero"))


# --- places that cannot be written ------------------------------------------------------------------

WRITERS = {
    "q.npz": lambda path: save_quantized(path, analyze(X, Scheme())),
    "x.npy": lambda path: save_tensor(path, X),
    "m.json": lambda path: save_metrics(path, analyze(X, Scheme())),
    "m.csv": lambda path: save_metrics(path, analyze(X, Scheme())),
    "t.csv": lambda path: save_table(path, {"x": X.ravel()}),
    "s.json": lambda path: save_scheme(path, Scheme()),
    "j.json": lambda path: save_json(path, {"a": 1}),
}


@every("name", WRITERS)
def test_a_folder_that_is_not_there_or_is_none_is_a_problem(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "none", tmp_path / "file"):
        with pytest.raises(FileProblem) as caught:
            WRITERS[name](folder / name)
        assert str(caught.value) == (
            f"{name} can't be written: there is no folder {folder}. Create it, or choose another one."
        )
    (tmp_path / name).mkdir()
    with pytest.raises(FileProblem, match="can't be written: it is a folder"):
        WRITERS[name](tmp_path / name)


@every("code", [errno.EACCES, errno.EROFS, errno.EPERM])
@every("name", WRITERS)
def test_a_folder_that_may_not_be_written_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "touch", refuse)
        with pytest.raises(FileProblem, match=f"^{name} can't be written: (permission denied|the disk is read-only)"):
            WRITERS[name](tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@every("name", WRITERS)
def test_a_full_disk_is_a_problem_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    old = written(tmp_path / name, b"old")

    def fill(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill)
        with pytest.raises(Problem) as caught:
            WRITERS[name](old)
    assert str(caught.value) == (
        f"{name} can't be written: the disk is full. Free some space, or choose another folder."
    )
    assert old.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [old]
    WRITERS[name](old)
    assert old.read_bytes() != b"old"


def test_a_disk_that_fills_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(file: Any, *arguments: object, **options: object) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "save", half)
    with pytest.raises(FileProblem, match="the disk is full"):
        save_tensor(tmp_path / "x.npy", X)
    assert list(tmp_path.iterdir()) == []


def test_no_memory_for_the_codes_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_out(x: Tensor, q: object) -> None:
        raise MemoryError

    monkeypatch.setattr(results, "quantize", run_out)
    with pytest.raises(FileProblem, match=r"q\.npz can't be written: memory has run out"):
        save_quantized(tmp_path / "q.npz", analyze(X, Scheme()))
    assert list(tmp_path.iterdir()) == []


def test_an_archive_holds_what_it_was_given_and_nothing_else(tmp_path: Path) -> None:
    arrays = {"file": X, "allow_pickle": np.arange(3), "layer1.weight": np.array(2.5, np.float32)}
    write_archive(tmp_path / "a.npz", arrays)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as saved:
        assert saved.files == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(saved[name], array)
            assert saved[name].dtype == array.dtype


def test_an_archive_holds_no_objects(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        write_archive(tmp_path / "a.npz", {"w": np.array([1, None], object)})
