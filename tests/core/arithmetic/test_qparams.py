"""How does a value become a code, and a code a value again?"""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qviz.core import (
    CONVENTIONS,
    FloatFormat,
    IntFormat,
    Manual,
    MinMax,
    PerAxis,
    PerBlock,
    Percentile,
    PerTensor,
    Problem,
    Scheme,
    Tensor,
    analyze,
    choose_qparams,
    dequantize,
    fake_quantize,
    quantize,
)
from qviz.core.arithmetic.element_trace import trace_elements
from qviz.core.arithmetic.qparams import SMALLEST_SCALE, QParams
from qviz.core.arithmetic.scaling import qparams_from_range
from qviz.core.runtimes import table
from qviz.core.work import Cancelled
from tests.every import every
from tests.golden.record_onnxruntime import hard_tensors

F = np.float32
EPS = float(np.finfo(F).eps)
INT8, UINT8 = IntFormat(8, True), IntFormat(8, False)

ARTICLE = np.array(
    [
        -0.47069794,
        0.8608386,
        -0.947035,
        -1.0697421,
        0.10035864,
        0.0013437,
        0.6782814,
        0.7141242,
        -0.09668107,
        0.4391506,
    ],
    F,
)
ARTICLE_SCHEME = Scheme(UINT8, symmetric=False, convention="textbook")

schemes = st.builds(
    Scheme,
    number_format=st.builds(IntFormat, st.integers(2, 16), st.booleans()),
    symmetric=st.booleans(),
    granularity=st.one_of(st.just(PerTensor()), st.builds(PerAxis, st.integers(-2, 1))),
    range_rule=st.one_of(
        st.just(MinMax()),
        st.builds(Percentile, st.floats(60, 100)),
        st.builds(Manual, st.floats(-4, -0.01), st.floats(0.01, 4)),
    ),
    convention=st.sampled_from(["textbook", "onnxruntime"]),
)
tensors = hnp.arrays(
    F,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=8),
    elements=st.floats(-1e3, 1e3, width=32),
)


def exactly(x, q: QParams):
    """Scale and zero point shaped against ``x``, in float64."""
    return tuple(a.astype(np.float64) for a in q.grouped(x.shape))


# --- by hand ---------------------------------------------------------------------------------------


def test_the_ten_values_of_the_article():
    q = choose_qparams(ARTICLE, ARTICLE_SCHEME)
    assert float(q.scale) == pytest.approx(0.0075709, abs=5e-8)
    assert float(q.zero_point) == pytest.approx(141.296, abs=5e-4)
    codes = quantize(ARTICLE, q)
    assert codes.tolist() == [79, 255, 16, 0, 155, 141, 231, 236, 129, 199]
    error = dequantize(codes, q).astype(np.float64) - ARTICLE
    assert float(np.mean(error**2)) == pytest.approx(5.4746e-06, abs=5e-11)


