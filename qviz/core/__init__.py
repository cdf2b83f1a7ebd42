"""What quantization is, in NumPy alone: the public face that people script against."""

from importlib import import_module
from typing import TYPE_CHECKING

from qviz.core.arithmetic.qparams import QParams
from qviz.core.arithmetic.quantize import dequantize, fake_quantize, quantize
from qviz.core.arithmetic.scaling import qparams_from_values
from qviz.core.arithmetic.storage import Storage, storage
from qviz.core.formats.codebooks import Codebook
from qviz.core.formats.floats import FloatFormat
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import format_named
from qviz.core.problems import Problem
from qviz.core.ranges.entropy import Entropy
from qviz.core.ranges.known import Known
from qviz.core.ranges.mse import MSE
from qviz.core.ranges.onnxruntime import OnnxRuntimePercentile
from qviz.core.ranges.paddle import (
    AbsMax,
    PaddleAverage,
    PaddleEMD,
    PaddleHistogram,
    PaddleKL,
    PaddleMSE,
    PaddlePTF,
)
from qviz.core.ranges.rules import Manual, MinMax, Percentile
from qviz.core.ranges.torch import MovingAverage, TorchHistogram
from qviz.core.runtimes.record import Convention
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.schemes.caveats import range_caveat
from qviz.core.schemes.presets import PRESETS
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.batches import stack
from qviz.core.tensors.generators import GeneratorSpec, generate
from qviz.core.tensors.granularity import PerAxis, PerBlock, PerTensor, PerTile, PerToken
from qviz.core.tensors.granularity import PerGroup as PerGroup  # no part of ``*``, where it would hide torchao's
from qviz.core.tensors.sorted_tensor import SortedTensor, prepare
from qviz.core.tensors.tensor import Tensor

if TYPE_CHECKING:
    from qviz.core.questions.analysis import Analysis, analyze, estimate, measure
    from qviz.core.questions.calibration import choose_qparams
    from qviz.core.questions.differences import compare_conventions
    from qviz.core.questions.figures import Figures, Metrics
    from qviz.core.questions.loss_curves import loss_curves
    from qviz.core.questions.product import Product, multiply, quantized_product
    from qviz.core.questions.sweep import pareto, sweep

_AT_FIRST_USE = {
    "analysis": "Analysis analyze estimate measure",
    "calibration": "choose_qparams",
    "differences": "compare_conventions",
    "figures": "Figures Metrics",
    "loss_curves": "loss_curves",
    "product": "Product multiply quantized_product",
    "sweep": "pareto sweep",
}
"""Questions, by their modules in `qviz.core.questions`: loaded when the first is asked, not with a window."""

qparams_known = qparams_from_values
"""The earlier name."""

__all__ = [
    "CONVENTIONS",
    "MSE",
    "PRESETS",
    "AbsMax",
    "Analysis",
    "Codebook",
    "Convention",
    "Entropy",
    "Figures",
    "FloatFormat",
    "GeneratorSpec",
    "IntFormat",
    "Known",
    "Manual",
    "Metrics",
    "MinMax",
    "MovingAverage",
    "OnnxRuntimePercentile",
    "PaddleAverage",
    "PaddleEMD",
    "PaddleHistogram",
    "PaddleKL",
    "PaddleMSE",
    "PaddlePTF",
    "PerAxis",
    "PerBlock",
    "PerTensor",
    "PerTile",
    "PerToken",
    "Percentile",
    "Problem",
    "Product",
    "QParams",
    "Scheme",
    "SortedTensor",
    "Storage",
    "Tensor",
    "TorchHistogram",
    "analyze",
    "choose_qparams",
    "compare_conventions",
    "dequantize",
    "estimate",
    "fake_quantize",
    "format_named",
    "generate",
    "loss_curves",
    "measure",
    "multiply",
    "pareto",
    "pointed_out",
    "prepare",
    "qparams_from_values",
    "qparams_known",
    "quantize",
    "quantized_product",
    "range_caveat",
    "stack",
    "storage",
    "sweep",
]

pointed_out = range_caveat
"""Its name in version 0.1."""


def __getattr__(name: str) -> object:
    for module, names in _AT_FIRST_USE.items():
        if name in names.split():
            found = globals()[name] = getattr(import_module(f"qviz.core.questions.{module}"), name)
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
