"""What does a runtime offer, what does it say about the rest, and what does it offer in its place?"""

from __future__ import annotations

from itertools import product

import pytest

from qviz.core import (
    CONVENTIONS,
    Codebook,
    FloatFormat,
    IntFormat,
    PerAxis,
    PerBlock,
    PerTensor,
    PerToken,
    Problem,
    Scheme,
)
from qviz.core.formats.codebooks import CODEBOOKS
from qviz.core.formats.floats import FLOATS
from tests.every import every

BLOCKS = PerBlock(-1, 32)
UINT4, UINT5, FP4 = IntFormat(4, False), IntFormat(5, False), FloatFormat("e2m1fn")


FORMATS = (
    *(IntFormat(bits, signed) for bits in (2, 4, 5, 8, 16) for signed in (True, False)),
    *(FloatFormat(name) for name in FLOATS),
    *(Codebook(name) for name in CODEBOOKS),
)
GRANULARITIES = (PerTensor(), PerAxis(1), PerToken(), BLOCKS, PerBlock(-1, 16), PerBlock(0, 32))


REFUSED = [
    ("mx_floor", FP4, True, PerTensor(), "scale for each 32 neighbours of the last axis: choose per block of 32"),
    ("mx_even", FP4, True, PerBlock(1, 32), "choose per block of 32 along axis -1, or another runtime"),
    ("nvfp4", FP4, True, BLOCKS, "NVFP4 has a scale for each 16 neighbours of the last axis"),
    ("gguf", UINT4, True, PerToken(), "choose per block of 32 along axis -1"),
    ("mx_floor", IntFormat(4), True, BLOCKS, "has no int4: choose one of int8, e2m1fn, e2m3fn, e3m2fn, e4m3fn, e5m2"),
    ("nvfp4", IntFormat(8), True, PerBlock(-1, 16), "NVFP4 has no int8: choose one of e2m1fn, or another runtime"),
    ("gguf", Codebook("nf4"), True, BLOCKS, "has no NF4: choose one of int8, uint4, uint5, or another runtime"),
    ("tensorrt", Codebook("nf4"), True, PerTensor(), "has no NF4"),
    ("paddle", Codebook("nf4"), True, PerTensor(), "has no NF4: choose one of the integers, or another runtime"),
    ("onnxruntime", Codebook("nf4"), True, PerTensor(), "has no NF4: choose one of the integers, bfloat16, e2m1fn, "),
    ("gguf", IntFormat(8), False, BLOCKS, "quantizes int8 symmetrically only: choose symmetric, or another format"),
    ("mx_ceil", IntFormat(8), False, BLOCKS, "quantizes symmetrically only: choose symmetric, or another runtime"),
    ("textbook", FP4, False, PerTensor(), "FP4 E2M1 has no zero point: choose symmetric, or an integer format"),
    ("textbook", Codebook("nf4"), False, PerTensor(), "NF4 has no zero point: choose symmetric"),
]


@every(("convention", "number_format", "symmetric", "granularity", "said"), REFUSED)
def test_what_a_block_format_does_not_have_is_one_sentence(convention, number_format, symmetric, granularity, said):
    with pytest.raises(Problem) as problem:
        Scheme(number_format, symmetric, granularity, convention=convention)
    assert said in str(problem.value)
    assert str(problem.value).endswith(".")
    assert not CONVENTIONS[convention].offers(number_format, symmetric, granularity)


@every("convention", CONVENTIONS)
def test_from_any_scheme_there_is_a_way_to_every_runtime(convention):
    row = CONVENTIONS[convention]
    for number_format, symmetric, granularity in product(FORMATS, (True, False), GRANULARITIES):
        nearest = row.nearest(number_format, symmetric, granularity)
        row.check(*nearest)
        if row.offers(number_format, symmetric, granularity):
            assert nearest == (number_format, symmetric, granularity)
        if row.default_block is None:
            assert nearest[2] == granularity
        elif row.block_size is not None:
            assert nearest[2] == PerBlock(-1, row.block_size)
        else:
            assert nearest[2] in (granularity, PerBlock(-1, row.default_block))
    alone = row.nearest(IntFormat(8), True)[2]
    assert alone == (PerBlock(-1, row.default_block) if row.default_block else PerTensor())


@every(
    ("convention", "before", "after"),
    [
        ("mx_floor", (IntFormat(4), False), (IntFormat(8), True)),
        ("mx_floor", (FloatFormat("e5m2"), True), (FloatFormat("e5m2"), True)),
        ("mx_floor", (Codebook("nf4"), True), (IntFormat(8), True)),
        ("nvfp4", (IntFormat(8), False), (FP4, True)),
        ("gguf", (IntFormat(4), True), (UINT4, True)),
        ("gguf", (IntFormat(8, False), False), (IntFormat(8), True)),
        ("gguf", (IntFormat(3, False), False), (IntFormat(8), True)),
        ("gguf", (UINT5, False), (UINT5, False)),
        ("gguf", (IntFormat(8, False), True), (IntFormat(8), True)),
        ("pytorch", (IntFormat(8), True), (IntFormat(8), True)),
    ],
)
def test_as_little_as_possible_gives_way(convention, before, after):
    assert CONVENTIONS[convention].nearest(*before)[:2] == after
