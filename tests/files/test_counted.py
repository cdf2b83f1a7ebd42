"""Values of 16 bits are counted as they lie, in whichever format, and parts of them are read by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from safetensors.numpy import save_file

from qviz.files import counted
from qviz.files.problems import FileProblem
from qviz.files.readers import list_tensors
from tests.every import every
from tests.files.test_pytorch import Stored, saved, tensor

SHAPE = (20, 30)
VALUES = np.random.default_rng(0).standard_normal(SHAPE)
TYPES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32}
STORAGES = {"float16": "HalfStorage", "bfloat16": "BFloat16Storage", "float32": "FloatStorage"}


def in_safetensors(path: Path, values: Any) -> Path:
    save_file({"w": values}, path)
    return path


def in_pytorch(path: Path, values: Any) -> Path:
    kind = STORAGES[values.dtype.name]
    parts = {
        name: tensor(Stored(kind, "0", 600), 0, SHAPE, stride) for name, stride in (("w", (30, 1)), ("t", (1, 20)))
    }
    return saved(path, parts, data__0=values.tobytes())


def in_gguf(path: Path, values: Any) -> Path:
    writer = gguf.GGUFWriter(str(path), "made")
    raw = values.dtype.name == "bfloat16"
    given = values.view(np.uint8) if raw else values
    writer.add_tensor("w", given, raw_dtype=gguf.GGMLQuantizationType.BF16 if raw else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def in_onnx(path: Path, values: Any) -> Path:
    ports = [helper.make_tensor_value_info("y", 1, None)]
    constant = numpy_helper.from_array(values, "w")
    onnx.save(
        helper.make_model(helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], ports, [constant])),
        path,
    )
    return path


FORMATS = {"m.onnx": in_onnx, "m.safetensors": in_safetensors, "m.pt": in_pytorch, "m.gguf": in_gguf}


@every("dtype", TYPES)
@every("name", FORMATS)
def test_counts_and_parts_are_those_of_the_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, dtype: str
) -> None:
    monkeypatch.setattr(counted, "READ", 16)
    values = VALUES.astype(TYPES[dtype])
    entries = {entry.key: entry for entry in list_tensors(FORMATS[name](tmp_path / name, values))}
    entry = entries["w"]
    assert entry.bits is not None
    part = entry.bits()[40:95]
    expected = values.reshape(-1)[40:95]
    np.testing.assert_array_equal(part, expected.view(np.uint16) if dtype == "bfloat16" else expected)
    assert (entry.counted is None) == (dtype == "float32")
    if entry.counted is not None:
        distinct, many = np.unique(values.astype(np.float32), return_counts=True)
        for threads in (1, 2):
            found = entry.counted(threads=threads)
            np.testing.assert_array_equal(found.values, distinct)
            np.testing.assert_array_equal(found.counts, many)
    if "t" in entries:  # its values do not lie in a row
        assert entries["t"].bits is None
        assert entries["t"].counted is None


@every("name", FORMATS)
def test_a_file_that_changed_is_not_counted(tmp_path: Path, name: str) -> None:
    path = FORMATS[name](tmp_path / name, VALUES.astype(np.float16))
    entry = next(each for each in list_tensors(path) if each.key == "w")
    path.write_bytes(path.read_bytes()[:-100])
    assert entry.counted is not None
    with pytest.raises(FileProblem):
        entry.counted()
