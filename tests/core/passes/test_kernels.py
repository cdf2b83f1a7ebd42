"""How far is one read of memory from the answer? The compiled walk against NumPy and brute force."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import count, islice, product

import numpy as np
import pytest

from qviz.core import (
    FloatFormat,
    IntFormat,
    Manual,
    MinMax,
    PerAxis,
    PerBlock,
    Percentile,
    PerTensor,
    PerToken,
    Scheme,
    Tensor,
    choose_qparams,
    compiler,
    fake_quantize,
    quantize,
)
from qviz.core.arithmetic import conversion, spreading
from qviz.core.arithmetic.loops import MULTIPLIES, STRETCH, X_HAT, steps_of
from qviz.core.arithmetic.spreading import CHUNK
from qviz.core.passes import columns, compiled_worker, direct_pass, plain_walk
from qviz.core.passes import kernels as module
from qviz.core.passes.compiled_worker import CompiledWorker
from qviz.core.passes.counting import FEW_BINS
from qviz.core.passes.direct_pass import direct_sums
from qviz.core.passes.error_bins import error_edges
from qviz.core.passes.terms import InputSums, PassRequest
from qviz.core.questions.figures import groups_of
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.tensors.envelope import Envelope
from qviz.core.work import beside
from tests.core.passes.test_direct_pass import EVERYTHING, FIGURES, SCHEMES, ask, brute_force
from tests.core.questions.test_analysis import noisy
from tests.every import every
from tests.golden.record_onnxruntime import hard_tensors
from tests.pairs import pairs
from tests.schemes import FREE_CONVENTIONS

F = np.float32
ONLY_OF_GROUPS = {"occupancy": False, "error_edges": None, "envelope": False, "totals": False}
FORMATS = [IntFormat(bits, signed) for bits in range(2, 17) for signed in (True, False)]

pytestmark = [
    pytest.mark.skipif(not compiler.available(), reason="numba knows no such Python yet"),
    pytest.mark.usefixtures("kernels"),
]


def compiled_codes(x, qparams):
    """The codes of the kernels' arithmetic: where x̂ stands among the levels."""
    seen = InputSums(np.zeros(1), np.zeros(1, np.int64))
    order = PassRequest(Tensor(x), qparams, PerTensor().layout(x.shape), False, None, Envelope(x.size), seen, False)
    worker = CompiledWorker(order)
    parts = []
    whole = x.size // CHUNK * CHUNK  # the last ones are taken step by step
    for start, stop in [*((at, min(at + STRETCH, whole)) for at in range(0, whole, STRETCH)), (whole, x.size)]:
        looked_at = worker.add((start, stop)) if stop > start else 0
        parts.append(worker.memory[0][X_HAT:][:looked_at].copy())
    x_hat, levels = np.concatenate(parts), qparams.levels()[0]
    order = np.argsort(levels)  # a scale may be negative
    assert np.all(np.diff(levels[order]) > 0)
    index = order[np.searchsorted(levels[order], x_hat)]
    np.testing.assert_array_equal(levels[index], x_hat)
    return index + qparams.quant_min


def hard_values(qparams):
    """Ties, their neighbours, what is clipped, denormals and huge values."""
    rng = np.random.default_rng(0)
    codes = np.arange(qparams.quant_min - 3, qparams.quant_max + 4)
    codes = codes.astype(F)
    with np.errstate(over="ignore"):
        ties = (codes + F(0.5) - qparams.zero_point) * qparams.scale
        ties = np.concatenate([ties, (codes - qparams.zero_point) * qparams.scale])
        near = np.concatenate([ties, np.nextafter(ties, F(np.inf)), np.nextafter(ties, F(-np.inf))])
    others = [0.0, -0.0, 1e-45, -1e-45, 1e-39, 3e38, -3e38, np.finfo(F).max, np.finfo(F).tiny]
    values = np.concatenate([near, np.array(others, F), rng.standard_normal(3000).astype(F)])
    return values[np.isfinite(values)]


# --- the same arithmetic ------------------------------------------------------------------------------


