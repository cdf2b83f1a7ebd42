"""Which type does llama.cpp take for rows that do not divide into the blocks of the one that was asked for?

The source is ``tensor_type_fallback`` of llama.cpp's ``llama-quant.cpp``; rows that the other type's blocks do not
divide either stay in float16 there, and as they are here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qviz.core.ranges.ggml_types import SUPERBLOCK
from qviz.core.schemes.scheme import Scheme
from qviz.models.checkpoint import Weight
from qviz.models.plans import GGUF_SCHEMES

FALLBACKS = {
    "iq4_xs": "iq4_nl",
    "q2_k": "q4_0",
    "q3_k": "q4_0",
    "tq1_0": "q4_0",
    "tq2_0": "q4_0",
    "q4_k": "q5_0",
    "q5_k": "q5_1",
    "q6_k": "q8_0",
}
"""Types of blocks of 256, and that of blocks of 32 which stands in for each."""

BLOCK = 32

_NAMES = {scheme: name for name, scheme in GGUF_SCHEMES.items()}


def in_place_of(scheme: Scheme, weight: Weight) -> Scheme | None:
    """What is taken for a tensor in place of a scheme; None where it fits, or nothing is."""
    name = FALLBACKS.get(_NAMES.get(scheme, ""))
    if name is None or not weight.shape or len(weight.shape) < 2:
        return None
    columns = weight.shape[-1]
    return GGUF_SCHEMES[name] if columns % SUPERBLOCK and not columns % BLOCK else None


def stand_ins(weights: Sequence[Weight], named: Mapping[Scheme, str]) -> dict[tuple[Scheme, ...], list[Weight]]:
    """What else tensors are to be measured under: those whose rows do not fit some of these schemes.

    Parameters
    ----------
    weights : sequence of Weight
    named : mapping of Scheme to str
        Those that every tensor is measured under.
    """
    found: dict[tuple[Scheme, ...], list[Weight]] = {}
    for weight in weights:
        others = {in_place_of(scheme, weight) for scheme in named} - {None, *named}
        if others:
            key = tuple(sorted((each for each in others if each is not None), key=lambda each: _NAMES[each]))
            found.setdefault(key, []).append(weight)
    return found
