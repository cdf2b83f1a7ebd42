"""Every format, granularity and range rule: the analysis is what quantizing and comparing gives."""

from __future__ import annotations

import threading
from functools import cache

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
    PerTile,
    PerToken,
    Problem,
    Scheme,
    Tensor,
    analyze,
    choose_qparams,
    dequantize,
    fake_quantize,
    measure,
    prepare,
    quantize,
)
from qviz.core.formats.codebooks import CODEBOOKS
from qviz.core.formats.floats import FLOATS
from qviz.core.passes import block_workers
from qviz.core.passes import direct_pass as direct
from qviz.core.questions.breakdown import breakdown
from qviz.core.ranges.entropy import Entropy
from qviz.core.ranges.rules import Percentile
from qviz.core.ranges.table import RANGE_RULES
from tests.every import every
from tests.pairs import pairs
from tests.schemes import OF_ANY_LENGTH

F = np.float32
rng = np.random.default_rng(11)

FORMATS = (
    IntFormat(8),
    IntFormat(4, False),
    *(FloatFormat(name) for name in FLOATS),
    *(Codebook(name) for name in CODEBOOKS),
)
FEW = (IntFormat(4), FloatFormat("e4m3fn"), FloatFormat("e2m1fn"), FloatFormat("bfloat16"), Codebook("nf4"))
GRANULARITIES = (
    PerTensor(),
    PerAxis(1),
    PerToken(),
    PerTile(2, 4),
    PerBlock(-1, 5),
    PerBlock(-1, 4),  # ragged
    PerBlock(1, 2),  # in the middle, ragged
    PerBlock(0, 2),  # the first axis
    PerBlock(-2, 3),
)
name_of = {"ids": lambda each: getattr(each, "name", None) or str(each)}


