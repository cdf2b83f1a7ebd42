"""What do bitsandbytes' own calls store of weights? ``quantize_4bit`` as it is by default, and ``Linear4bit``.

``python -m tests.golden.record_bitsandbytes_calls`` with torch and bitsandbytes writes ``bitsandbytes_calls.npz`` and
``bitsandbytes_calls.json`` beside this file. Scales in 8 bits are not kept: on processors about one in a thousand is
another than on every other device (see tests/oracles).
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import bitsandbytes
import numpy as np
import torch
from bitsandbytes.functional import get_4bit_type, quantize_4bit

from tests.golden.record_default_calls import weights

FOLDER = Path(__file__).parent


def stored(packed: torch.Tensor, state: Any, shape: torch.Size) -> dict[str, Any]:
    """Scales, where they are whole, and the numbers of the levels."""
    flat, kind = packed.reshape(-1), get_4bit_type(state.quant_type, device="cpu").numpy()
    codes = torch.stack([flat >> 4, flat & 15], -1).reshape(shape).numpy()
    numbers = {"codes": np.searchsorted(np.unique(kind), kind)[codes]}
    return numbers if state.nested else numbers | {"scale": state.absmax.numpy()}


def linear(w: torch.Tensor, **options: Any) -> dict[str, Any]:
    """A layer that holds the weights, quantized as it goes to its device."""
    layer = bitsandbytes.nn.Linear4bit(w.shape[1], w.shape[0], bias=False, **options)
    layer.load_state_dict({"weight": w})
    weight = layer.to("cpu").weight
    return stored(weight.data, weight.quant_state, w.shape)


def main() -> None:
    arrays, cases = {}, []
    calls = {
        "FP4 block 64, bitsandbytes": lambda w: stored(*quantize_4bit(w), w.shape),
        "NF4 block 64": lambda w: linear(w, quant_type="nf4", compress_statistics=False),
        "NF4 block 64, double quantization": lambda w: linear(w, quant_type="nf4"),
    }
    for w in weights().values():
        for preset, call in calls.items():
            arrays.update({f"{len(cases)} {name}": each for name, each in call(w).items()})
            arrays[f"{len(cases)} x"] = w.numpy()
            cases.append({"preset": preset, "dtype": "float32"})
    np.savez_compressed(FOLDER / "bitsandbytes_calls.npz", **arrays)
    about = {"recorded_with": {name: version(name) for name in ("bitsandbytes", "torch", "numpy")}, "cases": cases}
    (FOLDER / "bitsandbytes_calls.json").write_text(json.dumps(about) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
