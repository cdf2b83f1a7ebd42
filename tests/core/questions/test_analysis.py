"""What does this scheme do to this tensor? Every number against plain float64 NumPy."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qviz.core import (
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
    fake_quantize,
    quantize,
)
from qviz.core.passes.block_workers import BLOCK
from qviz.core.passes.error_bins import MAX_ERROR_BINS
from qviz.core.tensors.envelope import RAW
from qviz.core.work import Cancelled
from tests.core.arithmetic.test_qparams import ARTICLE, ARTICLE_SCHEME
from tests.core.tensors.test_envelope import brute_force
from tests.every import every
from tests.golden.record_onnxruntime import hard_tensors
from tests.pairs import pairs

F = np.float32
INT8, UINT8, INT4 = IntFormat(8, True), IntFormat(8, False), IntFormat(4, True)

SHAPES = [
    (7,),
    (4, 5, 6),
    (2, 3, BLOCK // 2 + 9),  # a group's run is longer than a block when the axis is 0
    (2, BLOCK + 5, 1),
    (2, 2, BLOCK + 3),  # a run is longer than a block: it is cut
    (900, 3, 50),  # several runs a block
]
SCHEMES = {
    "int8": Scheme(INT8),
    "uint8 percentile": Scheme(UINT8, False, range_rule=Percentile(95.0)),
    "int4 clipped": Scheme(INT4, True, range_rule=Manual(-0.5, 0.7)),
    "textbook": Scheme(UINT8, False, convention="textbook"),
    "textbook int3 clipped": Scheme(IntFormat(3), False, range_rule=Manual(-0.2, 1.1), convention="textbook"),
    "int16": Scheme(IntFormat(16, False), False),
}


def noisy(shape, nan=False, seed=0):
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal(shape) * rng.uniform(0.1, 3, (shape[0], *[1] * (len(shape) - 1)))).astype(F)
    if nan:
        x.reshape(-1)[rng.choice(x.size, max(1, x.size // 50), replace=False)] = np.nan
        x.reshape(-1)[x.size // 2] = -np.inf
    return x


class Reference:
    """The textbook recipe, everything at once, in float64."""

    def __init__(self, x, scheme):
        self.q = choose_qparams(x, scheme)
        finite = np.isfinite(x)
        self.x = np.where(finite, x, 0).astype(np.float64)
        self.x_hat = np.where(finite, fake_quantize(np.where(finite, x, 0), self.q), 0).astype(np.float64)
        self.error = self.x_hat - self.x
        self.finite = finite
        scale, zero_point = self.q.grouped(x.shape)
        safe = np.where(finite, x, 0).astype(F)
        with np.errstate(over="ignore"):
            if self.q.convention.zero_point_before_rounding:
                free = np.rint(safe / scale + zero_point)
            else:
                free = np.rint(safe / scale) + zero_point
        self.saturated = finite & ((free < self.q.quant_min) | (free > self.q.quant_max))
        self.codes = quantize(safe, self.q).astype(int)


def assert_equals_reference(a, x, scheme):
    r = Reference(x, scheme)
    n = r.finite.sum()
    close = {"rel": 1e-9, "abs": 1e-300}
    squared = (r.error**2).sum()
    assert a.mse == pytest.approx(squared / n, **close)
    assert a.mae == pytest.approx(np.abs(r.error).sum() / n, **close)
    assert a.max_abs_error == np.abs(r.error).max()
    clipped = (r.error[r.saturated] ** 2).sum()
    assert a.clipping_mse == pytest.approx(clipped / n, **close)
    assert a.rounding_mse == pytest.approx((r.error[~r.saturated] ** 2).sum() / n, rel=1e-9, abs=1e-12 * a.mse)
    signal = math.sqrt((r.x**2).sum())
    if squared and signal:
        assert a.sqnr_db == pytest.approx(20 * math.log10(signal / math.sqrt(squared)), rel=1e-9)
        assert a.relative_rmse == pytest.approx(math.sqrt(squared) / signal, rel=1e-9)
    norm = signal * math.sqrt((r.x_hat**2).sum())
    if norm:
        assert a.cosine == pytest.approx((r.x * r.x_hat).sum() / norm, rel=1e-9)
        assert a.cosine <= 1
    assert a.saturated == r.saturated.sum()
    assert a.saturated_share == a.saturated / n
    occupancy = np.bincount(r.codes[r.finite] - r.q.quant_min, minlength=scheme.number_format.levels)
    np.testing.assert_array_equal(a.occupancy, occupancy)
    assert a.levels_used == np.count_nonzero(occupancy)
    assert_histogram_equals_numpys(a.error_histogram, r)
    return r


def assert_histogram_equals_numpys(h, r):
    rounding = np.histogram(r.error[r.finite & ~r.saturated], h.edges)[0]
    clipping = np.histogram(r.error[r.saturated], h.edges)[0]
    np.testing.assert_array_equal(h.rounding, rounding)
    np.testing.assert_array_equal(h.clipping, clipping)
    assert h.rounding.sum() + h.clipping.sum() == r.finite.sum()
    assert 1 <= h.rounding.size <= MAX_ERROR_BINS
    assert np.all(np.diff(h.edges) > 0)
    assert h.half_step == float(r.q.scale.max()) / 2
    assert np.any(h.edges == 0)


# --- the numbers -----------------------------------------------------------------------------------


def test_the_ten_values_of_the_article():
    a = analyze(ARTICLE, ARTICLE_SCHEME)
    assert a.mse == pytest.approx(5.4746e-06, abs=5e-11)
    assert (a.saturated, a.levels_used, a.storage.code_bytes) == (0, 10, 10)
    assert np.flatnonzero(a.occupancy).tolist() == sorted([79, 255, 16, 0, 155, 141, 231, 236, 129, 199])
    assert a.exact
    assert a.seconds > 0
    assert a.groups is None


@pytest.mark.parametrize(("shape", "name", "nan"), pairs(SHAPES, tuple(SCHEMES), (False, True)), ids=str)
def test_metrics_occupancy_and_error_histogram(shape, name, nan):
    """Every shape under every scheme, each of them finite and not."""
    x, scheme = noisy(shape, nan), SCHEMES[name]
    assert_equals_reference(analyze(x, scheme), x, scheme)
    for axis in range(len(shape)):
        per_axis = replace(scheme, granularity=PerAxis(axis))
        assert_equals_reference(analyze(x, per_axis), x, per_axis)


@settings(max_examples=200, deadline=None)
@given(
    x=hnp.arrays(F, hnp.array_shapes(min_dims=2, max_dims=3, max_side=7), elements=st.floats(-1e6, 1e6, width=32)),
    scheme=st.builds(
        Scheme,
        st.builds(IntFormat, st.integers(2, 16), st.booleans()),
        st.booleans(),
        st.sampled_from([PerTensor(), PerAxis(0), PerAxis(1), PerAxis(-1)]),
        st.sampled_from([MinMax(), Percentile(80.0), Manual(-1, 2), Manual(-1e5, 1e-3)]),
        st.sampled_from(["textbook", "onnxruntime"]),
    ),
)
def test_any_tensor_under_any_scheme(x, scheme):
    assert_equals_reference(analyze(x, scheme), x, scheme)


@every("convention", ["textbook", "onnxruntime"])
@every("name", [n for n in hard_tensors() if n not in {"huge", "the largest floats"}])
def test_hard_tensors(name, convention):
    x = hard_tensors()[name]
    for number_format in (INT8, UINT8, INT4, IntFormat(2, False), IntFormat(16)):
        for symmetric in (True, False):
            for granularity in (PerTensor(), PerAxis(0)):
                scheme = Scheme(number_format, symmetric, granularity, convention=convention)
                assert_equals_reference(analyze(x, scheme), x, scheme)


@every("spread", [1e-4, 1e-2, 1, 100])
@every("bits", [4, 8, 12, 16])
@every("offset", [-1e6, 1e3, 7.0])
def test_a_narrow_range_far_from_zero(offset, bits, spread):
    # The textbook's real zero point is then so large that float32 rounds by more than half a step.
    x = (offset + np.random.default_rng(1).random(3000) * spread).astype(F)
    for signed in (True, False):
        scheme = Scheme(IntFormat(bits, signed), False, convention="textbook")
        assert_equals_reference(analyze(x, scheme), x, scheme)


def test_by_hand():
    # Scale 1, codes −8 … 7: 7.4 → 7, 0.25 → 0, −1 → −1; 10 is clipped to 7 and −9 to −8.
    x = np.array([7.4, 0.25, -1, 10, -9], F)
    a = analyze(x, Scheme(INT4, True, range_rule=Manual(-7.5, 7.5)))
    assert a.saturated == 2
    assert a.saturated_share == 0.4
    assert a.max_abs_error == 3
    error = np.array([float(F(7)) - float(F(7.4)), -0.25, 0, -3, 1])
    assert a.mse == pytest.approx((error**2).mean())
    assert a.clipping_mse == pytest.approx((9 + 1) / 5)
    assert a.rounding_mse == pytest.approx((error[:2] ** 2).sum() / 5)
    assert a.mae == pytest.approx(np.abs(error).mean())
    assert a.levels_used == 4
    h = a.error_histogram
    assert h.half_step == 0.5
    assert (h.rounding.sum(), h.clipping.sum()) == (3, 2)
    assert np.isclose(h.edges, 0.5).any()
    assert np.isclose(h.edges, -0.5).any()


def test_an_element_is_saturated_only_when_clipping_changed_its_code():
    x = np.array([127.4, 127.6, -128.4, -128.6], F)
    a = analyze(x, Scheme(INT8, True, range_rule=Manual(-127, 127)))
    assert a.saturated == 2
    assert a.clipping_mse == pytest.approx((0.6**2 + 0.6**2) / 4, rel=1e-4)


def test_the_error_histogram_has_fine_bins_where_there_is_room():
    h = analyze(noisy((20_000,)), Scheme(INT8)).error_histogram
    inner = np.isclose(h.edges, h.half_step) | np.isclose(h.edges, -h.half_step)
    assert inner.sum() == 2
    assert np.diff(h.edges) == pytest.approx(h.half_step / 24)
    h = analyze(noisy((100,)), Scheme(INT8)).error_histogram  # few elements would leave fine bins empty
    assert np.diff(h.edges) == pytest.approx(h.half_step / 4)


def test_the_error_histogram_reaches_as_far_as_clipping_does():
    x = np.append(noisy((5000,)), F(40)).astype(F)  # some 300 half steps beyond the range
    scheme = Scheme(INT4, True, range_rule=Manual(-1, 1))
    a = analyze(x, scheme)
    assert a.error_histogram.edges[0] < -39
    assert np.isclose(a.error_histogram.edges, a.error_histogram.half_step).any()
    x[-1] = 1e30
    h = analyze(x, scheme).error_histogram
    assert h.edges[0] <= -1e30
    assert h.rounding.sum() + h.clipping.sum() == x.size


# --- groups ----------------------------------------------------------------------------------------


@every("nan", [False, True], ids=["finite", "with NaN and inf"])
@every("scheme", SCHEMES.values(), ids=SCHEMES)
@every("axis", [0, 1, 2, -1])
def test_a_group_is_what_its_channel_amounts_to_alone(axis, scheme, nan):
    x = noisy((6, 5, 300), nan)
    groups = analyze(x, replace(scheme, granularity=PerAxis(axis))).groups
    count = x.shape[axis]
    for k in range(0, count, max(1, count // 12)):
        alone = analyze(x.take(k, axis), scheme)
        assert groups.finite[k] == alone.tensor.finite
        assert groups.mse[k] == pytest.approx(alone.mse, rel=1e-9)
        assert groups.max_abs_error[k] == alone.max_abs_error
        assert groups.sqnr_db[k] == pytest.approx(alone.sqnr_db, rel=1e-9)
        assert groups.saturated[k] == alone.saturated
    assert groups.worst == np.argmin(groups.sqnr_db)
    assert groups.mse.shape == (count,)


def test_the_whole_is_the_sum_of_its_groups():
    x = noisy((8, 40, 30), nan=True)
    a = analyze(x, Scheme(INT4, True, PerAxis(1), Percentile(90.0)))
    assert a.groups.saturated.sum() == a.saturated
    assert a.groups.finite.sum() == a.tensor.finite
    assert (a.groups.mse * a.groups.finite).sum() / a.tensor.finite == pytest.approx(a.mse)
    assert a.groups.max_abs_error.max() == a.max_abs_error


def test_the_worst_channel_has_the_lowest_sqnr():
    x = np.random.default_rng(0).standard_normal((6, 100)).astype(F)
    x[4] /= 50  # hardly a code of its own in a range that suits the others
    groups = analyze(x, Scheme(INT8, True, PerAxis(0), Manual(-4, 4))).groups
    assert groups.worst == 4
    assert groups.sqnr_db[4] == groups.sqnr_db.min()


def test_channels_that_are_constant_zero_or_without_finite_values():
    x = np.array([[1, -2, 3], [0, 0, 0], [np.nan, np.inf, np.nan], [5, 5, 5]], F)
    a = analyze(x, Scheme(INT8, True, PerAxis(0)))
    assert a.groups.finite.tolist() == [3, 3, 0, 3]
    assert a.groups.mse[1:3].tolist() == [0, 0]
    assert a.groups.sqnr_db[1:3].tolist() == [np.inf, np.inf]
    assert_equals_reference(a, x, Scheme(INT8, True, PerAxis(0)))


def test_an_axis_of_length_one_is_per_tensor():
    x = noisy((1, 500))
    a, b = analyze(x, Scheme(granularity=PerAxis(0))), analyze(x, Scheme())
    assert a.groups is None
    assert a.mse == b.mse
    assert a.qparams.scale.shape == (1,)
    assert a.views(0, 500, 3)[1].low.tolist() == b.views(0, 500, 3)[1].low.tolist()


# --- the ends of float32 ---------------------------------------------------------------------------


def test_zeros_have_no_error_and_no_direction():
    a = analyze(np.zeros(100), Scheme())
    assert (a.mse, a.mae, a.max_abs_error, a.saturated, a.levels_used) == (0, 0, 0, 0, 1)
    assert a.sqnr_db == math.inf
    assert math.isnan(a.cosine)
    assert math.isnan(a.relative_rmse)
    assert a.error_histogram.rounding.sum() == 100


@every("value", [5.0, -0.3, 1e-40, 3e38, -3.4e38])
def test_the_textbook_keeps_a_constant_without_error(value):
    a = analyze(np.full(50, value, F), ARTICLE_SCHEME)
    assert (a.mse, a.max_abs_error, a.saturated, a.levels_used) == (0, 0, 0, 1)
    assert a.sqnr_db == math.inf
    assert a.cosine == pytest.approx(1, abs=1e-15)
    assert a.error_histogram.rounding.sum() == 50
    assert json.loads(json.dumps(a.to_dict()))["zero_point"] == -F(value)


def test_zeros_that_all_become_something_else():
    a = analyze(np.zeros(10), Scheme(UINT8, False, range_rule=Manual(1, 2), convention="textbook"))
    assert a.max_abs_error == 1
    assert a.sqnr_db == -math.inf
    assert math.isnan(a.cosine)


def test_huge_values_whose_codes_stay_within_float32():
    x = hard_tensors()["huge"]
    for scheme in (Scheme(INT8), Scheme(UINT8, False), Scheme(INT8, True, PerAxis(0))):
        assert_equals_reference(analyze(x, scheme), x, scheme)


@every("granularity", [PerTensor(), PerAxis(0)])
@every("rule", [MinMax(), Manual(-3.4028234e38, 3e38)])
@every("convention", ["textbook", "onnxruntime"])
@every("symmetric", [True, False])
def test_values_whose_dequantized_leave_float32(symmetric, convention, rule, granularity):
    # 2.668e36 · (0 − 128) is beyond float32: the runtime's own answer is −inf.
    largest = np.finfo(F).max
    x = np.array([[-largest, largest, 1e38], [1.0, 0.0, np.nan]], F)
    scheme = Scheme(UINT8, symmetric, granularity, rule, convention)
    a = analyze(x, scheme)
    x_hat = fake_quantize(x, a.qparams)
    infinite = np.isinf(x_hat)
    h = a.error_histogram
    assert h.rounding.sum() + h.clipping.sum() == 5 - infinite.sum()
    assert np.all(np.isfinite(h.edges))
    assert a.occupancy.sum() == 5
    if infinite.any():
        assert a.mse == a.mae == a.max_abs_error == math.inf
        assert a.sqnr_db == -math.inf
        assert math.isnan(a.cosine)
        assert math.inf in {a.rounding_mse, a.clipping_mse}
        assert a.to_dict()["mse"] is None
    np.testing.assert_array_equal(a.fake_quantize(0, 6), x_hat.ravel())


def test_the_asymmetric_range_of_all_float32_leaves_it_by_rounding():
    # x / s = ±127.5 and Z = 128: −128 is a code, and s · −128 = −inf; 256 is clipped to 255.
    largest = np.finfo(F).max
    a = analyze(np.array([-largest, largest]), Scheme(UINT8, False))
    assert (a.mse, a.rounding_mse, a.saturated) == (math.inf, math.inf, 1)
    clipped = float(largest) - float(a.qparams.scale * F(127))
    assert a.clipping_mse == pytest.approx(clipped**2 / 2)


# --- what comes in ---------------------------------------------------------------------------------


def test_a_prepared_tensor_and_an_array_give_the_same_answer():
    x = noisy((40, 50), nan=True)
    a, b = analyze(x, Scheme(INT4)), analyze(Tensor(x), Scheme(INT4))
    assert a.to_dict() == b.to_dict()


def test_the_tensor_is_left_as_it_is():
    x = noisy((40, 50), nan=True)
    before = x.copy()
    for scheme in SCHEMES.values():
        a = analyze(x, scheme)
        a.views(0, 2000, 7)
        a.fake_quantize(0, 2000)
    np.testing.assert_array_equal(x, before)


@every(
    "convert",
    [
        lambda x: x.astype(np.float64),
        lambda x: x.astype(">f4"),
        np.asfortranarray,
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    ],
)
def test_the_same_values_in_another_guise(convert):
    x = noisy((30, 40, 5), nan=True)
    scheme = Scheme(UINT8, False, PerAxis(1))
    a, b = analyze(x, scheme).to_dict(), analyze(convert(x), scheme).to_dict()
    assert a | {"dtype": ""} == b | {"dtype": ""}


@every("dtype", [np.float16, np.int8, np.uint16, np.bool_])
def test_other_types_are_analyzed_as_float32(dtype):
    x = (np.random.default_rng(0).standard_normal((20, 30)) * 20).astype(np.int8).astype(dtype)
    scheme = Scheme(INT4, compute_dtype="float32")
    a, b = analyze(x, scheme), analyze(x.astype(F), scheme)
    assert a.to_dict() | {"dtype": ""} == b.to_dict() | {"dtype": ""}
    assert a.to_dict()["dtype"] == np.dtype(dtype).name


def test_a_single_number():
    a = analyze(3.0, Scheme())
    assert (a.tensor.shape, a.saturated, a.levels_used) == ((1,), 0, 1)
    assert analyze(3.0, Scheme(granularity=PerAxis(0))).qparams.scale.shape == (1,)


def test_a_problem_is_told():
    with pytest.raises(Problem, match="no elements"):
        analyze([], Scheme())
    with pytest.raises(Problem, match="no axis 3"):
        analyze(np.ones((2, 2)), Scheme(granularity=PerAxis(3)))


# --- drawing ---------------------------------------------------------------------------------------

VIEWED = noisy((12, 50, 40), nan=True, seed=3)
VIEWED[3, 10:40] = np.nan  # a stretch without anything to draw
VIEW_SCHEMES = [
    Scheme(INT4, True, granularity, rule, convention)
    for granularity in (PerTensor(), PerAxis(0), PerAxis(1), PerAxis(2))
    for rule in (MinMax(), Percentile(80.0))
    for convention in ("textbook", "onnxruntime")
]
ANALYSES = {}


@pytest.fixture(scope="module", params=[RAW, 0], ids=["short stretches raw", "all from the pyramid"])
def raw(request):
    """Small tensors are read as they are, unless told otherwise: both ways must agree."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qviz.core.tensors.envelope.RAW", request.param)
        patch.setattr("qviz.core.questions.analysis.RAW", request.param)
        yield


