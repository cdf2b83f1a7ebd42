"""How do numbers that NumPy has no type for become float32: bfloat16, float8 and their like?"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np

from qviz.core.problems import N_
from qviz.core.work import IsCancelled, Progress, check
from qviz.files.entry import Loaded
from qviz.files.memory import check_room

BLOCK = 1 << 20
"""Elements converted between two looks at the cancel flag."""

NAMES = frozenset(
    {
        "bfloat16",
        "float8_e3m4",
        "float8_e4m3",
        "float8_e4m3b11fnuz",
        "float8_e4m3fn",
        "float8_e4m3fnuz",
        "float8_e5m2",
        "float8_e5m2fnuz",
        "float8_e8m0fnu",
        "float6_e2m3fn",
        "float6_e3m2fn",
        "float4_e2m1fn",
        "int2",
        "int4",
        "uint2",
        "uint4",
    }
)
"""What ml_dtypes knows and NumPy does not."""


def small_dtype(name: str) -> np.dtype[Any]:
    """The type of one of `NAMES`; of ml_dtypes, which is imported here."""
    import ml_dtypes

    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return dtype


def to_float32(
    path: Path,
    member: str,
    bits: Loaded,
    dtype: np.dtype[Any],
    progress: Progress,
    cancelled: IsCancelled,
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The values that some bits stand for, block by block.

    Parameters
    ----------
    path, member
        The file and the tensor in it, for messages.
    bits : ndarray or FileArray
        Of any shape and of a type of as many bytes as `dtype` has.
    dtype : dtype
        As `small_dtype` gives it.

    Raises
    ------
    FileProblem
        When there is no room for them.
    """
    elements = math.prod(bits.shape)
    check_room(path, member, 4 * elements, N_("Close other programs, or choose a smaller tensor."))
    order: Literal["C", "F"] = "C"
    flat: Loaded = bits
    if isinstance(bits, np.ndarray):
        order = "F" if bits.flags.f_contiguous and not bits.flags.c_contiguous else "C"
        flat = bits.reshape(-1, order=order)
    values = np.empty(elements, np.float32)
    for first in range(0, elements, BLOCK):
        check(cancelled)
        piece = np.ascontiguousarray(flat[first : first + BLOCK])
        if piece.dtype.kind == "u" and not piece.dtype.isnative:
            piece = piece.astype(piece.dtype.newbyteorder())
        piece = piece.view(dtype)
        values[first : first + BLOCK] = piece.astype(np.float32)
        progress(min(1.0, (first + BLOCK) / elements))
    return values.reshape(bits.shape, order=order)
