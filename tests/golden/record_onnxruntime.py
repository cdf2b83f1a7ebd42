"""What does ONNX Runtime itself answer? Its answers to hard tensors, to be compared with ours.

``python -m tests.golden.record_onnxruntime`` asks the installed library and writes
``onnxruntime.npz`` and ``onnxruntime.json`` beside this file. `tests.core.runtimes.test_onnxruntime` asks it live.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core import IntFormat, PerAxis, PerTensor, Scheme

FOLDER = Path(__file__).parent
VECTORS, VERSIONS = FOLDER / "onnxruntime.npz", FOLDER / "onnxruntime.json"

FORMATS = tuple(IntFormat(bits, signed) for bits in (8, 16, 4) for signed in (True, False))
"""All that both `quant_utils.quantize_data` and the operators know."""

SCHEMES = tuple((number_format, symmetric) for number_format in FORMATS for symmetric in (True, False))

OPSET = 21
"""The first in which QuantizeLinear knows 16 and 4 bits."""


def hard_tensors() -> dict[str, np.ndarray[Any, Any]]:
    """Small float32 tensors that find out shortcuts in the arithmetic."""
    rng = np.random.default_rng(20240229)
    largest, tiny = np.finfo(np.float32).max, np.finfo(np.float32).tiny
    normal = rng.standard_normal((4, 3, 5))
    tensors = {
        "normal": normal,
        "far from zero": normal + 1000,
        "heavy tails": rng.standard_cauchy((3, 16)) * 10,
        "one outlier": np.append(rng.standard_normal(23) * 1e-3, 1e6).reshape(4, 6),
        "all positive": rng.uniform(0.5, 2, (3, 2, 4)),
        "all negative": -rng.uniform(0.5, 2, (3, 2, 4)),
        "constant": np.full((2, 5), 0.3),
        "negative constant": np.full((2, 5), -0.3),
        "constant channels": np.array([[2.0] * 4, [0.0] * 4, [-3.0] * 4]),
        "all zero": np.zeros((2, 3)),
        "minus zero": np.array([[-0.0, 0.0], [-0.0, -0.0]]),
        "a single element": np.array([-7.25]),
        "denormal": rng.standard_normal((2, 8)) * 1e-40,
        "scales about the smallest normal": np.outer(
            tiny * np.array([1, 3, 15, 16, 127, 255, 256, 40000, 65535, 70000]), [-0.5, 0.25, 0.499, 0.5]
        ),
        "huge": np.array([[3e38, -3e38, 1e38, 0], [3e38, 1e30, 2.5e38, 1.0]]),
        "the largest floats": np.array([largest, -largest, largest / 2, 1.0]),
        "ties of int8": np.arange(-127, 127.5, 0.5),
        "ties of uint8": np.arange(0, 255.5, 0.5),
        "ties of int4": np.arange(-7.5, 7.75, 0.25),
        "ties of uint4": np.arange(0, 15.25, 0.25),
        "ties of int16": np.concatenate([[-32767, 32767], np.arange(-20, 20, 0.5), [32766.5, -32766.5]]),
        "ties of uint16": np.concatenate([[0, 65535], np.arange(0, 20, 0.5), [65534.5, 65533.5]]),
    }
    return {name: values.astype(np.float32) for name, values in tensors.items()}


def axes(x: np.ndarray[Any, Any]) -> tuple[int | None, ...]:
    """Per tensor, and per each axis."""
    return (None, *range(x.ndim))


def scheme(number_format: IntFormat, symmetric: bool, axis: int | None) -> Scheme:
    """The qviz scheme that must give the same answer."""
    return Scheme(number_format, symmetric, PerTensor() if axis is None else PerAxis(axis))


def library_answer(
    x: np.ndarray[Any, Any], number_format: IntFormat, symmetric: bool, axis: int | None, **options: Any
) -> dict[str, np.ndarray[Any, Any]]:
    """Scale, zero point and codes of ``onnxruntime.quantization.quant_utils.quantize_data``.

    Per axis a channel at a time, as ``onnxruntime.quantization`` does for weights.
    """
    from onnxruntime.quantization.quant_utils import quantize_data

    channels = [x] if axis is None else np.moveaxis(x, axis, 0)
    answers = [quantize_data(np.ravel(c), _onnx_type(number_format), symmetric, **options) for c in channels]
    zero_point, scale, codes = (np.stack([np.asarray(a[i]) for a in answers]) for i in range(3))
    codes = codes.astype(np.int32)
    if axis is None:
        return {
            "scale": scale[0],
            "zero_point": zero_point[0].astype(np.int32),
            "codes": codes.reshape(x.shape),
        }
    shape = np.moveaxis(x, axis, 0).shape
    return {
        "scale": scale,
        "zero_point": zero_point.astype(np.int32),
        "codes": np.moveaxis(codes.reshape(shape), 0, axis),
    }


def operator_answer(
    x: np.ndarray[Any, Any],
    scale: np.ndarray[Any, Any],
    zero_point: np.ndarray[Any, Any],
    number_format: IntFormat,
    axis: int | None,
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Codes of the QuantizeLinear operator, and what DequantizeLinear makes of them."""
    session = _session(number_format, axis)
    wide = np.asarray(zero_point, np.int32)
    codes, dequantized = session.run(None, {"x": x, "scale": np.asarray(scale), "wide_zero_point": wide})
    return codes, dequantized


