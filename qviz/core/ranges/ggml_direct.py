"""Which bytes does ggml give to blocks whose scale is that of the largest element: TQ1_0, TQ2_0, MXFP4 and NVFP4?

Compiled loops that answer as ``quantize_row_*_ref`` of ggml's ``ggml-quants.c`` do, which looks at no importances.
Where they are not to be had, `qviz.files.ggml_blocks` does the same in NumPy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qviz.core.arrays import Array, FloatArray
from qviz.core.compiler import demand, kernel, part
from qviz.core.ranges.ggml_search import HALF, ONE, ZERO, half_bits
from qviz.core.work import IsCancelled, Progress, check, ignore, never

TQ1, TQ2, MX, NV = range(4)
"""What the kernels are asked for."""

KINDS = {"TQ1_0": (TQ1, 256, 54), "TQ2_0": (TQ2, 256, 66), "MXFP4": (MX, 32, 17), "NVFP4": (NV, 64, 36)}
"""What each type is here, and elements and bytes of a block."""

LEVELS = np.array([0, 1, 2, 3, 4, 6, 8, 12], np.float32)
"""Twice the levels of E2M1 that are not negative (``kvalues_mxfp4``)."""

MIDDLES = np.array([0.5, 1.5, 2.5, 3.5, 5, 7, 10], np.float32)
"""Above each the next one of `LEVELS` is nearer."""

MAGNITUDE = np.int32(0x7FFFFFFF)
FAR = np.float32(2**16)
"""Half scales from which on a float32 may not tell the errors of two levels apart."""

_PIECE = 1 << 18
"""Elements between two looks at the cancel flag, a multiple of every block."""


@part()
def _largest(bits: Any, at: Any, n: Any) -> Any:
    """The magnitude of the element furthest from 0. Bits of finite numbers are in the order of magnitudes."""
    most = np.int32(0)
    for i in range(at, at + n):
        most = max(most, np.int32(bits[i] & MAGNITUDE))
    return np.int32(most).view(np.float32)


@part()
def _largest_number(x: Any, at: Any, n: Any) -> Any:
    """The same where NaN is among them, which ggml's comparisons pass over."""
    most = ZERO
    for i in range(at, at + n):
        size = abs(x[i])
        if size > most:
            most = size
    return most


@part()
def _put_half(value: Any, out: Any, at: Any) -> None:
    half = half_bits(value)
    out[at], out[at + 1] = np.uint8(half & np.uint16(255)), np.uint8(half >> np.uint16(8))


def _example_ternary() -> tuple[Any, ...]:
    x, out = np.zeros(256, np.float32), np.zeros(66, np.uint8)
    x.flags.writeable = False
    return x, x.view(np.int32), TQ2, np.zeros(256, np.uint8), out, 0, 1


