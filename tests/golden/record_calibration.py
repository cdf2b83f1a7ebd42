"""Which thresholds do Paddle and ONNX Runtime choose for what flows through a network, batch after batch?

``python -m tests.golden.record_calibration LIBRARY`` adds the answers of ``paddle`` (under an interpreter that has
paddlepaddle, with ``FLAGS_enable_pir_api=0``) or ``onnxruntime`` to ``calibration.json``; both read the same
activations in ``calibration.npz``, which are captured where they are missing: of a small convolutional network, and
of sequences of unequal length.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core import IntFormat
from qviz.models.activations import capture
from tests.golden.record_estimators import PADDLE_ALGORITHMS, Case, _post_training_quantization
from tests.models.made import classifier, network, pictures

Array = np.ndarray[Any, Any]

FOLDER = Path(__file__).parent
ACTIVATIONS, ANSWERS = FOLDER / "calibration.npz", FOLDER / "calibration.json"
TENSORS = ("x", "c1", "r2", "f")
LENGTHS = (5, 9, 7)

PADDLE = {**{kind: {} for kind in PADDLE_ALGORITHMS}, "paddle_mse onnx_format": {"onnx_format": True}}
ONNXRUNTIME = {
    "minmax": ("minmax", {}),
    "onnxruntime_percentile": ("percentile", {"percentile": 99.999}),
    "onnxruntime_percentile 99": ("percentile", {"percentile": 99.0}),
    "entropy 128": ("entropy", {}),
}
"""Kinds of estimators with their options in words, and the collector's own names for them."""


def batches() -> dict[str, list[Array]]:
    """By tensor, what came of each sample."""
    with np.load(ACTIVATIONS) as file:
        names = sorted({name.rsplit("/", 1)[0] for name in file.files})
        return {name: [file[f"{name}/{i}"] for i in range(3)] for name in names}


def captured() -> dict[str, Array]:
    """Activations of three samples, and sequences whose lengths differ."""
    net = network(classifier())
    found = {
        f"{name}/{i}": values[name]
        for i, values in enumerate(capture(net, pictures(3, seed=5), TENSORS))
        for name in TENSORS
    }
    rng = np.random.default_rng(20240916)
    for i, length in enumerate(LENGTHS):
        found[f"sequences/{i}"] = rng.standard_t(3, (1, length, 16)).astype(np.float32)
    return found


def paddle_answers(given: dict[str, list[Array]]) -> dict[str, dict[str, list[float]]]:
    """The range of each tensor by each algorithm of `PostTrainingQuantization`."""
    import paddle

    paddle.enable_static()
    found: dict[str, dict[str, list[float]]] = {}
    for kind, options in PADDLE.items():
        for name, each in given.items():
            case = Case(name, kind.split()[0], IntFormat(8), True, tuple(options.items()))
            ends = _post_training_quantization(case, each)
            found.setdefault(kind, {})[name] = [float(np.float32(end)) for end in ends]
    return found


def onnxruntime_answers(given: dict[str, list[Array]]) -> dict[str, dict[str, list[float]]]:
    """The range of each tensor by each calibrator; its histograms take batches of one length alone."""
    from onnxruntime.quantization.calibrate import HistogramCollector

    found: dict[str, dict[str, list[float]]] = {}
    for kind, (method, options) in ONNXRUNTIME.items():
        for name, each in given.items():
            if method == "minmax":
                ends = min(float(b.min()) for b in each), max(float(b.max()) for b in each)
            else:
                bins = 128 if method == "entropy" else 2048
                collector = HistogramCollector(method, False, bins, 128, options.get("percentile", 99.999), "same")
                with contextlib.redirect_stdout(io.StringIO()):
                    collector.collect({name: [np.concatenate([b.reshape(-1) for b in each])]})
                    ends = tuple(float(end) for end in collector.compute_collection_result()[name][:2])
            found.setdefault(kind, {})[name] = list(ends)
    return found


def record(library: str) -> None:
    """Ask an installed library."""
    if not ACTIVATIONS.exists():
        np.savez_compressed(ACTIVATIONS, **captured())
    known = json.loads(ANSWERS.read_text(encoding="utf-8")) if ANSWERS.exists() else {}
    ask = {"paddle": paddle_answers, "onnxruntime": onnxruntime_answers}[library]
    package = {"paddle": "paddlepaddle"}.get(library, library)
    known[library] = {"recorded_with": {package: version(package), "numpy": version("numpy")}, "ranges": ask(batches())}
    ANSWERS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record(sys.argv[1])
