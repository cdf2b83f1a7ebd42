"""How many scales, codes and values of bitsandbytes' 4 bits differ from those of qviz, scales in 8 bits or not?

``python -m tests.oracles.ask_bitsandbytes [CASES] [SEED]`` with torch, bitsandbytes and what qviz needs beside them.
Every case is random; the seed is printed. It ends with exit code 1 where anything differs.
"""

from __future__ import annotations

import ast
import inspect
import sys
from functools import cache
from typing import Any

import bitsandbytes
import numpy as np
import torch
from bitsandbytes.backends.default import ops
from bitsandbytes.functional import QuantState, create_dynamic_map, dequantize_4bit, get_4bit_type, quantize_4bit

from qviz.core import Codebook, PerBlock, Scheme, choose_qparams, quantize
from tests.oracles.asking import Answer, Ask, arguments, ask_all
from tests.oracles.families import FAMILIES


def four_bits(x: Any, scheme: Scheme) -> Answer:
    """``quantize_4bit``; its codes as the numbers of levels, of which its FP4 has two zeros."""
    kind, size = scheme.number_format.name.removesuffix("_bnb"), scheme.granularity.block_size
    packed, state = quantize_4bit(torch.from_numpy(x.astype(np.float32)), blocksize=size, quant_type=kind)
    absmax = state.absmax
    if scheme.convention.endswith("double"):
        absmax = compress(state)
    flat = packed.reshape(-1)
    stored = torch.stack([flat >> 4, flat & 15], -1).reshape(x.shape).numpy()
    levels = np.unique(get_4bit_type(kind, device="cpu").numpy())
    codes = np.searchsorted(levels, get_4bit_type(kind, device="cpu").numpy())[stored]
    return absmax.numpy(), None, codes, dequantize_4bit(packed, state).numpy().reshape(x.shape)


@cache
def blockwise() -> Any:
    """``quantize_blockwise`` as all devices but the processor have it, whose own looks levels up in a coarse table."""
    wanted = '@register_kernel("bitsandbytes::quantize_blockwise", "default")'
    source = inspect.getsource(ops)
    tree = ast.parse(source[source.index(wanted) :])
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    function.decorator_list, function.name = [], "blockwise"
    names = dict(vars(ops))
    exec(compile(ast.Module([function], []), ops.__file__, "exec"), names)
    return names["blockwise"]


def compress(state: Any) -> Any:
    """What ``compress_statistics`` does to a state; the scales as they are decoded."""
    offset, code = state.absmax.mean(), create_dynamic_map()
    quantized, absmax = blockwise()(state.absmax - offset, code, 256)
    state.offset, state.absmax, state.nested = offset, quantized, True
    state.state2 = QuantState(absmax=absmax, code=code, blocksize=256, dtype=torch.float32)
    return bitsandbytes.functional.dequantize_blockwise(quantized, state.state2) + offset


def asked() -> list[tuple[Ask, Scheme]]:
    """Blocks as the library has them, along rows that they divide."""
    blocks = (PerBlock(-1, 64), PerBlock(-1, 32))
    kinds = (Codebook("nf4"), Codebook("fp4_bnb"))
    names = ("bitsandbytes", "bitsandbytes_double")
    return [(four_bits, Scheme(kind, True, each, convention=n)) for kind in kinds for each in blocks for n in names]


SIX = (-0.84809637, -0.6106329, -0.33967942, -0.2346074, 0.50166345, 0.86147845)
"""Quotients whose code the table of exceptions names."""


def replay() -> int:
    """1 where the live library does not give the level below to each of the six alone, and to no neighbour."""
    middle = np.float32(SIX)
    x = np.zeros((1, 64), np.float32)
    x[0, :18] = np.concatenate([middle, np.nextafter(middle, np.float32(-2)), np.nextafter(middle, np.float32(2))])
    x[0, 18] = 1  # what makes the others quotients
    scheme = Scheme(Codebook("nf4"), True, PerBlock(-1, 64), convention="bitsandbytes")
    theirs, mine = four_bits(x, scheme)[2][0], quantize(x, choose_qparams(x, scheme))[0]
    apart = mine.astype(int) - theirs
    print("six quotients: codes there", theirs[:6].tolist(), "here", mine[:6].tolist())
    return int(not (np.all(apart[:6] == 1) and not apart[6:].any()))


PACKAGES, OF_FAMILIES, OF_DTYPES = ("bitsandbytes", "torch"), FAMILIES, ("float32",)

SHAPE = (40, 512)
"""More than 256 blocks, and not a multiple of it."""

if __name__ == "__main__":
    told = f"bitsandbytes {bitsandbytes.__version__}"
    sys.exit(replay() | ask_all(asked(), *arguments(sys.argv[1:]), told, dtypes=OF_DTYPES, shape=SHAPE))
