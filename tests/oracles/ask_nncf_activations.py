"""How many ranges and codes of activations under NNCF and OpenVINO differ from those of qviz?

``python -m tests.oracles.ask_nncf_activations [CASES] [SEED]`` with nncf, openvino and what qviz needs beside them.
Every case is random; the seed is printed. It ends with exit code 1 where anything differs.
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

from qviz.core import IntFormat, PerTensor, Scheme
from tests.oracles.asking import Answer, Ask, arguments, ask_all
from tests.oracles.families import FAMILIES

F = np.float32
LEVELS = 256


def codes_of(x: Any, low: Any, high: Any) -> Any:
    """What the plugin for processors makes of FakeQuantize with constant ends."""
    given = opset13.parameter(list(x.shape), F)
    ends = [opset13.constant(F(end)) for end in (low, high, 0, LEVELS - 1)]
    graph = openvino.Model([opset13.result(opset13.fake_quantize(given, *ends, LEVELS))], [given])
    compiled = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled([x])[0]


def activations(x: Any, scheme: Scheme) -> Answer:
    """The parameters of the statistics of a tensor, and the codes of FakeQuantize."""
    x = x.astype(F)
    mode = QuantizationScheme.SYMMETRIC if scheme.symmetric else QuantizationScheme.ASYMMETRIC
    high = np.abs(x).max() if scheme.symmetric else x.max()
    statistic = MinMaxTensorStatistic(Tensor(np.asarray(x.min(), F)), Tensor(np.asarray(high, F)))
    config = QuantizerConfig(num_bits=8, mode=mode, per_channel=False)
    found = calculate_quantizer_parameters(statistic, config, QuantizerGroup.ACTIVATIONS)
    assert found.levels == LEVELS
    first, last = F(found.input_low.data), F(found.input_high.data)
    scale = (last - first) / F(LEVELS - 1)
    if not np.isfinite(scale):
        return scale, None, None, None
    if scale == 0:  # of a range wider than float32: codes are NaN
        return scale, None, None, None
    return scale, -first * (F(LEVELS - 1) / (last - first)) + F(0), codes_of(x, first, last), None


def asked() -> list[tuple[Ask, Scheme]]:
    """Both modes, of a tensor."""
    modes = (True, False)
    return [(activations, Scheme(IntFormat(8, False), m, PerTensor(), convention="nncf_activations")) for m in modes]


PACKAGES, OF_FAMILIES, OF_DTYPES = ("nncf", "openvino"), FAMILIES, ("float32", "float16", "bfloat16")

if __name__ == "__main__":
    told = f"nncf {version('nncf')}, openvino {version('openvino')}"
    sys.exit(ask_all(asked(), *arguments(sys.argv[1:]), told, dtypes=OF_DTYPES))
