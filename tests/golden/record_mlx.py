"""Record small checkpoints as MLX quantizes and writes them, and what it decodes.

Run in an environment of its own: ``pip install "mlx[cpu]" numpy``, then ``python tests/golden/record_mlx.py``. A folder
for each number of bits and group size lies in ``tests/golden/checkpoints/quantized``, the values in ``mlx.npz``.
"""

from __future__ import annotations

import json
from pathlib import Path

import mlx.core as mx
import numpy as np

FOLDER = Path(__file__).parent / "checkpoints" / "quantized"

if __name__ == "__main__":
    mx.random.seed(1)
    weight = mx.random.normal((16, 128)) * 0.05
    values = {"mlx/original": np.array(weight)}
    for bits, group in ((4, 64), (8, 32), (2, 64), (3, 64), (6, 32)):
        codes, scales, biases = mx.quantize(weight, group_size=group, bits=bits)
        folder = FOLDER / f"mlx_{bits}_{group}"
        folder.mkdir(exist_ok=True)
        parts = {"layer.weight": codes, "layer.scales": scales, "layer.biases": biases}
        mx.save_safetensors(str(folder / "model.safetensors"), parts)
        about = {"quantization": {"group_size": group, "bits": bits}}
        (folder / "config.json").write_text(json.dumps(about))
        values[folder.name] = np.array(mx.dequantize(codes, scales, biases, group_size=group, bits=bits))
    np.savez_compressed(FOLDER / "mlx.npz", **values)
