"""A convention is data: its row is all that `qviz.core.arithmetic.qparams` knows of a runtime."""

from __future__ import annotations

import itertools
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from qviz.core import (
    CONVENTIONS,
    Codebook,
    FloatFormat,
    IntFormat,
    Manual,
    PerAxis,
    Problem,
    Scheme,
    analyze,
    choose_qparams,
    dequantize,
    fake_quantize,
    quantize,
)
from qviz.core.arithmetic.element_trace import trace_elements
from qviz.core.questions.breakdown import caveats
from qviz.core.runtimes.table import convention_named
from tests.every import every

F = np.float32


def test_the_table_is_keyed_by_name():
    assert all(convention.name == name for name, convention in CONVENTIONS.items())
    assert convention_named("textbook") is CONVENTIONS["textbook"]


def test_every_row_tells_people_what_it_is():
    for c in CONVENTIONS.values():
        assert c.label
        assert c.summary
        number_format, symmetric, _ = c.nearest(IntFormat(8), True)
        formulas = c.formulas_of(number_format, symmetric)
        assert [each.symbol.name for each in (formulas.scale, formulas.code, formulas.value)] == ["S", "Q", "x̂"]


def test_an_unknown_name_is_a_problem_that_lists_the_known_ones():
    with pytest.raises(Problem, match=f"“abacus”: choose one of {', '.join(CONVENTIONS)}\\.$"):
        convention_named("abacus")


def test_a_row_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        CONVENTIONS["textbook"].label = "mine"


@every(
    ("convention", "bits", "signed", "steps", "zero_point"),
    [
        ("textbook", 8, True, 254, 0),  # absmax / 127
        ("textbook", 8, False, 254, 128),
        ("textbook", 4, True, 14, 0),
        ("textbook", 4, False, 14, 8),
        ("textbook", 2, True, 2, 0),
        ("textbook", 2, False, 2, 2),
        ("onnxruntime", 8, True, 254, 0),  # −127 … 127
        ("onnxruntime", 8, False, 255, 128),  # 127.5, half to even
        ("onnxruntime", 16, True, 65534, 0),
        ("onnxruntime", 16, False, 65535, 32768),
        ("onnxruntime", 4, True, 15, 0),  # −8 … 7
        ("onnxruntime", 4, False, 15, 8),
        ("onnxruntime_reduce_range", 8, True, 128, 0),  # −64 … 64
        ("onnxruntime_reduce_range", 8, False, 127, 64),  # 63.5, half to even
        ("onnxruntime_reduce_range", 16, True, 32768, 0),
        ("onnxruntime_reduce_range", 16, False, 32767, 16384),
        ("onnxruntime_reduce_range", 4, True, 7, 0),  # −4 … 3
        ("onnxruntime_reduce_range", 4, False, 7, 4),
        ("onnxruntime_reduce_range", 3, True, 7, 0),  # nothing to spare
        ("pytorch", 8, True, 255, 0),  # absmax / 127.5
        ("pytorch", 8, False, 255, 128),
        ("pytorch", 16, False, 65535, 32768),
        ("pytorch", 4, True, 15, 0),
        ("pytorch", 4, False, 15, 7),  # rounded down
        ("torchao", 8, True, 255, 0),
        ("torchao", 8, False, 255, 128),
        ("torchao", 4, False, 15, 8),  # rounded up
        ("paddle", 8, True, 254, 0),
        ("tensorrt", 8, True, 254, 0),
        ("tensorrt", 4, True, 14, 0),
        ("tflite", 8, True, 254, 0),
    ],
)
def test_symmetric_steps_and_zero_points(convention, bits, signed, steps, zero_point):
    c, number_format = CONVENTIONS[convention], IntFormat(bits, signed)
    assert c.symmetric_span(number_format) == steps
    assert c.symmetric_zero_point(number_format) == zero_point


