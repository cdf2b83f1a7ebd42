"""How does NVFP4 choose its scales: one for the tensor, and one for each block of 16? torchao's ``nvfp4_quantize``."""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.formats.floats import FloatFormat
from qviz.core.problems import N_
from qviz.core.runtimes.formulas import absmax_of
from qviz.core.runtimes.record import Convention, Recipe

BLOCK = 16
E4M3 = FloatFormat("e4m3fn")
SMALLEST_E4M3 = np.float32(2.0**-6)


def _recipe(low: FloatArray, high: FloatArray, scheme: Any) -> Recipe:
    """A float32 scale for the tensor, and an E4M3 one for each block."""
    absmax = absmax_of(low, high)
    most = np.float32(absmax.max(initial=0))
    whole = most / np.float32(scheme.number_format.quant_max * E4M3.quant_max)
    if not whole >= np.finfo(np.float32).tiny:
        return Recipe(np.ones_like(absmax), np.ones_like(absmax))
    share = np.clip(
        absmax / np.float32(scheme.number_format.quant_max) / whole, SMALLEST_E4M3, np.float32(E4M3.quant_max)
    )
    block = E4M3.round(share, np.empty_like(share))
    return Recipe(block * whole, (np.float32(1) / whole) / block)


NVFP4 = Convention(
    name="nvfp4",
    label=N_("NVFP4"),
    summary=N_(
        "Blocks of 16 FP4 values with an FP8 E4M3 scale each, and one float32 scale for the tensor: "
        "block scales are multiples of it, never below 2^−6 of it. torchao's nvfp4_quantize with two levels."
    ),
    range_includes_zero=False,
    scale_formula="S = e4m3(absmax / 6 / G) · G",
    symmetric_scale_formula="S = e4m3(absmax / 6 / G) · G, with G = tensor absmax / (448 · 6)",
    zero_point_formula="Z = 0",
    code_formula="Q = clip(round(R · (1 / G / e4m3)), −6, 6)",
    symmetric_only=True,
    integers=frozenset(),
    others=frozenset({"e2m1fn"}),
    block_size=BLOCK,
    scale_bits=8,
    tensor_bits=32,
    recipe=_recipe,
    divisor_is_inverse=True,
)
