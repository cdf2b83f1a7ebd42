"""How do block formats choose their scales, what do they offer, and what do they say about the rest?"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from qviz.core import (
    CONVENTIONS,
    Codebook,
    FloatFormat,
    IntFormat,
    Manual,
    PerAxis,
    PerBlock,
    PerTensor,
    PerToken,
    Problem,
    Scheme,
    analyze,
    choose_qparams,
    fake_quantize,
    qparams_from_values,
    quantize,
    storage,
)
from qviz.core.arithmetic.element_trace import trace_elements
from qviz.core.formats.codebooks import CODEBOOKS
from qviz.core.formats.floats import FLOATS

F = np.float32
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


@pytest.mark.parametrize(("convention", "number_format", "symmetric", "granularity", "said"), REFUSED)
def test_what_a_block_format_does_not_have_is_one_sentence(convention, number_format, symmetric, granularity, said):
    with pytest.raises(Problem) as problem:
        Scheme(number_format, symmetric, granularity, convention=convention)
    assert said in str(problem.value)
    assert str(problem.value).endswith(".")
    assert not CONVENTIONS[convention].offers(number_format, symmetric, granularity)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_from_any_scheme_there_is_a_way_to_every_runtime(convention):
    row = CONVENTIONS[convention]
    for number_format, symmetric, granularity in product(FORMATS, (True, False), GRANULARITIES):
        nearest = row.nearest(number_format, symmetric, granularity)
        row.check(*nearest)
        if row.offers(number_format, symmetric, granularity):
            assert nearest == (number_format, symmetric, granularity)
        if row.block_size is None:
            assert nearest[2] == granularity
        else:
            assert nearest[2] == PerBlock(-1, row.block_size)
    assert row.nearest(IntFormat(8), True)[2] == (PerBlock(-1, row.block_size) if row.block_size else PerTensor())


@pytest.mark.parametrize(
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


# --- scales ----------------------------------------------------------------------------------------


def scale_of(convention, number_format, absmax, symmetric=True, size=32):
    x = np.zeros(size, F)
    x[3] = absmax
    return choose_qparams(x, Scheme(number_format, symmetric, PerBlock(-1, size), convention=convention))


@pytest.mark.parametrize(
    ("absmax", "floor", "ceil", "even", "rceil"),
    [  # of FP4, whose largest value is 6: the exponent is less by 2
        (4.0, 1, 1, 1, 1),
        (6.0, 1, 2, 1, 1),
        (6.5, 1, 2, 1, 2),
        (6.999, 1, 2, 1, 2),
        (7.0, 1, 2, 2, 2),  # which FP4's precision would round to 8
        (7.5, 1, 2, 2, 2),
        (8.0, 2, 2, 2, 2),
        (0.4, 1 / 16, 1 / 8, 1 / 16, 1 / 8),
    ],
)
def test_the_four_rules_of_mx(absmax, floor, ceil, even, rceil):
    found = [float(scale_of(f"mx_{rule}", FP4, absmax).scale[0]) for rule in ("floor", "ceil", "even", "rceil")]
    assert found == [floor, ceil, even, rceil]


def test_mx_integers_are_64ths():
    q = scale_of("mx_floor", IntFormat(8), 1.0)
    assert (q.scale, q.quant_min, q.quant_max) == (1 / 64, -127, 127)
    x = np.full(32, -1.999, F)
    x[0] = 1
    assert quantize(x, choose_qparams(x, q.scheme)).tolist() == [64] + [-127] * 31


def test_a_block_of_zeros_has_a_scale():
    assert scale_of("mx_floor", FP4, 0.0).scale == 2.0**-127
    assert scale_of("mx_rceil", FP4, 0.0).scale == 2.0**-127
    assert scale_of("nvfp4", FP4, 0.0, size=16).scale == 1
    assert scale_of("gguf", UINT4, 0.0).scale == 0
    assert scale_of("gguf", UINT4, 0.0, symmetric=False).scale == 0


def test_nvfp4_has_a_scale_for_the_tensor_and_one_for_each_block():
    x = np.zeros((2, 16), F)
    x[0, 0], x[1, 0] = 2688, 12
    q = choose_qparams(x, Scheme(FP4, True, PerBlock(-1, 16), convention="nvfp4"))
    assert q.scale.ravel().tolist() == [448, 2]  # the tensor's is 1: these are E4M3
    assert q.multiplies
    np.testing.assert_array_equal(fake_quantize(x, q), x)


def test_gguf_gives_the_first_code_to_the_element_furthest_from_zero():
    for sign in (1, -1):
        q = scale_of("gguf", UINT4, sign * 8.0)
        assert (q.scale, q.zero_point) == (-sign, 8)
        x = np.zeros(32, F)
        x[3] = sign * 8
        assert quantize(x, q)[3] == 0
        assert q.clip_range()[0] < q.clip_range()[1]


def test_of_two_as_far_the_first_one_has_its_sign():
    for first in (1, -1):
        x = np.zeros((1, 32), F)
        x[0, 4], x[0, 9] = first, -first
        q = choose_qparams(x, Scheme(UINT4, True, BLOCKS, convention="gguf"))
        assert np.sign(q.scale).ravel().tolist() == [-first]
        assert quantize(x, q)[0, [4, 9]].tolist() == [0, 15]


def test_gguf_with_a_minimum_walks_through_its_shift():
    x = np.linspace(3, 4.5, 32, dtype=F)
    q = choose_qparams(x, Scheme(UINT4, False, BLOCKS, convention="gguf"))
    assert (q.shift, q.offset) == (3, 3)
    steps = trace_elements(x, np.zeros(32, int), q)
    np.testing.assert_allclose(steps.divided, (x - 3) / q.divisor, rtol=1e-6)
    np.testing.assert_array_equal(steps.code, quantize(x, q))
    np.testing.assert_array_equal(steps.dequantized, fake_quantize(x, q))
    assert steps.code[0] == 0
    assert steps.code[-1] == 15


@pytest.mark.parametrize(
    ("convention", "number_format", "symmetric"),
    [("mx_floor", FP4, True), ("nvfp4", FP4, True), ("gguf", UINT4, True), ("gguf", UINT5, False)],
)
def test_a_range_by_hand_is_kept_in_every_block(convention, number_format, symmetric):
    size = CONVENTIONS[convention].block_size
    x = np.random.default_rng(2).standard_normal((3, 2 * size)).astype(F)
    scheme = Scheme(number_format, symmetric, PerBlock(-1, size), Manual(-1.0, 1.0), convention)
    q = choose_qparams(x, scheme)
    assert np.unique(np.abs(q.scale)).size == 1
    analysis = analyze(x, scheme)
    assert analysis.saturated > 0
    error = fake_quantize(x, q).astype(np.float64) - x
    assert analysis.mse == pytest.approx(np.mean(error * error), rel=1e-12)


# --- storage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "codes", "scales", "zero_points"),
    [
        (Scheme(FP4, True, BLOCKS, convention="mx_floor"), 512, 32, 0),
        (Scheme(FloatFormat("e2m3fn"), True, BLOCKS, convention="mx_floor"), 768, 32, 0),
        (Scheme(FP4, True, PerBlock(-1, 16), convention="nvfp4"), 512, 64 + 4, 0),
        (Scheme(UINT4, True, BLOCKS, convention="gguf"), 512, 64, 0),
        (Scheme(UINT4, False, BLOCKS, convention="gguf"), 512, 64, 64),
        (Scheme(UINT5, False, BLOCKS, convention="gguf"), 640, 64, 64),
        (Scheme(Codebook("nf4"), True, PerBlock(-1, 64), convention="textbook"), 512, 64, 0),
        (Scheme(FloatFormat("e4m3fn"), True, convention="textbook"), 1024, 4, 0),
        (Scheme(FloatFormat("bfloat16"), True, convention="textbook"), 2048, 0, 0),
        (Scheme(IntFormat(8), True, PerToken()), 1024, 64, 0),
        (Scheme(UINT4, False, BLOCKS), 512, 128, 16),
    ],
    ids=lambda each: each.convention if isinstance(each, Scheme) else None,
)
def test_what_a_format_stores(scheme, codes, scales, zero_points):
    x = np.random.default_rng(4).standard_normal((16, 64))
    s = storage(x.size, choose_qparams(x, scheme))
    assert (s.code_bytes, s.scale_bytes, s.zero_point_bytes) == (codes, scales, zero_points)


# --- parameters of somebody else -------------------------------------------------------------------


def test_known_parameters_of_blocks_quantize_as_their_own():
    x = np.random.default_rng(5).standard_normal((4, 50)).astype(F)
    for symmetric, granularity in product((True, False), (PerBlock(-1, 16), PerBlock(0, 3), PerToken(), PerAxis(1))):
        scheme = Scheme(IntFormat(4), symmetric, granularity)
        own = choose_qparams(x, scheme)
        known = qparams_from_values(own.scale, own.zero_point, scheme)
        np.testing.assert_array_equal(quantize(x, known), quantize(x, own))
        np.testing.assert_array_equal(fake_quantize(x, known), fake_quantize(x, own))
        assert analyze(x, scheme, qparams=known).mse == analyze(x, scheme).mse


def test_one_known_zero_point_is_that_of_every_block():
    known = qparams_from_values([[1.0], [2.0]], 3, Scheme(IntFormat(8), False, PerToken()))
    assert known.zero_point.tolist() == [[3], [3]]
    np.testing.assert_array_equal(known.low, [[-131], [-262]])
    assert known.for_group(1).scale == 2


@pytest.mark.parametrize("granularity", [PerBlock(-1, 16), PerBlock(0, 2), PerToken()])
def test_parameters_of_another_shape_are_a_problem(granularity):
    q = choose_qparams(np.ones((4, 32), F), Scheme(granularity=granularity))
    with pytest.raises(Problem, match=r"shape \(8, 48\) needs .* but there are .* for this shape"):
        quantize(np.ones((8, 48), F), q)


@pytest.mark.parametrize("granularity", [PerBlock(-1, 7), PerBlock(1, 4), PerBlock(0, 2), PerToken(), PerAxis(1)])
def test_every_element_meets_the_scale_of_its_block(granularity):
    x = np.random.default_rng(6).standard_normal((3, 10, 9)).astype(F)
    q = choose_qparams(x, Scheme(granularity=granularity))
    groups = granularity.layout(x.shape).group_of(np.arange(x.size))
    spread = np.broadcast_to(q.spread(x.shape).scale, x.shape)
    np.testing.assert_array_equal(spread.reshape(-1), q.scale.reshape(-1)[groups])
    np.testing.assert_array_equal(trace_elements(x.reshape(-1), groups, q).dequantized, fake_quantize(x, q).reshape(-1))
