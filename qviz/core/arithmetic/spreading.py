"""Which scale does each element of a stretch get? How groups lie in memory, as compiled loops take it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from qviz.core.arithmetic.loops import KINDS, PARAMETERS, REGION, STRETCH
from qviz.core.compiler import part
from qviz.core.frozen import frozen
from qviz.core.tensors.envelope import BASE
from qviz.core.tensors.layout import BlockLayout, Layout, TileLayout

PIECE = 1 << 19
"""Elements a piece: enough for a thread to be busy with, few enough to stop between."""

CHUNK = 16
"""Neighbours that are taken together: runs are a whole number of them, or scattered."""

CHUNK_LENGTH = np.uint64(CHUNK)

NARROW = CHUNK
"""Rows of fewer groups that lie side by side are taken as scattered."""

LONG = 4 * CHUNK
"""Runs from here on are looked at one by one where they end within a chunk; shorter ones as if they lay anyhow."""

# The places of a ``plan`` behind the ``kind`` of the loops: how the groups lie.
COLUMNS, WIDTH, LENGTH, ALONG, BLOCK, AFTER, TALL = range(KINDS, KINDS + 7)
LAID = KINDS + 7


@frozen
class Lie:
    """How the groups of a layout lie in memory, as the walk takes it.

    Attributes
    ----------
    columns : bool
        Whether the neighbours of a row belong to groups that are neighbours too.
    width : int
        Elements of a row.
    length, along, block, after : int
        Rows (columns) or elements (runs) of a group, and how the groups are numbered.
    tall : int
        Rows (of runs) that share their groups, among ``length`` rows of a matrix.
    apart : bool
        Whether no two pieces hold elements of the same group.
    once : bool
        Whether each group is a run of whole chunks that is looked at in one stretch: see `lie_of_stretch`.
    """

    columns: bool
    width: int
    length: int
    along: int
    block: int
    after: int
    apart: bool
    tall: int = 1
    once: bool = False

    @classmethod
    def of(cls, layout: Layout) -> Lie:
        """How the groups of a layout lie."""
        if isinstance(layout, BlockLayout):
            along = -(-layout.length // layout.inner)
            if layout.after >= NARROW:
                apart = layout.after * layout.inner <= 4 * PIECE
                return cls(True, layout.after, layout.length, along, layout.inner, 1, apart)
            width = layout.length * layout.after
            apart = layout.inner * layout.after <= PIECE or width <= PIECE
            return cls(False, width, 1, along, layout.inner, layout.after, apart)
        if isinstance(layout, TileLayout):
            return cls(False, layout.width, layout.height, layout.along, layout.wide, 1, False, layout.tall)
        width = layout.groups * layout.inner
        if layout.inner == 1 and layout.groups >= NARROW:
            return cls(True, width, 1, 0, 1, 1, layout.outer == 1)
        once = layout.outer == 1 and layout.inner % CHUNK == 0 and layout.inner < STRETCH <= 2 * width
        return cls(False, width, 1, 0, layout.inner, 1, layout.outer == 1 and layout.inner <= PIECE, once=once)

    @property
    def places(self) -> tuple[int, ...]:
        """In the order of a plan."""
        return self.columns, self.width, self.length, self.along, self.block, self.after, self.tall

    def pieces(self, elements: int, times: int = 1) -> Iterator[tuple[int, int]]:
        """Where each piece of a tensor of so many elements starts and stops; so many times as large as usual."""
        size = times * PIECE
        band = self.block * self.width if self.columns and self.along else self.width
        cycle = self.length * self.width if self.columns and self.along else self.width
        if cycle <= size:  # some rows, or some tensors of bands; buckets of the envelope are shared by few pieces
            step = max(1, size // cycle) * cycle
            for start in range(0, elements, step):
                yield start, min(start + step, elements)
            return
        if self.columns and self.along and self.apart:
            step = max(1, size // band) * band
        else:
            unit = 1 if self.columns else self.block * self.after
            unit = unit if unit <= size else 1
            joined = math.lcm(unit, BASE)
            unit = joined if joined <= size else unit
            cycle, step = self.width, size // unit * unit
        for row in range(0, elements, cycle):
            for start in range(row, row + cycle, step):
                yield start, min(start + step, row + cycle)


# --- loops ---------------------------------------------------------------------------------------------------


@part()
def spread_run(parameters: Any, strides: Any, work: Any, group: Any, n: Any) -> None:
    """The parameters of one group."""
    for k in range(PARAMETERS):
        if strides[k]:
            value, region = parameters[k][group], np.uint64(k * REGION)
            for i in range(n):
                work[region + i] = value


@part()
def spread_runs(parameters: Any, strides: Any, work: Any, group: Any, n: Any, chunks: Any) -> None:
    """The parameters of neighbouring groups, for so many chunks each."""
    for k in range(PARAMETERS):
        if strides[k]:
            given, region, g = parameters[k], np.uint64(k * REGION), np.uint64(group)
            run = np.uint64(chunks * CHUNK)  # told here, it would be unrolled before it is vectorized
            for start in range(np.uint64(0), n, run):
                value = given[g]
                g += np.uint64(1)
                for i in range(run):
                    work[region + start + i] = value


@part()
def spread_columns(parameters: Any, strides: Any, work: Any, first: Any, n: Any) -> None:
    """The parameters of groups that lie side by side."""
    for k in range(PARAMETERS):
        if strides[k]:
            given, region = parameters[k], np.uint64(k * REGION)
            for i in range(n):
                work[region + i] = given[first + i]


@part(rare=True)
def spread_scattered(parameters: Any, strides: Any, work: Any, where: Any, n: Any) -> None:
    """The parameters of groups that lie anyhow."""
    for k in range(PARAMETERS):
        if strides[k]:
            given, region = parameters[k], np.uint64(k * REGION)
            for i in range(n):
                work[region + i] = given[where[i]]


@part()
def row_of_groups(row: Any, plan: Any) -> Any:
    """The number of the row among the rows of groups."""
    tall, length = plan[TALL], plan[LENGTH]
    if tall == 1:
        return row
    return row // length * ((length + tall - 1) // tall) + row % length // tall


@part(rare=True)
def scatter(where: Any, n: Any, row: Any, column: Any, plan: Any) -> None:
    """The group of each element."""
    width, block, after = plan[WIDTH], plan[BLOCK], plan[AFTER]
    group = row_of_groups(row, plan) * plan[ALONG] * after + column // (block * after) * after
    across, into = column % after, column // after % block
    for i in range(n):
        where[i] = group + across
        column += 1
        across += 1
        if across == after:
            across = 0
            into += 1
            if into == block:
                into = 0
                group += after
        if column == width:
            row, column, across, into = row + 1, 0, 0, 0
            group = row_of_groups(row, plan) * plan[ALONG] * after


def lies_in_long_runs(plan: Any) -> bool:
    """Whether `long_run` knows how the groups lie."""
    return bool(plan[AFTER] == 1 and plan[TALL] == 1 and plan[BLOCK] >= STRETCH)


@part()
def long_run(plan: Any, flat: Any, rest: Any) -> Any:
    """How the groups of a stretch lie, within one long run: see `lie_of_stretch`."""
    width, block = plan[WIDTH], plan[BLOCK]
    row, column = flat // width, flat % width
    group = row * plan[ALONG] + column // block
    return min(STRETCH, rest, width - column, block - column % block), 0, group


@part()
def lie_of_stretch(plan: Any, flat: Any, rest: Any) -> Any:
    """How the groups of a stretch of runs lie, or of a scattered one, from element ``flat`` on.

    Parameters
    ----------
    rest : int
        Elements that are left.

    Returns
    -------
    n, chunks, group : int
        Elements; chunks of each run, 0 for a part of one run, −1 where they are scattered; the first group.
    """
    width, block, after = plan[WIDTH], plan[BLOCK], plan[AFTER]
    row, column = flat // width, flat % width
    left, into = min(width - column, rest), column % block
    group = row_of_groups(row, plan) * plan[ALONG] * after + column // (block * after) * after
    if after == 1 and (block >= STRETCH or (block >= LONG and block % CHUNK)):
        return min(STRETCH, left, block - into), 0, group
    whole = after == 1 and block % CHUNK == 0
    if whole and into == 0 and left >= block and 2 * width >= STRETCH:
        return min(STRETCH // block, left // block) * block, block // CHUNK, group
    return min(STRETCH, left if 2 * width >= STRETCH else rest), -1, group


@part()
def spread_stretch(
    parameters: Any, strides: Any, plan: Any, work: Any, where: Any, flat: Any, n: Any, chunks: Any, group: Any,
    present: Any,
) -> Any:  # fmt: skip
    """The parameters of a stretch that lies as `lie_of_stretch` says.

    Parameters
    ----------
    present : int
        The group whose parameters are spread over a whole stretch already, or −1.

    Returns
    -------
    present : int
        The same now.
    """
    if chunks == 0:
        if group == present:
            return group
        whole = n > CHUNK  # what is left of a run is looked at once
        spread_run(parameters, strides, work, group, np.uint64(STRETCH if whole else CHUNK))
        return group if whole else np.int64(-1)
    if chunks > 0:
        spread_runs(parameters, strides, work, group, np.uint64(n), chunks)
        return present
    scatter(where, n, flat // plan[WIDTH], flat % plan[WIDTH], plan)
    spread_scattered(parameters, strides, work, where, np.uint64(n))
    return np.int64(-1)


@part()
def spread_same(parameters: Any, work: Any) -> None:
    """The parameters of the first group everywhere: those that are the same for all stay."""
    for k in range(PARAMETERS):
        value, region = parameters[k][0], np.uint64(k * REGION)
        for i in range(np.uint64(STRETCH)):
            work[region + i] = value
