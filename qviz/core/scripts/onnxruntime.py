"""How would a person get the same codes from ONNX Runtime?"""

from __future__ import annotations

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.formats.integers import IntFormat
from qviz.core.ranges.rules import MinMax
from qviz.core.runtimes import record
from qviz.core.runtimes.precision import BFLOAT16, FLOAT16, FLOAT32
from qviz.core.scripts.common import RuntimeScript, parameters
from qviz.core.tensors.granularity import PerAxis, PerBlock, PerTensor, PerTile

NBITS = ("onnxruntime_matmulnbits", "onnxruntime_matmulnbits_qdq")
HQQ, K_QUANT, FLOAT8 = "onnxruntime_hqq", "onnxruntime_k_quant", "onnxruntime_float8"
UNSATURATED = "onnxruntime_unsaturated"
SHORT = 1 << 15
"""Elements that torch adds in one thread, so that HQQ stops in the same round everywhere."""


def _of_nbits(qparams: QParams) -> bool:
    """Whether MatMulNBitsQuantizer made these parameters, from the smallest element to the largest."""
    return (
        qparams.convention.name in NBITS
        and isinstance(qparams.scheme.range_rule, MinMax)
        and isinstance(qparams.scheme.granularity, PerBlock)
    )


def _fitted(qparams: QParams) -> bool:
    """Whether a function of its own makes scales of the elements, and takes these."""
    name, granularity = qparams.convention.name, qparams.scheme.granularity
    if not isinstance(qparams.scheme.range_rule, MinMax) or qparams.breaks:
        return False
    if name == HQQ:
        return isinstance(granularity, PerBlock) and qparams.groups * granularity.block_size < SHORT
    return name == K_QUANT or (name == FLOAT8 and isinstance(granularity, PerTensor))


def _offers(qparams: QParams) -> bool:
    if _of_nbits(qparams) or _fitted(qparams):
        return True
    if qparams.convention.of_elements:
        return False
    convention, number_format = qparams.convention, qparams.number_format
    if convention.name == UNSATURATED:
        return isinstance(qparams.scheme.granularity, PerTensor | PerAxis) and not qparams.breaks
    return (
        isinstance(number_format, IntFormat)
        and number_format.bits in (4, 8, 16)
        and convention.recipe is None
        and convention.code is None
        and not (qparams.breaks and convention.nan_code != record.FIRST)
        and qparams.precision.codes == FLOAT32
        and not qparams.multiplies
        and qparams.factor is None
        and qparams.whole_zero_point
        and (qparams.groups == 1 or not isinstance(qparams.scheme.granularity, PerTile))
        and not (convention.zero_point_before_rounding and qparams.zero_point.any())
        and (qparams.quant_min, qparams.quant_max) == (number_format.quant_min, number_format.quant_max)
    )


def _attributes(qparams: QParams) -> str:
    # An array of one scale would be taken for a single one, beside which there must be no block.
    if qparams.groups == 1:
        return ""
    match qparams.scheme.granularity:
        case PerAxis(axis=axis):
            return f", axis={axis}"
        case PerBlock(axis=axis, block_size=size):
            return f", axis={axis}, block_size={size}"
    return ", axis=-1, block_size=x.shape[-1]"


def _imports(qparams: QParams) -> list[str]:
    if _of_nbits(qparams):
        return [
            "from onnxruntime.quantization import QuantFormat",
            "from onnxruntime.quantization.matmul_nbits_quantizer import (",
            "    DefaultWeightOnlyQuantConfig,",
            "    DefaultWeightOnlyQuantizer,",
            ")",
        ]
    if _fitted(qparams):
        return _IMPORTS[qparams.convention.name]
    bits = [] if qparams.saturates else ["import ml_dtypes"]
    return [*bits, "import onnxruntime", "from onnx import TensorProto, helper"]


_IMPORTS = {
    HQQ: [
        "import torch",
        "from onnxruntime.quantization.matmul_nbits_quantizer import HQQWeightOnlyQuantConfig, HQQWeightOnlyQuantizer",
    ],
    K_QUANT: [
        "from onnxruntime.quantization.neural_compressor.weight_only import pad_tensor, quant_tensor_k_quant_cpu"
    ],
    FLOAT8: [
        "from onnx import TensorProto",
        "from onnxruntime.quantization.quant_utils import quantize_data, quantize_nparray",
    ],
}


