"""What do the default calls of PyTorch and torchao store of a layer? ``quantize_``, and ``prepare`` with ``convert``.

``python -m tests.golden.record_default_calls`` with torch and torchao writes ``default_calls.npz`` and
``default_calls.json`` beside this file: for the preset of each name, what the library stored of weights or activations.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.ao.quantization import DeQuantStub, QuantStub, convert, get_default_qconfig, prepare
from torchao.quantization import Int8DynamicActivationInt8WeightConfig, Int8WeightOnlyConfig, quantize_
from torchao.quantization.quantize_.common import _choose_quant_func_and_quantize_tensor

FOLDER = Path(__file__).parent


def weights() -> dict[str, torch.Tensor]:
    """Of layers: ordinary, tiny, and with outputs of zeros."""
    torch.manual_seed(5)
    plain = torch.randn(16, 64) * 0.05
    return {"plain": plain, "tiny": plain * 1e-6, "zero rows": plain * (torch.arange(16) % 3 > 0)[:, None]}


def numpy(**parts: Any) -> dict[str, Any]:
    return {name: each.detach().float().numpy() for name, each in parts.items()}


def torchao_weights(w: torch.Tensor) -> dict[str, Any]:
    layer = torch.nn.Linear(64, 16, bias=False, dtype=w.dtype)
    layer.weight.data = w.clone()
    quantize_(layer, Int8WeightOnlyConfig())
    return numpy(scale=layer.weight.scale, codes=layer.weight.qdata)


def torchao_activations(x: torch.Tensor) -> dict[str, Any]:
    layer = torch.nn.Linear(64, 16, bias=False, dtype=x.dtype)
    quantize_(layer, Int8DynamicActivationInt8WeightConfig())
    made = _choose_quant_func_and_quantize_tensor(x, layer.weight.act_quant_kwargs)
    return numpy(scale=made.scale, codes=made.qdata)


class Layer(torch.nn.Module):
    """What ``prepare`` and ``convert`` take."""

    def __init__(self, w: torch.Tensor) -> None:
        super().__init__()
        self.quant, self.layer, self.back = QuantStub(), torch.nn.Linear(64, 16, bias=False), DeQuantStub()
        self.layer.weight.data = w.clone()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.back(self.layer(self.quant(x)))


def eager(w: torch.Tensor, x: torch.Tensor) -> tuple[dict[str, Any], dict[str, Any]]:
    torch.backends.quantized.engine = "x86"
    model = Layer(w).eval()
    model.qconfig = get_default_qconfig("x86")
    prepared = prepare(model)
    prepared(x)
    made = convert(prepared)
    stored = made.layer.weight()
    weight = numpy(scale=stored.q_per_channel_scales(), codes=stored.int_repr())
    return weight, numpy(scale=made.quant.scale, zero_point=made.quant.zero_point, codes=made.quant(x).int_repr())


def main() -> None:
    arrays, cases = {}, []

    def keep(preset: str, x: torch.Tensor, answer: dict[str, Any]) -> None:
        i = len(cases)
        arrays.update({f"{i} {name}": each for name, each in answer.items()})
        arrays[f"{i} x"] = x.float().numpy()
        cases.append({"preset": preset, "dtype": str(x.dtype).removeprefix("torch.")})

    for w in weights().values():
        for dtype in (torch.float32, torch.bfloat16):
            keep("torchao int8 weights", w.to(dtype), torchao_weights(w.to(dtype)))
            keep("int8 activations per token", w.to(dtype), torchao_activations(w.to(dtype)))
        x = torch.relu(torch.randn(40, 64)) * 3
        weight, activation = eager(w, x)
        keep("PyTorch per-channel int8 weights", w, weight)
        keep("PyTorch activations uint8", x, activation)
    np.savez_compressed(FOLDER / "default_calls.npz", **arrays)
    about = {"recorded_with": {name: version(name) for name in ("torch", "torchao", "numpy")}, "cases": cases}
    (FOLDER / "default_calls.json").write_text(json.dumps(about) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
