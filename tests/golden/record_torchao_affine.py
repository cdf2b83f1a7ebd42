"""Record checkpoints with ``AffineQuantizedTensor``, which torchao had before 0.18, and what it decodes of them.

Run in an environment of its own, with torchao 0.12.0 and a torch of its time, ``python
tests/golden/record_torchao_affine.py``. (These were recorded with torch 2.13.0, where a module for attention that
torchao imports had to be stubbed.) The files lie in ``tests/golden/checkpoints/torchao_affine``; ``values.npz``
holds of each what torchao decodes. With 4 bits a byte holds one code; ``tinygemm`` packs codes for one kernel, with
zero points that are fractions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torchao.dtypes import to_affine_quantized_intx
from torchao.quantization.quant_primitives import MappingType, ZeroPointDomain

FOLDER = Path(__file__).parent / "checkpoints" / "torchao_affine"
SYMMETRIC, ASYMMETRIC = MappingType.SYMMETRIC, MappingType.ASYMMETRIC


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    w = torch.randn(16, 64)
    more = {"eps": 1e-6, "zero_point_dtype": torch.int32}
    made = {
        "int8": to_affine_quantized_intx(w, SYMMETRIC, (1, 64), torch.int8, **more),
        "int8_tensor": to_affine_quantized_intx(w, SYMMETRIC, (16, 64), torch.int8, **more),
        "uint4_32": to_affine_quantized_intx(w, ASYMMETRIC, (1, 32), torch.uint8, 0, 15, **more),
        "columns": to_affine_quantized_intx(w, SYMMETRIC, (16, 1), torch.int8, **more),
        "fractions": to_affine_quantized_intx(
            w,
            ASYMMETRIC,
            (1, 32),
            torch.uint8,
            0,
            15,
            eps=1e-6,
            zero_point_dtype=torch.float32,
            preserve_zero=False,
            zero_point_domain=ZeroPointDomain.FLOAT,
        ),
    }
    for name, tensor in made.items():
        torch.save({"layer.weight": tensor}, FOLDER / f"{name}.pt")
    np.savez_compressed(FOLDER / "values.npz", **{name: each.dequantize().numpy() for name, each in made.items()})


if __name__ == "__main__":
    main()
