"""How much memory does a network take when it is run? That of a process of its own, before and at its most."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qviz.core.arrays import Array
from qviz.core.work import IsCancelled, never
from qviz.models.network import Network, is_large
from qviz.models.sessions import run
from qviz.models.worker import in_worker

LOOKED_EVERY = 0.005
"""Seconds between two looks at the memory, where the system does not keep the most itself."""


def memory_at_run(
    network: Network, sample: dict[str, Array], *, threads: int = 0, cancelled: IsCancelled = never
) -> int | None:
    """Bytes that loading a network from its file and running it once adds to a process, at the most.

    Parameters
    ----------
    network : Network
    sample : mapping of str to array

    Raises
    ------
    Problem
        When it cannot be run.
    Cancelled
        When asked to stop; no process is left.
    """
    if is_large(network.model):
        return None
    given = {port.name: sample[port.name] for port in network.inputs if port.name in sample}
    found: int = in_worker(_work, network.model.SerializeToString(), given, threads, cancelled=cancelled)
    return found


def _work(folder: Path, tell: Callable[[Any], None], model: bytes, sample: dict[str, Array], threads: int) -> int:
    import onnxruntime as ort

    path = folder / "network.onnx"
    path.write_bytes(model)
    del model
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    meter = _Meter()  # the memory of the runtime itself is not the network's
    with meter:
        run(ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]), sample)
    return meter.most


class _Meter:
    """The memory of this process at its most, above what it was."""

    def __init__(self) -> None:
        import psutil

        self._process = psutil.Process()
        self._stop = threading.Event()
        self.most = 0

    def _resident(self) -> int:
        return int(self._process.memory_info().rss)

    def __enter__(self) -> _Meter:
        self._before = self._resident()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.is_set():
            self.most = max(self.most, self._resident() - self._before)
            time.sleep(LOOKED_EVERY)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.most = max(self.most, self._resident() - self._before)
