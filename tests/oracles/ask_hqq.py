"""How many scales, zero points, codes and values of ONNX Runtime's HQQ differ from those of qviz?

``python -m tests.oracles.ask_hqq [CASES] [SEED]`` with onnxruntime, onnx, onnx_ir, torch and what qviz needs beside
them. Every case is random; the seed is printed. It ends with exit code 1 where anything differs.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper
from onnxruntime.quantization.matmul_nbits_quantizer import HQQWeightOnlyQuantConfig, HQQWeightOnlyQuantizer

from qviz.core import IntFormat, PerBlock, Scheme
from tests.oracles.asking import Answer, Ask, arguments, ask_all
from tests.oracles.families import FAMILIES


def hqq(x: Any, scheme: Scheme) -> Answer:
    """``quantize_internal`` of weights, outputs × features; values as MatMulNBits multiplies with them."""
    f, size = scheme.number_format, scheme.granularity.block_size
    quantizer = HQQWeightOnlyQuantizer(HQQWeightOnlyQuantConfig(size, f.bits))
    dtype = getattr(torch, x.dtype.name)
    given = torch.from_numpy(np.ascontiguousarray(x.T.astype(np.float32))).to(dtype).T  # as a network holds it
    found = quantizer.quantize_internal(given, bits=f.bits, group_size=size)
    # MatMulNBitsQuantizer hands bfloat16 weights to torch.from_numpy, which refuses them; the function takes them.
    half = np.float16 if x.dtype == np.float16 else np.float32
    codes, scale, zero = found[0].numpy(), *(each.float().numpy().astype(half) for each in found[1:])
    # The code of NaN is what the processor casts it to.
    broken = np.repeat(~np.isfinite(scale), size, axis=1)
    # Its kernel for processors has no 8 bits beside zero points that are no whole numbers.
    known = f.bits in (2, 4) and x.dtype.name != "bfloat16" and not broken.any() and np.isfinite(zero).all()
    values = multiplied(codes, scale, zero, f.bits, size)[:, : x.shape[1]] if known else None
    return scale, zero, np.where(broken, 0, codes)[:, : x.shape[1]], values


def multiplied(codes: Any, scale: Any, zero: Any, bits: int, size: int) -> Any:
    """What codes, outputs × features, stand for in MatMulNBits: the product with ones on the diagonal."""
    outputs, features = codes.shape
    parts = codes.reshape(outputs, -1, size * bits // 8, 8 // bits).astype(np.uint8)
    packed = np.bitwise_or.reduce(parts << np.arange(0, 8, bits, dtype=np.uint8), axis=-1)
    given = {"x": np.eye(features, dtype=scale.dtype), "w": packed, "scale": scale.ravel(), "zero": zero.ravel()}
    return session(outputs, features, bits, size, scale.dtype.name).run(None, given)[0].T


@cache
def session(outputs: int, features: int, bits: int, size: int, dtype: str) -> Any:
    """MatMulNBits alone, with everything as an input."""
    number = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}[dtype]
    kinds = {"x": number, "w": TensorProto.UINT8, "scale": number, "zero": number}
    about = {"K": features, "N": outputs, "bits": bits, "block_size": size}
    node = helper.make_node("MatMulNBits", [*kinds], ["y"], domain="com.microsoft", **about)
    inputs = [helper.make_tensor_value_info(name, kind, None) for name, kind in kinds.items()]
    graph = helper.make_graph(
        [node], "product", inputs, [helper.make_tensor_value_info("y", number, [features, outputs])]
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def asked() -> list[tuple[Ask, Scheme]]:
    """Weights in blocks, as the library has them; a block may be longer than what there is of it."""
    bits, sizes = (2, 4, 8), (16, 32, 64, 256)
    blocks = [(IntFormat(b, False), PerBlock(-1, size)) for size in sizes for b in bits]
    return [(hqq, Scheme(f, False, each, convention="onnxruntime_hqq")) for f, each in blocks]


PACKAGES, OF_FAMILIES, OF_DTYPES = ("onnxruntime", "torch"), FAMILIES, ("float32", "float16", "bfloat16")

if __name__ == "__main__":
    told = f"onnxruntime {version('onnxruntime')}, torch {torch.__version__}"
    sys.exit(ask_all(asked(), *arguments(sys.argv[1:]), told, dtypes=OF_DTYPES, shape=(4, 200)))
