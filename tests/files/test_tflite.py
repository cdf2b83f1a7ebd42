"""Constants of a TensorFlow Lite model are read and decoded as its own Dequantize does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest

from qviz.files import tflite as reader
from qviz.files.problems import FileProblem
from qviz.files.readers import list_tensors

CODES = {
    "float32": 0,
    "float16": 1,
    "int32": 2,
    "uint8": 3,
    "int64": 4,
    "bool": 6,
    "int16": 7,
    "int8": 9,
    "float64": 10,
}

Scales = tuple[list[float], list[int], int]


def _table(builder: Any, **fields: tuple[str, int]) -> int:
    """A table whose fields are named f0, f1 … and given as the kind of slot and the value."""
    builder.StartObject(8)
    for name, (kind, value) in fields.items():
        getattr(builder, f"Prepend{kind}Slot")(int(name[1:]), value, 0)
    return int(builder.EndObject())


def _offsets(builder: Any, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def tflite(arrays: dict[str, np.ndarray[Any, Any]], scales: dict[str, Scales] | None = None) -> bytes:
    builder = flatbuffers.Builder(0)
    buffers, tensors = [_table(builder)], []
    for number, (name, array) in enumerate(arrays.items(), 1):
        data = builder.CreateNumpyVector(np.frombuffer(array.tobytes(), np.uint8))
        buffers.append(_table(builder, f0=("UOffsetTRelative", data)))
        shape = builder.CreateNumpyVector(np.array(array.shape, np.int32))
        said = builder.CreateString(name)
        fields = {"f0": ("UOffsetTRelative", shape), "f1": ("Int8", CODES[array.dtype.name]), "f2": ("Uint32", number)}
        fields["f3"] = ("UOffsetTRelative", said)
        if scales and name in scales:
            scale, zero_point, axis = scales[name]
            about = {
                "f2": ("UOffsetTRelative", builder.CreateNumpyVector(np.array(scale, np.float32))),
                "f3": ("UOffsetTRelative", builder.CreateNumpyVector(np.array(zero_point, np.int64))),
            }
            fields["f4"] = ("UOffsetTRelative", _table(builder, **about, f6=("Int32", axis)))
        tensors.append(_table(builder, **fields))
    graph = _table(builder, f0=("UOffsetTRelative", _offsets(builder, tensors)))
    graphs, kept = _offsets(builder, [graph]), _offsets(builder, buffers)
    model = _table(builder, f0=("Uint32", 3), f2=("UOffsetTRelative", graphs), f4=("UOffsetTRelative", kept))
    builder.Finish(model, b"TFL3")
    return bytes(builder.Output())


def read(path: Path, arrays: dict[str, Any], scales: dict[str, Scales] | None = None) -> dict[str, Any]:
    path.write_bytes(tflite(arrays, scales))
    return {str(entry.key): entry for entry in list_tensors(path)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "m.tflite"


@pytest.mark.parametrize("dtype", CODES)
def test_plain_constants_are_what_they_were(path: Path, dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    entry = read(path, {"w": array})["w"]
    assert (entry.name, entry.shape, entry.dtype, entry.note()) == ("m/w", (2, 3), dtype, None)
    np.testing.assert_array_equal(entry.load()[:], array, strict=True)


def test_one_scale_decodes_all(path: Path) -> None:
    codes = np.array([[0, 128, 255]], np.uint8)
    entry = read(path, {"w": codes}, {"w": ([0.25], [128], 0)})["w"]
    assert entry.dtype == "uint8"
    assert entry.load().tolist() == [[-32.0, 0.0, 31.75]]
    assert str(entry.note().phrase) == "Decoded from uint8 with one scale."


def test_a_scale_for_each_channel_along_its_axis(path: Path) -> None:
    codes = np.array([[1, 2, 3], [4, 5, 6]], np.int8)
    entry = read(path, {"w": codes}, {"w": ([0.5, 1, 2], [0, 0, 0], 1)})["w"]
    assert entry.load().tolist() == [[0.5, 2, 6], [2, 5, 12]]
    assert str(entry.note().phrase) == "Decoded from int8 with 3 scales along axis 1."


@pytest.mark.parametrize("scales", [([1.0, 2.0], [0, 0], 1), ([1.0] * 3, [0, 0], 1), ([1.0] * 3, [0] * 3, 0)])
def test_scales_that_do_not_fit_are_told(path: Path, scales: Scales) -> None:
    with pytest.raises(FileProblem, match="the scales of w do not fit its shape"):
        read(path, {"w": np.zeros((2, 3), np.int8)}, {"w": scales})


def test_what_is_no_constant_is_left_out(path: Path) -> None:
    assert list(read(path, {"w": np.ones(2, np.float32), "x": np.zeros(0, np.float32)})) == ["w"]
    with pytest.raises(FileProblem, match="has no weights in it"):
        read(path, {"x": np.zeros(0, np.float32)})


@pytest.mark.parametrize(
    "content", [b"\x1c\0\0\0TFL3" + bytes(100), b"\xff\xff\xff\x7fTFL3" + bytes(100), b"\1\0\0\0TFL3"]
)
def test_damage_is_told(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(FileProblem, match=r"is no TensorFlow Lite model|has no weights"):
        list_tensors(path)


def test_parts_that_lead_to_the_same_ones_again_and_again_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = {f"{n}": np.ones(3, np.float32) for n in range(20)}
    path.write_bytes(tflite(arrays))
    monkeypatch.setattr(reader, "_MOST", 42)  # 20 tensors, 21 buffers, a graph
    assert len(list_tensors(path)) == 20
    monkeypatch.setattr(reader, "_MOST", 41)
    with pytest.raises(FileProblem, match="it has too many parts"):
        list_tensors(path)
    monkeypatch.undo()
    monkeypatch.setattr(reader, "_MOST_SAID", 100)
    with pytest.raises(FileProblem, match="its parts say too much of themselves"):
        list_tensors(path)