def groups_of(x, granularity):
    """The blocks themselves, in the order of their scales."""
    blocks = granularity.block_shape(x.shape)
    counts = [-(-n // b) for n, b in zip(x.shape, blocks, strict=True)]
    for place in np.ndindex(*counts):
        yield tuple(slice(i * b, (i + 1) * b) for i, b in zip(place, blocks, strict=True))


def assert_it_is_what_comparing_gives(x, scheme):
    """The analysis against fake quantization of the whole array."""
    analysis = analyze(x, scheme)
    q = analysis.qparams
    x = np.asarray(x, F)
    finite = np.isfinite(x)
    codes, x_hat = quantize(x, q), fake_quantize(x, q)
    np.testing.assert_array_equal(dequantize(codes, q)[finite], x_hat[finite])
    error = x_hat.astype(np.float64) - x
    some = error[finite]
    assert analysis.mse == pytest.approx(np.mean(some * some), rel=1e-9, abs=0)
    assert analysis.mae == pytest.approx(np.mean(np.abs(some)), rel=1e-9, abs=0)
    assert analysis.max_abs_error == np.abs(some).max()
    values = q.number_format.decode(codes)[finite] + 0
    counted = dict(zip(*np.unique(values, return_counts=True), strict=True))
    np.testing.assert_array_equal(analysis.occupancy, [counted.get(code, 0) for code in q.codes.tolist()])
    assert analysis.levels_used == np.unique(values).size
    histogram = analysis.error_histogram
    together = np.histogram(some, histogram.edges)[0]
    np.testing.assert_array_equal(histogram.rounding + histogram.clipping, together)
    assert together.sum() == some.size
    assert histogram.clipping.sum() == analysis.saturated
    np.testing.assert_array_equal(analysis.fake_quantize(0, x.size), x_hat.reshape(-1))
    if analysis.groups is not None:
        each = [error[cut][finite[cut]] for cut in groups_of(x, scheme.granularity)]
        np.testing.assert_array_equal(analysis.groups.finite, [e.size for e in each])
        np.testing.assert_array_equal(analysis.groups.max_abs_error, [np.abs(e).max(initial=0) for e in each])
        mse = [np.mean(e * e) if e.size else 0 for e in each]
        np.testing.assert_allclose(analysis.groups.mse, mse, rtol=1e-9)
    figures = measure(x, scheme)
    assert figures.mse == pytest.approx(analysis.mse, rel=1e-12, abs=0)
    assert (figures.saturated, figures.max_abs_error) == (analysis.saturated, analysis.max_abs_error)
    return analysis


X = rng.standard_normal((3, 5, 10)).astype(F)


@every("granularity", GRANULARITIES, ids=str)
@every("number_format", FORMATS, **name_of)
def test_every_format_under_every_granularity(number_format, granularity):
    assert_it_is_what_comparing_gives(X, Scheme(number_format, True, granularity, convention="textbook"))


@every("granularity", GRANULARITIES, ids=str)
@every("signed", [True, False])
def test_zero_points_of_every_granularity(signed, granularity):
    for convention in ("textbook", "onnxruntime", "pytorch"):
        scheme = Scheme(IntFormat(4, signed), False, granularity, convention=convention)
        assert_it_is_what_comparing_gives(X + 1, scheme)


@every(
    ("number_format", "kind", "granularity"),
    pairs(FEW, tuple(RANGE_RULES), (PerTensor(), PerBlock(-1, 4), PerToken())),
    **name_of,
)
def test_every_range_rule_with_every_kind_of_format(number_format, kind, granularity):
    """Each rule with each format and with each granularity, each format with each granularity."""
    rule = Manual(-0.5, 0.75) if kind == "manual" else RANGE_RULES[kind]()
    assert_it_is_what_comparing_gives(X[:1, :2, :6], Scheme(number_format, True, granularity, rule, "textbook"))


@every("granularity", GRANULARITIES, ids=str)
@every("kind", [kind for kind in RANGE_RULES if kind != "mse"])  # of which the candidates differ
def test_every_block_is_treated_as_a_tensor_of_its_own(kind, granularity):
    others = {"manual": Manual(-0.5, 0.75), "entropy": Entropy(257, 32)}  # the other would take a second a scheme
    rule = others.get(kind) or RANGE_RULES[kind]()
    x = X[:2, :3, :6]
    whole = choose_qparams(x, Scheme(range_rule=rule, granularity=granularity))
    alone = [choose_qparams(x[cut].reshape(-1), Scheme(range_rule=rule)).scale for cut in groups_of(x, granularity)]
    if kind != "paddle_avg":  # which averages over the samples of a batch
        np.testing.assert_array_equal(whole.scale.reshape(-1), alone)
    assert whole.scale.shape == granularity.scale_shape(x.shape)


# --- what is hard ----------------------------------------------------------------------------------

NORMAL = rng.standard_normal((6, 64)).astype(F)
HARD = {
    "zeros": np.zeros((3, 64), F),
    "negative zeros": -np.zeros((3, 64), F),
    "one value": np.full((3, 64), 0.3, F),
    "one negative value": np.full((3, 64), -7.25, F),
    "far from zero": np.abs(NORMAL) + 1000,
    "denormal": NORMAL * F(1e-40),
    "the smallest": np.full((2, 64), 1e-45, F),
    "around the smallest normal": NORMAL * F(1e-37),
    "huge": np.clip(NORMAL, -3, 3) * F(1e38),
    "the largest": np.where(NORMAL > 0, np.finfo(F).max, -np.finfo(F).max).astype(F),
    "one outlier": np.where(np.arange(64) == 5, F(3e38), NORMAL).astype(F),
    "every power of two": np.exp2(rng.integers(-140, 120, (30, 1))).astype(F) * np.sign(NORMAL[:1]),
    "NaN": np.where(rng.random((6, 64)) < 0.2, np.nan, NORMAL).astype(F),
    "infinities": np.where(rng.random((6, 64)) < 0.2, np.inf, NORMAL).astype(F),
    "blocks of NaN": np.concatenate((NORMAL, np.full((2, 64), np.nan, F))),
    "a single 1": np.eye(1, 32, dtype=F),
}
ANYWHERE = (PerTensor(), PerToken(), PerBlock(-1, 16), PerBlock(0, 2), PerBlock(-1, 32), PerTile(3, 16))
HARD_FORMATS = (*FORMATS, IntFormat(5, False), IntFormat(2), IntFormat(8, False), IntFormat(16, False))


SENTENCES = ("longer than axis", "has full blocks alone", "quantizer refuses NaN", "the largest float32")
"""What blocks that cannot be are told with, and what llama.cpp does not quantize."""


@cache
def hard_schemes(convention):
    """For each hard tensor: every format, every granularity, both symmetries; any two of these in some tensor."""
    offered = cache(CONVENTIONS[convention].offers)
    rows = pairs(tuple(HARD), HARD_FORMATS, (True, False), ANYWHERE, where=lambda name, *those: offered(*those))
    found = {name: [] for name in HARD}
    for name, *those in rows:
        found[name].append(Scheme(*those, convention=convention))
    return found


@every("name", HARD)
@every("convention", OF_ANY_LENGTH)
def test_whatever_a_tensor_holds_there_is_an_answer_or_one_sentence(convention, name):
    x, answers = HARD[name], 0
    finite = np.isfinite(x)
    for scheme in hard_schemes(convention)[name]:
        try:
            analysis = analyze(x, scheme)
        except Problem as problem:
            said = str(problem)
            assert any(each in said for each in SENTENCES), said
            assert said.count(". ") == 0
            continue
        answers += 1
        q = analysis.qparams
        codes, x_hat = quantize(x, q), fake_quantize(x, q)
        np.testing.assert_array_equal(dequantize(codes, q)[finite], x_hat[finite])
        error = np.abs(x_hat[finite].astype(np.float64) - x[finite])
        np.testing.assert_array_equal(analysis.max_abs_error, error.max(), str(scheme))
        # Only what a broken scale makes of values, or nobody clips, is NaN, and then it is said.
        lost = q.breaks or (not q.saturates and analysis.saturated > 0)
        assert np.isnan(analysis.mse) == np.isnan(error).any()
        assert lost or not np.isnan(error).any()
        assert (breakdown(analysis) is not None) == lost
        assert analysis.occupancy.sum() == np.count_nonzero(np.isfinite(q.number_format.decode(codes)[finite]))
        analysis.to_dict()
    assert answers or convention in ("gguf", "iq4_nl", "ggml_mxfp4")


def test_gguf_scales_beyond_float16_are_infinite_and_that_is_said():
    x = HARD["the largest"]
    for number_format, symmetric in ((IntFormat(4, False), True), (IntFormat(4, False), False), (IntFormat(8), True)):
        analysis = analyze(x, Scheme(number_format, symmetric, PerBlock(-1, 32), convention="gguf"))
        assert np.isinf(analysis.qparams.scale).all()
        assert not np.isfinite(fake_quantize(x, analysis.qparams)).any()
        assert not np.isfinite(analysis.mse)
        assert "12 of 12 scales are infinite (the first is number 0)" in str(breakdown(analysis))


@pytest.mark.parametrize(("number_format", "first", "last"), [(IntFormat(8), -127, 127), (IntFormat(4, False), 15, 0)])
def test_infinities_get_the_end_codes_of_gguf(number_format, first, last):
    x = np.linspace(-1, 0.9, 32, dtype=F)
    q = choose_qparams(x, Scheme(number_format, True, PerBlock(-1, 32), convention="gguf"))
    there = np.concatenate(([-np.inf, np.inf], x[2:])).astype(F)
    assert sorted(quantize(there, q)[:2].tolist()) == sorted([first, last])


@pytest.mark.parametrize("symmetric", [True, False])
def test_gguf_blocks_of_denormal_numbers_are_zeros_with_finite_codes(symmetric):
    x = HARD["denormal"]
    for bits in (4, 5):
        analysis = analyze(x, Scheme(IntFormat(bits, False), symmetric, PerBlock(-1, 32), convention="gguf"))
        assert analysis.mse == pytest.approx(np.mean(x.astype(np.float64) ** 2))
        assert not fake_quantize(x, analysis.qparams).any()


# --- the same answer in another way ----------------------------------------------------------------

LARGE = (rng.standard_t(4, 70_000) * 3).astype(F)


@cache
def in_order():
    return prepare(Tensor(LARGE))


@pytest.mark.parametrize("number_format", [f for f in FORMATS if f.levels < 1 << 10], **name_of)
@pytest.mark.parametrize("rule", [None, Percentile(98.0)])
def test_sorted_or_not_the_answer_is_the_same(number_format, rule):
    scheme = Scheme(number_format, range_rule=rule or RANGE_RULES["minmax"](), convention="textbook")
    plain, ordered = analyze(LARGE, scheme), analyze(in_order(), scheme)
    assert ordered.mse == pytest.approx(plain.mse, rel=1e-9)
    assert ordered.cosine == pytest.approx(plain.cosine, rel=1e-9)
    assert (ordered.saturated, ordered.max_abs_error) == (plain.saturated, plain.max_abs_error)
    np.testing.assert_array_equal(ordered.occupancy, plain.occupancy)
    for part in ("rounding", "clipping"):
        np.testing.assert_array_equal(
            getattr(ordered.error_histogram, part), getattr(plain.error_histogram, part), err_msg=part
        )


@pytest.mark.parametrize("number_format", [FloatFormat("bfloat16"), FloatFormat("float16")], **name_of)
def test_floats_of_16_bits_are_the_same_sorted_or_not(number_format):
    scheme = Scheme(number_format, convention="textbook")
    plain, ordered = analyze(LARGE, scheme), analyze(in_order(), scheme)
    assert ordered.mse == pytest.approx(plain.mse, rel=1e-6)
    np.testing.assert_array_equal(ordered.occupancy, plain.occupancy)


@pytest.mark.parametrize("number_format", FEW[1:], **name_of)
def test_the_searched_range_of_a_float_loses_no_more_than_any_other(number_format):
    def mse(kind):
        return analyze(LARGE, Scheme(number_format, range_rule=RANGE_RULES[kind](), convention="textbook")).mse

    assert mse("mse") <= min(mse("minmax"), mse("percentile"), mse("abs_max")) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("shape", "granularity"),
    [
        ((40, 1001), PerBlock(-1, 32)),
        ((3, 500, 27), PerBlock(1, 64)),
        ((1001, 40), PerBlock(0, 100)),
        ((40, 1000), PerToken()),
        ((40, 1000), PerTile(16, 128)),
        ((5, 7, 1024), PerBlock(-1, 32)),
    ],
)
@pytest.mark.parametrize("nan", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_many_blocks_in_threads(monkeypatch, shape, granularity, nan, threads):
    monkeypatch.setattr(block_workers, "BLOCK", 1 << 10)
    monkeypatch.setattr(direct, "THREADED", 1)
    monkeypatch.setattr(direct, "THREADS", threads)
    x = rng.standard_normal(shape).astype(F)
    if nan:
        x[rng.random(shape) < 0.1] = np.nan
    for number_format in (IntFormat(4), FloatFormat("e4m3fn"), Codebook("nf4")):
        analysis = assert_it_is_what_comparing_gives(x, Scheme(number_format, True, granularity, convention="textbook"))
        original, dequantized = analysis.views(0, x.size, 50)
        x_hat = fake_quantize(x, analysis.qparams).reshape(-1)
        starts = original.start[:-1]
        np.testing.assert_array_equal(dequantized.low, np.fmin.reduceat(x_hat, starts))
        np.testing.assert_array_equal(dequantized.high, np.fmax.reduceat(x_hat, starts))
    assert threading.active_count() < 20


@every("granularity", [PerBlock(-1, 4), PerBlock(1, 2), PerToken(), PerBlock(0, 2), PerTile(2, 3)], ids=str)
def test_a_block_alone_is_a_tensor_of_its_own(granularity):
    tensor = Tensor(X, "conv")
    for group, cut in enumerate(groups_of(X, granularity)):
        alone = tensor.channel(granularity, group)
        np.testing.assert_array_equal(alone.values, X[cut].reshape(-1))
        assert alone.shape == X[cut].shape
        assert alone.corner == tuple(part.start for part in cut)
    with pytest.raises(Problem, match="no channel"):
        tensor.channel(granularity, group + 1)


def test_the_finite_values_of_ragged_blocks_have_no_padding():
    x = X.copy()
    x[0, 0, 0], x[1, :, 3] = np.nan, np.inf
    tensor = Tensor(x)
    for granularity in (PerBlock(-1, 4), PerBlock(1, 2), PerToken()):
        found = dict(tensor.finite_groups(granularity.layout(x.shape)))
        for group, cut in enumerate(groups_of(x, granularity)):
            values = x[cut].reshape(-1)
            np.testing.assert_array_equal(np.sort(found[group]), np.sort(values[np.isfinite(values)]))
        low, high = tensor.extremes(granularity.layout(x.shape))
        np.testing.assert_array_equal(low, [min(found[g], default=0) for g in range(low.size)])
        np.testing.assert_array_equal(high, [max(found[g], default=0) for g in range(low.size)])
