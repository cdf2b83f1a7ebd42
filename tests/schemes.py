"""Which conventions can be tried with any granularity, and which scale does a block get?"""

import numpy as np

from qviz.core import CONVENTIONS, PerBlock, Scheme, choose_qparams
from qviz.core.compiler import demand
from qviz.core.ranges import ggml

OF_ANY_LENGTH = tuple(name for name, convention in CONVENTIONS.items() if not convention.superblock)
"""Those whose rows need not be a multiple of 256 (of K-quants see `tests/core/runtimes/test_llamacpp.py`)."""

FREE_CONVENTIONS = tuple(name for name, convention in CONVENTIONS.items() if convention.default_block is None)


def demand_search(convention: str) -> None:
    """Have compiled what finds a convention's scales, so that no test waits for that."""
    if CONVENTIONS[convention].superblock:
        assert demand(ggml.search)


def block_qparams(convention, number_format, absmax, symmetric=True, size=32):
    """The parameters of one block whose element furthest from 0 is ``absmax``."""
    x = np.zeros(size, np.float32)
    x[3] = absmax
    return choose_qparams(x, Scheme(number_format, symmetric, PerBlock(-1, size), convention=convention))
