"""What does a quantizer give while a network is trained, and where does the gradient pass through it?

The straight-through estimator (Bengio, Léonard and Courville, 2013): forwards the rounded value, backwards
the gradient as if nothing had been rounded, except where a value was clipped.
"""

from __future__ import annotations

import numpy as np

from qviz.core import QParams, dequantize
from qviz.core.arrays import Array


def pass_through(x: Array, qparams: QParams) -> tuple[Array, Array]:
    """Fake-quantize ``x``, and say where its gradient passes.

    Parameters
    ----------
    x : float32 array
    qparams : QParams

    Returns
    -------
    x_hat : float32 array, the shape of ``x``
        What `qviz.core.fake_quantize` gives, bit for bit.
    passes : bool array, the shape of ``x``
        True where the rounded code needed no clipping: PyTorch's mask of ``fake_quantize``.
    """
    codes = qparams.codes_of(x)
    clipped = qparams.spread(x.shape).clip(codes.copy())
    return dequantize(clipped, qparams), clipped == codes


def scale_gradient(x: Array, x_hat: Array, passes: Array, gradient: Array, scale: Array) -> Array:
    """The gradient of the loss by the scale: Σ ∂L/∂x̂ · ∂x̂/∂S, for a learned step size.

    ∂x̂/∂S is (x̂ − x)/S where the gradient passes and x̂/S = Q − Z where the value was clipped (Esser et
    al., *Learned Step Size Quantization*, 2020, equation 3; PyTorch's learnable fake_quantize does the same).

    Parameters
    ----------
    x, x_hat, gradient : float32 arrays of one shape
        The value, what became of it, and ∂L/∂x̂.
    passes : bool array of that shape
    scale : float32 array, shape () or (rows,)
        With one scale for each row, ``x`` is a matrix.

    Returns
    -------
    float32 array, the shape of ``scale``
    """
    change = x_hat - x * passes
    if scale.ndim == 0:
        return np.asarray(np.vdot(change, gradient) / scale)
    return np.asarray(np.einsum("ij,ij->i", change, gradient) / scale)
