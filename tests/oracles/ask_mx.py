"""How many scales, codes and values of torchao's MX tensors differ from those of qviz, under its four rules for scales?

``python -m tests.oracles.ask_mx [CASES] [SEED]`` with torch, torchao and what qviz needs beside them. Every case is
random; the seed is printed. It ends with exit code 1 where anything differs.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torchao.prototype.mx_formats.config import ScaleCalculationMode
from torchao.prototype.mx_formats.mx_tensor import to_dtype, to_mx, unpack_uint4

from qviz.core import FloatFormat, PerBlock, Scheme
from tests.oracles.ask_torch import to_torch
from tests.oracles.asking import Answer, Ask, arguments, ask_all
from tests.oracles.families import FAMILIES

ELEMENTS: dict[str, Any] = {
    "e4m3fn": torch.float8_e4m3fn,
    "e5m2": torch.float8_e5m2,
    "e2m3fn": "fp6_e2m3",
    "e3m2fn": "fp6_e3m2",
    "e2m1fn": torch.float4_e2m1fn_x2,
}


def mx(x: Any, scheme: Scheme) -> Answer:
    """Scales as float32, codes unpacked, and what they stand for."""
    element, mode = ELEMENTS[scheme.number_format.format], scheme.convention.removeprefix("mx_")
    scale, packed = to_mx(to_torch(x), element, 32, ScaleCalculationMode(mode))
    codes = unpack_uint4(packed).reshape(x.shape) if scheme.number_format.bits == 4 else packed.view(torch.uint8)
    values = to_dtype(packed, scale, element, 32, torch.float32)
    return scale.float().numpy(), None, codes.numpy(), values.numpy()


def asked() -> list[tuple[Ask, Scheme]]:
    """Every rule and every element."""
    rules = ("mx_floor", "mx_ceil", "mx_even", "mx_rceil")
    return [(mx, Scheme(FloatFormat(f), True, PerBlock(-1, 32), convention=rule)) for rule in rules for f in ELEMENTS]


PACKAGES, OF_FAMILIES, OF_DTYPES = ("torch", "torchao"), FAMILIES, ("float32", "bfloat16")

if __name__ == "__main__":
    sys.exit(ask_all(asked(), *arguments(sys.argv[1:]), f"torch {torch.__version__}", dtypes=OF_DTYPES))
