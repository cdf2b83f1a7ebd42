"""Which parts has an encoded weight, and how are its codes unpacked? What the rules of all libraries share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from qviz.core.frozen import frozen
from qviz.files.entry import Encoding, TensorEntry
from qviz.files.small import small_dtype

Array = np.ndarray[Any, Any]
Parts = Mapping[str, TensorEntry]

FP8 = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")


@frozen
class Found:
    """What a rule recognized: the parts by their place in the name, and how they become the weight."""

    encoding: Encoding
    shape: tuple[int, ...]
    decode: Callable[..., Array]
    used: tuple[str, ...]


Rule = Callable[[Parts, Mapping[str, Any]], Found | None]


def codes_of_words(packed: Array, bits: int, count: int) -> Array:
    """Codes along the last axis of words, from the lowest bits on; a code may lie across two words."""
    words = np.ascontiguousarray(packed).view(np.uint32)
    if 32 % bits == 0:
        shifts = np.arange(0, 32, bits, dtype=np.uint32)
        codes = (words[..., None] >> shifts) & np.uint32((1 << bits) - 1)
        return codes.reshape(*words.shape[:-1], -1)[..., :count].astype(np.int32)
    single = np.unpackbits(words.view(np.uint8).reshape(*words.shape[:-1], -1), axis=-1, bitorder="little")
    single = single[..., : count * bits].reshape(*words.shape[:-1], count, bits)
    codes = (single.astype(np.int32) << np.arange(bits, dtype=np.int32)).sum(axis=-1, dtype=np.int32)
    return np.asarray(codes)


def nibbles(packed: Array, *, high_first: bool = False) -> Array:
    """Two codes a byte, along the last axis."""
    low, high = packed & 15, packed >> 4
    pair = (high, low) if high_first else (low, high)
    return np.stack(pair, axis=-1).reshape(*packed.shape[:-1], -1)


def fp4_values(codes: Array) -> Array:
    levels: Array = np.arange(16, dtype=np.uint8).view(small_dtype("float4_e2m1fn")).astype(np.float32)
    return np.asarray(levels[codes])


def spread(scale: Array, group: int, length: int) -> Array:
    """A scale for each element of the last axis."""
    return np.repeat(scale, group, axis=-1)[..., :length]


def scaled_codes(wide: tuple[int, ...], columns: int) -> Callable[..., Array]:
    """What (code - zero point) · scale is, with ``wide`` of these; a zero point is not always there."""
    group = columns // wide[1]

    def decode(code: Array, scale: Array, zero: Array | None = None) -> Array:
        value = code.astype(np.float32)
        if zero is not None:
            value = value - spread(zero.astype(np.float32).reshape(wide), group, columns)
        return value * spread(scale.astype(np.float32).reshape(wide), group, columns)

    return decode


def shape_of(parts: Parts, name: str, axes: int = 2) -> tuple[int, ...] | None:
    entry = parts.get(name)
    shape = entry.shape if entry is not None else None
    return shape if shape is not None and len(shape) == axes and min(shape) > 0 else None


def dtype_of(parts: Parts, name: str) -> str:
    return (parts[name].dtype or "") if name in parts else ""
