"""How many scales, codes and values of bitsandbytes' 4 bits differ from those of qviz?

``python -m tests.oracles.ask_bitsandbytes [CASES] [SEED]`` with torch, bitsandbytes and what qviz needs beside them.
Every case is random; the seed is printed. It ends with exit code 1 where anything differs.
"""

from __future__ import annotations

import sys
from typing import Any

import bitsandbytes
import numpy as np
import torch
from bitsandbytes.functional import dequantize_4bit, get_4bit_type, quantize_4bit

from qviz.core import Codebook, PerBlock, Scheme
from tests.oracles.asking import Answer, Ask, arguments, ask_all
from tests.oracles.families import FAMILIES


def four_bits(x: Any, scheme: Scheme) -> Answer:
    """``quantize_4bit``; its codes as the numbers of levels, of which its FP4 has two zeros."""
    kind, size = scheme.number_format.name.removesuffix("_bnb"), scheme.granularity.block_size
    packed, state = quantize_4bit(torch.from_numpy(x.astype(np.float32)), blocksize=size, quant_type=kind)
    flat = packed.reshape(-1)
    stored = torch.stack([flat >> 4, flat & 15], -1).reshape(x.shape).numpy()
    levels = np.unique(get_4bit_type(kind, device="cpu").numpy())
    codes = np.searchsorted(levels, get_4bit_type(kind, device="cpu").numpy())[stored]
    return state.absmax.numpy(), None, codes, dequantize_4bit(packed, state).numpy().reshape(x.shape)


def asked() -> list[tuple[Ask, Scheme]]:
    """Blocks as the library has them, along rows that they divide."""
    blocks = (PerBlock(-1, 64), PerBlock(-1, 32))
    kinds = (Codebook("nf4"), Codebook("fp4_bnb"))
    return [(four_bits, Scheme(kind, True, each, convention="bitsandbytes")) for kind in kinds for each in blocks]


PACKAGES, OF_FAMILIES, OF_DTYPES = ("bitsandbytes", "torch"), FAMILIES, ("float32",)

if __name__ == "__main__":
    told = f"bitsandbytes {bitsandbytes.__version__}"
    sys.exit(ask_all(asked(), *arguments(sys.argv[1:]), told, dtypes=OF_DTYPES))
