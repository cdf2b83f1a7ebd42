"""How does GGUF choose its scales and codes? ``quantize_blocks`` of the ``gguf`` package."""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.formats.floats import MANTISSA_BITS
from qviz.core.problems import N_, Problem
from qviz.core.runtimes.formulas import absmax_of
from qviz.core.runtimes.record import Convention, Recipe

BLOCK = 32
WHOLE_ABOVE = np.float32(1 << MANTISSA_BITS)
"""From here on every float32 is a whole number."""


def _recipe(low: FloatArray, high: FloatArray, scheme: Any) -> Recipe:
    """Scales in float32 for the codes, in float16 for what is stored and multiplied by."""
    number_format = scheme.number_format
    levels, middle = number_format.levels, 0.0
    shift = offset = None
    if number_format.signed:
        scale = absmax_of(low, high) / np.float32(number_format.quant_max)
    elif scheme.symmetric:
        # The element that lies furthest from 0, with its sign, gets the first code.
        middle = levels / 2
        scale = np.where(np.abs(low) >= np.abs(high), low, high) / np.float32(-middle)
    else:
        with np.errstate(over="ignore"):
            scale = (high - low) / np.float32(levels - 1)
        shift, offset = low, _as_float16(low)
    stored = _as_float16(scale)
    if not (np.isfinite(stored).all() and (offset is None or np.isfinite(offset).all())):
        raise Problem("GGUF stores scales as float16, which ends at 65,504: this tensor's values are too large for it.")
    return Recipe(stored, np.asarray(scale, np.float32), middle, shift, offset)


def _as_float16(values: FloatArray) -> FloatArray:
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(np.float32)


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
    scale_formula="S = (max − min) / qmax",
    symmetric_scale_formula="S = extreme / −middle (Q4_0, Q5_0), or absmax / 127 (Q8_0)",
    zero_point_formula="Z = 0, with min added in the end",
    code_formula="Q = clip(floor((R − min) · (1 / S) + Z + ½), qmin, qmax)",
    zero_point_before_rounding=True,
    code_range=lambda f, symmetric: (-f.quant_max if f.signed else 0, f.quant_max),
    integers=frozenset({"uint4", "uint5", "int8"}),
    symmetric_integers_only=frozenset({"int8"}),
    block_size=BLOCK,
    scale_bits=16,
    recipe=_recipe,
    code=_codes,
)
