"""Which range estimators are there?"""

from __future__ import annotations

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
from qviz.core.ranges.rules import Manual, MinMax, Percentile, RangeRule
from qviz.core.ranges.tensorrt import TensorRTEntropy
from qviz.core.ranges.torch import MovingAverage, TorchHistogram

RANGE_RULES: dict[str, type[RangeRule]] = {
    rule.kind: rule
    for rule in (
        MinMax,
        Percentile,
        MSE,
        Entropy,
        AbsMax,
        MovingAverage,
        OnnxRuntimePercentile,
        TorchHistogram,
        PaddleKL,
        PaddleHistogram,
        PaddleAverage,
        PaddleMSE,
        PaddleEMD,
        PaddlePTF,
        TensorRTEntropy,
        Manual,
        Known,
    )
}
"""Every range estimator by its ``kind``; a new one is a class and a row."""


def reads_shape(rule: RangeRule) -> bool:
    """Whether a rule depends on which elements came together, so that a sample tells it nothing."""
    return isinstance(rule, PaddleAverage) or getattr(rule, "batch_axis", None) is not None