def _fitted_lines(qparams: QParams) -> list[str]:
    """Scales that follow from the elements: the library's own function, blocks along the last axis."""
    name, granularity, bits = qparams.convention.name, qparams.scheme.granularity, qparams.number_format.bits
    if name == FLOAT8:
        return [
            "known = np.where(np.isfinite(x), x, 0)",
            "kind = TensorProto.FLOAT8E4M3FN",
            "zero_point, scale, _ = quantize_data(x[np.isfinite(x)], kind, True)",
            "found = quantize_nparray(kind, known, scale, zero_point)",
            "codes = found.reshape(x.shape).view(np.uint8)",
            "far = np.where(np.isnan(x), 127, 126) + np.signbit(x) * 128",
            "codes = np.where(np.isfinite(x), codes, far).astype(np.uint8)",
            "x_hat = codes.view(found.dtype).astype(np.float32) * scale",
        ]
    assert isinstance(granularity, PerBlock)
    size, half = granularity.block_size, qparams.precision.result == FLOAT16
    narrow = qparams.compute if name == HQQ and qparams.compute != FLOAT32 else ""
    kept = "float16" if half and not narrow else "float32"
    lines = [
        f"w = np.moveaxis(x, {granularity.axis}, -1)",
        f"shape, w = w.shape, w.reshape(-1, w.shape[-1]).astype(np.{kept})",
        "known = np.where(np.isfinite(w), w, 0).astype(w.dtype)",
    ]
    if name == HQQ:
        lines += [
            f"quantizer = HQQWeightOnlyQuantizer(HQQWeightOnlyQuantConfig({size}, {bits}))",
            f"known = torch.from_numpy(np.ascontiguousarray(known.T)){f'.to(torch.{narrow})' if narrow else ''}.T"
            "  # as a network holds it",
            f"found = quantizer.quantize_internal(known, bits={bits}, group_size={size})",
            f"codes, scale, zero_point = (a{'.float()' if narrow else ''}.numpy() for a in found)",
        ]
    else:
        lines += [
            "known = np.ascontiguousarray(known.T)  # as a network holds it",
            f"padded = pad_tensor(known, {size}, -(-w.shape[1] // {size})).T",
            f"found = quant_tensor_k_quant_cpu(padded, {bits}, {size})",
            "codes, scale, zero_point = (a.astype(np.float32).reshape(len(w), -1) for a in found)",
        ]
    spread = f"np.repeat(a, {size}, axis=1)[:, : w.shape[1]]"
    value = "codes * scale - zero_point * scale" if name == HQQ else "(codes - zero_point) * scale"
    cast = ".astype(np.float16).astype(np.float32)"
    return [
        *lines,
        *([f"scale = scale{cast}"] if half and not narrow else []),
        f"codes, (scale, zero_point) = np.float32(codes[:, : w.shape[1]]), ({spread} for a in (scale, zero_point))",
        f"first, last = {qparams.quant_min}, {qparams.quant_max}",
        "exact, usable = scale, scale != 0",
        f"x_hat = np.float32({f'({value}){cast}' if half and not narrow else value})",
        *([f"x_hat = torch.from_numpy(x_hat).to(torch.{narrow}).float().numpy()"] if narrow else []),
        f"codes, x_hat = (np.moveaxis(a.reshape(shape), -1, {granularity.axis}) for a in (codes.astype(int), x_hat))",
    ]


