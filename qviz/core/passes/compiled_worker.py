"""What does one thread find in the pieces that it is given? With the compiled walk, whatever the scheme."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from qviz.core.arithmetic.loops import steps_of
from qviz.core.arithmetic.spreading import Lie
from qviz.core.arrays import Array, Counts, FloatArray, Floats, empty, zeros
from qviz.core.compiler import Kernel
from qviz.core.passes import counting, kernels
from qviz.core.passes.ratios import Ratios
from qviz.core.passes.settling import (
    HIGHEST,
    KNOWN,
    LEAST,
    LOWEST,
    MANY_GROUPS,
    SATURATED,
    SQUARES,
    TOP,
    TOTALS,
    settle,
)
from qviz.core.passes.stretches import memory
from qviz.core.passes.sums import Overall
from qviz.core.passes.terms import InputSums, PassRequest, PassTotals
from qviz.core.tensors.envelope import BASE

JOINT_COUNTS = 1 << 19
"""Codes and errors are counted together where there are no more counts: most of those in use stay in the cache."""

NARROW_WINDOW = 16
"""NumPy adds up short rows one by one; of windows no wider than this whole columns are added."""

NO_BUCKETS = np.zeros(1, np.float32)


class CompiledWorker:
    """The pass in one compiled walk."""

    def __init__(self, order: PassRequest, leader: CompiledWorker | None = None, walk: Kernel | None = None) -> None:
        self.order = order
        self.found = PassTotals(order, groups=0)
        self.lie = Lie.of(order.layout)
        layout, edges = order.layout, order.edges
        steps = steps_of(order.qparams)
        levels, bins = order.qparams.levels_count, order.bins
        width, first, half = 1.0, 0, 0
        if edges is not None:
            above = int(np.searchsorted(edges, 0.0, "right"))
            width, first = float(edges[above]), 1 - above
            half = math.ceil(order.half_step / width) + 1
        window_start = max(-half, first)
        window = min(half, first + bins) - window_start
        size = levels * window + 2 * bins
        joint = order.occupancy and bins > 0 and size <= JOINT_COUNTS
        wanted = (order.maybe_nan, order.signal is None, order.occupancy, bins > 0, joint, order.envelope is not None)
        lie = self.lie
        self.in_turn = counting.LANES if not joint and bins <= counting.FEW_BINS else 1
        self.plan = np.array(
            [
                *steps.kind,
                *lie.places,
                *wanted,
                levels,
                window,
                window_start,
                bins,
                first,
                0,
                0,
                self.in_turn,
                lie.once,
                order.totals,
            ],
            np.int64,
        )
        self.walk = walk or kernels.walk_for(self.plan, width)
        numbers = np.array([steps.factor, steps.low, steps.high, width])
        self.given = (steps.parameters, steps.strides, self.plan, numbers, steps.codebook)
        self.table = np.zeros(size if joint else 1, np.uint32)
        self.joint = (levels, window, window_start - first) if joint else None
        self.tallies = np.zeros(order.levels + 2 * bins * self.in_turn + counting.SPARE, np.int64)
        self.totals: dict[int, Floats] = {} if leader is None else leader.totals
        self.drawn = (NO_BUCKETS, NO_BUCKETS) if order.envelope is None else order.envelope.finest
        self.ends = np.empty(4, np.float32)
        self.answers = (np.zeros(3), self.table, self.tallies, *self.drawn, self.ends)
        self.memory = memory()
        self.settles = lie.apart and layout.groups >= MANY_GROUPS and settle.ready
        self.settled: dict[int, Floats] = {} if leader is None else leader.settled
        if leader is not None and lie.apart:
            self.groups: Any = leader.groups
            self.ratios: Floats = leader.ratios
        else:
            self.ratios = empty((layout.groups if self.settles else 1,), np.float64)
            groups, signal = layout.groups, layout.groups if order.signal is None else 1
            given = empty if self.settles else zeros
            self.groups = (*_sums_of(groups, given), *_sums_of(signal, given))

    @property
    def any_pieces(self) -> bool:
        """Whether no group's sums are of several threads; those of the whole are added up in their order."""
        return self.lie.apart

    def pieces(self) -> Iterator[tuple[int, int]]:
        """Where the pieces of the tensor start and stop."""
        return self.lie.pieces(self.order.tensor.elements, self.order.times)

    def add(self, piece: tuple[int, int]) -> int:
        """Look at one piece; how many elements it has."""
        start, stop = piece
        x = self.order.tensor.values[start:stop]
        if not (x.dtype == np.float32 and x.flags.c_contiguous and x.flags.aligned):
            x = np.require(x, np.float32, ["C", "A"])
        self.plan[counting.FIRST_BUCKET], self.plan[counting.LAST_BUCKET] = -(-start // BASE), stop // BASE
        self.ends[:] = np.inf, -np.inf, np.inf, -np.inf
        self.totals[start] = totals = np.zeros(3)
        groups = self._clear(start, stop) if self.settles else None
        self.walk(x, start, *self.given, totals, *self.answers, *self.groups, *self.memory)
        if groups is not None:
            self._settle(groups)
        if self.order.envelope is not None and (start % BASE or stop % BASE):
            self._draw_ends(start, stop, self.ends)
        return stop - start

    def _clear(self, start: int, stop: int) -> slice:
        """Begin the groups of a piece, whose memory is whatever it was; which they are."""
        first, last = self.order.layout.group_of(np.array([start, stop - 1])).tolist()
        groups = slice(first, last + 1)
        errors, saturated, values, missing = self.groups
        saturated[groups] = 0
        if not self.lie.once:
            errors[:, groups] = 0
        if self.order.signal is None:
            missing[groups] = 0
            if not self.lie.once:
                values[:, groups] = 0
        return groups

    def _settle(self, groups: slice) -> None:
        """What the groups of a piece come to together."""
        errors, saturated, values, _ = self.groups
        signal = values[0] if self.order.signal is None else self.order.signal.squared
        self.settled[groups.start] = totals = np.zeros(TOTALS)
        signal = signal.view()
        signal.flags.writeable = False
        settle(groups.start, groups.stop, errors, saturated, signal, self.ratios, totals)

    def _overall(self, signal: InputSums) -> Overall:
        """What all groups come to together."""
        starts = sorted(self.settled)
        totals = np.array([self.settled[start] for start in starts])
        piece = int(np.argmin(totals[:, LEAST]))
        first, last = starts[piece], starts[piece + 1] if piece + 1 < len(starts) else None
        lowest, highest = float(totals[:, LOWEST].min()), float(totals[:, HIGHEST].max())
        return Overall(
            squared_error=float(totals[:, SQUARES].sum()),
            squared_value=signal.total,
            max_abs_error=float(totals[:, TOP].max()),
            saturated=int(totals[:, SATURATED].sum()),
            worst=first + int(np.argmin(self.ratios[first:last])),
            ratios=Ratios(self.ratios, lowest, highest, bool(totals[:, KNOWN].sum() == self.ratios.size)),
        )

    def _draw_ends(self, start: int, stop: int, ends: FloatArray) -> None:
        """The buckets that pieces share."""
        low, high = self.drawn
        with self.order.lock:
            for place, bucket in ((0, start // BASE), (2, (stop - 1) // BASE)):
                low[bucket] = min(low[bucket], ends[place])
                high[bucket] = max(high[bucket], ends[place + 1])

    def finish(self, first: bool) -> PassTotals:
        """What this thread has found; what threads share is told by the first."""
        found, order = self.found, self.order
        levels, bins = order.levels, order.bins
        found.occupancy = self.tallies[:levels]
        errors = 2 * bins * self.in_turn
        counted = self.tallies[levels : levels + errors].reshape(2, self.in_turn, bins)
        found.errors, found.clipping = counted.sum(axis=1)
        found.errors += found.clipping
        if levels:
            below, above = self.tallies[levels + errors :][: 2 * counting.LANES].reshape(2, counting.LANES).sum(axis=1)
            found.occupancy[0] += below
            found.occupancy[-1] += above
        if self.joint is not None:
            self._part(*self.joint)
        if first:
            totals = [self.totals[start] for start in sorted(self.totals)]
            found.totals = totals[0] if len(totals) == 1 else np.sum(totals, axis=0)
        if first or not self.lie.apart:
            errors, saturated, values, missing = self.groups
            found.squared_error, found.max_abs_error = errors
            found.saturated = saturated
            if order.signal is None:
                sizes = order.layout.sizes() if first else np.zeros(missing.size, np.int64)
                found.signal = InputSums(values[0], sizes - missing)
            signal = order.signal or found.signal
            if first and self.settles and signal is not None:
                found.overall = self._overall(signal)
        return found

    def _part(self, levels: int, window: int, at: int) -> None:
        """Codes and errors, from what was counted together."""
        found, bins = self.found, self.order.bins
        cells = self.table[: levels * window].reshape(levels, window)
        below, above = self.table[levels * window :].reshape(2, bins).astype(np.int64)
        if window <= NARROW_WINDOW:
            for column in cells.T:
                found.occupancy += column
        else:
            found.occupancy += cells.sum(axis=1, dtype=np.int64)
        found.occupancy[0] += below.sum()
        found.occupancy[-1] += above.sum()
        found.clipping += below + above
        found.errors += found.clipping
        found.errors[at : at + window] += cells.sum(axis=0, dtype=np.int64)


def _sums_of(groups: int, given: Callable[..., Array]) -> tuple[Floats, Counts]:
    """Two sums and a count for each group, in one piece: memory that comes in small pages is slow to come by."""
    whole = given((3, groups), np.float64)
    return whole[:2], whole[2].view(np.int64)
