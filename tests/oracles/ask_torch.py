"""How many scales, zero points, codes and values of PyTorch and torchao differ from those of qviz?

``python -m tests.oracles.ask_torch [CASES] [SEED]`` with torch, torchao and what qviz needs beside them. Every case is
random; the seed is printed. It ends with exit code 1 where anything differs.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.ao.quantization import (
    FusedMovingAvgObsFakeQuantize,
    MinMaxObserver,
    MovingAverageMinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
    PerChannelMinMaxObserver,
)
from torch.ao.quantization.fx import _decomposed  # noqa: F401  (registers the operators)
from torchao.quantization import PerRow
from torchao.quantization import PerTensor as WholeTensor
from torchao.quantization.quant_primitives import (
    MappingType,
    _choose_scale_float8,
    _dequantize_affine_float8,
    _quantize_affine_float8,
    choose_qparams_affine,
    dequantize_affine,
    quantize_affine,
)
from torchao.quantization.quantize_.workflows.int8.int8_tensor import Int8Tensor

from qviz.core import FloatFormat, IntFormat, PerAxis, PerBlock, PerTensor, PerToken, Scheme
from tests.oracles.asking import Answer, Ask, arguments, ask_all
from tests.oracles.families import DTYPES, FAMILIES


def to_torch(x: Any) -> torch.Tensor:
    if x.dtype.name == "bfloat16":
        return torch.from_numpy(x.view(np.uint16).copy()).view(torch.bfloat16)
    return torch.from_numpy(x.copy())


def block_of(x: Any, granularity: Any) -> tuple[int, ...]:
    return granularity.block_shape(x.shape)


def torchao(x: torch.Tensor, scheme: Scheme) -> Answer:
    f, block = scheme.number_format, block_of(x, scheme.granularity)
    if isinstance(f, FloatFormat):
        kind = getattr(torch, f.name)
        scale = _choose_scale_float8(x, list(block), kind)
        codes = _quantize_affine_float8(x, scale, kind)
        return scale, None, codes.view(torch.uint8), _dequantize_affine_float8(codes, scale, x.dtype)
    mapping = MappingType.SYMMETRIC if scheme.symmetric else MappingType.ASYMMETRIC
    stored, ends = torch.int8 if f.signed else torch.uint8, (f.quant_min, f.quant_max)
    scale, zero = choose_qparams_affine(x, mapping, block, stored, *ends)
    codes = quantize_affine(x, block, scale, zero, stored, *ends)
    return scale, zero, codes, dequantize_affine(codes, block, scale, zero, stored, *ends, output_dtype=x.dtype)


def int8_config(x: torch.Tensor, scheme: Scheme) -> Answer:
    mapping = MappingType.SYMMETRIC if scheme.symmetric else MappingType.ASYMMETRIC
    granularity = WholeTensor() if isinstance(scheme.granularity, PerTensor) else PerRow()
    made = Int8Tensor.from_hp(x, granularity, mapping_type=mapping)
    return made.scale, made.zero_point, made.qdata, made.dequantize()


def observers(x: torch.Tensor, scheme: Scheme) -> Answer:
    f, q = scheme.number_format, scheme
    reduce = scheme.convention.endswith("reduce_range")
    low, high = (f.quant_min // 2, f.quant_max // 2) if reduce else (f.quant_min, f.quant_max)
    per = "channel" if isinstance(q.granularity, PerAxis) else "tensor"
    form = getattr(torch, f"per_{per}_{'symmetric' if q.symmetric else 'affine'}")
    kind = torch.qint8 if f.signed else torch.quint8
    options = {"dtype": kind, "qscheme": form, "reduce_range": reduce}
    observer = PerChannelMinMaxObserver(ch_axis=0, **options) if per == "channel" else MinMaxObserver(**options)
    observer(x)
    scale, zero = observer.calculate_qparams()
    ops, int8 = torch.ops.quantized_decomposed, torch.int8 if f.signed else torch.uint8
    if per == "channel":
        codes = ops.quantize_per_channel(x, scale, zero, 0, low, high, int8)
        return scale, zero, codes, ops.dequantize_per_channel(codes, scale, zero, 0, low, high, int8)
    codes = ops.quantize_per_tensor.tensor(x, scale[0], zero[0], low, high, int8)
    return scale, zero, codes, ops.dequantize_per_tensor.tensor(codes, scale[0], zero[0], low, high, int8)


def no_clipping(x: torch.Tensor, scheme: Scheme) -> Answer:
    f, block = scheme.number_format, block_of(x, scheme.granularity)
    ends = (f.quant_min, f.quant_max)
    scale, zero = choose_qparams_affine(x, MappingType.SYMMETRIC_NO_CLIPPING_ERR, block, torch.int8, *ends)
    codes = quantize_affine(x, block, scale, zero, torch.int8, *ends)
    return scale, zero, codes, dequantize_affine(codes, block, scale, zero, torch.int8, *ends, output_dtype=x.dtype)


def fused(x: torch.Tensor, scheme: Scheme) -> Answer:
    """The fused observer of quantization-aware training, at its first step; codes by the scale that it found."""
    f, per = scheme.number_format, "channel" if isinstance(scheme.granularity, PerAxis) else "tensor"
    form = getattr(torch, f"per_{per}_{'symmetric' if scheme.symmetric else 'affine'}")
    observer = MovingAveragePerChannelMinMaxObserver if per == "channel" else MovingAverageMinMaxObserver
    made = FusedMovingAvgObsFakeQuantize(
        observer,
        quant_min=f.quant_min,
        quant_max=f.quant_max,
        dtype=torch.qint8 if f.signed else torch.quint8,
        qscheme=form,
        **({"ch_axis": 0} if per == "channel" else {}),
    )
    values = made(x.float())
    shape = (-1, 1) if per == "channel" else ()
    scale, zero = made.scale.reshape(shape), made.zero_point.reshape(shape)
    codes = torch.round(x.float() * (1 / scale)) + zero
    return made.scale, made.zero_point, codes.clamp(f.quant_min, f.quant_max), values


INT8, UINT8, INT4, UINT4 = IntFormat(8), IntFormat(8, False), IntFormat(4), IntFormat(4, False)
FP8 = (FloatFormat("e4m3fn"), FloatFormat("e5m2"))


def schemes() -> list[tuple[Any, Scheme]]:
    """Who is asked, and about which scheme; where torchao's configs stay in the type of the tensor, the primitives."""
    blocks, wholes = PerBlock(-1, 32), (PerTensor(), PerAxis(0), PerBlock(-1, 32))
    mine = [Scheme(f, s, blocks, convention="torchao") for f in (INT4, UINT4, INT8) for s in (True, False)]
    mine.append(Scheme(INT8, False, PerToken(), convention="torchao"))
    mine += [Scheme(f, True, granularity, convention="torchao") for f in FP8 for granularity in wholes]
    found: list[tuple[Any, Scheme]] = [(torchao, scheme) for scheme in mine]
    for symmetric in (True, False):
        for granularity in (PerTensor(), PerAxis(0)):
            found.append((int8_config, Scheme(INT8, symmetric, granularity, convention="torchao_int8")))
            for f in (INT8, UINT8):
                if not (f is UINT8 and granularity != PerTensor() and symmetric):
                    found.append((observers, Scheme(f, symmetric, granularity, convention="pytorch")))
                if not symmetric:
                    found.append((observers, Scheme(f, False, granularity, convention="pytorch_reduce_range")))
                if f is INT8 or not symmetric:
                    found.append((fused, Scheme(f, symmetric, granularity, convention="pytorch_qat")))
    for f in (INT4, INT8):
        found += [(no_clipping, Scheme(f, True, each, convention="torchao_no_clipping")) for each in wholes]
    return found


def numbers(answer: Answer) -> Answer:
    return tuple(each if each is None else each.float().numpy() for each in answer)  # type: ignore[return-value]


def asked() -> list[tuple[Ask, Scheme]]:
    """What is asked, in arrays of NumPy."""
    return [(partial(_answer, ask), scheme) for ask, scheme in schemes()]


def _answer(ask: Any, x: Any, scheme: Scheme) -> Answer:
    return numbers(ask(to_torch(x), scheme))


PACKAGES, OF_FAMILIES, OF_DTYPES = ("torch", "torchao"), FAMILIES, tuple(DTYPES)

if __name__ == "__main__":
    sys.exit(ask_all(asked(), *arguments(sys.argv[1:]), f"torch {torch.__version__}"))
