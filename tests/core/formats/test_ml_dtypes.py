"""Small floats have the values, the bit patterns and the rounding of ml_dtypes, and saturate."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from qviz.core import FloatFormat, PerBlock, PerTensor, Scheme, choose_qparams, dequantize, fake_quantize, quantize
from tests.every import every

F = np.float32

SMALL = ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "e2m3fn", "e3m2fn", "e2m1fn")
ALL = (*SMALL, "bfloat16", "float16")

each = pytest.mark.parametrize("name", ALL)


def dtype_of(name: str) -> np.dtype[Any]:
    return np.dtype(getattr(ml_dtypes, FloatFormat(name).name, FloatFormat(name).name))


def table(name: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Every code of the format, and its value."""
    number_format = FloatFormat(name)
    codes = np.arange(1 << number_format.bits).astype(number_format.dtype)
    return codes, codes.view(dtype_of(name)).astype(F)


def with_unit_scale(name: str, x: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Codes and values of ``x``, whose largest magnitude must be the largest finite value."""
    qparams = choose_qparams(x, Scheme(FloatFormat(name), convention="textbook"))
    assert qparams.scale == 1
    codes = quantize(x, qparams)
    np.testing.assert_array_equal(dequantize(codes, qparams), fake_quantize(x, qparams))
    return codes, dequantize(codes, qparams)


def rounded(name: str, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What ml_dtypes makes of values that were clipped before."""
    largest = F(FloatFormat(name).quant_max)
    return np.clip(x, -largest, largest).astype(dtype_of(name))


def around(name: str) -> np.ndarray[Any, Any]:
    """Every level, every tie between two levels, and the float32 neighbours of both."""
    values = FloatFormat(name).values.astype(np.float64)
    points = np.concatenate([values, (values[:-1] + values[1:]) / 2]).astype(F)
    with np.errstate(over="ignore"):
        points = np.concatenate([np.nextafter(points, F(-np.inf)), points, np.nextafter(points, F(np.inf))])
    return points[np.abs(points) <= values[-1]]


@each
def test_the_name_is_that_of_ml_dtypes_and_the_bits_are_those_of_its_type(name):
    number_format = FloatFormat(name)
    assert number_format.name == dtype_of(name).name
    assert number_format.bits == ml_dtypes.finfo(dtype_of(name)).bits
    assert number_format.quant_max == float(ml_dtypes.finfo(dtype_of(name)).max)


@each
def test_the_values_are_all_finite_ones_of_ml_dtypes(name):
    _, values = table(name)
    np.testing.assert_array_equal(FloatFormat(name).values, np.unique(values[np.isfinite(values)]), strict=True)


@each
def test_the_bit_patterns_stand_for_the_values(name):
    number_format = FloatFormat(name)
    patterns = number_format.encode(number_format.values, number_format.values)
    assert patterns.dtype == number_format.dtype
    np.testing.assert_array_equal(patterns.view(dtype_of(name)).astype(F), number_format.values)


@each
def test_every_finite_code_comes_back(name):
    codes, values = table(name)
    finite = np.isfinite(values)
    found, x_hat = with_unit_scale(name, values[finite])
    np.testing.assert_array_equal(x_hat, values[finite])
    np.testing.assert_array_equal(np.signbit(x_hat), np.signbit(values[finite]))
    np.testing.assert_array_equal(found, codes[finite])


@each
def test_every_tie_and_its_neighbours_round_as_in_ml_dtypes(name):
    x = around(name)
    codes, x_hat = with_unit_scale(name, x)
    expected = rounded(name, x)
    np.testing.assert_array_equal(x_hat, expected.astype(F))
    np.testing.assert_array_equal(codes, expected.view(FloatFormat(name).dtype))


@pytest.mark.parametrize("name", SMALL)
def test_a_million_values_round_as_in_ml_dtypes(name):
    rng = np.random.default_rng(7)
    largest = F(FloatFormat(name).quant_max)
    x = (rng.standard_normal(1_000_000) * largest / 3).clip(-largest, largest).astype(F)
    x[::2] *= np.exp2(rng.integers(-40, 0, x[::2].size)).astype(F)
    x[0] = largest
    codes, x_hat = with_unit_scale(name, x)
    np.testing.assert_array_equal(codes, rounded(name, x).view(np.uint8))
    np.testing.assert_array_equal(x_hat, rounded(name, x).astype(F))


@every("name", SMALL)
def test_what_lies_beyond_the_largest_value_becomes_the_largest(name):
    number_format = FloatFormat(name)
    largest, step = F(number_format.quant_max), F(number_format.largest_step)
    within = np.array([largest, -largest, 0.0], F)
    qparams = choose_qparams(within, Scheme(number_format, convention="textbook"))
    beyond = np.array([largest + step / 4, largest + step / 2, largest + step, 16 * largest, 3e38, np.inf], F)
    for sign in (F(1), F(-1)):
        np.testing.assert_array_equal(fake_quantize(sign * beyond, qparams), np.full(6, sign * largest))
        codes = quantize(sign * beyond, qparams)
        np.testing.assert_array_equal(dequantize(codes, qparams), np.full(6, sign * largest))


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_what_lies_beyond_the_largest_of_16_bits_becomes_the_largest(name):
    largest = F(FloatFormat(name).quant_max)
    qparams = choose_qparams(np.array([1.0], F), Scheme(FloatFormat(name), convention="textbook"))
    x = np.array([np.finfo(F).max, -np.finfo(F).max, np.inf, -np.inf], F)
    np.testing.assert_array_equal(fake_quantize(x, qparams), largest * np.array([1, -1, 1, -1], F))


@each
def test_nan_stays_nan(name):
    qparams = choose_qparams(np.array([1.0, -2.0], F), Scheme(FloatFormat(name), convention="textbook"))
    np.testing.assert_array_equal(fake_quantize(np.array([np.nan, 1.0], F), qparams)[0], np.nan)


@each
def test_zeros_keep_their_sign_where_the_format_has_two(name):
    largest = F(FloatFormat(name).quant_max)
    x = np.array([0.0, -0.0, 1e-45, -1e-45, largest], F)
    codes, x_hat = with_unit_scale(name, x)
    np.testing.assert_array_equal(x_hat[:2], [0, 0])
    np.testing.assert_array_equal(codes, rounded(name, x).view(FloatFormat(name).dtype))


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_16_bits_have_no_scale(name):
    x = (np.random.default_rng(1).standard_normal((4, 64)) * 1e-3).astype(F)
    for granularity in (PerTensor(), PerBlock(-1, 32)):
        qparams = choose_qparams(x, Scheme(FloatFormat(name), granularity=granularity, convention="textbook"))
        np.testing.assert_array_equal(qparams.scale, np.ones_like(qparams.scale))
        np.testing.assert_array_equal(fake_quantize(x, qparams), x.astype(dtype_of(name)).astype(F))


@every("name", SMALL)
@every("convention", ["textbook", "torchao", "onnxruntime"])
def test_the_scale_maps_the_largest_magnitude_to_the_largest_value(name, convention):
    if convention != "textbook" and name.startswith(("e2", "e3")):
        pytest.skip("these runtimes have no scaled floats of 6 bits")
    x = (np.random.default_rng(2).standard_t(2, (5, 40)) * 0.37).astype(F)
    qparams = choose_qparams(x, Scheme(FloatFormat(name), convention=convention))
    assert qparams.scale == F(np.abs(x).max().astype(np.float64) / FloatFormat(name).quant_max)
    expected = rounded(name, x / qparams.scale)
    np.testing.assert_array_equal(quantize(x, qparams), expected.view(np.uint8))
    np.testing.assert_array_equal(fake_quantize(x, qparams), expected.astype(F) * qparams.scale)