@every(
    ("scheme", "x", "scale", "zero_point", "codes", "x_hat"),
    [
        pytest.param(
            Scheme(INT8), [-254, -3, -1, 0, 1, 3, 254], 2, 0, [-127, -2, 0, 0, 0, 2, 127],
            [-254, -4, 0, 0, 0, 4, 254], id="symmetric: ties half to even",
        ),
        pytest.param(
            Scheme(INT8, range_rule=Manual(-127, 127)), [-127.5, -128.6, -1e9, 127.5, 1e9], 1, 0,
            [-128, -128, -128, 127, 127], [-128, -128, -128, 127, 127], id="clipped to the full type",
        ),
        pytest.param(
            Scheme(UINT8, False), [-55, 0, 0.5, 1.5, 200], 1, 55, [0, 55, 55, 57, 255],
            [-55, 0, 0, 2, 200], id="asymmetric: zero point added after rounding",
        ),
        pytest.param(
            Scheme(UINT8, True, range_rule=Manual(-127.5, 127.5)), [-127.5, 0, 1, 127.5], 1, 128,
            [0, 128, 129, 255], [-128, 0, 1, 127], id="symmetric unsigned",
        ),
        pytest.param(
            Scheme(IntFormat(4), True), [-7.5, -0.5, 0.5, 1.5, 7.5], 1, 0, [-8, 0, 0, 2, 7],
            [-8, 0, 0, 2, 7], id="symmetric int4 reaches over all 16 codes",
        ),
        pytest.param(
            Scheme(IntFormat(2, False), False, convention="textbook"), [10, 11.6, 13, 16], 2, -5,
            [0, 1, 2, 3], [10, 12, 14, 16], id="textbook: ties (13/2 − 5 = 1.5) half to even",
        ),
        pytest.param(
            Scheme(UINT8, True, convention="textbook"), [-127, 0, 0.5, 1.5, 127], 1, 128,
            [1, 128, 128, 130, 255], [-127, 0, 0, 2, 127], id="textbook symmetric unsigned",
        ),
        pytest.param(
            Scheme(UINT8, False, PerAxis(0)), [[0, 1, 255], [-2.55, 0, 0]], [1, 0.01], [0, 255],
            [[0, 1, 255], [0, 255, 255]], [[0, 1, 255], [-2.55, 0, 0]], id="a scale for each row",
        ),
        pytest.param(
            Scheme(INT8, True, PerAxis(1)), [[127, 0], [-127, 254]], [1, 2], [0, 0],
            [[127, 0], [-127, 127]], [[127, 0], [-127, 254]], id="a scale for each column",
        ),
    ],
)  # fmt: skip
def test_a_table_computed_by_hand(scheme, x, scale, zero_point, codes, x_hat):
    x = np.array(x, F)
    q = choose_qparams(x, scheme)
    np.testing.assert_array_equal(q.scale, np.array(scale, F))
    np.testing.assert_array_equal(q.zero_point, np.array(zero_point, F))
    np.testing.assert_array_equal(quantize(x, q), codes)
    np.testing.assert_array_equal(dequantize(codes, q), np.array(x_hat, F))
    np.testing.assert_array_equal(fake_quantize(x, q), np.array(x_hat, F))


# --- properties ------------------------------------------------------------------------------------


@settings(deadline=None)
@given(x=tensors, scheme=schemes)
def test_within_the_clip_range_the_error_is_at_most_half_a_step(x, scheme):
    q = choose_qparams(x, scheme)
    scale, zero_point = exactly(x, q)
    low, high = ((end - zero_point) * scale for end in (q.quant_min, q.quant_max))
    error = np.abs(fake_quantize(x, q).astype(np.float64) - x)
    rounding = 2 * EPS * (np.abs(x) + scale * (np.abs(zero_point) + scheme.number_format.levels))
    within = (x >= low) & (x <= high)
    assert np.all(error[within] <= (scale / 2 + rounding)[within])


@settings(deadline=None)
@given(x=tensors, scheme=schemes)
def test_beyond_the_clip_range_the_code_is_the_nearest_end(x, scheme):
    q = choose_qparams(x, scheme)
    scale, zero_point = exactly(x, q)
    slack = 1 + 4 * EPS * np.abs(zero_point)
    codes = quantize(x, q)
    assert np.all(codes[x < (q.quant_min - slack - zero_point) * scale] == q.quant_min)
    assert np.all(codes[x > (q.quant_max + slack - zero_point) * scale] == q.quant_max)


@settings(deadline=None)
@given(x=tensors, scheme=schemes)
def test_quantizing_again_changes_nothing(x, scheme):
    q = choose_qparams(x, scheme)
    # A real zero point beyond float32's whole numbers leaves no room for the code beside it.
    assume(np.abs(q.zero_point).max() < 2**20)
    once = fake_quantize(x, q)
    np.testing.assert_array_equal(quantize(once, q), quantize(x, q))
    np.testing.assert_array_equal(fake_quantize(once, q), once)


@settings(deadline=None)
@given(x=tensors, scheme=schemes)
def test_a_larger_value_never_gets_a_smaller_code(x, scheme):
    x = np.sort(x, axis=None)
    q = choose_qparams(x, replace(scheme, granularity=PerTensor()))
    assert np.all(np.diff(quantize(x, q).astype(int)) >= 0)
    assert np.all(np.diff(fake_quantize(x, q)) >= 0)


