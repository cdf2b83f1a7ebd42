"""What exactly is trained? One frozen value, which gives the same result wherever it is run again."""

from __future__ import annotations

import math
from dataclasses import field, replace
from typing import Any

from qviz.core import Problem
from qviz.core.frozen import frozen
from qviz.core.plain import from_plain, to_plain
from qviz.training.data import Data
from qviz.training.network import ACTIVATIONS
from qviz.training.optimizers import OPTIMIZERS
from qviz.training.settings import Quantization

WIDEST, DEEPEST, LONGEST = 512, 8, 1_000_000


@frozen
class Training:
    """How a network learns.

    Parameters
    ----------
    optimizer : str
        A key of `OPTIMIZERS`.
    learning_rate, fine_tuning_rate : float
        Of the float network, and of quantization-aware training, which goes on from its weights.
    momentum : float
        Of SGD; β₁ of Adam.
    batch : int
        Rows in a step.
    steps, fine_tuning_steps : int
        Of the two phases.
    decay : bool
        Whether the rate falls to 0 along a cosine, in each phase.

    Raises
    ------
    Problem
        When a number is out of range or the optimizer unknown.
    """

    optimizer: str = "adam"
    learning_rate: float = 0.005
    fine_tuning_rate: float = 0.005
    momentum: float = 0.9
    batch: int = 128
    steps: int = 2000
    fine_tuning_steps: int = 2000
    decay: bool = True

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise Problem(
                "There is no optimizer “{optimizer}”: choose one of {choices}.",
                optimizer=self.optimizer,
                choices=", ".join(OPTIMIZERS),
            )
        for rate in (self.learning_rate, self.fine_tuning_rate):
            if not (math.isfinite(rate) and 0 < rate <= 1e6):
                raise Problem(
                    "Nothing can be learned at a rate of {rate:g}: choose one above 0, up to 1,000,000.", rate=rate
                )
        if not 0 <= self.momentum < 1:
            raise Problem(
                "A momentum of {momentum:g} never comes to rest: choose 0 or more, below 1.", momentum=self.momentum
            )
        if not 1 <= self.batch <= 65_536:
            raise Problem("A batch of {batch:,} rows cannot be trained on: choose 1 to 65,536.", batch=self.batch)
        for steps in (self.steps, self.fine_tuning_steps):
            if not 1 <= steps <= LONGEST:
                raise Problem(
                    "{steps:,} steps cannot be trained: choose 1 to {longest:,}.", steps=steps, longest=LONGEST
                )


@frozen
class Experiment:
    """Data, network, quantization and training, with every seed.

    Parameters
    ----------
    data : Data
    hidden : tuple of int
        The widths of the hidden layers: 1 to 8 layers of 1 to 512.
    activation : str
        ``"relu"`` or ``"tanh"``.
    quantization : Quantization
    training : Training
    seed : int
        Of the first weights and of the order of the rows.

    Raises
    ------
    Problem
        When a number is out of range or a name unknown.
    """

    data: Data = field(default_factory=Data)
    hidden: tuple[int, ...] = (48, 48, 48)
    activation: str = "relu"
    quantization: Quantization = field(default_factory=Quantization)
    training: Training = field(default_factory=Training)
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= len(self.hidden) <= DEEPEST or not all(1 <= n <= WIDEST for n in self.hidden):
            raise Problem(
                "Hidden layers of {hidden} cannot be built: give 1 to 8 layers of 1 to 512 neurons.", hidden=self.hidden
            )
        if self.activation not in ACTIVATIONS:
            raise Problem(
                "There is no activation “{activation}”: choose one of {choices}.",
                activation=self.activation,
                choices=", ".join(ACTIVATIONS),
            )
        if self.seed < 0:
            raise Problem("A seed of {seed} cannot be used: choose 0 or more.", seed=self.seed)

    def with_seed(self, offset: int) -> Experiment:
        """The same experiment on other data, from other weights, in another order."""
        return replace(self, seed=self.seed + offset, data=replace(self.data, seed=self.data.seed + offset))

    def at_bits(self, bits: int) -> Experiment:
        """The same experiment with so many bits for weights and activations."""
        return replace(self, quantization=replace(self.quantization, weight_bits=bits, activation_bits=bits))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `Experiment.from_dict` takes them back."""
        return to_plain(self)

    @classmethod
    def from_dict(cls, data: object) -> Experiment:
        """The experiment that `to_dict` wrote; what is left out is as by default.

        Raises
        ------
        Problem
            When a part is unknown or out of range.
        """
        return from_plain(cls, data, "experiment")
