"""Which few elements stand for a whole tensor, until somebody looks at every one?"""

from __future__ import annotations

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.tensors.mapped_values import Source

SAMPLED_BLOCKS, SAMPLED_BLOCK = 256, 1024
"""What an estimate is made from: so many blocks of so many neighbours."""


def is_all_of(elements: int) -> bool:
    """Whether a sample of so many elements would be all of them."""
    return elements <= SAMPLED_BLOCKS * SAMPLED_BLOCK


def read_sample(source: Source) -> FloatArray:
    """Blocks of neighbours from all over, one at a chance place in each of equal stretches; the same each time.

    Parameters
    ----------
    source : array or Stored, flat
        More elements than a sample has.

    Returns
    -------
    float32 array, shape (SAMPLED_BLOCKS · SAMPLED_BLOCK,)
        What is beyond float32 is infinite.
    """
    stretch = source.size // SAMPLED_BLOCKS
    within = np.random.default_rng(0).integers(0, max(1, stretch - SAMPLED_BLOCK), SAMPLED_BLOCKS)
    starts = np.arange(SAMPLED_BLOCKS) * stretch + within
    with np.errstate(over="ignore"):
        blocks = [source[s : s + SAMPLED_BLOCK].astype(np.float32) for s in starts.tolist()]
    return np.concatenate(blocks)
