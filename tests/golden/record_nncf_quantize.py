"""What does ``nncf.quantize`` store of a layer's weights, as it is called by default?

``python -m tests.golden.record_nncf_quantize`` with nncf and openvino writes ``nncf_quantize.npz`` and
``nncf_quantize.json`` beside this file: weights in, codes and scales of the quantized network out.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import nncf
import numpy as np
import openvino
from openvino import opset13

FOLDER, F = Path(__file__).parent, np.float32


def weights() -> dict[str, np.ndarray]:
    """Of layers: ordinary, tiny, with outputs of zeros, of halves of a step, and of 16 bits."""
    rng = np.random.default_rng(5)
    plain = F(rng.standard_normal((16, 64)) * 0.05)
    halves = F((rng.integers(-127, 127, (16, 64)) + 0.5) / 64)
    halves[:, 0] = 127 / 64
    kept = {"plain": plain, "tiny": plain * F(1e-6), "zero rows": plain * F(np.arange(16) % 3 > 0)[:, None]}
    return kept | {"halves": halves, "float16": plain.astype(np.float16)}


def stored(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes and scales behind ``nncf.quantize`` of a network of one layer."""
    given, held = opset13.parameter([2, 64], F), opset13.constant(w)
    held = held if w.dtype == F else opset13.convert(held, "f32")
    graph = openvino.Model([opset13.result(opset13.matmul(given, held, False, True))], [given])
    made = nncf.quantize(graph, nncf.Dataset([np.linspace(-1, 1, 128, dtype=F).reshape(2, 64)]))
    constants = [node.get_data() for node in made.get_ordered_ops() if node.get_type_name() == "Constant"]
    (codes,) = (each for each in constants if each.dtype == np.int8)
    (scale,) = (each for each in constants if each.shape == (16, 1))
    return codes, scale


def main() -> None:
    arrays, cases = {}, []
    for i, (name, w) in enumerate(weights().items()):
        arrays[f"{i} x"] = w
        arrays[f"{i} codes"], arrays[f"{i} scale"] = stored(w)
        cases.append({"preset": "OpenVINO int8 weights", "about": name, "dtype": str(w.dtype)})
    np.savez_compressed(FOLDER / "nncf_quantize.npz", **arrays)
    about = {"recorded_with": {name: version(name) for name in ("nncf", "openvino", "numpy")}, "cases": cases}
    (FOLDER / "nncf_quantize.json").write_text(json.dumps(about) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
