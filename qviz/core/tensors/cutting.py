"""Where in a tensor does one of its groups lie?"""

from __future__ import annotations

import numpy as np

from qviz.core.frozen import frozen
from qviz.core.tensors.granularity import Granularity


@frozen
class Cut:
    """The block of one group.

    Attributes
    ----------
    corner : tuple of int
        The index of its first element.
    slices : tuple of slice
        All of it; a block at the end of a ragged axis is shorter.
    """

    corner: tuple[int, ...]
    slices: tuple[slice, ...]


def cut_of(shape: tuple[int, ...], granularity: Granularity, group: int) -> Cut:
    """The block of group ``group``, a number from 0 to the number of groups."""
    block = granularity.block_shape(shape)
    counts = tuple(-(-n // b) for n, b in zip(shape, block, strict=True))
    place = np.unravel_index(group, counts)
    corner = tuple(int(i) * b for i, b in zip(place, block, strict=True))
    return Cut(corner, tuple(slice(c, c + b) for c, b in zip(corner, block, strict=True)))
