"""What does a network answer when its weights and activations are quantized, and how is it trained so?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from qviz.core import QParams, fake_quantize, quantize
from qviz.core.arrays import Array
from qviz.core.frozen import frozen
from qviz.training.network import Shape, Slopes, activate, cross_entropy, forward, through_activation
from qviz.training.settings import Quantization, Quantizer
from qviz.training.straight_through import pass_through, scale_gradient

KEPT = np.float32(0.95)
"""How much of a moving average a batch leaves as it was."""


@frozen(eq=False)
class QuantizedNetwork:
    """A trained network with everything that a runtime needs.

    Attributes
    ----------
    shape : Shape
    weights : tuple of float32 arrays, shape (outputs, inputs) each
        Before quantization.
    biases : tuple of float32 arrays, shape (outputs,) each
        They stay float32.
    weight_qparams, input_qparams : tuple of QParams
        Of each layer's weights, and of what goes into it.
    """

    shape: Shape
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    weight_qparams: tuple[QParams, ...]
    input_qparams: tuple[QParams, ...]

    def logits(self, x: Array) -> Array:
        """The answer for each row of ``x``, float32, shape (rows, classes)."""
        return forward(x, self.dequantized(), self.biases, self.shape.activation, self._input)

    def _input(self, layer: int, x: Array) -> Array:
        return fake_quantize(x, self.input_qparams[layer])

    def codes(self) -> list[Array]:
        """The code of each weight."""
        return [quantize(w, q) for w, q in zip(self.weights, self.weight_qparams, strict=True)]

    def dequantized(self) -> list[Array]:
        """The weights that it computes with."""
        return [fake_quantize(w, q) for w, q in zip(self.weights, self.weight_qparams, strict=True)]


def quantized_after_training(
    shape: Shape, flat: Array, quantization: Quantization, calibration: Array
) -> QuantizedNetwork:
    """Post-training quantization: weights as they are, ranges of activations from what the float network computes.

    Parameters
    ----------
    flat : float32 array
        Weights and biases.
    calibration : float32 array, shape (rows, inputs)

    Raises
    ------
    Problem
        When a weight or an activation is not finite.
    """
    weights, biases = shape.views(flat.copy())
    inputs: list[QParams] = []

    def calibrate(layer: int, x: Array) -> Array:
        inputs.append(quantization.of_layer(layer, shape.layers)[1].calibrated(x))
        return x

    forward(calibration, weights, biases, shape.activation, calibrate)
    found = [quantization.of_layer(i, shape.layers)[0].calibrated(w) for i, w in enumerate(weights)]
    return QuantizedNetwork(shape, tuple(weights), tuple(biases), tuple(found), tuple(inputs))


class QuantizationAware:
    """A network whose weights and activations are quantized in every step of its training.

    Parameters
    ----------
    shape : Shape
    quantization : Quantization
    flat : float32 array, shape (parameters,)
        The weights and biases to start from.
    calibration : float32 array, shape (rows, inputs)
        What the ranges of the activations start from.

    Attributes
    ----------
    values, slopes : float32 arrays
        All that is learned, and the gradient by it: weights, biases and, where they are learned, the natural
        logarithms of step sizes (as Jain et al., *Trained Quantization Thresholds*, 2020: so that none becomes
        negative, and one rate suits small steps and large ones).
    """

    def __init__(self, shape: Shape, quantization: Quantization, flat: Array, calibration: Array) -> None:
        self.shape = shape
        self._learned = quantization.ranges == "learned"
        pairs = [quantization.of_layer(i, shape.layers) for i in range(shape.layers)]
        self._quantizers: list[tuple[Quantizer, Quantizer]] = pairs
        weights, biases = shape.views(flat)
        inputs: list[QParams] = []

        def calibrate(layer: int, x: Array) -> Array:
            quantizer = pairs[layer][1]
            inputs.append(quantizer.learner(x) if self._learned else quantizer.spanning(x))
            return x

        forward(calibration, weights, biases, shape.activation, calibrate)
        self._input_qparams = inputs
        self._weight_qparams = [
            pair[0].learner(w) if self._learned else pair[0].spanning(w) for pair, w in zip(pairs, weights, strict=True)
        ]
        self._ranges = [(q.low, q.high) for q in inputs]
        scales = [q.scale for q in (*self._weight_qparams, *inputs)] if self._learned else []
        self.values = np.concatenate([flat, *(np.log(s.reshape(-1)) for s in scales)], dtype=np.float32)
        self.slopes = np.zeros_like(self.values)
        self.weights, self.biases = shape.views(self.values)
        self._slopes = Slopes(shape, self.slopes)
        self._scale_slopes = self._scale_views(self.slopes[shape.parameters :])
        self._scales = self._scales_now()

    def _scale_views(self, flat: Array) -> list[Array]:
        """One part for each quantizer that learns: first those of weights, then those of inputs."""
        if not self._learned:
            return []
        views, at = [], 0
        for q in (*self._weight_qparams, *self._input_qparams):
            views.append(flat[at : at + q.scale.size].reshape(q.scale.shape))
            at += q.scale.size
        return views

    def _scales_now(self) -> list[Array]:
        return self._scale_views(np.exp(self.values[self.shape.parameters :]))

    def network(self) -> QuantizedNetwork:
        """What has been learned so far, to be asked or exported."""
        self._scales = self._scales_now()
        flat = self.values[: self.shape.parameters].copy()
        weights, biases = self.shape.views(flat)
        found = [self._weights_now(i) for i in range(self.shape.layers)]
        inputs = [self._inputs_now(i) for i in range(self.shape.layers)]
        return QuantizedNetwork(self.shape, tuple(weights), tuple(biases), tuple(found), tuple(inputs))

    def learned(self) -> dict[str, Array]:
        """All that changes while it is trained, by name: ``"aware"``, and the ends of the ranges of inputs."""
        ends = {}
        for layer, (low, high) in enumerate(self._ranges):
            ends[f"low{layer}"], ends[f"high{layer}"] = np.asarray(low), np.asarray(high)
        return {"aware": self.values.copy(), **ends}

    def put_back(self, learned: Mapping[str, Array]) -> None:
        """Be as `learned` found another one.

        Raises
        ------
        ValueError, LookupError
            When that was of another network.
        """
        values = np.asarray(learned["aware"], np.float32)
        ranges = [
            (np.asarray(learned[f"low{i}"], low.dtype), np.asarray(learned[f"high{i}"], high.dtype))
            for i, (low, high) in enumerate((np.asarray(a), np.asarray(b)) for a, b in self._ranges)
        ]
        shapes = [(np.shape(low), np.shape(high)) for low, high in self._ranges]
        if values.shape != self.values.shape or [(low.shape, high.shape) for low, high in ranges] != shapes:
            raise ValueError("not what such a network learns")
        self.values[...] = values
        self._ranges = ranges

    def _weights_now(self, layer: int) -> QParams:
        if self._learned:
            return replace(self._weight_qparams[layer], scale=self._scales[layer])
        return self._quantizers[layer][0].spanning(self.weights[layer])

    def _inputs_now(self, layer: int, x: Array | None = None) -> QParams:
        """The range of a layer's inputs; a batch ``x`` moves the average."""
        if self._learned:
            return replace(self._input_qparams[layer], scale=self._scales[self.shape.layers + layer])
        if x is not None:
            self._ranges[layer] = _averaged(self._ranges[layer], self._quantizers[layer][1].spanning(x))
        return self._quantizers[layer][1].of_range(*self._ranges[layer])

    def gradient(self, x: Array, labels: Array) -> float:
        """The loss of a batch as the quantized network has it; the gradient by all values goes into ``slopes``."""
        activation, layers = self.shape.activation, self.shape.layers
        self._scales = self._scales_now()
        inputs: list[Passed] = []
        weights: list[Passed] = []
        for i in range(layers):
            inputs.append(Passed(x, self._inputs_now(i, x)))
            weights.append(Passed(self.weights[i], self._weights_now(i)))
            x = inputs[i].x_hat @ weights[i].x_hat.T
            x += self.biases[i]
            if i < layers - 1:
                activate(x, activation)
        loss, delta = cross_entropy(x, labels)
        for i in range(layers - 1, -1, -1):
            slope = self._slopes.weights[i]
            np.matmul(delta.T, inputs[i].x_hat, out=slope)
            np.add.reduce(delta, axis=0, out=self._slopes.biases[i])
            self._learn_scale(i, weights[i], slope)
            slope *= weights[i].passes
            if i or self._learned:
                delta = delta @ weights[i].x_hat
                self._learn_scale(layers + i, inputs[i], delta)
            if i:
                delta *= inputs[i].passes
                through_activation(delta, inputs[i].x, activation)
        return loss

    def _learn_scale(self, index: int, passed: Passed, slope: Array) -> None:
        if self._learned:
            scale = passed.qparams.scale
            # ∂L/∂ln S = S · ∂L/∂S
            self._scale_slopes[index][...] = scale * scale_gradient(passed.x, passed.x_hat, passed.passes, slope, scale)


class Passed:
    """A value on its way through a quantizer."""

    __slots__ = ("passes", "qparams", "x", "x_hat")

    def __init__(self, x: Array, qparams: QParams) -> None:
        self.x, self.qparams = x, qparams
        self.x_hat, self.passes = pass_through(x, qparams)


def _averaged(old: tuple[Array, Array], seen: QParams) -> tuple[Array, Array]:
    low, high = (a * KEPT + b * (1 - KEPT) for a, b in zip(old, (seen.low, seen.high), strict=True))
    return low, high
