"""How does one experiment go, step by step? First in float, then quantization-aware from the float weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from qviz.core.arrays import Array
from qviz.core.frozen import frozen
from qviz.core.questions.effort import SEARCHES
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.training.data import Dataset
from qviz.training.experiment import Experiment
from qviz.training.network import Shape, Slopes, forward, gradient, loss_and_accuracy
from qviz.training.optimizers import OPTIMIZERS, Adam, Optimizer, Sgd, cosine
from qviz.training.quantized_network import QuantizationAware, QuantizedNetwork, quantized_after_training

CHECKPOINT = 25
"""Steps from one checkpoint to the next: there, test loss and accuracy are measured."""

RARELY = 20
"""Checkpoints between two looks at PTQ where its range estimator searches: that takes as long as 1,000 steps."""

CALIBRATION_ROWS = 1024
"""Rows of the training data that ranges are calibrated on."""

HOPELESS, BEYOND_HOPE = 20.0, 100.0
"""A mean loss between two checkpoints, or the loss of one batch, of so many times that of guessing is called
divergence; so is what is not finite."""

TRAINING_FLOAT, TRAINING_QUANTIZED, DONE, DIVERGED = "float", "qat", "done", "diverged"

NAN = math.nan


@frozen
class Checkpoint:
    """What a checkpoint found on the test data; NaN where there is no such network, or none that is finite.

    Attributes
    ----------
    step : int
        Steps since the beginning, of both phases.
    float_loss, ptq_loss, qat_loss : float
        Mean cross-entropy, in nats.
    float_accuracy, ptq_accuracy, qat_accuracy : float
        Shares, 0 to 1.
    """

    step: int
    float_loss: float = NAN
    ptq_loss: float = NAN
    qat_loss: float = NAN
    float_accuracy: float = NAN
    ptq_accuracy: float = NAN
    qat_accuracy: float = NAN


class Run:
    """An experiment under way.

    Equal experiments give equal results bit for bit, on one machine with one NumPy, however they are cut
    into pieces by `advance`.

    Parameters
    ----------
    experiment : Experiment
    dataset : Dataset, optional
        Its data, if somebody has loaded them already.

    Attributes
    ----------
    phase : str
        ``"float"``, ``"qat"``, ``"done"`` or ``"diverged"``.
    diverged_in : str
        The phase it diverged in; empty if it did not.
    step : int
        How many steps have been done, of both phases.
    checkpoints : list of Checkpoint
        The first is before the first step.

    Raises
    ------
    Problem
        When a data file cannot be used.
    """

    def __init__(self, experiment: Experiment, dataset: Dataset | None = None) -> None:
        self.experiment = experiment
        self.dataset = dataset or experiment.data.load()
        data = self.dataset
        self.shape = Shape((data.features, *experiment.hidden, data.classes), experiment.activation)
        rng = np.random.default_rng([experiment.seed, 2])
        self._flat = self.shape.initial(rng)
        self._weights, self._biases = self.shape.views(self._flat)
        self._slopes = Slopes(self.shape, np.zeros_like(self._flat))
        self._batches = self._new_batches(rng)
        self._optimizer = self._new_optimizer(self._flat.size)
        self._aware: QuantizationAware | None = None
        self._post: QuantizedNetwork | None = None
        self._calibration = data.x_train[:CALIBRATION_ROWS]
        self._losses: list[float] = []
        self.phase = TRAINING_FLOAT
        self.diverged_in = ""
        self.step = 0
        self.checkpoints: list[Checkpoint] = []
        with np.errstate(all="ignore"):
            self._look()

    def _new_optimizer(self, count: int) -> Optimizer:
        training = self.experiment.training
        kind: type[Sgd] | type[Adam] = OPTIMIZERS[training.optimizer]
        return kind(count, training.momentum)

    def _new_batches(self, rng: np.random.Generator) -> Iterator[Array]:
        return _batches(self.dataset.y_train.size, self.experiment.training.batch, rng)

    @classmethod
    def restored(
        cls,
        experiment: Experiment,
        dataset: Dataset,
        checkpoints: list[Checkpoint],
        learned: Mapping[str, Array],
        diverged_in: str,
    ) -> Run:
        """A run as it came to its end: what `learned` gave, its checkpoints, and the phase it diverged in, if it did.

        Raises
        ------
        ValueError, LookupError
            When that is not of such an experiment.
        """
        run = cls(experiment, dataset)
        flat = np.asarray(learned["float"], np.float32)
        if flat.shape != run._flat.shape or not checkpoints:
            raise ValueError("not what such a network learns")
        run._flat[...] = flat
        with np.errstate(all="ignore"):
            quantization = experiment.quantization
            run._post = None
            if run._is_finite():
                run._post = quantized_after_training(run.shape, run._flat, quantization, run._calibration)
            if "aware" in learned:
                run._aware = QuantizationAware(run.shape, quantization, run._flat, run._calibration)
                run._aware.put_back(learned)
        run.checkpoints, run.step = list(checkpoints), checkpoints[-1].step
        run.diverged_in, run.phase = diverged_in, DIVERGED if diverged_in else DONE
        return run

    def learned(self) -> dict[str, Array]:
        """All that has been learned, by name, as `restored` takes it back; float32."""
        found = {"float": self._flat.copy()}
        return found if self._aware is None else {**found, **self._aware.learned()}

    # -- what there is to ask

    @property
    def steps(self) -> int:
        """How many steps both phases have."""
        return self.experiment.training.steps + self.experiment.training.fine_tuning_steps

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.phase in (DONE, DIVERGED)

    def float_logits(self, x: Array) -> Array:
        """What the float network answers."""
        return forward(x, self._weights, self._biases, self.shape.activation)

    def float_weights(self) -> tuple[list[Array], list[Array]]:
        """Weights, shape (outputs, inputs), and biases of the float network, as they are now."""
        return [w.copy() for w in self._weights], [b.copy() for b in self._biases]

    def post_training(self) -> QuantizedNetwork | None:
        """The float network of the last checkpoint, quantized; None where it was not finite."""
        return self._post

    def quantization_aware(self) -> QuantizedNetwork | None:
        """The network trained so, as it is now; None before that begins."""
        with np.errstate(all="ignore"):
            return None if self._aware is None else self._aware.network()

    # -- going on

    def advance(self, steps: int, *, cancelled: IsCancelled = never) -> None:
        """Do up to so many steps, fewer at the end.

        Raises
        ------
        Cancelled
            When asked to stop: between two steps, after which one may go on.
        """
        with np.errstate(all="ignore"):
            for _ in range(steps):
                if self.finished:
                    return
                check(cancelled)
                self._step()

    def complete(self, *, progress: Progress = ignore, cancelled: IsCancelled = never) -> Checkpoint:
        """Go on to the end, and give what was found there.

        Raises
        ------
        Cancelled
            When asked to stop.
        """
        while not self.finished:
            self.advance(CHECKPOINT, cancelled=cancelled)
            progress(self.step / self.steps)
        return self.checkpoints[-1]

    def follow(self, other: Run) -> None:
        """Take over the float network of a run that differs in quantization alone, instead of training it again."""
        if other.diverged_in == TRAINING_FLOAT:
            self.phase, self.diverged_in, self.checkpoints = DIVERGED, TRAINING_FLOAT, list(other.checkpoints)
            return
        self._flat[...] = other._flat
        self.step, self.checkpoints = self.experiment.training.steps, []
        with np.errstate(all="ignore"):
            self._look()
            self._turn(at_the_end=True)

    def _step(self) -> None:
        training = self.experiment.training
        rows = next(self._batches)
        x, y = self.dataset.x_train[rows], self.dataset.y_train[rows]
        if self._aware is None:
            share = cosine(self.step, training.steps) if training.decay else 1.0
            loss = gradient(x, y, self._weights, self._biases, self._slopes)
            self._optimizer.step(self._flat, self._slopes.flat, training.learning_rate * share)
        else:
            done = self.step - training.steps
            share = cosine(done, training.fine_tuning_steps) if training.decay else 1.0
            loss = self._aware.gradient(x, y)
            self._optimizer.step(self._aware.values, self._aware.slopes, training.fine_tuning_rate * share)
        self.step += 1
        self._losses.append(loss)
        at_the_end = self.step in (training.steps, self.steps)
        lost = not loss <= BEYOND_HOPE * math.log(self.dataset.classes)
        if at_the_end or self.step % CHECKPOINT == 0 or lost:
            self._look()
            self._turn(at_the_end, lost)

    def _look(self) -> None:
        """Measure the networks that there are."""
        data, last = self.dataset, self.checkpoints[-1] if self.checkpoints else None
        if self._aware is not None and last is not None:
            found = loss_and_accuracy(self._aware.network().logits(data.x_test), data.y_test)
            qat = found if math.isfinite(found[0]) else (NAN, NAN)
            self.checkpoints.append(
                Checkpoint(
                    self.step, last.float_loss, last.ptq_loss, qat[0], last.float_accuracy, last.ptq_accuracy, qat[1]
                )
            )
            return
        plain = post = NAN, NAN
        known, self._post = self._post, None
        if self._is_finite():
            plain = loss_and_accuracy(self.float_logits(data.x_test), data.y_test)
            quantization = self.experiment.quantization
            searches = quantization.post_training_range in SEARCHES
            if searches and self.step % (RARELY * CHECKPOINT) and self.step != self.experiment.training.steps:
                self._post = known
            else:
                self._post = quantized_after_training(self.shape, self._flat, quantization, self._calibration)
                post = loss_and_accuracy(self._post.logits(data.x_test), data.y_test)
        self.checkpoints.append(Checkpoint(self.step, plain[0], post[0], NAN, plain[1], post[1]))

    def _is_finite(self) -> bool:
        return bool(
            np.isfinite(self._flat).all()
            and np.isfinite(self.float_logits(self._calibration)).all()
            and np.isfinite(self.float_logits(self.dataset.x_test)).all()
        )

    def _turn(self, at_the_end: bool, lost: bool = False) -> None:
        """Where the last steps lead: on, to the next phase, to the end, or nowhere."""
        mean, self._losses = sum(self._losses) / max(len(self._losses), 1), []
        values = self._flat if self._aware is None else self._aware.values
        hopeless = HOPELESS * math.log(self.dataset.classes)
        if lost or not (mean <= hopeless and np.isfinite(values).all()):
            self.diverged_in, self.phase = self.phase, DIVERGED
        elif at_the_end and self._aware is None and self._post is not None:
            self.phase = TRAINING_QUANTIZED
            quantization = self.experiment.quantization
            self._aware = QuantizationAware(self.shape, quantization, self._flat, self._calibration)
            self._optimizer = self._new_optimizer(self._aware.values.size)
            self._batches = self._new_batches(np.random.default_rng([self.experiment.seed, 3]))
        elif at_the_end:
            self.phase = DONE


def _batches(rows: int, batch: int, rng: np.random.Generator) -> Iterator[Array]:
    """Indices of the rows of each step; every row once in a round, the last ones that fill no batch left out."""
    batch = min(batch, rows)
    while True:
        order = rng.permutation(rows)
        for first in range(0, rows - batch + 1, batch):
            yield order[first : first + batch]
