"""Weights in blocks are those of ``quantize_static`` with ``BlockSize``, asked live."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_static
from onnxruntime.quantization.quant_utils import compute_scale_zp_blocked, quantize_onnx_initializer

from qviz.core import IntFormat, PerBlock, Scheme, choose_qparams, quantize
from tests.oracles.families import FAMILIES, tensor

INTEGERS = [IntFormat(bits, signed) for bits in (4, 8, 16) for signed in (True, False)]


def library(x: Any, number_format: IntFormat, symmetric: bool, axis: int, size: int) -> tuple[Any, Any, Any]:
    kind = getattr(TensorProto, number_format.name.upper())
    zero, scale = compute_scale_zp_blocked(x, kind, axis, size, symmetric)
    made = quantize_onnx_initializer(numpy_helper.from_array(x, "w"), kind, zero, scale, axis, "q", size)
    return scale, zero, numpy_helper.to_array(made)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_scales_zero_points_and_codes_are_the_librarys(symmetric: bool, dtype: str) -> None:
    rng = np.random.default_rng(3)
    for number_format in INTEGERS:
        for family in FAMILIES:
            axis, size = int(rng.integers(2)), int(rng.choice([4, 7, 16]))
            x = tensor(rng, family, dtype, (16, 18))
            scheme = Scheme(number_format, symmetric, PerBlock(axis, size), convention="onnxruntime_blocks")
            with np.errstate(all="ignore"):
                scale, zero, codes = library(x, number_format, symmetric, axis, size)
                q = choose_qparams(x, scheme)
                own = quantize(x, q)
            told = f"{family} {scheme}"
            np.testing.assert_array_equal(q.scale, scale.astype(np.float32), told)
            zeros = np.broadcast_to(q.zero_point, q.scale.shape)
            np.testing.assert_array_equal(zeros, zero.astype(np.int32), told)
            usable = np.repeat(np.isfinite(q.scale), size, axis).take(range(x.shape[axis]), axis)
            np.testing.assert_array_equal(own[usable], codes.astype(np.int32)[usable], told)


def test_from_end_to_end(tmp_path: Path) -> None:
    w = np.random.default_rng(0).standard_normal((64, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(w, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    given, made = tmp_path / "given.onnx", tmp_path / "made.onnx"
    onnx.save(model, given)
    rest = iter([{"x": np.eye(64, dtype=np.float32)}])

    class Reader:
        def get_next(self) -> Any:
            return next(rest, None)

    options = {"BlockSize": 32, "WeightSymmetric": False}
    with contextlib.redirect_stdout(io.StringIO()):
        kinds = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QUInt8}
        quantize_static(given, made, Reader(), **kinds, extra_options=options)
    kept = {each.name: numpy_helper.to_array(each) for each in onnx.load(made).graph.initializer}
    scheme = Scheme("uint8", False, PerBlock(0, 32), convention="onnxruntime_blocks")
    q = choose_qparams(w, scheme)
    np.testing.assert_array_equal(q.scale, kept["w_scale"])
    np.testing.assert_array_equal(q.zero_point, kept["w_zero_point"])
    np.testing.assert_array_equal(quantize(w, q), kept["w_quantized"])
