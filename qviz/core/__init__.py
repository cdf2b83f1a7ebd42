"""What quantization is, in NumPy alone: the public face that people script against."""

from qviz.core.affine import QParams, choose_qparams, dequantize, fake_quantize, quantize
from qviz.core.analysis import Analysis, analyze
from qviz.core.conventions import CONVENTIONS, Convention
from qviz.core.granularity import PerAxis, PerTensor
from qviz.core.number_formats import IntFormat
from qviz.core.problems import Problem
from qviz.core.ranges import Manual, MinMax, Percentile
from qviz.core.scheme import Scheme
from qviz.core.storage import Storage, storage
from qviz.core.tensor import Tensor

__all__ = [
    "CONVENTIONS",
    "Analysis",
    "Convention",
    "IntFormat",
    "Manual",
    "MinMax",
    "PerAxis",
    "PerTensor",
    "Percentile",
    "Problem",
    "QParams",
    "Scheme",
    "Storage",
    "Tensor",
    "analyze",
    "choose_qparams",
    "dequantize",
    "fake_quantize",
    "quantize",
    "storage",
]
