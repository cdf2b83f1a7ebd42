"""How does ONNX Runtime take over scales and zero points that were found here? As TensorQuantOverrides.

``onnxruntime.quantization`` reads them from its option ``TensorQuantOverrides``, and its command
``python -m onnxruntime.quantization.static_quantize_runner --tensor_quant_overrides FILE`` from a
file. A list stands for each tensor: one entry for all of it, or one for each channel of an axis.
The type of the codes is not in the file, for that command would not understand it there: it is the
``weight_type`` or ``activation_type`` that ONNX Runtime is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qviz.core.arithmetic.qparams import QParams
from qviz.core.formats.integers import IntFormat
from qviz.core.problems import Problem
from qviz.core.tensors.granularity import PerAxis, PerTensor
from qviz.files.results import save_json

TYPES = {
    "int8": "QInt8",
    "uint8": "QUInt8",
    "int16": "QInt16",
    "uint16": "QUInt16",
    "int4": "QInt4",
    "uint4": "QUInt4",
}
"""What ``onnxruntime.quantization.QuantType`` calls the integers that it knows."""


def tensor_overrides(qparams: QParams) -> list[dict[str, Any]]:
    """The entries of one tensor: ``scale`` and ``zero_point``, and ``axis`` where there are channels.

    ONNX Runtime makes codes from them in its own way, round(x / scale) + zero_point: those of a
    convention that multiplies by 1 / scale may differ by one, rarely.

    Raises
    ------
    Problem
        When ONNX Runtime's quantizer does not know such a scheme.
    """
    scheme, number_format = qparams.scheme, qparams.number_format
    if not isinstance(number_format, IntFormat) or number_format.name not in TYPES:
        raise Problem(
            "ONNX Runtime's quantizer has no override for {number_format}: choose integers of 4, 8 or 16 "
            "bits, or save an .onnx.",
            number_format=number_format.name,
        )
    if not isinstance(scheme.granularity, PerTensor | PerAxis):
        raise Problem("ONNX Runtime's overrides know no blocks: choose per tensor or per axis, or save an .onnx.")
    if qparams.offset is not None or not qparams.whole_zero_point:
        raise Problem(
            "ONNX Runtime's overrides have a whole zero point, which this one is not: "
            "choose ONNX Runtime's convention or symmetric."
        )
    pairs = zip(qparams.scale.ravel().tolist(), qparams.zero_point.ravel().tolist(), strict=True)
    entries: list[dict[str, Any]] = [{"scale": scale, "zero_point": int(point)} for scale, point in pairs]
    if isinstance(scheme.granularity, PerAxis):
        for entry in entries:
            entry["axis"] = scheme.granularity.axis
    return entries


def save_overrides(path: Path, tensors: Mapping[str, QParams]) -> None:
    """Write the overrides of some tensors, by their names in the model, as JSON.

    Raises
    ------
    Problem
        When ONNX Runtime's quantizer does not know one of the schemes.
    FileProblem
        When the file cannot be written.
    """
    save_json(path, {name: tensor_overrides(qparams) for name, qparams in tensors.items()})