@every(
    ("convention", "signed", "scale", "zero_point"),
    [
        ("textbook", False, 2 / 255, 255 - 3 / (2 / 255)),  # from 1 to 3
        ("textbook", True, 2 / 255, 127 - 3 / (2 / 255)),
        ("onnxruntime", False, 3 / 255, 0),  # from 0 to 3
        ("onnxruntime", True, 3 / 255, -128),
        ("onnxruntime_reduce_range", False, 3 / 127, 0),
        ("onnxruntime_reduce_range", True, 3 / 128, -64),
        ("pytorch", False, 3 / 255, 0),
        ("torchao", True, 3 / 255, -128),
        ("tflite", True, 3 / 255, -128),
    ],
)
def test_a_range_on_one_side_of_zero(convention, signed, scale, zero_point):
    q = choose_qparams([1.0, 3.0], Scheme(IntFormat(8, signed), symmetric=False, convention=convention))
    assert q.scale == F(scale)
    assert q.zero_point == F(zero_point)


@pytest.fixture
def reciprocal(monkeypatch):
    """A runtime that multiplies by 1 / s, as PyTorch does, and is ONNX Runtime otherwise."""
    row = replace(CONVENTIONS["onnxruntime"], name="reciprocal", label="Reciprocal", multiplies_by_reciprocal=True)
    monkeypatch.setitem(CONVENTIONS, row.name, row)
    return row


def test_a_new_runtime_is_a_row(reciprocal):
    x = np.random.default_rng(0).standard_normal((3, 200)).astype(F)
    scheme = Scheme(IntFormat(8, False), False, PerAxis(0), convention="reciprocal")
    q = choose_qparams(x, scheme)
    divided = choose_qparams(x, replace(scheme, convention="onnxruntime"))
    np.testing.assert_array_equal(q.scale, divided.scale)
    np.testing.assert_array_equal(q.zero_point, divided.zero_point)
    scale, zero_point = q.scale[:, None], q.zero_point[:, None]
    expected = np.clip(np.rint(x * (F(1) / scale)) + zero_point, 0, 255)
    np.testing.assert_array_equal(quantize(x, q), expected)
    np.testing.assert_array_equal(dequantize(quantize(x, q), q), (expected.astype(F) - zero_point) * scale)


def test_multiplying_by_the_reciprocal_changes_a_few_codes_and_only_by_one(reciprocal):
    # Near the ties x / s = k + ½ the two orders of operations part.
    scale = F(7.3) / F(127)
    x = (np.arange(-126, 126, dtype=F) + F(0.5)) * scale
    schemes = [Scheme(range_rule=Manual(-7.3, 7.3), convention=c) for c in ("reciprocal", "onnxruntime")]
    multiplied, divided = (quantize(x, choose_qparams(x, s)).astype(int) for s in schemes)
    s = choose_qparams(x, schemes[0]).scale
    np.testing.assert_array_equal(multiplied, np.rint(x * (F(1) / s)))
    np.testing.assert_array_equal(divided, np.rint(x / s))
    changed = np.abs(multiplied - divided)
    assert 0 < np.count_nonzero(changed) < x.size
    assert changed.max() == 1


def test_every_path_reads_the_row(reciprocal):
    scale = F(7.3) / F(127)
    x = (np.arange(-126, 126, dtype=F) + F(0.5)) * scale
    scheme = Scheme(range_rule=Manual(-7.3, 7.3), convention="reciprocal")
    q = choose_qparams(x, scheme)
    codes = quantize(x, q).astype(int)
    steps = trace_elements(x, np.zeros(x.size, int), q)
    np.testing.assert_array_equal(steps.code, codes)
    np.testing.assert_array_equal(steps.divided, x * (F(1) / q.scale))
    a = analyze(x, scheme)
    np.testing.assert_array_equal(a.occupancy, np.bincount(codes + 128, minlength=256))
    np.testing.assert_array_equal(a.fake_quantize(0, x.size), dequantize(codes, q))


