"""How does bitsandbytes quantize to 4 bits? ``quantize_4bit``, NF4 and its own FP4, with scales of 32 bits or of 8."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.formats.table import NumberFormat
from qviz.core.problems import N_
from qviz.core.runtimes.expressions import Formula, Function, Number, Symbol
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
from qviz.core.runtimes.precision import BYTE
from qviz.core.runtimes.record import LAST, Convention, Recipe
from qviz.core.tensors.torch_sums import torch_total

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
        "get the nearest level of NF4 or of bitsandbytes' FP4, the lower one of two as near. Scales are not quantized."
    ),
    range_includes_zero=False,
    formulas=_formulas,
    symmetric_only=True,
    integers=frozenset(),
    others=frozenset({"nf4", "fp4_bnb"}),
    recipe=_recipe,
    divisor_is_inverse=True,
    nan_code=LAST,
)


# --- double quantization -----------------------------------------------------------------------------

TOGETHER = 256
"""Scales that share a scale."""

DECADES = 7


@cache
def dynamic_map() -> FloatArray:
    """The 256 levels of 8 bits, ascending: ``create_dynamic_map``, in float32 as torch computes it."""
    levels: list[float] = [0.0, 1.0]
    for decade in range(DECADES):
        parts = 1 << decade
        first, step = float(np.float32(0.1)), float((np.float32(1) - np.float32(0.1)) / np.float32(parts))
        up = np.arange(parts + 1)
        ends = np.where(up < (parts + 1) // 2, first + step * up, 1 - step * (parts - up)).astype(np.float32)
        middles = np.float32(10.0 ** (decade - DECADES + 1)) * ((ends[:-1] + ends[1:]) / np.float32(2))
        levels += [*middles.tolist(), *(-middles).tolist()]
    return np.array(sorted(levels), np.float32)


def _double(absmax: Any) -> Any:
    """Scales less their mean, as levels of the largest of each 256 of them, and back."""
    scales = np.asarray(absmax, np.float32)
    flat, levels = scales.reshape(-1), dynamic_map()
    middles = (levels[:-1] + levels[1:]) / np.float32(2)
    with np.errstate(all="ignore"):
        mean = np.float32(torch_total(flat)) / np.float32(max(flat.size, 1))
        rest, found = flat - mean, np.empty_like(flat)
        for start in range(0, flat.size, TOGETHER):
            part = rest[start : start + TOGETHER]
            largest, smallest = np.abs(part).max(), np.float32(SMALLEST.fixed)
            if part.size == TOGETHER:
                unit = part * (np.float32(1) / np.maximum(largest, smallest))
            else:  # its last block is divided
                largest = np.maximum(largest, smallest)
                unit = part / largest
            found[start : start + TOGETHER] = levels[np.searchsorted(middles, np.clip(unit, -1, 1))] * largest + mean
    return found.reshape(scales.shape)


DOUBLE = Function(
    "dq({0})",
    "double({0})",
    _double,
    """\
def total(x):  # as torch adds fewer than 32,768 numbers on x86
    whole, sums = len(x) // 32, np.zeros((4, 4, 8), np.float32)
    for i in range(whole):
        sums[0] += x[32 * i : 32 * i + 32].reshape(4, 8)
        for level in (1, 2, 3):
            if (i + 1) % 16**level:
                break
            sums[level] += sums[level - 1]
            sums[level - 1] = 0
    lanes = (sums[0] + sums[1] + sums[2] + sums[3])[:, None]
    lanes[0] = sum((x[i : i + 8] for i in range(32 * whole, len(x) - 7, 8)), lanes[0])
    lanes = lanes[0] + lanes[1] + lanes[2] + lanes[3]
    return sum([*x[len(x) // 8 * 8 :], *lanes.ravel()], np.float32(0))


def double(absmax):  # less their mean, the nearest of 256 levels times the largest of each 256 of them, and back
    levels = [0.0, 1.0]
    for decade in range(7):
        parts = 1 << decade
        first, step = float(np.float32(0.1)), float((np.float32(1) - np.float32(0.1)) / np.float32(parts))
        up = np.arange(parts + 1)
        ends = np.where(up < (parts + 1) // 2, first + step * up, 1 - step * (parts - up)).astype(np.float32)
        middles = np.float32(10.0 ** (decade - 6)) * ((ends[:-1] + ends[1:]) / np.float32(2))
        levels += [*middles, *-middles]
    levels = np.sort(np.float32(levels))
    flat = np.float32(absmax).ravel()
    mean = total(flat) / np.float32(len(flat))
    for part in np.split(flat, range(256, len(flat), 256)):  # in its memory
        part -= mean
        largest, least = np.abs(part).max(), np.float32(1e-38)
        if len(part) < 256:
            largest = np.maximum(largest, least)
        unit = part * (np.float32(1) / np.maximum(largest, least)) if len(part) == 256 else part / largest
        nearest = np.searchsorted((levels[:-1] + levels[1:]) / np.float32(2), np.clip(unit, -1, 1))
        part[:] = levels[nearest] * largest + mean
    return flat.reshape(np.shape(absmax))
""",
)


def _double_recipe(low: FloatArray, high: FloatArray, scheme: Any) -> Recipe:
    found = _recipe(low, high, scheme)
    return Recipe(_double(found.scale), found.divisor)


@lru_cache
def _double_formulas(number_format: NumberFormat, symmetric: bool) -> Formulas:
    note = N_(", dq: less their mean, in 8 bits by the largest of each 256 of them")
    return replace(_formulas(number_format, symmetric), scale=Formula(S, DOUBLE(ABSMAX / QMAX), note=note))


BITSANDBYTES_DOUBLE = replace(
    BITSANDBYTES,
    name="bitsandbytes_double",
    label=N_("bitsandbytes, double quantization"),
    summary=N_(
        "quantize_4bit with compress_statistics, as QLoRA stores weights: codes follow from the absmax of each block, "
        "values from its copy in 8 bits: less the mean of all, the nearest of 256 levels times the largest of each "
        "256 blocks."
    ),
    formulas=_double_formulas,
    per_block=True,
    scale_bits=BYTE,
    nested_scales=TOGETHER,
    tensor_bits=32,
    of_whole_tensor=True,
    recipe=_double_recipe,
)
