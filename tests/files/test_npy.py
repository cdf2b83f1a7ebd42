"""A .npy file is mapped, not copied; it is never unpickled, and its header is never believed."""

from __future__ import annotations

import itertools
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qviz.core.work import Cancelled
from qviz.files.npy import LONGEST_HEADER, MAGIC
from qviz.files.problems import FileProblem
from qviz.files.readers import list_tensors
from tests.every import every

NUMBERS = ["<f4", ">f4", "<f2", ">f2", "<f8", ">f8", "i1", "u1", "<i2", ">i4", "<u4", "<i8", ">u8", "?"]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    folder = tmp_path_factory.mktemp("arrays")
    numbers = itertools.count()
    return lambda: folder / f"{next(numbers)}.npy"


def raw(
    *,
    descr: str = "'<f4'",
    shape: str = "(2, 3)",
    fortran: str = "False",
    version: tuple[int, int] = (1, 0),
    data: bytes = bytes(24),
) -> bytes:
    """A file as an attacker would write it: the header is any text."""
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n".encode()
    length = len(text).to_bytes(2 if version[0] == 1 else 4, "little")
    return MAGIC + bytes(version) + length + text + data


def load(path: Path) -> np.ndarray[Any, Any]:
    (entry,) = list_tensors(path)
    array: np.ndarray[Any, Any] = entry.load()
    return array


def problem_of(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(FileProblem) as caught:
        list_tensors(path)
    return str(caught.value)


def test_the_entry_tells_name_shape_and_type_from_the_header(tmp_path: Path) -> None:
    path = tmp_path / "weights.npy"
    np.save(path, np.zeros((4, 5), np.float32))
    (entry,) = list_tensors(path)
    assert (entry.name, entry.path, entry.key) == ("weights.npy", path, None)
    assert (entry.shape, entry.dtype) == ((4, 5), "float32")


def test_the_array_is_a_read_only_copy(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.arange(6.0))
    array = load(tmp_path / "w.npy")
    assert type(array) is np.ndarray  # no map, which a truncated file would turn into a signal
    assert not array.flags.writeable


@given(
    original=st.sampled_from(NUMBERS).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4))
    ),
    fortran=st.booleans(),
)
def test_what_numpy_saves_comes_back_bit_for_bit(
    fresh: Callable[[], Path], original: np.ndarray[Any, Any], fortran: bool
) -> None:
    path = fresh()
    np.save(path, np.asfortranarray(original) if fortran else original)
    array = load(path)
    assert array.shape == (original.shape or (1,))
    assert array.dtype == original.dtype
    assert array.tobytes() == original.tobytes()


