"""How many scales, codes and values of int8 weights that NNCF's ``quantize`` stores differ from those of qviz?

``python -m tests.oracles.ask_nncf_quantized [CASES] [SEED]`` with nncf, openvino and what qviz needs beside them. Every
case is random; the seed is printed. It ends with exit code 1 where anything differs.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any

import numpy as np
import openvino
from nncf.common.quantization.structs import QuantizationScheme, QuantizerConfig, QuantizerGroup
from nncf.common.tensor_statistics.statistics import MinMaxTensorStatistic
from nncf.quantization.fake_quantize import calculate_quantizer_parameters
from nncf.tensor import Tensor
from openvino import opset13
from openvino._offline_transformations import compress_quantize_weights_transformation

from qviz.core import IntFormat, PerAxis, PerTensor, Scheme
from tests.oracles.asking import Answer, Ask, arguments, ask_all
from tests.oracles.families import FAMILIES

F = np.float32


def constant(x: Any) -> Any:
    """A weight of its own type, as float32: how models of 16 bits have it."""
    if x.dtype == F:
        return opset13.constant(x)
    if x.dtype == np.float16:
        return opset13.convert(opset13.constant(x), "f32")
    bits = openvino.Tensor(np.ascontiguousarray(x).view(np.int16), x.shape, openvino.Type.bf16)
    return opset13.convert(opset13.constant(bits), "f32")


def weights(x: Any, scheme: Scheme) -> Answer:
    """The parameters of the statistics, and what the transformation behind ``quantize`` makes of FakeQuantize."""
    per_channel = isinstance(scheme.granularity, PerAxis)
    axis = 1 if per_channel else None
    values = x.astype(F)
    low, high = values.min(axis, keepdims=True), np.abs(values).max(axis, keepdims=True)
    config = QuantizerConfig(
        mode=QuantizationScheme.SYMMETRIC, signedness_to_force=True, narrow_range=True, per_channel=per_channel
    )
    statistic = MinMaxTensorStatistic(Tensor(low), Tensor(high))
    found = calculate_quantizer_parameters(statistic, config, QuantizerGroup.WEIGHTS)
    ends = [opset13.constant(F(end.data)) for end in (found.input_low, found.input_high)]
    quantized = opset13.fake_quantize(constant(x), *ends, *ends, found.levels)
    given = opset13.parameter([1, x.shape[1]], F)
    graph = openvino.Model([opset13.result(opset13.matmul(given, quantized, False, True))], [given])
    compress_quantize_weights_transformation(graph)
    codes, scale = (each.get_data() for each in graph.get_ordered_ops() if each.get_type_name() == "Constant")
    return scale, None, codes, codes.astype(F) * scale


def asked() -> list[tuple[Ask, Scheme]]:
    """By rows, as is the default, and of a tensor."""
    wholes = (PerAxis(0), PerTensor())
    return [(weights, Scheme(IntFormat(8), True, each, convention="nncf_quantized")) for each in wholes]


PACKAGES, OF_FAMILIES, OF_DTYPES = ("nncf", "openvino"), FAMILIES, ("float32", "float16", "bfloat16")

if __name__ == "__main__":
    told = f"nncf {version('nncf')}, openvino {version('openvino')}"
    sys.exit(ask_all(asked(), *arguments(sys.argv[1:]), told, dtypes=OF_DTYPES))
