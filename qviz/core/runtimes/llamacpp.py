"""How does llama.cpp quantize with K-quants: scales of scales, found by search? The records of Q2_K to Q6_K.

A block of 256 has a float16 scale, by which the whole numbers of its groups are multiplied; of Q2_K, Q4_K and Q5_K
the minima have one, too. The searches are those of `qviz.core.ranges.ggml`.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.frozen import frozen
from qviz.core.problems import N_, Phrase
from qviz.core.runtimes.expressions import Formula, Function, Number, Symbol
from qviz.core.runtimes.formulas import DEQUANTIZED, VALUE, WHOLE, Formulas, Q, R, S, Z, clipped
from qviz.core.runtimes.record import Convention

SUPERBLOCK = 256


def instead(name: str) -> Phrase:
    """What llama.cpp takes for rows that its blocks do not divide (``tensor_type_fallback``)."""
    return Phrase(N_(" llama.cpp takes {type} for such a tensor, or float16 where 32 does not divide it."), type=name)


HALF, STEPS = Symbol("d", "half"), Symbol("s", "steps")
LEAST_HALF, LEAST_STEPS, LEAST = Symbol("dₘ", "least_half"), Symbol("b", "least_steps"), Symbol("m", "least")

NOT_ZERO = Function(
    "{0}",
    "np.where({0} == 0, np.float32(1), {0})",
    lambda scale: np.where(np.asarray(scale) == 0, np.float32(1), scale)[()],
)
"""Where a scale is 0, every code means the same."""


@frozen
class _Type:
    """Bits of a code, neighbours that share a scale, whether they have a minimum, and bits of a scale with its share
    of the float16 of the block; a minimum takes as many. And what rows get that are no multiple of 256 long.
    """

    name: str
    bits: int
    group: int
    has_minimum: bool
    scale_bits: int
    instead: str


_TYPES = (
    _Type("Q2_K", 2, 16, True, 5, "Q4_0"),
    _Type("Q3_K", 3, 16, False, 7, "Q4_0"),
    _Type("Q4_K", 4, 32, True, 8, "Q5_0"),
    _Type("Q5_K", 5, 32, True, 8, "Q5_1"),
    _Type("Q6_K", 6, 16, False, 9, "Q8_0"),
)


def _formulas(kind: _Type, number_format: NumberFormat, symmetric: bool) -> Formulas:
    scale = Formula(S, HALF * STEPS, note=N_(", both by ggml's search"))
    if not kind.has_minimum:
        return Formulas(scale, None, clipped(WHOLE(R / NOT_ZERO(S))), DEQUANTIZED)
    return Formulas(
        scale=scale,
        zero_point=Formula(Z, Number(0)),
        code=clipped(WHOLE((R - LEAST) / NOT_ZERO(S))),
        value=Formula(VALUE, (Q - Z) * S + LEAST),
        offset=Formula(LEAST, -(LEAST_HALF * LEAST_STEPS)),
    )


def _convention(kind: _Type) -> Convention:
    number_format = IntFormat(kind.bits, signed=not kind.has_minimum)
    summary = N_(
        "K-quants of ggml: neighbours share a scale in a few bits, and every 256 a float16 by which those are "
        "multiplied; both are found by ggml's search, to the byte. Rows are a multiple of 256 long."
    )
    if kind.has_minimum:
        summary = N_(
            "K-quants of ggml: neighbours share a scale and a minimum in a few bits, and every 256 two float16 "
            "numbers by which those are multiplied; all are found by ggml's search, to the byte. Rows are a "
            "multiple of 256 long."
        )
    return Convention(
        name=kind.name.lower(),
        label=f"{kind.name} (llama.cpp)",
        summary=summary,
        range_includes_zero=False,
        formulas=partial(_formulas, kind),
        symmetric_only=not kind.has_minimum,
        asymmetric_only=kind.has_minimum,
        integers=frozenset({number_format.name}),
        block_size=kind.group,
        whole_blocks=True,
        superblock=SUPERBLOCK,
        ragged_instead=instead(kind.instead),
        scale_bits=kind.scale_bits,
        of_elements=kind.name,
    )


K_QUANTS = tuple(_convention(kind) for kind in _TYPES)
"""One a type: Q2_K, Q3_K, Q4_K, Q5_K and Q6_K."""
