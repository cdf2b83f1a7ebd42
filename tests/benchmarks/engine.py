"""How much quicker is an answer from the sorted tensor than the usual ways, and how near to one read are the others?"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import io
import math
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from qviz.core import MSE, Entropy, PerAxis, Scheme, Tensor, analyze, choose_qparams, fake_quantize, measure, prepare
from qviz.core.tensors.sorted_tensor import SortedTensor

try:
    from qviz.core import compiler as kernels
except ImportError:  # a version without kernels
    kernels = None  # type: ignore[assignment]

SIZES = (10**4, 10**6, 10**7, 10**8)
CHANNELS = 4096
"""The tensor with a scale for each row, or each column, is a square of so many."""

AXES = (0, 1)
AXIS_NAMES = ("row (axis 0)", "column (axis 1)")

RUNTIME_NEEDS = ("onnx", "onnxruntime")

BYTES_EACH = 48
"""Memory that an element takes at worst: the textbook's intermediate arrays, and those of the runtimes."""

ENTROPY_BINS = 2048  # as the Entropy of qviz has them
ROUNDS, MOST_ROUNDS, ROUND_SECONDS = 3, 15, 6.0
"""Rounds, each with every way in turn: as few as that at least, more when they are short."""

CALLS_SECONDS, MOST_CALLS = 0.02, 10
"""A quick way is called several times in a round."""

INT8 = Scheme()
"""Symmetric, min-max, in the arithmetic of ONNX Runtime."""

ERROR_BINS = 32
"""Between 0 and half a step: 64 in all."""

Work = Callable[[], Any]
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Subject:
    """What every way is given, made before the clock runs."""

    x: Array
    tensor: Tensor
    prepared: SortedTensor
    scale: np.float32


@dataclass(frozen=True, eq=False)
class Way:
    """A row: ``make`` gives the work to be timed; its name is its section's and its own."""

    name: str
    make: Callable[[Subject], Work]
    needs: tuple[str, ...] = ()
    largest: int = SIZES[-1]
    compiled: bool = False


@dataclass(frozen=True, eq=False)
class Section:
    """Rows that answer one question, as multiples of the ``reference`` row."""

    title: str
    reference: str
    ways: tuple[Way, ...]


@dataclass(eq=False)
class Timings:
    """What was found: medians in seconds by the name of the way and the column, and figures of a size.

    A column is a number of elements, or the name of an axis.
    """

    seconds: dict[tuple[str, int | str], float] = field(default_factory=dict)
    memory: dict[int, float] = field(default_factory=dict)
    disagreement: dict[int, tuple[float, str]] = field(default_factory=dict)
    skipped: dict[int, str] = field(default_factory=dict)

    def ratio(self, way: str, reference: str, column: int | str) -> float | None:
        """How many times as long as the reference."""
        times = [self.seconds.get((name, column)) for name in (way, reference)]
        return times[0] / times[1] if times[0] is not None and times[1] is not None else None


# --- the ways ----------------------------------------------------------------------------------------


def _metrics(subject: Subject) -> Work:
    return lambda: analyze(subject.prepared, INT8, error_bins=0).mse


def _metrics_and_errors(subject: Subject) -> Work:
    return lambda: analyze(subject.prepared, INT8, error_bins=ERROR_BINS).mse


def _textbook(subject: Subject, *, error_histogram: bool = False) -> Work:
    """What people write: float32 throughout, one array after the other."""
    x = subject.x

    def work() -> float:
        scale = np.abs(x).max() / 127
        rounded = np.round(x / scale)
        codes = np.clip(rounded, -128, 127)
        saturated = np.count_nonzero(rounded != codes)
        x_hat = codes * scale
        error = x - x_hat
        mse = np.mean(error**2)
        largest = np.abs(error).max()
        sqnr_db = 10 * np.log10(np.mean(x**2) / mse)
        cosine = np.dot(x, x_hat) / (np.linalg.norm(x) * np.linalg.norm(x_hat))
        occupancy = np.bincount(codes.astype(np.int64) + 128, minlength=256)
        counts = np.histogram(error, 2 * ERROR_BINS)[0] if error_histogram else None
        assert (saturated, largest, sqnr_db, cosine, occupancy, counts) is not None
        return float(mse)

    return work


