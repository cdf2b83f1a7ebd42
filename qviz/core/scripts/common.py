"""What do the scripts that ask a runtime share? What such a script is, and how parameters are written into it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.frozen import frozen
from qviz.core.tensors.granularity import PerAxis, PerBlock, PerTile, PerToken

MOST_NUMBERS = 16
"""More scales than these are read from the .npz that qviz writes, not written into a script."""


@frozen
class RuntimeScript:
    """A runtime that can be asked for the codes.

    Attributes
    ----------
    label : str
        What people call it.
    offers : Callable[[QParams], bool]
        Whether its own functions give exactly these codes.
    imports : Callable[[QParams], list[str]]
    lines : Callable[[QParams, bool], list[str]]
        The script behind ``x``, ``scale`` and ``zero_point``; it leaves ``codes`` and ``x_hat``. Unless all values are
        finite, it gives NaN the code of qviz where the runtime has another one.
    """

    label: str
    offers: Callable[[QParams], bool]
    imports: Callable[[QParams], list[str]]
    lines: Callable[[QParams, bool], list[str]]


def granularity_words(qparams: QParams) -> str:
    """Which elements share a scale, in words."""
    match qparams.scheme.granularity:
        case PerAxis(axis=axis):
            return f"per axis {axis}"
        case PerBlock(axis=axis, block_size=size):
            return f"blocks of {size} along axis {axis}"
        case PerTile(rows=rows, columns=columns):
            return f"tiles of {rows} × {columns}"
        case PerToken():
            return "per token"
    return "per tensor"


def parameters(qparams: QParams) -> list[str]:
    """``scale`` and ``zero_point``, in arrays of the shape that qviz has them in."""
    if qparams.groups > MOST_NUMBERS:
        return [
            'saved = np.load("quantized.npz")  # the quantized tensor as qviz saves it',
            'scale, zero_point = saved["scale"], saved["zero_point"].astype(np.int32)',
        ]
    return [_array("scale", qparams.scale, "float32"), _array("zero_point", qparams.zero_point.astype(int), "int32")]


def _array(name: str, values: np.ndarray[Any, Any], dtype: str) -> str:
    numbers = [named(str(value)) for value in values.ravel()]
    if values.ndim == 0:
        return f"{name} = np.array({numbers[0]}, np.{dtype})"
    shaped = f".reshape({values.shape})" if values.ndim > 1 else ""
    return f"{name} = np.array([{', '.join(numbers)}], np.{dtype}){shaped}"


def named(numbers: str) -> str:
    """Numbers as a script writes them: NaN and infinity are NumPy's."""
    return numbers.replace("nan", "np.nan").replace("inf", "np.inf")
