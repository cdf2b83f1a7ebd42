"""Plain values of a safetensors file are mapped, small floats converted; damage is a problem."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from qviz.core.work import Cancelled
from qviz.files import memory, problems, safetensors, small
from qviz.files.problems import FileProblem
from qviz.files.readers import list_tensors

SMALL = {
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def numbers(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def described(body: bytes, **tensors: tuple[str, list[int], int, int]) -> bytes:
    """A file whose header says of each tensor: type, shape, begin, end."""
    told = {k: {"dtype": d, "shape": s, "data_offsets": [a, b]} for k, (d, s, a, b) in tensors.items()}
    text = json.dumps(told).encode()
    return struct.pack("<Q", len(text)) + text + body


def problem_of(path: Path, content: bytes | None = None) -> str:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileProblem) as caught:
        list_tensors(path)[0].load()
    return str(caught.value)


def test_each_tensor_is_offered_by_its_name(path: Path) -> None:
    save_file({"a.weight": numbers(2, 3), "b": numbers(4).astype(ml_dtypes.bfloat16)}, path)
    entries = list_tensors(path)
    assert [(e.name, e.path, e.key, e.shape, e.dtype) for e in entries] == [
        ("model/a.weight", path, "a.weight", (2, 3), "float32"),
        ("model/b", path, "b", (4,), "bfloat16"),
    ]


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?"])
def test_plain_values_are_copied_as_they_lie(path: Path, dtype: str) -> None:
    original = (100 * numbers(3, 5)).astype(dtype)
    save_file({"first": np.ones(7, np.int8), "w": original, "zlast": np.ones(9, np.int16)}, path)
    (array,) = [entry.load() for entry in list_tensors(path) if entry.key == "w"]
    assert type(array) is np.ndarray  # no map, which a truncated file would turn into a signal
    assert not array.flags.writeable
    np.testing.assert_array_equal(array, original, strict=True)


@pytest.mark.parametrize("kind", SMALL)
def test_every_code_of_a_small_float_becomes_its_value(path: Path, kind: str) -> None:
    dtype = np.dtype(getattr(ml_dtypes, SMALL[kind]))
    bits = np.arange(1 << 8 * dtype.itemsize, dtype=f"u{dtype.itemsize}").reshape(2, -1)
    path.write_bytes(described(bits.tobytes(), w=(kind, list(bits.shape), 0, bits.nbytes)))
    (entry,) = list_tensors(path)
    array = entry.load()
    assert entry.dtype == SMALL[kind]
    np.testing.assert_array_equal(array, bits.view(dtype).astype(np.float32), strict=True)


def test_conversion_goes_block_by_block(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small, "BLOCK", 100)
    original = numbers(950).astype(ml_dtypes.bfloat16)
    save_file({"w": original}, path)
    (entry,) = list_tensors(path)
    fractions: list[float] = []
    np.testing.assert_array_equal(entry.load(progress=fractions.append), original.astype(np.float32))
    assert len(fractions) == 10
    assert fractions[-1] == 1.0
    fractions.clear()
    with pytest.raises(Cancelled):
        entry.load(progress=fractions.append, cancelled=lambda: len(fractions) == 3)


def test_a_scalar_has_one_element_and_empty_tensors_are_left_out(path: Path) -> None:
    save_file({"none": np.zeros((0, 3), np.float32), "one": np.array(2.5, np.float32)}, path)
    assert [(entry.key, entry.shape) for entry in list_tensors(path)] == [("one", (1,))]


@pytest.mark.parametrize(
    ("kind", "shape", "nbytes"), [("F4", [4], 2), ("F6_E2M3", [4], 3), ("F6_E3M2", [4], 3), ("C64", [2], 16)]
)
def test_types_that_are_not_read_are_offered_and_refused_when_opened(
    path: Path, kind: str, shape: list[int], nbytes: int
) -> None:
    content = described(bytes(nbytes) + bytes(4), w=(kind, shape, 0, nbytes), v=("F32", [1], nbytes, nbytes + 4))
    said = f"holds 'w', whose values of type {kind} qviz does not read. Save it as float32."
    assert said in problem_of(path, content)
    assert list_tensors(path)[1].load().tolist() == [0]


BROKEN = {
    "nothing": (b"", "is empty"),
    "no header": (b"abc", "header too small"),
    "text": (b"hello, hello, hello", "is not a safetensors file, or a damaged one"),
    "a header without end": (b"\xff" * 8 + b"{}", "header too large"),
    "no tensors": (described(b""), "has no tensors in it"),
    "no elements": (described(b"", w=("F32", [0], 0, 0)), "holds 'w', which has no elements"),
    "more than is there": (described(bytes(4), w=("F32", [2**40], 0, 4)), "invalid shape"),
    "more than fits in a number": (described(bytes(4), w=("F32", [2**63, 8], 0, 4)), "overflow"),
    "an unknown type": (described(bytes(4), w=("F99", [1], 0, 4)), "invalid JSON in header"),
    "a gap": (described(bytes(8), w=("F32", [1], 4, 8)), "invalid offset"),
    "too many axes": (described(bytes(4), w=("F32", [1] * 65, 0, 4)), "which has 65 axes"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_a_problem(path: Path, name: str) -> None:
    content, expected = BROKEN[name]
    message = problem_of(path, content)
    assert message.startswith("model.safetensors ")
    assert expected in message


def test_cut_off_at_every_byte(path: Path) -> None:
    save_file({"w": numbers(5), "v": numbers(4).astype(ml_dtypes.bfloat16)}, path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(FileProblem):
            list_tensors(path)


def test_any_damaged_byte_gives_tensors_or_a_problem_and_nothing_else(path: Path, tmp_path: Path) -> None:
    save_file({"w": numbers(5), "v": numbers(4).astype(ml_dtypes.bfloat16)}, path)
    content = path.read_bytes()
    problems = 0
    damaged = tmp_path / "damaged.safetensors"
    for place in range(len(content)):
        for mask in (0x01, 0x80, 0xFF):
            # A map of the last file may still be open.
            damaged.unlink(missing_ok=True)
            damaged.write_bytes(content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :])
            try:
                for entry in list_tensors(damaged):
                    assert entry.load().shape == entry.shape
            except FileProblem:
                problems += 1
    assert problems > 100


def test_a_tensor_that_left_after_it_was_listed_is_missed(path: Path) -> None:
    save_file({"w": numbers(3)}, path)
    (entry,) = list_tensors(path)
    save_file({"v": numbers(3)}, path)
    with pytest.raises(FileProblem, match="has no tensor 'w' any more"):
        entry.load()


def test_a_tensor_that_does_not_fit_in_memory_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file({"w": numbers(256).astype(ml_dtypes.bfloat16)}, path)
    monkeypatch.setattr(memory, "free_memory", lambda: 1023)
    assert "holds 'w', which takes 1 KiB unpacked while 1023 B are free" in problem_of(path)


def test_headers_are_read_as_the_library_reads_them(path: Path) -> None:
    kinds = ("f2", "f4", "f8", "i1", "u1", "i4", "u8", "?")
    tensors = {f"layers.{n}.w": numbers(n, 3).astype(kind) for n, kind in enumerate(kinds)}
    save_file(tensors | {"scalar": np.array(1.5, np.float32)}, path, {"format": "np", "dtype": "none"})
    head = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    plainly = safetensors.plain_header(path.read_bytes()[8:head], head, path.stat().st_size)
    assert plainly == safetensors._by_the_library(path, head)
    assert plainly is not None
    assert len(plainly) == len(kinds) + 1


def test_a_file_that_was_written_again_is_read_by_its_new_header(path: Path) -> None:
    save_file({"w": numbers(3)}, path)
    (entry,) = list_tensors(path)
    save_file({"a": numbers(7), "w": np.arange(5, dtype=np.float32)}, path)
    assert entry.load().tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", ["w.safetensors", "w.safetensors.index.json"])
def test_a_million_names_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(problems, "MOST_TENSORS", 100)
    tensors = {f"t{n}": ("U8", [1], n, n + 1) for n in range(101)}
    index = json.dumps({"weight_map": dict.fromkeys(tensors, "w.safetensors")}).encode()
    (tmp_path / name).write_bytes(index if name.endswith("json") else described(bytes(101), **tensors))
    assert problem_of(tmp_path / name).startswith(f"{name} names more than 100 tensors, as no model does.")


ROW = '{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ('{"a":' + ROW + ',"a":' + ROW + "}", "a"),
        ('{"a":{"dtype":"I64","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', "dtype"),
        ('{"a":{"dtype":"F32","shape":[9],"shape":[2],"data_offsets":[0,8]}}', "shape"),
        ('{"__metadata__":{"a":"b"},"__metadata__":{},"a":' + ROW + "}", "__metadata__"),
    ],
)
def test_what_is_said_twice_is_refused(path: Path, header: str, key: str) -> None:
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + bytes(8))
    assert problem_of(path) == f"{path.name} says '{key}' twice in its header. Copy or download it again."


def test_words_of_the_header_may_be_said_of_a_file(path: Path) -> None:
    header = '{"__metadata__":{"dtype":"x","shape":"y"},"dtype":' + ROW + "}"
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + bytes(8))
    assert [entry.key for entry in list_tensors(path)] == ["dtype"]


def test_tensors_that_lie_over_each_other_are_refused(path: Path) -> None:
    assert "invalid offset" in problem_of(path, described(bytes(8), v=("F32", [2], 0, 8), w=("F32", [1], 4, 8)))


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 10**8 + 1])
def test_a_header_that_claims_to_be_huge_is_not_read(path: Path, length: int) -> None:
    assert "header too large" in problem_of(path, struct.pack("<Q", length) + b"{}" + bytes(20))