def _onnxruntime(subject: Subject) -> Work:
    """Quantized, dequantized and compared in one graph; it has no operator that counts codes."""
    from onnx import TensorProto, helper, numpy_helper

    figures = ("mse", "largest", "signal", "dequantized", "product")
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["x", "scale", "zero_point"], ["codes"]),
        node("DequantizeLinear", ["codes", "scale", "zero_point"], ["x_hat"]),
        node("Sub", ["x_hat", "x"], ["error"]),
        node("Abs", ["error"], ["magnitude"]),
        node("ReduceMax", ["magnitude"], ["largest"], keepdims=0),
    ]
    for pair, name in (
        (["error", "error"], "mse"),
        (["x", "x"], "signal"),
        (["x_hat", "x_hat"], "dequantized"),
        (["x", "x_hat"], "product"),
    ):
        nodes += [
            node("Mul", pair, [f"{name} of each"]),
            node("ReduceMean", [f"{name} of each"], [name], keepdims=0),
        ]
    graph = helper.make_graph(
        nodes,
        "metrics",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [subject.x.size])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name in figures],
        [numpy_helper.from_array(np.array(subject.scale), "scale"), _int8_zero(())],
    )
    run = _session(graph, list(figures), subject.x)
    return lambda: float(run()[0].numpy())


def _onnxruntime_per_axis(x: Array, scale: Array, axis: int) -> Work:
    """Quantized and dequantized, nothing else."""
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [
            helper.make_node("QuantizeLinear", ["x", "scale", "zero_point"], ["codes"], axis=axis),
            helper.make_node("DequantizeLinear", ["codes", "scale", "zero_point"], ["x_hat"], axis=axis),
        ],
        "per axis",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(x.shape))],
        [helper.make_tensor_value_info("x_hat", TensorProto.FLOAT, list(x.shape))],
        [numpy_helper.from_array(scale, "scale"), _int8_zero(scale.shape)],
    )
    return _session(graph, ["x_hat"], x)


def _int8_zero(shape: tuple[int, ...]) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.zeros(shape, np.int8), "zero_point")


def _session(graph: Any, outputs: list[str], x: Array) -> Callable[[], list[Any]]:
    """A session with default options; what it is given is in its own memory before the clock runs."""
    import onnxruntime
    from onnx import helper

    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    given = onnxruntime.OrtValue.ortvalue_from_numpy(x)
    return lambda: session.run_with_ort_values(outputs, {"x": given})


def _torch(subject: Subject) -> Work:
    import torch

    x = torch.from_numpy(subject.x)

    @torch.inference_mode()
    def work() -> float:
        scale = float(x.abs().max()) / 127
        x_hat = torch.fake_quantize_per_tensor_affine(x, scale, 0, -128, 127)
        error = x_hat - x
        mse = (error * error).mean()
        largest = error.abs().max()
        sqnr_db = 10 * torch.log10((x * x).mean() / mse)
        cosine = torch.dot(x, x_hat) / (x.norm() * x_hat.norm())
        assert (largest, sqnr_db, cosine) is not None
        return float(mse)

    return work


def _torch_observer(subject: Subject) -> Work:
    import torch

    x = torch.from_numpy(subject.x)

    @torch.inference_mode()
    def work() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torch.ao.quantization import HistogramObserver

            observer = HistogramObserver(dtype=torch.qint8, qscheme=torch.per_tensor_symmetric)
            observer(x)
            return observer.calculate_qparams()

    return work


