"""Gradients pass a quantizer exactly where PyTorch's fake_quantize lets them pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qviz.core import IntFormat, PerAxis, PerTensor, QParams, Scheme, fake_quantize
from qviz.core.arithmetic.scaling import qparams_from_range
from qviz.training.network import Shape
from qviz.training.quantized_network import QuantizationAware
from qviz.training.settings import Quantization
from qviz.training.straight_through import pass_through, scale_gradient
from tests.every import every
from tests.golden.record_straight_through import CASES, FILE, NETWORK, SIZES, TIES, batch, values

RECORDED = dict(np.load(FILE))


def qparams(bits: int, signed: bool, scale: object, zero_point: object, convention: str = "pytorch") -> QParams:
    s = np.asarray(scale, np.float32)
    scheme = Scheme(IntFormat(bits, signed), False, PerAxis(0) if s.ndim else PerTensor(), convention=convention)
    q = qparams_from_range(-np.ones_like(s), np.ones_like(s), scheme)
    return replace(q, scale=s, zero_point=np.broadcast_to(np.asarray(zero_point, np.float32), s.shape))


def test_the_vectors_are_those_that_would_be_recorded():
    for name in CASES:
        x, gradient = values(name)
        np.testing.assert_array_equal(RECORDED[f"{name}/x"], x)
        np.testing.assert_array_equal(RECORDED[f"{name}/gradient"], gradient)


@every("name", CASES)
def test_values_and_gradients_are_torch_s(name):
    bits, signed, _, scale, zero_point = CASES[name]
    q = qparams(bits, signed, scale, zero_point)
    x, gradient = RECORDED[f"{name}/x"], RECORDED[f"{name}/gradient"]
    x_hat, passes = pass_through(x, q)
    np.testing.assert_array_equal(x_hat, RECORDED[f"{name}/x_hat"], strict=True)
    np.testing.assert_array_equal(x_hat, fake_quantize(x, q), strict=True)
    np.testing.assert_array_equal(gradient * passes, RECORDED[f"{name}/x_gradient"])
    assert 0 < passes.mean() < 1
    found = scale_gradient(*(a[:, TIES:] for a in (x, x_hat, passes, gradient)), q.scale)
    np.testing.assert_allclose(found, RECORDED[f"{name}/scale_gradient"], rtol=2e-5, atol=2e-5)


def test_a_whole_step_of_a_quantized_network_is_torch_s():
    weights, biases, rows, labels = batch()
    shape = Shape(SIZES)
    flat = np.concatenate([np.concatenate([w.ravel(), b]) for w, b in zip(weights, biases, strict=True)])
    aware = QuantizationAware(shape, Quantization(3, 4, spare_ends=False), flat, rows)
    for i, (weight_scale, input_scale, zero_point) in NETWORK.items():
        aware._weight_qparams[i] = qparams(3, True, weight_scale, 0)
        aware._input_qparams[i] = qparams(4, False, input_scale, zero_point)
        aware.values[shape.parameters + i] = np.log(weight_scale)
        aware.values[shape.parameters + len(NETWORK) + i] = np.log(input_scale)
    loss = aware.gradient(rows, labels)
    assert loss == pytest.approx(float(RECORDED["network/loss"]), rel=1e-5)
    by_weights, by_biases = shape.views(aware.slopes)
    for i, scales in ((i, NETWORK[i][:2]) for i in NETWORK):
        np.testing.assert_allclose(by_weights[i], RECORDED[f"network/weight{i}"], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(by_biases[i], RECORDED[f"network/bias{i}"], rtol=1e-4, atol=1e-6)
        by_scales = aware.slopes[[shape.parameters + i, shape.parameters + len(NETWORK) + i]] / scales  # of ln S
        np.testing.assert_allclose(by_scales, RECORDED[f"network/scales{i}"], rtol=1e-3, atol=1e-5)
