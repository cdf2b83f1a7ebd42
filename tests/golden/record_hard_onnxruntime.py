"""What does ONNX Runtime answer to hard tensors: zeros, denormals, overflow, ties, in every type that it takes?

``python -m tests.golden.record_hard_onnxruntime`` writes ``hard_onnxruntime.npz`` and ``hard_onnxruntime.json`` beside
this file: for each case a scheme, the type of the tensor, its values, and what the library answered. With ``short``
behind it blocks are longer than their axis, and the files are called so.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

from qviz.core import PerBlock, Scheme
from tests.oracles.ask_onnxruntime import TYPES, schemes
from tests.oracles.families import FAMILIES, tensor

FOLDER, SEED, MOST_ROWS = Path(__file__).parent, 12, 64


def is_short(scheme: Scheme, shape: tuple[int, ...]) -> bool:
    granularity = scheme.granularity
    return isinstance(granularity, PerBlock) and granularity.block_size > shape[granularity.axis]


def main(name: str = "") -> None:
    rng, arrays, cases = np.random.default_rng(SEED), {}, []
    few = [each for each in schemes() if each[2][0] <= (2 * MOST_ROWS if name else MOST_ROWS)]
    few = [each for each in few if is_short(*each[1:]) == bool(name)]
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
        if (
            scheme.convention == "onnxruntime_blocks" and not np.isfinite(scale).all()
        ):  # whose codes are the processor's
            continue
        answer = {"scale": scale, "zero": zero, "codes": codes, "values": values}
        for part, each in answer.items():
            if each is not None:
                number = part in ("scale", "values")
                arrays[f"{i} {part}"] = np.asarray(each).astype(np.float32 if number else np.int32)
        arrays[f"{i} x"] = x.astype(np.float32)
        cases.append({"family": family, "dtype": dtype, "scheme": scheme.to_dict()})
    stem = f"hard_onnxruntime_{name}" if name else "hard_onnxruntime"
    np.savez_compressed(FOLDER / f"{stem}.npz", **arrays)
    about = {"recorded_with": {name: version(name) for name in ("onnxruntime", "onnx", "numpy")}, "cases": cases}
    (FOLDER / f"{stem}.json").write_text(json.dumps(about) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:2])