def test_codes_with_a_zero_point_added_before_rounding(monkeypatch):
    row = replace(CONVENTIONS["onnxruntime"], name="before", zero_point_before_rounding=True)
    monkeypatch.setitem(CONVENTIONS, row.name, row)
    # Scale 1 and zero point 1: a tie at x = 0.5 rounds to 2 when 1 is added first, to 0 + 1 when after.
    x, rule = np.array([0.5, 1.5, 2.5], F), Manual(-1.0, 254.0)
    after, before = (
        choose_qparams(x, Scheme(IntFormat(8, False), False, range_rule=rule, convention=c))
        for c in ("onnxruntime", "before")
    )
    assert before.scale == after.scale == 1
    assert before.zero_point == after.zero_point == 1
    assert quantize(x, after).tolist() == [1, 3, 3]
    assert quantize(x, before).tolist() == [2, 2, 4]


@every("name", CONVENTIONS)
def test_codes_are_clipped_to_the_range_of_the_row(name):
    convention = CONVENTIONS[name]
    for bits, signed, symmetric in itertools.product((2, 4, 8, 16), (True, False), (True, False)):
        number_format = IntFormat(bits, signed)
        if not convention.offers(number_format, symmetric):
            continue
        q = choose_qparams([0.0], Scheme(number_format, symmetric, range_rule=Manual(-1, 1), convention=name))
        narrow = name in ("aimet_strict", "nncf_quantized") or (name == "tflite" and symmetric and bits >= 8)
        first = -number_format.quant_max if narrow else number_format.quant_min
        last = number_format.quant_max
        if name == "pytorch_reduce_range":  # ONNX Runtime reduces the scale alone
            first, last = first // 2, last // 2
        assert (q.quant_min, q.quant_max) == (first, last)
        assert quantize([-np.inf, -9, 9, np.inf], q).tolist() == [first, first, q.quant_max, q.quant_max]
        assert q.levels().shape == (1, q.quant_max - first + 1)
        a = analyze([-9.0, 0.1, 9.0, 9.0], q.scheme)
        assert a.occupancy.size == q.quant_max - first + 1
        assert a.occupancy[[0, -1]].tolist() == [1, 2] or bits == 2


def test_tflite_leaves_out_the_smallest_code_of_symmetric_weights_alone():
    weights, activations = (Scheme(symmetric=s, convention="tflite") for s in (True, False))
    x = np.array([-1.0, -0.5, 1.0], F)
    assert quantize(x, choose_qparams(x, weights)).tolist() == [-127, -64, 127]
    assert choose_qparams(x, weights).quant_min == -127
    assert quantize(x, choose_qparams(x, activations))[0] == -128


@every("name", ["paddle", "tensorrt", "tflite"])
def test_what_a_runtime_does_not_offer_is_one_clear_sentence(name):
    label = CONVENTIONS[name].label
    with pytest.raises(Problem, match=rf"^{label} has signed codes only: choose signed, or another runtime\.$"):
        Scheme(IntFormat(8, False), True, convention=name)
    if name == "tflite":
        assert not Scheme(symmetric=False, convention=name).symmetric
        return
    match = rf"^{label} quantizes symmetrically only: choose symmetric, or another runtime\.$"
    with pytest.raises(Problem, match=match):
        Scheme(symmetric=False, convention=name)
    scheme = Scheme(convention=name)
    with pytest.raises(Problem, match=match):
        replace(scheme, symmetric=False)
    with pytest.raises(Problem, match=match):
        Scheme.from_dict(scheme.to_dict() | {"symmetric": False})


