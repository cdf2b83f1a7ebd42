"""How would a person get the same codes from PyTorch or torchao?"""

from __future__ import annotations

from qviz.core.arithmetic.qparams import QParams
from qviz.core.formats.floats import FloatFormat
from qviz.core.formats.integers import IntFormat
from qviz.core.ranges.rules import MinMax
from qviz.core.runtimes.precision import HALVES, PLAIN
from qviz.core.scripts.casts import CAST
from qviz.core.scripts.common import RuntimeScript, parameters
from qviz.core.tensors.granularity import PerAxis, PerBlock, PerTensor, PerTile, PerToken

CLIPPED = "float8_e4m3fn"
"""What PyTorch 2.13 clips when it casts, and no other format."""


def _is_cast(qparams: QParams) -> bool:
    return qparams.scheme.convention == CAST and qparams.number_format.name != CLIPPED


def _is_mx(qparams: QParams) -> bool:
    return qparams.scheme.convention.startswith("mx_") and isinstance(qparams.number_format, FloatFormat)


def _offers(qparams: QParams) -> bool:
    scheme, number_format = qparams.scheme, qparams.number_format
    if scheme.convention == CAST:
        return _is_cast(qparams)
    if scheme.convention == "pytorch":
        return isinstance(number_format, IntFormat) and isinstance(scheme.granularity, PerTensor | PerAxis)
    if scheme.convention in ("torchao", "torchao_int8"):
        return number_format.scaled
    return _is_mx(qparams) and isinstance(scheme.range_rule, MinMax) and scheme.granularity == PerBlock(-1, 32)


def _imports(qparams: QParams) -> list[str]:
    lines = ["import torch"]
    if _is_cast(qparams):
        return lines
    if qparams.scheme.convention == "pytorch":
        return [*lines, "from torch.ao.quantization.fx import _decomposed  # makes the operators known"]
    if _is_mx(qparams):
        return [
            *lines,
            "from torchao.prototype.mx_formats.config import ScaleCalculationMode",
            "from torchao.prototype.mx_formats.mx_tensor import to_dtype, to_mx",
        ]
    names = ("quantize_affine", "dequantize_affine")
    if isinstance(qparams.number_format, FloatFormat):
        names = ("_quantize_affine_float8", "_dequantize_affine_float8")
    return [*lines, f"from torchao.quantization.quant_primitives import {', '.join(names)}"]


def _half(qparams: QParams) -> str:
    """The type of the tensor, where torchao does not convert it first."""
    return qparams.compute if qparams.precision != PLAIN else ""


def _lines(qparams: QParams, all_finite: bool) -> list[str]:
    half = _half(qparams)
    lines = [f"x = torch.from_numpy(x).to(torch.{half})" if half else "x = torch.from_numpy(x)"]
    nan = [] if all_finite else ["codes = codes.masked_fill(x.isnan(), 0)  # as in int8"]
    if _is_cast(qparams):
        cast = f"cast = x.to(torch.{qparams.number_format.name})"
        return [*lines, cast, "codes, x_hat = cast.view(torch.uint8), cast.float()"]
    if _is_mx(qparams):
        return [*lines, *_mx_lines(qparams)]
    lines = [
        *parameters(qparams),
        *lines,
        "scale, zero_point = torch.from_numpy(scale), torch.from_numpy(zero_point)",
    ]
    ends = f"{qparams.quant_min}, {qparams.quant_max}"
    if qparams.scheme.convention == "pytorch":
        how, rest = "per_tensor.tensor", "scale, zero_point"
        if isinstance(qparams.scheme.granularity, PerAxis):
            how, rest = "per_channel", f"scale, zero_point, {qparams.scheme.granularity.axis} % x.dim()"
        return [
            *lines,
            "",
            f"codes = torch.ops.quantized_decomposed.quantize_{how}(x, {rest}, {ends}, torch.int32)",
            *nan,
            f"x_hat = torch.ops.quantized_decomposed.dequantize_{how}(codes, {rest}, {ends}, torch.int32)",
        ]
    if qparams.precision.scale in HALVES:
        lines.append(f"scale = scale.to(torch.{qparams.precision.scale})")
    output, end = (", output_dtype=x.dtype", ".float()") if half else ("", "")
    lines += ["", _block(qparams), "scale = scale.reshape([n // b for n, b in zip(x.shape, block)])"]
    if isinstance(qparams.number_format, FloatFormat):
        return [
            *lines,
            f"codes = _quantize_affine_float8(x, scale, torch.{qparams.number_format.name})",
            f"x_hat = _dequantize_affine_float8(codes, scale{output}){end}",
            "codes = codes.view(torch.uint8)",
        ]
    return [
        *lines,
        "zero_point = zero_point.reshape(scale.shape)",
        f"codes = quantize_affine(x, block, scale, zero_point, torch.int32, {ends})",
        *nan,
        f"x_hat = dequantize_affine(codes, block, scale, zero_point, torch.int32, {ends}{output}){end}",
    ]


def _block(qparams: QParams) -> str:
    """torchao's block_size: the shape of what shares a scale."""
    match qparams.scheme.granularity:
        case PerAxis(axis=axis):
            return f"block = tuple(1 if i == {axis} % x.dim() else n for i, n in enumerate(x.shape))"
        case PerBlock(axis=axis, block_size=size):
            return f"block = tuple({size} if i == {axis} % x.dim() else 1 for i in range(x.dim()))"
        case PerTile(rows=rows, columns=columns):
            return f"block = (*(1 for _ in x.shape[:-2]), min({rows}, x.shape[-2]), min({columns}, x.shape[-1]))"
        case PerToken():
            return "block = (*(1 for _ in x.shape[:-1]), x.shape[-1])"
    return "block = tuple(x.shape)"


def _mx_lines(qparams: QParams) -> list[str]:
    name = qparams.number_format.name
    element = {
        "float6_e2m3fn": '"fp6_e2m3"',
        "float6_e3m2fn": '"fp6_e3m2"',
        "float4_e2m1fn": "torch.float4_e2m1fn_x2",
    }.get(name, f"torch.{name}")
    mode = qparams.scheme.convention.removeprefix("mx_").upper()
    lines = [
        f"element = {element}",
        f"scale, codes = to_mx(x, element, 32, ScaleCalculationMode.{mode})",
        "x_hat = to_dtype(codes, scale, element, 32, torch.float32)",
    ]
    if name == "float4_e2m1fn":
        return [*lines, "codes = torch.stack([codes & 15, codes >> 4], -1).reshape(x.shape)  # two were in a byte"]
    return [*lines, "codes = codes.view(torch.uint8)"]


TORCH_SCRIPT = RuntimeScript(
    "PyTorch",
    _offers,
    _imports,
    _lines,
)
