"""Stored arrays of a .npz are mapped in place, packed ones unpacked in blocks; nothing goes unchecked."""

from __future__ import annotations

import io
import itertools
import os
import struct
import tracemalloc
import zipfile
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
from qviz.files import memory, npz, zips
from qviz.files.npy import MAGIC
from qviz.files.problems import FileProblem
from qviz.files.readers import list_tensors

SAVERS = [np.savez, np.savez_compressed]
CENTRAL = b"PK\x01\x02"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    folder = tmp_path_factory.mktemp("archives")
    numbers = itertools.count()
    return lambda: folder / f"{next(numbers)}.npz"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.npz"


def npy(array: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def promising(shape: str) -> bytes:
    """An array file of one value whose header promises any shape."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return MAGIC + bytes((1, 0)) + len(text).to_bytes(2, "little") + text + bytes(4)


def patch_central(path: Path, offset: int, value: bytes) -> None:
    """Overwrite a field of the first entry of the zip's directory."""
    content = bytearray(path.read_bytes())
    start = content.index(CENTRAL) + offset
    content[start : start + len(value)] = value
    path.write_bytes(content)


def problem_of(path: Path) -> str:
    """What listing or loading the first array raises."""
    with pytest.raises(FileProblem) as caught:
        list_tensors(path)[0].load()
    return str(caught.value)


@pytest.mark.parametrize("save", SAVERS)
def test_each_array_is_offered_by_its_name(path: Path, save: Callable[..., None]) -> None:
    save(path, weight=np.zeros((2, 3), np.float32), bias=np.zeros(3, np.int8))
    entries = list_tensors(path)
    assert [(e.name, e.path, e.key) for e in entries] == [
        ("model/weight", path, "weight"),
        ("model/bias", path, "bias"),
    ]
    assert [(e.shape, e.dtype) for e in entries] == [((2, 3), "float32"), ((3,), "int8")]


@pytest.mark.parametrize("save", SAVERS)
@given(
    original=st.sampled_from(["<f4", ">f4", "<f2", ">f8", "i1", "<u2", ">i8", "?"]).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3))
    ),
    fortran=st.booleans(),
)
def test_what_numpy_saves_comes_back_bit_for_bit(
    fresh: Callable[[], Path], save: Callable[..., None], original: np.ndarray[Any, Any], fortran: bool
) -> None:
    path = fresh()
    save(path, first=np.arange(5, dtype=np.int8), w=np.asfortranarray(original) if fortran else original)
    array = list_tensors(path)[1].load()
    assert array.shape == (original.shape or (1,))
    assert array.dtype == original.dtype
    assert array.tobytes() == original.tobytes()


def test_a_stored_array_is_a_read_only_copy(path: Path) -> None:
    np.savez(path, w=np.arange(6.0))
    array = list_tensors(path)[0].load()
    assert type(array) is np.ndarray  # no map, which a truncated file would turn into a signal
    assert not array.flags.writeable


def test_a_stored_array_is_found_behind_bytes_that_precede_the_archive(path: Path) -> None:
    np.savez(path, w=np.arange(6.0))
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    assert list_tensors(path)[0].load().tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(("save", "block"), [(np.savez, "STORED_BLOCK"), (np.savez_compressed, "PACKED_BLOCK")])
def test_loading_goes_block_by_block(
    path: Path, monkeypatch: pytest.MonkeyPatch, save: Callable[..., None], block: str
) -> None:
    monkeypatch.setattr(npz, block, 1000)
    original = np.random.default_rng(0).normal(size=1000)
    save(path, w=original)
    (entry,) = list_tensors(path)
    fractions: list[float] = []
    np.testing.assert_array_equal(entry.load(progress=fractions.append), original)
    assert len(fractions) >= 8
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0

    fractions.clear()
    with pytest.raises(Cancelled):
        entry.load(progress=fractions.append, cancelled=lambda: len(fractions) == 3)
    assert len(fractions) == 3


def test_members_that_are_no_arrays_are_left_out(path: Path) -> None:
    np.savez(path, w=np.arange(3.0))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("readme.txt", "hello")
        archive.writestr("__MACOSX/._w.npy", "finder's")
    assert [entry.key for entry in list_tensors(path)] == ["w"]


def test_arrays_without_numbers_are_left_out_beside_arrays_with_some(path: Path) -> None:
    np.savez(path, classes=np.array(["cat", "dog"]), empty=np.zeros((0, 3)), w=np.arange(3.0))
    assert [entry.key for entry in list_tensors(path)] == ["w"]


def test_arrays_without_numbers_alone_are_refused_by_name(path: Path) -> None:
    np.savez(path, classes=np.array(["cat", "dog"]), empty=np.zeros((0, 3)))
    assert "model.npz holds 'classes', which is made of text (dtype <U3)" in problem_of(path)