def test_tensorrt_by_its_documentation():
    # https://docs.nvidia.com/deeplearning/tensorrt: roundWithTiesToEven(clamp(x / s, −128, 127)), s = amax / 127.
    x = np.array([-3.0, -1.5, 0.5, 1.5, 2.5, 126.5, 127.0, 130.0, -130.0], F)
    q = choose_qparams(x, Scheme(range_rule=Manual(-127, 127), convention="tensorrt"))
    assert (q.scale, q.zero_point) == (1, 0)
    assert quantize(x, q).tolist() == [-3, -2, 0, 2, 2, 126, 127, 127, -128]


def test_paddle_divides_by_the_threshold():
    x = np.random.default_rng(0).standard_normal((4, 4000)).astype(F)
    q = choose_qparams(x, Scheme(granularity=PerAxis(0), convention="paddle"))
    threshold = np.abs(x).max(axis=1)
    np.testing.assert_array_equal(q.divisor, threshold)
    np.testing.assert_array_equal(q.scale, threshold / F(127))
    np.testing.assert_array_equal(quantize(x, q), np.rint(x / threshold[:, None] * F(127)))
    steps = trace_elements(x[1, :9], np.ones(9, int), q)
    np.testing.assert_array_equal(steps.divided, x[1, :9] / threshold[1] * F(127))
    nothing = choose_qparams(np.zeros(3), Scheme(convention="paddle"))
    assert (nothing.scale, nothing.divisor, nothing.factor) == (1, 127, 127)
    assert quantize(np.zeros(3), nothing).tolist() == [0, 0, 0]


@every(
    ("name", "symmetric", "scale", "zero_point"),
    [
        ("pytorch", True, 2.0**-23, 0),
        ("pytorch", False, 2.0**-23, -128),
        ("torchao", True, 2.0**-126, 0),
        ("torchao", False, 2.0**-126, -128),
        ("tflite", True, F(1e-9) / F(127), 0),
        ("tflite", False, F(1e-9) / F(255), -128),
        ("paddle", True, 1, 0),
        ("tensorrt", True, 1, 0),
        ("onnxruntime_reduce_range", True, 1, 0),
        ("onnxruntime_reduce_range", False, 1, 0),
    ],
)
def test_a_tensor_of_zeros_has_the_smallest_scale_or_none(name, symmetric, scale, zero_point):
    q = choose_qparams(np.zeros(5), Scheme(symmetric=symmetric, convention=name))
    assert (q.scale, q.zero_point) == (F(scale), zero_point)
    np.testing.assert_array_equal(dequantize(quantize(np.zeros(5), q), q), np.zeros(5))


def test_single_precision_shows_in_the_scale():
    # The width is rounded to float32 before it is divided.
    low, high = F(-0.1), F(1234567.0)
    q = choose_qparams([low, high], Scheme(symmetric=False, convention="pytorch"))
    assert q.scale == (high - low) / F(255)
    random = np.random.default_rng(1).standard_normal((1000, 8)).astype(F)
    single, double = (
        choose_qparams(random, Scheme(symmetric=False, granularity=PerAxis(0), convention=c)).scale
        for c in ("pytorch", "onnxruntime")
    )
    np.testing.assert_allclose(single, double, rtol=2e-7)
    assert np.any(single != double)


@every("name", ["pytorch", "torchao", "tflite"])
def test_a_range_wider_than_float32_has_an_infinite_scale_and_leaves_nothing(name):
    largest = np.finfo(F).max
    x = F([-largest, 1, largest])
    q = choose_qparams(x, Scheme(symmetric=False, convention=name))
    assert q.scale == np.inf
    assert q.breaks
    assert quantize(x, q).tolist() == [-128] * 3
    assert np.isnan(fake_quantize(x, q)).all()


UINT8_DYNAMIC = Scheme(IntFormat(8, False), False, convention="onnxruntime_dynamic")


def test_dynamic_onnx_runtime_knows_denormal_scales():
    x = F([1e-39, -3e-39, 2e-38, 0])
    q = choose_qparams(x, UINT8_DYNAMIC)
    assert q.scale == F(9.019597695473118e-41)
    assert quantize(x, q).tolist() == [44, 0, 255, 33]
    assert choose_qparams(F([0, 0]), UINT8_DYNAMIC).scale == 1


