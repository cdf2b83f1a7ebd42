"""How many scales, codes and values of torchao's tiles differ from those of qviz?

``python -m tests.oracles.ask_tiles [CASES] [SEED]`` with torch, torchao and what qviz needs beside them: blocks along
two axes, as DeepSeek stores FP8 weights (absmax / 448 of each). It ends with exit code 1 where anything differs.
"""

from __future__ import annotations

import sys
from functools import partial

import torch

from qviz.core import PerTile, Scheme
from tests.oracles.ask_torch import FP8, INT4, INT8, OF_DTYPES, OF_FAMILIES, PACKAGES, UINT4, _answer, torchao
from tests.oracles.asking import Ask, arguments, ask_all

__all__ = ["OF_DTYPES", "OF_FAMILIES", "PACKAGES", "asked"]


def asked() -> list[tuple[Ask, Scheme]]:
    """What is asked, in arrays of NumPy; torchao's blocks have to divide the axes."""
    tiles = (PerTile(2, 16), PerTile(2, 64), PerTile(1, 8))
    schemes = [Scheme(f, True, each, convention="torchao") for f in FP8 for each in tiles]
    schemes += [Scheme(f, s, PerTile(2, 16), convention="torchao") for f in (INT4, UINT4, INT8) for s in (True, False)]
    return [(partial(_answer, torchao), scheme) for scheme in schemes]


if __name__ == "__main__":
    sys.exit(ask_all(asked(), *arguments(sys.argv[1:]), f"torch {torch.__version__}"))
