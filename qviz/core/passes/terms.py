"""What is a pass over every element asked, who answers it, and what do its parts add up to?"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.arrays import Counts, FloatArray, Floats
from qviz.core.frozen import frozen
from qviz.core.passes.reductions import squares
from qviz.core.passes.sums import Overall
from qviz.core.tensors.envelope import BASE, Envelope
from qviz.core.tensors.layout import Block, Layout
from qviz.core.tensors.tensor import Tensor

FEW_TO_A_GROUP = 64
"""Groups of fewer elements are as many as to take longer by themselves than a look at every code."""

Bools = np.ndarray[Any, np.dtype[np.bool_]]


@frozen(eq=False)
class PassRequest:
    """What somebody wants to know; every thread reads it, none writes to it."""

    tensor: Tensor
    qparams: QParams
    layout: Layout
    occupancy: bool
    edges: Floats | None
    envelope: Envelope | None
    signal: InputSums | None
    overflows: bool
    products: bool = True
    totals: bool = True
    half_step: float = 0.0
    times: int = 1
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def levels(self) -> int:
        return self.qparams.levels_count if self.occupancy else 0

    @property
    def bins(self) -> int:
        return 0 if self.edges is None else self.edges.size - 1

    @property
    def maybe_nan(self) -> bool:
        return self.layout.ragged or not self.tensor.all_finite

    @cached_property
    def clips(self) -> Bools | None:
        """Of which groups some elements are clipped, shape (groups,); None where only the elements themselves tell.

        Codes never turn back as values grow, so that the extremes of a group tell it of all its elements; where it
        has none, either is said.
        """
        q, extremes = self.qparams, self.tensor.known_extremes(self.layout)
        many = self.layout.groups * FEW_TO_A_GROUP > self.tensor.elements
        if extremes is None or many or not q.saturates or q.breaks or q.convention.code is not None:
            return None
        with np.errstate(all="ignore"):
            codes = q.shaped(1, -1, 1).unclipped(np.stack(extremes)[:, :, None])
        return np.asarray(beyond(codes, q).any(axis=(0, 2)))

    def draw(self, block: Block, x_hat: FloatArray) -> None:
        """Take x̂ of a block into the envelope."""
        if self.envelope is None:
            return
        for start, flat in self.layout.runs(block, x_hat):
            stop = start + flat.size
            first = min(-(-start // BASE) * BASE, stop)
            last = max(first, stop // BASE * BASE)
            if start < first or last < stop:
                with self.lock:  # the ends share their buckets with blocks of the other thread
                    self.envelope.add(start, flat[: first - start])
                    self.envelope.add(last, flat[last - start :])
            self.envelope.add(first, flat[first - start : last - start])


@frozen(eq=False)
class InputSums:
    """What is the same under every scheme: Σx² and the finite elements of each group."""

    squared: Floats
    finite: Counts

    @cached_property
    def total(self) -> float:
        """Σx² of all groups."""
        return float(self.squared.sum())


class Worker(Protocol):
    """What one thread does.

    Attributes
    ----------
    any_pieces : bool
        Whether the answer is the same to the last bit, whichever pieces each thread is given.
    """

    @property
    def any_pieces(self) -> bool: ...

    def pieces(self) -> Iterator[Any]:
        """The pieces of the tensor, for all threads."""
        ...

    def add(self, piece: Any) -> int:
        """Look at one piece; how many elements it has."""
        ...


class PassTotals:
    """Sums over some pieces; those of groups may be another thread's."""

    def __init__(self, order: PassRequest, groups: int) -> None:
        self.signal = None if order.signal else InputSums(np.zeros(groups), np.zeros(groups, np.int64))
        self.squared_error = np.zeros(groups)
        self.max_abs_error = np.zeros(groups)
        self.saturated = np.zeros(groups, np.int64)
        self.totals = np.zeros(3)  # Σ|e|, Σx·e and Σe² of the saturated
        self.squared_dequantized: float | None = None  # Σx̂²; None where Σx·e tells it
        self.occupancy = np.zeros(order.levels, np.int64)
        self.errors = np.zeros(order.bins, np.int64)
        self.clipping = np.zeros(order.bins, np.int64)
        self.overall: Overall | None = None

    def add_signal(self, x: Floats, missing: Bools | None, group: slice) -> None:
        """Take the values of a block, with 0 in the place of what is missing."""
        if self.signal is not None:
            self.signal.squared[group] += squares(x)
            present = x.size // x.shape[1] - (0 if missing is None else np.count_nonzero(missing, axis=(0, 2)))
            self.signal.finite[group] += present

    def merge(self, other: PassTotals) -> None:
        """Add what another thread has found."""
        for name in ("totals", "occupancy", "errors", "clipping"):
            total: Any = getattr(self, name)
            total += getattr(other, name)
        if self.squared_dequantized is not None and other.squared_dequantized is not None:
            self.squared_dequantized += other.squared_dequantized
        if not other.saturated.size:
            return
        self.squared_error += other.squared_error
        self.saturated += other.saturated
        np.maximum(self.max_abs_error, other.max_abs_error, out=self.max_abs_error)
        if self.signal is not None and other.signal is not None:
            self.signal.squared[:] += other.signal.squared
            self.signal.finite[:] += other.signal.finite


def beyond(codes: FloatArray, qparams: QParams) -> Bools:
    """Which codes will be clipped."""
    return np.asarray((codes < qparams.quant_min) | (codes > qparams.quant_max))
