"""How does Paddle quantize?"""

from __future__ import annotations

from qviz.core.problems import N_
from qviz.core.runtimes.expressions import Formula, Symbol
from qviz.core.runtimes.formulas import ABSMAX, QMAX, VALUE, Q, R, affine
from qviz.core.runtimes.record import AT_ZERO, Convention

THRESHOLD = Symbol("T", "threshold")

PADDLE = Convention(
    name="paddle",
    label=N_("Paddle"),
    summary=N_(
        "Symmetric and signed only. Weights are divided by the threshold T = absmax and then multiplied "
        "by 127, not divided by S = T / 127; codes are clipped to −128…127. Values are Q·T / 127."
    ),
    range_includes_zero=True,
    formulas=affine(
        symmetric=ABSMAX / QMAX,
        code=lambda round_: round_(R / THRESHOLD * QMAX),
        divisor=Formula(THRESHOLD, ABSMAX),
        value=Formula(VALUE, Q * THRESHOLD / QMAX),
    ),
    divides_by_threshold=True,
    multiplies_by_threshold=True,
    falls_back=lambda f: AT_ZERO,
    symmetric_only=True,
    signed_only=True,
)
