"""How is a quantized tensor written as an ONNX model: its codes, and the DequantizeLinear that reads them?

The operator: https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.arithmetic.quantize import quantize
from qviz.core.arrays import Array
from qviz.core.formats.floats import FloatFormat
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.problems import N_, Phrase, Problem
from qviz.core.questions.analysis import Analysis
from qviz.core.tensors.granularity import PerAxis, PerTile
from qviz.files.atomic import atomic_write
from qviz.files.problems import FileProblem

MOST_BYTES = (1 << 31) - (1 << 20)
"""A protobuf message ends at 2 GB; a little is left for the scales' names and the graph."""

_OPSETS = {
    **dict.fromkeys(("int8", "uint8", "float16", "bfloat16"), 13),
    **dict.fromkeys(("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"), 19),
    **dict.fromkeys(("int4", "uint4", "int16", "uint16"), 21),
    "float4_e2m1fn": 13,
    **dict.fromkeys(("int2", "uint2"), 25),
}
"""The first version of ONNX's operators that knows a type; blocks are known from 21 on."""

_BLOCKS = 21

_HALVES = "float4_e2m1fn"
"""ONNX has this type from 23 on, but ONNX Runtime no kernel for it: its values are stored as whole halves, in int8."""


def save_onnx(path: Path, analysis: Analysis, name: str = "tensor") -> None:
    """Write a model without inputs whose one output, ``fake_quantize`` of the tensor, is made of stored codes.

    Parameters
    ----------
    path : Path
    analysis : Analysis
    name : str
        Of the output; the codes are ``NAME_quantized``, beside ``NAME_scale`` and ``NAME_zero_point``.

    Raises
    ------
    Problem
        When ONNX has no words for the scheme.
    FileProblem
        When the file cannot be written, or would be larger than ONNX allows.
    """
    check_expressible(analysis.qparams)
    q = analysis.qparams
    if analysis.tensor.elements * q.number_format.bits // 8 + q.scale.nbytes > MOST_BYTES:
        raise FileProblem(path, N_("would be larger than the 2 GiB of an ONNX file"), N_("Save an .npz instead."))
    with atomic_write(path) as temporary:
        temporary.write_bytes(_model(analysis, name))


def _model(analysis: Analysis, name: str) -> bytes:
    import onnx
    from onnx import helper, numpy_helper

    q, tensor = analysis.qparams, analysis.tensor
    number_format = q.number_format
    codes, halves = quantize(tensor, q), number_format.name == _HALVES
    stored: Array = (2 * number_format.decode(codes)).astype(np.int8) if halves else _as_stored(codes, number_format)
    parts = {f"{name}_quantized": stored}
    opset = _OPSETS[number_format.name]
    parted = q.factor is not None and q.convention.multiplies_by_threshold
    if number_format.scaled:
        attributes = _attributes(q, tensor.shape)
        opset = max(opset, _BLOCKS if "block_size" in attributes else 0)
        shape = q.scale.shape if attributes else ()
        scale = q.divisor if parted else q.scale
        parts[f"{name}_scale"] = (scale / np.float32(2) if halves else scale).reshape(shape)
        if isinstance(number_format, IntFormat):
            points = q.zero_point.astype(number_format.dtype).reshape(shape)
            parts[f"{name}_zero_point"] = _as_stored(points, number_format)
        whole = f"{name}_times_{q.factor:g}" if parted else name
        nodes = [helper.make_node("DequantizeLinear", list(parts), [whole], **attributes)]
    else:
        nodes = [helper.make_node("Cast", list(parts), [name], to=onnx.TensorProto.FLOAT)]
    if parted:  # Paddle multiplies by the threshold first
        parts[f"{name}_codes"] = np.asarray(q.factor, np.float32)
        nodes.append(helper.make_node("Div", [whole, f"{name}_codes"], [name]))
    graph = helper.make_graph(
        nodes,
        "quantized",
        [],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, tensor.shape)],
        [numpy_helper.from_array(values, part) for part, values in parts.items()],
    )
    versions = [helper.make_opsetid("", opset)]
    model = helper.make_model(
        graph,
        opset_imports=versions,
        ir_version=helper.find_min_ir_version_for(versions),
        producer_name="qviz",
    )
    helper.set_model_props(model, {"scheme": json.dumps(analysis.scheme.to_dict())})
    return bytes(model.SerializeToString())


def check_expressible(qparams: QParams) -> None:
    """Nothing, where DequantizeLinear can give the values back.

    Raises
    ------
    Problem
        When it cannot.
    """
    number_format = qparams.number_format
    if number_format.name not in _OPSETS:
        what = Phrase("integers of 2,") if isinstance(number_format, IntFormat) else Phrase("floats of")
        raise Problem(
            "ONNX has {what} 4, 8 and 16 bits, not {number_format}: choose another number format, or save an .npz.",
            what=what,
            number_format=number_format.label,
        )
    if qparams.offset is not None:
        raise Problem(
            "DequantizeLinear has a whole zero point, not the minimum that GGUF adds in the end: "
            "choose symmetric, or save an .npz."
        )
    if qparams.groups > 1 and isinstance(qparams.scheme.granularity, PerTile):
        raise Problem(
            "DequantizeLinear has blocks along one axis, not tiles over two: choose per block, or save an .npz."
        )
    if not qparams.whole_zero_point:
        raise Problem(
            "ONNX stores a zero point as a whole number among the codes, which this one is not: "
            "choose ONNX Runtime's convention or symmetric, or save an .npz."
        )


def _attributes(qparams: QParams, shape: tuple[int, ...]) -> dict[str, int]:
    """What says which elements share a scale; nothing where all do."""
    granularity = qparams.scheme.granularity
    # ONNX Runtime takes an array of one scale for a single one.
    if qparams.groups == 1:
        return {}
    if isinstance(granularity, PerAxis):
        return {"axis": granularity.resolve(shape)}
    # The block is longer than 1 along one axis alone.
    block = granularity.block_shape(shape)
    axis = next((i for i, length in enumerate(block) if length > 1), len(shape) - 1)
    return {"axis": axis, "block_size": block[axis]}


def _as_stored(codes: Array, number_format: NumberFormat) -> Array:
    """Codes in the type that ONNX packs them from."""
    import ml_dtypes

    dtype = np.dtype(getattr(ml_dtypes, number_format.name, number_format.name))
    return codes.view(dtype) if isinstance(number_format, FloatFormat) else codes.astype(dtype)