def _search(subject: Subject, rule: MSE | Entropy) -> Work:
    scheme = Scheme(range_rule=rule)

    def work() -> Any:
        subject.prepared.answers.clear()  # a search is remembered
        return choose_qparams(subject.prepared, scheme)

    return work


def _onnxruntime_entropy(subject: Subject) -> Work:
    from onnxruntime.quantization.calibrate import HistogramCollector

    def work() -> Any:
        collector = HistogramCollector("entropy", False, ENTROPY_BINS, 128, 99.99, "same")
        with contextlib.redirect_stdout(io.StringIO()):
            collector.collect({"x": [subject.x]})
            return collector.compute_collection_result()

    return work


METRICS, WITH_ERRORS = "qviz, in order", "qviz, in order, with the histogram"
TEXTBOOK, TEXTBOOK_WITH_ERRORS = "NumPy recipe", "NumPy recipe and `np.histogram`"
RUNTIME, TORCH = "ONNX Runtime, without occupancy", "torch, without occupancy"
SORT, PREPARE, PREPARE_RAW = "`np.sort(x)`", "qviz: `prepare(tensor)`, counted before", "qviz: `prepare(x)`"
READ, DIRECT, DIRECT_FUSED = "`x.sum()`", "qviz: `analyze(x)`, NumPy", "qviz: `analyze(x)`, compiled kernels"
FIGURES = "qviz: metrics alone, `measure(tensor)`, counted before, NumPy"
FIGURES_FUSED = "qviz: metrics alone, `measure(tensor)`, counted before, compiled kernels"

SECTIONS = (
    Section(
        "Metrics and occupancy",
        METRICS,
        (
            Way(METRICS, _metrics),
            Way(TEXTBOOK, _textbook),
            Way(RUNTIME, _onnxruntime, RUNTIME_NEEDS),
            Way(TORCH, _torch, ("torch",)),
        ),
    ),
    Section(
        "… and an exact error histogram of 64 bins",
        WITH_ERRORS,
        (
            Way(WITH_ERRORS, _metrics_and_errors),
            Way(TEXTBOOK_WITH_ERRORS, partial(_textbook, error_histogram=True)),
        ),
    ),
    Section(
        "Putting it in order, once",
        SORT,
        (
            Way(SORT, lambda s: lambda: np.sort(s.x)),
            Way(PREPARE, lambda s: lambda: prepare(s.tensor)),
            Way(PREPARE_RAW, lambda s: lambda: prepare(s.x)),
        ),
    ),
    Section(
        "Without an order: one pass over every element",
        READ,
        (
            Way(READ, lambda s: s.x.sum),
            Way(DIRECT, lambda s: plainly(lambda: analyze(s.x, INT8).mse)),
            Way(DIRECT_FUSED, lambda s: lambda: analyze(s.x, INT8).mse, ("numba",), compiled=True),
            Way(FIGURES, lambda s: plainly(lambda: measure(s.tensor, INT8).mse)),
            Way(FIGURES_FUSED, lambda s: lambda: measure(s.tensor, INT8).mse, ("numba",), compiled=True),
        ),
    ),
    Section(
        "The range of the least MSE",
        "qviz, in order: MSE",
        (
            Way("qviz, in order: MSE", partial(_search, rule=MSE())),
            Way("torch, `HistogramObserver`", _torch_observer, ("torch",)),
        ),
    ),
    Section(
        "The range of the least divergence",
        "qviz, in order: entropy",
        (
            Way("qviz, in order: entropy", partial(_search, rule=Entropy())),
            Way("ONNX Runtime, `HistogramCollector`", _onnxruntime_entropy, RUNTIME_NEEDS, 10**7),
        ),
    ),
)

CHECKED = (
    METRICS,
    WITH_ERRORS,
    TEXTBOOK,
    TEXTBOOK_WITH_ERRORS,
    RUNTIME,
    TORCH,
    DIRECT,
    DIRECT_FUSED,
    FIGURES,
    FIGURES_FUSED,
)
"""Ways that answer with the mean squared error of the same scheme."""