@settings(deadline=None)
@given(x=tensors, scheme=schemes)
def test_codes_dequantize_to_what_fake_quantize_says(x, scheme):
    q = choose_qparams(x, scheme)
    codes = quantize(x, q)
    assert codes.dtype == scheme.number_format.dtype
    assert codes.shape == x.shape
    assert codes.min() >= q.quant_min
    assert codes.max() <= q.quant_max
    x_hat = dequantize(codes, q)
    assert x_hat.dtype == F
    np.testing.assert_array_equal(x_hat, fake_quantize(x, q), strict=True)


@settings(deadline=None)
@given(x=tensors, scheme=schemes)
def test_the_walk_of_single_elements_ends_at_the_same_codes(x, scheme):
    q = choose_qparams(x, scheme)
    layout = scheme.granularity.layout(x.shape)
    steps = trace_elements(x.reshape(-1), Tensor(x).group_of(layout, np.arange(x.size)), q)
    np.testing.assert_array_equal(steps.code, quantize(x, q).reshape(-1), strict=True)
    np.testing.assert_array_equal(steps.dequantized, fake_quantize(x, q).reshape(-1), strict=True)
    np.testing.assert_array_equal(steps.error, steps.dequantized.astype(np.float64) - x.reshape(-1))
    assert steps.error.dtype == np.float64


@settings(deadline=None)
@given(x=tensors, scheme=schemes)
def test_a_group_is_quantized_as_if_it_were_alone(x, scheme):
    q = choose_qparams(x, scheme)
    if isinstance(scheme.granularity, PerTensor):
        assert q.groups == 1
        assert q.scale.shape == q.zero_point.shape == q.low.shape == q.high.shape == ()
        return
    axis = scheme.granularity.resolve(x.shape)
    assert q.groups == x.shape[axis]
    alone_scheme = replace(scheme, granularity=PerTensor())
    for k in range(q.groups):
        alone, group = choose_qparams(x.take(k, axis), alone_scheme), q.for_group(k)
        for name in ("scale", "zero_point", "low", "high"):
            np.testing.assert_array_equal(getattr(group, name), getattr(alone, name), strict=True)
        np.testing.assert_array_equal(quantize(x, q).take(k, axis), quantize(x.take(k, axis), alone), strict=True)


@every("signed", [True, False])
@every("symmetric", [True, False])
@every("convention", ["textbook", "onnxruntime"])
@every("bits", [2, 3, 4, 8, 16])
def test_every_code_comes_back_from_its_own_value(bits, convention, symmetric, signed):
    q = choose_qparams(ARTICLE, Scheme(IntFormat(bits, signed), symmetric, convention=convention))
    levels = q.levels()
    assert levels.shape == (1, 2**bits)
    codes = np.arange(q.quant_min, q.quant_max + 1)
    np.testing.assert_array_equal(levels[0], dequantize(codes, q), strict=True)
    np.testing.assert_array_equal(quantize(levels[0], q), codes)
    assert [float(end[0]) for end in q.clip_range()] == [levels[0, 0], levels[0, -1]]


def test_levels_and_clip_range_of_each_group():
    q = choose_qparams(np.array([[1, -1], [2, -2], [4, -4]]), Scheme(IntFormat(4), True, PerAxis(0)))
    assert q.levels().shape == (3, 16)
    for k in range(3):
        np.testing.assert_array_equal(q.levels()[k], q.for_group(k).levels()[0])
    low, high = q.clip_range()
    np.testing.assert_array_equal(low, q.levels()[:, 0])
    np.testing.assert_array_equal(high, q.levels()[:, -1])


# --- ranges ----------------------------------------------------------------------------------------


def test_the_range_is_kept_as_the_scale_was_made_for_it():
    x = np.array([1.0, 3.0], F)
    for scheme, low, high in [
        (Scheme(UINT8, False, convention="onnxruntime"), 0, 3),
        (Scheme(UINT8, False, convention="textbook"), 1, 3),
        (Scheme(UINT8, True), -3, 3),
        (Scheme(INT8, True, range_rule=Manual(-5, 2)), -5, 5),
    ]:
        q = choose_qparams(x, scheme)
        assert (q.low, q.high) == (low, high)
        assert q.low.dtype == q.high.dtype == F


