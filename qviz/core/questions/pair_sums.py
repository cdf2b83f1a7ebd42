"""Which outputs change where a processor adds up pairs of products in 16 bits, and by how much?

Kernels of x86 processors without VNNI multiply unsigned bytes of the activation by signed bytes of the weight with
``vpmaddubsw``, which adds the products of two neighbouring features up in an int16 and saturates: 210·−81 + 198·−80 is
−32,850, and comes out as −32,768. ONNX Runtime's and PyTorch's (fbgemm) do; that is why they offer ``reduce_range``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.formats.integers import IntFormat
from qviz.core.frozen import frozen
from qviz.core.questions.product_sums import Loss
from qviz.core.work import IsCancelled, check, never

LOWEST, HIGHEST = -(1 << 15), (1 << 15) - 1
BYTE, SIGN_BIT = 8, 128

TOGETHER = 1 << 16
"""Pairs that are looked at together."""

Sums = np.ndarray[Any, np.dtype[np.int64]]
Codes = np.ndarray[Any, np.dtype[np.int32]]


@frozen
class PairSaturation:
    """What saturating pairs do to an output.

    Attributes
    ----------
    pairs : int
        Sums of two products that leave int16, of all outputs.
    outputs, of_outputs : int
        Outputs that have any, and outputs at all.
    largest_change : float
        The largest |difference| that it makes to an output, in the output's unit.
    loss : Loss
        What the output loses with both operands quantized, and pairs saturated.
    """

    pairs: int
    outputs: int
    of_outputs: int
    largest_change: float
    loss: Loss


def adds_in_pairs(activation: QParams, weight: QParams) -> bool:
    """Whether such kernels exist for the codes: bytes of an activation, signed bytes of a weight."""
    x, w = activation.number_format, weight.number_format
    both = isinstance(x, IntFormat) and isinstance(w, IntFormat)
    return both and x.bits <= BYTE and w.bits <= BYTE and w.signed


def as_unsigned(codes: Codes, qparams: QParams) -> Codes:
    """Codes of an activation as the kernels take them: signed ones with their sign bit turned round."""
    return codes + SIGN_BIT if qparams.number_format.signed else codes


def lost_in_pairs(x: Codes, w: Codes, *, cancelled: IsCancelled = never) -> tuple[Sums, int]:
    """What saturation adds to each sum of products, and how many pairs saturate.

    Parameters
    ----------
    x : int32 array, shape (rows, features)
        Codes of the activation, as `as_unsigned` has them.
    w : int32 array, shape (features, outputs)
        Codes of the weight, zero points not taken off.

    Returns
    -------
    int64 array of shape (rows, outputs), int
    """
    changes, count = np.zeros((x.shape[0], w.shape[1]), np.int64), 0
    if x.shape[1] % 2:  # a product alone cannot leave int16: 255 · −128
        x, w = x[:, :-1], w[:-1]
    evens, odds = np.ascontiguousarray(x[:, ::2].T), np.ascontiguousarray(x[:, 1::2].T)
    firsts, seconds = np.ascontiguousarray(w[::2].T), np.ascontiguousarray(w[1::2].T)
    if not evens.size or not firsts.size:
        return changes, count
    # What the largest activations of all rows would come to: most weights are out of question.
    most = evens.max(1), odds.max(1)
    up = most[0] * np.maximum(firsts, 0) + most[1] * np.maximum(seconds, 0)
    down = most[0] * np.minimum(firsts, 0) + most[1] * np.minimum(seconds, 0)
    outputs, pairs = np.nonzero((up > HIGHEST) | (down < LOWEST))
    step = max(1, TOGETHER // x.shape[0])
    for first in range(0, outputs.size, step):
        check(cancelled)
        column, pair = outputs[first : first + step], pairs[first : first + step]
        sums = evens[pair] * firsts[column, pair][:, None]
        sums += odds[pair] * seconds[column, pair][:, None]
        change = np.clip(sums, LOWEST, HIGHEST)
        change -= sums
        count += int(np.count_nonzero(change))
        starts = np.flatnonzero(np.diff(column, prepend=-1))
        changes[:, column[starts]] += np.add.reduceat(change, starts, axis=0, dtype=np.int64).T
    return changes, count