AXIS_READ, AXIS_RUNTIME = "`x.sum()` of the square", "ONNX Runtime, quantize and dequantize alone"
AXIS_NUMPY, AXIS_FUSED = "qviz: `measure(tensor)`, NumPy", "qviz: `measure(tensor)`, compiled kernels"
AXIS_FIRST = "qviz: `measure(x)`, seen for the first time, NumPy"
AXIS_CODES = "qviz: `fake_quantize(x)`, NumPy"


# --- what was promised -------------------------------------------------------------------------------


class Verdict(str):
    """A line about a promise, and its parts.

    Attributes
    ----------
    text : str
    bound, measured : float
        ``measured`` is None where it was not.
    met : bool or None
    """

    text: str
    bound: float
    measured: float | None
    met: bool | None

    @property
    def plain(self) -> dict[str, object]:
        """For JSON."""
        return {"promise": self.text, "bound": self.bound, "measured": self.measured, "met": self.met}


@dataclass(frozen=True)
class Promise:
    """``way`` takes at least ``bound`` times as long as ``reference``, or at most."""

    text: str
    way: str
    reference: str
    bound: float
    at_least: bool = False

    def verdict(self, ratio: float | None) -> Verdict:
        """One line."""
        promised = f"- {self.text}: promised {'≥' if self.at_least else '≤'} {_times(self.bound)}"
        met = None if ratio is None else ratio >= self.bound if self.at_least else ratio <= self.bound
        said = "not measured" if ratio is None else f"measured {_times(ratio)}: {'met' if met else 'not met'}"
        verdict = Verdict(f"{promised}, {said}")
        verdict.text, verdict.bound, verdict.measured, verdict.met = self.text, self.bound, ratio, met
        return verdict


PROMISES = (
    Promise("NumPy recipe ÷ qviz, metrics and occupancy", TEXTBOOK, METRICS, 300, at_least=True),
    Promise("ONNX Runtime ÷ qviz, metrics and occupancy", RUNTIME, METRICS, 100, at_least=True),
    Promise("NumPy recipe ÷ qviz, with the error histogram", TEXTBOOK_WITH_ERRORS, WITH_ERRORS, 100, at_least=True),
    Promise("putting in order ÷ `np.sort`", PREPARE, SORT, 1.6),
)
AXIS_PROMISES = (
    Promise("compiled kernels ÷ one read", AXIS_FUSED, AXIS_READ, 1.5),
    Promise("NumPy, all figures ÷ ONNX Runtime, quantize and dequantize alone", AXIS_NUMPY, AXIS_RUNTIME, 2),
    Promise("NumPy ÷ ONNX Runtime, quantize and dequantize alone", AXIS_CODES, AXIS_RUNTIME, 2),
)
SORTED_FROM = 10**7
"""Putting in order is promised from so many elements on."""

MEMORY_PROMISE = Promise("memory of the order and the envelope ÷ data", "", "", 1.25)


# --- measuring ---------------------------------------------------------------------------------------


