"""How many scales, codes and values of Paddle's quantized weights differ from those of qviz?

``python -m tests.oracles.ask_paddle [CASES] [SEED]`` with paddlepaddle and what qviz needs beside it. Every case is
random; the seed is printed. It ends with exit code 1 where anything differs.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any

import numpy as np
from paddle.static.quantization.utils import dequant_tensor, quant_tensor

from qviz.core import IntFormat, PerAxis, PerTensor, Scheme
from tests.oracles.asking import Answer, Ask, arguments, ask_all
from tests.oracles.families import FAMILIES


def weights(x: Any, scheme: Scheme) -> Answer:
    """``quant_tensor`` as PostTrainingQuantization calls it; the threshold is what Paddle calls scale."""
    x, f, axis = x.astype(np.float32), scheme.number_format, scheme.granularity
    along = axis.axis if isinstance(axis, PerAxis) else 0
    others = 1 - along if isinstance(axis, PerAxis) else None
    threshold = np.abs(x).max(others)
    given = float(threshold) if others is None else [float(each) for each in threshold]
    codes = quant_tensor(x.copy(), given, along, f.bits, onnx_format=True)
    scale = np.where(threshold == 0, np.float32(1), threshold / np.float32(f.quant_max))
    return scale, None, codes.astype(int), dequant_tensor(codes.astype(np.float32), given, along, f.bits)


def asked() -> list[tuple[Ask, Scheme]]:
    """Weights, as the library has them."""
    wholes = (PerTensor(), PerAxis(0), PerAxis(1))
    formats = (IntFormat(8), IntFormat(4), IntFormat(16))
    return [(weights, Scheme(f, True, each, convention="paddle")) for f in formats for each in wholes]


PACKAGES, OF_FAMILIES, OF_DTYPES = ("paddlepaddle",), FAMILIES, ("float32",)

if __name__ == "__main__":
    told = f"paddlepaddle {version('paddlepaddle')}"
    sys.exit(ask_all(asked(), *arguments(sys.argv[1:]), told, dtypes=OF_DTYPES))
