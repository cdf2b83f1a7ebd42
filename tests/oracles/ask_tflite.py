"""How many scales, zero points, codes and values of LiteRT's quantizer differ from those of qviz?

``python -m tests.oracles.ask_tflite [CASES] [SEED]`` with ai-edge-quantizer and what qviz needs beside it. Every case
is random; the seed is printed. It ends with exit code 1 where anything differs.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any

import numpy as np
from ai_edge_quantizer.algorithms.uniform_quantize import uniform_quantize_tensor as library
from ai_edge_quantizer.qtyping import QuantGranularity, UniformQuantParams

from qviz.core import IntFormat, PerAxis, PerBlock, PerTensor, Scheme
from tests.oracles.asking import Answer, Ask, arguments, ask_all
from tests.oracles.families import DTYPES, FAMILIES

BLOCKS = (32, 64)
OF_FAMILIES = FAMILIES | {
    "about float16": lambda rng, shape: rng.standard_normal(shape) * 10.0 ** rng.uniform(-9, 8, (*shape[:1], 1))
}
"""And where scales of 16 bits end."""


def uniform(x: Any, scheme: Scheme) -> Answer:
    """``tensor_zp_scale_from_min_max`` and ``uniform_quantize``, as ``get_tensor_quant_params`` calls them."""
    x, bits, granularity = x.astype(np.float32), scheme.number_format.bits, scheme.granularity
    if isinstance(granularity, PerBlock):
        blocks, axis, size = x.reshape(x.shape[0], -1, granularity.block_size), 1, granularity.block_size
        low, high, name = blocks.min(-1), blocks.max(-1), QuantGranularity[f"BLOCKWISE_{size}"]
    elif isinstance(granularity, PerAxis):
        low, high, name = x.min(1, keepdims=True), x.max(1, keepdims=True), QuantGranularity.CHANNELWISE
        axis, size = 0, 0
    else:
        low, high, name = x.min(keepdims=True), x.max(keepdims=True), QuantGranularity.TENSORWISE
        axis, size = None, 0
    zero, scale = library.tensor_zp_scale_from_min_max(low, high, bits, scheme.symmetric, name)
    given = UniformQuantParams(bits, axis, scale, zero, scheme.symmetric, block_size=size)
    codes = library.uniform_quantize(x, given, bool(size))
    return scale, zero, codes, library.uniform_dequantize(codes.astype(np.int32), given).astype(np.float32)


def asked() -> list[tuple[Ask, Scheme]]:
    """Weights and activations, as the library has them."""
    found: list[tuple[Ask, Scheme]] = []
    for f in (IntFormat(8), IntFormat(4), IntFormat(2), IntFormat(16)):
        for symmetric in (True, False):
            wholes = (PerTensor(), PerAxis(0), *(PerBlock(-1, size) for size in BLOCKS))
            found += [(uniform, Scheme(f, symmetric, each, convention="tflite")) for each in wholes]
    return found


PACKAGES, OF_DTYPES = ("ai-edge-quantizer",), tuple(DTYPES)

if __name__ == "__main__":
    told = f"ai-edge-quantizer {version('ai-edge-quantizer')}"
    sys.exit(ask_all(asked(), *arguments(sys.argv[1:]), told, families=OF_FAMILIES))
