"""Gradients are those that finite differences find; optimizers do what their papers say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qviz.training.network import ACTIVATIONS, Shape, Slopes, cross_entropy, forward, gradient, loss_and_accuracy
from qviz.training.optimizers import Adam, Sgd, cosine


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", [(2, 3), (3, 5, 2), (2, 4, 4, 3)])
def test_the_gradient_is_what_finite_differences_find(activation, sizes, rng):
    shape = Shape(sizes, activation)
    flat = rng.standard_normal(shape.parameters)
    x, y = rng.standard_normal((7, sizes[0])), rng.integers(0, sizes[-1], 7)

    def loss(values):
        return cross_entropy(forward(x, *shape.views(values), activation), y)[0]

    slopes = Slopes(shape, np.zeros_like(flat))
    assert gradient(x, y, *shape.views(flat), slopes) == pytest.approx(loss(flat))
    for i in range(flat.size):
        step = np.zeros_like(flat)
        step[i] = 1e-6
        difference = (loss(flat + step) - loss(flat - step)) / 2e-6
        assert slopes.flat[i] == pytest.approx(difference, rel=1e-4, abs=1e-8)


def test_weights_and_biases_are_parts_of_the_flat_array(rng):
    shape = Shape((2, 3, 4))
    flat = shape.initial(rng)
    weights, biases = shape.views(flat)
    assert [w.shape for w in weights] == [(3, 2), (4, 3)]
    assert [b.shape for b in biases] == [(3,), (4,)]
    assert shape.parameters == flat.size == 2 * 3 + 3 + 3 * 4 + 4
    assert shape.layers == 2
    weights[0][...] = 7
    assert (flat == 7).sum() == 6
    assert not any(b.any() for b in biases)


def test_the_first_weights_are_as_wide_as_he_and_glorot_have_them(rng):
    for activation, gain in (("relu", 2.0), ("tanh", 1.0)):
        shape = Shape((200, 300), activation)
        (weights,), _ = shape.views(shape.initial(rng))
        assert weights.std() == pytest.approx(math.sqrt(gain / 200), rel=0.02)


def test_cross_entropy_is_that_of_the_definition(rng):
    logits, labels = rng.standard_normal((6, 3)) * 50, rng.integers(0, 3, 6)
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    loss, accuracy = loss_and_accuracy(logits, labels)
    assert loss == pytest.approx(-np.log(p[np.arange(6), labels]).mean())
    assert accuracy == (p.argmax(1) == labels).mean()


def test_sgd_follows_its_momentum():
    values = np.array([1.0])
    sgd = Sgd(1, 0.5, np.float64)
    for _ in range(2):
        sgd.step(values, np.array([2.0]), 0.1)
    assert values[0] == pytest.approx(1 - 0.1 * 2 - 0.1 * (0.5 * 2 + 2))


def test_adam_follows_its_paper(rng):
    values = rng.standard_normal(4)
    expected, m, v = values.copy(), np.zeros(4), np.zeros(4)
    adam = Adam(4, 0.9, np.float64)
    for t in range(1, 6):
        g = rng.standard_normal(4)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        expected -= 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        adam.step(values, g, 0.01)
        np.testing.assert_allclose(values, expected)


def test_the_cosine_falls_from_one_to_nothing():
    assert [cosine(s, 100) for s in (0, 50, 100)] == pytest.approx([1, 0.5, 0])
    assert cosine(0, 0) == 1
