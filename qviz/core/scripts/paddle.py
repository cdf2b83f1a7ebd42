"""How would a person get the same codes from Paddle?"""

from __future__ import annotations

from qviz.core.arithmetic.qparams import QParams
from qviz.core.scripts.common import MOST_NUMBERS, RuntimeScript
from qviz.core.tensors.granularity import PerAxis, PerTensor


def _offers(qparams: QParams) -> bool:
    scheme = qparams.scheme
    plain = scheme.granularity in (PerTensor(), PerAxis(0), PerAxis(1))
    return scheme.convention == "paddle" and plain and qparams.groups <= MOST_NUMBERS


def _lines(qparams: QParams, all_finite: bool) -> list[str]:
    granularity = qparams.scheme.granularity
    axis = granularity.axis if isinstance(granularity, PerAxis) else 0
    thresholds = str(qparams.high.tolist())
    return [
        f"threshold = {thresholds}  # what Paddle calls scale",
        *([] if all_finite else ["x[np.isnan(x)] = 0"]),
        f"codes = quant_tensor(x.copy(), threshold, {axis}, {qparams.number_format.bits}, onnx_format=True)",
        f"x_hat = dequant_tensor(codes.astype(np.float32), threshold, {axis}, {qparams.number_format.bits})",
    ]


PADDLE_SCRIPT = RuntimeScript(
    "Paddle",
    _offers,
    lambda qparams: ["from paddle.static.quantization.utils import dequant_tensor, quant_tensor"],
    _lines,
)
