"""What quantization is, in NumPy alone: the public face that people script against."""

from qviz.core.affine import QParams, dequantize, fake_quantize, qparams_known, quantize
from qviz.core.analysis import Analysis, Metrics, analyze, estimate, measure
from qviz.core.batches import stack
from qviz.core.calibration import choose_qparams, loss_curves
from qviz.core.convention import Convention
from qviz.core.conventions import CONVENTIONS
from qviz.core.granularity import PerAxis, PerBlock, PerTensor, PerToken
from qviz.core.number_formats import Codebook, FloatFormat, IntFormat, format_named
from qviz.core.onnxruntime_ranges import OnnxRuntimePercentile
from qviz.core.optimal_ranges import MSE, Entropy
from qviz.core.paddle_ranges import (
    AbsMax,
    PaddleAverage,
    PaddleEMD,
    PaddleHistogram,
    PaddleKL,
    PaddleMSE,
    PaddlePTF,
)
from qviz.core.problems import Problem
from qviz.core.product import Product, multiply, quantized_product
from qviz.core.range_notes import pointed_out
from qviz.core.ranges import Manual, MinMax, Percentile
from qviz.core.scheme import Scheme
from qviz.core.sorted_tensor import SortedTensor, prepare
from qviz.core.storage import Storage, storage
from qviz.core.tensor import Tensor
from qviz.core.torch_ranges import MovingAverage, TorchHistogram

__all__ = [
    "CONVENTIONS",
    "MSE",
    "AbsMax",
    "Analysis",
    "Codebook",
    "Convention",
    "Entropy",
    "FloatFormat",
    "IntFormat",
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
    "dequantize",
    "estimate",
    "fake_quantize",
    "format_named",
    "loss_curves",
    "measure",
    "multiply",
    "pointed_out",
    "prepare",
    "qparams_known",
    "quantize",
    "quantized_product",
    "stack",
    "storage",
]
