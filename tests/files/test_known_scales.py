"""Which scale and zero point does a file give a tensor?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from qviz.core import IntFormat, Known, PerAxis, Problem, Scheme, analyze, choose_qparams
from qviz.files.known_scales import known_of, known_scales
from qviz.files.results import save_quantized

F = np.float32


def test_of_a_model_of_onnx_runtime(tmp_path: Path) -> None:
    parts = {"x_scale": F(0.02), "x_zero_point": np.uint8(7), "w_scale": np.array([0.5, 0.25], F)}
    graph = helper.make_graph(
        [helper.make_node("QuantizeLinear", ["x", "x_scale", "x_zero_point"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, [4])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in parts.items()],
    )
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    assert list(known_scales(tmp_path / "m.onnx")) == ["x", "w"]
    assert known_of(tmp_path / "m.onnx", "x") == Known((float(F(0.02)),), (7.0,))
    assert known_of(tmp_path / "m.onnx", "w") == Known((0.5, 0.25))
    with pytest.raises(Problem, match=r"m\.onnx holds 2 scales\. Choose one of x, w"):
        known_of(tmp_path / "m.onnx")


def test_of_a_checkpoint(tmp_path: Path) -> None:
    save_file({"a.weight": np.ones((2, 4), F), "a.weight_scale": np.array([3, 4], F)}, tmp_path / "c.safetensors")
    assert known_of(tmp_path / "c.safetensors") == Known((3.0, 4.0))


def test_of_a_tensor_that_qviz_saved(tmp_path: Path) -> None:
    x = np.random.default_rng(1).standard_normal((3, 40)).astype(F)
    scheme = Scheme(IntFormat(8, False), False, PerAxis(0))
    save_quantized(tmp_path / "q.npz", analyze(x, scheme))
    known = known_of(tmp_path / "q.npz")
    q = choose_qparams(x, scheme)
    np.testing.assert_array_equal(F(known.scale), q.scale)
    np.testing.assert_array_equal(F(known.zero_point), q.zero_point)


def test_a_file_without_scales_says_so(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.ones(4, F))
    with pytest.raises(Problem, match=r"w\.npy holds no tensor that is called a scale"):
        known_of(tmp_path / "w.npy")
