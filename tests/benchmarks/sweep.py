"""How long does a sweep of 60 schemes take, against one scheme by the usual NumPy recipe?"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from qviz.core import (
    MSE,
    Entropy,
    IntFormat,
    MinMax,
    PerAxis,
    PerBlock,
    Percentile,
    PerTensor,
    Scheme,
    Tensor,
    choose_qparams,
    compiler,
    prepare,
)
from qviz.core.questions.sweep import combine, sweep
from tests.benchmarks.engine import Subject, _textbook

ROUNDS = 5
LARGEST = 10**7
PROMISED = 10

BITS = tuple(IntFormat(bits) for bits in (2, 3, 4, 5, 6, 8))


def schemes(shape: tuple[int, int]) -> tuple[Scheme, ...]:
    """Six bit widths, each per tensor under five estimators, and per row, column and block under the usual ones."""
    tensor = combine(BITS, [PerTensor()], [MinMax(), Percentile(99.9), Percentile(99.99), MSE(), Entropy()])
    axes = combine(BITS, [PerAxis(0), PerAxis(1)], [MinMax(), Percentile(99.9)], shape=shape)
    blocks = combine(BITS, [PerBlock(-1, 32)], [MinMax()], shape=shape)
    return tensor.schemes + axes.schemes + blocks.schemes


def searches(shape: tuple[int, int]) -> tuple[Scheme, ...]:
    """The range of the least MSE of each row: a walk over every element for each candidate."""
    return combine(BITS[2:3], [PerAxis(0)], [MSE()], shape=shape).schemes


def measure(largest: int) -> Iterator[str]:
    """In turn in one process; the order of the tensor is made anew each time."""
    if compiler.available():
        compiler.warm_up()
    side = min(2500, int((min(largest, LARGEST) / 1.6) ** 0.5))
    shape = (side, side * 8 // 5)
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    wanted = schemes(shape)
    recipe = _recipe(x)
    times: dict[str, list[float]] = {name: [] for name in ("recipe", "prepare", "sweep")}
    parts: dict[str, float] = {}
    for _ in range(ROUNDS):
        times["recipe"].append(min(_seconds(recipe) for _ in range(2)))
        tensor = Tensor(x)
        started = time.perf_counter()
        prepared = prepare(tensor)
        times["prepare"].append(time.perf_counter() - started)
        started = last = time.perf_counter()
        parts = {}
        for metrics in sweep(prepared, wanted):
            now = time.perf_counter()
            name = f"{metrics.scheme.granularity.kind}, {metrics.scheme.range_rule.kind}"
            parts[name], last = parts.get(name, 0.0) + now - last, now
        times["sweep"].append(time.perf_counter() - started)
    started = time.perf_counter()
    list(sweep(prepared, searches(shape)))
    search = time.perf_counter() - started
    one, order, all_ = (statistics.median(times[name]) for name in ("recipe", "prepare", "sweep"))
    yield f"{x.size:,} elements, {len(wanted)} schemes, kernels {'compiled' if compiler.ready() else 'not compiled'}"
    yield f"one scheme by the usual recipe: {1000 * one:.0f} ms; putting in order: {1000 * order:.0f} ms"
    yield f"the sweep: {1000 * all_:.0f} ms, {all_ / one:.1f} recipes; with putting in order {(all_ + order) / one:.1f}"
    yield "of that, in the last round: " + "; ".join(f"{k} {1000 * v:.0f} ms" for k, v in parts.items())
    yield f"not among them, the least MSE of each row: {1000 * search:.0f} ms, {search / one:.1f} recipes"
    met = "met" if (all_ + order) / one <= PROMISED else "not met"
    yield f"promised: at most {PROMISED} recipes with putting in order: {met}"


def _recipe(x: np.ndarray[Any, Any]) -> Callable[[], Any]:
    tensor = Tensor(x)
    scale = choose_qparams(tensor, Scheme()).scale.reshape(())[()]
    return _textbook(Subject(x.reshape(-1), tensor, prepare(tensor), scale))


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
