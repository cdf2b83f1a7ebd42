"""What do ONNX Runtime's methods do to whole networks, and what does it cost to find the layer that hurts?

Networks: every ``.onnx`` below the folder in ``QVIZ_NETWORKS`` (packages that ship some: nudenet, magika,
rapidocr-onnxruntime, basic-pitch, silero-vad), else one that the tests make. Data: smooth pictures, token numbers.
"""

from __future__ import annotations

import math
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core import IntFormat, PerAxis, Problem, Scheme
from qviz.models.frontier import Choice, at_most, choices, frontier
from qviz.models.latency import measure_latency
from qviz.models.network import Network, open_network
from qviz.models.node_errors import node_errors
from qviz.models.output_figures import Answers
from qviz.models.pieces import Pieces
from qviz.models.preparation import prepare_network
from qviz.models.preparation_steps import Choices
from qviz.models.ptq import quantize_network
from qviz.models.recipes import LIBRARY_DEFAULTS, Recipe, best_recipe
from qviz.models.sensitivity import ALONE, Sensitivity
from qviz.models.sessions import open_session, run
from qviz.models.weights import bits_of, quantized_weight
from tests.models import made

CALIBRATION, HELD_OUT = 4, 4
SIDES = {"height": 320, "width": 320, "p2o.DynamicDimension.1": 320, "p2o.DynamicDimension.2": 320, "image_width": 128}
PLACES = {"x:2": 48, "x:3": 192, "input:1": 512, "sequence": 512, "sequence_length": 4}
BITS = (2, 3, 4, 5, 6, 8)


def measure(largest: int) -> Iterator[str]:
    """A table of methods for each network, then the costs of asking about layers, then what bits are worth."""
    folder = os.environ.get("QVIZ_NETWORKS")
    paths = sorted(Path(folder).rglob("*.onnx")) if folder else []
    networks = [_ready(open_network(path)) for path in paths] or [_ready(made.network(made.classifier()))]
    for name, network, seconds, problem in networks:
        if network is None:
            yield f"{name}: {problem}"
            continue
        samples = _samples(network, CALIBRATION + HELD_OUT)
        yield f"{name}: {network.nodes} nodes, prepared in {seconds:.2f} s"
        yield from _methods(network, samples)
        yield from _asking(network, samples[CALIBRATION:])
        yield from _bits(network, samples)


def _ready(original: Network) -> tuple[str, Network | None, float, str]:
    dimensions = {}
    for port in original.inputs:
        for name in port.open_dimensions:
            dimensions[name] = {**SIDES, **PLACES}.get(name, 1)
    inputs = {port.name: np.array(16000) for port in original.inputs if port.name == "sr"}
    started = time.perf_counter()
    try:
        prepared = prepare_network(original, Choices(dimensions, inputs))
    except Problem as problem:
        return original.name, None, 0.0, str(problem)
    if original.is_quantized:
        return original.name, None, 0.0, "quantized already"
    return original.name, prepared.network, time.perf_counter() - started, ""


def _samples(network: Network, count: int) -> list[dict[str, Any]]:
    """Plausible, not random: pictures have neighbours that are alike."""
    found = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        sample = {}
        for port in network.inputs:
            shape = tuple(int(n) for n in port.shape or ())
            if not port.dtype.startswith("float"):
                sample[port.name] = rng.integers(0, 100, shape).astype(port.dtype)
            elif len(shape) == 4:
                small = rng.random((shape[0], shape[1], 9, 9))
                rows, columns = (np.linspace(0, 8, n) for n in shape[2:])
                low, right = np.minimum(rows.astype(int), 7), np.minimum(columns.astype(int), 7)
                a, b = (rows - low)[:, None], columns - right
                grid = small[:, :, low][:, :, :, right] * (1 - a) * (1 - b)
                grid = grid + small[:, :, low + 1][:, :, :, right] * a * (1 - b)
                grid = grid + small[:, :, low][:, :, :, right + 1] * (1 - a) * b
                grid = grid + small[:, :, low + 1][:, :, :, right + 1] * a * b
                sample[port.name] = (grid + 0.05 * rng.standard_normal(shape)).clip(0, 1).astype(port.dtype)
            else:
                phase = np.arange(math.prod(shape)).reshape(shape) * rng.uniform(0.01, 0.1)
                sample[port.name] = (0.3 * np.sin(phase) + 0.05 * rng.standard_normal(shape)).astype(port.dtype)
        found.append(sample)
    return found


