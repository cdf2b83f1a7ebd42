"""How does NVFP4 choose a scale for each block of 16, and one for the tensor? torchao's ``nvfp4_quantize``."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray, empty
from qviz.core.formats.floats import FloatFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.problems import N_
from qviz.core.runtimes.block_scales import LARGEST_E4M3, SMALLEST_E4M3, fp8_shares
from qviz.core.runtimes.expressions import Folded, Formula, Function, Number, Symbol
from qviz.core.runtimes.formulas import (
    ABSMAX,
    CLIP,
    DEQUANTIZED,
    QMAX,
    TENSOR_ABSMAX,
    Formulas,
    R,
    S,
    absmax_of,
    clipped,
    rounding,
)
from qviz.core.runtimes.record import Convention, Recipe

BLOCK = 16
E4M3 = FloatFormat("e4m3fn")

TOGETHER = 1 << 15
"""Blocks whose scales are found together: what is computed on the way stays in the cache."""


def _recipe(low: FloatArray, high: FloatArray, scheme: Any) -> Recipe:
    """A float32 scale for the tensor, and an E4M3 one for each block."""
    largest = np.float32(scheme.number_format.quant_max)
    most = np.float32(max(-low.min(initial=0), high.max(initial=0)))
    whole = most / np.float32(scheme.number_format.quant_max * E4M3.quant_max)
    with np.errstate(all="ignore"):  # of zeros alone everything becomes NaN
        inverse = np.float32(1) / whole
        if whole > 0 and np.isfinite(inverse):
            scale, divisor, done, ends = fp8_shares(low, high, largest, whole)
        else:
            (scale, divisor), done, ends = empty((2, low.size), np.float32), 0, None
        lowest, highest = low.reshape(-1), high.reshape(-1)
        for start in range(done, low.size, TOGETHER):
            part = slice(start, start + TOGETHER)
            share = absmax_of(lowest[part], highest[part]) / largest / whole
            share = np.clip(share, SMALLEST_E4M3, LARGEST_E4M3)
            block = E4M3.round(share, share)
            np.multiply(block, whole, out=scale[part])
            np.divide(inverse, block, out=divisor[part])
    return Recipe(scale.reshape(low.shape), divisor.reshape(low.shape), ends=ends)


TENSOR_SCALE, BLOCK_SCALE, INVERSE = Symbol("G", "tensor_scale"), Symbol("B", "block_scale"), Symbol("I", "inverse")


def _as_e4m3(values: Any) -> Any:
    array = np.asarray(values, np.float32)
    return E4M3.round(array.reshape(-1), np.empty(array.size, np.float32)).reshape(array.shape)[()]


TO_E4M3 = Function(
    "e4m3({0})",
    "e4m3({0})",
    _as_e4m3,
    """\
def e4m3(y):  # the nearest FP8 number from 2^-6 to 448, ties to an even mantissa
    last = np.frexp(y)[1] - 4
    return np.ldexp(np.rint(np.ldexp(y, -last)), last)
""",
)


@lru_cache
def _formulas(number_format: NumberFormat, symmetric: bool) -> Formulas:
    whole = Formula(TENSOR_SCALE, TENSOR_ABSMAX / Folded(QMAX * Number(E4M3.quant_max)))
    share = CLIP(ABSMAX / QMAX / TENSOR_SCALE, Number(float(SMALLEST_E4M3), "2^−6"), E4M3.quant_max)
    block = Formula(BLOCK_SCALE, TO_E4M3(share))
    return Formulas(
        scale=Formula(S, BLOCK_SCALE * TENSOR_SCALE, (whole, block)),
        zero_point=None,
        code=clipped(rounding(number_format)(R * INVERSE)),
        value=DEQUANTIZED,
        divisor=Formula(INVERSE, 1 / TENSOR_SCALE / BLOCK_SCALE),
    )


NVFP4 = Convention(
    name="nvfp4",
    label=N_("NVFP4"),
    summary=N_(
        "Blocks of 16 FP4 values with an FP8 E4M3 scale each, and one float32 scale for the tensor: "
        "block scales are multiples of it, never below 2^−6 of it. torchao's nvfp4_quantize with two levels."
    ),
    range_includes_zero=False,
    formulas=_formulas,
    symmetric_only=True,
    integers=frozenset(),
    others=frozenset({"e2m1fn"}),
    block_size=BLOCK,
    whole_blocks=True,
    scale_bits=8,
    tensor_bits=32,
    of_whole_tensor=True,
    recipe=_recipe,
    divisor_is_inverse=True,
)


def _single_recipe(low: FloatArray, high: FloatArray, scheme: Any) -> Recipe:
    """An E4M3 scale for each block, and nothing besides."""
    share = absmax_of(low, high) / np.float32(scheme.number_format.quant_max)
    share = np.clip(share, SMALLEST_E4M3, LARGEST_E4M3)
    block = E4M3.round(share, np.empty_like(share))
    return Recipe(block, np.asarray(np.float32(1) / block, np.float32))


@lru_cache
def _single_formulas(number_format: NumberFormat, symmetric: bool) -> Formulas:
    share = CLIP(ABSMAX / QMAX, Number(float(SMALLEST_E4M3), "2^−6"), E4M3.quant_max)
    return Formulas(
        scale=Formula(S, TO_E4M3(share)),
        zero_point=None,
        code=clipped(rounding(number_format)(R * INVERSE)),
        value=DEQUANTIZED,
        divisor=Formula(INVERSE, 1 / S),
    )


NVFP4_SINGLE = replace(
    NVFP4,
    name="nvfp4_single",
    label=N_("NVFP4, one level"),
    summary=N_(
        "Blocks of 16 FP4 values with an FP8 E4M3 scale each, and none for the tensor: a scale lies between 2^−6 and "
        "448, so that small weights are lost. torchao's nvfp4_quantize without per_tensor_scale."
    ),
    formulas=_single_formulas,
    tensor_bits=0,
    of_whole_tensor=False,
    recipe=_single_recipe,
)
