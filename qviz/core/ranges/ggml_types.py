"""What is stored of a block of ggml whose scales are searched, and which values does a reader make of it?"""

from __future__ import annotations

import numpy as np

from qviz.core.arrays import Array, FloatArray
from qviz.core.frozen import frozen
from qviz.core.ranges.ggml_search import IQ4_NL

SUPERBLOCK = 256
"""Elements that share the scale of their scales (``QK_K``)."""

Q2, Q3, Q4, Q5, Q6, LEVELS = 2, 3, 4, 5, 6, 7
"""What a kernel is asked for."""


@frozen
class GgmlType:
    """One of ggml's types of superblocks.

    Attributes
    ----------
    name : str
        As llama.cpp writes it: ``"Q4_K"``.
    kind : int
    block, group : int
        Elements of a block, and of those of it that share a scale.
    bits : int
        Bits of a code.
    middle : int
        What is taken from a code.
    has_minimum : bool
    nbytes : int
        Of a block.
    """

    name: str
    kind: int
    block: int
    group: int
    bits: int
    middle: int
    has_minimum: bool
    nbytes: int


TYPES: dict[str, GgmlType] = {
    each.name: each
    for each in (
        GgmlType("Q2_K", Q2, 256, 16, 2, 0, True, 84),
        GgmlType("Q3_K", Q3, 256, 16, 3, 4, False, 110),
        GgmlType("Q4_K", Q4, 256, 32, 4, 0, True, 144),
        GgmlType("Q5_K", Q5, 256, 32, 5, 0, True, 176),
        GgmlType("Q6_K", Q6, 256, 16, 6, 32, False, 210),
        GgmlType("IQ4_XS", LEVELS, 256, 32, 4, 0, False, 136),
        GgmlType("IQ4_NL", LEVELS, 32, 32, 4, 0, False, 18),
    )
}
"""Those that are encoded here."""


@frozen(eq=False)
class Blocks:
    """Encoded blocks: what is stored of them, and what follows from it.

    Attributes
    ----------
    type : GgmlType
    codes : uint8 array of shape (blocks, type.block)
        As stored: from 0 on.
    scales, minima : int8 arrays of shape (blocks, groups)
        The integers by which the two halves are multiplied; of IQ4_NL they are 1.
    halves : uint16 array of shape (blocks, 2)
        Bits of the float16 scale of the scales and of the minima.
    inverses : float32 array of shape (blocks, groups)
        What values of IQ4 were multiplied by, before the scale became a float16; 0 where there is none.
    """

    type: GgmlType
    codes: Array
    scales: Array
    minima: Array
    halves: Array
    inverses: FloatArray

    @property
    def scale(self) -> FloatArray:
        """float32 array of shape (blocks, groups): the scale of each group, as decoding multiplies by it."""
        return np.asarray(self._half(0) * self.scales.astype(np.float32))

    @property
    def offset(self) -> FloatArray:
        """float32 array of shape (blocks, groups): what decoding adds, minus the minimum."""
        return np.asarray(-(self._half(1) * self.minima.astype(np.float32)))

    def _half(self, which: int) -> FloatArray:
        return self.halves[:, which : which + 1].view(np.float16).astype(np.float32)

    def values(self) -> FloatArray:
        """float32 array of shape (blocks, type.block): what a reader makes of them (``dequantize_row_*``)."""
        groups = self.codes.reshape(len(self.codes), -1, self.type.group)
        if self.type.kind == LEVELS:
            decoded = self.scale[:, :, None] * IQ4_NL[groups]
        else:
            decoded = self.scale[:, :, None] * (groups.astype(np.float32) - np.float32(self.type.middle))
            if self.type.has_minimum:
                decoded = decoded + self.offset[:, :, None]
        return decoded.reshape(self.codes.shape)
