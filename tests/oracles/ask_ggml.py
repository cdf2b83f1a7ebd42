"""How many bytes, scales, codes and values of ggml's own C code differ from those of qviz?

``python -m tests.oracles.ask_ggml FOLDER [CASES] [SEED]`` with a C compiler, and gguf beside what qviz needs; FOLDER is
that of ``python -m tests.golden.record_ggml``. Cases are of each type; the seed is printed. Bytes are asked with and
without importances, scales and codes as schemes have them without. It ends with exit code 1 where anything differs.
"""

from __future__ import annotations

import ctypes
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from qviz.core import PRESETS, Problem, Scheme, choose_qparams, quantize
from qviz.core.arithmetic.quantize import dequantize
from qviz.files.ggml_blocks import encoded_bytes
from tests.golden import record_ggml
from tests.oracles.asking import SHOWN, differing
from tests.oracles.families import FAMILIES, Array, tensor

BESIDE = ("TQ1_0", "TQ2_0", "MXFP4", "NVFP4")
"""Those without a search: ggml looks at no importances there."""

ANY = ("MXFP4", "NVFP4")
"""Those whose bytes are asked with NaN and infinities, too, in every fourth case."""

SCHEMES: dict[str, Scheme] = {
    each.name.removeprefix("GGUF "): each.scheme for each in PRESETS if each.name.startswith("GGUF ")
}


def _set(blocks: Array, first: int, values: tuple[int, ...]) -> None:
    blocks[:, first : first + len(values)] = values


UNIT: dict[str, Callable[[Array], None]] = {
    "IQ4_NL": lambda blocks: _set(blocks, 0, (0, 0x3C)),
    "IQ4_XS": lambda blocks: _set(blocks, 0, (0, 0x3C, 0xAA, 0xAA, 0x11, 0x11, 0x11, 0x11)),
    "TQ1_0": lambda blocks: _set(blocks, 52, (0, 0x3C)),
    "TQ2_0": lambda blocks: _set(blocks, 64, (0, 0x3C)),
    "MXFP4": lambda blocks: _set(blocks, 0, (127,)),
    "NVFP4": lambda blocks: _set(blocks, 0, (0x38,) * 4),
}
"""How the scales of a block become 1, so that its values are the levels that its codes stand for."""


def units(written: Array, name: str) -> Array:
    """The levels that codes stand for."""
    blocks = written.reshape(-1, record_ggml.TYPES[name][2]).copy()
    UNIT[name](blocks)
    return np.asarray(gguf.dequantize(blocks, gguf.GGMLQuantizationType[name]))


def not_finite(library: Any, name: str, x: Array, rng: np.random.Generator) -> Counter[str]:
    """Bytes of what is not finite; and values, where that is NaN alone: qviz leaves infinities out."""
    far = [np.nan] if rng.random() < 0.5 else [np.nan, np.inf, -np.inf]
    places = rng.random(x.shape) < rng.choice([0.01, 0.1])
    x = np.where(places, rng.choice(np.float32(far), x.shape), x)
    written = record_ggml._ask(library, name, x, None)
    wrong = Counter({"bytes": differing(encoded_bytes(x, name), written), "not finite": 1})
    if len(far) == 1:
        q = choose_qparams(x, SCHEMES[name])
        values = gguf.dequantize(written, gguf.GGMLQuantizationType[name])
        wrong["values"] = differing(dequantize(quantize(x, q), q), values)
    return wrong


def compare(library: Any, name: str, x: Array, importances: Array) -> Counter[str]:
    """What differs in one tensor."""
    wrong: Counter[str] = Counter()
    written = record_ggml._ask(library, name, x, None)
    wrong["bytes"] = differing(encoded_bytes(x, name), written)
    if name not in BESIDE:
        weighted = record_ggml._ask(library, name, x, importances)
        wrong["weighted bytes"] = differing(encoded_bytes(x, name, importances), weighted)
    q = choose_qparams(x, SCHEMES[name])
    codes = quantize(x, q)
    values = gguf.dequantize(written, gguf.GGMLQuantizationType[name])
    wrong["values"] = differing(dequantize(codes, q), values)
    if name in UNIT:
        own, theirs = np.ravel(q.number_format.decode(codes)), np.ravel(units(written, name))
        told = ~np.isnan(np.repeat(np.ravel(q.scale), x.size // q.scale.size))  # of NaN every code is NaN
        wrong["codes"] = differing(own[told], theirs[told])
    return wrong


def main(folder: str, cases: int = 3000, seed: int = 0, *names: str) -> int:
    rng, shown = np.random.default_rng(seed), 0
    failed = False
    print(f"seed {seed}, {cases} cases a type")
    with tempfile.TemporaryDirectory() as own:
        library: ctypes.CDLL = record_ggml._library(Path(folder), Path(own))
        for name in names or record_ggml.TYPES:
            counts: Counter[str] = Counter()
            for case in range(cases):
                family, dtype = str(rng.choice(list(FAMILIES))), str(rng.choice(["float32", "float16", "bfloat16"]))
                x = tensor(rng, family, dtype, (2, 256)).astype(np.float32)
                importances = np.where(rng.random(256) < 0.1, 0, rng.random(256) ** 2).astype(np.float32)
                with np.errstate(all="ignore"):
                    try:
                        odd = case % 4 == 0 and name in ANY
                        wrong = not_finite(library, name, x, rng) if odd else compare(library, name, x, importances)
                    except Problem as problem:
                        wrong = Counter({f"refused ({family}): {str(problem)[:60]}": 1})
                    counts.update(wrong + Counter(cases=1, elements=x.size))
                if any(n for key, n in wrong.items() if not key.startswith(("refused", "not finite"))):
                    failed = True
                    if shown < SHOWN:
                        shown += 1
                        print("differs:", name, family, dtype, {key: n for key, n in wrong.items() if n})
            print(f"{name:7s}", dict(counts), flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *(int(each) for each in sys.argv[2:4]), *sys.argv[4:]))
