"""Parameters of Paddle, and pickles of arrays, are read as data."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qviz.files.problems import FileProblem
from qviz.files.readers import list_tensors
from tests.every import every
from tests.files.test_pytorch import Called, Global, pickled

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)
KINDS = {
    "bool": 0,
    "int16": 1,
    "int32": 2,
    "int64": 3,
    "float16": 4,
    "float32": 5,
    "float64": 6,
    "uint8": 20,
    "int8": 21,
}


def paddle_stream(array: np.ndarray[Any, Any], dtype: str | None = None) -> bytes:
    """One tensor of a ``.pdiparams`` file; lengths below 128, as one byte each."""
    about = b"\x08" + bytes([KINDS[dtype or array.dtype.name]])
    about += b"".join(b"\x10" + bytes([length]) for length in array.shape)
    return struct.pack("<IQIi", 0, 0, 0, len(about)) + about + array.tobytes()


@every("protocol", range(2, 6))
@every("dtype", ["float32", "float64", "float16", "int8", ">f4", "bool"])
def test_arrays_of_a_pickle_are_what_they_were(tmp_path: Path, protocol: int, dtype: str) -> None:
    path = tmp_path / "m.pdparams"
    large = np.arange(5000).astype(dtype)
    arrays = {"a": VALUES.astype(dtype), "turned": np.asfortranarray(VALUES.astype(dtype)), "large": large, "n": 3}
    path.write_bytes(pickle.dumps({"model": arrays}, protocol))
    entries = list_tensors(path)
    assert [entry.key for entry in entries] == ["model.a", "model.turned", "model.large"]
    for entry in entries:
        np.testing.assert_array_equal(entry.load(), arrays[str(entry.key).split(".")[1]])


def array(values: Any) -> Called:
    about = Called(Global("numpy", "dtype"), "f4", 0, 1, state=(3, "<", None, None, None, -1, -1, 0))
    call = Called(Global("numpy.core.multiarray", "_reconstruct"), Global("numpy", "ndarray"), (0,), b"b")
    call.state = (1, values.shape, about, False, values.tobytes())
    return call


def test_a_tensor_as_paddle_writes_it_is_read_without_evaluating_anything(tmp_path: Path) -> None:
    path = tmp_path / "m.pdparams"
    evaluated = Called(Global("builtins", "eval"), "data", {"data": array(VALUES)})
    named = Called(Global("builtins", "tuple"), ("linear_0.w_0", array(VALUES + 1)))
    path.write_bytes(pickled({"w": evaluated, "b": named}))
    found = {entry.key: entry.load() for entry in list_tensors(path)}
    np.testing.assert_array_equal(found["w"], VALUES)
    np.testing.assert_array_equal(found["b"], VALUES + 1)


@every(
    "arguments",
    [
        ("__import__('os').system('touch RAN')",),
        ("data", {"data": 1}),
        ("data ", {"data": 1}),
        ("data", {"data": 1, "__builtins__": 2}),
        ("data",),
    ],
)
def test_eval_of_anything_else_is_refused(tmp_path: Path, arguments: Any) -> None:
    path = tmp_path / "m.pdparams"
    path.write_bytes(pickled({"w": array(VALUES), "x": Called(Global("builtins", "eval"), *arguments)}))
    with pytest.raises(FileProblem, match=r"asks for builtins\.eval, which no tensor needs"):
        list_tensors(path)


def test_eval_that_is_only_named_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "m.pdparams"
    path.write_bytes(pickled({"w": array(VALUES), "x": [Global("builtins", "eval")]}))
    with pytest.raises(FileProblem, match=r"asks for builtins\.eval"):
        list_tensors(path)


def test_a_call_of_the_system_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(b"\x80\x02cos\nsystem\nX\x01\0\0\0a\x85R.")
    with pytest.raises(FileProblem, match=r"asks for os\.system, which no tensor needs; nothing of it was run"):
        list_tensors(path)


@every("dtype", KINDS)
def test_tensors_of_a_program_follow_one_another(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "m.pdiparams"
    path.write_bytes(paddle_stream(VALUES.astype(dtype)) + paddle_stream(np.ones(4, np.float32)))
    first, second = list_tensors(path)
    assert (first.key, first.shape, first.dtype, second.key) == ("tensor 0", (2, 3), dtype, "tensor 1")
    np.testing.assert_array_equal(first.load(), VALUES.astype(dtype), strict=True)


def test_the_program_beside_it_gives_them_their_names(tmp_path: Path) -> None:
    (tmp_path / "m.pdiparams").write_bytes(paddle_stream(VALUES) + paddle_stream(VALUES))
    variables = b""
    for name, kept in (("linear.w", 1), ("x", 0), ("linear.b", 1), ("feed", 1)):
        about = b"\x0a" + bytes([len(name)]) + name.encode() + b"\x18" + bytes([kept])
        variables += b"\x1a" + bytes([len(about)]) + about
    (tmp_path / "m.pdmodel").write_bytes(b"\x0a" + bytes([len(variables)]) + variables)
    assert [entry.key for entry in list_tensors(tmp_path / "m.pdiparams")] == ["linear.b", "linear.w"]


@every(
    "content",
    [
        paddle_stream(VALUES)[:-1],
        paddle_stream(VALUES) + b"\0",
        struct.pack("<IQIi", 0, 0, 0, 1 << 30) + b"\x08\x05",
        struct.pack("<IQIi", 0, 0, 0, 13) + b"\x08\x05\x10" + b"\xff" * 9 + b"\x01",
        struct.pack("<IQIi", 0, 0, 0, 12) + b"\x08\x05\x10" + b"\xff" * 8 + b"\x7f",
    ],
)
def test_damage_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.pdiparams").write_bytes(content)
    with pytest.raises(FileProblem, match="holds no parameters of Paddle, or damaged ones"):
        list_tensors(tmp_path / "m.pdiparams")