@every("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_format_is_read(tmp_path: Path, version: tuple[int, int]) -> None:
    data = np.arange(6, dtype="<f4")
    (tmp_path / "w.npy").write_bytes(raw(version=version, data=data.tobytes()))
    assert load(tmp_path / "w.npy").tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_scalar_is_one_element(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.float32(0.5))
    assert load(tmp_path / "w.npy").tolist() == [0.5]


def test_fortran_order_is_kept(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.asfortranarray(np.arange(6).reshape(2, 3)))
    array = load(tmp_path / "w.npy")
    assert type(array) is np.ndarray  # no map, which a truncated file would turn into a signal
    assert array.flags.f_contiguous
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_progress_ends_at_one_and_cancelling_stops(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.arange(6.0))
    (entry,) = list_tensors(tmp_path / "w.npy")
    fractions: list[float] = []
    entry.load(progress=fractions.append)
    assert fractions == [1.0]
    with pytest.raises(Cancelled):
        entry.load(cancelled=lambda: True)


def test_the_message_for_a_cut_off_file_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "weights.npy"
    np.save(path, np.zeros(4096, np.float32))
    content = path.read_bytes()
    assert problem_of(path, content[: len(content) - 15_155]) == (
        "weights.npy is cut off: its header promises 4,096 float32 values (16 KiB) but the file holds"
        " 1.2 KiB of them. Copy or download it again."
    )


def test_cut_off_at_every_byte(tmp_path: Path) -> None:
    content = raw()
    for length in range(1, len(content)):
        assert "is cut off" in problem_of(tmp_path / "w.npy", content[:length]), length


def test_cut_off_after_it_was_listed(tmp_path: Path) -> None:
    path = tmp_path / "w.npy"
    path.write_bytes(raw())
    (entry,) = list_tensors(path)
    path.write_bytes(raw()[:-1])
    with pytest.raises(FileProblem, match="is cut off"):
        entry.load()


def test_an_object_array_is_refused_and_its_code_never_runs(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "exploded"),)

    path = tmp_path / "w.npy"
    np.save(path, np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(FileProblem, match=r"Python objects.*could run code"):
        list_tensors(path)
    assert not (tmp_path / "exploded").exists()


@every(
    ("array", "what"),
    [
        (np.zeros(3, np.complex64), r"complex numbers \(dtype complex64\)"),
        (np.array(["a", "bc"]), r"text \(dtype <U2\)"),
        (np.array([b"a", b"bc"]), r"text \(dtype \|S2\)"),
        (np.array(["2024-01-01"], "datetime64[D]"), r"dates \(dtype datetime64\[D\]\)"),
        (np.array([1], "timedelta64[s]"), r"time spans \(dtype timedelta64\[s\]\)"),
        (np.zeros(3, "V3"), r"raw bytes .*\(dtype \|V3\)"),
        (np.zeros(3, [("a", "c8"), ("b", "U4")]), r"records without numbers .*\('a', '<c8'\)"),
    ],
)
def test_other_things_than_real_numbers_are_refused_by_name(
    tmp_path: Path, array: np.ndarray[Any, Any], what: str
) -> None:
    np.save(tmp_path / "w.npy", array)
    with pytest.raises(FileProblem, match=what):
        list_tensors(tmp_path / "w.npy")


SMALL = {
    "bfloat16": "'<V2'",
    "float8_e5m2": "'<f1'",
    "float8_e4m3fn": "'<V1'",
}


@every("name", SMALL)
def test_what_ml_dtypes_writes_is_offered_by_its_name(tmp_path: Path, name: str) -> None:
    original = np.arange(-6, 6).reshape(3, 4).astype(getattr(ml_dtypes, name))
    path = tmp_path / "w.npy"
    np.save(path, original)
    assert SMALL[name].encode() in path.read_bytes()[:128]
    (entry,) = list_tensors(path)
    assert (entry.shape, entry.dtype) == ((3, 4), name)
    array = entry.load()
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, original.astype(np.float32))
    note = entry.note()
    assert (note is None) == (name == "float8_e5m2")  # raw bytes could be something else


@every("name", ["bfloat16", "float8_e5m2", "float8_e4m3fnuz", "int4"])
def test_the_names_of_ml_dtypes_are_understood(tmp_path: Path, name: str) -> None:
    original = np.arange(6).astype(getattr(ml_dtypes, name))
    (tmp_path / "w.npy").write_bytes(raw(descr=f"'{name}'", data=original.tobytes()))
    (entry,) = list_tensors(tmp_path / "w.npy")
    assert (entry.dtype, entry.note()) == (name, None)
    assert entry.load().tolist() == [[0, 1, 2], [3, 4, 5]]


def test_fortran_order_of_bfloat16(tmp_path: Path) -> None:
    original = np.asfortranarray(np.arange(6).reshape(2, 3).astype(ml_dtypes.bfloat16))
    np.save(tmp_path / "w.npy", original)
    assert load(tmp_path / "w.npy").tolist() == [[0, 1, 2], [3, 4, 5]]


def test_records_are_offered_field_by_field(tmp_path: Path) -> None:
    record = np.dtype(
        [("x", "<f4"), ("name", "U3"), ("in", [("y", ">i2"), ("z", "<f8", (2,))]), ("b", "V2")], align=True
    )
    array = np.zeros(3, record)
    array["x"], array["in"]["y"] = [1, 2, 3], [4, 5, 6]
    array["in"]["z"] = [[1, 2], [3, 4], [5, 6]]
    array["b"] = np.array([0.5, 1, 2], ml_dtypes.bfloat16).view("V2")
    np.save(tmp_path / "w.npy", array)
    entries = list_tensors(tmp_path / "w.npy")
    assert [(e.name, e.key, e.shape, e.dtype) for e in entries] == [
        ("w/x", "x", (3,), "float32"),
        ("w/in.y", "in.y", (3,), "int16"),
        ("w/in.z", "in.z", (3, 2), "float64"),
        ("w/b", "b", (3,), "bfloat16"),
    ]
    assert [e.load().tolist() for e in entries] == [[1, 2, 3], [4, 5, 6], [[1, 2], [3, 4], [5, 6]], [0.5, 1, 2]]


