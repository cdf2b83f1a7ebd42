"""How soon does a file of four gigabytes show its charts, and how much memory does that take?

``python -m tests.benchmarks.opening FILE`` is the part that runs alone, so that nothing else is counted.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ELEMENTS = 10**9
BLOCK = 10**7
ROOM = 2.5
"""Free space on the disk that is wanted, in sizes of the file."""

BUDGET_MB = 1024
SECONDS = 5.0
"""How long the window is used after it has opened the file."""

FIGURES = {"VmHWM": "most of all", "RssAnon": "of its own", "RssFile": "pages of files, which can be let go of"}
"""Lines of a process's status, and what they say."""


def measure(largest: int = ELEMENTS, seconds: float = SECONDS) -> Iterator[str]:
    """One window, in a process of its own, under a memory budget.

    Parameters
    ----------
    largest : int
        Elements of the file, at most.
    seconds : float
        How long the window is used afterwards.
    """
    elements = min(ELEMENTS, largest)
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < ROOM * 4 * elements:
        yield f"left out: {ROOM * 4 * elements / 1e9:.0f} GB of disk are wanted, {free / 1e9:.0f} GB are free"
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.npy"
        _write(path, elements)
        _read(path)
        command = [sys.executable, "-m", "tests.benchmarks.opening", str(path), str(seconds)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            most = _watched(process)
            assert process.stdout is not None
            answer = json.loads(process.stdout.read())
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
    size = 4 * elements / 1e6
    budget = f"a memory budget of {BUDGET_MB} MB" if answer["budget"] else "no memory budget"
    yield (
        f"{size:,.0f} MB in the cache of the disk, {budget}: charts after {answer['charts']:.2f} s, "
        f"longest gap between turns of the event loop {1000 * answer['gap']:.1f} ms, "
        f"then {answer['frames']} frames painted in {seconds:g} s of dragging"
    )
    told = ", ".join(f"{FIGURES[name]} {size:,.0f} MB" for name, size in most.items())
    yield f"memory: {told or 'not told by this system'}; before the file was opened {answer['before_mb']:,.0f} MB"


def _write(path: Path, elements: int) -> None:
    """Chance numbers, each block of another scale."""
    rng = np.random.default_rng(0)
    block = rng.standard_normal(min(BLOCK, elements), dtype=np.float32)
    header = {"descr": "<f4", "fortran_order": False, "shape": (elements,)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, elements, block.size):
            scale = np.float32(rng.uniform(0.5, 2))
            (block[: elements - start] * scale).astype("<f4").tofile(file)


def _read(path: Path) -> None:
    """Once, so that it is in the disk's cache where that is large enough."""
    with path.open("rb") as file:
        while file.read(1 << 26):
            pass


def _watched(process: subprocess.Popen[str]) -> dict[str, float]:
    """The most that a process took while it ran, in megabytes, as far as its system tells."""
    most: dict[str, float] = {}
    while process.poll() is None:
        for name, megabytes in _memory(process.pid).items():
            most[name] = max(most.get(name, 0.0), megabytes)
        time.sleep(0.01)
    return most


def _memory(pid: int) -> dict[str, float]:
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        told = dict(line.split(":", 1) for line in lines)
        return {name: int(told[name].split()[0]) * 1024 / 1e6 for name in FIGURES if name in told}
    with contextlib.suppress(Exception):  # without /proc, and without psutil perhaps
        import psutil

        return {"VmHWM": psutil.Process(pid).memory_info().rss / 1e6}
    return {}


def _open(path: Path, seconds: float) -> dict[str, object]:
    """What the process alone does: a window as it comes up, then the file."""
    from tests.benchmarks import drag

    application = drag.make_application()
    with tempfile.TemporaryDirectory() as folder:
        settings = drag.Settings(Path(folder) / "settings.ini")
        budget = _set_budget(settings)
        qviz = drag.App(settings)
        qviz.start()
        drag.wait(2000)
        before = _memory(os.getpid()).get("VmHWM", 0.0)
        shown = qviz.session.state.tensor
        with drag.turns() as gaps, drag.painted(qviz) as screen:
            started = time.perf_counter()
            qviz.library.open([path])
            drag.wait_until(lambda: screen.first_of_another(shown) < math.inf)
            charts = screen.first_of_another(shown) - started
            drag.wait(500)
            gap = max(gaps)
            already = len(screen.seen)
            drag.steer(qviz, seconds, drag.HAND_MILLISECONDS, drag.AROUND_8_BITS, every=16)
        qviz.window.close()
        qviz.settings.save()  # now, or it would be done when the folder is gone
    application.quit()
    frames = len(screen.seen) - already
    return {"budget": budget, "before_mb": before, "charts": charts, "gap": gap, "frames": frames}


def _set_budget(settings: object) -> bool:
    """Whether there is such a setting."""
    from qviz.session.settings import DEFAULTS, Settings

    assert isinstance(settings, Settings)
    if "memory_budget_mb" not in DEFAULTS:
        return False
    settings.set("memory_budget_mb", BUDGET_MB)
    return True


if __name__ == "__main__":
    print(json.dumps(_open(Path(sys.argv[1]), float(sys.argv[2]))))
