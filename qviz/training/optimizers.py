"""How are parameters moved along a gradient? By momentum SGD or Adam, slowed down along a cosine; one flat array."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from qviz.core.arrays import Array


class Optimizer(Protocol):
    """What a training asks of an optimizer."""

    def step(self, values: Array, gradient: Array, rate: float) -> None:
        """Change ``values`` in place."""
        ...


class Sgd:
    """Stochastic gradient descent with momentum (Polyak): v ← μ·v + g, θ ← θ − η·v."""

    def __init__(self, count: int, momentum: float = 0.9, dtype: Any = np.float32) -> None:
        self._velocity = np.zeros(count, dtype)
        self._momentum = momentum

    def step(self, values: Array, gradient: Array, rate: float) -> None:
        """Change ``values`` in place."""
        self._velocity *= self._momentum
        self._velocity += gradient
        values -= self._velocity * np.asarray(rate, values.dtype)


class Adam:
    """Adam (Kingma and Ba, 2015), with bias correction: β₁ is the momentum, β₂ = 0.999, ε = 1e-8."""

    def __init__(self, count: int, momentum: float = 0.9, dtype: Any = np.float32) -> None:
        self._mean, self._square = np.zeros(count, dtype), np.zeros(count, dtype)
        self._buffer = np.empty(count, dtype)
        self._betas = momentum, 0.999
        self._steps = 0

    def step(self, values: Array, gradient: Array, rate: float) -> None:
        """Change ``values`` in place."""
        self._steps += 1
        first, second = self._betas
        buffer, dtype = self._buffer, values.dtype
        self._mean *= first
        np.multiply(gradient, dtype.type(1 - first), out=buffer)
        self._mean += buffer
        self._square *= second
        np.multiply(gradient, gradient, out=buffer)
        buffer *= 1 - second
        self._square += buffer
        np.sqrt(self._square, out=buffer)
        buffer /= math.sqrt(1 - second**self._steps)
        buffer += 1e-8
        np.divide(self._mean, buffer, out=buffer)
        buffer *= rate / (1 - first**self._steps)
        values -= buffer


OPTIMIZERS: dict[str, type[Sgd] | type[Adam]] = {"adam": Adam, "sgd": Sgd}
"""Every optimizer by name; a new one is a class and a row."""


def cosine(step: int, steps: int) -> float:
    """What share of the rate is left at a step: from 1 down to 0 along half a cosine (Loshchilov and Hutter, 2017)."""
    return 0.5 * (1 + math.cos(math.pi * step / max(steps, 1)))
