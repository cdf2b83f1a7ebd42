"""What does ONNX Runtime's half-quadratic quantization find?"""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import PerBlock, Problem, Scheme, analyze, choose_qparams, dequantize, quantize
from qviz.core.ranges.powers import torch_power
from qviz.core.schemes.scheme import computes_in

F = np.float32
W = np.random.default_rng(3).standard_normal((6, 80)).astype(F)
HQQ = Scheme("uint4", False, PerBlock(-1, 32), convention="onnxruntime_hqq")


def test_values_are_codes_and_zero_points_multiplied_apart() -> None:
    q = choose_qparams(W, HQQ)
    codes = quantize(W, q)
    scale, zero = (np.repeat(a, 32, axis=1)[:, :80] for a in (q.scale, q.zero_point))
    np.testing.assert_array_equal(dequantize(codes, q), codes.astype(F) * scale - zero * scale)
    assert (dequantize(codes, q) != (codes - zero) * scale).any()


def test_zero_points_are_real_numbers_and_stored_as_such() -> None:
    analysis = analyze(W, HQQ)
    assert not analysis.qparams.whole_zero_point
    assert analysis.storage.zero_point_bytes == analysis.storage.scale_bytes == 4 * 18


def test_values_of_both_kinds_lose_less_by_its_norm_than_min_max_does() -> None:
    def loss(scheme: Scheme) -> float:
        q = choose_qparams(W, scheme)
        return float((np.abs(dequantize(quantize(W, q), q) - W) ** 0.7).sum())

    assert loss(HQQ) < loss(Scheme("uint4", False, PerBlock(-1, 32), convention="onnxruntime_matmulnbits"))


def test_scales_and_zero_points_of_halves_are_stored_as_such_and_codes_are_made_before() -> None:
    x = W.astype(np.float16)
    half, single = choose_qparams(x, HQQ), choose_qparams(x.astype(F), HQQ)
    for stored, exact in ((half.scale, single.scale), (half.zero_point, single.zero_point)):
        np.testing.assert_array_equal(stored, exact.astype(np.float16).astype(F))
        assert (stored != exact).any()
    np.testing.assert_array_equal(quantize(x, half), quantize(x, single))
    assert analyze(x, HQQ).storage.zero_point_bytes == analyze(x, HQQ).storage.scale_bytes == 2 * 18
    assert computes_in(HQQ, "bfloat16") == "bfloat16"


def test_a_constant_block_keeps_its_value() -> None:
    x = np.full((2, 32), 3.0, F)
    q = choose_qparams(x, HQQ)
    np.testing.assert_allclose(dequantize(quantize(x, q), q), x, atol=0.5)


def test_missing_values_count_as_zeros_and_get_the_first_code() -> None:
    x = W.copy()
    x[0, 0] = np.nan
    q, without = choose_qparams(x, HQQ), choose_qparams(np.nan_to_num(x), HQQ)
    np.testing.assert_array_equal(q.zero_point, without.zero_point)
    assert quantize(x, q)[0, 0] == 0


def test_what_it_does_not_have_is_one_sentence() -> None:
    with pytest.raises(Problem, match="no blocks of 48"):
        Scheme("uint4", False, PerBlock(-1, 48), convention="onnxruntime_hqq")
    with pytest.raises(Problem, match="asymmetrically only"):
        Scheme("uint4", True, PerBlock(-1, 32), convention="onnxruntime_hqq")


def test_powers_are_those_that_torch_gave() -> None:
    # torch.pow(x, -0.3) of torch 2.13.0, each one bit from the nearest float32.
    x = F([0.581118106842041, 1.6480752229690552, 0.25648564100265503, 0.4025733768939972])
    told = F([1.1768487691879272, 0.8608092069625854, 1.504115104675293, 1.3138521909713745])
    np.testing.assert_array_equal(torch_power(x, 0.7 - 1), told)
    assert (np.power(x.astype(float), float(F(-0.3))).astype(F) != told).all()