@every("value", [0.0, -0.0, 5.0, -5.0, 0.3, 1e-45, -1e-40, 3e38, -3.4e38, 1e9 + 64])
@every("number_format", [INT8, UINT8, IntFormat(2), IntFormat(16, False)])
def test_textbook_keeps_a_constant_exactly(value, number_format):
    x = np.full(7, value, F)
    q = choose_qparams(x, Scheme(number_format, symmetric=False, convention="textbook"))
    assert q.scale == 1
    np.testing.assert_array_equal(fake_quantize(x, q), x)
    np.testing.assert_array_equal(dequantize(quantize(x, q), q), x)


def test_textbook_keeps_each_constant_channel_exactly():
    x = np.array([[3.5] * 4, [0.0] * 4, [-1e-40] * 4, [0, 1, 2, 3]], F)
    q = choose_qparams(x, Scheme(IntFormat(2, False), False, PerAxis(0), convention="textbook"))
    np.testing.assert_array_equal(fake_quantize(x, q), x)


@every("convention", ["textbook", "onnxruntime"])
@every("symmetric", [True, False])
@every("number_format", [INT8, UINT8, IntFormat(4), IntFormat(16, False)])
def test_zeros_have_scale_1_and_stay_zeros(number_format, symmetric, convention):
    q = choose_qparams(np.zeros(5), Scheme(number_format, symmetric, convention=convention))
    assert (q.scale, q.zero_point) == (1, 0)
    assert not np.signbit(q.zero_point)
    np.testing.assert_array_equal(quantize(np.zeros(5), q), np.zeros(5))
    np.testing.assert_array_equal(fake_quantize(np.zeros(5), q), np.zeros(5))


@every("convention", ["textbook", "onnxruntime"])
@every("symmetric", [True, False])
def test_a_scale_below_the_smallest_normal_float32_is_degenerate(symmetric, convention):
    scheme = Scheme(UINT8, symmetric, convention=convention)
    steps = 255 if convention == "onnxruntime" or not symmetric else 254
    for factor, degenerate in ((0.999, True), (1.001, False)):
        span = SMALLEST_SCALE * steps * factor
        low, high = (-span / 2, span / 2) if symmetric else (0.0, span)
        q = qparams_from_range(np.array(low), np.array(high), scheme)
        assert (q.scale == 1) == degenerate


def test_a_range_far_from_zero_costs_the_textbook_no_more_than_float32_itself():
    x = (1000 + np.random.default_rng(0).random(5000) * 0.01).astype(F)
    q = choose_qparams(x, ARTICLE_SCHEME)
    assert abs(float(q.zero_point)) > 2**24
    error = np.abs(fake_quantize(x, q).astype(np.float64) - x)
    assert error.max() <= float(q.scale) / 2 + 4 * EPS * 1000


@every("name", list(hard_tensors()))
@every("convention", ["textbook", "onnxruntime"])
def test_scales_are_positive_and_finite_whatever_comes(name, convention):
    x = hard_tensors()[name]
    for bits in (2, 8, 16):
        for signed in (True, False):
            for symmetric in (True, False):
                for granularity in (PerTensor(), PerAxis(0)):
                    scheme = Scheme(IntFormat(bits, signed), symmetric, granularity, convention=convention)
                    q = choose_qparams(x, scheme)
                    assert np.all((q.scale >= SMALLEST_SCALE) & np.isfinite(q.scale))
                    assert np.all(np.isfinite(q.zero_point))


@settings(deadline=None)
@given(x=tensors, scheme=schemes)
def test_a_runtimes_zero_point_is_a_code(x, scheme):
    q = choose_qparams(x, replace(scheme, convention="onnxruntime"))
    assert q.whole_zero_point
    assert np.all((q.quant_min <= q.zero_point) & (q.zero_point <= q.quant_max))


@every(
    ("x", "whole"),
    [
        ([-128, 127], True),  # Z = 128
        ([-127.5, 127.5], False),  # Z = 127.5
        ([10, 265], False),  # Z = −10: whole, and yet no code of uint8
        ([-256, -1], False),  # Z = 256
        ([1000, 1000], False),
    ],
)
def test_a_textbook_zero_point_is_whole_only_when_it_is_a_code(x, whole):
    q = choose_qparams(x, ARTICLE_SCHEME)
    assert q.whole_zero_point is whole


