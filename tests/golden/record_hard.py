"""What do PyTorch and torchao answer to hard tensors: zeros, denormals, overflow, ties, in three types?

``python -m tests.golden.record_hard`` with torch and torchao writes ``hard_torch.npz`` and ``hard_torch.json`` beside
this file: for each case a scheme, the type of the tensor, its values, and what the library answered.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

from tests.oracles.ask_torch import schemes, to_torch
from tests.oracles.families import DTYPES, FAMILIES, tensor

FOLDER, SEED = Path(__file__).parent, 11


def main() -> None:
    rng, arrays, cases = np.random.default_rng(SEED), {}, []
    for i, (ask, scheme) in enumerate(schemes() * 6):
        dtype = list(DTYPES)[i % 3]
        family = list(FAMILIES)[i % len(FAMILIES)]
        x = tensor(rng, family, dtype, (2, 64))
        scale, zero, codes, values = ask(to_torch(x), scheme)
        answer = {"scale": scale.float(), "codes": codes, "values": values.float()}
        answer |= {} if zero is None else {"zero": zero}
        arrays |= {f"{i} {name}": each.numpy() for name, each in answer.items()}
        arrays[f"{i} x"] = x.astype(np.float32)
        cases.append({"family": family, "dtype": dtype, "scheme": scheme.to_dict()})
    np.savez_compressed(FOLDER / "hard_torch.npz", **arrays)
    about = {"recorded_with": {name: version(name) for name in ("torch", "torchao", "numpy")}, "cases": cases}
    (FOLDER / "hard_torch.json").write_text(json.dumps(about) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
