"""What is there to draw of a run? Curves, what the networks answer, and weights with their levels, all ready."""

from __future__ import annotations

import math
from dataclasses import astuple, fields
from typing import Any

import numpy as np

from qviz.core.arrays import Array
from qviz.core.frozen import frozen
from qviz.training.data import Dataset
from qviz.training.experiment import Experiment
from qviz.training.quantized_network import QuantizedNetwork
from qviz.training.run import DIVERGED, DONE, Checkpoint, Run

NETWORKS = ("float", "ptq", "qat")
"""The three that are compared."""

ALL = len(NETWORKS) + 1
"""Parts that a look has: what each network answers, and the weights."""

GRID = 64
"""Points of a map of answers, each way."""

BINS = 60
"""Of the histograms of weights."""


@frozen(eq=False)
class Answers:
    """What one network answers.

    Attributes
    ----------
    classes : uint8 array
        Over the plane, shape (GRID, GRID) with rows from the lowest y up, where rows of data are points;
        else empty.
    confusion : int array, shape (classes, classes)
        Test rows by label and answer.
    """

    classes: Array
    confusion: Array


@frozen(eq=False)
class LayerWeights:
    """The weights of one layer: histograms over the same edges, and the levels they are rounded to."""

    edges: Array
    counts: dict[str, Array]
    levels: dict[str, Array]


@frozen(eq=False)
class Snapshot:
    """One frozen moment of a run.

    Attributes
    ----------
    curves : dict of str to float64 array
        One entry a checkpoint, by the names of `Checkpoint`'s fields.
    answers : dict of str to Answers
        Of the networks that there are.
    weights : tuple of LayerWeights
    extent : (left, right, bottom, top)
        Of the map of answers.
    """

    experiment: Experiment
    dataset: Dataset
    phase: str
    diverged_in: str
    step: int
    steps: int
    curves: dict[str, Array]
    answers: dict[str, Answers]
    weights: tuple[LayerWeights, ...]
    extent: tuple[float, float, float, float]

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.phase in (DONE, DIVERGED)

    @property
    def last(self) -> dict[str, float]:
        """The figures of the last checkpoint."""
        return {name: float(values[-1]) for name, values in self.curves.items()}


class Observer:
    """Looks at a run without changing it."""

    def __init__(self, run: Run) -> None:
        self.run = run
        x = np.concatenate((run.dataset.x_train, run.dataset.x_test))
        self._plane = run.dataset.features == 2
        self._extent = _extent(x) if self._plane else (0.0, 1.0, 0.0, 1.0)
        left, right, bottom, top = self._extent
        across, up = (
            low + (np.arange(GRID) + 0.5) * (high - low) / GRID for low, high in ((left, right), (bottom, top))
        )
        grid = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
        self._grid = grid.astype(np.float32)
        self._turn = 0
        self._resting: set[str] = set()
        self._answers: dict[str, Answers] = {}
        self._weights: tuple[LayerWeights, ...] = ()

    def look(self, parts: int = ALL) -> Snapshot:
        """The moment there is now.

        Parameters
        ----------
        parts : int
            How many of the networks' answers, and of the weights, are looked at anew: they take turns, for they
            take as long as many steps. Curves are always those of now.
        """
        with np.errstate(all="ignore"):
            if parts >= ALL or not self._weights:
                for turn in range(ALL):
                    if not self._idle(turn):
                        self._ask(turn)
            else:
                for _ in range(parts):
                    while self._idle(self._turn):
                        self._turn = (self._turn + 1) % ALL
                    self._ask(self._turn)
                    self._turn = (self._turn + 1) % ALL
        run = self.run
        columns = np.array([astuple(c) for c in run.checkpoints], np.float64).T
        names = [f.name for f in fields(Checkpoint)]
        return Snapshot(
            run.experiment,
            run.dataset,
            run.phase,
            run.diverged_in,
            run.step,
            run.steps,
            dict(zip(names, columns, strict=True)),
            self._answers,
            self._weights,
            self._extent,
        )

    def _idle(self, turn: int) -> bool:
        """Whether a part is as it was: its training has not begun, or it had its last turn."""
        begun = self.run.quantization_aware() is not None
        name = (*NETWORKS, "weights")[turn]
        return not begun if name == "qat" else begun and name in self._resting

    def _ask(self, turn: int) -> None:
        run = self.run
        post, aware = run.post_training(), run.quantization_aware()
        if turn == len(NETWORKS):
            weights, _ = run.float_weights()
            self._weights = tuple(_weights_of(i, w, post, aware) for i, w in enumerate(weights))
            return
        name = NETWORKS[turn]
        if aware is not None:
            self._resting.add(name)
        network = {"float": run.float_logits, "ptq": post and post.logits, "qat": aware and aware.logits}[name]
        if network is not None:
            self._answers = {**self._answers, name: self._answers_of(network)}

    def _answers_of(self, logits: Any) -> Answers:
        data = self.run.dataset
        classes = np.empty((0, 0), np.uint8)
        if self._plane:
            classes = logits(self._grid).argmax(axis=1).astype(np.uint8).reshape(GRID, GRID)
        given = logits(data.x_test).argmax(axis=1)
        pairs = np.bincount(data.y_test * data.classes + given, minlength=data.classes**2)
        return Answers(classes, pairs.reshape(data.classes, data.classes))


def _extent(x: Array) -> tuple[float, float, float, float]:
    low, high = x.min(axis=0), x.max(axis=0)
    margin = 0.05 * np.maximum(high - low, 1e-6)
    low, high = low - margin, high + margin
    return float(low[0]), float(high[0]), float(low[1]), float(high[1])


def _weights_of(
    layer: int, weights: Array, post: QuantizedNetwork | None, aware: QuantizedNetwork | None
) -> LayerWeights:
    found = {"float": weights}
    levels: dict[str, Array] = {}
    for name, network in (("ptq", post), ("qat", aware)):
        if network is not None:
            levels[name] = np.unique(network.weight_qparams[layer].levels())
    if aware is not None:
        found["qat"] = aware.weights[layer]
    finite = {name: w[np.isfinite(w)] for name, w in found.items()}
    reach = max((float(np.abs(w).max(initial=0)) for w in finite.values()), default=0.0)
    reach = reach if 0 < reach < math.inf else 1.0
    edges = np.linspace(-reach, reach, BINS + 1)
    counts = {name: np.histogram(w, edges)[0] for name, w in finite.items()}
    return LayerWeights(edges, counts, levels)
