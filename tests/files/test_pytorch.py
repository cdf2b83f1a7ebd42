"""A checkpoint of PyTorch is read as its pickle describes it, and never beyond the bytes that are there."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from qviz.core.work import Cancelled
from qviz.files.problems import FileProblem
from qviz.files.pytorch import MAGIC
from qviz.files.readers import list_tensors


class Global:
    """A name that is written as it is, whether there is such a thing or not."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Called:
    """A call of such a name."""

    def __init__(self, what: Global, *arguments: Any, state: Any = None) -> None:
        self.what, self.arguments, self.state = what, arguments, state


class Stored:
    """A storage outside of the pickle."""

    def __init__(self, kind: str, key: str, elements: int) -> None:
        self.id = ("storage", Global("torch", kind), key, "cpu", elements)


class Pickler(pickle._Pickler):  # type: ignore[name-defined]
    """Writes what PyTorch writes, without PyTorch."""

    def persistent_id(self, value: object) -> object:
        return value.id if isinstance(value, Stored) else None

    def save(self, value: Any, *rest: Any, **more: Any) -> None:
        if isinstance(value, Global):
            self.write(b"c" + f"{value.module}\n{value.name}\n".encode())
        elif isinstance(value, Called):
            self.save(value.what)
            self.save(value.arguments)
            self.write(b"R")
            if value.state is not None:
                self.save(value.state)
                self.write(b"b")
        else:
            super().save(value, *rest, **more)


def pickled(value: object) -> bytes:
    buffer = io.BytesIO()
    Pickler(buffer, 2).dump(value)
    return buffer.getvalue()


def tensor(storage: Stored, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Called:
    return Called(Global("torch._utils", "_rebuild_tensor_v2"), storage, offset, shape, strides, False, None)


def saved(path: Path, value: object, packed: bool = False, **members: bytes) -> Path:
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("m/data.pkl", pickled(value))
        for name, content in members.items():
            archive.writestr(f"m/{name.replace('__', '/')}", content)
    return path


VALUES = np.arange(12, dtype=np.float32) / 4


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.pt"


def whole(path: Path, shape: tuple[int, ...] = (3, 4), strides: tuple[int, ...] = (4, 1), offset: int = 0) -> Path:
    stored = Stored("FloatStorage", "0", 12)
    return saved(path, {"w": tensor(stored, offset, shape, strides)}, data__0=VALUES.tobytes())


def problem_of(path: Path) -> str:
    with pytest.raises(FileProblem) as caught:
        list_tensors(path)[0].load()
    return str(caught.value)


def test_a_tensor_is_read_where_it_lies(path: Path) -> None:
    (entry,) = list_tensors(whole(path))
    assert (entry.name, entry.key, entry.shape, entry.dtype) == ("model/w", "w", (3, 4), "float32")
    found = entry.load()
    np.testing.assert_array_equal(found, VALUES.reshape(3, 4))


def test_a_view_is_read_by_its_strides(path: Path) -> None:
    (entry,) = list_tensors(whole(path, (2, 3), (1, 4), 2))
    np.testing.assert_array_equal(entry.load(), VALUES.reshape(3, 4).T[2:4])


def test_two_names_of_one_tensor_are_two_tensors(path: Path) -> None:
    stored = Stored("FloatStorage", "0", 12)
    tied = tensor(stored, 0, (12,), (1,))
    saved(path, {"a": tied, "b": {"c": [1, tied]}}, data__0=VALUES.tobytes())
    assert [entry.key for entry in list_tensors(path)] == ["a", "b.c.1"]


def test_small_floats_become_float32(path: Path) -> None:
    stored = Stored("BFloat16Storage", "0", 12)
    saved(path, {"w": tensor(stored, 0, (4, 3), (1, 4))}, data__0=VALUES.astype(ml_dtypes.bfloat16).tobytes())
    (entry,) = list_tensors(path)
    assert entry.dtype == "bfloat16"
    np.testing.assert_array_equal(entry.load(), VALUES.reshape(3, 4).T, strict=True)


def test_the_other_order_of_bytes(path: Path) -> None:
    stored = Stored("FloatStorage", "0", 12)
    saved(path, {"w": tensor(stored, 0, (12,), (1,))}, byteorder=b"big", data__0=VALUES.astype(">f4").tobytes())
    np.testing.assert_array_equal(list_tensors(path)[0].load(), VALUES)


def test_weights_behind_a_foreign_ending_are_found(tmp_path: Path) -> None:
    assert [each.key for each in list_tensors(whole(tmp_path / "model.dat"))] == ["w"]


def test_a_file_that_changed_is_not_read_by_the_old_list(path: Path) -> None:
    (entry,) = list_tensors(whole(path))
    saved(path, {"other": 1, "w": tensor(Stored("FloatStorage", "0", 1), 0, (1,), (1,))}, data__0=bytes(4))
    with pytest.raises(FileProblem, match="has changed since it was opened"):
        entry.load()


def test_reading_can_be_cancelled(path: Path) -> None:
    (entry,) = list_tensors(whole(path))
    with pytest.raises(Cancelled):
        entry.load(cancelled=lambda: True)


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((13,), (1,), 0),
        ((3, 4), (4, 1), 1),
        ((2, 2), (1 << 62, 1), 0),
        ((1 << 62,), (1,), 0),
        ((3,), (1,), 1 << 63),
        ((2, 3), (10, 1), 0),
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(
    path: Path, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
) -> None:
    assert "a tensor is larger than its values" in problem_of(whole(path, shape, strides, offset))


@pytest.mark.parametrize(
    ("shape", "strides", "offset"), [((3,), (-1,), 2), ((3,), (1,), -1), ((-3,), (1,), 0), ((3, 4), (1,), 0)]
)
def test_a_tensor_that_contradicts_itself_is_refused(
    path: Path, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
) -> None:
    assert "a tensor contradicts itself" in problem_of(whole(path, shape, strides, offset))


def test_a_view_that_repeats_one_number_is_not_larger_than_memory(path: Path) -> None:
    assert "free" in problem_of(whole(path, (1 << 30, 1 << 20), (0, 0)))


def test_a_missing_storage_is_told(path: Path) -> None:
    saved(path, {"w": tensor(Stored("FloatStorage", "0", 12), 0, (12,), (1,))})
    assert "the values of a tensor are missing" in problem_of(path)


def test_packed_values_are_told(path: Path) -> None:
    stored = Stored("FloatStorage", "0", 12)
    saved(path, {"w": tensor(stored, 0, (12,), (1,))}, packed=True, data__0=VALUES.tobytes())
    assert "packed" in problem_of(path)


def test_a_pickle_that_unpacks_to_very_much_is_not_unpacked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qviz.files.pytorch._LARGEST_PICKLE", 1 << 16)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", b"]" * (1 << 20))
    assert "which has more than 64 KiB" in problem_of(path)


