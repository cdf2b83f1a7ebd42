"""How are the weights and activations of a network quantized, while it is trained and after?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from qviz.core import IntFormat, MinMax, PerAxis, PerTensor, Problem, QParams, Scheme, choose_qparams
from qviz.core.arithmetic.scaling import qparams_from_range
from qviz.core.arrays import Array
from qviz.core.frozen import frozen
from qviz.core.ranges.known import Known
from qviz.core.ranges.rules import Manual
from qviz.core.ranges.table import RANGE_RULES

BITS = range(1, 9)
"""Bit widths that can be trained at."""

RANGES = ("learned", "minmax")
"""How ranges are found while training: learned step sizes, or min–max with a moving average."""

POST_TRAINING_RANGES = tuple(kind for kind in RANGE_RULES if kind not in (Manual.kind, Known.kind))
"""How they are found after training."""

END_BITS = 8
"""Of the first and the last layer, where they are spared."""

CONVENTION = "onnxruntime"
"""Whose arithmetic a network is trained in: that of the runtime it can be exported to."""

ROWS = PerAxis(0)
"""Weights have the shape (outputs, inputs): one scale for each output."""


@frozen
class Quantization:
    """Bits, granularity and ranges of a whole network.

    One bit has two levels and rules of its own. Weights, and symmetric activations, become ±mean\\|w\\| (binary
    weights after Rastegari et al., *XNOR-Net*, 2016); asymmetric activations become the lowest or the highest
    of their range, whichever is nearer.

    Parameters
    ----------
    weight_bits, activation_bits : int
        1 to 8.
    weight_symmetric, activation_symmetric : bool
        Symmetric codes are signed, asymmetric ones unsigned. What comes out of ReLU is never negative:
        symmetric activations waste half of their codes.
    per_axis : bool
        A scale for each output of a layer instead of one for all its weights; activations have one scale.
    spare_ends : bool
        Whether the first and the last layer stay at 8 bits (or at more bits than that, if asked).
    ranges : str
        While training: ``"learned"`` step sizes, or ``"minmax"``: of the weights in each step, and a moving
        average for the activations.
    post_training_range : str
        After training: a range estimator of `qviz.core` (``"minmax"``, ``"percentile"``, ``"mse"``, ``"entropy"``).

    Raises
    ------
    Problem
        When a number is out of range or a name unknown.
    """

    weight_bits: int = 2
    activation_bits: int = 4
    weight_symmetric: bool = True
    activation_symmetric: bool = False
    per_axis: bool = False
    spare_ends: bool = True
    ranges: str = "learned"
    post_training_range: str = MinMax.kind

    def __post_init__(self) -> None:
        for name, bits in (("weights", self.weight_bits), ("activations", self.activation_bits)):
            if bits not in BITS:
                raise Problem("{bits} bits for {name} cannot be trained: choose from 1 to 8.", bits=bits, name=name)
        if self.ranges not in RANGES:
            raise Problem(
                "There are no ranges “{ranges}” to train with: choose one of {choices}.",
                ranges=self.ranges,
                choices=", ".join(RANGES),
            )
        if self.post_training_range not in POST_TRAINING_RANGES:
            names = ", ".join(POST_TRAINING_RANGES)
            raise Problem(
                "There is no range estimator “{post_training_range}”: choose one of {names}.",
                post_training_range=self.post_training_range,
                names=names,
            )

    def of_layer(self, index: int, layers: int) -> tuple[Quantizer, Quantizer]:
        """The quantizers of one layer's weights and of what goes into it."""
        spared = self.spare_ends and index in (0, layers - 1)
        weight_bits, activation_bits = (
            max(bits, END_BITS) if spared else bits for bits in (self.weight_bits, self.activation_bits)
        )
        rule = RANGE_RULES[self.post_training_range]()
        granularity = ROWS if self.per_axis else PerTensor()
        weights = Quantizer(
            weight_bits, _scheme(weight_bits, self.weight_symmetric or weight_bits == 1, granularity, rule)
        )
        inputs = Quantizer(activation_bits, _scheme(activation_bits, self.activation_symmetric, PerTensor(), rule))
        return weights, inputs


def _scheme(bits: int, symmetric: bool, granularity: PerTensor | PerAxis, rule: Any) -> Scheme:
    if bits == 1:
        # Two of the codes of a two-bit format, and a real zero point between them.
        return Scheme(IntFormat(2, signed=False), symmetric, granularity, rule, "textbook")
    return Scheme(IntFormat(bits, signed=symmetric), symmetric, granularity, rule, CONVENTION)


@frozen
class Quantizer:
    """How one array is quantized, whatever its values: the bits, and the scheme that core is given."""

    bits: int
    scheme: Scheme

    @property
    def symmetric(self) -> bool:
        return self.scheme.symmetric

    @property
    def per_axis(self) -> bool:
        return isinstance(self.scheme.granularity, PerAxis)

    def calibrated(self, x: Array) -> QParams:
        """Scale and zero point for all of ``x``, by the range estimator of the scheme.

        Raises
        ------
        Problem
            When ``x`` holds nothing finite.
        """
        if self.bits > 1:
            return choose_qparams(x, self.scheme)
        if self.symmetric:
            return self._binary(x)
        q = choose_qparams(x, self.scheme)
        return self.of_range(q.low, q.high)

    def spanning(self, x: Array) -> QParams:
        """The same from the smallest value to the largest, quickly: for each step of a training."""
        if self.bits == 1 and self.symmetric:
            return self._binary(x)
        axis = 1 if self.per_axis else None
        return self.of_range(x.min(axis=axis), x.max(axis=axis))

    def of_range(self, low: Array, high: Array) -> QParams:
        """Scale and zero point for a known range."""
        q = qparams_from_range(low, high, self.scheme)
        if self.bits > 1:
            return q
        width = q.high - q.low
        width = np.asarray(np.where(width > 0, width, 1), np.float32)  # a constant is its own lowest level
        return replace(q, scale=width, zero_point=np.asarray(0 - q.low / width), quant_max=1)

    def _binary(self, x: Array) -> QParams:
        mean = np.abs(x).mean(axis=1 if self.per_axis else None, dtype=np.float32)
        return self.of_range(-mean, mean)

    def learner(self, x: Array) -> QParams:
        """Where a learned step size starts: at S = 2·mean\\|x\\|/√quant_max, as Esser et al. (2020) have it.

        It starts at min–max where that is less (at many bits, codes would be left over), and where values lie
        on both sides of an asymmetric zero point. Z is that of min–max.
        """
        q = self.calibrated(x) if self.bits == 1 else self.spanning(x)
        if self.bits == 1 or not (self.symmetric or float(q.zero_point.max()) == 0):
            return q
        mean = np.abs(x).mean(axis=1 if self.per_axis else None, dtype=np.float32)
        scale = np.maximum(2 * mean / np.sqrt(np.float32(q.quant_max)), np.float32(1e-6))
        return replace(q, scale=np.asarray(np.minimum(scale, q.scale), np.float32))
