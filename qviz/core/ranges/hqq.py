"""Which scales and zero points does half-quadratic quantization find, as ONNX Runtime does it?

``HQQWeightOnlyQuantizer.quantize_internal`` of ``onnxruntime.quantization.matmul_nbits_quantizer`` 1.32, in float32,
with torch's powers, and in the order in which torch adds on x86.
"""

from __future__ import annotations

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.formats.table import NumberFormat
from qviz.core.ranges.powers import torch_power
from qviz.core.ranges.rules import RangeInput
from qviz.core.tensors.layout import BlockLayout, Layout
from qviz.core.tensors.torch_sums import torch_column_sums, torch_sums, torch_total

NORM, BETA, KAPPA, ROUNDS = 0.7, 10.0, 1.01, 20
"""The norm that is made small, the first weight of the errors, what it grows by, and how many rounds there are."""

LARGEST_INVERSE = np.float32(2e4)
ENOUGH = 1e4
"""The mean error that a first round has to stay below."""


def hqq(given: RangeInput, number_format: NumberFormat) -> tuple[FloatArray, FloatArray]:
    """Inverse scales and zero points, shape (groups,): those of the width, and those that make the 0.7-norm small.

    All blocks take another round until the mean error of the whole tensor no longer falls. Missing elements of the last
    block are zeros, as the library pads it.
    """
    groups, last = given.layout.groups, np.float32(number_format.levels - 1)
    inverse, zero_point = np.empty((groups, 1), np.float32), np.empty((groups, 1), np.float32)
    least, beta = ENOUGH, BETA
    filled = given.fill > given.layout.inner * given.layout.outer  # in a copy
    side_by_side = groups > 1 and not filled and cover_lines(given.layout, given.tensor.shape)
    for turn in range(ROUNDS):
        total, count = 0.0, 0
        for first, x in given.filled_rows():
            here = slice(first, first + len(x))
            with np.errstate(all="ignore"):
                if turn == 0:
                    inverse[here], zero_point[here] = _from_width(x, last)
                zero_point[here], error = _improved(x, inverse[here], zero_point[here], last, beta, side_by_side)
            total, count = total + error, count + x.size
        given.progress((turn + 1) / ROUNDS)
        beta *= KAPPA
        mean = float(np.float32(total) / np.float32(max(count, 1)))
        if not mean < least:
            break
        least = mean
    return inverse[:, 0], zero_point[:, 0]


def _from_width(x: FloatArray, last: np.float32) -> tuple[FloatArray, FloatArray]:
    low, high = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    width = high - low
    width[width == 0] = last
    inverse = np.minimum(np.float32(1) / width * last, LARGEST_INVERSE)
    return inverse, np.rint(-low * inverse)


def _improved(
    x: FloatArray, inverse: FloatArray, zero_point: FloatArray, last: np.float32, beta: float, side_by_side: bool
) -> tuple[FloatArray, float]:
    """The next zero points, and the sum of the errors under the present ones."""
    codes = np.clip(np.rint(x * inverse + zero_point), 0, last)
    error = x - (codes - zero_point) / inverse
    size = np.abs(error)
    power = torch_power(size + np.float32(1e-8), NORM - 1)
    kept = np.sign(error) * np.maximum(size - np.float32(1 / beta) * power, np.float32(0))
    moved = codes - (x - kept) * inverse
    if side_by_side:
        return torch_column_sums(moved.T) / np.float32(x.shape[1]), torch_total(np.ascontiguousarray(size.T))
    return torch_sums(moved) / np.float32(x.shape[1]), torch_total(size)


def cover_lines(layout: Layout, shape: tuple[int, ...]) -> bool:
    """Whether each block is a whole input of one output: then the library does not copy its transposed weight."""
    if isinstance(layout, BlockLayout):
        return layout.length == layout.inner
    return shape[-1] == layout.inner if layout.outer == 1 else layout.inner == 1
