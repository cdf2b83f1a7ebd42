"""How would a person get the same codes from a runtime itself? Scripts for ONNX Runtime, torch and Paddle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.formats.floats import FloatFormat
from qviz.core.formats.integers import IntFormat
from qviz.core.problems import Problem
from qviz.core.ranges.rules import MinMax
from qviz.core.tensors.granularity import PerAxis, PerBlock, PerTensor, PerToken

MOST_NUMBERS = 16
"""More scales than these are read from the .npz that qviz writes, not written into a script."""


@dataclass(frozen=True)
class RuntimeScript:
    """A runtime that can be asked for the codes.

    Attributes
    ----------
    label : str
        What people call it.
    offers : Callable[[QParams], bool]
        Whether its own functions give exactly these codes.
    lines : Callable[[QParams], list[str]]
        The script behind ``x``, ``scale`` and ``zero_point``; it leaves ``codes`` and ``x_hat``.
    imports : Callable[[QParams], list[str]]
    """

    label: str
    offers: Callable[[QParams], bool]
    imports: Callable[[QParams], list[str]]
    lines: Callable[[QParams], list[str]]


def runtimes_of(qparams: QParams) -> tuple[str, ...]:
    """The keys of `RUNTIME_SCRIPTS` that `runtime_snippet` has a script for."""
    return tuple(name for name, script in RUNTIME_SCRIPTS.items() if script.offers(qparams))


def runtime_snippet(qparams: QParams, runtime: str, source: str = "tensor.npy", *, all_finite: bool = True) -> str:
    """A script that has a runtime quantize an array with these parameters, to exactly the codes of qviz.

    Parameters
    ----------
    qparams : QParams
    runtime : str
        A key of `RUNTIME_SCRIPTS`.
    source : str
        The ``.npy`` file that the script reads.
    all_finite : bool
        False adds the line that gives NaN and infinities the code of 0, as qviz does.

    Raises
    ------
    Problem
        When the runtime's own functions would give other codes.
    """
    script = RUNTIME_SCRIPTS[runtime]
    if not script.offers(qparams):
        others = [RUNTIME_SCRIPTS[name].label for name in runtimes_of(qparams)]
        instead = f"take the script for {' or '.join(others)}, or" if others else "choose its own convention, or"
        raise Problem(f"{script.label} has no function that gives these codes: {instead} take the NumPy script.")
    scheme = qparams.scheme
    how = "symmetric" if scheme.symmetric else "asymmetric"
    lines = [
        "import numpy as np",
        *script.imports(qparams),
        "",
        f"# {qparams.number_format.name}, {how}, {_granularity(qparams)}, {qparams.convention.label} arithmetic",
        f"x = np.load({source!r}).astype(np.float32)",
    ]
    if not all_finite:
        lines.append("x[~np.isfinite(x)] = 0")
    return "\n".join([*lines, *script.lines(qparams), 'print("codes", codes.reshape(-1)[:10])']) + "\n"


def _granularity(qparams: QParams) -> str:
    match qparams.scheme.granularity:
        case PerAxis(axis=axis):
            return f"per axis {axis}"
        case PerBlock(axis=axis, block_size=size):
            return f"blocks of {size} along axis {axis}"
        case PerToken():
            return "per token"
    return "per tensor"


def _parameters(qparams: QParams) -> list[str]:
    """``scale`` and ``zero_point``, in arrays of the shape that qviz has them in."""
    if qparams.groups > MOST_NUMBERS:
        return [
            'saved = np.load("quantized.npz")  # the quantized tensor as qviz saves it',
            'scale, zero_point = saved["scale"], saved["zero_point"].astype(np.int32)',
        ]
    return [_array("scale", qparams.scale, "float32"), _array("zero_point", qparams.zero_point.astype(int), "int32")]


def _array(name: str, values: np.ndarray[Any, Any], dtype: str) -> str:
    numbers = [str(value) for value in values.ravel()]
    if values.ndim == 0:
        return f"{name} = np.array({numbers[0]}, np.{dtype})"
    shaped = f".reshape({values.shape})" if values.ndim > 1 else ""
    return f"{name} = np.array([{', '.join(numbers)}], np.{dtype}){shaped}"


# --- ONNX Runtime ---------------------------------------------------------------------------------------


def _onnx_offers(qparams: QParams) -> bool:
    convention, number_format = qparams.convention, qparams.number_format
    return (
        isinstance(number_format, IntFormat)
        and number_format.bits in (4, 8, 16)
        and convention.recipe is None
        and not qparams.multiplies
        and qparams.factor is None
        and qparams.whole_zero_point
        and not (convention.zero_point_before_rounding and qparams.zero_point.any())
        and (qparams.quant_min, qparams.quant_max) == (number_format.quant_min, number_format.quant_max)
    )


def _onnx_attributes(qparams: QParams) -> str:
    # An array of one scale would be taken for a single one, beside which there must be no block.
    if qparams.groups == 1:
        return ""
    match qparams.scheme.granularity:
        case PerAxis(axis=axis):
            return f", axis={axis}"
        case PerBlock(axis=axis, block_size=size):
            return f", axis={axis}, block_size={size}"
    return ", axis=-1, block_size=x.shape[-1]"


def _onnx_lines(qparams: QParams) -> list[str]:
    attributes = _onnx_attributes(qparams)
    single = (
        []
        if qparams.scale.ndim == 0 or attributes
        else ["scale, zero_point = scale.reshape(()), zero_point.reshape(())"]
    )
    dtype = qparams.number_format.name.upper()
    return [
        *_parameters(qparams),
        *single,
        "",
        'parts = ["scale", "zero_point"]',
        "nodes = [",
        f'    helper.make_node("QuantizeLinear", ["x", *parts], ["packed"]{attributes}),',
        f'    helper.make_node("DequantizeLinear", ["packed", *parts], ["x_hat"]{attributes}),',
        '    helper.make_node("Cast", ["packed"], ["codes"], to=TensorProto.INT32),',
        "]",
        'inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)]',
        "outputs = [",
        '    helper.make_tensor_value_info("codes", TensorProto.INT32, x.shape),',
        '    helper.make_tensor_value_info("x_hat", TensorProto.FLOAT, x.shape),',
        "]",
        "initializers = [",
        '    helper.make_tensor("scale", TensorProto.FLOAT, scale.shape, scale.ravel()),',
        f'    helper.make_tensor("zero_point", TensorProto.{dtype}, scale.shape, zero_point.ravel()),',
        "]",
        'graph = helper.make_graph(nodes, "quantization", inputs, outputs, initializers)',
        'model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)',
        "session = onnxruntime.InferenceSession(model.SerializeToString())",
        'codes, x_hat = session.run(None, {"x": x})',
    ]


# --- torch and torchao ----------------------------------------------------------------------------------


def _is_mx(qparams: QParams) -> bool:
    return qparams.scheme.convention.startswith("mx_") and isinstance(qparams.number_format, FloatFormat)


def _torch_offers(qparams: QParams) -> bool:
    scheme, number_format = qparams.scheme, qparams.number_format
    if scheme.convention == "pytorch":
        return isinstance(number_format, IntFormat) and isinstance(scheme.granularity, PerTensor | PerAxis)
    if scheme.convention == "torchao":
        return number_format.scaled
    return _is_mx(qparams) and isinstance(scheme.range_rule, MinMax) and scheme.granularity == PerBlock(-1, 32)


def _torch_imports(qparams: QParams) -> list[str]:
    lines = ["import torch"]
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


def _torch_lines(qparams: QParams) -> list[str]:
    lines = ["x = torch.from_numpy(x)"]
    if _is_mx(qparams):
        return [*lines, *_mx_lines(qparams)]
    lines = [*_parameters(qparams), *lines, "scale, zero_point = torch.from_numpy(scale), torch.from_numpy(zero_point)"]
    ends = f"{qparams.quant_min}, {qparams.quant_max}"
    if qparams.scheme.convention == "pytorch":
        how, rest = "per_tensor.tensor", "scale, zero_point"
        if isinstance(qparams.scheme.granularity, PerAxis):
            how, rest = "per_channel", f"scale, zero_point, {qparams.scheme.granularity.axis} % x.dim()"
        return [
            *lines,
            "",
            f"codes = torch.ops.quantized_decomposed.quantize_{how}(x, {rest}, {ends}, torch.int32)",
            f"x_hat = torch.ops.quantized_decomposed.dequantize_{how}(codes, {rest}, {ends}, torch.int32)",
        ]
    lines += ["", _torch_block(qparams), "scale = scale.reshape([n // b for n, b in zip(x.shape, block)])"]
    if isinstance(qparams.number_format, FloatFormat):
        return [
            *lines,
            f"codes = _quantize_affine_float8(x, scale, torch.{qparams.number_format.name})",
            "x_hat = _dequantize_affine_float8(codes, scale)",
            "codes = codes.view(torch.uint8)",
        ]
    return [
        *lines,
        "zero_point = zero_point.reshape(scale.shape)",
        f"codes = quantize_affine(x, block, scale, zero_point, torch.int32, {ends})",
        f"x_hat = dequantize_affine(codes, block, scale, zero_point, torch.int32, {ends})",
    ]


def _torch_block(qparams: QParams) -> str:
    """torchao's block_size: the shape of what shares a scale."""
    match qparams.scheme.granularity:
        case PerAxis(axis=axis):
            return f"block = tuple(1 if i == {axis} % x.dim() else n for i, n in enumerate(x.shape))"
        case PerBlock(axis=axis, block_size=size):
            return f"block = tuple({size} if i == {axis} % x.dim() else 1 for i in range(x.dim()))"
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


