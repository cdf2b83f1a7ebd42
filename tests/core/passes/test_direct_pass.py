"""What do all the errors add up to? The pass itself: what is asked, threads, stopping; by brute force."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from qviz.core import (
    IntFormat,
    Manual,
    MinMax,
    PerAxis,
    PerBlock,
    Percentile,
    PerTensor,
    Scheme,
    Tensor,
    analyze,
    choose_qparams,
    fake_quantize,
    quantize,
)
from qviz.core.passes import block_workers
from qviz.core.passes import direct_pass as module
from qviz.core.passes.block_workers import BLOCK
from qviz.core.passes.direct_pass import direct_sums
from qviz.core.passes.error_bins import error_edges
from qviz.core.passes.reductions import ROW
from qviz.core.passes.terms import PassRequest
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.work import Cancelled
from tests.core.questions.test_analysis import noisy
from tests.every import every
from tests.pairs import pairs
from tests.schemes import FREE_CONVENTIONS

F = np.float32
INT8, UINT8, INT2 = IntFormat(8, True), IntFormat(8, False), IntFormat(2, True)
EVERYTHING = ("occupancy", "error_histogram", "dequantized")
FIGURES = [
    *("finite", "squared_error", "squared_value", "max_abs_error", "saturated", "absolute_error"),
    *("clipping_squared_error", "product", "squared_dequantized"),
]


def ask(x, scheme, **wanted):
    """The sums of a fresh tensor: histogram and all, unless told otherwise."""
    tensor = x if isinstance(x, Tensor) else Tensor(x)
    qparams, layout = choose_qparams(tensor, scheme), scheme.granularity.layout(tensor.shape)
    wanted.setdefault("error_edges", error_edges(tensor, qparams, layout))
    return direct_sums(tensor, qparams, layout, **wanted)


def brute_force(x, scheme, sums):
    """Every figure from whole float64 arrays."""
    tensor = Tensor(x)
    q, layout = choose_qparams(tensor, scheme), scheme.granularity.layout(tensor.shape)
    finite = np.isfinite(x)
    safe = np.where(finite, x, 0).astype(F)
    wide = safe.astype(np.float64)
    x_hat = np.where(finite, fake_quantize(safe, q), 0).astype(np.float64)
    error = np.where(finite, x_hat - wide, 0)
    free = q.spread(safe.shape).unclipped(safe)
    saturated = finite & ((free < q.quant_min) | (free > q.quant_max))
    close = {"rtol": 1e-12, "atol": 0}

    group = layout.group_of(np.arange(x.size))

    def groups(values):
        return np.bincount(group, values.reshape(-1), layout.groups)

    np.testing.assert_array_equal(sums.finite, groups(finite))
    np.testing.assert_array_equal(sums.saturated, groups(saturated))
    largest = np.zeros(layout.groups)
    np.maximum.at(largest, group, np.abs(error).reshape(-1))
    np.testing.assert_array_equal(sums.max_abs_error, largest)
    np.testing.assert_allclose(sums.squared_error, groups(error**2), **close)
    np.testing.assert_allclose(sums.squared_value, groups(wide**2), **close)
    np.testing.assert_allclose(sums.absolute_error, np.abs(error).sum(), **close)
    np.testing.assert_allclose(sums.clipping_squared_error, (error[saturated] ** 2).sum(), **close)
    np.testing.assert_allclose(sums.squared_dequantized, (x_hat**2).sum(), **close)
    np.testing.assert_allclose(sums.product, (wide * x_hat).sum(), rtol=0, atol=1e-12 * np.abs(wide * x_hat).sum())
    if sums.occupancy is not None:
        values = q.number_format.decode(quantize(safe, q))[finite]
        codes = np.searchsorted(q.codes, values)
        np.testing.assert_array_equal(q.codes[codes], values)
        np.testing.assert_array_equal(sums.occupancy, np.bincount(codes, minlength=q.codes.size))
    if sums.error_histogram is not None:
        h = sums.error_histogram
        np.testing.assert_array_equal(h.rounding, np.histogram(error[finite & ~saturated], h.edges)[0])
        np.testing.assert_array_equal(h.clipping, np.histogram(error[saturated], h.edges)[0])
    if sums.dequantized is not None:
        flat = np.where(finite, x_hat, np.nan).astype(F).reshape(-1)
        ours = sums.dequantized.view(flat, 0, flat.size, 200)
        starts = ours.start[:-1]
        np.testing.assert_array_equal(ours.low, np.fmin.reduceat(flat, starts))
        np.testing.assert_array_equal(ours.high, np.fmax.reduceat(flat, starts))


SMALL_BLOCK = 1 << 13
LONG_RUNS = (2, 3, ROW + 9)  # longer than a dot product may be, several in a block
SHAPES = [
    (1,),
    (7,),
    (SMALL_BLOCK + 5,),
    (3, 4, 9),
    (40, 6, 9),  # short runs, over and over
    (5, 300, 3),
    (3, 5, SMALL_BLOCK // 4 + 9),
    (2, 5000, 5),
    LONG_RUNS,
    (4, 5, 1000),
]
SCHEMES = {
    "int8": Scheme(INT8),
    "uint8": Scheme(UINT8, False, range_rule=Percentile(99.0)),
    "int2 clipped": Scheme(INT2, True, range_rule=Manual(-0.5, 0.7)),
    "next to nothing is left": Scheme(INT8, True, range_rule=Manual(-1e-4, 1e-4)),
    "nothing is left": Scheme(INT8, True, range_rule=Manual(-1e6, 1e6)),
    "far from the values": Scheme(UINT8, False, range_rule=Manual(100, 200), convention="textbook"),
    "textbook": Scheme(UINT8, False, convention="textbook"),
    "textbook int3": Scheme(IntFormat(3), False, range_rule=Manual(-0.2, 1.1), convention="textbook"),
    "int16": Scheme(IntFormat(16, False), False),
}


@pytest.fixture(params=[1, 3], ids=["one thread", "three threads"])
def threads(request, monkeypatch):
    """Small tensors are walked by one thread, unless told otherwise."""
    monkeypatch.setattr(module, "THREADS", request.param)
    monkeypatch.setattr(module, "THREADED", 0)


@pytest.mark.parametrize(
    ("shape", "name", "nan", "threads"), pairs(SHAPES, tuple(SCHEMES), (False, True), (1, 3)), indirect=["threads"]
)
@pytest.mark.usefixtures("threads")
def test_every_sum_equals_brute_force(shape, name, nan, monkeypatch):
    """Every shape with every scheme, each of them finite and not, by one thread and by three."""
    scheme = SCHEMES[name]
    monkeypatch.setattr(block_workers, "BLOCK", 4 * ROW if shape == LONG_RUNS else SMALL_BLOCK)
    x = noisy(shape, nan and shape != (1,))
    for granularity in (PerTensor(), *(PerAxis(axis) for axis in range(len(shape)))):
        one = replace(scheme, granularity=granularity)
        brute_force(x, one, ask(x, one))


def test_only_what_was_asked_for_is_made():
    x, scheme = noisy((6, 500), nan=True), Scheme(INT8, True, PerAxis(0), Percentile(90.0))
    full = ask(x, scheme)
    assert all(getattr(full, name) is not None for name in EVERYTHING)
    nothing = {"occupancy": False, "error_edges": None, "envelope": False}
    none = ask(x, scheme, **nothing)
    assert [getattr(none, name) for name in EVERYTHING] == [None] * 3
    for name in FIGURES:
        np.testing.assert_array_equal(getattr(none, name), getattr(full, name))
    assert ask(x, scheme, **nothing | {"occupancy": True}).occupancy.sum() == np.isfinite(x).sum()
    assert ask(x, scheme, **nothing | {"envelope": True}).dequantized is not None
    assert ask(x, Scheme()).dequantized is None  # it follows from that of x


def test_values_are_squared_once():
    t = Tensor(noisy((6, 500), nan=True))
    a, b = ask(t, Scheme(INT8, True, PerAxis(0))), ask(t, Scheme(INT2, False, PerAxis(0)))
    assert a.squared_value is b.squared_value
    assert a.finite is b.finite
    assert ask(t, Scheme(INT8, True, PerAxis(1))).finite.size == 500


@every("convention", FREE_CONVENTIONS)
def test_a_reciprocal_instead_of_a_division(convention, monkeypatch):
    monkeypatch.setitem(CONVENTIONS, convention, replace(CONVENTIONS[convention], multiplies_by_reciprocal=True))
    number_format, symmetric, _ = CONVENTIONS[convention].nearest(UINT8, False)
    x, scheme = noisy((5, 900)), Scheme(number_format, symmetric, PerAxis(0), convention=convention)
    q = choose_qparams(Tensor(x), scheme)
    error = fake_quantize(x, q).astype(np.float64) - x
    sums = ask(x, scheme)
    np.testing.assert_allclose(sums.squared_error, (error**2).sum(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(sums.max_abs_error, np.abs(error).max(axis=1))


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_errors_on_the_edges_of_bins(value):
    x = np.full((3, 1000), value, F)
    x[1] = np.arange(1000) % 256  # every value is a level
    x[2, ::2] += F(0.5)
    x[2, 1::7] += F(0.25)
    scheme = Scheme(UINT8, False, PerAxis(0), Manual(0, 255))
    brute_force(x, scheme, ask(x, scheme))


def test_infinite_errors_are_in_no_bin_and_leave_no_direction():
    largest = np.finfo(F).max
    x = np.array([[-largest, largest, 1e38], [1.0, 0.0, np.nan]], F)
    sums = ask(x, Scheme(UINT8, True, PerAxis(0)))
    assert np.isinf(sums.squared_error[0])
    assert (sums.product, sums.squared_dequantized) == (np.inf, np.inf)
    h = sums.error_histogram
    assert 0 < h.rounding.sum() + h.clipping.sum() < 5


# --- threads, progress and stopping ------------------------------------------------------------------


@pytest.mark.usefixtures("threads")
def test_progress_is_told_in_order_and_by_the_calling_thread():
    told = []

    def progress(fraction):
        assert threading.current_thread() is threading.main_thread()
        told.append(fraction)

    ask(noisy((6, BLOCK)), Scheme(INT8, True, PerAxis(0)), progress=progress)
    assert told == sorted(told)
    assert told[-1] == 1
    assert len(told) >= 2


@pytest.mark.usefixtures("threads")
def test_the_answer_is_the_same_every_time():
    t = Tensor(noisy((6, BLOCK)))
    a, b = (ask(t, Scheme(INT8, True, PerAxis(0))) for _ in range(2))
    for name in FIGURES:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("times", [0, 1])
def test_it_stops_between_blocks(times):
    t = Tensor(noisy((8, BLOCK)))
    asked = []

    def enough():
        asked.append(threading.current_thread() is threading.main_thread())
        return len(asked) > times

    with pytest.raises(Cancelled):
        ask(t, Scheme(INT8, True, PerAxis(0), MinMax()), cancelled=enough)
    assert asked == [True] * (times + 1)
    assert ask(t, Scheme(INT8, True, PerAxis(0))).finite.sum() == 8 * BLOCK


class Worker:
    """Takes as long as it is told to, or fails."""

    any_pieces = False

    def __init__(self, seconds=0.0, failure=None):
        self.seconds, self.failure, self.blocks = seconds, failure, 0

    def pieces(self):
        return iter(range(6))

    def add(self, piece):
        time.sleep(self.seconds)
        self.blocks += 1
        if self.failure:
            raise self.failure
        return BLOCK


def walk(workers, cancelled=lambda: False):
    t = Tensor(np.ones(6 * BLOCK, F))
    layout = PerTensor().layout(t.shape)
    order = PassRequest(t, choose_qparams(t, Scheme()), layout, False, None, None, None, False)
    module._walk(order, workers, cancelled, lambda _: None)


def test_it_waits_for_the_slowest_thread_and_may_be_stopped_meanwhile():
    workers = [Worker(), Worker(0.05)]
    walk(workers)
    assert [w.blocks for w in workers] == [3, 3]
    asked = []

    def after_a_while():
        asked.append(None)
        return len(asked) > 4

    workers = [Worker(), Worker(0.3)]
    with pytest.raises(Cancelled):
        walk(workers, after_a_while)
    assert workers[1].blocks < 3


def test_what_goes_wrong_in_a_thread_is_told():
    with pytest.raises(ZeroDivisionError):
        walk([Worker(), Worker(failure=ZeroDivisionError())])
    with pytest.raises(ZeroDivisionError):
        walk([Worker(failure=ZeroDivisionError()), Worker()])


@every("bits", [8, 10, 16])
def test_errors_under_a_denormal_scale_that_lost_its_digits_are_in_bins(bits):
    # Paddle divides by the threshold, so that codes do not follow the rounded scale.
    x = np.random.default_rng(0).normal(0, 1e-40, 4000).astype(F)
    scheme = Scheme(IntFormat(bits, True), True, convention="paddle")
    brute_force(x, scheme, ask(x, scheme))


def test_a_tensor_remembers_the_layouts_of_the_last_walks_and_no_more_than_half_its_memory():
    tensor = Tensor(np.ones(1 << 12, F))
    layouts = [PerBlock(0, block).layout(tensor.shape) for block in range(64, 64 + 3 * module.MOST_LAYOUTS)]
    signal = module.InputSums(np.ones(1), np.ones(1, np.int64))
    for layout in layouts:
        module._remember(tensor, layout, signal)
    kept = list(module._signals[tensor])
    assert kept == layouts[-len(kept) :]
    assert 1 < len(kept) <= module.MOST_LAYOUTS
    assert sum(layout.groups for layout in kept) <= module.MOST_GROUPS * tensor.elements
    alone = PerBlock(0, 1).layout(tensor.shape)
    module._remember(tensor, alone, signal)
    assert list(module._signals[tensor]) == [alone]
    few = [PerBlock(0, block).layout(tensor.shape) for block in range(1000, 1000 + 2 * module.MOST_LAYOUTS)]
    for layout in few:
        module._remember(tensor, layout, signal)
    module._remember(tensor, few[-3], signal)
    assert list(module._signals[tensor]) == [*few[-module.MOST_LAYOUTS : -3], *few[-2:], few[-3]]


@every(
    ("scheme", "dtype", "values"),
    [
        pytest.param(
            Scheme("int8", False, PerBlock(-1, 64), convention="torchao_int8", power_of_two=True),
            "float16",
            [65504, -65504, 1],
            id="values beyond float16",
        ),
        pytest.param(
            Scheme("uint16", False, PerBlock(-1, 16), convention="torchao"),
            "float16",
            [-10, -9, -3],
            id="zero points beyond float16",
        ),
        pytest.param(
            Scheme("int4", False, PerBlock(-1, 32), convention="torchao", power_of_two=True),
            "float16",
            [*[0] * 32, *[0.3, -0.2] * 16],
            id="scales without an inverse in float16",
        ),
        pytest.param(
            Scheme("uint4", False, PerBlock(-1, 16), convention="onnxruntime_matmulnbits_qdq"),
            "float32",
            [-2.5e-38, *[2.3e-38] * 15, -2.2e-38, *[2.1e-38] * 15],
            id="scales without an inverse",
        ),
        pytest.param(
            Scheme("uint2", False, PerBlock(-1, 32), convention="onnxruntime_matmulnbits"),
            "float32",
            [-6.5e-39, *[6.09e-39] * 31, -3.5e-39, *[3.5e-39, 1e-41, -1e-41] * 10, 3.4e-39],
            id="small elements under scales without an inverse",
        ),
        pytest.param(
            Scheme("int3", convention="paddle"),
            "float32",
            [3.3e38, -3.3e38, 1.1e38, -0.9e38],
            id="values beyond float32",
        ),
    ],
)
def test_every_finite_error_has_a_bin_though_others_be_infinite(
    scheme: Scheme, dtype: str, values: list[float]
) -> None:
    x = np.resize(np.float32(values), (4, 64))
    with np.errstate(all="ignore"):
        analysis = analyze(Tensor(x, dtype=dtype), scheme)
        error = np.float64(fake_quantize(x, analysis.qparams)) - x
    assert analysis.error_histogram is not None
    finite = error[np.isfinite(error)]
    edges = analysis.error_histogram.edges
    if finite.size:
        assert edges[0] <= finite.min()
        assert finite.max() <= edges[-1]
    counted = analysis.error_histogram.rounding + analysis.error_histogram.clipping
    assert counted.sum() == finite.size