def test_a_checkpoint_without_tensors_says_so(path: Path) -> None:
    saved(path, {"epoch": 3})
    assert "has no tensors in it" in problem_of(path)


@pytest.mark.parametrize(("content", "what"), [(b"", "is empty"), (b"hello", "is no PyTorch checkpoint")])
def test_other_files_are_told(path: Path, content: bytes, what: str) -> None:
    path.write_bytes(content)
    assert what in problem_of(path)


def stream(value: object, keys: list[str], *storages: tuple[int, bytes]) -> bytes:
    parts = [MAGIC + b".", pickled(1001), pickled({"little_endian": True}), pickled(value), pickled(keys)]
    return b"".join(parts) + b"".join(struct.pack("<q", count) + content for count, content in storages)


def test_the_stream_of_old_is_read(path: Path) -> None:
    small = tensor(Stored("ByteStorage", "7", 3), 0, (3,), (1,))
    value = {"w": tensor(Stored("FloatStorage", "9", 12), 0, (3, 4), (4, 1)), "v": small}
    path.write_bytes(stream(value, ["7", "9"], (3, b"\1\2\3"), (12, VALUES.tobytes())))
    w, v = (entry.load() for entry in list_tensors(path))
    np.testing.assert_array_equal(w, VALUES.reshape(3, 4))
    assert v.tolist() == [1, 2, 3]


@pytest.mark.parametrize(("module", "name"), [("collections", "OrderedDict"), ("__builtin__", "dict")])
def test_a_dictionary_that_python_2_wrote_keeps_its_keys(path: Path, module: str, name: str) -> None:
    pairs = [[key, tensor(Stored("FloatStorage", "0", 12), 0, (3, 4), (4, 1))] for key in ("lin.weight", "lin.bias")]
    saved(path, Called(Global(module, name), pairs), data__0=VALUES.tobytes())
    assert [entry.key for entry in list_tensors(path)] == ["lin.weight", "lin.bias"]


@pytest.mark.parametrize("count", [13, 1 << 62, -1])
def test_a_stream_that_claims_too_much_is_refused(path: Path, count: int) -> None:
    value = {"w": tensor(Stored("FloatStorage", "9", 12), 0, (3, 4), (4, 1))}
    path.write_bytes(stream(value, ["9"], (count, VALUES.tobytes())))
    assert "it ends too early" in problem_of(path)
