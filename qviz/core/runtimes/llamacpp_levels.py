"""How does llama.cpp quantize to levels that are denser around 0: the records of IQ4_NL and IQ4_XS?

Sixteen levels (``kvalues_iq4nl``), and a scale of 32 that is searched: a float16 of its own in
IQ4_NL; in IQ4_XS a whole number of six bits, by which the float16 of 256 is multiplied. Codes follow from the float32
that was found, values from what is stored of it. The searches are those of `qviz.core.ranges.ggml`.
"""

from __future__ import annotations

from functools import partial

from qviz.core.formats.table import NumberFormat
from qviz.core.problems import N_, Phrase
from qviz.core.runtimes.expressions import Formula, Symbol
from qviz.core.runtimes.formulas import DEQUANTIZED, FLOAT16, Formulas, R, S, clipped, rounding
from qviz.core.runtimes.gguf import FLOAT16_INSTEAD
from qviz.core.runtimes.llamacpp import STEPS, SUPERBLOCK, instead
from qviz.core.runtimes.record import LAST, Convention

BLOCK = 32
FOUND, INVERSE = Symbol("d", "found"), Symbol("I", "inverse")


def _formulas(in_steps: bool, number_format: NumberFormat, symmetric: bool) -> Formulas:
    return Formulas(
        scale=Formula(S, FLOAT16(FOUND) * STEPS if in_steps else FLOAT16(FOUND), note=N_(", by ggml's search")),
        zero_point=None,
        code=clipped(rounding(number_format)(R * INVERSE)),
        value=DEQUANTIZED,
        divisor=Formula(INVERSE, 1 / (FOUND * STEPS) if in_steps else 1 / FOUND),
    )


def _convention(name: str, summary: str, ragged_instead: Phrase, in_steps: bool) -> Convention:
    return Convention(
        name=name.lower(),
        label=f"{name} (llama.cpp)",
        summary=summary,
        range_includes_zero=False,
        formulas=partial(_formulas, in_steps),
        symmetric_only=True,
        integers=frozenset(),
        others=frozenset({"iq4_nl"}),
        block_size=BLOCK,
        whole_blocks=True,
        superblock=SUPERBLOCK if in_steps else 0,
        ragged_instead=ragged_instead,
        scale_bits=8 if in_steps else 16,
        divisor_is_inverse=True,
        of_elements=name,
        nan_code=LAST,
    )


IQ4_NL = _convention(
    "IQ4_NL",
    N_(
        "Sixteen levels of ggml, denser around 0 and without a zero: 32 neighbours share a float16 scale of either "
        "sign, found by ggml's search, to the byte. Rows are a multiple of 32 long."
    ),
    FLOAT16_INSTEAD,
    in_steps=False,
)
IQ4_XS = _convention(
    "IQ4_XS",
    N_(
        "The sixteen levels of IQ4_NL with a scale in six bits for 32 neighbours, and for every 256 a float16 by which "
        "those are multiplied; both are found by ggml's search, to the byte. Rows are a multiple of 256 long."
    ),
    instead("IQ4_NL"),
    in_steps=True,
)