def _nbits_lines(qparams: QParams) -> list[str]:
    """Weights as MatMul has them, features × outputs; the packed codes of both forms are taken apart."""
    granularity, bits, symmetric = qparams.scheme.granularity, qparams.number_format.bits, qparams.scheme.symmetric
    assert isinstance(granularity, PerBlock)
    qdq, half = qparams.convention.name == NBITS[1], qparams.precision.result == FLOAT16
    size, per_byte, last = granularity.block_size, 8 // bits, (1 << bits) - 1
    whole = np.zeros((), np.float32) if symmetric and qdq else np.float32(1 << (bits - 1))
    form = "QDQ" if qdq else "QOperator"
    config = f"block_size={size}, is_symmetric={symmetric}, bits={bits}, quant_format=QuantFormat.{form}"
    lines = [
        f"w = np.moveaxis(x, {granularity.axis}, 0)",
        f"shape, w = w.shape, w.reshape(len(w), -1).astype(np.{'float16' if half else 'float32'})",
        f"features, outputs, blocks = *w.shape, -(-len(w) // {size})",
        f"config = DefaultWeightOnlyQuantConfig({config})",
        "# What is not finite has no part in a range.",
        "known = np.where(np.isfinite(w), w, 0).astype(w.dtype)",
        "found = DefaultWeightOnlyQuantizer(config).qbits_block_quant(np.ascontiguousarray(known))",
        f"first, last = {qparams.quant_min}, {qparams.quant_max}",
        "",
        "",
        f"def unpacked(a):  # {per_byte} in a byte, the first one lowest",
        f"    return np.stack([a >> shift & {last} for shift in range(0, 8, {bits})], -1).reshape(*a.shape[:-1], -1)",
        "",
        "",
    ]
    if qdq:
        lines += [
            "codes = unpacked(found[0])[: w.size].reshape(w.shape).astype(int)",
            "scale = found[1].astype(np.float32)",
        ]
        if symmetric:
            lines += [f"codes = np.where(codes > {last // 2}, codes - {last + 1}, codes)", "zero_point = scale * 0"]
        else:
            lines.append("zero_point = unpacked(found[2])[: scale.size].reshape(scale.shape).astype(np.float32)")
    else:
        lines += [
            "codes = unpacked(found[0]).reshape(outputs, -1)[:, :features].T.astype(int)",
            "scale = found[1].T.astype(np.float32)",
            f"zero_point = np.full_like(scale, {int(whole)})"
            if symmetric
            else "zero_point = unpacked(found[2])[:, :blocks].T.astype(np.float32)",
        ]
    lines.append("exact = scale")
    if qparams.precision.scale == BFLOAT16:
        lines += ["import ml_dtypes", "", "scale = scale.astype(ml_dtypes.bfloat16).astype(np.float32)"]
    spread = f"np.repeat(a, {size}, axis=0)[:features]"
    narrow = {FLOAT16: ".astype(np.float16)", BFLOAT16: ".astype(ml_dtypes.bfloat16)"}.get(qparams.precision.result)
    value = "(codes.astype(np.float32) - zero_point) * scale"
    return [
        *lines,
        'np.seterr(all="ignore")',
        f"scale, zero_point, exact = ({spread} for a in (scale, zero_point, exact))",
        f"usable = {'np.isfinite(1 / exact)' if qdq else 'exact != 0'}",
        f"x_hat = {f'({value}){narrow}.astype(np.float32)' if narrow else value}",
        f"codes, x_hat = (np.moveaxis(a.reshape(shape), 0, {granularity.axis}) for a in (codes, x_hat))",
    ]


_FAR = "codes[~np.isfinite(w)] = np.where((w / exact > 0) & usable, last, first)[~np.isfinite(w)]"


def _nan_lines(qparams: QParams) -> list[str]:
    """What gives NaN the code of another runtime, that of 0: here it gets the first one."""
    if qparams.convention.nan_code not in (record.MIDDLE, record.ZERO) or not qparams.number_format.offers_zero_point:
        return []
    return [f"x = np.where(np.isnan(x), np.float32(0), x)  # as {qparams.convention.label} stores NaN"]


def _lines(qparams: QParams, all_finite: bool) -> list[str]:
    if _of_nbits(qparams) or _fitted(qparams):
        lines = _nbits_lines(qparams) if _of_nbits(qparams) else _fitted_lines(qparams)
        places = [i + 1 for i, line in enumerate(lines) if "usable = " in line]
        return lines if all_finite or not places else [*lines[: places[0]], _FAR, *lines[places[0] :]]
    attributes = _attributes(qparams)
    single = (
        []
        if qparams.scale.ndim == 0 or attributes
        else ["scale, zero_point = scale.reshape(()), zero_point.reshape(())"]
    )
    name = qparams.number_format.name
    dtype, cast, end, bits = name.upper().replace("FLOAT8_", "FLOAT8"), "INT32", "", []
    if not qparams.saturates:
        cast, end = "FLOAT", ", saturate=0"
        bits = [f"codes = codes.astype(ml_dtypes.{name}).view(np.uint8)"]
        if name == "float8_e5m2":
            bits.append(
                "codes |= np.where((codes & 127) > 124, 3, 0).astype(np.uint8)  # NaN, as ONNX Runtime stores it"
            )
    return [
        *parameters(qparams),
        *single,
        *([] if all_finite else _nan_lines(qparams)),
        "",
        'parts = ["scale", "zero_point"]',
        "nodes = [",
        f'    helper.make_node("QuantizeLinear", ["x", *parts], ["packed"]{attributes}{end}),',
        f'    helper.make_node("DequantizeLinear", ["packed", *parts], ["x_hat"]{attributes}),',
        f'    helper.make_node("Cast", ["packed"], ["codes"], to=TensorProto.{cast}),',
        "]",
        'inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)]',
        "outputs = [",
        f'    helper.make_tensor_value_info("codes", TensorProto.{cast}, x.shape),',
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
        *bits,
        *(["x_hat = x_hat.astype(np.float16)"] if qparams.precision.result == FLOAT16 else []),
    ]


ONNXRUNTIME_SCRIPT = RuntimeScript(
    "ONNX Runtime",
    _offers,
    _imports,
    _lines,
)
