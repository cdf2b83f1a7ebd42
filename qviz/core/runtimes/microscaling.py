"""How do block formats choose their scales? Microscaling (MX), NVFP4 and GGUF: each a recipe of its own.

MX: OCP Microscaling Formats 1.0, and torchao's ``to_mx``; NVFP4: torchao's ``nvfp4_quantize``;
GGUF: ``quantize_blocks`` of the ``gguf`` package.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.formats.floats import EXPONENT_MASK, MANTISSA_BITS, ONE_EXPONENT, FloatFormat
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.problems import Problem
from qviz.core.runtimes.record import Convention, Recipe

BIAS = 127
LARGEST_EXPONENT = 254
"""Of an E8M0 scale; 255 is NaN."""

MX_BLOCK, NVFP4_BLOCK, GGUF_BLOCK = 32, 16, 32
MX_FORMATS = frozenset({"e4m3fn", "e5m2", "e2m3fn", "e3m2fn", "e2m1fn"})
INT8_FRACTION = 64.0
"""An MXINT8 element is a whole number of 64ths."""

WHOLE_ABOVE = np.float32(1 << MANTISSA_BITS)
"""From here on every float32 is a whole number."""

E4M3 = FloatFormat("e4m3fn")
SMALLEST_E4M3 = np.float32(2.0**-6)


def _absmax(low: FloatArray, high: FloatArray) -> FloatArray:
    return np.maximum(np.abs(low), np.abs(high))


def _exponent(values: FloatArray) -> Any:
    """The biased exponent bits."""
    return (values.view(np.int32) & EXPONENT_MASK) >> MANTISSA_BITS


def _floor_exponent(absmax: FloatArray, mantissa: int) -> Any:
    return _exponent(absmax)


def _ceil_exponent(absmax: FloatArray, mantissa: int) -> Any:
    return _exponent(absmax) + ((absmax.view(np.int32) & (ONE_EXPONENT - 1)) > 0)


def _even_exponent(absmax: FloatArray, mantissa: int) -> Any:
    # What rounds up to the next power of two in the element's precision counts as that.
    return _exponent((absmax.view(np.int32) + (1 << (MANTISSA_BITS - mantissa - 1))).view(np.float32))


def _mx(rule: Callable[[FloatArray, int], Any], low: FloatArray, high: FloatArray, scheme: Any) -> Recipe:
    """The largest element's exponent, less that of the format's largest value."""
    number_format, absmax = scheme.number_format, np.ascontiguousarray(_absmax(low, high))
    largest, fraction, mantissa = _element(number_format)
    stored = np.clip(
        rule(absmax, mantissa) - (_exponent(np.array([largest], np.float32))[0] - BIAS), 0, LARGEST_EXPONENT
    )
    # A stored 0 stands for 2^-127, but 2^-126, the smallest normal number, is what is divided by.
    divisor = np.maximum(_power(stored), np.finfo(np.float32).tiny)
    return Recipe(_power(stored) / fraction, np.asarray(divisor / fraction, np.float32))


def _mx_rceil(low: FloatArray, high: FloatArray, scheme: Any) -> Recipe:
    """The smallest power of two that leaves nothing to clip, by a rounded logarithm."""
    largest, fraction, _ = _element(scheme.number_format)
    ratio = _absmax(low, high) / np.float32(largest)
    with np.errstate(divide="ignore"):
        logarithm = np.log2(ratio.astype(np.float64)).astype(np.float32)
    stored = np.clip(np.ceil(logarithm), -BIAS, BIAS).astype(np.int32) + BIAS
    divisor = np.where(stored > 0, _power(stored), np.float32(1))  # so torchao has it
    return Recipe(_power(stored) / fraction, np.asarray(divisor / fraction, np.float32))


def _element(number_format: NumberFormat) -> tuple[float, np.float32, int]:
    """The largest value of an element, what its unit values are divided by, and its mantissa bits."""
    if isinstance(number_format, IntFormat):
        return number_format.quant_max / INT8_FRACTION, np.float32(INT8_FRACTION), number_format.bits - 2
    assert isinstance(number_format, FloatFormat)
    return number_format.quant_max, np.float32(1), number_format.grid[0]


def _power(stored: Any) -> FloatArray:
    """2^(stored − 127) as float32, a denormal one too."""
    return np.asarray(np.ldexp(np.float32(1), np.asarray(stored) - BIAS), np.float32)


def _nvfp4(low: FloatArray, high: FloatArray, scheme: Any) -> Recipe:
    """A float32 scale for the tensor, and an E4M3 one for each block."""
    absmax = _absmax(low, high)
    most = np.float32(absmax.max(initial=0))
    whole = most / np.float32(scheme.number_format.quant_max * E4M3.quant_max)
    if not whole >= np.finfo(np.float32).tiny:
        return Recipe(np.ones_like(absmax), np.ones_like(absmax))
    share = np.clip(
        absmax / np.float32(scheme.number_format.quant_max) / whole, SMALLEST_E4M3, np.float32(E4M3.quant_max)
    )
    block = E4M3.round(share, np.empty_like(share))
    return Recipe(block * whole, (np.float32(1) / whole) / block)


def _gguf(low: FloatArray, high: FloatArray, scheme: Any) -> Recipe:
    """Scales in float32 for the codes, in float16 for what is stored and multiplied by."""
    number_format = scheme.number_format
    levels, middle = number_format.levels, 0.0
    shift = offset = None
    if number_format.signed:
        scale = _absmax(low, high) / np.float32(number_format.quant_max)
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


def _gguf_codes(quantizer: Any, x: FloatArray, out: FloatArray | None) -> FloatArray:
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


def _microscaling(name: str, label: str, how: str, formula: str, recipe: Any) -> Convention:
    return Convention(
        name=name,
        label=label,
        summary=f"OCP Microscaling: blocks of 32 share a power of two (E8M0, 8 bits), {how}. torchao's to_mx.",
        range_includes_zero=False,
        scale_formula=formula,
        symmetric_scale_formula=formula,
        zero_point_formula="Z = 0",
        code_formula="Q = clip(round(R / S), −qmax, qmax)",
        code_range=lambda f, symmetric: (-f.quant_max, f.quant_max),
        symmetric_only=True,
        integers=frozenset({"int8"}),
        others=MX_FORMATS,
        block_size=MX_BLOCK,
        scale_bits=8,
        recipe=recipe,
    )


BLOCK_CONVENTIONS = (
    _microscaling(
        "mx_floor",
        "MX, scale rounded down",
        "the largest element's exponent (the standard's rule): a block may lie up to twice beyond the largest value",
        "S = 2^(floor(log2 absmax) − emax)",
        partial(_mx, _floor_exponent),
    ),
    _microscaling(
        "mx_ceil",
        "MX, scale rounded up",
        "rounded up so that nothing is clipped, which costs a bit of precision in most blocks",
        "S = 2^(ceil(log2 absmax) − emax)",
        partial(_mx, _ceil_exponent),
    ),
    _microscaling(
        "mx_even",
        "MX, scale rounded to nearest",
        "rounded up only where the largest element would round up to a power of two itself",
        "S = 2^(floor(log2 round(absmax)) − emax)",
        partial(_mx, _even_exponent),
    ),
    _microscaling(
        "mx_rceil",
        "MX, smallest scale without clipping",
        "the smallest one that clips nothing (the rule of NVIDIA's hardware)",
        "S = 2^ceil(log2(absmax / qmax))",
        _mx_rceil,
    ),
    Convention(
        name="nvfp4",
        label="NVFP4",
        summary="Blocks of 16 FP4 values with an FP8 E4M3 scale each, and one float32 scale for the tensor: "
        "block scales are multiples of it, never below 2^−6 of it. torchao's nvfp4_quantize with two levels.",
        range_includes_zero=False,
        scale_formula="S = e4m3(absmax / 6 / G) · G",
        symmetric_scale_formula="S = e4m3(absmax / 6 / G) · G, with G = tensor absmax / (448 · 6)",
        zero_point_formula="Z = 0",
        code_formula="Q = clip(round(R · (1 / G / e4m3)), −6, 6)",
        symmetric_only=True,
        integers=frozenset(),
        others=frozenset({"e2m1fn"}),
        block_size=NVFP4_BLOCK,
        scale_bits=8,
        tensor_bits=32,
        recipe=_nvfp4,
        divisor_is_inverse=True,
    ),
    Convention(
        name="gguf",
        label="GGUF (llama.cpp)",
        summary="Blocks of 32 with a float16 scale: Q4_0 and Q5_0 (symmetric, unsigned codes around the middle), Q4_1 "
        "and Q5_1 (asymmetric, with a float16 minimum), Q8_0 (symmetric int8). Codes come from the float32 scale, "
        "values from the float16 one.",
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
        block_size=GGUF_BLOCK,
        scale_bits=16,
        recipe=_gguf,
        code=_gguf_codes,
    ),
)
"""The block formats as conventions."""
