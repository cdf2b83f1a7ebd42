"""How does llama.cpp quantize where the largest element alone gives the scale: TQ1_0, TQ2_0, MXFP4 and NVFP4?

The source is ggml's ``ggml-quants.c``: ``quantize_row_tq1_0_ref``, ``quantize_row_tq2_0_ref``,
``quantize_row_mxfp4_ref`` and ``quantize_row_nvfp4_ref``. None of them looks at an importance matrix.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from qviz.core.arrays import Array, FloatArray
from qviz.core.formats.table import NumberFormat
from qviz.core.problems import N_, Problem
from qviz.core.runtimes.expressions import Expression, Formula, Function, Symbol
from qviz.core.runtimes.formulas import (
    ABSMAX,
    DEQUANTIZED,
    QMAX,
    Formulas,
    R,
    S,
    absmax_of,
    clipped,
    rounding,
)
from qviz.core.runtimes.gguf import FLOAT16_INSTEAD, GGUF
from qviz.core.runtimes.llamacpp import SUPERBLOCK, instead
from qviz.core.runtimes.microscaling import BIAS, TWO_TO
from qviz.core.runtimes.record import Convention, Recipe

# --- three values --------------------------------------------------------------------------------------------


def _ternary(name: str, summary: str, code_bits: float) -> Convention:
    """Of GGUF's signed codes those from −1 to 1: rounded halves away from 0, by a scale before it is a float16."""
    return replace(
        GGUF,
        name=name.lower(),
        label=f"{name} (llama.cpp)",
        summary=summary,
        symmetric_only=True,
        integers=frozenset({"int2"}),
        symmetric_integers_only=frozenset(),
        block_size=SUPERBLOCK,
        superblock=SUPERBLOCK,
        ragged_instead=instead("Q4_0"),
        code_bits=code_bits,
    )


TQ1_0 = _ternary(
    "TQ1_0",
    N_(
        "−1, 0 or 1 times the absmax of 256 neighbours, a float16: for networks that were trained with three values "
        "(BitNet). Five values a byte, 1.6875 bits an element with the scale."
    ),
    13 / 8,
)
TQ2_0 = _ternary(
    "TQ2_0",
    N_(
        "−1, 0 or 1 times the absmax of 256 neighbours, a float16: for networks that were trained with three values "
        "(BitNet). Four values a byte, 2.0625 bits an element with the scale."
    ),
    2,
)

# --- FP4 -----------------------------------------------------------------------------------------------------

LARGEST = np.finfo(np.float32).max
DIVISOR = Symbol("S", "divisor")


def e8m0(absmax: FloatArray) -> Array:
    """``floorf(log2f(absmax)) − 2``: the exponent that a block of MXFP4 shares, int32, before it is cut to a byte.

    log2f rounds up just below powers of two.
    """
    with np.errstate(divide="ignore"):
        logarithm = np.log2(np.asarray(absmax, np.float64)).astype(np.float32)
    return np.where(absmax > 0, np.floor(logarithm) - 2, -BIAS).astype(np.int32)


def _exponent(absmax: Any) -> Any:
    found = e8m0(np.asarray(absmax, np.float32))
    # A byte too small comes round at the large end, and nothing is left of the block.
    return np.where(found < -BIAS, BIAS, found)[()]


EXPONENT = Function(
    "(floor(log2({0})) − 2)",
    "exponent({0})",
    _exponent,
    """\
def exponent(a):  # floor(log2(a)) - 2, of a logarithm rounded to float32; of 0 the least there is, below that the most
    with np.errstate(divide="ignore"):
        power = np.floor(np.float32(np.log2(a.astype(float)))) - 2
    return np.where(a == 0, -127, np.where(power < -127, 127, power))
""",
    hides=lambda absmax: bool(np.any((absmax == 0) | (e8m0(np.asarray(absmax, np.float32)) < -BIAS))),
)


def _mxfp4_recipe(low: FloatArray, high: FloatArray, scheme: Any) -> Recipe:
    absmax = np.asarray(absmax_of(low, high), np.float32)
    if absmax.size and e8m0(absmax.max()) + 2 > BIAS:
        raise Problem(
            "llama.cpp's MXFP4 goes beyond {largest:.2g}, the largest float32: choose another runtime, or divide the "
            "tensor by a constant.",
            largest=float(LARGEST),
        )
    scale = np.asarray(np.ldexp(np.float32(1), _exponent(absmax)), np.float32)
    return Recipe(scale, scale)