@kernel(_example_ternary, later=True)
def ternary(x: Any, bits: Any, kind: Any, codes: Any, out: Any, start: Any, stop: Any) -> None:
    """Encode the blocks from ``start`` to ``stop``; ``codes`` is memory for a block."""
    for number in range(start, stop):
        at = number * 256
        largest = _largest(bits, at, 256)
        inverse = ONE / largest if largest != ZERO else ZERO
        if math.isinf(inverse):  # lroundf of what is not finite leaves 0
            inverse = ZERO
        for i in range(256):
            value = x[at + i] * inverse
            codes[i] = np.uint8(1 + (value >= HALF) - (value <= -HALF))
        if kind == TQ2:
            to = number * 66
            for half in range(2):
                for i in range(32):
                    j = half * 128 + i
                    four = codes[j] | codes[j + 32] << np.uint8(2)
                    out[to + half * 32 + i] = four | codes[j + 64] << np.uint8(4) | codes[j + 96] << np.uint8(6)
            _put_half(largest, out, to + 64)
        else:
            to = number * 54
            _fives(codes, 0, 32, out, to)
            _fives(codes, 160, 16, out, to + 32)
            for i in range(4):
                five = ((codes[240 + i] * 3 + codes[244 + i]) * 3 + codes[248 + i]) * 3 + codes[252 + i]
                out[to + 48 + i] = np.uint8((np.uint32(five * 3) * np.uint32(256) + np.uint32(242)) // np.uint32(243))
            _put_half(largest, out, to + 52)


@part()
def _fives(codes: Any, at: Any, apart: Any, out: Any, to: Any) -> None:
    """Five codes a byte, as a fraction of 3⁵ rounded up."""
    for i in range(apart):
        five = np.uint32(codes[at + i])
        for n in range(1, 5):
            five = five * np.uint32(3) + np.uint32(codes[at + i + n * apart])
        out[to + i] = np.uint8((five * np.uint32(256) + np.uint32(242)) // np.uint32(243))


@part()
def _power(largest: Any) -> Any:
    """The byte of ``floorf(log2f(largest)) − 2``; one below 0 comes round at the other end."""
    if largest == ZERO or math.isinf(largest):  # whose logarithm x86 casts to 0
        return np.int32(0)
    exponent = np.int32(math.floor(np.float32(math.log2(np.float64(largest)))))
    return (exponent + np.int32(125)) & np.int32(255)


@part()
def _half_of_power(power: Any) -> Any:
    """``GGML_E8M0_TO_FP32_HALF``."""
    if power < 2:
        return np.int32(np.int32(0x00200000) << power).view(np.float32)
    return np.int32(np.int32(power - 1) << np.int32(23)).view(np.float32)


@part()
def _ue4m3(value: Any) -> Any:
    """``ggml_fp32_to_ue4m3``: eight bits of a number that is not negative, halves up."""
    value = min(value, np.float32(448))
    bits = np.float32(value).view(np.int32)
    exponent = (bits >> np.int32(23)) - np.int32(120)
    if exponent <= 0:
        return min(np.int32(7), np.int32(value * np.float32(512) + HALF))
    whole = (exponent << np.int32(3)) + (((bits >> np.int32(19)) + np.int32(1) >> np.int32(1)) & np.int32(7))
    if ((bits >> np.int32(19)) & np.int32(15)) == 15:  # the mantissa is carried over
        whole += np.int32(8)
    return np.int32(0x7E) if whole >= 120 else whole


@part()
def _half_of_ue4m3(byte: Any) -> Any:
    """``ggml_ue4m3_to_fp32``, which is half of what the byte stands for."""
    mantissa = np.float32(byte & np.int32(7))
    if byte < 8:
        return mantissa * np.float32(2**-10)
    exponent = (byte >> np.int32(3)) - np.int32(8)
    return (ONE + mantissa / np.float32(8)) * np.int32((exponent + np.int32(127)) << np.int32(23)).view(np.float32)


@part()
def _slowly(value: Any, half: Any, levels: Any) -> Any:
    """``best_index_mxfp4``: the first one of the least error, as float32 has it."""
    best, least = 0, abs(value)
    for i in range(1, 8):
        error = abs(levels[i] * half - value)
        if error < least:
            best, least = i, error
    for i in range(1, 8):
        error = abs(-levels[i] * half - value)
        if error < least:
            best, least = 8 + i, error
    return best


def _example_fp4() -> tuple[Any, ...]:
    x, out = np.zeros(64, np.float32), np.zeros(36, np.uint8)
    x.flags.writeable = False
    return x, x.view(np.int32), MX, LEVELS, MIDDLES, np.zeros(32, np.uint8), out, 0, 1


@kernel(_example_fp4, later=True)
def fp4(x: Any, bits: Any, kind: Any, levels: Any, middles: Any, codes: Any, out: Any, start: Any, stop: Any) -> None:
    """Encode the blocks from ``start`` to ``stop``; ``codes`` is memory for a group."""
    group = 32 if kind == MX else 16
    groups = 1 if kind == MX else 4
    half_group = group // 2
    for number in range(start, stop):
        to = number * (17 if kind == MX else 36)
        for part_of in range(groups):
            at = (number * groups + part_of) * group
            largest = _largest(bits, at, group)
            if math.isnan(largest):
                largest = _largest_number(x, at, group)
            if kind == MX:
                byte = _power(largest)
                half = _half_of_power(byte)
            else:
                byte = _ue4m3(largest / np.float32(6))
                half = _half_of_ue4m3(byte)
            out[to + part_of] = np.uint8(byte)
            if half == ZERO:
                for i in range(group):
                    codes[i] = np.uint8(0)
            elif largest > half * FAR or math.isinf(half * levels[7]):
                for i in range(group):
                    codes[i] = np.uint8(_slowly(x[at + i], half, levels))
            else:
                t0, t1, t2, t3 = half * middles[0], half * middles[1], half * middles[2], half * middles[3]
                t4, t5, t6 = half * middles[4], half * middles[5], half * middles[6]
                for i in range(group):
                    value = x[at + i]
                    size = abs(value)
                    code = np.int32(size > t0) + np.int32(size > t1) + np.int32(size > t2) + np.int32(size > t3)
                    code += np.int32(size > t4) + np.int32(size > t5) + np.int32(size > t6)
                    codes[i] = np.uint8(code + np.int32(8) * np.int32(value < -t0))
            first = to + groups + part_of * half_group
            for i in range(half_group):
                out[first + i] = codes[i] | codes[half_group + i] << np.uint8(4)


def encoded(x: FloatArray, name: str, *, progress: Progress = ignore, cancelled: IsCancelled = never) -> Array | None:
    """Values as ggml encodes them, in the order of memory.

    Parameters
    ----------
    x : float32 array
        Whole blocks of values: finite ones, but for MXFP4 and NVFP4, where NaN gets the code of 0 and an infinity
        leaves nothing of its block.
    name : str
        One of `KINDS`.
    progress, cancelled : callables

    Returns
    -------
    uint8 array of one axis, or None
        The blocks one after the other; None where the loops are not to be had.

    Raises
    ------
    Cancelled
        When asked to stop.
    """
    kind, block, nbytes = KINDS[name]
    compiled = ternary if kind in (TQ1, TQ2) else fp4
    if not demand(compiled):
        return None
    flat = np.ascontiguousarray(x, np.float32).reshape(-1)
    flat.flags.writeable = False
    tables = () if compiled is ternary else (LEVELS, MIDDLES)
    blocks = flat.size // block
    out, codes = np.empty(blocks * nbytes, np.uint8), np.empty(256, np.uint8)
    for start in range(0, blocks, _PIECE // block):
        check(cancelled)
        stop = min(start + _PIECE // block, blocks)
        compiled(flat, flat.view(np.int32), kind, *tables, codes, out, start, stop)
        progress(stop / blocks)
    return out