def measure_ways(largest: int = SIZES[-1], *, compiled: bool = True) -> Iterator[str]:
    """A table of every way and size, one of a scale for each channel, and what was promised.

    Parameters
    ----------
    largest : int
        Larger sizes are left out.
    compiled : bool
        Whether to compile the kernels first, where the compiler is installed.
    """
    if compiled and kernels is not None and kernels.available():
        kernels.warm_up()
    sizes = tuple(n for n in SIZES if n <= largest) or (largest,)
    timings = Timings()
    for size in sizes:
        room = _available_memory()
        if room is not None and size * BYTES_EACH > room:
            timings.skipped[size] = f"{size * BYTES_EACH / 1e9:.0f} GB are needed, {room / 1e9:.0f} GB are free"
            continue
        _measure_size(size, timings)
    yield from _table(sizes, timings)
    yield ""
    side = min(CHANNELS, math.isqrt(largest))
    for axis in AXES:
        _measure_per_axis(side, axis, timings)
    yield from _axis_table(side, timings)
    yield ""
    for size, reason in timings.skipped.items():
        yield f"{_power(size)} elements are left out: {reason}."
    for size, (difference, way) in timings.disagreement.items():
        yield f"At {_power(size)} elements the mean squared error farthest from qviz's is {difference:.0e} off: {way}."
    yield ""
    yield f"What was promised at {_power(SIZES[-1])} elements, and per axis at {side} × {side}:"
    yield ""
    for promise in PROMISES:
        yield promise.verdict(timings.ratio(promise.way, promise.reference, SIZES[-1]))
    for size in (n for n in sizes[:-1] if n >= SORTED_FROM):
        smaller = replace(PROMISES[-1], text=f"{PROMISES[-1].text}, {_power(size)} elements")
        yield smaller.verdict(timings.ratio(PREPARE, SORT, size))
    yield MEMORY_PROMISE.verdict(timings.memory.get(SIZES[-1]))
    for promise in AXIS_PROMISES:
        for axis in AXES:
            ratio = timings.ratio(promise.way, promise.reference, f"axis {axis}")
            yield replace(promise, text=f"axis {axis}, {promise.text}").verdict(ratio)


def _measure_size(size: int, timings: Timings) -> None:
    x = np.random.default_rng(0).standard_normal(size, dtype=np.float32)
    tensor = Tensor(x)
    prepared = prepare(tensor)
    subject = Subject(x, tensor, prepared, choose_qparams(tensor, INT8).scale.reshape(())[()])
    timings.memory[size] = (prepared.nbytes + tensor.envelope.nbytes) / x.nbytes
    ways = [w for s in SECTIONS for w in s.ways if size <= w.largest and _reason(w) is None]
    seconds, answers = interleaved({way.name: way.make(subject) for way in ways})
    for name, median in seconds.items():
        timings.seconds[name, size] = median
    timings.disagreement[size] = max((abs(answers[n] / answers[METRICS] - 1), n) for n in CHECKED if n in answers)


def _measure_per_axis(side: int, axis: int, timings: Timings) -> None:
    x = np.random.default_rng(1).standard_normal((side, side), dtype=np.float32)
    scheme = Scheme(granularity=PerAxis(axis))
    tensor = Tensor(x)
    qparams, values = choose_qparams(tensor, scheme), np.empty_like(x)
    scale = qparams.scale.reshape(-1)
    works: dict[str, Work] = {
        AXIS_READ: x.sum,
        AXIS_NUMPY: plainly(lambda: measure(tensor, scheme)),
        AXIS_FIRST: plainly(lambda: measure(x, scheme)),
        AXIS_CODES: plainly(lambda: fake_quantize(x, qparams, out=values)),
    }
    if _compiled():
        works[AXIS_FUSED] = lambda: measure(tensor, scheme)
    if not _missing(RUNTIME_NEEDS):
        works[AXIS_RUNTIME] = _onnxruntime_per_axis(x, scale, axis)
    for name, median in interleaved(works)[0].items():
        timings.seconds[name, f"axis {axis}"] = median


