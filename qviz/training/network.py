"""What does a multilayer perceptron answer, and what are the gradients of its loss?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from qviz.core.arrays import Array
from qviz.core.frozen import frozen

Floats = np.ndarray[Any, Any]

ACTIVATIONS = ("relu", "tanh")
"""What stands between two layers."""


BLOCK = 128
"""Rows that are multiplied at once where there are many: few enough for one thread."""


@frozen
class Shape:
    """How many numbers go into each layer, and how many come out of the last; what stands between them."""

    sizes: tuple[int, ...]
    activation: str = "relu"

    @property
    def layers(self) -> int:
        return len(self.sizes) - 1

    @property
    def parameters(self) -> int:
        """How many weights and biases there are."""
        return sum((n + 1) * m for n, m in zip(self.sizes, self.sizes[1:], strict=False))

    def views(self, flat: Array) -> tuple[list[Array], list[Array]]:
        """Weights of shape (outputs, inputs) and biases of shape (outputs,), all parts of ``flat``."""
        weights, biases, at = [], [], 0
        for n, m in zip(self.sizes, self.sizes[1:], strict=False):
            weights.append(flat[at : at + n * m].reshape(m, n))
            biases.append(flat[at + n * m : at + (n + 1) * m])
            at += (n + 1) * m
        return weights, biases

    def initial(self, rng: np.random.Generator) -> Array:
        """Weights and biases to start from, float32, shape (parameters,): normal after He or Glorot, biases 0."""
        flat = np.zeros(self.parameters, np.float32)
        gain = 2.0 if self.activation == "relu" else 1.0
        for weights in self.views(flat)[0]:
            weights[...] = rng.standard_normal(weights.shape) * math.sqrt(gain / weights.shape[1])
        return flat


def forward(
    x: Array,
    weights: Sequence[Array],
    biases: Sequence[Array],
    activation: str,
    quantize_input: Callable[[int, Array], Array] | None = None,
) -> Array:
    """The logits of each row of ``x``, shape (rows, classes).

    ``quantize_input(layer, values)`` changes what goes into a layer; weights come as they are to be used.
    """
    last = len(weights) - 1
    for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
        if quantize_input is not None:
            x = quantize_input(i, x)
        x = _product(x, w.T)
        x += b
        if i < last:
            activate(x, activation)
    return x


def _product(x: Array, w: Array) -> Array:
    """``x @ w``, block by block: threads of a BLAS that wait for each other hold up a window on a busy machine."""
    if x.shape[0] <= BLOCK:
        return np.asarray(x @ w)
    out = np.empty((x.shape[0], w.shape[1]), x.dtype)
    for first in range(0, x.shape[0], BLOCK):
        np.matmul(x[first : first + BLOCK], w, out=out[first : first + BLOCK])
    return out


def activate(z: Array, activation: str) -> None:
    """Apply the activation in place."""
    if activation == "relu":
        np.maximum(z, 0, out=z)
    else:
        np.tanh(z, out=z)


def cross_entropy(logits: Array, labels: Array) -> tuple[float, Array]:
    """The mean of −log softmax at the labels, in nats, and its gradient by the logits (in their memory)."""
    rows = np.arange(labels.size)
    logits -= logits.max(axis=1, keepdims=True)
    right = logits[rows, labels]
    np.exp(logits, out=logits)
    total = logits.sum(axis=1, keepdims=True)
    loss = float((np.log(total[:, 0]) - right).mean())
    logits /= total
    logits[rows, labels] -= 1
    logits /= labels.size
    return loss, logits


def loss_and_accuracy(logits: Array, labels: Array) -> tuple[float, float]:
    """Cross-entropy in nats, and the share of rows whose largest logit is the label's."""
    accuracy = float((logits.argmax(axis=1) == labels).mean())
    return cross_entropy(logits.copy(), labels)[0], accuracy


def gradient(x: Array, labels: Array, weights: Sequence[Array], biases: Sequence[Array], slopes: Slopes) -> float:
    """The loss of a batch; its gradient by every weight and bias goes into ``slopes``."""
    activation, last = slopes.activation, len(weights) - 1
    inputs = []
    for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
        inputs.append(x)
        x = x @ w.T
        x += b
        if i < last:
            activate(x, activation)
    loss, delta = cross_entropy(x, labels)
    for i in range(last, -1, -1):
        np.matmul(delta.T, inputs[i], out=slopes.weights[i])
        np.add.reduce(delta, axis=0, out=slopes.biases[i])
        if i:
            delta = delta @ weights[i]
            through_activation(delta, inputs[i], activation)
    return loss


def through_activation(delta: Array, value: Array, activation: str) -> None:
    """∂L/∂z from ∂L/∂a in place, given a = activation(z)."""
    if activation == "relu":
        delta *= value > 0
    else:
        delta *= 1 - value * value


class Slopes:
    """Where gradients go: a flat array, and parts of it shaped like weights and biases."""

    def __init__(self, shape: Shape, flat: Array) -> None:
        self.flat = flat
        self.activation = shape.activation
        self.weights, self.biases = shape.views(flat)
