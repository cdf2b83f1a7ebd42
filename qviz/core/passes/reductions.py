"""What do the numbers of a block add up to, and which is the largest? As quickly as NumPy can."""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arrays import Array, Floats

ROW = 8192
"""Elements of a dot product: longer ones would wake the linear algebra library's own threads."""

ONES = np.ones(ROW)

LONG_RUN = 64
"""Runs from here on are worth a dot product each."""

SHORT_RUN = 32
"""Runs up to here are halved again and again, all of them at a time: NumPy takes long to begin with each."""


def dot(a: Floats, b: Floats) -> float:
    """Σa·b of flat arrays."""
    rest = a.size % ROW
    if not rest:
        return float(np.add.reduce(np.vecdot(a.reshape(-1, ROW), b.reshape(-1, ROW))))
    whole = a.size - rest
    return dot(a[:whole], b[:whole]) + float(np.vecdot(a[whole:], b[whole:]))


def total(values: Floats) -> float:
    """Σv of a flat array: a dot product adds up quicker."""
    rest = values.size % ROW
    if not rest:
        return float(np.add.reduce(np.vecdot(values.reshape(-1, ROW), ONES)))
    whole = values.size - rest
    return total(values[:whole]) + float(np.add.reduce(values[whole:]))


def squares(a: Floats) -> Any:
    """The sum of squares of each group of a block ``(outer, groups, inner)``."""
    outer, groups, inner = a.shape
    if groups == 1:
        return dot(a.reshape(-1), a.reshape(-1))
    if inner > ROW:
        return np.array([[dot(run, run) for run in row] for row in a]).sum(axis=0)
    if inner >= LONG_RUN:
        return np.add.reduce(np.vecdot(a, a), axis=0)
    if inner == 1:
        flat = a.reshape(outer, groups)
        return np.einsum("og,og->g", flat, flat)
    return np.einsum("ogi,ogi->g", a, a)


def largest(magnitudes: Array) -> Array:
    """The largest of each group of a block ``(outer, groups, inner)`` that has no negative ones; NaN where that is one.

    As whole numbers their bits have the same order, and NumPy is quicker with those.
    """
    outer, groups, inner = magnitudes.shape
    if groups == 1:
        return np.asarray(np.maximum.reduce(magnitudes, axis=None)).reshape(1)
    if inner == 1:
        return np.asarray(np.maximum.reduce(magnitudes, axis=(0, 2)))
    bits = magnitudes.reshape(-1).view(f"i{magnitudes.itemsize}")
    while inner <= SHORT_RUN and inner % 2 == 0:
        bits, inner = np.maximum(bits[::2], bits[1::2]), inner // 2
    if inner > 1:
        bits = np.maximum.reduceat(bits, np.arange(0, bits.size, inner))
    return np.asarray(np.maximum.reduce(bits.reshape(outer, groups)).view(magnitudes.dtype))
