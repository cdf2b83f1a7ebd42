"""What do several seeds agree on, and what does each bit buy? Experiments run again and again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from qviz.core.arrays import Array
from qviz.core.frozen import frozen
from qviz.core.work import IsCancelled, Progress, ignore, never
from qviz.training.experiment import Experiment
from qviz.training.run import Checkpoint, Run
from qviz.training.settings import BITS

ACCURACIES = ("float_accuracy", "ptq_accuracy", "qat_accuracy")


@frozen
class Spread:
    """The test accuracies of one network over several seeds.

    Attributes
    ----------
    values : tuple of float
        One a seed; NaN where a training diverged.
    mean, std : float
        Of those that did not; the standard deviation of a sample (n − 1), 0 for a single one.
    """

    values: tuple[float, ...]

    @property
    def finite(self) -> Array:
        found = np.array(self.values, np.float64)
        return found[np.isfinite(found)]

    @property
    def mean(self) -> float:
        return float(self.finite.mean()) if self.finite.size else math.nan

    @property
    def std(self) -> float:
        return float(self.finite.std(ddof=1)) if self.finite.size > 1 else 0.0 if self.finite.size else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with null for what there is not."""
        return {"mean": _known(self.mean), "std": _known(self.std), "values": [_known(v) for v in self.values]}


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


@frozen
class Summary:
    """What became of an experiment under several seeds."""

    experiment: Experiment
    float_accuracy: Spread
    ptq_accuracy: Spread
    qat_accuracy: Spread
    diverged: int

    @property
    def recovered(self) -> float:
        """(QAT − PTQ) / (float − PTQ), of the means: the share of the loss that training won back; NaN without one."""
        lost = self.float_accuracy.mean - self.ptq_accuracy.mean
        return (self.qat_accuracy.mean - self.ptq_accuracy.mean) / lost if lost > 0 else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "data": self.experiment.data.kind,
            "weight_bits": self.experiment.quantization.weight_bits,
            "activation_bits": self.experiment.quantization.activation_bits,
            "seeds": len(self.float_accuracy.values),
            **{name: getattr(self, name).to_dict() for name in ACCURACIES},
            "recovered": _known(self.recovered),
            "diverged": self.diverged,
            "experiment": self.experiment.to_dict(),
        }


def summary_of(experiment: Experiment, ends: Sequence[Checkpoint], diverged: int = 0) -> Summary:
    """The summary of how several runs ended."""
    spreads = [Spread(tuple(getattr(end, name) for end in ends)) for name in ACCURACIES]
    return Summary(experiment, spreads[0], spreads[1], spreads[2], diverged)


def run_seeds(
    experiment: Experiment, seeds: int, *, progress: Progress = ignore, cancelled: IsCancelled = never
) -> Summary:
    """Run an experiment under its own seed and the ones after it, each with data of its own.

    Raises
    ------
    Problem
        When a data file cannot be used.
    Cancelled
        When asked to stop.
    """
    ends, diverged = [], 0
    for offset in range(seeds):
        run = Run(experiment.with_seed(offset))

        def tell(part: float, offset: int = offset) -> None:
            progress((offset + part) / seeds)

        ends.append(run.complete(progress=tell, cancelled=cancelled))
        diverged += bool(run.diverged_in)
    return summary_of(experiment, ends, diverged)


def sweep(
    experiment: Experiment, seeds: int, bits: Sequence[int] = BITS, *, cancelled: IsCancelled = never
) -> Iterator[tuple[float, list[Summary]]]:
    """Train at each bit width under several seeds; yields the share that is done, and what is known by then.

    Weights and activations get the same number of bits. The float network of a seed is trained once.

    Raises
    ------
    Problem
        When a data file cannot be used.
    Cancelled
        When asked to stop.
    """
    ends: dict[int, list[Checkpoint]] = {b: [] for b in bits}
    diverged = dict.fromkeys(bits, 0)
    done, whole = 0, seeds * len(bits)
    for offset in range(seeds):
        trained: Run | None = None
        for b in bits:
            run = Run(experiment.with_seed(offset).at_bits(b), trained.dataset if trained else None)
            if trained is None:
                trained = run
            else:
                run.follow(trained)
            ends[b].append(run.complete(cancelled=cancelled))
            diverged[b] += bool(run.diverged_in)
            done += 1
            yield done / whole, [summary_of(experiment.at_bits(b), ends[b], diverged[b]) for b in bits if ends[b]]
