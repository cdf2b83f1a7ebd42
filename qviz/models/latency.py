"""How long does a network take, beside its float origin? Both in turn, so that a load hits them alike.

The ratio of 10th percentiles stayed within 4 % where that of medians wandered from 1.8 to 6.9 on a loaded machine. One
thread is timed by the processor's own clock, which stands still while others have the core: with ten programs on two
cores that ratio stayed within 3 %, that of the clock on the wall within 36. Beside one busy program both agree within
1 to 3 %; two threads on two cores, which wait for each other and spin meanwhile, do not agree with themselves there
(3 to 37 %).
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.arrays import Floats
from qviz.core.frozen import frozen
from qviz.core.problems import N_, Phrase
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.models.sessions import Feeds, Samples, open_session, run

PERCENTILE = 10.0
PARTS = 5
"""Stretches of the runs, in each of which there is a ratio."""

FINE_SECONDS = 1e-6
"""A clock that is no finer times no run."""

FEWEST, MOST = 12, 2000
WARM_UP = 2


@frozen(eq=False)
class Latency:
    """How long single runs took, in seconds.

    Attributes
    ----------
    first, second : float64 arrays
        Of the float network and of the other one, in the order of the runs; of one thread, its time of the processor.
    threads : int
        For one operator; 0 for as many as there are cores.
    load : float
        Processes that were waiting for a core meanwhile, on average; NaN where the system does not tell.
    """

    first: Floats
    second: Floats
    threads: int
    load: float

    @property
    def ratio(self) -> float:
        """The other one's time by the float one's, of 10th percentiles: below 1 is faster."""
        return float(np.percentile(self.second, PERCENTILE) / np.percentile(self.first, PERCENTILE))

    @property
    def ratios(self) -> tuple[float, float]:
        """From where to where the ratio goes in fifths of the runs: how far another measurement may be from this."""
        parts = min(PARTS, self.first.size, self.second.size)
        found = [
            float(np.percentile(second, PERCENTILE) / np.percentile(first, PERCENTILE))
            for first, second in zip(np.array_split(self.first, parts), np.array_split(self.second, parts), strict=True)
        ]
        return min(found), max(found)

    @property
    def spread(self) -> tuple[float, float]:
        """The ratio of the 90th percentile to the 10th, of each."""
        low, high = (
            float(np.percentile(a, 100 - PERCENTILE) / np.percentile(a, PERCENTILE)) for a in (self.first, self.second)
        )
        return low, high

    @property
    def seconds(self) -> tuple[float, float]:
        """The 10th percentile of each."""
        return float(np.percentile(self.first, PERCENTILE)), float(np.percentile(self.second, PERCENTILE))


def measure_latency(
    first: Any,
    second: Any,
    samples: Samples,
    *,
    threads: int = 1,
    seconds: float = 3.0,
    fewest: int = FEWEST,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Latency:
    """Run two models in turn, A B A B …, for about so many seconds.

    Parameters
    ----------
    first, second : onnx.ModelProto
        The float network and the other one; each is fed the inputs that it has.
    samples : Samples
    threads : int
        For one operator; 0 for as many as there are cores.
    seconds : float
        About how long; `fewest` runs of each take longer for a slow network.

    Raises
    ------
    Problem
        When one of them cannot be run.
    Cancelled
        When asked to stop.
    """
    sessions = [open_session(model, threads=threads, spinning=True) for model in (first, second)]  # as in use
    inputs = [{each.name for each in session.get_inputs()} for session in sessions]
    feeds = [[{k: v for k, v in sample.items() if k in names} for sample in samples] for names in inputs]
    for _ in range(WARM_UP):
        for session, each in zip(sessions, feeds, strict=True):
            run(session, each[0])
    times: tuple[list[float], list[float]] = ([], [])
    alone = threads == 1 and time.get_clock_info("thread_time").resolution <= FINE_SECONDS
    clock = time.thread_time if alone else time.perf_counter
    started = time.perf_counter()
    for number in range(MOST):
        check(cancelled)
        for session, each, taken in zip(sessions, feeds, times, strict=True):
            before = clock()
            session.run(None, each[number % len(each)])
            taken.append(clock() - before)
        spent = time.perf_counter() - started
        progress(min(1.0, spent / seconds) if seconds > 0 else 1.0)
        if spent >= seconds and number + 1 >= fewest:
            break
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return Latency(np.array(times[0]), np.array(times[1]), threads, load)


@frozen
class NodeTime:
    """What one node takes of a run, under the name that it has after the runtime's optimizations.

    Attributes
    ----------
    node, operator : str
    seconds : float
        Of one run.
    """

    node: str
    operator: str
    seconds: float


@frozen
class OperatorTime:
    """What one kind of node takes of a run.

    Attributes
    ----------
    operator : str
    seconds : float
        Of one run.
    count : int
        Nodes of this kind that were executed.
    """

    operator: str
    seconds: float
    count: int


def node_times(model: Any, sample: Feeds, folder: Path, *, runs: int = 5, threads: int = 0) -> tuple[NodeTime, ...]:
    """The time of one run by nodes, in the order in which they run, from ONNX Runtime's own profile.

    Parameters
    ----------
    model : onnx.ModelProto
    sample : mapping of str to array
    folder : Path
        Where the profile is written for a moment.

    Raises
    ------
    Problem
        When it cannot be run.
    """
    session = open_session(model, threads=threads, profile=str(folder / "profile"))
    names = {each.name for each in session.get_inputs()}
    feeds = {k: v for k, v in sample.items() if k in names}
    for _ in range(runs):
        run(session, feeds)
    written = Path(session.end_profiling())
    events = json.loads(written.read_text(encoding="utf-8"))
    written.unlink()
    taken: dict[tuple[str, str], float] = defaultdict(float)
    for event in events:
        if event.get("cat") == "Node" and event.get("name", "").endswith(KERNEL):
            operator = str(event["args"].get("op_name", "?"))
            taken[event["name"].removesuffix(KERNEL), operator] += float(event["dur"]) * 1e-6 / runs
    return tuple(NodeTime(node, operator, seconds) for (node, operator), seconds in taken.items())


KERNEL = "_kernel_time"


def base_name(node: str) -> str:
    """The name of a node without what the quantizer, the runtime's layouts and its Casts put around it."""
    return _ADDED.sub("", node.removeprefix(IN_FLOAT32)[::-1])[::-1]


