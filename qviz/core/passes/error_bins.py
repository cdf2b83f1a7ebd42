"""Into which bins do the errors of a scheme go? Equal ones, with edges at 0 and at ± half a step."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from qviz.core.arithmetic.conversion import reach_of_groups
from qviz.core.arithmetic.qparams import QParams
from qviz.core.arrays import Array, FloatArray, Floats, ends_of
from qviz.core.passes.group_reach import TOGETHER, reach_of
from qviz.core.runtimes.precision import BYTE, HALVES
from qviz.core.tensors.layout import Layout
from qviz.core.tensors.tensor import Tensor

MAX_ERROR_BINS = 1024

BINS_TO_HALF_STEP = 24
"""Error bins between 0 and half a step; fewer for few elements, or where errors reach far beyond it."""

UNSATURATED_HALF_STEPS = 3
"""ONNX Runtime rounds E4M3 from 480 to 496 down to 448, though values beyond and before become NaN."""


def error_edges(
    tensor: Tensor, qparams: QParams, layout: Layout, to_half_step: int = BINS_TO_HALF_STEP
) -> tuple[Floats, float]:
    """Equal bins that hold every error, with an edge at 0 and at ± half the widest step that the data reach.

    Parameters
    ----------
    to_half_step : int
        Bins between 0 and half a step, at most.

    Returns
    -------
    edges : float64 array, shape (bins + 1,)
    half_step : float
        Half the widest step: for integers half the largest scale.
    """
    asked = qparams
    if qparams.breaks:  # errors of what is NaN are in no bin
        parts = {
            "scale": qparams.scale,
            "own_divisor": qparams.divisor,
            "shift": qparams.shift,
            "offset": qparams.offset,
        }
        whole = {k: np.where(qparams.broken, np.float32(0), a) for k, a in parts.items() if a is not None}
        if qparams.factor is not None:  # which values are divided by
            whole["own_divisor"] = np.where(qparams.broken, qparams.factor, qparams.divisor)
        qparams = replace(qparams, **whole)  # type: ignore[arg-type]
    scale, extremes = qparams.scale.reshape(-1), tensor.extremes(layout)
    largest_scale = scale_alone = further(qparams.scale_ends)
    apart, convention = 0.0, qparams.convention
    # GGUF rounds with one scale and multiplies by another, which float16 may have made 0;
    # so does MX where the scale is denormal, and bitsandbytes where scales are quantized, too.
    own_divisors = convention.recipe is not None and not convention.beyond_loops
    beyond = reach_of(extremes, qparams, with_divisors=own_divisors)
    if own_divisors:
        divisor = qparams.divisor.reshape(-1)
        apart = _furthest_apart(scale, divisor, convention.divisor_is_inverse) if beyond is None else beyond.apart
        if not convention.divisor_is_inverse:  # of the scale, but for its last bit, before it was quantized
            largest_scale = max(largest_scale, further(qparams.divisor_ends))
    elif qparams.factor is not None:
        # Paddle rounds with the threshold; what it multiplies by has few digits where it is denormal.
        apart = float(np.abs(scale - qparams.divisor.reshape(-1) / np.float64(qparams.factor)).max())
    largest_scale = largest_scale or 1.0
    # A quantizer clips most at the ends of the data. Every step of the formula rounds to
    # float32, which may push an error over the bound: far over it where a narrow range lies
    # far from 0.
    lowest, highest = _reach(extremes, qparams) if beyond is None else (beyond.lowest, beyond.highest)
    if asked is not qparams:
        lowest, highest = _reach_of_broken(extremes, asked, lowest, highest)
    ends = map(np.float32, (tensor.minimum, tensor.maximum)) if tensor.counted else extremes
    largest = max(largest_of(np.asarray(end)) for end in ends)
    number_format = qparams.number_format
    levels, widest = qparams.quant_max - qparams.quant_min + 1, number_format.largest_step
    if not number_format.scaled:  # the data have a small part of all levels, and nothing is computed with
        at = int(np.searchsorted(number_format.values[1:-1], np.float32(largest)))
        levels, widest = 0, float(number_format.values[at + 1] - number_format.values[at])
    half_step = largest_scale * widest / 2
    slack = float(np.finfo(np.float32).eps) * (2 * largest + levels * scale_alone) + levels * apart
    # So does every step that rounds to less than float32.
    slack += qparams.precision.coarsest * (largest + largest_scale)
    if qparams.precision.codes in HALVES and number_format.bits > BYTE:  # codes that have no room there may be any
        slack += largest + levels * scale_alone
    if qparams.shift is not None and qparams.offset is not None:
        slack += largest_of(qparams.shift - qparams.offset)
    furthest = half_step if qparams.saturates else UNSATURATED_HALF_STEPS * half_step
    low = min(-furthest, lowest) - slack
    high = max(furthest, highest) + slack
    width = half_step / min(to_half_step, max(4, round(math.sqrt(tensor.finite) / 4)))
    if (high - low) / width > MAX_ERROR_BINS - 2:
        width = half_step / max(1, int(half_step * (MAX_ERROR_BINS - 2) / (high - low)))
    if (high - low) / width > MAX_ERROR_BINS - 2:
        width = (high - low) / (MAX_ERROR_BINS - 2)
    first, last = math.floor(low / width), math.ceil(high / width)
    edges: Floats = np.arange(first, last + 1, dtype=np.float64) * width
    return edges, half_step


def _reach_of_broken(
    extremes: tuple[FloatArray, FloatArray], qparams: QParams, lowest: float, highest: float
) -> tuple[float, float]:
    """From where to where errors reach with those of broken groups, whose values may be finite all the same."""
    ends = np.array([np.ravel(end) for end in qparams.clip_range()], np.float64)
    low, high = (np.ravel(end).astype(np.float64) for end in extremes)
    broken = np.ravel(qparams.broken)
    with np.errstate(invalid="ignore"):
        errors = np.concatenate([(ends - low)[:, broken].ravel(), (ends - high)[:, broken].ravel()])
    errors = errors[np.isfinite(errors)]
    return float(errors.min(initial=lowest)), float(errors.max(initial=highest))


def _furthest_apart(scale: FloatArray, divisor: FloatArray, inverse: bool) -> float:
    """The largest difference between what codes are multiplied by and what values are divided by."""

    found = 0.0
    for start in range(0, scale.size, TOGETHER):
        ours, other = scale[start : start + TOGETHER], divisor[start : start + TOGETHER]
        found = max(found, largest_of(ours - (_inverse_of(other) if inverse else other)))
    return found


def _inverse_of(factor: FloatArray) -> Floats:
    """What division would be by; 0 where there is no such number."""
    with np.errstate(divide="ignore"):
        inverse: Floats = 1 / factor.astype(np.float64)
    inverse[~np.isfinite(inverse)] = 0
    return inverse


def largest_of(values: Array) -> float:
    """The largest magnitude."""
    return further(ends_of(values))


def further(ends: tuple[float, float]) -> float:
    """How far from 0 the end is that is further from it."""
    return max(abs(ends[0]), abs(ends[1]))


def _reach(extremes: tuple[FloatArray, FloatArray], qparams: QParams) -> tuple[float, float]:
    """The smallest and the largest finite error of the values at both ends of each group, and 0."""

    def of_end(values: FloatArray) -> tuple[float, float]:
        found = reach_of_groups(values, qparams)
        if found is not None:
            return found
        errors = np.subtract(qparams.shaped(-1).quantized(values), values, dtype=np.float64)
        if not np.isfinite(errors).all():
            errors = errors[np.isfinite(errors)]
        return float(errors.min(initial=0)), float(errors.max(initial=0))

    low, high = extremes
    one, other = of_end(low), of_end(high)
    return min(one[0], other[0]), max(one[1], other[1])