@functools.cache
def _session(number_format: IntFormat, axis: int | None) -> Any:
    import onnxruntime
    from onnx import TensorProto, helper

    # NumPy has no 4-bit type to hand over: zero points and codes go in and out as int32.
    axes_attribute = {} if axis is None else {"axis": axis}
    nodes = [
        helper.make_node("Cast", ["wide_zero_point"], ["zero_point"], to=_onnx_type(number_format)),
        helper.make_node("QuantizeLinear", ["x", "scale", "zero_point"], ["q"], **axes_attribute),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero_point"], ["dequantized"], **axes_attribute),
        helper.make_node("Cast", ["q"], ["codes"], to=TensorProto.INT32),
    ]
    graph = helper.make_graph(
        nodes,
        "quantize",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
            helper.make_tensor_value_info("scale", TensorProto.FLOAT, None),
            helper.make_tensor_value_info("wide_zero_point", TensorProto.INT32, None),
        ],
        [
            helper.make_tensor_value_info("codes", TensorProto.INT32, None),
            helper.make_tensor_value_info("dequantized", TensorProto.FLOAT, None),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    options = onnxruntime.SessionOptions()
    # The operators as they are written, not what a fusion makes of them.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _onnx_type(number_format: IntFormat) -> int:
    import onnx

    return int(getattr(onnx.TensorProto, number_format.name.upper()))


def record() -> None:
    """Write the answers of the installed library, one row a scheme of `SCHEMES`."""
    import onnx
    import onnxruntime

    vectors: dict[str, np.ndarray[Any, Any]] = {}
    for name, x in hard_tensors().items():
        vectors[f"{name}/x"] = x
        for axis in axes(x):
            rows: dict[str, list[np.ndarray[Any, Any]]] = {}
            for number_format, symmetric in SCHEMES:
                answer = library_answer(x, number_format, symmetric, axis)
                operator_codes, dequantized = operator_answer(
                    x, answer["scale"], answer["zero_point"], number_format, axis
                )
                answer |= {"operator_codes": operator_codes, "dequantized": dequantized}
                for key, value in answer.items():
                    rows.setdefault(key, []).append(value)
            for key, values in rows.items():
                vectors[f"{name}/{'tensor' if axis is None else axis}/{key}"] = np.stack(values)
    np.savez_compressed(VECTORS, **vectors)
    versions = {
        "recorded_with": {
            "onnxruntime": onnxruntime.__version__,
            "onnx": onnx.__version__,
            "numpy": np.__version__,
        },
        "opset": OPSET,
        "schemes": [{"type": number_format.name, "symmetric": symmetric} for number_format, symmetric in SCHEMES],
    }
    VERSIONS.write_text(json.dumps(versions, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record()
