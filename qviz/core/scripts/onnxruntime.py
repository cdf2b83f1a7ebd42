"""How would a person get the same codes from ONNX Runtime?"""

from __future__ import annotations

from qviz.core.arithmetic.qparams import QParams
from qviz.core.formats.integers import IntFormat
from qviz.core.runtimes.precision import FLOAT16, FLOAT32
from qviz.core.scripts.common import RuntimeScript, parameters
from qviz.core.tensors.granularity import PerAxis, PerBlock, PerTile


def _offers(qparams: QParams) -> bool:
    convention, number_format = qparams.convention, qparams.number_format
    return (
        isinstance(number_format, IntFormat)
        and number_format.bits in (4, 8, 16)
        and convention.recipe is None
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


def _lines(qparams: QParams) -> list[str]:
    attributes = _attributes(qparams)
    single = (
        []
        if qparams.scale.ndim == 0 or attributes
        else ["scale, zero_point = scale.reshape(()), zero_point.reshape(())"]
    )
    dtype = qparams.number_format.name.upper()
    return [
        *parameters(qparams),
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
        *(["x_hat = x_hat.astype(np.float16)"] if qparams.precision.result == FLOAT16 else []),
    ]


ONNXRUNTIME_SCRIPT = RuntimeScript(
    "ONNX Runtime",
    _offers,
    lambda qparams: ["import onnxruntime", "from onnx import TensorProto, helper"],
    _lines,
)
