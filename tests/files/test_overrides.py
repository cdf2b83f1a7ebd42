"""ONNX Runtime's quantizer takes over the scales and zero points that were found here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.static_quantize_runner import get_tensor_quant_overrides

from qviz.core import (
    FloatFormat,
    IntFormat,
    Manual,
    MinMax,
    PerAxis,
    PerBlock,
    Percentile,
    PerTensor,
    Problem,
    Scheme,
    choose_qparams,
    quantize,
)
from qviz.files.overrides import TYPES, save_overrides, tensor_overrides
from tests.every import every

W = np.random.default_rng(6).standard_normal((16, 8)).astype(np.float32)


class Data(CalibrationDataReader):
    """A few batches for the input ``x``."""

    def __init__(self) -> None:
        self.batches: Iterator[Any] = iter(
            [{"x": np.random.default_rng(i).random((2, 16), np.float32)} for i in range(3)]
        )

    def get_next(self) -> Any:
        return next(self.batches, None)


def model(path: Path) -> Path:
    """x → MatMul with ``layer.w`` → y."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "layer.w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (2, 16))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (2, 8))],
        [numpy_helper.from_array(W, "layer.w")],
    )
    opsets = [helper.make_opsetid("", 21)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets)), path)
    return path


def stored(path: Path) -> dict[str, Any]:
    return {part.name: numpy_helper.to_array(part) for part in onnx.load(path).graph.initializer}


@pytest.mark.filterwarnings("ignore")  # ONNX Runtime's quantizer uses what others deprecate
@every("rule", [MinMax(), Percentile(97.0), Manual(-1.3, 2.1)], ids=str)
@every("granularity", [PerTensor(), PerAxis(1)], ids=str)
@every("number_format", [IntFormat(8), IntFormat(8, False), IntFormat(16)], ids=lambda f: f.name)
def test_onnx_runtime_quantizes_a_model_with_them(
    tmp_path: Path, rule: Any, granularity: Any, number_format: IntFormat
) -> None:
    qparams = choose_qparams(W, Scheme(number_format, False, granularity, rule))
    save_overrides(tmp_path / "o.json", {"layer.w": qparams})
    per_channel = isinstance(granularity, PerAxis)
    quantize_static(
        model(tmp_path / "m.onnx"),
        tmp_path / "q.onnx",
        Data(),
        quant_format=QuantFormat.QDQ,
        per_channel=per_channel,
        weight_type=QuantType[TYPES[number_format.name]],
        activation_type=QuantType.QUInt8,
        extra_options={"TensorQuantOverrides": get_tensor_quant_overrides(tmp_path / "o.json")},
    )
    parts = stored(tmp_path / "q.onnx")
    np.testing.assert_array_equal(parts["layer.w_scale"], qparams.scale)
    np.testing.assert_array_equal(parts["layer.w_zero_point"], qparams.zero_point)
    np.testing.assert_array_equal(parts["layer.w_quantized"], quantize(W, qparams))


def test_every_type_is_one_of_onnx_runtime() -> None:
    assert set(TYPES.values()) <= set(QuantType.__members__)


def test_scales_survive_the_way_through_json(tmp_path: Path) -> None:
    qparams = choose_qparams(W, Scheme(granularity=PerAxis(-2)))
    save_overrides(tmp_path / "o.json", {"w": qparams, "v": choose_qparams(W, Scheme())})
    read = json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))
    np.testing.assert_array_equal(np.array([entry["scale"] for entry in read["w"]], np.float32), qparams.scale)
    assert [entry["axis"] for entry in read["w"]] == [-2] * 16
    assert list(read["v"][0]) == ["scale", "zero_point"]


@every(
    ("scheme", "said"),
    [
        (Scheme(IntFormat(5)), "no override for int5"),
        (Scheme(FloatFormat("e4m3fn")), "no override for float8_e4m3fn"),
        (Scheme(granularity=PerBlock(-1, 4)), "know no blocks"),
        (Scheme(IntFormat(8), False, convention="textbook"), "have a whole zero point"),
    ],
)
def test_what_onnx_runtime_does_not_know_is_a_problem(scheme: Scheme, said: str) -> None:
    with pytest.raises(Problem, match=said):
        tensor_overrides(choose_qparams(W, scheme))