@every("reciprocal", [False, True], ids=["divides", "multiplies"])
@every("convention", FREE_CONVENTIONS)
@every("symmetric", [True, False], ids=["symmetric", "asymmetric"])
def test_codes_are_the_same_to_the_last_bit(convention, symmetric, reciprocal, monkeypatch):
    """Of each convention any two of a format, a range, a symmetry and a way to divide."""
    changed = replace(CONVENTIONS[convention], multiplies_by_reciprocal=reciprocal)
    ranges = ((-1.0, 1.7), (-0.37, 0.21), (-3e4, 5e4), (-3e-30, 1e-30))

    def offers(number_format, ends, symmetric, reciprocal):
        return changed.offers(number_format, symmetric) and not changed.beyond_loops

    rows = pairs(FORMATS, ranges, (True, False), (True, False), where=offers)
    here = [row[:2] for row in rows if row[2:] == (symmetric, reciprocal)]
    if not here:
        pytest.skip("offers no such codes")
    monkeypatch.setitem(CONVENTIONS, convention, changed)
    for number_format, ends in here:
        scheme = Scheme(number_format, symmetric, PerTensor(), Manual(*ends), convention)
        q = choose_qparams(Tensor(np.ones(1)), scheme)
        x = hard_values(q)
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(compiled_codes(x, q), quantize(x, q))


@pytest.mark.parametrize("name", [n for n in hard_tensors() if n not in {"huge", "the largest floats"}])
def test_hard_tensors(name):
    """Any two of a convention, a format, a granularity and a symmetry."""
    x = hard_tensors()[name]
    formats, granularities = (
        (IntFormat(8, True), IntFormat(4, False), IntFormat(16)),
        (PerTensor(), *map(PerAxis, (0, -1))),
    )

    def offers(convention, number_format, symmetric, granularity):
        return CONVENTIONS[convention].offers(number_format, symmetric)

    for convention, *those in pairs(FREE_CONVENTIONS, formats, (True, False), granularities, where=offers):
        compare(x, Scheme(*those, convention=convention))


def compare(x, scheme):
    """The compiled walks against NumPy: the first over a tensor, a later one, and the one that windows begin with."""
    tensor = Tensor(x)
    first, later = ask(tensor, scheme), ask(tensor, scheme)
    of_groups = ask(tensor, scheme, **ONLY_OF_GROUPS)
    with pytest.MonkeyPatch.context() as patch:
        for each in (module.walk, columns.walk_columns):
            patch.setattr(each, "compiled", None)
        plain = ask(Tensor(x), scheme) if scheme.symmetric and isinstance(scheme.number_format, IntFormat) else first
        patch.setattr(plain_walk.walk_plainly, "compiled", None)
        theirs = ask(Tensor(x), scheme)
    for ours in (first, later, plain):
        compare_sums(ours, theirs, tensor, scheme)
    compare_groups(of_groups, theirs)


def compare_groups(ours, theirs):
    """What is said about each group, by two passes."""
    for name in ("finite", "saturated", "max_abs_error"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    for name in ("squared_error", "squared_value"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-12, atol=0)


def compare_sums(ours, theirs, tensor, scheme):
    """Two answers about one scheme: the same but for the order in which numbers were added."""
    for name in FIGURES:
        a, b = getattr(ours, name), getattr(theirs, name)
        if name in {"finite", "saturated", "max_abs_error"}:
            np.testing.assert_array_equal(a, b)
        elif name == "product":
            assert a == pytest.approx(b, rel=1e-12, abs=1e-12 * theirs.squared_value.sum())
        else:
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=0)
    np.testing.assert_array_equal(ours.occupancy, theirs.occupancy)
    np.testing.assert_array_equal(ours.error_histogram.rounding, theirs.error_histogram.rounding)
    np.testing.assert_array_equal(ours.error_histogram.clipping, theirs.error_histogram.clipping)
    assert (ours.dequantized is None) == (theirs.dequantized is None)
    if ours.dequantized is not None:
        flat = fake_quantize(tensor, choose_qparams(tensor, scheme)).reshape(-1)
        a, b = (sums.dequantized.view(flat, 0, flat.size, 9) for sums in (ours, theirs))
        np.testing.assert_array_equal(a.low, b.low)
        np.testing.assert_array_equal(a.high, b.high)


