"""How does TensorRT quantize?"""

from __future__ import annotations

from qviz.core.problems import N_
from qviz.core.runtimes.formulas import ABSMAX, QMAX, affine, no_zero_point_in_codes
from qviz.core.runtimes.record import Convention

TENSORRT = Convention(
    name="tensorrt",
    label=N_("TensorRT"),
    summary=N_(
        "Symmetric and signed only: S = absmax / 127, no zero point, and codes clipped to −128…127. "
        "By its documentation: it needs a graphics card, so that it was not asked."
    ),
    range_includes_zero=True,
    formulas=affine(symmetric=ABSMAX / QMAX, code=no_zero_point_in_codes),
    symmetric_only=True,
    signed_only=True,
)
