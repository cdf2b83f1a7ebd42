"""Which scales follow from the elements themselves, without a range between?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from qviz.core.arrays import Array, FloatArray
from qviz.core.formats.table import NumberFormat
from qviz.core.problems import Problem
from qviz.core.ranges import ggml
from qviz.core.ranges.ggml_types import LEVELS, TYPES
from qviz.core.ranges.hqq import cover_lines, hqq
from qviz.core.ranges.pairwise import means
from qviz.core.ranges.rules import RangeInput
from qviz.core.runtimes.record import Recipe
from qviz.core.tensors.batches import batches_of

STEPS, STEP = 20, 0.1
"""Of k-quant: inverse scales for from one code fewer to one code more."""

Fit = Callable[[RangeInput, NumberFormat], tuple[Array, Array] | Recipe]
"""Scales and zero points of all groups, float32, shape (groups,); or a recipe of such arrays."""


def k_quant(given: RangeInput, number_format: NumberFormat) -> tuple[Array, Array]:
    """The scale and minimum of least weighted squared error: ``quant_tensor_k_quant_cpu`` of ONNX Runtime.

    For each of twenty inverse scales the codes, and for these the line of least error Σw·(S·Q + m − x)², with weights
    w = |x| + √(Σx²/n); the first one of the least error is kept. The zero point is −m/S, rounded and clipped to codes.
    Missing elements of the last block are zeros, as it pads them. It sums float32 in the order of memory: blocks that
    are whole inputs lie side by side.
    """
    groups = given.layout.groups
    scales, zero_points = np.ones(groups, np.float32), np.zeros(groups, np.float32)
    last, side_by_side = number_format.levels - 1, groups > 1 and cover_lines(given.layout, given.tensor.shape)
    for first, rows in given.filled_rows():
        here = slice(first, first + len(rows))
        x = rows
        if side_by_side:  # a single row would be added up as if it stood alone
            x = np.asfortranarray(np.repeat(rows, 2, axis=0) if len(rows) == 1 else rows)
        with np.errstate(all="ignore"):
            scale, zero_point = _k_quant(x, last)
        scales[here], zero_points[here] = scale[: len(rows)], zero_point[: len(rows)]
    return scales, zero_points


def _total(values: FloatArray) -> FloatArray:
    total: FloatArray = np.sum(values, axis=1, keepdims=True)
    return total


def _k_quant(x: FloatArray, last: int) -> tuple[Array, Array]:
    weights = np.add(np.sqrt(_total(x**2) / x.shape[1]), np.abs(x))
    low, high = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    of_weights, of_values = _total(weights), _total(weights * x)
    wide = low != high
    inverse = np.ones(high.shape, np.float32)
    inverse[wide] = last / (high[wide] - low[wide])
    scale, best_low = 1 / inverse, low.copy()
    codes = np.clip(np.round(inverse * (x - low)), 0, last)
    least = _total(weights * (scale * codes + low - x) ** 2)
    for step in range(STEPS):
        factor = np.array([-1 + STEP * step + last]).astype(np.float32)[0]
        inverse = np.ones(high.shape, np.float32)
        # The library measures later widths from the minimum it has found so far.
        wide = best_low != high
        inverse[wide] = factor / (high[wide] - best_low[wide])
        codes = np.clip(np.round(inverse * (x - best_low)), 0, last)
        weighted = weights * codes
        once, twice, product = _total(weighted), _total(weighted * codes), _total(weighted * x)
        determinant = np.subtract(of_weights * twice, once**2)
        new_scale = (of_weights * product - of_values * once) / determinant
        new_low = (twice * of_values - once * product) / determinant
        error = _total(weights * (new_scale * codes + new_low - x) ** 2)
        better = (error < least)[:, 0]
        least[better], scale[better], best_low[better] = error[better], new_scale[better], new_low[better]
    zero_point = np.nan_to_num(np.clip((-best_low / scale).round(), 0, last))
    return scale[:, 0], zero_point[:, 0]


def deviation(given: RangeInput, number_format: NumberFormat) -> tuple[Array, Array]:
    """The standard deviation through that of all values of the format: ``compute_scale_zp_float8`` of ONNX Runtime."""
    values = number_format.decode(np.arange(1 << number_format.bits).astype(number_format.dtype))
    every = np.std(values[np.isfinite(values)])
    scales = np.zeros(given.layout.groups, np.float32)
    for group, (whole,) in batches_of(given.tensor, given.layout, None, cancelled=given.cancelled):
        batch = whole.finite(cancelled=given.cancelled)
        if not batch.size:
            continue
        mean = means(batch, lambda x, memory, i: x, 1, given.cancelled)[0]

        def squared(x: FloatArray, memory: FloatArray, i: int, mean: np.float32 = mean) -> FloatArray:
            np.subtract(x, mean, out=memory)
            return np.multiply(memory, memory, out=memory)

        with np.errstate(all="ignore"):
            scale = np.sqrt(means(batch, squared, 1, given.cancelled)[0]) / every
        scales[group] = np.float32(np.nan) if np.isnan(scale) else scale  # of either sign
    return scales, np.zeros_like(scales)


def half_quadratic(given: RangeInput, number_format: NumberFormat) -> Recipe:
    """The scales that values are multiplied by, turned over, and the zero points that `hqq` found."""
    inverse, zero_point = hqq(given, number_format)
    with np.errstate(divide="ignore"):
        return Recipe(np.float32(1) / inverse, inverse, zero_point)


def ggml_search(given: RangeInput, number_format: NumberFormat, name: str) -> Recipe:
    """The scales and minima that ggml's search finds for the blocks of one of its types."""
    tensor = given.tensor
    rows = np.asarray(tensor.values[:]).reshape(-1, tensor.shape[-1])
    if not np.isfinite(rows).all():
        raise Problem(
            "llama.cpp's quantizer refuses NaN and infinities, and {name} has some: choose another runtime, or clean "
            "the tensor first.",
            name=tensor.name,
        )
    found = ggml.encode(rows, name, cancelled=given.cancelled)
    scale = found.scale.reshape(-1)
    if found.type.kind == LEVELS:
        return Recipe(scale, found.inverses.reshape(-1))
    offset = found.offset.reshape(-1) if found.type.has_minimum else None
    # Where a scale is 0, every code means the same.
    return Recipe(scale, np.where(scale == 0, np.float32(1), scale), 0.0, offset, offset)


FITS: dict[str, Fit] = {
    "k_quant": k_quant,
    "hqq": half_quadratic,
    "deviation": deviation,
    **{name: partial(ggml_search, name=name) for name in TYPES},
}
"""By the name that a `Convention` gives in ``of_elements``."""