@every("nan", [False, True], ids=["finite", "with NaN and inf"])
@every("scheme", SCHEMES.values(), ids=SCHEMES)
@every("shape", [(3, 4, 9), (40, 2, 9), (5, 30, 1), (2, 3, 70), (40, 20)], ids=str)
def test_every_sum_equals_brute_force_and_numpy(shape, scheme, nan):
    x = noisy(shape, nan)
    for granularity in (PerTensor(), *(PerAxis(axis) for axis in range(len(shape)))):
        one = replace(scheme, granularity=granularity)
        brute_force(x, one, ask(x, one))
        compare(x, one)


@every("nan", [False, True], ids=["finite", "with NaN and inf"])
@every("bits", [14, 16])
def test_few_bins_of_errors_beside_many_codes(bits, nan):
    """Clipped by a step at most, so that no bin lies far out: each is counted in several places."""
    scheme = Scheme(IntFormat(bits), True, PerBlock(-1, 32), Manual(-1, 1))
    x = noisy((3, 1100), nan)
    step = float(choose_qparams(np.ones(1), replace(scheme, granularity=PerTensor())).scale.max())
    x = np.where(np.isfinite(x), np.clip(x, -1 - step, 1 + step), x)
    ours = ask(x, scheme)
    assert ours.error_histogram.clipping.sum() > 0
    assert ours.error_histogram.edges.size - 1 <= FEW_BINS
    brute_force(x, scheme, ours)
    compare(x, scheme)


@pytest.mark.parametrize("nan", [False, True], ids=["finite", "with NaN and inf"])
@pytest.mark.parametrize("shape", [(300, 50), (50, 1030, 2), (3, 2, 5000)], ids=str)
def test_large_tensors_in_two_threads(shape, nan, monkeypatch):
    monkeypatch.setattr(spreading, "PIECE", 1 << 11)
    monkeypatch.setattr(direct_pass, "THREADED", 0)
    monkeypatch.setattr(direct_pass, "THREADS", 2)
    x = noisy(shape, nan)
    for axis in range(len(shape)):
        for convention in (CONVENTIONS[name] for name in FREE_CONVENTIONS if CONVENTIONS[name].beyond is None):
            number_format, symmetric, _ = convention.nearest(IntFormat(8, False), False)
            rule = MinMax() if convention.of_elements else Percentile(99.0)
            scheme = Scheme(number_format, symmetric, PerAxis(axis), rule, convention.name)
            sums = ask(x, scheme)
            brute_force(x, scheme, sums)


@pytest.mark.parametrize("shape", [(40, 96), (3, 1040), (12, 700)], ids=str)
def test_many_groups_do_not_see_what_their_memory_was(shape, monkeypatch):
    def dirty(shape, dtype):
        return np.full(shape, np.nan, dtype)

    monkeypatch.setattr(compiled_worker, "MANY_GROUPS", 1)
    monkeypatch.setattr(compiled_worker, "empty", dirty)
    for granularity in (PerBlock(-1, 16), PerBlock(-1, 32), PerBlock(-1, 20), PerBlock(0, 2), PerAxis(0), PerAxis(1)):
        compare(noisy(shape, False), Scheme(IntFormat(4), True, granularity, Percentile(99.0)))


@every("granularity", [PerTensor(), PerAxis(0), PerAxis(1), PerBlock(-1, 32)], ids=str)
def test_whoever_looks_at_a_piece_the_sums_are_the_same_to_the_last_bit(granularity, monkeypatch):
    monkeypatch.setattr(spreading, "PIECE", 1 << 11)
    monkeypatch.setattr(direct_pass, "THREADED", 0)
    x, scheme = noisy((64, 512), nan=False), Scheme(IntFormat(4), granularity=granularity)

    def found(threads, slow=None):
        """The sums, where one of the threads waits until the other has done everything else."""
        monkeypatch.setattr(direct_pass, "THREADS", threads)
        taken = direct_pass._Left.taken
        if slow is not None:
            main = threading.current_thread()
            alone = threading.Event()

            def in_my_own_time(self):
                pieces = taken(self)
                waits = threading.current_thread() is main
                if waits:
                    yield from islice(pieces, 1)  # the other is woken after it
                if waits == slow:
                    assert alone.wait(10)
                yield from pieces
                alone.set()

            monkeypatch.setattr(direct_pass._Left, "taken", in_my_own_time)
        sums = ask(x, scheme)
        monkeypatch.setattr(direct_pass._Left, "taken", taken)
        return sums

    one = found(2)
    apart = granularity not in (PerTensor(), PerAxis(1))
    for other in (found(2, slow=True), found(2, slow=False)) if apart else (found(2),):
        for name in FIGURES:
            np.testing.assert_array_equal(getattr(other, name), getattr(one, name))


