"""How near to one read of memory are schemes of many scales, and how quick are codes? Compiled, and in NumPy alone."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from unittest import mock

import numpy as np

from qviz.core import (
    MSE,
    Codebook,
    FloatFormat,
    IntFormat,
    PerAxis,
    PerBlock,
    PerToken,
    Scheme,
    Tensor,
    analyze,
    choose_qparams,
    compiler,
    dequantize,
    fake_quantize,
    measure,
    quantize,
    work,
)
from qviz.core.questions import calibration
from tests.benchmarks.engine import Promise, Verdict, Work, interleaved, plainly

SIDE = 4096
ROWS = 1024
"""Rows of the square whose ranges of least mean squared error are sought: each candidate is measured on all of them."""

SCHEMES = {
    "int8, per row": Scheme(granularity=PerAxis(0)),
    "int8, per column": Scheme(granularity=PerAxis(1)),
    "int8, per token": Scheme(granularity=PerToken()),
    "int4, blocks of 32": Scheme(IntFormat(4), True, PerBlock(-1, 32)),
    "MXFP4": Scheme(FloatFormat("e2m1fn"), True, PerBlock(-1, 32), convention="mx_floor"),
    "NVFP4": Scheme(FloatFormat("e2m1fn"), True, PerBlock(-1, 16), convention="nvfp4"),
    "NF4, blocks of 64": Scheme(Codebook("nf4"), True, PerBlock(-1, 64), convention="textbook"),
}

READ, ANALYZE, MEASURE = "`x.sum()`", "`analyze`, all charts", "`measure`"
ANALYZE_PLAIN, MEASURE_PLAIN = "`analyze`, NumPy", "`measure`, NumPy"
COLUMNS = (READ, ANALYZE, MEASURE, ANALYZE_PLAIN, MEASURE_PLAIN)

ANALYZE_BOUND, MEASURE_BOUND, CANDIDATE_BOUND = 4, 1.5, 10
INTEGERS_BOUND, CODEBOOK_BOUND = 300, 150
"""Million elements a second and core."""

MEASURED_ALONE = ("int8, per row", "int8, per column")


def measure_scales(largest: int = SIDE * SIDE) -> Iterator[str]:
    """A table of schemes, one of conversions, and what was promised.

    Parameters
    ----------
    largest : int
        Elements of the square, at most.
    """
    compiler.warm_up()
    side = min(SIDE, math.isqrt(largest)) // 64 * 64
    x = np.random.default_rng(1).standard_normal((side, side), dtype=np.float32)
    verdicts: list[Verdict] = []
    yield f"| {side} × {side} | {' | '.join(COLUMNS)} |"
    yield f"|---|{'---:|' * len(COLUMNS)}"
    for name, scheme in SCHEMES.items():
        seconds = _scheme(x, scheme)
        ratios = {column: each / seconds[READ] for column, each in seconds.items()}
        cells = (f"{1000 * seconds[READ]:.2f} ms", *(f"{ratios[c]:.3g} ×" for c in COLUMNS[1:]))
        yield f"| {name} | {' | '.join(cells)} |"
        verdicts.append(Promise(f"{name}: analyze ÷ one read", ANALYZE, READ, ANALYZE_BOUND).verdict(ratios[ANALYZE]))
        if name in MEASURED_ALONE:
            alone = Promise(f"{name}: measure ÷ one read", MEASURE, READ, MEASURE_BOUND)
            verdicts.append(alone.verdict(ratios[MEASURE]))
    yield ""
    yield "| million elements a second and core | quantize | dequantize | fake_quantize |"
    yield "|---|---:|---:|---:|"
    for name, scheme in SCHEMES.items():
        rates = _rates(x, scheme)
        yield f"| {name} | {' | '.join(f'{rate:,.0f}' for rate in rates.values())} |"
        bound = CODEBOOK_BOUND if isinstance(scheme.number_format, Codebook) else INTEGERS_BOUND
        for what, rate in rates.items():
            promise = Promise(f"{name}: {what}, million a second", what, "", bound, at_least=True)
            verdicts.append(promise.verdict(rate))
    yield ""
    rows = min(side, ROWS)
    tried, ratio = _search(x[:rows])
    yield f"Least mean squared error of each of {rows} rows: {tried} candidates, {ratio:.3g} × one read each."
    search = Promise("least mean squared error, a candidate ÷ one read", "", "", CANDIDATE_BOUND)
    verdicts.append(search.verdict(ratio))
    yield ""
    yield "What was promised:"
    yield ""
    yield from verdicts


def _scheme(x: np.ndarray, scheme: Scheme) -> dict[str, float]:
    tensor = Tensor(x)
    works: dict[str, Work] = {
        READ: x.sum,
        ANALYZE: lambda: analyze(tensor, scheme),
        MEASURE: lambda: measure(tensor, scheme),
        ANALYZE_PLAIN: plainly(lambda: analyze(tensor, scheme)),
        MEASURE_PLAIN: plainly(lambda: measure(tensor, scheme)),
    }
    return interleaved(works)[0]


def _rates(x: np.ndarray, scheme: Scheme) -> dict[str, float]:
    """Million elements a second, in one thread."""
    q = choose_qparams(x, scheme)
    codes, values = quantize(x, q), np.empty_like(x)
    works: dict[str, Work] = {
        "quantize": lambda: quantize(x, q, out=codes),
        "dequantize": lambda: dequantize(codes, q, out=values),
        "fake_quantize": lambda: fake_quantize(x, q, out=values),
    }
    with mock.patch.object(work, "THREADS", 1):
        seconds = interleaved(works, time.thread_time)[0]
    return {name: x.size / each / 1e6 for name, each in seconds.items()}


def _search(x: np.ndarray) -> tuple[int, float]:
    """How many candidates one search tries, and what each takes in reads of the tensor."""
    tensor, scheme = Tensor(x), Scheme(IntFormat(4), True, PerAxis(0), MSE())
    real, tried = calibration.direct_sums, 0

    def counted(*arguments: object, **wanted: object) -> object:
        nonlocal tried
        tried += 1
        return real(*arguments, **wanted)

    read = interleaved({READ: x.sum})[0][READ]
    with mock.patch.object(calibration, "direct_sums", counted):
        started = time.perf_counter()
        choose_qparams(tensor, scheme)
        seconds = time.perf_counter() - started
    return tried, seconds / tried / read
