"""Does ONNX Runtime add pairs of u8 · s8 products in 16 bits here, which saturate? Without VNNI processors do so."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np


@functools.cache
def saturates() -> bool:
    """Asked of the runtime itself."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.full((4, 1), 127, np.int8), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, None)],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": np.full((1, 4), 255, np.uint8)})
    return int(found[0, 0]) != 4 * 255 * 127


def right(x: np.ndarray[Any, Any], w: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Which outputs of codes ``(rows, k) @ (k, columns)`` the runtime adds up rightly on this processor."""
    every = np.ones((len(x), w.shape[1]), bool)
    if not saturates() or x.dtype != np.uint8 or w.dtype != np.int8:
        return every
    products = x.astype(np.int64)[:, :, None] * w.astype(np.int64)[None]
    pairs = products[:, 0::2] + products[:, 1::2]
    every &= (np.abs(pairs + 0.5) <= 1 << 15).all(axis=1)
    return every
