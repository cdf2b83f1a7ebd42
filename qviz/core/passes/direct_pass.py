"""What do all the errors add up to? One walk over every element, block by block.

This pass serves every scheme; it never asks for more than a few blocks of memory. Two threads
share the blocks of a large tensor. `qviz.core.passes.kernels` does the arithmetic where it is ready,
NumPy elsewhere; the answers are the same but for the order in which sums are rounded.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from itertools import islice
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.arrays import Floats
from qviz.core.passes import kernels
from qviz.core.passes.block_workers import DotWorker, NumPyWorker
from qviz.core.passes.compiled_worker import CompiledWorker
from qviz.core.passes.error_bins import further, largest_of
from qviz.core.passes.plain_walk import walk_plainly
from qviz.core.passes.sums import ErrorHistogram, Sums
from qviz.core.passes.terms import InputSums, PassRequest, PassTotals, Worker
from qviz.core.runtimes.precision import FLOAT16
from qviz.core.tensors.envelope import Envelope
from qviz.core.tensors.layout import Layout
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import THREADS, IsCancelled, Progress, begin_beside, check, ignore, in_company, never

THREADED = 1 << 20
"""Tensors of fewer elements are done before a second thread has started."""

LARGER = 8
"""How many times as large pieces are beside a window that is painted: after each it may have to be waited for."""

CANCELLING = 16
"""Where a sum is so much smaller than its parts, they are not added up but it is."""

SAFE = float(np.finfo(np.float32).max) / 2
"""What is no larger than this does not leave float32 by being rounded."""

SAFE_IN_FLOAT16 = float(np.finfo(np.float16).max) / 2
"""Nor float16."""

_signals: WeakKeyDictionary[Tensor, dict[Layout, InputSums]] = WeakKeyDictionary()
"""Found by the first walk over a tensor, asked for by every later one; see `_remember`."""

MOST_LAYOUTS = 16
"""Layouts of a tensor whose sums are remembered: more than a sweep goes through in turn."""

MOST_GROUPS = 1 / 8
"""Groups of all these together, for each element: their sums take at most half the memory that the tensor does."""


def direct_sums(
    tensor: Tensor,
    qparams: QParams,
    layout: Layout,
    *,
    occupancy: bool = True,
    error_edges: tuple[Floats, float] | None = None,
    envelope: bool = True,
    products: bool = True,
    totals: bool = True,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Sums:
    """What all the errors add up to, by looking at every element.

    Parameters
    ----------
    tensor : Tensor
        Counted.
    qparams, layout : QParams, Layout
        Of the same scheme and the tensor's shape.
    occupancy : bool
        Whether to count how often each code is used.
    error_edges : (float64 array of shape (bins + 1,), float) or None
        The answer of `qviz.core.passes.error_bins.error_edges` for these arguments; None for no histogram.
    envelope : bool
        Whether to make the envelope of x̂; only done for more than one group.
    products : bool
        Whether Σx·x̂ and Σx̂² are wanted; NaN where they are not.
    totals : bool
        Whether Σ|e|, Σe² of the clipped, and products are wanted: anything where they are not.
    progress : Callable[[float], None]
        Told the fraction that is done, by the calling thread.
    cancelled : Callable[[], bool]
        Asked between blocks, by the calling thread.

    Raises
    ------
    Cancelled
        When asked to stop.
    """
    order = PassRequest(
        half_step=0.0 if error_edges is None else error_edges[1],
        tensor=tensor,
        qparams=qparams,
        layout=layout,
        occupancy=occupancy,
        edges=None if error_edges is None else error_edges[0],
        envelope=Envelope(tensor.elements) if envelope and layout.groups > 1 else None,
        signal=_signals.get(tensor, {}).get(layout),
        products=products and totals,
        totals=totals,
        times=LARGER if in_company() else 1,
        overflows=qparams.breaks or not qparams.saturates or _overflows(qparams),
    )
    threads = THREADS if tensor.elements >= THREADED else 1
    found = _find(order, threads, cancelled, progress)
    signal = order.signal or found.signal
    assert signal is not None
    _remember(tensor, layout, signal)
    if order.envelope is not None:
        order.envelope.finish()
    nothing = (math.nan, math.nan)
    product, squared_dequantized = _products(order, found, signal, cancelled) if order.products else nothing
    histogram = None
    if error_edges is not None:
        histogram = ErrorHistogram(error_edges[0], found.errors - found.clipping, found.clipping, error_edges[1])
    absolute_error, _, clipping_squared_error = found.totals.tolist()
    return Sums(
        finite=signal.finite,
        squared_error=found.squared_error,
        squared_value=signal.squared,
        max_abs_error=found.max_abs_error,
        saturated=found.saturated,
        absolute_error=absolute_error,
        clipping_squared_error=clipping_squared_error,
        product=product,
        squared_dequantized=squared_dequantized,
        occupancy=found.occupancy if occupancy else None,
        error_histogram=histogram,
        dequantized=order.envelope,
        overall=found.overall,
    )


def _overflows(qparams: QParams) -> bool:
    """Whether a code stands for more than float32 holds, or float16 where that is what values are rounded to."""
    codes = max(abs(qparams.quant_min), abs(qparams.quant_max)) + largest_of(qparams.zero_point)
    bound = further(qparams.scale_ends) * codes + (0.0 if qparams.offset is None else largest_of(qparams.offset))
    types, safe = qparams.precision, SAFE
    if FLOAT16 in (types.values, types.result):
        safe, bound = SAFE_IN_FLOAT16, max(bound, codes if types.values == FLOAT16 else 0.0)
    return not bound < safe and not all(np.isfinite(ends).all() for ends in qparams.clip_range())


def _find(order: PassRequest, threads: int, cancelled: IsCancelled, progress: Progress) -> PassTotals:
    """Everything but what the signal adds to it."""
    workers: list[NumPyWorker | CompiledWorker] = []
    for _ in range(threads):
        workers.append(_worker(order, workers[0] if workers else None))
    _walk(order, workers, cancelled, progress)
    found, *others = (worker.finish(i == 0) for i, worker in enumerate(workers))
    for other in others:
        found.merge(other)
    return found


def _worker(order: PassRequest, leader: NumPyWorker | CompiledWorker | None) -> NumPyWorker | CompiledWorker:
    """One that is compiled, where that is ready; ``leader`` is the first of them."""
    # The kernels are promised that nothing becomes NaN, and know float32 alone.
    ready = kernels.walk.ready or walk_plainly.ready
    if ready and order.qparams.compilable and not order.overflows and not isinstance(leader, NumPyWorker):
        worker = CompiledWorker(order, leader)
        if worker.walk.ready:
            return worker
        assert leader is None
    return NumPyWorker(order, leader if isinstance(leader, NumPyWorker) else None)


def _walk(order: PassRequest, workers: Sequence[Worker], cancelled: IsCancelled, progress: Progress) -> None:
    """Every block to one of the workers, each in a thread of its own; the first in this one.

    In turn, or to whoever has time where that changes nothing: another program may have one of the processors.
    """
    done = [0] * len(workers)
    left = _Left(workers[0].pieces()) if all(worker.any_pieces for worker in workers) else None

    def share(which: int) -> Iterator[None]:
        mine = islice(workers[which].pieces(), which, None, len(workers)) if left is None else left.taken()
        for piece in mine:
            yield
            done[which] += workers[which].add(piece)

    def look() -> None:
        if done[0]:
            progress(sum(done) / order.tensor.elements)
        check(cancelled)

    _share_out(share, range(len(workers)), look)
    progress(1.0)


def _share_out(share: Callable[[int], Iterator[None]], shares: range, look: Callable[[], None]) -> None:
    """The first share in this thread, the others in threads of their own, or after it where nobody helps.

    ``look`` is called between pieces, here.
    """
    stop = threading.Event()
    others, begun = shares[1:], dict[int, Future[None]]()

    def aside(which: int) -> None:
        for _ in share(which):
            if stop.is_set():
                return

    def here(which: int) -> None:
        for _ in share(which):
            if which == 0 and not begun and not in_company():
                begun.update((other, begin_beside(aside, other)) for other in others)
            look()

    try:
        here(0)
        for which in others:
            if which not in begun or begun[which].cancel():
                begun.pop(which, None)
                here(which)
        while wait(begun.values(), timeout=0.02).not_done:
            look()
    except BaseException:
        stop.set()
        wait([each for each in begun.values() if not each.cancel()])
        raise
    for each in begun.values():
        each.result()


class _Left:
    """The pieces that nobody has taken yet, for several threads."""

    def __init__(self, pieces: Iterator[Any]) -> None:
        self._pieces, self._lock = pieces, threading.Lock()

    def taken(self) -> Iterator[Any]:
        """One after the other, as long as there are any."""
        while True:
            with self._lock:
                piece = next(self._pieces, None)
            if piece is None:
                return
            yield piece


def _remember(tensor: Tensor, layout: Layout, signal: InputSums) -> None:
    """Those used last, within bounds: a tensor may be looked at in hundreds of layouts while it is open."""
    known = _signals.setdefault(tensor, {})
    known.pop(layout, None)
    known[layout] = signal
    groups = 0
    for count, each in enumerate(reversed(list(known))):
        groups += each.groups
        if count and (count >= MOST_LAYOUTS or groups > MOST_GROUPS * tensor.elements):
            known.pop(each, None)


def _products(order: PassRequest, found: PassTotals, signal: InputSums, cancelled: IsCancelled) -> tuple[float, float]:
    """Σx·x̂ and Σx̂², from x̂ = x + e where that loses no digits."""
    squared, mixed = signal.total, float(found.totals[1])
    noise = float(found.squared_error.sum()) if found.overall is None else found.overall.squared_error
    if not math.isfinite(noise):
        return math.inf, math.inf
    if found.squared_dequantized is not None:
        mixed = (found.squared_dequantized - squared - noise) / 2
    product, squared_dequantized = squared + mixed, squared + 2 * mixed + noise
    if min(abs(product), squared_dequantized) * CANCELLING >= squared + abs(mixed) + noise:
        return product, squared_dequantized
    worker = DotWorker(order)
    _walk(order, [worker], cancelled, ignore)
    return worker.product, worker.squared
