"""A network's weights and activations are quantized by core, whatever the bits, and trained through it."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import Problem, choose_qparams, fake_quantize
from qviz.training.network import Shape
from qviz.training.quantized_network import QuantizationAware, quantized_after_training
from qviz.training.settings import BITS, RANGES, Quantization
from qviz.training.straight_through import pass_through
from tests.every import every

SHAPE = Shape((2, 6, 5, 3))
RNG = np.random.default_rng(2)
FLAT = SHAPE.initial(RNG)
X = RNG.standard_normal((80, 2)).astype(np.float32)
Y = RNG.integers(0, 3, 80)

EVERY = [
    Quantization(w, a, ws, s, per_axis, spare, ranges)
    for w, a in ((1, 1), (2, 4), (8, 8), (3, 1), (1, 5))
    for ws, s in ((True, False), (False, True))
    for per_axis in (False, True)
    for spare in (False, True)
    for ranges in RANGES
]


@every("bits", BITS)
@every("symmetric", [True, False])
def test_a_quantizer_has_as_many_levels_as_its_bits_tell(bits, symmetric):
    weights, inputs = Quantization(bits, bits, symmetric, symmetric, spare_ends=False).of_layer(0, 3)
    w = RNG.standard_normal((6, 50)).astype(np.float32)
    for quantizer in (weights, inputs):
        for q in (quantizer.calibrated(w), quantizer.spanning(w), quantizer.learner(w)):
            assert q.quant_max - q.quant_min + 1 == 2**bits
            assert len(np.unique(fake_quantize(np.linspace(-9, 9, 4000), q))) == 2**bits
            assert q.levels().shape == (1, 2**bits)


def test_min_max_while_training_is_core_s_own():
    w = RNG.standard_normal((6, 50)).astype(np.float32)
    for per_axis in (False, True):
        for quantizer in Quantization(3, 4, per_axis=per_axis).of_layer(1, 3):
            q, expected = quantizer.spanning(w), choose_qparams(w, quantizer.scheme)
            np.testing.assert_array_equal(q.scale, expected.scale, strict=True)
            np.testing.assert_array_equal(q.zero_point, expected.zero_point, strict=True)


def test_one_bit_weights_are_plus_or_minus_their_mean_magnitude():
    w = RNG.standard_normal((4, 50)).astype(np.float32)
    for per_axis in (False, True):
        quantizer = Quantization(1, per_axis=per_axis, weight_symmetric=False).of_layer(1, 3)[0]
        mean = np.abs(w).mean(axis=1, keepdims=True) if per_axis else np.abs(w).mean()
        for q in (quantizer.calibrated(w), quantizer.spanning(w), quantizer.learner(w)):
            np.testing.assert_allclose(fake_quantize(w, q), np.where(w > 0, mean, -mean), rtol=1e-6)


def test_one_bit_activations_are_the_ends_of_their_range():
    quantizer = Quantization(activation_bits=1).of_layer(1, 3)[1]
    x = np.array([-1, -0.5, 0.9, 1.2, 3], np.float32)
    np.testing.assert_allclose(fake_quantize(x, quantizer.calibrated(x)), [-1, -1, -1, 3, 3], rtol=1e-6)
    constant = np.full(4, 2.5, np.float32)
    np.testing.assert_array_equal(fake_quantize(constant, quantizer.calibrated(constant)), constant)


def test_the_ends_of_the_network_are_spared_or_not():
    quantization = Quantization(2, 3)
    bits = [[q.bits for q in quantization.of_layer(i, 4)] for i in range(4)]
    assert bits == [[8, 8], [2, 3], [2, 3], [8, 8]]
    assert [q.bits for q in Quantization(2, 3, spare_ends=False).of_layer(0, 4)] == [2, 3]


def test_what_goes_into_a_layer_after_relu_uses_every_code():
    q = Quantization(activation_bits=4).of_layer(1, 3)[1].calibrated(np.array([0, 1.5], np.float32))
    assert (float(q.zero_point), q.quant_min, q.quant_max) == (0, 0, 15)
    assert float(q.scale) == pytest.approx(0.1)


@every("quantization", EVERY, ids=str)
def test_a_step_goes_down_and_the_network_computes_what_it_was_trained_with(quantization):
    aware = QuantizationAware(SHAPE, quantization, FLAT, X)
    with np.errstate(all="raise"):
        first = aware.gradient(X, Y)
    assert np.isfinite(aware.slopes).all()
    assert aware.slopes[: SHAPE.parameters].any()
    network = aware.network()
    expected = _loss(network.logits(X))
    # A second look at the same batch moves no learned step, and a moving average by 5 % at most.
    if quantization.ranges == "learned":
        assert first == pytest.approx(expected, rel=1e-5)
    for w, q in zip(network.weights, network.weight_qparams, strict=True):
        np.testing.assert_array_equal(pass_through(w, q)[0], fake_quantize(w, q), strict=True)


def _loss(logits: np.ndarray) -> float:
    z = logits.astype(np.float64)
    z -= z.max(axis=1, keepdims=True)
    return float((np.log(np.exp(z).sum(axis=1)) - z[np.arange(Y.size), Y]).mean())


def test_eight_bits_answer_about_as_float_does():
    network = quantized_after_training(SHAPE, FLAT, Quantization(8, 8), X)
    weights, biases = SHAPE.views(FLAT)
    from qviz.training.network import forward

    np.testing.assert_allclose(network.logits(X), forward(X, weights, biases, "relu"), atol=0.1)
    assert [c.dtype.name for c in network.codes()] == ["int8"] * 3


def test_a_moving_average_follows_slowly():
    aware = QuantizationAware(SHAPE, Quantization(ranges="minmax", spare_ends=False), FLAT, X)
    before = float(aware.network().input_qparams[0].high)
    for _ in range(3):
        aware.gradient(2 * X, Y)
    after = float(aware.network().input_qparams[0].high)
    assert after == pytest.approx(before * (2 - 0.95**3), rel=1e-5)


@every(
    ("changes", "said"),
    [
        ({"weight_bits": 0}, "0 bits for weights"),
        ({"activation_bits": 9}, "9 bits for activations"),
        ({"ranges": "guessed"}, "no ranges “guessed”"),
        ({"post_training_range": "manual"}, "no range estimator “manual”"),
    ],
)
def test_what_cannot_be_trained_is_a_problem(changes, said):
    with pytest.raises(Problem, match=said):
        Quantization(**changes)
