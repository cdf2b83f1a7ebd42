"""How does bitsandbytes quantize to 4 bits? ``quantize_4bit``, NF4 and its own FP4."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.formats.table import NumberFormat
from qviz.core.problems import N_
from qviz.core.runtimes.expressions import Formula, Number, Symbol
from qviz.core.runtimes.formulas import (
    ABSMAX,
    AT_LEAST,
    DEQUANTIZED,
    QMAX,
    Formulas,
    R,
    S,
    absmax_of,
    clipped,
    rounding,
)
from qviz.core.runtimes.record import Convention, Recipe

SMALLEST = Number(float(np.float32(1e-38)), "1e−38")
INVERSE = Symbol("I", "inverse")


def _recipe(low: FloatArray, high: FloatArray, scheme: Any) -> Recipe:
    absmax = np.asarray(absmax_of(low, high), np.float32)
    return Recipe(absmax, np.asarray(np.float32(1) / np.maximum(absmax, np.float32(SMALLEST.fixed)), np.float32))


@lru_cache
def _formulas(number_format: NumberFormat, symmetric: bool) -> Formulas:
    return Formulas(
        scale=Formula(S, ABSMAX / QMAX),
        zero_point=None,
        code=clipped(rounding(number_format)(R * INVERSE)),
        value=DEQUANTIZED,
        divisor=Formula(INVERSE, 1 / AT_LEAST(ABSMAX, SMALLEST)),
    )


BITSANDBYTES = Convention(
    name="bitsandbytes",
    label=N_("bitsandbytes"),
    summary=N_(
        "quantize_4bit, QLoRA's own: blocks share their absmax as float32, values are multiplied by its inverse and "
        "get the nearest level of NF4 or of bitsandbytes' FP4, the lower one of two as near. Without its double "
        "quantization of scales."
    ),
    range_includes_zero=False,
    formulas=_formulas,
    symmetric_only=True,
    integers=frozenset(),
    others=frozenset({"nf4", "fp4_bnb"}),
    recipe=_recipe,
    divisor_is_inverse=True,
)