def test_a_record_with_a_python_object_in_it_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.zeros(3, [("a", "f4"), ("b", "O")]), allow_pickle=True)
    with pytest.raises(FileProblem, match="Python objects"):
        list_tensors(tmp_path / "w.npy")


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_long_integers_of_python_2_are_understood(tmp_path: Path, version: tuple[int, int]) -> None:
    (tmp_path / "w.npy").write_bytes(raw(shape="(2L, 3L)", version=version))
    assert load(tmp_path / "w.npy").shape == (2, 3)


@every("descr", ["'f4,f4'", "'(2,)f4'", "'T'"])
def test_descriptions_that_numpy_never_writes_are_no_numbers_either(tmp_path: Path, descr: str) -> None:
    assert "not of real numbers" in problem_of(tmp_path / "w.npy", raw(descr=descr))


@every("shape", ["(0,)", "(3, 0, 2)", f"(0, {2**62}, {2**62})"])
def test_zero_elements_are_refused(tmp_path: Path, shape: str) -> None:
    assert "has no elements: its shape is (" in problem_of(tmp_path / "w.npy", raw(shape=shape, data=b""))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert problem_of(tmp_path / "w.npy", b"") == "w.npy is empty. Copy or download it again."


def test_something_else_under_this_name_is_refused(tmp_path: Path) -> None:
    assert "is not a NumPy array file" in problem_of(tmp_path / "w.npy", b"1.0, 2.0\n")


@every(
    "shape",
    ["(-1, 3)", "[2, 3]", "6", "(2.0, 3)", "(True, 6)", f"({2**63},)", f"{(1,) * 65}", f"(-{2**70},)"],
)
def test_shapes_that_no_array_has_are_refused(tmp_path: Path, shape: str) -> None:
    assert "impossible shape" in problem_of(tmp_path / "w.npy", raw(shape=shape))


def test_an_order_that_is_no_bool_is_refused(tmp_path: Path) -> None:
    assert "impossible shape or order" in problem_of(tmp_path / "w.npy", raw(fortran="2"))


@every("shape", [f"({2**40},)", f"({2**62}, 3)", f"{(2**62,) * 64}"])
def test_shapes_beyond_the_file_are_refused_without_allocating(tmp_path: Path, shape: str) -> None:
    tracemalloc.start()
    try:
        message = problem_of(tmp_path / "w.npy", raw(shape=shape))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "promises" in message
    assert len(message) < 250
    assert peak < 1 << 20


@pytest.mark.parametrize("length", [LONGEST_HEADER + 1, 2**32 - 1])
def test_an_absurd_header_length_is_refused_without_allocating(tmp_path: Path, length: int) -> None:
    content = MAGIC + bytes((2, 0)) + length.to_bytes(4, "little") + b"{}"
    tracemalloc.start()
    try:
        message = problem_of(tmp_path / "w.npy", content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "claims a header of" in message
    assert peak < 1 << 20


def test_more_bytes_than_promised_are_refused(tmp_path: Path) -> None:
    message = problem_of(tmp_path / "w.npy", raw(data=bytes(25)))
    assert "its header promises 6 float32 values (24 B) but 25 B follow" in message


@every("version", [(0, 0), (1, 1), (4, 0)])
def test_versions_that_do_not_exist_are_refused(tmp_path: Path, version: tuple[int, int]) -> None:
    assert f"of version {version[0]}.{version[1]}" in problem_of(tmp_path / "w.npy", raw(version=version))


@every(
    "content",
    [
        raw(descr="'no such type'"),
        raw(descr="'f4' + 'f4'"),
        raw(descr="__import__('os').getcwd()"),
        raw(shape="(" * 500),
        raw(shape="0x" + "f" * 5000),
        MAGIC + bytes((1, 0, 2, 0)) + b"[]",
        MAGIC + bytes((1, 0, 2, 0)) + b"{}",
        MAGIC + bytes((3, 0, 2, 0, 0, 0)) + b"\xff\xff",
    ],
)
def test_a_header_of_nonsense_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "has a header that can't be understood" in problem_of(tmp_path / "w.npy", content)


def test_any_damaged_byte_gives_an_array_or_a_problem_and_nothing_worse(fresh: Callable[[], Path]) -> None:
    content = raw()
    seen = {"array": 0, "problem": 0}
    for place, mask in itertools.product(range(len(content)), (0x01, 0x10, 0x80, 0xFF)):
        path = fresh()
        path.write_bytes(content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :])
        try:
            assert load(path).nbytes == 24
            seen["array"] += 1
        except FileProblem:
            seen["problem"] += 1
    assert min(seen.values()) > 50