# --- what comes in ---------------------------------------------------------------------------------


@every("convention", ["textbook", "onnxruntime"])
@every("number_format", [INT8, UINT8])
def test_infinities_saturate_and_nan_takes_the_code_of_zero(number_format, convention):
    x = np.array([-np.inf, -1, np.nan, 1, np.inf], F)
    q = choose_qparams(x, Scheme(number_format, False, convention=convention))
    codes = quantize(x, q)
    assert codes[0] == number_format.quant_min
    assert codes[4] == number_format.quant_max
    assert codes[2] == (np.rint(q.zero_point) if convention == "textbook" else number_format.quant_min)
    assert codes[2] == trace_elements(x, np.zeros(5, int), q).code[2]
    x_hat = fake_quantize(x, q)
    np.testing.assert_array_equal(np.isnan(x_hat), np.isnan(x))
    np.testing.assert_array_equal(x_hat[[0, 4]], q.levels()[0, [0, -1]])


def test_nan_takes_the_nearest_code_where_zero_has_none():
    x = np.array([10, np.nan, 265], F)
    q = choose_qparams(x, ARTICLE_SCHEME)  # Z = −10
    assert quantize(x, q).tolist() == [0, 0, 255]


def test_nan_per_axis_takes_the_zero_point_of_its_own_channel():
    x = np.array([[-255, np.nan, 0], [0, np.nan, 255]], F)
    q = choose_qparams(x, Scheme(UINT8, False, PerAxis(0), convention="textbook"))
    assert quantize(x, q).tolist() == [[0, 255, 255], [0, 0, 255]]


@every(
    ("convention", "number_format", "code"),
    [
        ("onnxruntime", INT8, -128),  # QuantizeLinear
        ("onnxruntime", UINT8, 0),
        ("pytorch", INT8, 0),
        ("torchao", UINT8, 0),
        ("torchao", FloatFormat("e4m3fn"), 0x7F),
        ("torchao", FloatFormat("e5m2"), 0x7F),
        ("onnxruntime", FloatFormat("e4m3fnuz"), 0x80),
    ],
)
def test_nan_gets_the_code_that_the_runtime_gives_it(convention, number_format, code):
    x = np.array([1, np.nan, -2], F)
    for values in (x, Tensor(x)):
        symmetric = not number_format.offers_zero_point
        q = choose_qparams(values, Scheme(number_format, symmetric, convention=convention))
        codes = quantize(values, q)
        assert codes[1] == code
        assert np.isnan(dequantize(codes, q)[1]) == (not number_format.offers_zero_point)


@every("dtype", ["f2", "f4", "f8", "i1", "i4", "u1", "u8", ">f4", ">f8", ">i2"])
def test_other_types_are_quantized_as_their_float32_values(dtype):
    values = np.array([[0, 1, 2], [50, 100, 127]])
    x = values.astype(dtype)
    for scheme in (Scheme(), Scheme(UINT8, False, PerAxis(1), convention="textbook")):
        q = choose_qparams(x, scheme)
        expected = choose_qparams(values.astype(F), scheme)
        np.testing.assert_array_equal(q.scale, expected.scale, strict=True)
        np.testing.assert_array_equal(quantize(x, q), quantize(values.astype(F), q), strict=True)
        assert fake_quantize(x, q).dtype == F


def test_lists_scalars_booleans_and_strided_arrays_are_fine():
    q = choose_qparams([[1.0, -2.0], [3.0, 4.0]], Scheme())
    assert quantize([[4.0, -4.0]], q).tolist() == [[127, -127]]
    assert quantize([True, False], choose_qparams([True, False], Scheme())).tolist() == [127, 0]
    scalar = quantize(5.0, choose_qparams(5.0, Scheme()))
    assert isinstance(scalar, np.ndarray)
    assert (scalar.shape, scalar.item()) == ((), 127)
    assert fake_quantize(5.0, choose_qparams(5.0, Scheme())) == F(5)
    x = np.arange(24, dtype=F).reshape(4, 6)
    for strided in (x.T, x[::2, ::-1], np.asfortranarray(x)):
        q = choose_qparams(strided, Scheme(UINT8, False, PerAxis(0)))
        np.testing.assert_array_equal(quantize(strided, q), quantize(strided.copy(), q))