def test_dynamic_onnx_runtime_gives_the_first_code_to_what_is_zero_by_zero():
    x = F([1e-45, -3e-44, 2e-44, 0])
    q = choose_qparams(x, UINT8_DYNAMIC)
    assert (q.scale, q.zero_point) == (0, 255)
    assert quantize(x, q).tolist() == [255, 0, 255, 0]
    assert fake_quantize(x, q).tolist() == [0] * 4


@every(("x", "codes"), [([1e-40] * 2, [127] * 2), ([0, 0], [0, 0]), ([-4e-41, 1e-40], [-51, 127])])
def test_paddle_divides_by_denormal_thresholds(x, codes):
    assert quantize(F(x), choose_qparams(F(x), Scheme(convention="paddle"))).tolist() == codes


def test_the_absmax_of_a_codebook_may_be_denormal():
    x = F([1e-40, -5e-41])
    q = choose_qparams(x, Scheme(Codebook("nf4"), convention="textbook"))
    assert q.scale == x[0]
    assert choose_qparams(F([0, 0]), Scheme(Codebook("nf4"), convention="textbook")).scale == 1


def test_zeros_alone_become_nan_in_fp8_of_torchao():
    x = F([[0, 0, 0], [0, 1, -2]])
    q = choose_qparams(x, Scheme(FloatFormat("e4m3fn"), granularity=PerAxis(0), convention="torchao"))
    assert q.scale[0] == 0
    assert q.broken.tolist() == [True, False]
    assert set((quantize(x, q)[0] & 0x7F).tolist()) == {0x7F}
    assert np.isnan(fake_quantize(x, q)).tolist() == [[True] * 3, [False] * 3]
    # Where 0 is what the scale came to, all but zeros become 0.
    tiny = F([1e-45, -3e-44, 0])
    q = choose_qparams(tiny, Scheme(FloatFormat("e4m3fn"), convention="torchao"))
    assert quantize(tiny, q)[:2].tolist() == [0x7E, 0xFE]
    assert fake_quantize(tiny, q)[:2].tolist() == [0, 0]


@every(
    ("convention", "signed", "symmetric", "nearest"),
    [
        ("onnxruntime", False, False, (False, False)),
        ("paddle", True, True, (True, True)),
        ("paddle", False, False, (True, True)),
        ("tflite", False, False, (True, False)),
        ("tensorrt", True, False, (True, True)),
        ("onnxruntime_dynamic", True, True, (False, False)),
        ("onnxruntime_dynamic", False, True, (False, False)),
        ("onnxruntime_dynamic", False, False, (False, False)),
    ],
)
def test_what_is_not_offered_has_a_nearest_that_is(convention, signed, symmetric, nearest):
    codes, mode, _ = CONVENTIONS[convention].nearest(IntFormat(8, signed), symmetric)
    assert (codes.signed, mode) == nearest
    assert Scheme(codes, mode, convention=convention).number_format.bits == 8


def test_dynamic_quantize_linear_is_unsigned_and_asymmetric():
    with pytest.raises(Problem, match="quantizes asymmetrically only: choose asymmetric"):
        Scheme(IntFormat(8, False), convention="onnxruntime_dynamic")
    with pytest.raises(Problem, match="has unsigned codes only: choose unsigned"):
        Scheme(symmetric=False, convention="onnxruntime_dynamic")


def test_where_paddle_leaves_float32_it_is_said_and_the_group_is_named():
    x = np.ones((3, 8), np.float32)
    x[1] = 3e38
    metrics = analyze(x, Scheme("int8", True, PerAxis(0), convention="paddle"))
    assert metrics.qparams.broken.tolist() == [False, True, False]
    (said,) = caveats(metrics)
    assert "leave float32 in 1 of 3 groups (the first is number 1)" in str(said)
