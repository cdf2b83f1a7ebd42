"""How do AIMET's encodings quantize, which Qualcomm's QNN takes? By their public documents: neither was asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qviz.core.arrays import Floats
from qviz.core.formats.integers import IntFormat
from qviz.core.problems import N_
from qviz.core.runtimes.formulas import (
    ABSMAX,
    ALL_CODES,
    MAX,
    MIN,
    QMAX,
    QMIN,
    WHOLE,
    WITH_ZERO,
    S,
    affine,
    zero_point_after,
)
from qviz.core.runtimes.record import Convention


def _zero_point(number_format: IntFormat, low: Floats, high: Floats, scale: Floats) -> Floats:
    zero_point: Floats = number_format.quant_min - np.rint(low / scale)
    return zero_point


AIMET = Convention(
    name="aimet",
    label=N_("AIMET, QNN"),
    summary=N_(
        "Encodings of AIMET and QNN: an offset of round(min / S), which is −Z beside unsigned codes; symmetric scales "
        "are absmax / 127, codes reach to −128. By their public documents: they were not asked."
    ),
    range_includes_zero=True,
    zero_point=_zero_point,
    formulas=affine(
        symmetric=ABSMAX / QMAX,
        scale=(MAX - MIN) / ALL_CODES,
        zero_point=QMIN - WHOLE(MIN / S),
        code=zero_point_after,
        note=WITH_ZERO,
    ),
    integers=frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (4, 8, 16)),
    asymmetric_integers_only=frozenset(f"uint{bits}" for bits in (4, 8, 16)),
)

AIMET_STRICT = replace(
    AIMET,
    name="aimet_strict",
    label=N_("AIMET, strict symmetric"),
    summary=N_(
        "AIMET's strict symmetric encodings: absmax / 127, and the smallest code is never used (−127…127). "
        "By its public documents: it was not asked."
    ),
    code_range=lambda f, symmetric: (-f.quant_max, f.quant_max),
    symmetric_only=True,
    integers=frozenset({"int4", "int8", "int16"}),
    asymmetric_integers_only=frozenset(),
)