def test_float64_beyond_float32_saturates():
    q = choose_qparams([-1.0, 1.0], Scheme())
    assert quantize(np.array([-1e300, 1e300]), q).tolist() == [-128, 127]


def test_the_input_is_left_as_it_is():
    x = np.array([1.0, np.nan, -5.0, np.inf], F)
    before = x.copy()
    q = choose_qparams(x, Scheme())
    quantize(x, q)
    fake_quantize(x, q)
    np.testing.assert_array_equal(x, before)


def test_parameters_are_float32_arrays():
    for granularity, shape in ((PerTensor(), ()), (PerAxis(1), (3,))):
        for symmetric in (True, False):
            q = choose_qparams(np.ones((2, 3)), Scheme(UINT8, symmetric, granularity))
            for a in (q.scale, q.zero_point, q.low, q.high):
                assert isinstance(a, np.ndarray)
                assert (a.dtype, a.shape) == (F, shape)


def test_an_axis_that_does_not_exist_is_a_problem():
    with pytest.raises(Problem, match="no axis 2"):
        choose_qparams(np.ones((2, 3)), Scheme(granularity=PerAxis(2)))


def test_a_cancelled_choice_stops():
    with pytest.raises(Cancelled):
        choose_qparams(Tensor(np.ones((2, 3))), Scheme(granularity=PerAxis(0)), cancelled=lambda: True)


def test_the_columns_of_the_walk():
    q = choose_qparams([0.0, 255.0], Scheme(UINT8, False))
    after = trace_elements(np.array([1.5, 300], F), np.array([0, 0]), q)
    assert after.divided.tolist() == [1.5, 300]
    assert after.rounded.tolist() == [2, 300]
    assert after.shifted.tolist() == [2, 300]
    assert after.clipped.tolist() == after.code.tolist() == [2, 255]
    assert after.error.tolist() == [0.5, -45]
    q = choose_qparams([-127.5, 127.5], ARTICLE_SCHEME)
    before = trace_elements(np.array([1.25], F), np.array([0]), q)
    assert before.divided.tolist() == [1.25]
    assert before.shifted.tolist() == [128.75]
    assert before.rounded.tolist() == before.clipped.tolist() == before.code.tolist() == [129]
    assert before.dequantized.tolist() == [1.5]
    assert (before.scale.tolist(), before.zero_point.tolist()) == ([1], [127.5])


@every("granularity", [PerTensor(), PerAxis(0), PerAxis(-1)], ids=str)
def test_a_tensor_is_taken_as_its_values(granularity):
    x = np.random.default_rng(4).normal(0, 1, (3, 4))
    q = choose_qparams(x, Scheme(UINT8, False, granularity))
    for work in (quantize, fake_quantize):
        np.testing.assert_array_equal(work(Tensor(x), q), work(x, q), strict=True)


def test_a_tensor_knows_its_infinities_but_counts_them_out():
    x = np.array([127.5, -127.5, np.nan, np.inf, -1e300])
    tensor = Tensor(x)
    q = choose_qparams(tensor, Scheme(UINT8, convention="textbook"))
    assert quantize(tensor, q).tolist() == quantize(x, q).tolist() == [255, 1, 128, 255, 0]
    assert (tensor.finite, tensor.inf, tensor.overflowed) == (2, 1, 1)
    np.testing.assert_array_equal(tensor.values[2:], [np.nan] * 3)
    np.testing.assert_array_equal(tensor.original(1, 4), F([-127.5, np.nan, np.inf]))


@every("work", [quantize, fake_quantize, dequantize])
@every("shape", [(3, 4), (5, 4), (1, 4), (0, 4)], ids=str)
def test_parameters_of_another_shape_are_a_problem(work, shape):
    q = choose_qparams(np.ones((4, 3)), Scheme(granularity=PerAxis(0)))
    with pytest.raises(Problem) as caught:
        work(np.ones(shape), q)
    assert str(caught.value) == (
        f"A tensor of shape {shape} needs {shape[0]} scales under this scheme, but there are 4: "
        "choose the parameters for this shape."
    )


