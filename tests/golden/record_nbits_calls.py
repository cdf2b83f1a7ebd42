"""What does MatMulNBitsQuantizer store of a network's weight, with each algorithm as it is by default?

``python -m tests.golden.record_nbits_calls`` with onnxruntime, onnx, onnx_ir and torch writes ``nbits_calls.npz`` and
``nbits_calls.json`` beside this file: files of one MatMul in, files out.
"""

from __future__ import annotations

import json
import logging
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization.matmul_nbits_quantizer import (
    HQQWeightOnlyQuantConfig,
    KQuantWeightOnlyQuantConfig,
    MatMulNBitsQuantizer,
)

Array = np.ndarray[Any, Any]

FOLDER = Path(__file__).parent
CALLS: dict[str, dict[str, Any]] = {
    "ONNX Runtime MatMulNBits 4 bits, block 128": {},
    "ONNX Runtime HQQ 4 bits, block 128": {"algo_config": HQQWeightOnlyQuantConfig()},
    "ONNX Runtime k_quant 4 bits, block 128": {"algo_config": KQuantWeightOnlyQuantConfig()},
}
"""What each preset is named after: the arguments beside the model."""


def weights() -> dict[str, Array]:
    """Features × outputs: ordinary, tiny beside large, with outputs of zeros, and of a length that is no block's."""
    plain = np.random.default_rng(7).standard_normal((256, 6)).astype(np.float32)
    sizes = np.array([1, 1e-3, 1e-6, 100, 1, 1], np.float32)
    sized = {"plain": plain, "sizes": plain * sizes, "zeros": plain * (sizes > 0.5)}
    return sized | {"ragged": plain[:200], "one block": plain[:128], "one block, zeros": (plain * (sizes > 0.5))[-128:]}


def model_of(weight: Array) -> Any:
    features, outputs = weight.shape
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", features])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", outputs])],
        [numpy_helper.from_array(weight, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def stored(weight: Array, **arguments: Any) -> dict[str, Array]:
    """Codes, scales and zero points of the layer, outputs × features and outputs × blocks."""
    quantizer = MatMulNBitsQuantizer(model_of(weight), **arguments)
    quantizer.process()
    (node,) = quantizer.model.model.graph.node
    assert node.op_type == "MatMulNBits"
    about = {each.name: each.i for each in node.attribute}
    kept = {each.name: numpy_helper.to_array(each) for each in quantizer.model.model.graph.initializer}
    packed, scale, zero = (kept[name] for name in node.input[1:4])
    outputs, blocks = weight.shape[1], -(-weight.shape[0] // about["block_size"])
    if zero.dtype == np.uint8:
        zero = nibbles(zero.reshape(outputs, -1))[:, :blocks]
    zero = zero.reshape(outputs, blocks)
    codes = nibbles(packed).reshape(outputs, -1)[:, : weight.shape[0]]
    return {"codes": codes, "scale": scale.reshape(outputs, blocks), "zero_point": zero}


def nibbles(packed: Array) -> Array:
    """Two in a byte, the first one lowest."""
    return np.stack([packed & 15, packed >> 4], -1).reshape(*packed.shape[:-1], -1)


def main() -> None:
    logging.disable(logging.CRITICAL)
    arrays, cases = {}, []
    for preset, arguments in CALLS.items():
        for name, weight in weights().items():
            if "k_quant" in preset and name.startswith("one block"):  # it stops there
                continue
            i = len(cases)
            arrays.update({f"{i} {part}": each for part, each in stored(weight, **arguments).items()})
            arrays[f"{i} x"] = weight.T
            cases.append({"preset": preset, "weight": name})
    np.savez_compressed(FOLDER / "nbits_calls.npz", **arrays)
    packages = ("onnxruntime", "onnx", "torch", "numpy")
    about = {"recorded_with": {name: version(name) for name in packages}, "cases": cases}
    (FOLDER / "nbits_calls.json").write_text(json.dumps(about) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
