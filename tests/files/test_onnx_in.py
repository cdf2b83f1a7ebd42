"""The constants of a network are listed wherever it keeps them, and its data never leave its folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from qviz.files.problems import FileProblem
from qviz.files.readers import list_tensors
from tests.every import every
from tests.models.made import classifier, model_of, save_external, value

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3) - 2


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "n.onnx"


def written(path: Path, *constants: Any, nodes: list[Any] | None = None) -> Path:
    model = model_of(nodes or [helper.make_node("Identity", ["x"], ["y"])], [value("x", 1)], [value("y", 1)], {})
    model.graph.initializer.extend(constants)
    onnx.save_model(model, path)
    return path


def problem_of(path: Path) -> str:
    with pytest.raises(FileProblem) as caught:
        list_tensors(path)[0].load()
    return str(caught.value)


def test_initializers_are_read_where_they_lie(path: Path) -> None:
    model = classifier()
    onnx.save_model(model, path)
    found = {entry.key: entry.load() for entry in list_tensors(path)}
    assert list(found) == [each.name for each in model.graph.initializer]
    for each in model.graph.initializer:
        np.testing.assert_array_equal(found[each.name], numpy_helper.to_array(each), strict=True)


def test_constants_of_nodes_have_the_name_of_their_output(path: Path) -> None:
    node = helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(VALUES))
    written(path, nodes=[node, helper.make_node("Identity", ["x"], ["y"])])
    (entry,) = list_tensors(path)
    assert (entry.key, entry.shape) == ("w", (2, 3))
    np.testing.assert_array_equal(entry.load(), VALUES)


def test_branches_and_functions_keep_constants_too(path: Path) -> None:
    inner = helper.make_graph([], "inner", [], [value("w", 2, 3)], [numpy_helper.from_array(VALUES, "w")])
    branch = helper.make_node("If", ["c"], ["y"], name="choice", then_branch=inner, else_branch=inner)
    model = model_of([branch], [value("c", kind=TensorProto.BOOL)], [value("y", 2, 3)], {})
    node = helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(VALUES + 1))
    model.functions.append(helper.make_function("local", "half", [], ["k"], [node], [helper.make_opsetid("", 17)]))
    onnx.save_model(model, path)
    found = {entry.key: entry.load() for entry in list_tensors(path)}
    assert set(found) == {"choice.then_branch/w", "choice.else_branch/w", "half/k"}
    np.testing.assert_array_equal(found["choice.else_branch/w"], VALUES)
    np.testing.assert_array_equal(found["half/k"], VALUES + 1)


TYPES = [
    "float32",
    "float64",
    "float16",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "bool",
]


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_of_numpy(path: Path, dtype: str) -> None:
    array = (10 * VALUES).astype(dtype)
    (entry,) = list_tensors(written(path, numpy_helper.from_array(array, "w")))
    assert entry.dtype == dtype
    np.testing.assert_array_equal(entry.load(), array, strict=True)


SMALL = [
    "bfloat16",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float4_e2m1fn",
    "int4",
    "uint4",
]


@pytest.mark.parametrize("dtype", SMALL)
@pytest.mark.parametrize("shape", [(2, 3), (3, 5), (1,)])
def test_every_type_of_ml_dtypes(path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    array = (np.arange(np.prod(shape)).reshape(shape) % 7).astype(getattr(ml_dtypes, dtype))
    (entry,) = list_tensors(written(path, numpy_helper.from_array(array, "w")))
    assert (entry.dtype, entry.shape) == (dtype, shape)
    np.testing.assert_array_equal(entry.load().astype(np.float32), array.astype(np.float32))


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT32, TensorProto.DOUBLE])
def test_values_that_are_numbers_of_the_message(path: Path, kind: int) -> None:
    (entry,) = list_tensors(written(path, helper.make_tensor("w", kind, [2, 3], VALUES.ravel().tolist())))
    np.testing.assert_array_equal(entry.load(), VALUES)


def test_texts_and_empty_constants_are_left_out(path: Path) -> None:
    texts = helper.make_tensor("s", TensorProto.STRING, [1], ["a"])
    empty = numpy_helper.from_array(np.zeros((0, 3), np.float32), "e")
    scalar = numpy_helper.from_array(np.float32(2.5), "w")
    (entry,) = list_tensors(written(path, texts, empty, scalar))
    assert (entry.key, entry.shape, entry.load().tolist()) == ("w", (1,), [2.5])
    assert "has no weights in it" in problem_of(written(path, texts))


def test_external_data_is_read(tmp_path: Path) -> None:
    model = classifier()
    expected = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    save_external(model, tmp_path / "big.onnx")
    for entry in list_tensors(tmp_path / "big.onnx"):
        np.testing.assert_array_equal(entry.load(), expected[str(entry.key)], strict=True)


def outside(location: str, offset: str = "0", length: str = "24", shape: tuple[int, ...] = (2, 3)) -> Any:
    tensor = TensorProto(name="w", dims=shape, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    for key, said in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=said)
    return tensor


@every("location", ["/etc/passwd", "../secret", "inner/../../secret", "link", "", "a\0b"])
def test_data_outside_of_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret").write_bytes(bytes(24))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    assert "outside of its folder" in problem_of(written(folder / "n.onnx", outside(location)))


@pytest.mark.parametrize(
    ("offset", "length", "what"),
    [
        ("8", "24", "asks for more data"),
        ("0", str(1 << 63), "asks for more data"),
        (str(1 << 63), "24", "asks for more data"),
        ("-8", "24", "asks for more data"),
        ("x", "24", "asks for more data"),
        ("0", "16", "has 24 bytes, but points at 16"),
    ],
)
def test_external_data_that_do_not_fit_are_refused(path: Path, offset: str, length: str, what: str) -> None:
    (path.parent / "w.bin").write_bytes(bytes(24))
    assert what in problem_of(written(path, outside("w.bin", offset, length)))


def test_external_data_that_are_missing_or_go_round_are_told(path: Path) -> None:
    assert "w.bin does not exist" in problem_of(written(path, outside("w.bin")))
    (path.parent / "w.bin").symlink_to("w.bin")
    assert "w.bin can't be read" in problem_of(path)
    (path.parent / "w.bin").unlink()
    os.mkfifo(path.parent / "w.bin")
    assert "w.bin is a device or a pipe" in problem_of(path)


def test_a_constant_that_cannot_be_read_is_listed_beside_the_others(path: Path) -> None:
    good = numpy_helper.from_array(VALUES, "good")
    short = TensorProto(name="short", dims=[1 << 62, 4], data_type=TensorProto.FLOAT, raw_data=bytes(8))
    negative = TensorProto(name="negative", dims=[-2, 4], data_type=TensorProto.FLOAT, raw_data=bytes(8))
    entries = list_tensors(written(path, good, short, negative))
    assert [entry.refused is None for entry in entries] == [True, False, False]
    assert "but holds 8" in str(entries[1].refused)
    assert "has a negative length" in str(entries[2].refused)


def test_a_model_that_is_cut_off_says_so(path: Path) -> None:
    content = written(path, numpy_helper.from_array(VALUES, "w")).read_bytes()
    path.write_bytes(content[:-30])
    assert "is no ONNX model, or a damaged one" in problem_of(path)
    path.write_bytes(b"")
    assert "is empty" in problem_of(path)
    path.write_bytes(b"hello, world")
    assert "is no ONNX model" in problem_of(path)


def test_branches_within_branches_have_an_end(path: Path) -> None:
    graph = b""
    for _ in range(100):
        attribute = b"\x0a\x01b\x32" + _length(graph) + graph
        node = b"\x2a" + _length(attribute) + attribute
        graph = b"\x0a" + _length(node) + node
    path.write_bytes(b"\x08\x08\x3a" + _length(graph) + graph)
    assert "nested too deeply" in problem_of(path)


def _length(part: bytes) -> bytes:
    count, said = len(part), b""
    while count >= 128:
        said += bytes([count & 127 | 128])
        count >>= 7
    return said + bytes([count])


def test_which_way_round_a_layer_stores_its_weight_is_known(path: Path) -> None:
    square = np.eye(3, dtype=np.float32)
    names = ("matmul", "gemm", "turned", "nowhere")
    nodes = [
        helper.make_node("MatMul", ["x", "matmul"], ["a"]),
        helper.make_node("Gemm", ["a", "gemm"], ["b"], transA=1),
        helper.make_node("Gemm", ["b", "turned", "bias"], ["y"], alpha=1.0, transB=1),
    ]
    written(path, *(numpy_helper.from_array(square, name) for name in names), nodes=nodes)
    assert {entry.key: entry.outputs_first for entry in list_tensors(path)} == dict.fromkeys(names, False) | {
        "turned": True
    }
