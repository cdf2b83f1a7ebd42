"""Which codes do live libraries store of NaN and infinities, under the scales that qviz chooses without them?

``python -m tests.oracles.ask_not_finite LIBRARY [CASES] [SEED]`` with the library (torch, onnxruntime, tflite, nncf,
paddle, bitsandbytes) and what qviz needs beside it. What a library makes of scales where such elements are among them
(NaN, infinite, or an error) is said beside the figures. Every case is random; the seed is printed. It ends with exit
code 1 where a code differs.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from qviz.core import (
    Codebook,
    FloatFormat,
    IntFormat,
    PerAxis,
    PerBlock,
    PerTensor,
    Problem,
    Scheme,
    choose_qparams,
    quantize,
)
from qviz.core.arithmetic.qparams import QParams
from tests.oracles.families import FAMILIES, tensor

Array = np.ndarray[Any, Any]
Coded = Callable[[Array, QParams], Array]
"""The codes of float32 numbers under given scales and zero points."""

WHOLES = (PerTensor(), PerAxis(0))
INTEGERS = tuple(IntFormat(bits, signed) for bits in (4, 8) for signed in (True, False))
FAR = (np.nan, np.inf, -np.inf, 3.4e38)
SHARE = 0.1


def schemes(conventions: tuple[str, ...], formats: tuple[Any, ...], wholes: tuple[Any, ...] = WHOLES) -> list[Scheme]:
    """Every such scheme that qviz offers."""
    found = []
    for name in conventions:
        for f in formats:
            for symmetric in (True, False):
                for granularity in wholes:
                    try:
                        found.append(Scheme(f, symmetric, granularity, convention=name))
                    except Problem:
                        continue
    return found


def of_torch() -> list[tuple[Coded, Scheme]]:
    import torch
    from torch.ao.quantization.fx import _decomposed  # noqa: F401  (registers the operators)
    from torchao.quantization.quant_primitives import _quantize_affine_float8, quantize_affine

    def torchao(x: Array, q: QParams) -> Array:
        t, block = torch.from_numpy(x), q.scheme.granularity.block_shape(x.shape)
        shape = tuple(-(-n // b) for n, b in zip(x.shape, block, strict=True))
        scale = torch.from_numpy(q.scale.reshape(shape).copy())
        if isinstance(q.number_format, FloatFormat):
            kind = getattr(torch, q.number_format.name)
            return _quantize_affine_float8(t, scale, kind).view(torch.uint8).numpy()
        stored = torch.int8 if q.number_format.signed else torch.uint8
        zero = torch.from_numpy(q.zero_point.reshape(shape).astype(np.int32))
        return quantize_affine(t, block, scale, zero, stored, q.quant_min, q.quant_max).numpy()

    def pytorch(x: Array, q: QParams) -> Array:
        ops, kind = torch.ops.quantized_decomposed, torch.int8 if q.number_format.signed else torch.uint8
        t, ends = torch.from_numpy(x), (int(q.quant_min), int(q.quant_max), kind)
        zero = q.zero_point.astype(np.int64)
        if q.scale.ndim:
            return ops.quantize_per_channel(t, torch.from_numpy(q.scale), torch.from_numpy(zero), 0, *ends).numpy()
        return ops.quantize_per_tensor(t, float(q.scale), int(zero), *ends).numpy()

    floats = (FloatFormat("e4m3fn"), FloatFormat("e5m2"))
    mine = schemes(("torchao", "torchao_no_clipping"), (*INTEGERS, *floats), (*WHOLES, PerBlock(-1, 32)))
    return [(torchao, each) for each in mine] + [(pytorch, each) for each in schemes(("pytorch",), INTEGERS[2:])]


def of_onnxruntime() -> list[tuple[Coded, Scheme]]:
    from tests.golden.record_onnxruntime import operator_answer

    def linear(x: Array, q: QParams) -> Array:
        return operator_answer(x, q.scale, q.zero_point, q.number_format, 0 if q.scale.ndim else None)[0]

    names = ("onnxruntime", "onnxruntime_reduce_range")
    return [(linear, each) for each in schemes(names, (*INTEGERS, IntFormat(16), IntFormat(16, False)))]


def of_tflite() -> list[tuple[Coded, Scheme]]:
    from ai_edge_quantizer.algorithms.uniform_quantize import uniform_quantize_tensor as library
    from ai_edge_quantizer.qtyping import UniformQuantParams

    def uniform(x: Array, q: QParams) -> Array:
        axis, bits = (0, q.number_format.bits) if q.scale.ndim else (None, q.number_format.bits)
        shape = (-1, 1) if q.scale.ndim else (1, 1)
        scale, zero = q.scale.reshape(shape), q.zero_point.reshape(shape).astype(np.int32)
        return library.uniform_quantize(x, UniformQuantParams(bits, axis, scale, zero, q.scheme.symmetric))

    return [(uniform, each) for each in schemes(("tflite",), (IntFormat(8), IntFormat(4), IntFormat(16)))]


def of_paddle() -> list[tuple[Coded, Scheme]]:
    from paddle.static.quantization.utils import quant_tensor

    def weights(x: Array, q: QParams) -> Array:
        threshold = float(q.divisor) if not q.scale.ndim else [float(each) for each in q.divisor]
        codes = quant_tensor(x.copy(), threshold, 0, q.number_format.bits, onnx_format=True)
        return codes.astype(np.int16 if q.number_format.bits > 8 else np.int8)  # as quantization_pass.py casts them

    return [(weights, each) for each in schemes(("paddle",), (IntFormat(8), IntFormat(4), IntFormat(16)))]


def of_nncf() -> list[tuple[Coded, Scheme]]:
    from nncf.quantization.algorithms.weight_compression.weight_lowering import (
        _calculate_integer_quantized_weight as quantized,
    )
    from nncf.tensor import Tensor

    from tests.oracles.ask_nncf import MODES, WeightCompressionConfig

    def compressed(x: Array, q: QParams) -> Array:
        config = WeightCompressionConfig(MODES[q.number_format.name, q.scheme.symmetric], group_size=-1)
        zero = None if q.scheme.symmetric else Tensor(q.zero_point.reshape(-1, 1).astype(np.int32))
        return quantized(Tensor(x), config, Tensor(q.scale.reshape(-1, 1)), zero).data

    return [(compressed, each) for each in schemes(("nncf",), INTEGERS, (PerAxis(0),))]


def of_bitsandbytes() -> list[tuple[Coded, Scheme]]:
    import torch
    from bitsandbytes.functional import get_4bit_type

    def four_bits(x: Array, q: QParams) -> Array:
        levels = torch.unique(get_4bit_type(q.number_format.name.removesuffix("_bnb"), device="cpu"))
        middles = (levels[:-1] + levels[1:]) / 2
        scaled = torch.from_numpy(x.reshape(q.scale.size, -1)) * torch.from_numpy(q.divisor.reshape(-1, 1).copy())
        return torch.bucketize(torch.clamp(scaled, -1, 1), middles).reshape(x.shape).numpy()

    formats = (Codebook("nf4"), Codebook("fp4_bnb"))
    return [(four_bits, each) for each in schemes(("bitsandbytes",), formats, (PerBlock(-1, 32),))]


LIBRARIES = {name.removeprefix("of_"): ask for name, ask in list(globals().items()) if name.startswith("of_")}


def main(library: str, cases: int = 3000, seed: int = 0) -> int:
    """Ask in turn, print what differs, and return 1 where anything does."""
    rng, asked, shown = np.random.default_rng(seed), LIBRARIES[library](), 0
    counts: dict[str, Counter[str]] = {}
    print(f"seed {seed}, {cases} cases, {library}")
    for case in range(cases):
        coded, scheme = asked[case % len(asked)]
        family = str(rng.choice(["normal", "ties", "one outlier", "positive"]))
        x = tensor(rng, family, "float32", (4, 64), FAMILIES)
        x[rng.random(x.shape) < SHARE] = rng.choice(FAR[:3])
        x.reshape(-1)[rng.permutation(x.size)[:3]] = FAR[:3]
        q = choose_qparams(x, scheme)
        with np.errstate(all="ignore"):
            theirs = np.asarray(coded(x, q)).astype(np.int64)
        mine = quantize(x, q)
        mine = (mine.view(np.uint8) if isinstance(q.number_format, FloatFormat) else mine).astype(np.int64)
        parts = {"nan": np.isnan(x), "inf": np.isinf(x), "finite": np.isfinite(x)}
        wrong = Counter({name: int(np.count_nonzero((mine != theirs) & here)) for name, here in parts.items()})
        count = counts.setdefault(f"{scheme.convention} {q.number_format.name}", Counter())
        count.update(wrong + Counter(cases=1, elements=x.size))
        if sum(wrong.values()) and shown < 12:
            shown += 1
            at = tuple(np.argwhere(mine != theirs)[0])
            print("differs:", scheme, dict(wrong), x[at], "here", mine[at], "there", theirs[at])
    for name, count in counts.items():
        print(f"{name:32s}", {key: count[key] for key in ("cases", "elements", "nan", "inf", "finite")})
    return int(any(count[key] for count in counts.values() for key in ("nan", "inf", "finite")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:])))
