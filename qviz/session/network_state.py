"""What is chosen on the Model page at one moment, and what has been measured of it?"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from qviz.core.formats.integers import IntFormat
from qviz.core.frozen import frozen
from qviz.core.problems import Phrase
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerAxis
from qviz.models.data import FileSamples
from qviz.models.data_settings import DataSettings
from qviz.models.latency import Latency, NodeTime
from qviz.models.output_figures import OutputFigures
from qviz.models.preparation import Prepared
from qviz.models.preparation_steps import NO_CHOICES, Choices
from qviz.models.ptq import Outcome
from qviz.models.units import Unit, units_by_group, units_by_node
from qviz.models.weights import Weight

FIRST_SCHEME = Scheme(IntFormat(8), granularity=PerAxis(0))
RANDOM_SAMPLES = 4
CODES = IntFormat(8, signed=False)
"""Of activations, where they are quantized."""


@frozen(eq=False)
class NetworkState:
    """One frozen moment of the Model page.

    Attributes
    ----------
    path : Path or None
        The file that was chosen.
    choices : Choices
    prepared : Prepared or None
    paths : tuple of Path
        Where samples are read from.
    settings : DataSettings
    samples : FileSamples or None
        All of them; the figures come from those that are held out.
    scheme : Scheme
        Of all weights that have none of their own.
    own : mapping of str to (Scheme or None)
        Of single weights, by name; None for float.
    activations : bool
        Whether what enters Conv, MatMul and Gemm is quantized too.
    by_group : bool
        Whether layers are taken together by the modules that they are in.
    calibration_share : float
        Of the samples, for ranges; figures come from the others.
    """

    path: Path | None = None
    choices: Choices = NO_CHOICES
    prepared: Prepared | None = None
    paths: tuple[Path, ...] = ()
    settings: DataSettings = field(default_factory=DataSettings)
    samples: FileSamples | None = None
    scheme: Scheme = FIRST_SCHEME
    own: Mapping[str, Scheme | None] = field(default_factory=dict)
    activations: bool = False
    by_group: bool = False
    calibration_share: float = 0.5

    def split(self) -> tuple[FileSamples, FileSamples]:
        """The samples to calibrate on, and those that are held out."""
        assert self.samples is not None
        return self.samples.split(self.calibration_share)

    @property
    def ready(self) -> bool:
        """Whether there is a network without open dimensions, and something to feed it."""
        network = self.prepared.network if self.prepared is not None else None
        return network is not None and self.samples is not None and not any(p.open_dimensions for p in network.inputs)


@frozen(eq=False)
class Whole:
    """What is left of the output with everything quantized as chosen.

    Attributes
    ----------
    sqnr_db : float
        Of all outputs, in dB; higher is better.
    outputs : tuple of OutputFigures
    quantized_bytes, float_bytes : float
        Of the weights.
    samples : int
        Held-out ones that have been run.
    random : bool
        Whether these are noise.
    all_samples : int
        How many are held out.
    not_finite : tuple of Phrase
        What of the weights, the samples and the answers is NaN or infinite, and counted by no figure.
    """

    sqnr_db: float
    outputs: tuple[OutputFigures, ...]
    quantized_bytes: float
    float_bytes: float
    samples: int
    random: bool
    all_samples: int
    not_finite: tuple[Phrase, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every sample that is held out has been run."""
        return self.samples == self.all_samples


@frozen(eq=False)
class DeployedRun:
    """A network that was quantized for the runtime, and what that cost and gained.

    Attributes
    ----------
    outcome : Outcome
    sqnr_db : float or None
        Of the deployed output on held-out samples; None without samples.
    outputs : tuple of OutputFigures
    latency : Latency or None
    float_times, times : tuples of NodeTime
        Where the time of a run goes, in the order in which nodes run.
    reasons : tuple of Phrase
        Why it is not faster, where it is not.
    random : bool
    memory : tuple of int, or None
        Bytes that the float network and this one add to a process that loads and runs them; None where not measured.
    batch : int
        Of the samples: the length of the first input's first axis.
    network : str
        The path of the float network.
    key : str
        What its figures are kept under.
    """

    outcome: Outcome
    sqnr_db: float | None
    outputs: tuple[OutputFigures, ...]
    latency: Latency | None
    float_times: tuple[NodeTime, ...]
    times: tuple[NodeTime, ...]
    reasons: tuple[Phrase, ...]
    random: bool
    memory: tuple[int, int] | None = None
    batch: int = 1
    network: str = ""
    key: str = field(default_factory=lambda: f"{time.time_ns():020d}-{os.urandom(4).hex()}")

    @property
    def moment(self) -> float | None:
        """When it was measured, in seconds since 1970; None where its key does not tell."""
        digits = self.key.partition("-")[0]
        return int(digits) / 1e9 if digits.isdecimal() and len(digits) == 20 else None


def name_of(path: Path | None) -> str:
    """What runs call the float network that they were made of."""
    return "" if path is None else str(path.absolute())


def units_of(state: NetworkState) -> tuple[Unit, ...]:
    assert state.prepared is not None
    return (units_by_group if state.by_group else units_by_node)(state.prepared.network, state.activations)


def weights_of_units(state: NetworkState) -> list[Weight]:
    return [weight for unit in units_of(state) for weight in unit.weights]


def is_as_before(unit: Unit, old: NetworkState, new: NetworkState) -> bool:
    """Whether a layer, quantized alone, answers in both what it answers in one: its weights have their schemes."""
    given = ("prepared", "samples", "activations", "calibration_share", "by_group")
    return all(getattr(old, name) is getattr(new, name) for name in given) and all(
        old.own.get(weight.name, old.scheme) == new.own.get(weight.name, new.scheme) for weight in unit.weights
    )
