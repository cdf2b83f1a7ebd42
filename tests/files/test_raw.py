"""Bare numbers are read as a person says, and never beyond what the file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from qviz.core.problems import Problem
from qviz.files.problems import FileProblem
from qviz.files.raw import RawForm, SayRaw
from qviz.files.readers import Reading, list_tensors
from tests.every import every

ARRAY = np.arange(-6, 6).reshape(3, 4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "w.bin"


def load(path: Path, said: str) -> np.ndarray[Any, Any]:
    (entry,) = list_tensors(path, Reading(raw=RawForm.parsed(said)))
    array: np.ndarray[Any, Any] = entry.load()
    assert array.shape == entry.shape
    return array


@pytest.mark.parametrize(
    "dtype", ["float32", "float16", "float64", "int8", "int16", "int64", "bfloat16", "float8_e5m2"]
)
@pytest.mark.parametrize("order", ["little", "big"])
def test_every_type_in_both_orders(path: Path, dtype: str, order: str) -> None:
    values = ARRAY.astype(getattr(ml_dtypes, dtype, dtype))
    bits = values.view(f"u{values.itemsize}")
    path.write_bytes(b"head" + (bits.astype(bits.dtype.newbyteorder("<" if order == "little" else ">"))).tobytes())
    array = load(path, f"dtype={dtype},shape=3x4,offset=4,byteorder={order}")
    np.testing.assert_array_equal(array, ARRAY)


def test_all_that_there_is_and_a_length_that_is_found(path: Path) -> None:
    path.write_bytes(np.arange(12, dtype="<f4").tobytes())
    assert load(path, "").tolist() == list(range(12))
    assert load(path, "shape=-1x4").shape == (3, 4)


def test_bytes_that_follow_are_said(path: Path) -> None:
    path.write_bytes(np.arange(12, dtype="<f4").tobytes() + b"tail")
    (entry,) = list_tensors(path, Reading(raw=RawForm(shape=(3, 4))))
    note = entry.note()
    assert note is not None
    assert str(note.phrase) == "Read as float32, little-endian, from byte 0; 4 bytes follow."


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("shape=4x4", "has 48 bytes behind byte 0, but 4×4 values of float32 take 64"),
        ("shape=-1x99", "has 48 bytes behind byte 0"),
        ("offset=46", "has no numbers behind byte 46"),
        (f"shape={10**17}x{10**17}", "take 40,000,000"),
    ],
)
def test_what_does_not_fit_is_refused(path: Path, said: str, what: str) -> None:
    path.write_bytes(np.arange(12, dtype="<f4").tobytes())
    with pytest.raises(FileProblem, match=what):
        load(path, said)


@pytest.mark.parametrize("name", ["w.bin", "w.raw"])
def test_a_file_of_which_nothing_is_said_asks(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bytes(range(1, 50)))
    with pytest.raises(SayRaw, match="holds bare numbers and does not say of which type and shape"):
        list_tensors(tmp_path / name)


@every("said", ["type=f4", "dtype=float31", "shape=3,4", "shape=-1x-1", "shape=0", "offset=-1", "byteorder=x"])
def test_what_means_nothing_is_refused(said: str) -> None:
    with pytest.raises(Problem, match="bare numbers"):
        RawForm.parsed(said)


def test_a_form_is_said_as_it_is_read() -> None:
    for form in (RawForm(), RawForm("bfloat16", (3, -1), 7, "big")):
        assert RawForm.parsed(str(form)) == form