def _methods(network: Network, samples: list[Any]) -> Iterator[str]:
    rows = {
        "dynamic": best_recipe("dynamic", network),
        "dynamic, library's defaults": LIBRARY_DEFAULTS["dynamic"],
        "static": best_recipe("static", network),
        "static, library's defaults": LIBRARY_DEFAULTS["static"],
        "static, 16-bit activations": replace(Recipe("static"), activation_type="uint16"),
        "4-bit weights": Recipe("weights"),
        "float16": Recipe("float16"),
    }
    yield "| method | output | latency | bytes | nodes |"
    yield "|---|---:|---:|---:|---|"
    first = open_session(network.model)
    names = [port.name for port in network.outputs]
    with tempfile.TemporaryDirectory() as folder:
        for name, recipe in rows.items():
            path = Path(folder) / "q.onnx"
            try:
                outcome = quantize_network(network, path, recipe, samples[:CALIBRATION])
            except Problem as problem:
                yield f"| {name} | | | | {problem} |"
                continue
            made_one = open_network(path).model
            second, sums = open_session(made_one), Answers(names)
            for sample in samples[CALIBRATION:]:
                sums.add(run(first, sample, names), run(second, sample, names))
            latency = measure_latency(network.model, made_one, samples[:1], threads=1, seconds=1.0)
            share = outcome.bytes / outcome.original_bytes
            yield (
                f"| {name} | {sums.sqnr_db:.1f} dB | {latency.ratio:.2f} × | {share:.2f} × | "
                f"{outcome.quantized} of {outcome.nodes} |"
            )


def _asking(network: Network, samples: list[Any]) -> Iterator[str]:
    asked = Sensitivity(network, samples, Scheme(IntFormat(8), granularity=PerAxis(0)), threads=1)
    list(asked.sweep(order=[0]))  # sessions are made
    for piece in range(len(asked.units)):
        asked.quantized(next(iter(asked.units[piece].weights)).name)
    whole = open_session(network.model, threads=1)
    one = _median(lambda: run(whole, samples[0]))
    list(asked.sweep())
    asked.inferences = 0.0
    started = time.perf_counter()
    list(asked.sweep())
    spent = (time.perf_counter() - started) / len(asked.units) / len(samples)
    yield f"one layer at a time: {spent / one:.2f} inferences a layer and sample, {len(asked.units)} layers"
    pieces = Pieces(network, count=len(network.model.graph.node))
    list(node_errors(asked, pieces=pieces))
    started = time.perf_counter()
    list(node_errors(asked, pieces=pieces))
    spent = (time.perf_counter() - started) / len(samples)
    yield f"isolated and accumulated errors: {spent / (2 * one):.1f} × (float run + quantized run)"
    name = asked.units[len(asked.units) // 2].weights[0].name
    times = []
    for bits in range(3, 9):
        started = time.perf_counter()
        asked.change(name, Scheme(IntFormat(bits), granularity=PerAxis(0)))
        asked.everything()
        times.append((time.perf_counter() - started) / len(samples) / one)
    yield f"one layer's scheme to the output: {statistics.median(times):.1f} inferences (float run counted)"


def _bits(network: Network, samples: list[Any]) -> Iterator[str]:
    """Five bits a weight, spent by what the output loses, and by what the weights lose."""
    label = {bits: f"int{bits}" for bits in BITS}
    schemes = {label[bits]: Scheme(IntFormat(bits), granularity=PerAxis(0)) for bits in BITS}
    losses, weight_rows, sizes = {}, {}, {}
    asked = None
    for name, scheme in schemes.items():
        asked = Sensitivity(network, samples[:2], scheme)
        losses[name] = list(asked.sweep(ALONE))
        for unit in asked.units:
            sizes[unit.name, name] = sum(bits_of(w, scheme) for w in unit.weights) / 8
            sizes[unit.name, "float"] = float(unit.bytes)
            error = sum(
                float(np.square(quantized_weight(w, asked.values[w.name], scheme) - asked.values[w.name]).sum())
                for w in unit.weights
            )
            weight_rows[unit.name, name] = error
    assert asked is not None
    by_output = frontier(choices(losses, sizes))
    by_weight = frontier(
        [
            [Choice(unit.name, name, sizes[unit.name, name], weight_rows[unit.name, name]) for name in schemes]
            for unit in asked.units
        ]
    )
    wanted = sum(sizes[unit.name, "int5"] for unit in asked.units)
    found = []
    for points in (by_output, by_weight):
        point = at_most(points, wanted)
        own = {
            w.name: schemes[point.formats[u.name]]
            for u in asked.units
            for w in u.weights
            if point.formats[u.name] != "float"
        }
        measured = Sensitivity(network, samples[CALIBRATION:], own, units=asked.units).everything()
        found.append((measured.sqnr_db, point))
    yield (
        f"5 bits a weight: {found[0][0]:.1f} dB spent by the output's loss (predicted {found[0][1].sqnr_db:.1f}), "
        f"{found[1][0]:.1f} dB by the weights' error"
    )


def _median(work: Any) -> float:
    times = []
    for _ in range(9):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)