@every("granularity", [PerTensor(), PerAxis(0), PerAxis(1), PerBlock(-1, 32), PerBlock(0, 4)], ids=str)
@every("painted_after", [0, 2, 3, 1 << 30])
def test_beside_a_window_pieces_are_larger_and_another_thread_helps_when_that_is_painted(
    granularity, painted_after, monkeypatch
):
    monkeypatch.setattr(spreading, "PIECE", 1 << 9)
    monkeypatch.setattr(direct_pass, "THREADED", 0)
    monkeypatch.setattr(direct_pass, "THREADS", 2)
    x, scheme = noisy((64, 512), nan=False), Scheme(IntFormat(4), granularity=granularity)
    pieces: list[tuple[bool, int]] = []
    add = CompiledWorker.add

    def counted(worker, piece):
        pieces.append((threading.current_thread() is threading.main_thread(), piece[1] - piece[0]))
        return add(worker, piece)

    monkeypatch.setattr(CompiledWorker, "add", counted)
    alone = ask(x, scheme)
    looks = count()
    usual = max(size for _, size in pieces)
    pieces.clear()
    with beside(lambda: next(looks) < painted_after):
        sums = ask(x, scheme)
    assert sum(size for _, size in pieces) == x.size
    assert max(size for _, size in pieces) == (usual if painted_after == 0 else direct_pass.LARGER << 9)
    if painted_after == 1 << 30:
        assert all(here for here, _ in pieces), "nobody helps while the window is painted"
    np.testing.assert_array_equal(sums.saturated, alone.saturated)
    np.testing.assert_array_equal(sums.occupancy, alone.occupancy)
    np.testing.assert_array_equal(sums.max_abs_error, alone.max_abs_error)
    np.testing.assert_allclose(sums.squared_error, alone.squared_error, rtol=1e-12)
    for name in ("absolute_error", "product", "squared_dequantized"):
        np.testing.assert_allclose(getattr(sums, name), getattr(alone, name), rtol=1e-12)


@every("granularity", [PerBlock(-1, 16), PerBlock(-1, 48), PerBlock(0, 4), PerAxis(0)], ids=str)
@every("nan", [False, True], ids=["finite", "with NaN and inf"])
def test_what_many_groups_come_to_is_found_on_the_way(granularity, nan, monkeypatch):
    monkeypatch.setattr(spreading, "PIECE", 1 << 11)
    monkeypatch.setattr(compiled_worker, "MANY_GROUPS", 8)
    monkeypatch.setattr(direct_pass, "THREADED", 0)
    values = noisy((40, 512), nan)
    values[7], values[[5, 30]] = 0, np.linspace(1, 0.4, 512) ** 9
    for x in (values, np.full_like(values, 0.5)):
        tensor = Tensor(x)
        for _ in range(2):  # whether Σx² is known, or found in the same walk
            sums = ask(tensor, Scheme(IntFormat(3), True, granularity))
            groups, overall = groups_of(replace(sums, overall=None)), sums.overall
            assert overall.worst == groups_of(sums).worst == groups.worst
            assert overall.saturated == sums.saturated.sum()
            assert overall.max_abs_error == sums.max_abs_error.max()
            assert overall.squared_error == pytest.approx(sums.squared_error.sum(), rel=1e-12)
            assert overall.squared_value == pytest.approx(sums.squared_value.sum(), rel=1e-12)


def test_only_what_was_asked_for_is_made():
    x, scheme = Tensor(noisy((6, 50), nan=True)), Scheme(granularity=PerAxis(0))
    none = ask(x, scheme, occupancy=False, error_edges=None, envelope=False)
    assert [getattr(none, name) for name in EVERYTHING] == [None] * 3
    assert ask(x, scheme, occupancy=False, error_edges=None).dequantized is not None
    assert ask(x, scheme, error_edges=None, envelope=False).occupancy.sum() == x.finite
    assert ask(x, scheme, occupancy=False, envelope=False).error_histogram.rounding.sum() == x.finite


