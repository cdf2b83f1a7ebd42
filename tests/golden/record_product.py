"""What does torchao itself answer, when it quantizes activations as they arrive?

``python -m tests.golden.record_product`` asks ``Int8Tensor``, the weight that ``Int8DynamicActivationInt8WeightConfig``
makes, for codes, scales, zero points and the output of a linear layer, and writes ``product.npz`` and ``product.json``
beside this file.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core import IntFormat, PerAxis, Scheme

Array = np.ndarray[Any, Any]

FOLDER = Path(__file__).parent
VECTORS, VERSIONS = FOLDER / "product.npz", FOLDER / "product.json"

# Its scales are at least float32's eps, which is how PyTorch's own observers have it.
WEIGHT = Scheme(IntFormat(8), granularity=PerAxis(0), convention="pytorch")
TORCHAO = {
    "symmetric": (Scheme(IntFormat(8), True, PerAxis(0), convention="pytorch"), WEIGHT),
    "asymmetric": (Scheme(IntFormat(8), False, PerAxis(0), convention="pytorch"), WEIGHT),
}
"""Schemes of activation and weight that must give the same answer, by the mapping of the activation."""


def pairs() -> dict[str, tuple[Array, Array]]:
    """Activations (tokens, features) and weights (outputs, features)."""
    rng = np.random.default_rng(20260301)
    outliers = rng.standard_normal((16, 64)) * np.exp(rng.standard_normal((16, 1)))
    outliers[:, [3, 40]] *= 30
    edge = rng.standard_normal((8, 32))
    edge[0], edge[1], edge[2], edge[3] = 0, 1e-12, np.abs(edge[2]), -np.abs(edge[3])
    ties = np.tile(np.arange(-32, 32) + 0.5, (2, 1)) * np.array([[1.0], [127.5 / 31.5]])
    return {
        name: (np.asarray(x, np.float32), np.asarray(w, np.float32))
        for name, x, w in (
            ("normal", rng.standard_normal((12, 48)), rng.standard_normal((20, 48)) / 7),
            ("outliers", outliers, rng.standard_normal((32, 64)) / 8),
            ("edges", edge, np.concatenate([np.zeros((1, 32)), rng.standard_normal((7, 32)) * 1e-5])),
            ("ties", ties, rng.standard_normal((4, 64))),
        )
    }


def answer(x: Array, w: Array, mapping: str) -> dict[str, Array]:
    """Codes, scales and zero points of both operands, and the output."""
    import torch
    from torchao.quantization import PerRow
    from torchao.quantization.quant_primitives import MappingType
    from torchao.quantization.quantize_.workflows.int8.int8_tensor import Int8Tensor, QuantizeTensorToInt8Kwargs

    kind = MappingType.SYMMETRIC if mapping == "symmetric" else MappingType.ASYMMETRIC
    dynamic = QuantizeTensorToInt8Kwargs(granularity=PerRow(), mapping_type=kind)
    weight = Int8Tensor.from_hp(torch.from_numpy(w), PerRow(), act_quant_kwargs=dynamic)
    activation = Int8Tensor.from_hp(torch.from_numpy(x), PerRow(), mapping_type=kind)
    output = torch.nn.functional.linear(torch.from_numpy(x), weight)
    found = {"y": output.numpy()}
    for operand, tensor in (("x", activation), ("w", weight)):
        found[f"{operand}_codes"] = tensor.qdata.numpy()
        found[f"{operand}_scale"] = tensor.scale.numpy().reshape(-1)
        found[f"{operand}_zero_point"] = tensor.zero_point.numpy().reshape(-1)
    return found


def record() -> None:
    """Ask, and write what was answered."""
    found = {}
    for name, (x, w) in pairs().items():
        for mapping in TORCHAO:
            for key, value in {"x": x, "w": w, **answer(x, w, mapping)}.items():
                found[f"{name} {mapping}/{key}"] = value
    np.savez_compressed(VECTORS, **found)
    told = {"recorded_with": {name: version(name) for name in ("torchao", "torch", "numpy")}}
    VERSIONS.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record()
