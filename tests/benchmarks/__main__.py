"""``python -m tests.benchmarks``: prints what was measured here, as ratios of one run; nothing is asserted.

Names choose benchmarks, a number such as ``1e6`` is the most elements a tensor may have:
``python -m tests.benchmarks engine 1e6``. ``--json`` prints the machine and each promise with what was
measured, for runs on two machines to be compared by.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from pathlib import Path

from qviz.session.freed import keep_freed
from tests.benchmarks import checkpoints, drag, engine, ggml, networks, opening, scales, start, sweep, training

BENCHMARKS: dict[str, Callable[[int], Iterator[str]]] = {
    "start": lambda largest: start.measure(),
    "engine": engine.measure_ways,
    "scales": scales.measure_scales,
    "drag": drag.measure,
    "open": opening.measure,
    "sweep": sweep.measure,
    "ggml": ggml.measure,
    "audit": checkpoints.measure,
    "networks": networks.measure,
    "training": lambda largest: training.measure(),
}
"""Every benchmark by name; a new one is a module and a row. Each is told the size of the largest tensor."""

LIBRARIES = ("numpy", "onnxruntime", "torch", "numba", "PySide6-Essentials", "pyqtgraph")


def main(arguments: list[str]) -> None:
    """Run those named, or all."""
    as_json = "--json" in arguments
    arguments = [argument for argument in arguments if argument != "--json"]
    names = [argument for argument in arguments if argument in BENCHMARKS]
    try:
        sizes = [int(float(argument)) for argument in arguments if argument not in BENCHMARKS]
    except (ValueError, OverflowError):
        sys.exit(
            f"usage: python -m tests.benchmarks [--json] [{' | '.join(BENCHMARKS)}] … [most elements, such as 1e6]"
        )
    say = _nothing if as_json else partial(print, flush=True)
    verdicts: dict[str, list[dict[str, object]]] = {}
    keep_freed()  # as the window does
    say(machine())
    for name, measure in BENCHMARKS.items():
        if not names or name in names:
            say(f"\n{name}: {measure.__module__}\n")
            for line in measure(min(sizes, default=sys.maxsize)):
                say(line)
                if isinstance(line, engine.Verdict):
                    verdicts.setdefault(name, []).append(line.plain)
    if as_json:
        print(json.dumps({"machine": machine(), "promises": verdicts}, indent=1, ensure_ascii=False))


def _nothing(line: str) -> None:
    """What is said as JSON is not said in words."""


def machine() -> str:
    """What the figures were measured on, in one line."""
    versions = [f"{name} {version}" for name in LIBRARIES if (version := _version(name)) is not None]
    parts = [
        _processor(),
        f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores",
        platform.platform(),
        f"Python {platform.python_version()}",
        *versions,
    ]
    return ", ".join(parts)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main(sys.argv[1:])