@pytest.mark.usefixtures("raw")
@settings(max_examples=400, deadline=None)
@given(
    scheme=st.sampled_from(VIEW_SCHEMES),
    start=st.integers(-100, 24_100),
    length=st.one_of(st.integers(0, 300), st.integers(0, 25_000)),
    buckets=st.one_of(st.integers(0, 10), st.integers(0, 2000)),
)
def test_views_equal_brute_force(scheme, start, length, buckets):
    if scheme not in ANALYSES:
        ANALYSES[scheme] = analyze(VIEWED, scheme)
    a = ANALYSES[scheme]
    original, dequantized = a.views(start, start + length, buckets)
    np.testing.assert_array_equal(original.start, dequantized.start)
    # What is not finite is not drawn, on either curve.
    x = np.where(np.isfinite(VIEWED), VIEWED, np.nan).astype(F)
    for values, view in ((x, original), (fake_quantize(x, a.qparams), dequantized)):
        low, high = brute_force(values.ravel(), view.start)
        np.testing.assert_array_equal(view.low, low, strict=True)
        np.testing.assert_array_equal(view.high, high, strict=True)


@pytest.mark.parametrize("granularity", [PerTensor(), PerAxis(0), PerAxis(1), PerAxis(2)])
def test_views_of_a_tensor_of_many_blocks(granularity):
    x = noisy((6, 5, RAW // 10), nan=True)
    a = analyze(x, Scheme(INT4, True, granularity, Percentile(90.0)))
    x = np.where(np.isfinite(x), x, np.nan).astype(F)
    x_hat = fake_quantize(x, a.qparams)
    for buckets in (1, 7, 800, 5000):
        for start, stop in ((0, x.size), (12_345, 222_222), (99, RAW + 100), (x.size - 5000, x.size)):
            original, dequantized = a.views(start, stop, buckets)
            np.testing.assert_array_equal(original.start, dequantized.start)
            for values, view in ((x, original), (x_hat, dequantized)):
                low, high = brute_force(values.ravel(), view.start)
                np.testing.assert_array_equal(view.low, low)
                np.testing.assert_array_equal(view.high, high)


@pytest.mark.parametrize("scheme", [Scheme(INT4), Scheme(UINT8, False, PerAxis(1), convention="textbook")])
def test_x_hat_of_a_stretch_and_of_single_values(scheme):
    x = noisy((6, 7, 8))
    a = analyze(x, scheme)
    x_hat = fake_quantize(x, a.qparams).ravel()
    np.testing.assert_array_equal(a.fake_quantize(50, 90), x_hat[50:90], strict=True)
    index = np.array([300, 0, 17])
    np.testing.assert_array_equal(a.dequantize_values(x.ravel()[index], index), x_hat[index], strict=True)


def test_the_transfer_curve_of_a_group():
    x = noisy((3, 50))
    a = analyze(x, Scheme(INT4, True, PerAxis(0)))
    ramp = np.linspace(-5, 5, 101)
    for k in range(3):
        expected = fake_quantize(ramp, a.qparams.for_group(k))
        np.testing.assert_array_equal(a.transfer(ramp, k), expected, strict=True)
    tensor = analyze(x, Scheme(INT4))
    np.testing.assert_array_equal(tensor.transfer(ramp), fake_quantize(ramp, tensor.qparams), strict=True)


# --- JSON ------------------------------------------------------------------------------------------


def test_json_has_the_promised_keys():
    x = np.array([[1, 2, np.nan], [3, np.inf, 1e300]])
    d = analyze(x, Scheme(UINT8, False)).to_dict()
    assert " ".join(d) == (
        "shape dtype elements nan inf scale zero_point quant_min quant_max mse mae max_abs_error sqnr_db "
        "cosine saturated levels_used bits_per_element float_bytes quantized_bytes"
    )
    assert json.loads(json.dumps(d, allow_nan=False)) == d
    assert (d["shape"], d["dtype"], d["elements"], d["nan"], d["inf"]) == ([2, 3], "float64", 6, 1, 2)
    assert d["scale"] == pytest.approx(3 / 255)
    assert (d["zero_point"], d["quant_min"], d["quant_max"]) == (0, 0, 255)
    assert (d["float_bytes"], d["quantized_bytes"]) == (24, 6 + 4)


def test_json_lists_scales_and_zero_points_of_groups():
    d = analyze([[0, 255.0], [-255.0, 0]], Scheme(UINT8, False, PerAxis(0))).to_dict()
    assert (d["scale"], d["zero_point"]) == ([1, 1], [0, 255])
    assert all(isinstance(z, int) for z in d["zero_point"])


def test_json_has_none_for_what_is_not_finite_and_real_zero_points():
    d = analyze(np.zeros(3), Scheme()).to_dict()
    assert (d["mse"], d["sqnr_db"], d["cosine"]) == (0, None, None)
    d = analyze(ARTICLE, ARTICLE_SCHEME).to_dict()
    assert d["zero_point"] == pytest.approx(141.296, abs=5e-4)
    json.dumps(d, allow_nan=False)


# --- stopping --------------------------------------------------------------------------------------


@pytest.mark.parametrize("granularity", [PerTensor(), PerAxis(0)])
def test_it_stops_between_blocks_when_cancelled(granularity):
    t = Tensor(noisy((3, BLOCK)))
    asked = []

    def after_a_block():
        asked.append(None)
        return len(asked) > 2

    with pytest.raises(Cancelled):
        analyze(t, Scheme(granularity=granularity), cancelled=after_a_block)
    assert len(asked) == 3
    assert analyze(t, Scheme(granularity=granularity)).tensor.finite == 3 * BLOCK


def test_it_stops_at_once_when_cancelled_before():
    for rule in (MinMax(), Percentile(99.0)):
        with pytest.raises(Cancelled):
            analyze(Tensor(np.ones((2, 3))), Scheme(granularity=PerAxis(0), range_rule=rule), cancelled=lambda: True)


def test_a_piece_that_is_shorter_than_its_block_is_analyzed_under_the_scale_it_has():
    x = noisy((2, 80)).astype(F)
    scheme = Scheme(IntFormat(4, False), True, PerBlock(-1, 32), convention="textbook")
    whole = analyze(x, scheme)
    alone = analyze(x[1, 64:], scheme, qparams=whole.qparams.for_group(5), layout=PerTensor().layout((16,)))
    assert alone.groups is None
    assert alone.mse == pytest.approx(whole.groups.mse[5], rel=1e-12)
    assert alone.max_abs_error == whole.groups.max_abs_error[5]
    assert np.array_equal(alone.fake_quantize(0, 16), whole.fake_quantize(144, 160))


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_errors_of_a_format_without_scales_are_binned_by_the_steps_that_the_data_reach(name):
    x = noisy((3000,)) / F(4)
    x[7] = 5.5
    number_format = FloatFormat(name)
    histogram = analyze(x, Scheme(number_format, convention="textbook")).error_histogram
    values = number_format.values
    widest = np.diff(values[(values >= 4) & (values <= 8)]).max()
    assert histogram.half_step == widest / 2
    assert histogram.rounding.sum() == x.size
    assert np.count_nonzero(histogram.rounding) > 2
    far = analyze(np.array([1, np.finfo(F).max], F), Scheme(number_format, convention="textbook"))
    assert far.error_histogram.half_step == number_format.largest_step / 2
    assert (far.error_histogram.rounding + far.error_histogram.clipping).sum() == 2


@every("granularity", [PerTensor(), PerAxis(0), PerAxis(1)], ids=str)
def test_an_envelope_that_was_left_out_is_made_when_it_is_asked_for(granularity):
    x = np.random.default_rng(0).standard_normal((9, 100_000)).astype(np.float32)
    scheme = Scheme(granularity=granularity)
    with_it, without = analyze(x, scheme), analyze(x, scheme, envelope=False)
    assert without._dequantized is None
    for a, b in zip(with_it.views(0, x.size, 300), without.views(0, x.size, 300), strict=True):
        np.testing.assert_array_equal(a.low, b.low)
        np.testing.assert_array_equal(a.high, b.high)
