"""What is known of a place where a sorted tensor is cut, and of neighbours that are taken as a whole?"""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arrays import Counts, Floats
from qviz.core.frozen import frozen

GROUPED = 16
"""Superblocks that lie within one cell altogether are taken so many at a time."""


@frozen(eq=False)
class Cuts:
    """Places between elements of a sorted tensor, ascending; what lies before each, in its superblock.

    Attributes
    ----------
    position : int array, shape (cuts,)
        Elements of the whole tensor before the cut.
    superblock : int array, shape (cuts,)
        The one that ``first`` and ``second`` start in.
    first, second : float64 arrays, shape (cuts,)
        Σ(x − c) and Σ(x − c)² from the middle of the superblock to the cut, with its centre c;
        negative to the left of it.
    """

    position: Counts
    superblock: Counts
    first: Floats
    second: Floats

    def pick(self, which: Any) -> Cuts:
        """Some of them: a slice, or indices in any order."""
        return Cuts(*(array[which] for array in self.arrays))

    def packed(self) -> Cuts:
        """The same one after the other in memory, as kernels take them."""
        packed = np.ascontiguousarray
        return Cuts(packed(self.position), packed(self.superblock), packed(self.first), packed(self.second))

    @property
    def arrays(self) -> tuple[Counts, Counts, Floats, Floats]:
        """All of its parts, in their order."""
        return self.position, self.superblock, self.first, self.second


@frozen(eq=False)
class Wholes:
    """What neighbours that are taken as a whole add up to, float64 arrays of one length.

    ``first`` and ``second`` are Σ(x − c) and Σ(x − c)² around the ``centre`` of each; ``size`` its elements.
    """

    centre: Floats
    first: Floats
    second: Floats
    size: Floats

    def grouped(self) -> Wholes:
        """Every `GROUPED` of them as one; the last may be of fewer."""
        starts = np.arange(0, self.centre.size, GROUPED)
        middle = np.minimum(starts + GROUPED // 2, self.centre.size - 1)
        centre = self.centre[middle]
        w = self.centre - np.repeat(centre, GROUPED)[: self.centre.size]
        first, second = moved(self.first, self.second, self.size, w)
        return Wholes(centre, *(np.add.reduceat(a, starts) for a in (first, second, self.size)))

    def add(self, cell: Counts, start: Counts, stop: Counts, reference: Floats, first: Floats, second: Floats) -> None:
        """Add those from ``start`` to before ``stop`` to each ``cell``, around its reference."""
        length = stop - start
        of = np.repeat(cell, length)
        if not of.size:
            return
        offset = np.arange(of.size) - np.repeat(np.cumsum(length) - length, length)
        which = np.repeat(start, length) + offset
        w = self.centre[which] - reference[of]
        one, two = moved(self.first[which], self.second[which], self.size[which], w)
        first += np.bincount(of, one, first.size)
        second += np.bincount(of, two, second.size)


def moved(first: Any, second: Any, count: Any, w: Any) -> tuple[Floats, Floats]:
    """Σ(d + w) and Σ(d + w)² from Σd and Σd²."""
    return first + count * w, second + w * (2 * first + count * w)