IN_FLOAT32 = "InsertedPrecisionFreeCast_"
"""How the names of nodes begin that the runtime computes in float32 between Casts."""

_ADDED = re.compile(r"^(?:cwhcn_|cwhn_|tnauq_|\d+_nekot_)+")
"""What stands at the end of a name, from its last character on: forwards every beginning would be tried to the end."""


def by_operator(nodes: Sequence[NodeTime]) -> tuple[OperatorTime, ...]:
    """The same by kinds of nodes, the longest first."""
    taken: dict[str, list[float]] = defaultdict(list)
    for node in nodes:
        taken[node.operator].append(node.seconds)
    rows = [OperatorTime(operator, sum(seconds), len(seconds)) for operator, seconds in taken.items()]
    return tuple(sorted(rows, key=lambda row: -row.seconds))


TINY = 5e-6
"""Seconds below which starting a node takes longer than computing it."""


def cause(row: NodeTime, recipe: Any = None) -> Phrase | None:
    """Why a node of a quantized network takes the time that it takes, where its kind tells."""
    unsigned = str(getattr(recipe, "weight_type", "")).startswith("u")
    sixteen = str(getattr(recipe, "activation_type", "")).endswith("16")
    if row.operator == "ConvInteger":
        return Phrase("slower than the float one" if unsigned else "no fast kernel for signed weights")
    if row.operator in ("QuantizeLinear", "DequantizeLinear"):
        return Phrase("16-bit activations have no integer kernels" if sixteen else "around a node that stayed in float")
    if row.operator == "DynamicQuantizeLinear":
        return Phrase("finds the range anew at each run")
    if row.operator == "Cast":
        return Phrase("this processor computes in float32")
    return Phrase("starting it takes longer than computing it") if row.seconds < TINY else None


def reasons(float_rows: Sequence[OperatorTime], rows: Sequence[OperatorTime], recipe: Any = None) -> tuple[Phrase, ...]:
    """Why the other one is not faster, as far as its profile tells, and what to change.

    Parameters
    ----------
    float_rows, rows : sequences of OperatorTime
    recipe : Recipe, optional
        How it was quantized.
    """
    before = {row.operator: row for row in float_rows}
    after = {row.operator: row for row in rows}
    total = sum(row.seconds for row in rows) or 1.0
    found: list[Phrase] = []

    def share(*names: str) -> float:
        return sum(after[name].seconds for name in names if name in after) / total

    if share("ConvInteger") > 0.3:
        unsigned = recipe is not None and str(getattr(recipe, "weight_type", "")).startswith("u")
        text = (
            N_(
                "{share:.0f} % of the time is ConvInteger, which is slower than the float one: "
                "take static quantization."
            )
            if unsigned
            else N_(
                "{share:.0f} % of the time is ConvInteger, which has no fast kernel for signed weights: "
                "take unsigned weights, or static quantization."
            )
        )
        found.append(Phrase(text, share=100 * share("ConvInteger")))
    pairs = share("QuantizeLinear", "DequantizeLinear")
    if pairs > 0.15:
        sixteen = recipe is not None and str(getattr(recipe, "activation_type", "")).endswith("16")
        text = (
            N_("{share:.0f} % of the time is quantizing and dequantizing: 16-bit activations have no integer kernels.")
            if sixteen
            else N_(
                "{share:.0f} % of the time is quantizing and dequantizing around nodes that stayed in float: "
                "quantize fewer kinds of nodes."
            )
        )
        found.append(Phrase(text, share=100 * pairs))
    casts = share("Cast")
    if casts > 0.1:
        found.append(
            Phrase("{share:.0f} % of the time is Cast: this processor computes in float32.", share=100 * casts)
        )
    quantizing = share("DynamicQuantizeLinear")
    if quantizing > 0.2:
        found.append(
            Phrase(
                "{share:.0f} % of the time is finding ranges anew at each run: take static quantization.",
                share=100 * quantizing,
            )
        )
    nodes = sum(row.count for row in rows)
    if total / max(nodes, 1) < TINY and nodes > sum(row.count for row in before.values()):
        found.append(Phrase("Most nodes are so small that starting them takes longer than computing them."))
    if not found:
        slower = [(row.seconds - before[row.operator].seconds, row.operator) for row in rows if row.operator in before]
        worst = max(slower, default=(0.0, ""))
        if worst[0] > 0.1 * total:
            found.append(Phrase("{operator} takes longer than in float.", operator=worst[1]))
    return tuple(found)


def processor_features() -> tuple[str, ...]:
    """What of the processor matters for integers: AVX2, AVX-512, VNNI, AMX, …; empty where the system does not tell."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    flags = set(text.replace("\t", " ").split())
    known = {
        "avx2": "AVX2",
        "avx512f": "AVX-512",
        "avx512_vnni": "AVX-512 VNNI",
        "avx_vnni": "AVX VNNI",
        "amx_int8": "AMX int8",
        "amx_bf16": "AMX bf16",
        "avx512_bf16": "AVX-512 bf16",
        "asimddp": "dot product",
        "i8mm": "int8 matrix multiply",
    }
    return tuple(label for flag, label in known.items() if flag in flags)
