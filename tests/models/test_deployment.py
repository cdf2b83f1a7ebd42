"""ONNX Runtime's own tool does with the choices what was seen here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from qviz.core import IntFormat, PerAxis, PerBlock, Problem, Scheme, choose_qparams, quantize
from qviz.models.deployment import deployment_choices
from qviz.models.encodings import qnn_encodings, tensorrt_table
from tests.models.made import classifier, network, pictures, transformer


def test_excluded_nodes_and_scales_are_taken_over(tmp_path: Path) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    net = network(classifier())
    scheme = Scheme(IntFormat(8), granularity=PerAxis(0))
    choices = json.loads(json.dumps(deployment_choices(net, scheme, {"w1": None})))
    assert choices["nodes_to_exclude"] == ["/block1/conv"]
    assert set(choices["TensorQuantOverrides"]) == {"w2", "w3"}
    assert choices["not_expressible"] == {}

    class Reader(CalibrationDataReader):
        samples = iter(pictures(2))

        def get_next(self):
            return next(self.samples, None)

    onnx.save_model(net.model, str(tmp_path / "net.onnx"))
    quantize_static(
        str(tmp_path / "net.onnx"),
        str(tmp_path / "q.onnx"),
        Reader(),
        quant_format=QuantFormat.QDQ,
        weight_type=QuantType.QInt8,
        per_channel=True,
        nodes_to_exclude=choices["nodes_to_exclude"],
        extra_options={
            "TensorQuantOverrides": {
                name: [
                    {
                        "scale": np.array(entry["scale"], np.float32),
                        "zero_point": np.array(entry["zero_point"], np.int8),
                        "axis": entry["axis"],
                    }
                    for entry in entries
                ]
                for name, entries in choices["TensorQuantOverrides"].items()
            }
        },
    )
    made = {t.name: numpy_helper.to_array(t) for t in onnx.load(str(tmp_path / "q.onnx")).graph.initializer}
    floats = {t.name: numpy_helper.to_array(t) for t in net.model.graph.initializer}
    assert "w1_quantized" not in made
    expected = quantize(floats["w2"], choose_qparams(floats["w2"], scheme))
    np.testing.assert_array_equal(made["w2_quantized"], expected)


def test_outputs_are_an_axis_wherever_they_lie() -> None:
    choices = deployment_choices(network(transformer()), Scheme(IntFormat(8), granularity=PerAxis(0)), {})
    assert {entry["axis"] for entry in choices["TensorQuantOverrides"]["w1"]} == {1}
    assert len(choices["TensorQuantOverrides"]["w1"]) == 64


def test_what_the_tool_does_not_know_is_said() -> None:
    blocks = Scheme(IntFormat(4), granularity=PerBlock(-1, 8))
    choices = deployment_choices(network(transformer()), Scheme(), {"w1": blocks})
    assert "no blocks" in choices["not_expressible"]["w1"]
    assert "w1" not in choices["TensorQuantOverrides"]


def test_encodings_stand_for_the_same_values() -> None:
    net = network(classifier())
    scheme = Scheme(IntFormat(8), granularity=PerAxis(0), convention="aimet")
    codes = IntFormat(8, signed=False)
    found = json.loads(json.dumps(qnn_encodings(net, scheme, {"w1": None}, {"x": (-1.0, 3.0)}, codes)))
    assert found["version"] == "0.6.1"
    assert set(found["param_encodings"]) == {"w2", "w3"}
    assert [len(found["param_encodings"][name]) for name in ("w2", "w3")] == [16, 10]
    w2 = numpy_helper.to_array(next(each for each in net.model.graph.initializer if each.name == "w2"))
    q = choose_qparams(w2, scheme)
    first = found["param_encodings"]["w2"][0]
    assert (first["offset"], first["bitwidth"], first["is_symmetric"], first["dtype"]) == (-128, 8, "True", "int")
    again = np.clip(np.rint(w2[0] / np.float32(first["scale"])) - first["offset"], 0, 255)
    np.testing.assert_array_equal(again + first["offset"], quantize(w2, q)[0])
    (x,) = found["activation_encodings"]["x"]
    assert (x["offset"], x["is_symmetric"]) == (-64, "False")
    assert (x["min"], x["max"]) == (pytest.approx(-64 * 4 / 255), pytest.approx(191 * 4 / 255))


def test_blocks_have_no_encoding() -> None:
    scheme = Scheme(IntFormat(8), granularity=PerBlock(-1, 3))
    with pytest.raises(Problem, match="w1: AIMET's encodings are integers"):
        qnn_encodings(network(classifier()), scheme, {}, {}, IntFormat(8, signed=False))


def test_the_table_of_tensorrt_has_the_largest_magnitudes() -> None:
    flatbuffers = pytest.importorskip("flatbuffers")
    from onnxruntime.quantization.CalTableFlatBuffers.TrtTable import TrtTable

    assert flatbuffers
    table = TrtTable.GetRootAsTrtTable(tensorrt_table({"x": (-5.0, 1.0), "y": (0.0, 2.5)}), 0)
    rows = {table.Dict(i).Key().decode(): float(table.Dict(i).Value()) for i in range(table.DictLength())}
    assert rows == {"x": 5.0, "y": 2.5}
