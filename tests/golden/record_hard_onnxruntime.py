"""What does ONNX Runtime answer to hard tensors: zeros, denormals, overflow, ties, in every type that it takes?

``python -m tests.golden.record_hard_onnxruntime`` writes ``hard_onnxruntime.npz`` and ``hard_onnxruntime.json`` beside
this file: for each case a scheme, the type of the tensor, its values, and what the library answered.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

from tests.oracles.ask_onnxruntime import TYPES, schemes
from tests.oracles.families import FAMILIES, tensor

FOLDER, SEED, MOST_ROWS = Path(__file__).parent, 12, 64


def main() -> None:
    rng, arrays, cases = np.random.default_rng(SEED), {}, []
    few = [each for each in schemes() if each[2][0] <= MOST_ROWS]
    for turn, (ask, scheme, shape) in enumerate(few * 3):
        i = len(cases)
        dtype = TYPES[ask][turn % len(TYPES[ask])]
        family = list(FAMILIES)[(turn + turn // len(few)) % len(FAMILIES)]
        x = tensor(rng, family, dtype, (shape[0], shape[1] // 2))
        try:
            with np.errstate(all="ignore"):
                scale, zero, codes, values = ask(x, scheme)
        except RuntimeError:  # FP8 of zeros alone
            continue
        answer = {"scale": scale, "zero": zero, "codes": codes, "values": values}
        for name, each in answer.items():
            if each is not None:
                number = name in ("scale", "values")
                arrays[f"{i} {name}"] = np.asarray(each).astype(np.float32 if number else np.int32)
        arrays[f"{i} x"] = x.astype(np.float32)
        cases.append({"family": family, "dtype": dtype, "scheme": scheme.to_dict()})
    np.savez_compressed(FOLDER / "hard_onnxruntime.npz", **arrays)
    about = {"recorded_with": {name: version(name) for name in ("onnxruntime", "onnx", "numpy")}, "cases": cases}
    (FOLDER / "hard_onnxruntime.json").write_text(json.dumps(about) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