# --- Paddle ---------------------------------------------------------------------------------------------


def _paddle_offers(qparams: QParams) -> bool:
    scheme = qparams.scheme
    plain = scheme.granularity in (PerTensor(), PerAxis(0), PerAxis(1))
    return scheme.convention == "paddle" and plain and qparams.groups <= MOST_NUMBERS


def _paddle_lines(qparams: QParams) -> list[str]:
    granularity = qparams.scheme.granularity
    axis = granularity.axis if isinstance(granularity, PerAxis) else 0
    thresholds = str(qparams.high.tolist())
    return [
        f"threshold = {thresholds}  # what Paddle calls scale",
        f"codes = quant_tensor(x.copy(), threshold, {axis}, {qparams.number_format.bits}, onnx_format=True)",
        *_parameters(qparams),
        f"shape = [-1 if i == {axis} else 1 for i in range(x.ndim)]",
        "x_hat = codes.astype(np.float32) * scale.reshape(shape)",
    ]


RUNTIME_SCRIPTS: dict[str, RuntimeScript] = {
    "onnxruntime": RuntimeScript(
        "ONNX Runtime",
        _onnx_offers,
        lambda qparams: ["import onnxruntime", "from onnx import TensorProto, helper"],
        _onnx_lines,
    ),
    "torch": RuntimeScript("PyTorch", _torch_offers, _torch_imports, _torch_lines),
    "paddle": RuntimeScript(
        "Paddle",
        _paddle_offers,
        lambda qparams: ["from paddle.static.quantization.utils import quant_tensor"],
        _paddle_lines,
    ),
}
"""Every runtime that can be asked; a new one is a row."""