def interleaved(
    works: dict[str, Work], clock: Callable[[], float] = time.perf_counter
) -> tuple[dict[str, float], dict[str, Any]]:
    """The median seconds of each work, all in turn so that a slow moment hits every one; and the last answers.

    In every round each work runs once before it is timed: memory that lay fallow is slow to come by
    at first. What a work answers is let go of when the clock has stopped.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    answers: dict[str, Any] = {}
    started = time.perf_counter()
    for done in range(MOST_ROUNDS):
        if done >= ROUNDS and (time.perf_counter() - started) * (done + 1) / done > ROUND_SECONDS:
            break
        gc.collect()
        for name, work in works.items():
            lead_in, answer = _timed(work, clock)
            answers[name] = answer if isinstance(answer, float) else None
            del answer
            for _ in range(min(MOST_CALLS, max(1, int(CALLS_SECONDS / max(lead_in, 1e-9))))):
                times[name].append(_timed(work, clock)[0])
    return {name: statistics.median(each) for name, each in times.items()}, answers


def _timed(work: Work, clock: Callable[[], float]) -> tuple[float, Any]:
    started = clock()
    answer = work()
    return clock() - started, answer


def plainly(work: Work) -> Work:
    """Without the compiled kernels, whether they are there or not."""
    if kernels is None:
        return work

    def plain() -> Any:
        with contextlib.ExitStack() as stack:
            for each in kernels.known():
                stack.enter_context(mock.patch.object(each, "compiled", None))
            return work()

    return plain


def _reason(way: Way) -> str | None:
    """Why it cannot be measured here."""
    if missing := _missing(way.needs):
        return f"{missing} is not installed"
    return "not compiled" if way.compiled and not _compiled() else None


def _missing(libraries: tuple[str, ...]) -> str | None:
    """The first that is not there."""
    return next((name for name in libraries if importlib.util.find_spec(name) is None), None)


def _compiled() -> bool:
    return kernels is not None and kernels.ready()


def _available_memory() -> int | None:
    """Bytes that could be had without swapping; None where nobody says."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    with contextlib.suppress(ImportError):
        import psutil

        return int(psutil.virtual_memory().available)
    return None


# --- the tables --------------------------------------------------------------------------------------


def _table(sizes: Sequence[int], timings: Timings) -> Iterator[str]:
    yield f"| int8, symmetric, per tensor | {' | '.join(_power(size) for size in sizes)} |"
    yield f"|---|{'---:|' * len(sizes)}"
    for section in SECTIONS:
        yield f"| **{section.title}** |{' |' * len(sizes)}"
        for way in section.ways:
            yield f"| {way.name} | {' | '.join(_cell(way, section.reference, size, timings) for size in sizes)} |"
        if section.reference == SORT:
            cells = (_times(timings.memory[size]) if size in timings.memory else "" for size in sizes)
            yield f"| memory of the order and the envelope, × data | {' | '.join(cells)} |"


def _cell(way: Way, reference: str, size: int, timings: Timings) -> str:
    if (reason := _reason(way)) is not None:
        return reason
    if size in timings.skipped:
        return "not enough memory"
    if size > way.largest:
        return "takes too long"
    return _with_ratio(way.name, reference, size, timings)


def _axis_table(side: int, timings: Timings) -> Iterator[str]:
    yield f"| int8, symmetric, {side} × {side}, a scale for each | {' | '.join(AXIS_NAMES)} |"
    yield f"|---|{'---:|' * len(AXES)}"
    for name in (AXIS_READ, AXIS_FUSED, AXIS_NUMPY, AXIS_FIRST, AXIS_CODES, AXIS_RUNTIME):
        cells = (_with_ratio(name, AXIS_READ, f"axis {axis}", timings) for axis in AXES)
        yield f"| {name} | {' | '.join(cells)} |"


def _with_ratio(name: str, reference: str, column: int | str, timings: Timings) -> str:
    if (name, column) not in timings.seconds:
        return "not measured"
    text = _duration(timings.seconds[name, column])
    ratio = timings.ratio(name, reference, column)
    return text if ratio is None or name == reference else f"{text} ({_times(ratio)})"


def _times(ratio: float) -> str:
    return f"{ratio:,.0f} ×" if ratio >= 100 else f"{ratio:.3g} ×"


def _duration(seconds: float) -> str:
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            value = seconds * factor
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def _power(size: int) -> str:
    """10⁶ for a power of ten."""
    exponent = len(str(size)) - 1
    if size != 10**exponent:
        return f"{size:,}"
    return "10" + "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in str(exponent))
