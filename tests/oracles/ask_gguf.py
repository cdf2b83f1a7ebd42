"""How many scales, codes and values of the gguf package differ from those of qviz?

``python -m tests.oracles.ask_gguf [CASES] [SEED]`` with gguf and what qviz needs beside it. Every case is random; the
seed is printed. It ends with exit code 1 where anything differs.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType
from gguf.quants import dequantize, quantize

from qviz.core import IntFormat, PerBlock, Scheme
from tests.oracles.asking import Answer, Ask, arguments, ask_all
from tests.oracles.families import FAMILIES

Array = np.ndarray[Any, Any]


def halves(packed: Array) -> Array:
    """Two bytes of each block as a number."""
    return packed.copy().view(np.float16).astype(np.float32)


def gguf(kind: str, x: Array, scheme: Scheme) -> Answer:
    """``quantize`` and ``dequantize``; scales and codes are taken from the packed bytes."""
    packed = quantize(x.astype(np.float32), GGMLQuantizationType[kind])
    values = dequantize(packed, GGMLQuantizationType[kind])
    blocks = packed.reshape(-1, packed.size // (x.size // 32))
    scale, rest = halves(blocks[:, :2]), blocks[:, 2:]
    if kind.endswith("_1"):
        rest = rest[:, 2:]
    if kind == "Q8_0":
        codes = rest.view(np.int8)
    else:
        high: Array = np.zeros((len(rest), 32), np.uint8)
        if kind.startswith("Q5"):
            high, rest = np.unpackbits(rest[:, :4], axis=1, bitorder="little") << 4, rest[:, 4:]
        codes = np.concatenate([rest & 15, rest >> 4], axis=1) | high
    return scale, None, codes.reshape(x.shape), values


def asked() -> list[tuple[Ask, Scheme]]:
    """Every type that the package encodes itself."""
    u4, u5 = IntFormat(4, False), IntFormat(5, False)
    kinds = {"Q4_0": (u4, True), "Q4_1": (u4, False), "Q5_0": (u5, True), "Q5_1": (u5, False)}
    kinds["Q8_0"] = (IntFormat(8), True)
    blocks = PerBlock(-1, 32)
    return [(partial(gguf, kind), Scheme(*parts, blocks, convention="gguf")) for kind, parts in kinds.items()]


PACKAGES, OF_FAMILIES, OF_DTYPES = ("gguf",), FAMILIES, ("float32", "float16", "bfloat16")

if __name__ == "__main__":
    told = f"gguf {version('gguf')}"
    sys.exit(ask_all(asked(), *arguments(sys.argv[1:]), told, dtypes=OF_DTYPES))