@every("nan", [False, True], ids=["finite", "with NaN and inf"])
@every("rule", [MinMax(), Manual(-0.5, 0.5)], ids=["all", "clipped"])
def test_figures_alone_are_those_of_the_whole_answer(rule, nan):
    x, scheme = Tensor(noisy((5, 3000), nan)), Scheme(IntFormat(8), True, PerAxis(0), rule)
    alone = ask(x, scheme, occupancy=False, error_edges=None, envelope=False)
    full = ask(x, scheme)
    for name in FIGURES:
        np.testing.assert_allclose(getattr(alone, name), getattr(full, name), rtol=1e-12)


def test_what_leaves_float32_is_left_to_numpy(monkeypatch):
    for each in (module.walk, plain_walk.walk_plainly, columns.walk_columns):
        monkeypatch.setattr(each, "compiled", lambda *_: pytest.fail("is promised that nothing becomes NaN"))
    largest = np.finfo(F).max
    assert np.isinf(ask(np.array([-largest, largest]), Scheme(IntFormat(8, False))).squared_error[0])


def test_rounding_does_not_add_up_where_all_values_are_one():
    """Added one after the other, each of many equal numbers is rounded the same way."""
    for shape, granularity in (((88, 257), PerToken()), ((55, 300), PerAxis(0)), ((300, 300), PerAxis(1))):
        x = np.full(shape, F(1.0368587))
        compare(x, Scheme(IntFormat(4, False), False, granularity, Manual(-0.7, 0.5)))


def test_what_is_shifted_is_divided_as_numpy_divides():
    """Scales of scales are divided by; others, with a smallest value of each group too, are multiplied by inverses."""
    x, seen = noisy((8, 512)), set()
    tensor = Tensor(x)
    formats = [IntFormat(bits, signed) for bits in (2, 4, 5, 8) for signed in (False, True)]
    granularities = [PerBlock(-1, size) for size in (16, 32, 64)]
    for name, convention in CONVENTIONS.items():
        for number_format, granularity in product(formats, granularities):
            if not convention.offers(number_format, False, granularity):
                continue
            scheme = Scheme(number_format, False, granularity, convention=name)
            q = choose_qparams(tensor, scheme)
            if q.shift is None:
                continue
            seen.add((name, bool(steps_of(q).kind[MULTIPLIES])))
            compare(x, scheme)
            ours = quantize(x, q), fake_quantize(x, q)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(conversion.convert, "compiled", None)
                for one, other in zip(ours, (quantize(x, q), fake_quantize(x, q)), strict=True):
                    np.testing.assert_array_equal(one, other)
    assert {multiplies for _, multiplies in seen} == {False, True}
    assert {"q2_k", "q4_k", "q5_k"} <= {name for name, _ in seen}


def test_an_error_beyond_the_bins_is_counted_in_the_last_one(monkeypatch):
    """Where it is counted is written to: too few bins must not lead beyond them, whoever made them."""
    x, clips = noisy((16, 512)), Manual(-0.4, 0.4)
    schemes = [
        *(Scheme(granularity=each, range_rule=clips) for each in (PerTensor(), PerAxis(0), PerAxis(1))),
        Scheme(IntFormat(4), granularity=PerBlock(-1, 32), range_rule=clips),
        Scheme(IntFormat(2, False), False, PerBlock(-1, 16), convention="q2_k"),
        Scheme(FloatFormat("e2m1fn"), True, PerBlock(-1, 32), convention="mx_floor"),
        Scheme(IntFormat(16), granularity=PerAxis(0), range_rule=clips),  # codes and errors are counted apart
    ]
    for scheme in schemes:
        tensor = Tensor(x)
        q, layout = choose_qparams(tensor, scheme), scheme.granularity.layout(x.shape)
        edges, half_step = error_edges(tensor, q, layout)
        middle = int(np.searchsorted(edges, 0))
        few = edges[middle - 2 : middle + 3], half_step
        for _ in range(2):  # the first walk over a tensor, and a later one
            found = direct_sums(tensor, q, layout, error_edges=few).error_histogram
            assert (found.rounding + found.clipping).sum() == x.size, scheme
            assert found.rounding.size == found.clipping.size == 4
