"""How many scales, zero points, codes and values of ONNX Runtime differ from those of qviz?

``python -m tests.oracles.ask_onnxruntime [CASES] [SEED] [CONVENTION]`` with onnxruntime, onnx and onnx_ir. Every case
is random; the seed is printed. It ends with exit code 1 where anything differs.
"""

from __future__ import annotations

import functools
import sys
from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantFormat
from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, DefaultWeightOnlyQuantizer
from onnxruntime.quantization.neural_compressor.weight_only import pad_tensor, quant_tensor_k_quant_cpu
from onnxruntime.quantization.quant_utils import compute_scale_zp_blocked, quantize_data, quantize_onnx_initializer

from qviz.core import (
    FloatFormat,
    IntFormat,
    Manual,
    MinMax,
    PerAxis,
    PerBlock,
    Percentile,
    PerTensor,
    Scheme,
    choose_qparams,
    dequantize,
    quantize,
)
from tests.oracles.families import FAMILIES, tensor

Array = np.ndarray[Any, Any]
Answer = tuple[Any, Any, Any, Any]
"""Scales, zero points, codes and values; None where the library does not say."""

UNKNOWN = 2.0**100
"""In the place of what the processor makes of NaN."""


# --- the operators --------------------------------------------------------------------------------------


@functools.cache
def dequantizer(code: str, scale: str, attributes: tuple[tuple[str, int], ...]) -> Any:
    """DequantizeLinear of ONNX Runtime; codes and zero points go in as int32."""
    kind = getattr(TensorProto, code.upper())
    number = getattr(TensorProto, scale.upper())
    nodes = [
        helper.make_node("Cast", ["wide"], ["codes"], to=kind),
        helper.make_node("Cast", ["wide_zero"], ["zero"], to=kind),
        helper.make_node("DequantizeLinear", ["codes", "scale", "zero"], ["values"], **dict(attributes)),
    ]
    types = (("wide", TensorProto.INT32), ("scale", number), ("wide_zero", TensorProto.INT32))
    inputs = [helper.make_tensor_value_info(name, each, None) for name, each in types]
    graph = helper.make_graph(nodes, "values", inputs, [helper.make_tensor_value_info("values", number, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def values_of(codes: Array, scale: Array, zero: Array, number_format: IntFormat, **attributes: int) -> Array:
    session = dequantizer(number_format.name, {4: "float", 2: "float16"}[scale.itemsize], tuple(attributes.items()))
    given = {"wide": codes.astype(np.int32), "scale": scale, "wide_zero": zero.astype(np.int32)}
    return np.asarray(session.run(None, given)[0])


# --- MatMulNBits ----------------------------------------------------------------------------------------


def unpacked(packed: Array, bits: int) -> Array:
    parts = [packed >> shift & ((1 << bits) - 1) for shift in range(0, 8, bits)]
    return np.stack(parts, -1).reshape(*packed.shape[:-1], -1).astype(np.int32)


def matmulnbits(x: Array, scheme: Scheme) -> Answer:
    """``DefaultWeightOnlyQuantizer``, blocks along the first axis; bfloat16 as its caller does it."""
    f, size = scheme.number_format, scheme.granularity.block_size  # type: ignore[attr-defined]
    qdq = scheme.convention != "onnxruntime_matmulnbits"
    kind = QuantFormat.QDQ if qdq else QuantFormat.QOperator
    config = DefaultWeightOnlyQuantConfig(size, scheme.symmetric, quant_format=kind, bits=f.bits)
    half = x.dtype.name == "bfloat16"
    given = np.ascontiguousarray(x.astype(np.float32) if half else x)
    packed, scale, zero = DefaultWeightOnlyQuantizer(config).qbits_block_quant(given)
    rows, columns = x.shape
    blocks = -(-rows // size)
    middle = 0 if f.signed else f.levels // 2
    if qdq:
        codes = unpacked(packed, f.bits)[: x.size].reshape(x.shape)
        zero = unpacked(zero, f.bits)[: blocks * columns].reshape(blocks, columns)
        codes = np.where(codes > f.quant_max, codes - f.levels, codes)
    else:
        codes = unpacked(packed, f.bits).reshape(columns, -1)[:, :rows].T
        scale, zero = scale.T, unpacked(zero, f.bits)[:, :blocks].T
    zero = np.full_like(zero, middle) if scheme.symmetric else zero
    scale = np.ascontiguousarray(scale.astype(x.dtype) if half else scale)
    # It has no DequantizeLinear for bfloat16, nor for blocks of 2 bits in this version of the operators.
    values = None if half or f.bits == 2 else values_of(codes, scale, zero, f, axis=0, block_size=size)
    return scale, zero, codes, values


def k_quant(x: Array, scheme: Scheme) -> Answer:
    """What ``rtn_quantize`` stores of a weight with ``k_quant``, blocks along the first axis."""
    f, size = scheme.number_format, scheme.granularity.block_size  # type: ignore[attr-defined]
    blocks = -(-len(x) // size)
    padded = pad_tensor(x, size, blocks)
    codes, scale, zero = quant_tensor_k_quant_cpu(padded.T, f.bits, size)
    codes = codes.reshape(x.shape[1], -1).T[: len(x)]
    scale, zero = (a.reshape(x.shape[1], blocks).T for a in (scale.astype(x.dtype), zero))
    return scale, zero, np.nan_to_num(codes, nan=0.0), None


# --- quantize_data and the operators ---------------------------------------------------------------------


def onnx_type(number_format: Any) -> int:
    return int(getattr(TensorProto, number_format.name.upper().replace("FLOAT8_", "FLOAT8")))


def in_groups(x: Array, granularity: Any) -> list[Array]:
    return [x] if isinstance(granularity, PerTensor) else list(np.moveaxis(x, granularity.axis, 0))


def data(x: Array, scheme: Scheme) -> Answer:
    """``quantize_data`` of the whole tensor or of each channel, as ``quantize_static`` asks it of weights."""
    f, reduce = scheme.number_format, scheme.convention.endswith("reduce_range")
    answers = [
        quantize_data(group, onnx_type(f), scheme.symmetric, reduce) for group in in_groups(x, scheme.granularity)
    ]
    zero, scale, codes = (np.stack([np.asarray(answer[i]) for answer in answers]) for i in range(3))
    if isinstance(f, FloatFormat):
        return scale, None, codes.reshape(x.shape).view(np.uint8), None
    back = {} if isinstance(scheme.granularity, PerTensor) else {"axis": 0}
    own = (a.reshape(()) if not back else a for a in (scale, zero))
    values = values_of(codes.reshape(x.shape), *own, f, **back)
    return scale, zero.astype(np.int32), codes.reshape(x.shape).astype(np.int32), values


@functools.cache
def dynamic_session() -> Any:
    outputs = [("y", TensorProto.UINT8), ("scale", TensorProto.FLOAT), ("zero", TensorProto.UINT8)]
    graph = helper.make_graph(
        [helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "scale", "zero"])],
        "dynamic",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info(name, each, None) for name, each in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def dynamic(x: Array, scheme: Scheme) -> Answer:
    codes, scale, zero = dynamic_session().run(None, {"x": x})
    return scale, zero, codes, None


def block_size(x: Array, scheme: Scheme) -> Answer:
    """``BlockSize`` of ``quantize_static``: weights of two axes, in blocks along either."""
    f, granularity = scheme.number_format, scheme.granularity
    axis, size = granularity.axis, granularity.block_size  # type: ignore[attr-defined]
    zero, scale = compute_scale_zp_blocked(x, onnx_type(f), axis, size, scheme.symmetric)
    made = quantize_onnx_initializer(numpy_helper.from_array(x, "w"), onnx_type(f), zero, scale, axis, "q", size)
    codes = numpy_helper.to_array(made).astype(np.int32)
    values = values_of(codes, scale.astype(x.dtype), zero.astype(np.int32), f, axis=axis, block_size=size)
    usable = np.repeat(np.isfinite(scale), size, axis).take(range(x.shape[axis]), axis)
    return (
        scale,
        zero.astype(np.int32),
        np.where(usable, codes, UNKNOWN),
        np.where(usable, values.astype(float), UNKNOWN),
    )


def float8_data(x: Array, scheme: Scheme) -> Answer:
    return data(x, scheme)


@functools.cache
def cast_session(name: str, number: int, axis: int | None) -> Any:
    """QuantizeLinear with saturate=0, and DequantizeLinear."""
    kind = getattr(TensorProto, name.upper().replace("FLOAT8_", "FLOAT8"))
    about = {} if axis is None else {"axis": axis}
    nodes = [
        helper.make_node("Cast", ["wide_zero"], ["zero"], to=kind),
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["codes"], saturate=0, **about),
        helper.make_node("DequantizeLinear", ["codes", "scale", "zero"], ["values"], **about),
    ]
    inputs = [helper.make_tensor_value_info(each, number, None) for each in ("x", "scale")]
    inputs.append(helper.make_tensor_value_info("wide_zero", TensorProto.FLOAT, None))
    graph = helper.make_graph(nodes, "cast", inputs, [helper.make_tensor_value_info("values", number, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def unsaturated(x: Array, scheme: Scheme) -> Answer:
    """The operator has no scale of its own: it is given that of the range."""
    number = {4: TensorProto.FLOAT, 2: TensorProto.FLOAT16}[x.itemsize]
    axis = None if isinstance(scheme.granularity, PerTensor) else 0
    scale = choose_qparams(x, scheme).scale.astype(x.dtype)
    run = cast_session(scheme.number_format.name, number, axis)
    (values,) = run.run(None, {"x": x, "scale": scale, "wide_zero": np.zeros(scale.shape, np.float32)})
    return None, None, None, values


INTEGERS = {(bits, signed): IntFormat(bits, signed) for bits in (2, 4, 8, 16) for signed in (True, False)}


SMALLEST_BITS = 2
"""`quantize_data` has no integers of these."""


def schemes() -> list[tuple[Any, Scheme, tuple[int, ...]]]:
    """Who is asked, about which scheme, with a tensor of which shape."""
    found: list[tuple[Any, Scheme, tuple[int, ...]]] = []
    of_bytes = [f for f in INTEGERS.values() if f.bits > SMALLEST_BITS]
    for symmetric in (True, False):
        for size, rows in ((16, 48), (32, 64), (32, 40), (128, 256), (32, 20), (128, 100), (16, 3)):
            blocks, shape = PerBlock(0, size), (rows, 4)
            for bits in (2, 4, 8):
                scheme = Scheme(INTEGERS[bits, False], symmetric, blocks, convention="onnxruntime_matmulnbits")
                found.append((matmulnbits, scheme, shape))
            for name in ("onnxruntime_matmulnbits_qdq", "onnxruntime"):
                scheme = Scheme(INTEGERS[4, symmetric], symmetric, blocks, convention=name)
                found.append((matmulnbits, scheme, shape))
            for bits in (4, 8):
                if not symmetric:
                    scheme = Scheme(INTEGERS[bits, False], False, blocks, convention="onnxruntime_k_quant")
                    found.append((k_quant, scheme, shape))
    for granularity in (PerTensor(), PerAxis(0)):
        for f, symmetric, name in product(of_bytes, (True, False), ("onnxruntime", "onnxruntime_reduce_range")):
            found.append((data, Scheme(f, symmetric, granularity, convention=name), (4, 32)))
        float8 = Scheme(FloatFormat("e4m3fn"), True, granularity, convention="onnxruntime_float8")
        found += [(float8_data, float8, (4, 200))] * 4
    for name, granularity in product(("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz"), (PerTensor(), PerAxis(0))):
        for rule in (MinMax(), Manual(-1, 1), Percentile(90.0)):
            scheme = Scheme(FloatFormat(name), True, granularity, rule, "onnxruntime_unsaturated")
            found.append((unsaturated, scheme, (4, 64)))
    for f, symmetric, axis, size in product(of_bytes, (True, False), (0, 1), (4, 7, 16, 64)):
        scheme = Scheme(f, symmetric, PerBlock(axis, size), convention="onnxruntime_blocks")
        found.append((block_size, scheme, (16, 18)))
    found += [(dynamic, Scheme(INTEGERS[8, False], False, convention="onnxruntime_dynamic"), (4, 32))] * 8
    return found


def differing(mine: Any, theirs: Any) -> int:
    if theirs is None:
        return 0
    mine, theirs = np.ravel(mine).astype(np.float64), np.ravel(theirs).astype(np.float64)
    same = (mine == theirs) | (np.isnan(mine) & np.isnan(theirs)) | (theirs == UNKNOWN)
    return int(np.count_nonzero(~same))


def main(cases: int, seed: int, only: str = "") -> int:
    rng, asked = np.random.default_rng(seed), [each for each in schemes() if only in ("", each[1].convention)]
    print(f"seed {seed}, {cases} cases, onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}")
    counts: dict[str, Counter[str]] = {}
    shown, refused = 0, Counter[str]()
    for case in range(cases):
        ask, scheme, shape = asked[case % len(asked)]
        family, dtype = str(rng.choice(list(FAMILIES))), str(rng.choice(TYPES[ask]))
        x = tensor(rng, family, dtype, shape)
        with np.errstate(all="ignore"):
            try:
                scale, zero, codes, values = ask(x, scheme)
            except (RuntimeError, ValueError, AssertionError) as error:
                refused[f"{scheme.convention}: {str(error)[:40]}"] += 1
                continue
            q = choose_qparams(x, scheme)
            own = quantize(x, q)
            back = dequantize(own, q)
        count = counts.setdefault(f"{scheme.convention} {scheme.number_format.name}", Counter())
        wrong = Counter(
            scales=differing(q.scale, scale),
            zeros=differing(np.broadcast_to(q.zero_point, q.scale.shape), zero),
            codes=differing(own, codes),
            values=differing(back, values),
        )
        count.update(wrong + Counter(cases=1, elements=x.size))
        if sum(wrong.values()) and shown < 12:
            shown += 1
            print("differs:", family, dtype, scheme, dict(wrong))
    for name, count in counts.items():
        print(f"{name:34s}", {key: count[key] for key in ("cases", "elements", "scales", "zeros", "codes", "values")})
    for why, times in refused.items():
        print(f"the library stops {times} times: {why}")
    return int(any(count[key] for count in counts.values() for key in ("scales", "zeros", "codes", "values")))


TYPES: dict[Any, tuple[str, ...]] = {
    matmulnbits: ("float32", "float16", "bfloat16"),
    k_quant: ("float32", "float16"),
    data: ("float32", "float16"),
    float8_data: ("float32",),
    unsaturated: ("float32", "float16"),
    block_size: ("float32", "float16"),
    dynamic: ("float32",),
}
"""Which types of tensor each can be asked about."""

if __name__ == "__main__":
    numbers = [int(each) for each in sys.argv[1:3]]
    cases, seed = (*numbers, *(3000, 0)[len(numbers) :])
    sys.exit(main(cases, seed, *sys.argv[3:4]))
