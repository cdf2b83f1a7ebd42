"""What does a range estimator do that a person would not expect of it? One sentence, to be shown beside it."""

from __future__ import annotations

from qviz.core.problems import Phrase
from qviz.core.ranges.entropy import Entropy
from qviz.core.ranges.onnxruntime import OnnxRuntimePercentile
from qviz.core.ranges.paddle import PaddleAverage, PaddleEMD, PaddleHistogram, PaddleKL, PaddleMSE, PaddlePTF
from qviz.core.ranges.rules import RangeRule
from qviz.core.ranges.tensorrt import TensorRTEntropy
from qviz.core.ranges.torch import LEVELS, MovingAverage, TorchHistogram
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerTensor

PER_TENSOR_ALONE = {
    Entropy: "ONNX Runtime",
    OnnxRuntimePercentile: "ONNX Runtime",
    TorchHistogram: "PyTorch",
    PaddleKL: "Paddle",
    PaddleHistogram: "Paddle",
    PaddleAverage: "Paddle",
    PaddleMSE: "Paddle",
    PaddleEMD: "Paddle",
    PaddlePTF: "Paddle",
    TensorRTEntropy: "NVIDIA",
}
"""Rules that their library has for a whole tensor alone."""


def range_caveat(rule: RangeRule, scheme: Scheme) -> Phrase | None:
    """The most surprising thing about a range rule under a scheme, None where there is nothing to say.

    Parameters
    ----------
    rule : RangeRule
    scheme : Scheme
        Its own range rule does not matter.
    """
    return _of_itself(rule, scheme) or _per_axis(rule, scheme)


def _of_itself(rule: RangeRule, scheme: Scheme) -> Phrase | None:  # noqa: PLR0911  (a table of patterns)
    match rule:
        case Entropy() if rule.bins // 2 == rule.quantized_bins // 2:
            return Phrase(
                "With {bins} bins, ONNX Runtime's own default, there is a single candidate: the whole range. "
                "Nothing is clipped.",
                bins=rule.bins,
            )
        case OnnxRuntimePercentile(magnitudes=True) if not scheme.symmetric:
            return Phrase(
                "quantize_static counts magnitudes here, whatever the codes: CalibTensorRangeSymmetric is on by itself."
            )
        case TorchHistogram() if scheme.number_format.levels != LEVELS:
            return Phrase(
                "PyTorch's search assumes {levels} levels, whatever the bits: it is not the best range for these.",
                levels=LEVELS,
            )
        case MovingAverage(batch_axis=None):
            return Phrase(
                "A single batch has nothing to average: this is min–max. Say along which axis the batches lie."
            )
        case PaddleKL():
            return Phrase("Paddle tries no threshold below half of the largest magnitude.")
        case PaddleHistogram():
            return Phrase(
                "Paddle leaves the smallest magnitude out of the threshold: far from 0 it is too low by that."
            )
        case PaddleMSE(batch_axis=None, onnx_format=False) | PaddleEMD(batch_axis=None, onnx_format=False):
            return Phrase(
                "Paddle takes negative values for 0 in this search, as behind a ReLU; its onnx_format counts them."
            )
        case PaddleMSE(batch_axis=int()) | PaddleEMD(batch_axis=int()):
            return Phrase(
                "Paddle keeps the threshold of the one batch with the least loss, which clips all larger batches."
            )
        case TensorRTEntropy():
            return Phrase(
                "As NVIDIA's Model Optimizer calibrates for TensorRT: TensorRT's own calibrator is not public, and was "
                "not asked."
            )
        case PaddlePTF(batch_axis=int()):
            return Phrase("In Paddle every batch overwrites the threshold of the one before: the last batch decides.")
        case PaddlePTF():
            return Phrase("Paddle takes negative values for 0 in this search, as behind a ReLU.")
    return None


def _per_axis(rule: RangeRule, scheme: Scheme) -> Phrase | None:
    library = PER_TENSOR_ALONE.get(type(rule))
    if library is None or isinstance(scheme.granularity, PerTensor):
        return None
    return Phrase(
        "{library} has this for a whole tensor alone: each group is treated as a tensor of its own.", library=library
    )
