"""How many values of bare casts to FP8 differ between ml_dtypes and qviz?

``python -m tests.oracles.ask_casts [CASES] [SEED]`` with ml_dtypes alone. Every case is random; the seed is printed. It
ends with exit code 1 where anything differs.
"""

from __future__ import annotations

import sys
from typing import Any

import ml_dtypes
import numpy as np

from qviz.core import FloatFormat, PerAxis, PerTensor, Scheme
from tests.oracles.asking import Answer, Ask, arguments, ask_all


def cast(x: Any, scheme: Scheme) -> Answer:
    """``x.astype``, there and back; the bits of NaN are not compared."""
    there = x.astype(np.float32).astype(getattr(ml_dtypes, scheme.number_format.name))
    return None, None, None, there.astype(np.float32)


def asked() -> list[tuple[Ask, Scheme]]:
    """The four formats, of a tensor and of channels."""
    formats, wholes = ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz"), (PerTensor(), PerAxis(0))
    return [(cast, Scheme(FloatFormat(f), True, each, convention="cast_float8")) for f in formats for each in wholes]


if __name__ == "__main__":
    sys.exit(ask_all(asked(), *arguments(sys.argv[1:]), f"ml_dtypes {ml_dtypes.__version__}"))
