"""What do the formulas say as they are taught?"""

from __future__ import annotations

from qviz.core.formats.codebooks import CODEBOOKS, Codebook
from qviz.core.formats.floats import FLOATS
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.problems import N_
from qviz.core.runtimes.expressions import Constant, Expression, Folded
from qviz.core.runtimes.formulas import ABSMAX, ALL_CODES, MAX, MIN, QMAX, S, affine, zero_point_before
from qviz.core.runtimes.record import AT_ZERO, BELOW_NORMAL, Convention


def _middle(number_format: IntFormat) -> float:
    return 0.0 if number_format.signed else (number_format.quant_max + 1) / 2


def _symmetric_scale(number_format: NumberFormat) -> Expression:
    middle = _middle(number_format) if isinstance(number_format, IntFormat) else 0.0
    return ABSMAX / (Folded(QMAX - Constant("Z", middle)) if middle else QMAX)


TEXTBOOK = Convention(
    name="textbook",
    label=N_("Textbook"),
    summary=N_(
        "Q = round(R/S + Z), with a zero point that stays a real number: "
        "the formulas as they are taught. No runtime stores exactly these codes."
    ),
    range_includes_zero=False,
    symmetric_span=lambda f: 2 * (f.quant_max - _middle(f)),
    symmetric_zero_point=_middle,
    zero_point=lambda f, low, high, scale: f.quant_max - high / scale,
    # Z = -x gives the code 0 and (0 - Z) * 1 = x, exactly.
    degenerate_zero_point=lambda high: -high,
    formulas=affine(
        symmetric=_symmetric_scale,
        scale=(MAX - MIN) / ALL_CODES,
        zero_point=QMAX - MAX / S,
        code=zero_point_before,
    ),
    zero_point_before_rounding=True,
    # Levels of a codebook are multiplied by any number; NF4's absmax may be denormal.
    falls_back=lambda f: AT_ZERO if isinstance(f, Codebook) else BELOW_NORMAL,
    others=frozenset(FLOATS) | frozenset(CODEBOOKS),
)