@every("work", [quantize, fake_quantize, dequantize])
def test_a_shape_without_the_axis_is_a_problem(work):
    q = choose_qparams(np.ones((4, 3)), Scheme(granularity=PerAxis(1)))
    with pytest.raises(Problem, match="no axis 1"):
        work(np.ones(3), q)


@every("shape", [(4,), (4, 7), (4, 1, 2), (4, 0)], ids=str)
def test_parameters_fit_every_shape_with_as_many_channels(shape):
    q = choose_qparams(np.arange(1.0, 5.0)[:, None] * np.ones((4, 3)), Scheme(granularity=PerAxis(0)))
    values = np.broadcast_to(np.arange(1.0, 5.0).reshape(-1, *[1] * (len(shape) - 1)), shape)
    codes = quantize(values, q)
    assert codes.shape == shape
    assert np.all(codes == 127)


def test_the_walk_through_a_block_of_zeros_divides_by_nothing():
    scheme = Scheme(IntFormat(4, False), True, PerBlock(-1, 32), convention="gguf")
    steps = trace_elements(np.zeros(2, F), np.array([0, 0]), choose_qparams(np.zeros(32, F), scheme))
    assert steps.divided.tolist() == steps.dequantized.tolist() == [0, 0]
    assert steps.code.tolist() == [8, 8]


# --- asked once ------------------------------------------------------------------------------------


class CountedTable(dict):
    """A table that counts how often a row is looked up."""

    lookups = 0

    def __getitem__(self, name):
        self.lookups += 1
        return super().__getitem__(name)


@pytest.fixture
def counted(monkeypatch):
    counted = CountedTable(CONVENTIONS)
    monkeypatch.setattr(table, "CONVENTIONS", counted)
    return counted


@pytest.mark.parametrize("convention", ["onnxruntime", "pytorch", "paddle"])
def test_the_parameters_ask_for_their_convention_once(counted, convention):
    q = choose_qparams(np.linspace(-1, 1, 9), Scheme(convention=convention))
    counted.lookups = 0
    first = (q.convention, q.multiplies, q.factor, q.divisor, q.codes)
    again = (q.convention, q.multiplies, q.factor, q.divisor, q.codes)
    assert all(one is other for one, other in zip(first, again, strict=True))
    quantize(np.linspace(-1, 1, 9), q)
    assert counted.lookups == 1


@pytest.mark.parametrize("granularity", [PerTensor(), PerAxis(0), PerBlock(-1, 16)], ids=str)
@pytest.mark.parametrize("convention", ["onnxruntime", "pytorch", "paddle"])
def test_an_analysis_looks_the_record_up_four_times_at_most(counted, convention, granularity):
    # How far to search, whether ties are broken, scale and zero point, and the parameters themselves.
    scheme = Scheme(granularity=granularity, convention=convention)
    counted.lookups = 0
    analyze(np.random.default_rng(0).standard_normal((32, 64)).astype(F), scheme)
    assert counted.lookups <= 4


def test_what_was_remembered_is_not_that_of_changed_parameters():
    q = choose_qparams(np.linspace(-1, 1, 9), Scheme())
    assert (q.divisor, q.codes.size, q.whole_zero_point) == (q.scale, 256, True)
    changed = replace(q, scale=np.float32(2) * q.scale, quant_max=0, zero_point=np.float32(0.5))
    assert (changed.divisor, changed.codes.size, changed.whole_zero_point) == (2 * q.scale, 129, False)
    np.testing.assert_array_equal(quantize(np.float32([q.scale]), changed), [0])


def test_parameters_can_be_sent_to_another_process_after_they_were_used():
    q = choose_qparams(np.linspace(-1, 1, 9), Scheme(convention="textbook"))
    quantize(np.ones(3), q)
    again = pickle.loads(pickle.dumps(q))  # noqa: S301
    assert again.scheme == q.scheme
    assert again.convention is q.convention
    np.testing.assert_array_equal(again.scale, q.scale)
