"""What do live libraries answer to hard tensors: zeros, denormals, overflow, ties, in three types?

``python -m tests.golden.record_hard LIBRARY`` asks what ``tests.oracles.ask_LIBRARY`` asks (torch, gguf, …), in
an environment with the library, and writes ``hard_LIBRARY.npz`` and ``hard_LIBRARY.json`` beside this file: for each
case a scheme, the type of the tensor, its values, and what the library answered. ``… LIBRARY CONVENTION ROWS COLUMNS``
asks about one convention alone, with tensors of that shape, and names the files by it.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import numpy as np

from tests.oracles.families import tensor

FOLDER, SEED, ENOUGH = Path(__file__).parent, 11, 60
NAMES = ("scale", "zero", "codes", "values")


def main(library: str, only: str = "", shape: tuple[int, ...] = (2, 64)) -> None:
    oracle = import_module(f"tests.oracles.ask_{library}")
    rng, arrays, cases = np.random.default_rng(SEED), {}, []
    families, dtypes = oracle.OF_FAMILIES, oracle.OF_DTYPES
    asked = [each for each in oracle.asked() if only in ("", each[1].convention)]
    times = 4 if only else max(6, ENOUGH // len(asked))
    for i, (ask, scheme) in enumerate(asked * times):
        dtype, family = dtypes[i % len(dtypes)], list(families)[i % len(families)]
        x = tensor(rng, family, dtype, shape, families)
        with np.errstate(all="ignore"):
            answer = dict(zip(NAMES, ask(x, scheme), strict=True))
        arrays |= {f"{i} {name}": np.asarray(each) for name, each in answer.items() if each is not None}
        arrays[f"{i} x"] = x.astype(np.float32)
        cases.append({"family": family, "dtype": dtype, "scheme": scheme.to_dict()})
    np.savez_compressed(FOLDER / f"hard_{only or library}.npz", **arrays)
    about = {"recorded_with": {name: version(name) for name in (*oracle.PACKAGES, "numpy")}, "cases": cases}
    (FOLDER / f"hard_{only or library}.json").write_text(json.dumps(about) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:3], *([(int(sys.argv[3]), int(sys.argv[4]))] if sys.argv[4:] else []))
