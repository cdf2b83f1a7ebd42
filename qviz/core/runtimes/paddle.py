"""How does Paddle quantize?"""

from __future__ import annotations

from qviz.core.problems import N_
from qviz.core.runtimes.record import Convention

PADDLE = Convention(
    name="paddle",
    label=N_("Paddle"),
    summary=N_(
        "Symmetric and signed only. Weights are divided by the threshold T = absmax and then multiplied "
        "by 127, not divided by S = T / 127; codes are clipped to −128…127."
    ),
    range_includes_zero=True,
    scale_formula="S = absmax / qmax",
    symmetric_scale_formula="S = absmax / qmax",
    zero_point_formula="Z = 0",
    code_formula="Q = clip(round(R / T · qmax), qmin, qmax)",
    divides_by_threshold=True,
    symmetric_only=True,
    signed_only=True,
)
