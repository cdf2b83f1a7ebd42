"""How does GGUF choose its scales and codes? ``quantize_blocks`` of the ``gguf`` package."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.formats.table import NumberFormat
from qviz.core.problems import N_, Phrase
from qviz.core.runtimes.expressions import ATOM, PRODUCT, Constant, Expression, Formula, Function, Number, Symbol
from qviz.core.runtimes.formulas import (
    ABSMAX,
    AWAY,
    DEQUANTIZED,
    EXTREME,
    FLOAT16,
    FLOOR,
    HALF,
    HALVES_AWAY,
    MAX,
    MIN,
    QMAX,
    VALUE,
    WHOLE_ABOVE,
    Formulas,
    Q,
    R,
    S,
    Z,
    absmax_of,
    as_float16,
    clipped,
)
from qviz.core.runtimes.record import Convention, Recipe

BLOCK = 32

FLOAT16_INSTEAD = Phrase(N_(" llama.cpp keeps such a tensor in float16."))
"""What llama.cpp does with rows that blocks of 32 do not divide."""


def _inverse(divisor: Any) -> Any:
    with np.errstate(divide="ignore", over="ignore"):
        inverse = np.float32(1) / np.asarray(divisor, np.float32)
    return np.where(np.isfinite(inverse), inverse, np.float32(0))[()]


def _recipe(low: FloatArray, high: FloatArray, scheme: Any) -> Recipe:
    """Scales in float32 for the codes, in float16 for what is stored and multiplied by."""
    number_format = scheme.number_format
    levels = number_format.levels
    middle: float | FloatArray = 0.0
    shift = offset = None
    if number_format.signed:
        scale = absmax_of(low, high) / np.float32(number_format.quant_max)
    elif scheme.symmetric:
        # The element that lies furthest from 0, with its sign, gets the first code.
        scale = np.where(np.abs(low) >= np.abs(high), low, high) / np.float32(-(levels // 2))
        # x86 casts what the infinite inverse of a denormal scale makes to 0.
        lost = (scale != 0) & (_inverse(scale) == 0)
        middle = np.where(lost, np.float32(0), np.float32(levels // 2)) if np.any(lost) else levels / 2
    else:
        with np.errstate(over="ignore"):
            scale = (high - low) / np.float32(levels - 1)
        shift, offset = low, as_float16(low)
    return Recipe(as_float16(scale), np.asarray(scale, np.float32), middle, shift, offset)


def _codes(quantizer: Any, x: FloatArray, out: FloatArray | None) -> FloatArray:
    """Half away from zero for Q8_0; half up, by adding a half and cutting off, for the others."""
    with np.errstate(divide="ignore"):
        inverse = np.float32(1) / quantizer.divisor
    # A scale without a finite inverse is stored as 0, and all its codes mean the same.
    inverse = np.where(np.isfinite(inverse), inverse, np.float32(0))
    if quantizer.shift is not None:
        x = x - quantizer.shift
    with np.errstate(invalid="ignore"):
        y = np.asarray(np.multiply(x, inverse, out=out))
    if quantizer.qparams.number_format.signed:
        magnitude = np.minimum(np.abs(y), WHOLE_ABOVE)
        whole = np.floor(magnitude)
        whole += np.floor(2 * (magnitude - whole))
        np.copysign(whole, y, out=y)
        return y
    np.add(y, quantizer.zero_point + np.float32(0.5), out=y)
    np.trunc(y, out=y)
    return y


FINE, OFFSET = Symbol("d", "divisor"), Symbol("m", "offset")


def _without(divisor: Any) -> Any:
    """Whether a scale has no finite inverse."""
    with np.errstate(divide="ignore", over="ignore"):
        return not np.isfinite(np.float32(1) / divisor).all()


INVERSE = Function(
    "1 / {0}",
    "inverse({0})",
    _inverse,
    """\
def inverse(d):  # 0 where it has no end
    with np.errstate(divide="ignore", over="ignore"):
        inverse = np.float32(1) / d
    return np.where(np.isfinite(inverse), inverse, np.float32(0))
""",
    holds=PRODUCT,
    asks=ATOM,
    hides=_without,
)


@lru_cache
def _formulas(number_format: NumberFormat, symmetric: bool) -> Formulas:
    shift, offset, value = R * INVERSE(FINE), None, DEQUANTIZED
    code: Expression = FLOOR(shift + (Z + HALF))
    note = ""
    if number_format.signed:
        fine, code, note = ABSMAX / QMAX, AWAY(shift), HALVES_AWAY
    elif symmetric:
        fine = EXTREME / -Constant("middle", number_format.levels // 2)
    else:
        fine = (MAX - MIN) / QMAX
        code = FLOOR((R - MIN) * INVERSE(FINE) + (Z + HALF))
        offset, value = Formula(OFFSET, FLOAT16(MIN)), Formula(VALUE, (Q - Z) * S + OFFSET)
    return Formulas(
        scale=Formula(S, FLOAT16(fine)),
        zero_point=None if symmetric else Formula(Z, Number(0)),
        code=replace(clipped(code), note=note),
        value=value,
        divisor=Formula(FINE, fine),
        offset=offset,
    )


GGUF = Convention(
    name="gguf",
    label=N_("GGUF (llama.cpp)"),
    summary=N_(
        "Blocks of 32 with a float16 scale: Q4_0 and Q5_0 (symmetric, unsigned codes around the middle), Q4_1 "
        "and Q5_1 (asymmetric, with a float16 minimum), Q8_0 (symmetric int8). Codes come from the float32 scale, "
        "values from the float16 one."
    ),
    range_includes_zero=False,
    symmetric_zero_point=lambda f: 0.0 if f.signed else f.levels / 2,
    formulas=_formulas,
    zero_point_before_rounding=True,
    code_range=lambda f, symmetric: (-f.quant_max if f.signed else 0, f.quant_max),
    integers=frozenset({"uint4", "uint5", "int8"}),
    symmetric_integers_only=frozenset({"int8"}),
    block_size=BLOCK,
    whole_blocks=True,
    ragged_instead=FLOAT16_INSTEAD,
    scale_bits=16,
    recipe=_recipe,
    code=_codes,
)
