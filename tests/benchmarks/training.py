"""What does quantization-aware training win back, and what does it cost beside a bare NumPy loop?"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import QApplication

from qviz.app.app import make_application
from qviz.gui.kit import theme
from qviz.gui.training.page import TrainingPage
from qviz.session.trainer import Trainer
from qviz.training import Data, Experiment, Quantization, Run, Summary, run_seeds
from qviz.training.quantized_network import QuantizationAware

SEEDS, ROUNDS = 10, 5

PROMISES = {"spirals": 0.95, "digits": 0.90}
"""The share of what quantizing after training loses that has to be won back, at 2-bit weights and 4-bit activations."""

FRAMES = 30
"""How many times a second the page shall be painted while it trains."""

SLOWER = 3.0
"""The most that fake quantization may cost, as a multiple of the bare loop."""


def measure(seeds: int = SEEDS, rounds: int = ROUNDS, steps: int | None = None) -> Iterator[str]:
    """Accuracies at the defaults and at 8 bits, then the time of a training's steps.

    Parameters
    ----------
    steps : int, optional
        Of each phase, and of the loops that are timed; the experiment's own otherwise.
    """
    yield f"test accuracy over {seeds} seeds, mean ± standard deviation:"
    yield ""
    yield "| data | weights / activations | float | PTQ | QAT | won back |"
    yield "|---|---|---:|---:|---:|---|"
    for kind, promised in PROMISES.items():
        for weights, activations in ((2, 4), (8, 8)):
            experiment = _experiment(kind, Quantization(weights, activations), steps)
            summary = run_seeds(experiment, seeds)
            won = _won(summary, promised) if weights == 2 else _agreement(summary)
            cells = " | ".join(
                f"{s.mean:.4f} ± {s.std:.4f}"
                for s in (summary.float_accuracy, summary.ptq_accuracy, summary.qat_accuracy)
            )
            yield f"| {kind} | {weights} / {activations} bits | {cells} | {won} |"
    yield ""
    yield from _times(rounds, steps)
    yield ""
    yield _frames(5.0 if steps is None else 0.3)


def _frames(seconds: float) -> str:
    """How often the page is painted while it trains at full speed, 1440 × 820 pixels of it."""
    application = QApplication.instance() or make_application()
    assert isinstance(application, QApplication)
    experiment = Experiment()
    endless = replace(experiment.training, steps=100_000, fine_tuning_steps=100_000)
    page = TrainingPage(Trainer(replace(experiment, training=endless)))
    chosen = theme.load_theme("dark")
    theme.apply(application, chosen)
    page.apply_theme(chosen)
    page.resize(1440, 820)
    page.show()
    _wait(0.5)
    moments: list[float] = []
    page.trainer.advanced.connect(lambda snapshot: moments.append(time.perf_counter()))
    page.trainer.start()
    _wait(seconds)
    page.trainer.close()
    step = page.trainer.snapshot.step if page.trainer.snapshot is not None else 0
    page.close()
    gaps = np.diff(moments)
    rate = 1 / float(gaps.mean())
    verdict = "met" if rate >= FRAMES else "not met"
    return (
        f"the page while it trains: {rate:.0f} frames a second (promised ≥ {FRAMES}: {verdict}), from frame to frame "
        f"{1e3 * float(np.median(gaps)):.0f} ms (95 %: {1e3 * float(np.percentile(gaps, 95)):.0f} ms), "
        f"{step / seconds:,.0f} steps a second"
    )


def _wait(seconds: float) -> None:
    loop = QEventLoop()
    QTimer.singleShot(round(1000 * seconds), loop.quit)
    loop.exec()


def _experiment(kind: str, quantization: Quantization, steps: int | None) -> Experiment:
    experiment = Experiment(Data(kind), quantization=quantization)
    if steps is None:
        return experiment
    return replace(experiment, training=replace(experiment.training, steps=steps, fine_tuning_steps=steps))


def _won(summary: Summary, promised: float) -> str:
    verdict = "met" if summary.recovered >= promised else "not met"
    return f"{100 * summary.recovered:.1f} % (promised ≥ {100 * promised:.0f} %: {verdict})"


def _agreement(summary: Summary) -> str:
    means = [s.mean for s in (summary.float_accuracy, summary.ptq_accuracy, summary.qat_accuracy)]
    return f"within {max(means) - min(means):.4f} of each other"


def _times(rounds: int, steps: int | None) -> Iterator[str]:
    experiment = Experiment()
    data = experiment.data.load()
    count = steps or experiment.training.steps
    ways: dict[str, Callable[[], float]] = {"bare": lambda: bare_loop(data, experiment, count)}
    for name in ("learned", "minmax"):
        changed = replace(experiment, quantization=replace(experiment.quantization, ranges=name))
        ways[name] = lambda changed=changed: _steps_of(changed, data, count)
    ways["page"] = lambda: _whole_run(experiment, data, count)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):  # in turn, so that what else the machine does falls on all
        for name, work in ways.items():
            seconds[name].append(work())
    bare = statistics.median(seconds["bare"])
    yield f"{count:,} steps of the default network, batches of {experiment.training.batch}, medians of {rounds}:"
    yield f"- a bare NumPy loop, float alone: {1e3 * bare:.0f} ms"
    for name, label in (("learned", "learned step sizes (the default)"), ("minmax", "min–max")):
        ratio = statistics.median(a / b for a, b in zip(seconds[name], seconds["bare"], strict=True))
        verdict = "met" if ratio <= SLOWER else "not met"
        yield f"- fake quantization, {label}: {ratio:.2f} × (promised ≤ {SLOWER:.0f} ×: {verdict})"
    ratio = statistics.median(a / b for a, b in zip(seconds["page"], seconds["bare"], strict=True))
    yield f"- the same with a checkpoint every 25 steps, as on the page: {ratio:.2f} ×"


def _steps_of(experiment: Experiment, data: Any, count: int) -> float:
    """Seconds of quantization-aware steps alone."""
    run = Run(experiment, data)
    aware = QuantizationAware(run.shape, experiment.quantization, run._flat, data.x_train[:1024])
    optimizer = run._new_optimizer(aware.values.size)
    start = time.perf_counter()
    for _ in range(count):
        rows = next(run._batches)
        aware.gradient(data.x_train[rows], data.y_train[rows])
        optimizer.step(aware.values, aware.slopes, 0.005)
    return time.perf_counter() - start


def _whole_run(experiment: Experiment, data: Any, count: int) -> float:
    """Seconds of the second phase of a run."""
    training = replace(experiment.training, steps=1, fine_tuning_steps=count)
    run = Run(replace(experiment, training=training), data)
    run.advance(1)
    start = time.perf_counter()
    run.complete()
    return time.perf_counter() - start


def bare_loop(data: Any, experiment: Experiment, count: int) -> float:
    """Seconds of a plain float32 training with Adam, as one would write it in NumPy."""
    rng = np.random.default_rng(0)
    sizes = (data.features, *experiment.hidden, data.classes)
    layers = [
        (
            (rng.standard_normal((n, m)) * math.sqrt(2 / n)).astype(np.float32),
            np.zeros(m, np.float32),
        )
        for n, m in pairwise(sizes)
    ]
    parameters = [p for layer in layers for p in layer]
    means, squares = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    rows, batch = data.y_train.size, experiment.training.batch
    start = time.perf_counter()
    for step in range(1, count + 1):
        at = rng.integers(0, rows, batch)
        x, y = data.x_train[at], data.y_train[at]
        inputs = []
        for i, (w, b) in enumerate(layers):
            inputs.append(x)
            x = x @ w + b
            if i < len(layers) - 1:
                x = np.maximum(x, 0)
        x = np.exp(x - x.max(axis=1, keepdims=True))
        delta = x / x.sum(axis=1, keepdims=True)
        delta[np.arange(batch), y] -= 1
        delta /= batch
        gradients = []
        for i in range(len(layers) - 1, -1, -1):
            gradients += [delta.sum(axis=0), inputs[i].T @ delta]
            if i:
                delta = (delta @ layers[i][0].T) * (inputs[i] > 0)
        first, second = 1 - 0.9**step, 1 - 0.999**step
        for i, g in enumerate(reversed(gradients)):
            means[i] += 0.1 * (g - means[i])
            squares[i] += 0.001 * (g * g - squares[i])
            parameters[i] -= 0.005 * (means[i] / first) / (np.sqrt(squares[i] / second) + 1e-8)
    return time.perf_counter() - start