def ue4m3(values: FloatArray) -> FloatArray:
    """``ggml_fp32_to_ue4m3``, and back: 8 bits of numbers that are not negative, halves up, 448 from 248 on."""
    y = np.minimum(np.asarray(values, np.float32), np.float32(448))
    last = np.maximum(np.frexp(y)[1] - 1, -6) - 3
    whole = np.floor(np.ldexp(y, -last) + np.float32(0.5))
    whole = np.where(y < np.float32(2.0**-6), np.minimum(whole, 7), whole)
    found = np.ldexp(whole, last)
    return np.where(found > 240, np.float32(448), found).astype(np.float32)[()]


UE4M3 = Function(
    "ue4m3({0})",
    "ue4m3({0})",
    lambda values: ue4m3(np.asarray(values, np.float32)),
    """\
def ue4m3(y):  # FP8 without a sign, halves up, as ggml rounds to it: 240 is followed by 448
    y = np.minimum(y, np.float32(448))
    last = np.maximum(np.frexp(y)[1] - 1, -6) - 3  # power of two of the last bit
    whole = np.floor(np.ldexp(y, -last) + np.float32(0.5))
    whole = np.where(y < np.float32(2**-6), np.minimum(whole, 7), whole)
    return np.where(np.ldexp(whole, last) > 240, np.float32(448), np.ldexp(whole, last))
""",
)
LARGEST_FOR_ZERO = Function(
    "{0}, or the largest float32 for 0",
    "np.where({0} == 0, np.finfo(np.float32).max, {0})",
    lambda scale: np.where(np.asarray(scale) == 0, LARGEST, scale)[()],
)


# From here on float32 cannot tell the errors of the levels under the largest scale apart, and ggml takes the first one.
TOLD_APART = np.float32(2**33)


def _nvfp4_recipe(low: FloatArray, high: FloatArray, scheme: Any) -> Recipe:
    absmax = np.asarray(absmax_of(low, high), np.float32)
    if absmax.size and absmax.max() >= TOLD_APART:
        raise Problem(
            "llama.cpp's NVFP4 stores zeros for elements from {largest:.2g} on, so far are they beyond its scales: "
            "choose another runtime, or divide the tensor by a constant.",
            largest=float(TOLD_APART),
        )
    scale = np.asarray(ue4m3(absmax / np.float32(scheme.number_format.quant_max)), np.float32)
    return Recipe(scale, np.asarray(np.where(scale == 0, LARGEST, scale), np.float32))


def _formulas_of(scale: Expression) -> Any:
    @lru_cache
    def of(number_format: NumberFormat, symmetric: bool) -> Formulas:
        return Formulas(
            scale=Formula(S, scale),
            zero_point=None,
            code=clipped(rounding(number_format)(R / DIVISOR)),
            value=DEQUANTIZED,
            divisor=Formula(DIVISOR, LARGEST_FOR_ZERO(S)),
        )

    return of


def _fp4(name: str, summary: str, **parts: Any) -> Convention:
    return Convention(
        name=f"ggml_{name.lower()}",
        label=f"{name} (llama.cpp)",
        summary=summary,
        range_includes_zero=False,
        symmetric_only=True,
        integers=frozenset(),
        others=frozenset({"fp4_ggml"}),
        whole_blocks=True,
        scale_bits=8,
        not_finite=N_("ggml stores 0 for NaN, and for everything in a block that holds an infinity."),
        **parts,
    )


GGML_MXFP4 = _fp4(
    "MXFP4",
    N_(
        "Blocks of 32 FP4 values that share a power of two, as ggml rounds to them: halves towards 0, and a zero "
        "without a sign, which is not what OCP's standard says. Rows are a multiple of 32 long."
    ),
    formulas=_formulas_of(TWO_TO(EXPONENT(ABSMAX))),
    block_size=32,
    ragged_instead=FLOAT16_INSTEAD,
    recipe=_mxfp4_recipe,
)
GGML_NVFP4 = _fp4(
    "NVFP4",
    N_(
        "Blocks of 16 FP4 values with an FP8 scale each and none for the tensor, as ggml rounds to them: halves of "
        "values towards 0, halves of scales up, and no scale between 240 and 448. Rows are a multiple of 64 long."
    ),
    formulas=_formulas_of(UE4M3(ABSMAX / QMAX)),
    block_size=16,
    superblock=64,
    recipe=_nvfp4_recipe,
)
