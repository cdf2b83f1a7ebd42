"""Which figures say what a scheme costs a tensor?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.arithmetic.storage import Storage, storage
from qviz.core.arrays import Counts, Floats
from qviz.core.passes.sums import Sums
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.layout import Layout
from qviz.core.tensors.tensor import Tensor


@dataclass(frozen=True, eq=False)
class Groups:
    """The same questions for each group (channel), float64 arrays of shape (groups,)."""

    finite: Counts
    mse: Floats
    max_abs_error: Floats
    sqnr_db: Floats
    saturated: Counts

    @property
    def worst(self) -> int:
        """The group with the lowest SQNR."""
        return int(np.argmin(self.sqnr_db))


@dataclass(frozen=True, eq=False)
class Metrics:
    """What a scheme costs a tensor, in figures alone.

    Attributes
    ----------
    tensor : Tensor
    scheme : Scheme
    qparams : QParams
    layout : Layout
    mse, mae, max_abs_error : float
        Mean squared, mean absolute and largest error, in the tensor's units (squared for mse).
    sqnr_db : float
        20·log10(‖x‖ / ‖x − x̂‖) in dB; higher is better, infinite without error.
    relative_rmse : float
        ‖x − x̂‖ / ‖x‖; NaN for a tensor of zeros.
    cosine : float
        Of the angle between x and x̂; NaN where either is all zeros, or x̂ leaves float32.
    rounding_mse, clipping_mse : float
        The two parts of mse.
    saturated : int
        Elements whose code was changed by clipping.
    groups : Groups or None
        None per tensor.
    storage : Storage
    exact : bool
        Whether every element was counted; an estimate comes from a sample.
    seconds : float
        How long the answer took.
    """

    tensor: Tensor
    scheme: Scheme
    qparams: QParams
    layout: Layout
    mse: float
    mae: float
    max_abs_error: float
    sqnr_db: float
    relative_rmse: float
    cosine: float
    rounding_mse: float
    clipping_mse: float
    saturated: int
    groups: Groups | None
    storage: Storage
    exact: bool
    seconds: float

    @property
    def saturated_share(self) -> float:
        """Saturated elements as a share of the finite ones."""
        return self.saturated / self.tensor.finite


def figures_of(tensor: Tensor, qparams: QParams, layout: Layout, sums: Sums) -> dict[str, Any]:
    """The fields of `Metrics`, but for ``exact`` and ``seconds``."""
    n = tensor.finite
    noise, signal = float(sums.squared_error.sum()), float(sums.squared_value.sum())
    norms = math.sqrt(signal) * math.sqrt(sums.squared_dequantized)
    return {
        "tensor": tensor,
        "scheme": qparams.scheme,
        "qparams": qparams,
        "layout": layout,
        "mse": noise / n,
        "mae": sums.absolute_error / n,
        "max_abs_error": float(sums.max_abs_error.max()),
        "sqnr_db": float(sqnr_db(np.float64(signal), np.float64(noise))),
        "relative_rmse": math.sqrt(noise / signal) if signal else math.nan,
        "cosine": min(1.0, sums.product / norms) if 0 < norms < math.inf else math.nan,
        "rounding_mse": max(0.0, noise - sums.clipping_squared_error) / n,
        "clipping_mse": sums.clipping_squared_error / n,
        "saturated": int(sums.saturated.sum()),
        "groups": _groups(sums) if layout.groups > 1 else None,
        "storage": storage(tensor.elements, qparams),
    }


def _groups(sums: Sums) -> Groups:
    count = np.maximum(sums.finite, 1)
    return Groups(
        finite=sums.finite,
        mse=sums.squared_error / count,
        max_abs_error=sums.max_abs_error,
        sqnr_db=sqnr_db(sums.squared_value, sums.squared_error),
        saturated=sums.saturated,
    )


def sqnr_db(signal: Any, noise: Any) -> Any:
    """10·log10(signal / noise) in dB, of sums of squares; infinite without noise."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(noise > 0, 10 * np.log10(signal / np.where(noise > 0, noise, 1)), np.inf)
