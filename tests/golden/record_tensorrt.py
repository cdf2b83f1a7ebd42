"""Which thresholds does NVIDIA's Model Optimizer find by entropy, which calibrates networks for TensorRT?

``python -m tests.golden.record_tensorrt FOLDER`` with torch and scipy; FOLDER holds ``histogram.py`` of nvidia-modelopt
0.47.0 (``modelopt/torch/quantization/calib``), whose functions are run as they stand, without the rest of the package.
Writes ``tensorrt_entropy.npz`` beside this file: tensors of a seed, bits, and thresholds.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import entropy

FOLDER = Path(__file__).parent


def library(folder: str) -> Any:
    """``_compute_amax_entropy``."""
    tree = ast.parse((Path(folder) / "histogram.py").read_text(encoding="utf-8"))
    wanted = next(each for each in tree.body if getattr(each, "name", "") == "_compute_amax_entropy")
    names: dict[str, Any] = {"np": np, "torch": torch, "entropy": entropy, "Counter": Counter}
    exec(compile(ast.Module([wanted], []), "histogram.py", "exec"), names)
    return names["_compute_amax_entropy"]


def main(folder: str) -> None:
    """Collect as ``HistogramCalibrator.collect`` does, and ask."""
    compute, rng, arrays = library(folder), np.random.default_rng(4), {}
    made = {
        "normal": rng.standard_normal(3000),
        "relu": np.maximum(rng.standard_normal(4000), 0),
        "long tails": rng.standard_t(3, 4000),
        "uniform": rng.uniform(-1, 1, 500),
        "few": rng.standard_normal(50),
        "lognormal": np.exp(2 * rng.standard_normal(4000)),
        "ties": rng.integers(-40, 41, 3000) / 8,
    }
    for name, values in made.items():
        x = torch.from_numpy(values.astype(np.float32))
        magnitudes = x.abs()
        top = magnitudes.max()
        hist = torch.histc(magnitudes, bins=2048, min=0, max=top)
        edges = torch.linspace(0, top, 2049)
        for bits in (8, 4):
            amax = compute(hist.int().cpu().numpy(), edges.cpu().numpy(), bits, False)
            arrays[f"{name} {bits}"] = amax.numpy()
        arrays[name] = x.numpy()
    np.savez_compressed(FOLDER / "tensorrt_entropy.npz", **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
