"""Do the formula panel and the scripts give the codes of qviz, for every convention, type of tensor and hard values?

``python -m tests.oracles.ask_formulas [CASES] [SEED] [CONVENTION…]`` with what the tests need; ONNX Runtime's scripts
run too. Cases are of each convention: any format, symmetry and granularity that it has, a tensor of any type and
family, a third of them with NaN, infinities and, in float64, numbers beyond float32. What differs is printed, and the
exit code is 1 then.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np

from qviz.core import (
    CONVENTIONS,
    Codebook,
    FloatFormat,
    IntFormat,
    Manual,
    MinMax,
    PerAxis,
    PerBlock,
    Percentile,
    PerTensor,
    PerTile,
    PerToken,
    Problem,
    Scheme,
    Tensor,
    dequantize,
    quantize,
)
from qviz.core.formats.codebooks import CODEBOOKS
from qviz.core.formats.floats import FLOATS
from qviz.core.questions.analysis import Analysis, analyze
from qviz.core.ranges.known import Known
from qviz.core.schemes.fitting import check_fits
from qviz.core.scripts.numpy_script import python_snippet
from qviz.core.scripts.runtime_scripts import runtime_snippet, runtimes_of
from qviz.files.results import save_quantized
from tests.formulas import check
from tests.oracles.families import FAMILIES, Random, tensor

DTYPES = ("float32", "bfloat16", "float16", "float64")
FORMATS = (
    *(IntFormat(bits, signed) for bits in (2, 3, 4, 5, 6, 8, 16) for signed in (True, False)),
    *(FloatFormat(name) for name in FLOATS),
    *(Codebook(name) for name in CODEBOOKS),
)
GRANULARITIES = (
    PerTensor(),
    PerAxis(0),
    PerAxis(1),
    PerToken(),
    PerTile(2, 16),
    *(PerBlock(-1, size) for size in (16, 32, 64, 48, 128, 256)),
    PerBlock(0, 2),
)
RULES = (Percentile(99.0), Manual(-1.5, 0.75), Known(scale=(0.25,)))
FAR = {"float64": (np.nan, np.inf, -np.inf, 1e300, -1e39)}
SHAPES = ((4, 64), (2, 256))
SHOWN, FEW = 40, 8


def offered(convention: str, shape: tuple[int, ...]) -> list[Scheme]:
    """Everything that a runtime has for such a tensor."""
    found, runtime = [], CONVENTIONS[convention]
    formats = [each for each in FORMATS if runtime.knows(each)]
    for number_format, symmetric, granularity in product(formats, (True, False), GRANULARITIES):
        if not runtime.offers(number_format, symmetric, granularity):
            continue
        for compute, power in (("auto", False), ("float32", False), ("auto", True)):
            with contextlib.suppress(Problem):
                scheme = Scheme(number_format, symmetric, granularity, MinMax(), convention, compute, power)
                check_fits(scheme, shape)
                found.append(scheme)
    return found


def under_a_rule(rng: Random, scheme: Scheme) -> Scheme:
    """The same with another range in every third case, where it takes one."""
    rule = rng.choice(np.array([MinMax(), MinMax(), MinMax(), *RULES], object))
    with contextlib.suppress(Problem):
        return replace(scheme, range_rule=rule)
    return scheme


def hard(rng: Random, family: str, dtype: str, shape: tuple[int, ...]) -> Any:
    """A tensor of a family and a type; one in three has elements that are no finite float32."""
    if dtype == "float64":
        x: Any = tensor(rng, family, "float32", shape).astype(np.float64)
    else:
        x = tensor(rng, family, dtype, shape)
    if rng.random() < 1 / 3:
        far = FAR.get(dtype, (np.nan, np.inf, -np.inf))
        places = rng.permutation(x.size)[: int(rng.integers(1, 20))]
        x.reshape(-1)[places] = rng.choice(far, places.size).astype(x.dtype)
    if rng.random() < 0.1:
        x[0] = 0
    return x


def elements(rng: Random, x: Any) -> set[int]:
    """Which of them are looked at: any, the ends, and what is not finite."""
    flat = np.ravel(x).astype(np.float64)
    odd = np.flatnonzero(~np.isfinite(flat))
    size = np.where(np.isfinite(flat), flat, 0)
    return {*rng.integers(0, flat.size, 4).tolist(), int(size.argmax()), int(size.argmin()), *odd[:2].tolist()}


def ran(script: str, x: Any, saved: Analysis | None = None) -> dict[str, Any]:
    """What a script leaves behind, beside the tensor as qviz saves it where that is given."""
    names: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        np.save("tensor.npy", x)
        if saved is not None:
            save_quantized(Path("quantized.npz"), saved)
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)  # of a group without a finite value
            exec(script, names)
    return names


def of_panel(rng: Random, analysis: Analysis, x: Any) -> None:
    """The rows of some elements."""
    for element in elements(rng, x):
        check(analysis, element)


def of_numpy(rng: Random, analysis: Analysis, x: Any) -> None:
    """The script that needs nothing else."""
    q, given = analysis.qparams, analysis.tensor
    names = ran(python_snippet(q, all_finite=given.all_finite), x)
    codes = quantize(given, q)
    np.testing.assert_array_equal(names["codes"], codes, strict=True)
    np.testing.assert_array_equal(names["x_hat"], dequantize(codes, q), strict=True)
    for name in ("scale", "zero_point"):
        found = np.broadcast_to(np.ravel(names[name]), q.scale.size)
        np.testing.assert_array_equal(found, np.ravel(getattr(q, name)), err_msg=name)
    np.testing.assert_allclose(float(names["mse"]), analysis.mse, rtol=1e-12)


def of_onnxruntime(rng: Random, analysis: Analysis, x: Any) -> None:
    """The script that asks ONNX Runtime, where there is one."""
    q, given = analysis.qparams, analysis.tensor
    if "onnxruntime" not in runtimes_of(q) or q.convention.name == "onnxruntime_hqq":  # which asks for torch
        return
    names = ran(runtime_snippet(q, "onnxruntime", all_finite=given.all_finite), x, analysis)
    codes = quantize(given, q)
    np.testing.assert_array_equal(np.asarray(names["codes"]), codes)
    np.testing.assert_array_equal(np.asarray(names["x_hat"]), dequantize(codes, q))


ASKED: dict[str, Callable[[Random, Analysis, Any], None]] = {
    "panel": of_panel,
    "numpy": of_numpy,
    "onnxruntime": of_onnxruntime,
}


def main(cases: int = 100, seed: int = 0, *conventions: str) -> int:
    """Ask in turn, print what differs, and return 1 where anything does."""
    rng, shown, failed = np.random.default_rng(seed), 0, False
    print(f"seed {seed}, {cases} cases a convention")
    for name in conventions or CONVENTIONS:
        counts: Counter[str] = Counter()
        schemes = {shape: offered(name, shape) for shape in SHAPES[: 1 if cases < FEW else 2]}
        if not any(schemes.values()):  # whose rows are long
            schemes = {SHAPES[1]: offered(name, SHAPES[1])}
        for case in range(cases):
            shape = [each for each, there in schemes.items() if there][-(case % 2)]
            scheme = under_a_rule(rng, schemes[shape][int(rng.integers(len(schemes[shape])))])
            family, dtype = str(rng.choice(list(FAMILIES))), DTYPES[case // 2 % len(DTYPES)]
            values = hard(rng, family, dtype, shape)
            with np.errstate(all="ignore"):
                stored = values.astype(np.float32) if dtype in ("bfloat16",) else values
                try:
                    analysis = analyze(Tensor(stored, dtype=dtype), scheme)
                except Problem as problem:
                    counts[f"refused: {str(problem)[:60]}"] += 1
                    continue
                except Exception as error:
                    failed = True
                    counts["analysis"] += 1
                    print(f"analysis: {name} {family} {dtype} case {case} {scheme}\n    {error!r}")
                    continue
                counts["cases"] += 1
                for what, ask in ASKED.items():
                    try:
                        ask(rng, analysis, stored)
                    except Problem as problem:
                        counts[f"{what} refused: {str(problem)[:60]}"] += 1
                    except Exception as error:
                        counts[what] += 1
                        failed = True
                        if shown < SHOWN:
                            shown += 1
                            said = " ".join(str(error).split())[:300]
                            print(f"{what} differs: {name} {family} {dtype} case {case} {scheme}\n    {said}")
        print(f"{name:28s}", dict(counts), flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3]), *sys.argv[3:]))
