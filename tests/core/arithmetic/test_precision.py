"""The type of the tensor decides what a runtime computes in, unless the scheme says float32."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from qviz.core import (
    MSE,
    FloatFormat,
    IntFormat,
    PerAxis,
    PerBlock,
    PerToken,
    Problem,
    Scheme,
    Tensor,
    analyze,
    choose_qparams,
    dequantize,
    fake_quantize,
    prepare,
    quantize,
)
from qviz.core.runtimes.precision import as_bfloat16, rounding_to
from tests.every import every

X = as_bfloat16(np.random.default_rng(3).standard_normal((16, 64)) * 0.02)
INT8, INT4, E4M3 = IntFormat(8), IntFormat(4), FloatFormat("e4m3fn")


def bf16(x):
    return Tensor(x, dtype="bfloat16")


def is_of(dtype, values):
    return np.array_equal(rounding_to(dtype)(values), values)


def test_arrays_of_ml_dtypes_are_tensors_of_their_type():
    tensor = Tensor(X.astype(ml_dtypes.bfloat16))
    assert tensor.dtype == "bfloat16"
    np.testing.assert_array_equal(tensor.values[:], X.ravel())


def test_torchao_rounds_every_step_of_groups_to_the_tensors_type():
    # By hand: absmax / 7.5, its reciprocal, and the product are each rounded to bfloat16.
    q = choose_qparams(bf16(X), Scheme(INT4, True, PerBlock(-1, 32), convention="torchao"))
    blocks = X.reshape(16, 2, 32)
    scale = as_bfloat16(np.abs(blocks).max(axis=-1) / np.float32(7.5))
    np.testing.assert_array_equal(q.scale, scale)
    inverse = as_bfloat16(np.float32(1) / scale)[..., None]
    codes = np.clip(np.rint(as_bfloat16(blocks * inverse)), -8, 7)
    np.testing.assert_array_equal(quantize(X, q), codes.reshape(X.shape))
    np.testing.assert_array_equal(fake_quantize(X, q), as_bfloat16(codes * scale[..., None]).reshape(X.shape))


@pytest.mark.parametrize("number_format", [INT8, E4M3], ids=str)
def test_torchao_finds_the_scale_of_a_channel_in_the_tensors_type_and_divides_in_float32(number_format):
    q = choose_qparams(bf16(X), Scheme(number_format, True, PerAxis(0), convention="torchao"))
    assert is_of("bfloat16", q.scale)
    as_float32 = choose_qparams(X, Scheme(number_format, True, PerAxis(0), convention="torchao"))
    assert np.any(as_float32.scale != q.scale)
    y = X * (1 / q.scale[:, None]) if number_format is INT8 else X / q.scale[:, None]
    codes = number_format.round(np.ascontiguousarray(y), np.empty_like(y)).clip(q.quant_min, q.quant_max)
    np.testing.assert_array_equal(quantize(X, q), number_format.encode(codes, X))
    assert is_of("bfloat16", fake_quantize(X, q))


def test_a_scale_of_torchao_is_at_least_the_smallest_normal_number_of_the_type():
    tiny = np.float16(X * 1e-4).astype(np.float32)
    q = choose_qparams(Tensor(tiny, dtype="float16"), Scheme(INT4, True, PerBlock(-1, 32), convention="torchao"))
    assert (q.scale == np.finfo(np.float16).tiny).all()
    per_axis = choose_qparams(Tensor(tiny, dtype="float16"), Scheme(INT8, True, PerAxis(0), convention="torchao"))
    assert (per_axis.scale >= np.finfo(np.float32).eps).all()


def test_onnx_runtime_stores_the_scale_of_a_float16_tensor_as_float16():
    x = X.astype(np.float16)
    q = choose_qparams(x, Scheme(IntFormat(8, False), False))
    exact = (float(x.max()) - float(x.min())) / 255
    assert float(q.scale) == float(np.float16(exact)) != np.float32(exact)
    assert float(q.zero_point) == round(-float(x.min()) / exact)  # of the scale before it was rounded
    np.testing.assert_array_equal(quantize(x, q), np.clip(np.rint(np.float32(x) / q.scale) + q.zero_point, 0, 255))
    assert is_of("float16", fake_quantize(x, q))


def test_a_float16_scale_may_be_denormal_in_onnx_runtime():
    x = np.float16([-1e-6, 2e-6, 9e-6])
    assert float(choose_qparams(x, Scheme(IntFormat(8, False), False)).scale) == 2.0**-24
    assert float(choose_qparams(np.float16([0, 0]), Scheme()).scale) == 1


@every("convention", ["pytorch", "tflite", "tensorrt", "paddle", "textbook", "onnxruntime"])
def test_other_runtimes_convert_bfloat16_to_float32(convention):
    scheme = Scheme(INT8, True, PerAxis(0), convention=convention)
    np.testing.assert_array_equal(choose_qparams(bf16(X), scheme).scale, choose_qparams(X, scheme).scale)


def test_a_scheme_can_ask_for_float32():
    scheme = Scheme(INT4, True, PerBlock(-1, 32), convention="torchao", compute_dtype="float32")
    q = choose_qparams(bf16(X), scheme)
    np.testing.assert_array_equal(q.scale, choose_qparams(X, scheme).scale)
    np.testing.assert_array_equal(quantize(X, q), quantize(X, choose_qparams(X, scheme)))
    assert Scheme.from_dict(scheme.to_dict()) == scheme
    assert "compute_dtype='float32'" in repr(scheme)


def test_a_scheme_from_before_there_was_a_choice_is_as_the_runtime_has_it():
    plain = Scheme().to_dict()
    assert "compute_dtype" not in plain
    assert Scheme.from_dict(plain).compute_dtype == "auto"


def test_what_a_scheme_cannot_be_computed_as_is_refused():
    with pytest.raises(Problem, match="cannot be computed as 'float8': give one of auto, float32"):
        Scheme(compute_dtype="float8")


@every(
    "scheme",
    [
        Scheme(INT4, True, convention="torchao"),
        Scheme(IntFormat(8, False), False, convention="torchao"),
        Scheme(INT8, True, convention="torchao"),
        Scheme(E4M3, True, convention="torchao"),
        Scheme(INT4, True, range_rule=MSE(), convention="torchao"),
    ],
    ids=str,
)
@every("dtype", ["bfloat16", "float16"])
def test_both_passes_agree_with_the_codes(scheme, dtype):
    x = rounding_to(dtype)(np.random.default_rng(4).standard_normal(40_000))
    tensor = Tensor(x, dtype=dtype)
    direct, ordered = analyze(tensor, scheme), analyze(prepare(tensor), scheme)
    q = ordered.qparams
    codes = quantize(x, q)
    error = dequantize(codes, q).astype(float) - x
    assert direct.mse == pytest.approx(np.mean(error**2), rel=1e-12)
    assert ordered.mse == pytest.approx(direct.mse, rel=1e-9)
    assert ordered.max_abs_error == direct.max_abs_error == np.abs(error).max()
    np.testing.assert_array_equal(ordered.occupancy, direct.occupancy)


def test_a_channel_keeps_the_type():
    assert bf16(X).channel(PerAxis(0), 3).dtype == "bfloat16"
    scheme = Scheme(INT8, False, PerToken(), convention="torchao")
    assert choose_qparams(bf16(X), scheme).precision.codes == "bfloat16"
