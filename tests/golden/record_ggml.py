"""Which bytes does ggml's own quantizer write? Recorded from its C code.

``python -m tests.golden.record_ggml FOLDER`` builds ``ggml-quants.c`` of a source package (``pip download --no-deps
--no-binary :all: llama-cpp-python``, unpacked; FOLDER is ``vendor/llama.cpp/ggml`` in it) with a C compiler, for a
plain x86-64: without fused multiply-adds, as the library that llama.cpp's programs share is built. It asks for
`CHUNKS` times 65,536 weights a type, with and without importances, and writes the hash of each answer and the
bytes of the first few blocks to ``ggml.npz`` and ``ggml.json`` beside this file.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

FOLDER = Path(__file__).parent
CHUNKS, ROWS, COLUMNS = 16, 256, 256
FIRST = 32
"""Rows whose bytes are kept, of every type: two of each family."""

TYPES = {
    "Q2_K": ("q2_K", 256, 84),
    "Q3_K": ("q3_K", 256, 110),
    "Q4_K": ("q4_K", 256, 144),
    "Q5_K": ("q5_K", 256, 176),
    "Q6_K": ("q6_K", 256, 210),
    "IQ4_XS": ("iq4_xs", 256, 136),
    "IQ4_NL": ("iq4_nl", 32, 18),
    "TQ1_0": ("tq1_0", 256, 54),
    "TQ2_0": ("tq2_0", 256, 66),
    "MXFP4": ("mxfp4", 32, 17),
    "NVFP4": ("nvfp4", 64, 36),
}
"""The name of the C function, and elements and bytes of a block."""

STUBS = """
#include <stdlib.h>
#include <stdint.h>
size_t ggml_row_size(int type, int64_t n) {
    switch (type) {
        case 10: return n / 256 * 84; case 11: return n / 256 * 110; case 12: return n / 256 * 144;
        case 13: return n / 256 * 176; case 14: return n / 256 * 210; case 34: return n / 256 * 54;
        case 35: return n / 256 * 66; case 39: return n / 32 * 17; case 40: return n / 64 * 36;
    }
    abort();
}
size_t ggml_type_size(int type) { abort(); }
const char *ggml_type_name(int type) { return ""; }
void ggml_abort(const char *file, int line, const char *text, ...) { abort(); }
"""


def uniform(seed: int, n: int) -> Array:
    """float64 numbers between 0 and 1: bits of a counter, mixed (splitmix64), the same under every NumPy."""
    z = (np.arange(1, n + 1, dtype=np.uint64) + np.uint64(seed << 32)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return ((z ^ z >> np.uint64(31)) >> np.uint64(11)).astype(np.float64) / (1 << 53)


def weights(chunk: int) -> Array:
    """float32 array of shape (256, 256): a row in sixteen is of each family, hard ones among them."""
    shape = (ROWS, COLUMNS)
    # A sum of three uniform numbers is bell-shaped; a quotient has long tails. No function of a C library in it.
    x = sum(uniform(3 * chunk + i, ROWS * COLUMNS) for i in range(3)).reshape(shape) * 2 - 3
    tails = x / (uniform(900 + chunk, ROWS * COLUMNS).reshape(shape) + 1 / 64)
    family = np.arange(ROWS) % 16
    row = np.arange(ROWS)[:, None]
    x = np.where((family == 1)[:, None], x * 2.0**-20, x)
    x[family == 2] = 0
    x[family == 3, ::3] = 0
    x = np.where((family == 4)[:, None], x * 2.0**-126, x)  # denormal
    x = np.where((family == 5)[:, None], np.floor(x * 4) / 4, x)  # ties
    x = np.where((family == 6)[:, None], np.abs(x), x)
    x = np.where((family == 7)[:, None], -np.abs(x), x)
    x[family == 8, 17] *= 1000
    x = np.where((family == 9)[:, None], 0.375, x)
    x = np.where((family == 10)[:, None], x * 2.0**13, x)  # beyond float16 in some types
    x = np.where((family == 11)[:, None], tails, x)
    x = np.where((family == 12)[:, None], x * 2.0**-50, x)
    x = np.where((family == 13)[:, None], np.sign(x), x)
    x[family == 14, :128] = 0
    x = np.where((family == 15)[:, None], x * 2.0 ** ((np.arange(COLUMNS) * 7 + row) % 35 - 20), x)
    return x.astype(np.float32)


def importances() -> Array:
    """float32 array of shape (256,), zeros among them."""
    found = uniform(977, COLUMNS) ** 2
    found[::17] = 0
    return found.astype(np.float32)


def digest(answer: Array) -> str:
    """A short hash of bytes."""
    return hashlib.sha256(answer.tobytes()).hexdigest()[:24]


PLAIN = ("-O2", "-march=x86-64", "-ffp-contract=off")
"""Flags whose code is the same on every x86-64."""


def _library(source: Path, folder: Path, flags: tuple[str, ...] = PLAIN) -> Any:
    (folder / "stubs.c").write_text(STUBS)
    sources = [str(source / "src" / "ggml-quants.c"), str(folder / "stubs.c")]
    name = f"ggml{abs(hash(flags))}.so"  # one that is loaded already would be given back
    includes = [f"-I{source / 'include'}", f"-I{source / 'src'}"]
    command = ["cc", *flags, "-fPIC", "-shared", "-DNDEBUG", *includes, *sources, "-o", str(folder / name), "-lm"]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(folder / name))


def _ask(library: Any, name: str, x: Array, importance: Array | None) -> Array:
    function, block, nbytes = TYPES[name]
    out = np.zeros((len(x), x.shape[1] // block * nbytes), np.uint8)
    pointers = [None if a is None else a.ctypes.data_as(ctypes.c_void_p) for a in (x, out, importance)]
    size = [ctypes.c_int64(n) for n in x.shape]
    getattr(library, f"quantize_{function}")(pointers[0], pointers[1], *size, pointers[2])
    return out


def main() -> None:
    hashes: dict[str, list[str]] = {}
    first: dict[str, Array] = {}
    with tempfile.TemporaryDirectory() as folder:
        library = _library(Path(sys.argv[1]), Path(folder))
        for name in TYPES:
            for importance in (None, importances()):
                key = name if importance is None else f"{name} with importances"
                answers = [_ask(library, name, weights(chunk), importance) for chunk in range(CHUNKS)]
                hashes[key] = [digest(answer) for answer in answers]
                first[key] = answers[0][:FIRST]
    compiler = subprocess.run(["cc", "--version"], check=True, capture_output=True, text=True).stdout.splitlines()[0]
    about = {"source": "ggml-quants.c of llama-cpp-python 0.3.36", "compiler": compiler, "hashes": hashes}
    (FOLDER / "ggml.json").write_text(json.dumps(about, indent=1) + "\n")
    np.savez_compressed(FOLDER / "ggml.npz", **first)


if __name__ == "__main__":
    main()
