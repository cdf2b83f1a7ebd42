"""How fine is the search for a range? Whether the least there is was found, or the best of how many."""

from __future__ import annotations

from qviz.core.problems import Phrase
from qviz.core.questions.calibration import grid_of
from qviz.core.ranges.entropy import Entropy
from qviz.core.ranges.least import MOST_BREAKPOINTS
from qviz.core.ranges.mse import MSE, ranges_tried
from qviz.core.ranges.paddle import PaddleEMD, PaddleKL, PaddleMSE
from qviz.core.ranges.tensorrt import BINS, FIRST, TensorRTEntropy
from qviz.core.schemes.scheme import Scheme, convention_of
from qviz.core.tensors.tensor import Tensor

PADDLE_STEPS, PADDLE_CANDIDATES = 35, 1025
"""Thresholds that Paddle's searches try: from 0.30 to 0.98 of absmax by 0.02; from half of its 2048 bins on."""


def fineness(tensor: Tensor, scheme: Scheme) -> Phrase | None:
    """What is said of a search beside its answer; None where nothing is searched for."""
    match scheme.range_rule:
        case MSE():
            return _of_least_error(tensor, scheme)
        case Entropy(bins=bins, quantized_bins=quantized):
            count = bins // 2 - quantized // 2 + 1
            return Phrase("The best of {count:,} thresholds, whole bins of {bins:,}.", count=count, bins=bins)
        case PaddleKL():
            return Phrase("The best of up to {count:,} thresholds, whole bins of 2,048.", count=PADDLE_CANDIDATES)
        case TensorRTEntropy():
            count = BINS - FIRST + 1
            return Phrase("The best of {count:,} thresholds, whole bins of {bins:,}.", count=count, bins=BINS)
        case PaddleMSE() | PaddleEMD():
            return Phrase("The best of {count:,} thresholds.", count=PADDLE_STEPS)
    return None


def _of_least_error(tensor: Tensor, scheme: Scheme) -> Phrase:
    grid = grid_of(scheme)
    # Of more elements no pass is made for the sake of a label.
    few = tensor.elements <= MOST_BREAKPOINTS
    if grid is not None and few and grid.breakpoints * tensor.finite <= MOST_BREAKPOINTS:
        return Phrase("The least there is: looked for between all breakpoints of the data.")
    groups = scheme.granularity.layout(tensor.shape).groups
    number_format = scheme.number_format
    signed = convention_of(scheme).signs_scales(number_format, scheme.symmetric)
    count = ranges_tried(scheme.symmetric, number_format.levels, groups == 1, signed)
    if groups == 1:
        return Phrase("The best of {count:,} ranges, each measured on every element.", count=count)
    return Phrase("The best of {count:,} ranges for each group, each measured on every element.", count=count)
