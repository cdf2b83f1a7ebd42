"""How many scales, zero points and codes of NNCF's compressed weights differ from those of qviz?

``python -m tests.oracles.ask_nncf [CASES] [SEED]`` with nncf, openvino and what qviz needs beside them. Every case is
random; the seed is printed. It ends with exit code 1 where anything differs.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any

import numpy as np
from nncf import CompressWeightsMode
from nncf.quantization.algorithms.weight_compression.config import WeightCompressionConfig
from nncf.quantization.algorithms.weight_compression.weight_lowering import (
    do_integer_dequantization,
    do_integer_quantization,
)
from nncf.tensor import Tensor

from qviz.core import IntFormat, PerAxis, PerBlock, Scheme
from tests.oracles.asking import Answer, Ask, arguments, ask_all
from tests.oracles.families import FAMILIES

MODES = {
    ("int4", True): CompressWeightsMode.INT4_SYM,
    ("uint4", False): CompressWeightsMode.INT4_ASYM,
    ("int8", True): CompressWeightsMode.INT8_SYM,
    ("uint8", False): CompressWeightsMode.INT8_ASYM,
}


def compressed(x: Any, scheme: Scheme) -> Answer:
    """Groups of the last axis, or rows."""
    size = scheme.granularity.block_size if isinstance(scheme.granularity, PerBlock) else -1
    config = WeightCompressionConfig(MODES[scheme.number_format.name, scheme.symmetric], group_size=size)
    made = do_integer_quantization(Tensor(x.astype(np.float32)), config, reduction_axes=(1,))
    values = do_integer_dequantization(made, -1 if size == -1 else 1)
    zero = None if made.zero_point is None else made.zero_point.data
    return made.scale.data, zero, made.tensor.data.reshape(x.shape), values.data.reshape(x.shape)


def asked() -> list[tuple[Ask, Scheme]]:
    """Weights, as the library has them."""
    formats = ((IntFormat(4), True), (IntFormat(4, False), False), (IntFormat(8), True), (IntFormat(8, False), False))
    wholes = (PerAxis(0), PerBlock(-1, 32))
    return [(compressed, Scheme(f, s, each, convention="nncf")) for f, s in formats for each in wholes]


PACKAGES, OF_FAMILIES, OF_DTYPES = ("nncf",), FAMILIES, ("float32",)

if __name__ == "__main__":
    sys.exit(ask_all(asked(), *arguments(sys.argv[1:]), f"nncf {version('nncf')}", dtypes=OF_DTYPES))
