"""Do the scripts that ask torch and torchao give the codes of qviz? Run once, where these are installed.

``python -m tests.golden.record_snippets`` runs every script for torch, and those with which ONNX Runtime asks torch for
HQQ, and writes ``snippets_torch.json``: how many there were, the digest of their text, and the versions that ran them.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tempfile
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core import (
    CONVENTIONS,
    Codebook,
    FloatFormat,
    IntFormat,
    MinMax,
    PerAxis,
    PerBlock,
    Percentile,
    PerTensor,
    PerToken,
    Problem,
    QParams,
    Scheme,
    Tensor,
    analyze,
    choose_qparams,
    dequantize,
    fake_quantize,
    quantize,
)
from qviz.core.runtimes.precision import rounding_to
from qviz.core.scripts.runtime_scripts import runtime_snippet, runtimes_of
from qviz.files.results import save_quantized

VERIFIED = Path(__file__).parent / "snippets_torch.json"

X = ((np.arange(256) * 7919 % 1009 - 400) / 256).astype(np.float32).reshape(4, 64)

TYPES = ("float32", "float16", "bfloat16")

GRANULARITIES = (PerTensor(), PerAxis(0), PerAxis(-1), PerBlock(-1, 32), PerToken())
FORMATS = (
    *(IntFormat(bits, signed) for bits in (4, 8, 16) for signed in (True, False)),
    *(FloatFormat(name) for name in ("e4m3fn", "e5m2", "e2m3fn", "e3m2fn", "e2m1fn", "bfloat16")),
    IntFormat(5),
    Codebook(),
)


def schemes() -> Iterator[Scheme]:
    """All that there are of these."""
    rules = (MinMax(), Percentile(99.0))
    for convention, *rest in product(
        (c for c in CONVENTIONS if not CONVENTIONS[c].superblock), FORMATS, (True, False), GRANULARITIES, rules
    ):
        with contextlib.suppress(Problem):
            yield Scheme(*rest, convention)


@cache
def chosen() -> tuple[tuple[Scheme, QParams, frozenset[str]], ...]:
    """Each of them, its parameters, and which runtimes have a script for it."""
    parameters = ((scheme, choose_qparams(X, scheme)) for scheme in schemes())
    return tuple((scheme, qparams, frozenset(runtimes_of(qparams))) for scheme, qparams in parameters)


def offered(runtime: str) -> Iterator[tuple[Scheme, QParams]]:
    """Every one of them that a runtime has a script for."""
    return ((scheme, qparams) for scheme, qparams, runtimes in chosen() if runtime in runtimes)


def run(script: str, folder: Path, x: Any) -> dict[str, Any]:
    """What a script leaves behind, as arrays."""
    np.save(folder / "tensor.npy", x)
    names: dict[str, Any] = {}
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(script, names)
    assert printed.getvalue().startswith("codes ")
    return {name: np.asarray(names[name]) for name in ("codes", "x_hat")}


def check(runtime: str, scheme: Scheme, qparams: QParams, folder: Path) -> None:
    """Run one script and compare every code and every value, bit for bit."""
    save_quantized(folder / "quantized.npz", analyze(X, scheme))
    left = run(runtime_snippet(qparams, runtime), folder, X)
    np.testing.assert_array_equal(left["codes"], quantize(X, qparams), err_msg=str(scheme))
    np.testing.assert_array_equal(left["x_hat"], fake_quantize(X, qparams), err_msg=str(scheme))


def digest(runtime: str) -> tuple[int, str]:
    """How many scripts there are, and the digest of all of them."""
    return digest_of([runtime_snippet(qparams, runtime) for _, qparams in offered(runtime)])


def of_hqq() -> list[tuple[Tensor, QParams, str]]:
    """Tensors of each type, finite or not, under HQQ, and the script that asks for their codes."""
    found = []
    for dtype, bits, size, axis, finite in product(TYPES, (2, 4, 8), (16, 32, 64), (-1, 0), (True, False)):
        x = rounded(X * np.float32(bits), dtype)
        if not finite:
            x[0, 3], x[1, 2], x[2, 1] = np.nan, np.inf, -np.inf
        tensor = Tensor(x, dtype=dtype)
        scheme = Scheme(IntFormat(bits, False), False, PerBlock(axis, size), convention="onnxruntime_hqq")
        qparams = choose_qparams(tensor, scheme)
        found.append((tensor, qparams, runtime_snippet(qparams, "onnxruntime", all_finite=finite)))
    return found


def rounded(x: Any, dtype: str) -> Any:
    """float32 numbers that a type has."""
    rounding = rounding_to(dtype)
    return x.copy() if rounding is None else rounding(x)


def digest_of(scripts: list[str]) -> tuple[int, str]:
    """How many they are, and their digest."""
    return len(scripts), hashlib.sha256("\0".join(scripts).encode()).hexdigest()


def record() -> None:
    """Run the scripts for torch, and note that they were run."""
    with tempfile.TemporaryDirectory() as folder:
        for scheme, qparams in offered("torch"):
            check("torch", scheme, qparams, Path(folder))
        for tensor, qparams, script in of_hqq():
            left, codes = run(script, Path(folder), tensor.original().reshape(tensor.shape)), quantize(tensor, qparams)
            np.testing.assert_array_equal(left["codes"], codes, err_msg=str(qparams))
            np.testing.assert_array_equal(left["x_hat"], dequantize(codes, qparams), err_msg=str(qparams))
    hqq, digest_of_hqq = digest_of([script for *_, script in of_hqq()])
    count, text = digest("torch")
    versions = {name: version(name) for name in ("torch", "torchao", "onnxruntime", "numpy")}
    told = {
        "recorded_with": versions,
        "scripts": count,
        "sha256": text,
        "hqq_scripts": hqq,
        "hqq_sha256": digest_of_hqq,
    }
    VERIFIED.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record()
