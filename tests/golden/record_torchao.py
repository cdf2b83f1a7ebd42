"""Record small checkpoints of PyTorch whose weights torchao has quantized, as ``torch.save`` writes them.

Run in an environment of its own: ``pip install torch==2.13.0 torchao==0.18.0 numpy``, then ``python
tests/golden/record_torchao.py``. The files lie in ``tests/golden/checkpoints/torchao``; ``values.npz`` holds of each
what torchao decodes, and under ``…/original`` what was quantized.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig, IntxWeightOnlyConfig, quantize_
from torchao.quantization.granularity import PerGroup

FOLDER = Path(__file__).parent / "checkpoints" / "torchao"
CONFIGS = {
    "int8": Int8WeightOnlyConfig(),
    "float8": Float8WeightOnlyConfig(),
    "int4_32": IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32)),
}


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    values = {}
    for name, config in CONFIGS.items():
        model = torch.nn.Sequential(torch.nn.Linear(64, 16, bias=False)).to(torch.bfloat16)
        values[f"{name}/original"] = model[0].weight.detach().float().numpy()
        quantize_(model, config)
        torch.save(model.state_dict(), FOLDER / f"{name}.pt")
        values[name] = model[0].weight.dequantize().float().numpy()
    np.savez_compressed(FOLDER / "values.npz", **values)


if __name__ == "__main__":
    main()
