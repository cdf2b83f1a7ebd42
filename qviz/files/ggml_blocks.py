"""Which bytes are ggml's blocks? As llama.cpp writes them into a GGUF file, for every type that is encoded here.

The layouts are those of ``ggml-common.h``; the encoders of the simple types those of ``ggml-quants.c``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arrays import Array, FloatArray
from qviz.core.problems import Problem
from qviz.core.ranges import ggml, ggml_direct
from qviz.core.ranges.ggml_types import TYPES, Blocks
from qviz.core.work import IsCancelled, Progress, ignore, never

MXFP4 = np.concatenate([ggml_direct.LEVELS, 0 - ggml_direct.LEVELS])
"""Twice the levels of E2M1 (``kvalues_mxfp4``)."""

SIMPLE = {name: block for name, (_, block, _) in ggml_direct.KINDS.items()}
"""Types whose scale needs no search, and the elements of their blocks."""

ENCODED = (*TYPES, *SIMPLE)


def encoded_bytes(
    x: FloatArray,
    name: str,
    importances: FloatArray | None = None,
    *,
    threads: int = 1,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Array:
    """The blocks of a matrix, as bytes.

    Parameters
    ----------
    x : float32 array of shape (rows, columns)
        Finite values.
    name : str
        One of `ENCODED`.
    importances : float32 array of shape (columns,), optional
        Of an importance matrix; the simple types make no use of it.

    Returns
    -------
    uint8 array of shape (rows, bytes of a row)

    Raises
    ------
    Problem
        When there is no such type, or rows do not divide into its blocks.
    Cancelled
        When asked to stop.
    """
    if name in TYPES:
        blocks = ggml.encode(x, name, importances, threads=threads, progress=progress, cancelled=cancelled)
        return packed(blocks).reshape(len(x), -1)
    if name not in SIMPLE:
        raise Problem("There is no encoder of {type}: choose one of {types}.", type=name, types=", ".join(ENCODED))
    block = SIMPLE[name]
    if x.shape[1] % block:
        raise Problem(
            "{type} needs rows of a multiple of {block} elements, and these have {columns}.",
            type=name,
            block=block,
            columns=x.shape[1],
        )
    found = ggml_direct.encoded(x, name, progress=progress, cancelled=cancelled)
    if found is None:
        found = _SIMPLE[name](np.ascontiguousarray(x, np.float32).reshape(-1, block))
    return np.asarray(found).reshape(len(x), -1)


def packed(blocks: Blocks) -> Array:
    """uint8 array of shape (blocks, bytes of a block)."""
    return np.concatenate(_LAYOUTS[blocks.type.name](blocks), axis=1)


def _two_halves(blocks: Blocks) -> Array:
    return blocks.halves.view(np.uint8)


def _one_half(blocks: Blocks) -> Array:
    return np.ascontiguousarray(blocks.halves[:, :1]).view(np.uint8)


def _pairs(codes: Array) -> Array:
    """Two codes a byte, the second one 32 elements later."""
    groups = codes.reshape(len(codes), -1, 2, 32)
    return np.asarray((groups[:, :, 0] & 15 | groups[:, :, 1] << 4).reshape(len(codes), -1))


def _fours(codes: Array) -> Array:
    """Four codes of two bits a byte, 32 elements apart."""
    groups = codes.reshape(len(codes), -1, 4, 32) & 3
    shifts = np.array([0, 2, 4, 6], np.uint8)[:, None]
    return np.asarray(np.bitwise_or.reduce(groups << shifts, axis=2).reshape(len(codes), -1))


def _bits(codes: Array, bit: int) -> Array:
    """One bit of each code, those 32 elements apart in one byte."""
    groups = codes.reshape(len(codes), 8, 32) >> bit & 1
    return np.asarray(np.bitwise_or.reduce(groups << np.arange(8, dtype=np.uint8)[:, None], axis=1))


def _scales_and_minima(blocks: Blocks) -> Array:
    """Eight scales and eight minima of six bits in twelve bytes."""
    s, m = blocks.scales.view(np.uint8), blocks.minima.view(np.uint8)
    low = s[:, :4] | (s[:, 4:] >> 4) << 6
    middle = m[:, :4] | (m[:, 4:] >> 4) << 6
    return np.concatenate([low, middle, s[:, 4:] & 15 | (m[:, 4:] & 15) << 4], axis=1)


def _sixteen_scales(blocks: Blocks) -> Array:
    """Sixteen scales of six bits, less 32, in twelve bytes."""
    s = (blocks.scales.astype(np.int16) + 32).astype(np.uint8)
    low = s[:, :8] & 15 | (s[:, 8:] & 15) << 4
    shifts = np.array([0, 2, 4, 6], np.uint8)[:, None]
    high = np.bitwise_or.reduce((s >> 4).reshape(-1, 4, 4) << shifts, axis=1)
    return np.concatenate([low, high], axis=1)


def _levels_of_32(codes: Array) -> Array:
    groups = codes.reshape(len(codes), -1, 2, 16)
    return np.asarray((groups[:, :, 0] | groups[:, :, 1] << 4).reshape(len(codes), -1))


def _q2_k(b: Blocks) -> list[Array]:
    return [b.scales.view(np.uint8) | b.minima.view(np.uint8) << 4, _fours(b.codes), _two_halves(b)]


def _q3_k(b: Blocks) -> list[Array]:
    return [_bits(b.codes, 2), _fours(b.codes), _sixteen_scales(b), _one_half(b)]


def _q4_k(b: Blocks) -> list[Array]:
    return [_two_halves(b), _scales_and_minima(b), _pairs(b.codes)]


def _q5_k(b: Blocks) -> list[Array]:
    return [_two_halves(b), _scales_and_minima(b), _bits(b.codes, 4), _pairs(b.codes)]


def _q6_k(b: Blocks) -> list[Array]:
    groups = b.codes.reshape(-1, 2, 2, 2, 32)
    low = (groups[:, :, 0] & 15 | groups[:, :, 1] << 4).reshape(len(b.codes), 128)
    return [low, _fours(b.codes >> 4), b.scales.view(np.uint8), _one_half(b)]


def _iq4_xs(b: Blocks) -> list[Array]:
    s = (b.scales.astype(np.int16) + 32).astype(np.uint16)
    high = np.bitwise_or.reduce(s >> 4 << 2 * np.arange(8, dtype=np.uint16), axis=1, keepdims=True)
    low = (s[:, ::2] & 15 | (s[:, 1::2] & 15) << 4).astype(np.uint8)
    return [_one_half(b), high.astype(np.uint16).view(np.uint8), low, _levels_of_32(b.codes)]


def _iq4_nl(b: Blocks) -> list[Array]:
    return [_one_half(b), _levels_of_32(b.codes)]


_LAYOUTS: dict[str, Any] = {
    "Q2_K": _q2_k,
    "Q3_K": _q3_k,
    "Q4_K": _q4_k,
    "Q5_K": _q5_k,
    "Q6_K": _q6_k,
    "IQ4_XS": _iq4_xs,
    "IQ4_NL": _iq4_nl,
}


def _ternary(x: FloatArray) -> tuple[Array, Array]:
    """Codes 0 to 2 of −1 to 1 times the absmax, halves away from 0; and the bytes of that as float16."""
    absmax = np.abs(x).max(axis=1, keepdims=True)
    with np.errstate(divide="ignore", over="ignore"):
        inverse = np.where(absmax > 0, np.float32(1) / absmax, np.float32(0))
    with np.errstate(invalid="ignore", over="ignore"):
        y = x * inverse
        magnitude = np.floor(np.abs(y))
        whole = np.copysign(magnitude + (np.abs(y) - magnitude >= np.float32(0.5)), y)
        return (np.where(np.isfinite(whole), whole, 0) + 1).astype(np.uint8), absmax.astype(np.float16).view(np.uint8)


def _tq2_0(x: FloatArray) -> Array:
    codes, half = _ternary(x)
    return np.concatenate([_fours(codes), half], axis=1)


def _tq1_0(x: FloatArray) -> Array:
    codes, half = _ternary(x)
    five = [codes[:, :160].reshape(-1, 5, 32), codes[:, 160:240].reshape(-1, 5, 16)]
    last = codes[:, 240:].reshape(-1, 4, 4)
    five.append(np.concatenate([last, np.zeros_like(last[:, :1])], axis=1))
    powers = np.array([81, 27, 9, 3, 1], np.uint16)[:, None]
    digits = [(group * powers).sum(axis=1, dtype=np.uint16) & 255 for group in five]
    parts = [((each.astype(np.uint32) * 256 + 242) // 243).astype(np.uint8) for each in digits]
    return np.concatenate([*parts, half], axis=1)


def _nearest_level(x: FloatArray, scale: FloatArray) -> Array:
    """The first of the levels that are nearest."""
    best = np.zeros(x.shape, np.uint8)
    with np.errstate(over="ignore", invalid="ignore"):
        least = np.abs(MXFP4[0] * scale - x)
        for i in range(1, len(MXFP4)):
            error = np.abs(MXFP4[i] * scale - x)
            nearer = error < least
            best[nearer] = i
            least = np.where(nearer, error, least)
    return best


def _mxfp4(x: FloatArray) -> Array:
    absmax = np.fmax.reduce(np.abs(x), axis=1, keepdims=True, initial=0)
    absmax[np.isinf(absmax)] = 0  # as x86 casts its logarithm
    # log2 of a float32 in float32 rounds up just below powers of two, as C's log2f does.
    with np.errstate(divide="ignore"):
        exponent = np.where(absmax > 0, np.floor(np.log2(absmax)) + 125, 0).astype(np.int32).astype(np.uint8)
    bits = np.where(exponent < 2, 0x00200000 << exponent.astype(np.uint32), (exponent.astype(np.uint32) - 1) << 23)
    codes = _nearest_level(x, bits.astype(np.uint32).view(np.float32))
    return np.concatenate([exponent, codes[:, :16] | codes[:, 16:] << 4], axis=1)


def _ue4m3(x: FloatArray) -> Array:
    """``ggml_fp32_to_ue4m3``: eight bits of numbers above 0, halves away from 0."""
    x = np.minimum(x, np.float32(448))
    bits = x.view(np.uint32)
    exponent = (bits >> 23 & 255).astype(np.int32) - 120
    mantissa = (bits >> 20 & 7).astype(np.int32) + (bits >> 19 & 1).astype(np.int32)
    exponent, mantissa = np.where(mantissa > 7, exponent + 1, exponent), np.where(mantissa > 7, 0, mantissa)
    normal = np.where(exponent >= 15, 0x7E, exponent << 3 | mantissa)
    small = np.minimum((x * np.float32(512) + np.float32(0.5)).astype(np.int32), 7)
    subnormal = (bits >> 23 & 255).astype(np.int32) - 120 <= 0
    return np.where(x > 0, np.where(subnormal, small, normal), 0).astype(np.uint8)


def _nvfp4(x: FloatArray) -> Array:
    groups = x.reshape(-1, 4, 16)
    scales = _ue4m3(np.fmax.reduce(np.abs(groups), axis=2, initial=0) / np.float32(6))
    exponent, mantissa = (scales >> 3 & 15).astype(np.int32), (scales & 7).astype(np.float32)
    value = np.where(
        exponent == 0,
        np.ldexp(mantissa, -9),
        np.ldexp(np.float32(1) + mantissa / np.float32(8), exponent - 7),
    ).astype(np.float32) * np.float32(0.5)
    value = np.where((scales == 0) | (scales == 0x7F), np.float32(0), value)
    codes = _nearest_level(groups, value[:, :, None])
    return np.concatenate([scales, (codes[:, :, :8] | codes[:, :, 8:] << 4).reshape(len(x), 32)], axis=1)


_SIMPLE: dict[str, Any] = {"TQ1_0": _tq1_0, "TQ2_0": _tq2_0, "MXFP4": _mxfp4, "NVFP4": _nvfp4}
