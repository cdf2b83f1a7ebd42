"""How would a person get the same codes from a cast to FP8, as JAX and ml_dtypes have it?"""

from __future__ import annotations

from qviz.core.arithmetic.qparams import QParams
from qviz.core.scripts.common import RuntimeScript

CAST = "cast_float8"


def _lines(qparams: QParams, all_finite: bool) -> list[str]:
    name = qparams.number_format.name
    lines = [
        f"cast = x.astype(ml_dtypes.{name})",
        "codes, x_hat = cast.view(np.uint8), cast.astype(np.float32)",
    ]
    if name == "float8_e5m2" and not all_finite:
        lines.append(
            "codes = np.where(np.isnan(x), codes | 3, codes)  # of all the bits of NaN those that torch stores"
        )
    return lines


CAST_SCRIPT = RuntimeScript(
    "ml_dtypes (JAX)",
    lambda qparams: qparams.convention.name == CAST,
    lambda qparams: ["import ml_dtypes"],
    _lines,
)
