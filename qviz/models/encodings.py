"""How do choices made here reach Qualcomm's QNN and TensorRT? As AIMET's encodings, and as a calibration table.

The encodings are those of AIMET's specification 0.6.1, which ``qnn-onnx-converter --quantization_overrides`` takes; the
table is the file that ONNX Runtime's own ``write_calibration_table`` makes, which its TensorRT provider reads as
``trt_int8_calibration_table_name``. Neither tool was run: both are known by their documents.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.arithmetic.scaling import qparams_from_range
from qviz.core.formats.integers import IntFormat
from qviz.core.problems import Problem
from qviz.core.questions.calibration import choose_qparams
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerAxis, PerTensor
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.models.deployment import as_it_lies
from qviz.models.network import Network, array_of
from qviz.models.weights import weights_of

VERSION = "0.6.1"


def encodings_of(qparams: QParams) -> list[dict[str, Any]]:
    """One encoding for the whole tensor, or one for each channel in order.

    An offset is the first code's number: codes are ``round(x / scale) − offset`` from 0 on.

    Raises
    ------
    Problem
        When an encoding does not know such a scheme.
    """
    scheme, number_format = qparams.scheme, qparams.number_format
    if not isinstance(number_format, IntFormat) or not isinstance(scheme.granularity, PerTensor | PerAxis):
        raise Problem("AIMET's encodings are integers with a scale for a tensor or a channel: choose such a scheme.")
    if qparams.offset is not None or not qparams.whole_zero_point:
        raise Problem("AIMET's encodings have whole offsets, which this zero point is not: choose another runtime.")
    last = (1 << number_format.bits) - 1
    found = []
    for scale, point in zip(qparams.scale.ravel().tolist(), qparams.zero_point.ravel().tolist(), strict=True):
        offset = number_format.quant_min - int(point)
        found.append(
            {
                "bitwidth": number_format.bits,
                "dtype": "int",
                "is_symmetric": str(bool(scheme.symmetric)),
                "max": scale * (offset + last),
                "min": scale * offset,
                "offset": offset,
                "scale": scale,
            }
        )
    return found


def qnn_encodings(
    network: Network,
    scheme: Scheme,
    own: Mapping[str, Scheme | None],
    activations: Mapping[str, tuple[float, float]],
    activation_format: IntFormat,
    *,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> dict[str, Any]:
    """Encodings of all weights, and of the activations whose ranges are known.

    Parameters
    ----------
    network : Network
        Prepared.
    scheme : Scheme
        Of the weights that have none of their own.
    own : mapping of str to (Scheme or None)
        A weight left in float has none.
    activations : mapping of str to (float, float)
        From where to where they reach.
    activation_format : IntFormat

    Raises
    ------
    Problem
        When a scheme is none that encodings know: of which weight is said.
    Cancelled
        When asked to stop.
    """
    constants = {each.name: each for each in network.model.graph.initializer}
    weights = weights_of(network)
    parameters: dict[str, Any] = {}
    for done, weight in enumerate(weights):
        check(cancelled)
        progress(done / len(weights))
        chosen = own.get(weight.name, scheme)
        if chosen is None:
            continue
        values = array_of(constants[weight.name]).astype(np.float32, copy=False)
        try:
            parameters[weight.name] = encodings_of(choose_qparams(values, as_it_lies(chosen, weight)))
        except Problem as problem:
            raise Problem("{name}: {reason}", name=weight.name, reason=problem) from None
    wide = Scheme(activation_format, symmetric=False)
    found = {
        name: encodings_of(qparams_from_range(np.array(low, np.float32), np.array(high, np.float32), wide))
        for name, (low, high) in activations.items()
    }
    return {"version": VERSION, "activation_encodings": found, "param_encodings": parameters}


def tensorrt_table(ranges: Mapping[str, tuple[float, float]]) -> bytes:
    """The calibration table of activations: of each tensor the largest magnitude, which int8's 127 shall stand for.

    Raises
    ------
    Problem
        When the package that ONNX Runtime writes it with is missing.
    """
    from onnxruntime.quantization import write_calibration_table
    from onnxruntime.quantization.calibrate import TensorData

    # ONNX Runtime keeps the larger end: the magnitude is handed over as both.
    reach = {name: np.float32(max(abs(low), abs(high))) for name, (low, high) in ranges.items()}
    table = {name: TensorData(lowest=np.array(-end), highest=np.array(end)) for name, end in reach.items()}
    with tempfile.TemporaryDirectory(prefix="qviz-") as folder:
        try:
            write_calibration_table(table, folder)
        except ImportError as error:
            raise Problem("This method needs the package {name}: pip install {name}.", name=error.name or "") from None
        return (Path(folder) / "calibration.flatbuffers").read_bytes()
