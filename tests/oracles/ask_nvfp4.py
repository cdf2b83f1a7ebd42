"""How many scales, codes and values of torchao's NVFP4 differ from those of qviz, with one level of scales and two?

``python -m tests.oracles.ask_nvfp4 [CASES] [SEED]`` with torch, torchao and what qviz needs beside them. Every case is
random; the seed is printed. It ends with exit code 1 where anything differs.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torchao.prototype.mx_formats.kernels import f4_unpacked_to_f32, unpack_uint4
from torchao.prototype.mx_formats.nvfp4_tensor import nvfp4_quantize, per_tensor_amax_to_scale

from qviz.core import FloatFormat, PerBlock, Scheme
from tests.oracles.ask_torch import to_torch
from tests.oracles.asking import Answer, Ask, arguments, ask_all
from tests.oracles.families import FAMILIES


def fp4(x: Any, scheme: Scheme) -> Answer:
    """Scales as float32, codes unpacked, and what they stand for."""
    t = to_torch(x).float()
    whole = None if scheme.convention.endswith("single") else per_tensor_amax_to_scale(t.abs().max())
    scales, packed = nvfp4_quantize(t, per_tensor_scale=whole)
    scale = scales.float() if whole is None else scales.float() * whole
    codes = unpack_uint4(packed).reshape(t.shape)
    values = (f4_unpacked_to_f32(codes).reshape(t.shape[0], -1, 16) * scale.reshape(t.shape[0], -1, 1)).reshape(t.shape)
    return scale.numpy(), None, codes.numpy(), values.numpy()


def asked() -> list[tuple[Ask, Scheme]]:
    """With one level of scales, and with two."""
    names = ("nvfp4_single", "nvfp4")
    return [(fp4, Scheme(FloatFormat("e2m1fn"), True, PerBlock(-1, 16), convention=name)) for name in names]


# Where 1 / scale of the tensor is infinite, the code of 0 is what the processor makes of NaN.
OF_FAMILIES = {name: family for name, family in FAMILIES.items() if name != "denormal"}
PACKAGES, OF_DTYPES = ("torch", "torchao"), ("float32", "bfloat16")

if __name__ == "__main__":
    sys.exit(
        ask_all(asked(), *arguments(sys.argv[1:]), f"torch {torch.__version__}", families=OF_FAMILIES, dtypes=OF_DTYPES)
    )