def test_an_object_array_is_refused_and_its_code_never_runs(tmp_path: Path, path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "exploded"),)

    np.savez(path, w=np.array([Bomb()], dtype=object))
    assert "Python objects" in problem_of(path)
    assert not (tmp_path / "exploded").exists()


def test_the_last_of_two_members_with_one_name_counts(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w.npy", npy(np.zeros(3)))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("w.npy", npy(np.ones(3)))
    (entry,) = list_tensors(path)
    assert entry.load().tolist() == [1, 1, 1]


def test_an_archive_without_arrays_is_refused(path: Path) -> None:
    with zipfile.ZipFile(path, "w"):
        pass
    assert "has no NumPy arrays in it" in problem_of(path)


def test_an_empty_file_is_refused(path: Path) -> None:
    path.touch()
    assert problem_of(path) == "model.npz is empty. Copy or download it again."


def test_something_else_under_this_name_is_refused(path: Path) -> None:
    path.write_text("1.0, 2.0")
    assert "is not a NumPy archive, or a damaged one (File is not a zip file)" in problem_of(path)


def test_a_member_that_is_no_array_is_refused(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w.npy", b"1.0, 2.0")
    assert "holds 'w', which is not a NumPy array file" in problem_of(path)


def test_an_encrypted_member_is_refused(path: Path) -> None:
    np.savez(path, w=np.arange(3.0))
    patch_central(path, 8, b"\x01\x00")
    assert "holds 'w', which is encrypted" in problem_of(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_packed_otherwise_is_refused(path: Path, method: int) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("w.npy", npy(np.zeros(100)))
    assert "holds 'w', which is packed in an unknown way" in problem_of(path)


@pytest.mark.parametrize("save", SAVERS)
def test_a_header_that_promises_more_than_the_member_has_is_refused(path: Path, save: Callable[..., None]) -> None:
    method = zipfile.ZIP_STORED if save is np.savez else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("w.npy", promising(f"({2**40},)"))
    assert "holds 'w', which is cut off: its header promises 1,099,511,627,776 float32" in problem_of(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_bomb_whose_header_and_directory_agree_is_refused_without_allocating(path: Path, method: int) -> None:
    values = 2**29
    content = promising(f"({values},)")
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("w.npy", content)
    patch_central(path, 24, struct.pack("<I", len(content) - 4 + 4 * values))
    tracemalloc.start()
    try:
        message = problem_of(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "holds 'w', which claims 2 GiB, too many for the" in message
    assert peak < 1 << 20


def test_a_directory_that_promises_a_little_too_much_is_refused(path: Path) -> None:
    content = promising("(8,)")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", content)
    patch_central(path, 24, struct.pack("<I", len(content) + 28))
    assert "damaged" in problem_of(path)


def test_the_most_compressible_array_is_no_bomb(path: Path) -> None:
    np.savez_compressed(path, w=np.zeros(2_000_000))
    assert not list_tensors(path)[0].load().any()


def test_an_array_that_does_not_fit_in_memory_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(path, w=np.arange(1000.0))
    monkeypatch.setattr(memory, "free_memory", lambda: 1024)
    assert "holds 'w', which takes 7.812 KiB unpacked while 1 KiB are free" in problem_of(path)


def test_memory_that_runs_out_is_a_problem(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise MemoryError

    np.savez_compressed(path, w=np.arange(1000.0))
    (entry,) = list_tensors(path)
    monkeypatch.setattr(memory, "free_memory", lambda: 1 << 60)
    monkeypatch.setattr(np, "empty", refuse)
    with pytest.raises(FileProblem, match="needs more memory than is free"):
        entry.load()


@pytest.mark.parametrize("save", SAVERS)
def test_a_changed_value_is_found_by_its_checksum(path: Path, save: Callable[..., None]) -> None:
    save(path, w=np.random.default_rng(0).normal(size=10_000))
    content = bytearray(path.read_bytes())
    content[50_000] ^= 1
    path.write_bytes(content)
    (entry,) = list_tensors(path)
    with pytest.raises(FileProblem, match=r"model\.npz is .*damaged.*(CRC|checksum|decompressing)"):
        entry.load()


@pytest.mark.parametrize("save", SAVERS)
def test_cut_off_at_every_byte(path: Path, save: Callable[..., None]) -> None:
    save(path, w=np.arange(5, dtype=np.int8))
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(FileProblem):
            list_tensors(path)


def test_a_stored_member_that_reaches_beyond_the_file_is_refused(path: Path) -> None:
    content = npy(np.arange(10_000.0))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w.npy", content)
    raw = path.read_bytes()
    # The directory moves into the data, whose length it leaves as it was.
    directory = raw.index(CENTRAL)
    end = bytearray(raw[raw.index(b"PK\x05\x06") :])
    start = 30 + len("w.npy") + 40_000
    end[16:20] = struct.pack("<I", start)
    path.write_bytes(raw[:start] + raw[directory : raw.index(b"PK\x05\x06")] + bytes(end))
    assert "is cut off inside 'w'" in problem_of(path)


@pytest.mark.parametrize("save", SAVERS)
def test_any_damaged_byte_gives_the_same_array_or_a_problem_and_nothing_else(
    fresh: Callable[[], Path], save: Callable[..., None]
) -> None:
    original = np.array([1.5, -2.5, 3.25])
    path = fresh()
    save(path, w=original)
    content = path.read_bytes()
    problems = 0
    for place, mask in itertools.product(range(len(content)), (0x01, 0x10, 0xFF)):
        path = fresh()
        path.write_bytes(content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :])
        try:
            assert list_tensors(path)[0].load().tolist() == original.tolist(), place
        except FileProblem:
            problems += 1
    assert problems > len(content)


@pytest.mark.parametrize("save", SAVERS)
def test_what_ml_dtypes_writes_is_offered_beside_the_others(path: Path, save: Callable[..., None]) -> None:
    weight = np.arange(6).reshape(2, 3).astype(ml_dtypes.bfloat16)
    save(path, weight=weight, code=weight.astype(ml_dtypes.float8_e5m2), bias=np.zeros(3, np.float32))
    entries = list_tensors(path)
    assert [(e.key, e.shape, e.dtype) for e in entries] == [
        ("weight", (2, 3), "bfloat16"),
        ("code", (2, 3), "float8_e5m2"),
        ("bias", (3,), "float32"),
    ]
    for entry in entries[:2]:
        fractions: list[float] = []
        assert entry.load(progress=fractions.append).tolist() == [[0, 1, 2], [3, 4, 5]]
        assert fractions == sorted(fractions)
        assert fractions[-1] == 1.0


def test_an_array_that_cannot_be_read_does_not_refuse_the_others(path: Path) -> None:
    good = np.arange(3.0)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bad.npy", promising("(99,)"))
        archive.writestr("no.npy", b"1.0, 2.0")
        archive.writestr("good.npy", npy(good))
        archive.writestr("odd.npy", npy(good), zipfile.ZIP_BZIP2)
    entries = list_tensors(path)
    assert [entry.key for entry in entries] == ["bad", "no", "good", "odd"]
    assert [entry.refused is None for entry in entries] == [False, False, True, False]
    assert entries[2].load().tolist() == [0, 1, 2]
    for entry, what in ((entries[0], "holds 'bad', which is cut off"), (entries[3], "holds 'odd', which is packed")):
        assert what in str(entry.refused)
        with pytest.raises(FileProblem, match=what):
            entry.load()


def test_members_need_no_ending(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w", npy(np.arange(3.0)))
        archive.writestr("readme", "hello")
    assert [(e.key, e.load().tolist()) for e in list_tensors(path)] == [("w", [0, 1, 2])]


@pytest.mark.parametrize("save", SAVERS)
def test_records_are_offered_field_by_field(path: Path, save: Callable[..., None]) -> None:
    points = np.zeros(2, [("x", "f4"), ("y", "f4")])
    points["y"] = [1, 2]
    save(path, points=points)
    assert [(e.key, e.load().tolist()) for e in list_tensors(path)] == [("points/x", [0, 0]), ("points/y", [1, 2])]


def test_an_array_that_left_after_it_was_listed_is_missed(path: Path) -> None:
    np.savez(path, w=np.arange(3.0))
    (entry,) = list_tensors(path)
    np.savez(path, v=np.arange(3.0))
    with pytest.raises(FileProblem, match="has no array 'w' any more"):
        entry.load()


def test_an_archive_of_very_many_names_is_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "many.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(20):
            archive.writestr(f"a{number}.npy", b"")
    monkeypatch.setattr(npz, "MOST_ARRAYS", 10)
    with pytest.raises(FileProblem, match="names more than 10 arrays"):
        list_tensors(path)
    monkeypatch.setattr(zips, "MOST_DIRECTORY", 500)
    with pytest.raises(FileProblem, match=r"many\.npz lists .* of names, as no model does"):
        list_tensors(path)


def test_the_numbers_of_a_large_archive_are_believed_no_more(tmp_path: Path) -> None:
    path = tmp_path / "many.npz"
    size = (1 << 40).to_bytes(8, "little")
    record = b"PK\6\6" + bytes(36) + size + bytes(8)
    end = b"PK\5\6" + bytes(4) + b"\xff" * 12 + bytes(2)
    path.write_bytes(
        b"PK\3\4" + bytes(26) + record + b"PK\6\7" + bytes(4) + (30).to_bytes(8, "little") + bytes(4) + end
    )
    with pytest.raises(FileProblem, match=r"many\.npz lists 1 TiB of names"):
        list_tensors(path)
