"""What does NumPy leave out of a walk, and is the answer the same? By brute force, and by the long way round."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qviz.core import (
    Codebook,
    FloatFormat,
    IntFormat,
    Manual,
    PerAxis,
    PerBlock,
    PerTensor,
    PerTile,
    PerToken,
    Scheme,
    Tensor,
    choose_qparams,
)
from qviz.core.passes import block_workers
from qviz.core.passes.block_workers import NumPyWorker
from qviz.core.passes.direct_pass import direct_sums
from qviz.core.passes.error_bins import error_edges
from qviz.core.passes.reductions import largest
from qviz.core.passes.terms import FEW_TO_A_GROUP, InputSums, PassRequest
from qviz.core.runtimes.table import CONVENTIONS
from tests.core.passes.test_direct_pass import FIGURES, ask, brute_force
from tests.core.questions.test_analysis import noisy
from tests.every import every
from tests.schemes import FREE_CONVENTIONS

F = np.float32
INT8, UINT8, INT2 = IntFormat(8, True), IntFormat(8, False), IntFormat(2, True)
ROWS = PerAxis(0)


def request_of(tensor, scheme, **changed):
    """A walk that looks at figures alone."""
    layout = scheme.granularity.layout(tensor.shape)
    signal = InputSums(np.ones(layout.groups), np.ones(layout.groups, np.int64))
    qparams = changed.pop("qparams", None) or choose_qparams(tensor, scheme)
    return PassRequest(tensor, qparams, layout, False, None, None, signal, False, **changed)


def with_ties(shape):
    """Rows of whole numbers and halves, so that ranges between them leave ties at the edge where codes are clipped."""
    rng = np.random.default_rng(3)
    x = (rng.integers(-9, 10, shape) / 2).astype(F)
    x[1] *= F(0.25)
    x[2, 0] = 40
    x[3] = 0
    return x


def go_round(monkeypatch, *shortcuts):
    """Have every walk go the long way round."""
    whole = NumPyWorker.__init__

    def without(self, *given):
        whole(self, *given)
        assert all(hasattr(self, name) for name in shortcuts)
        for name in shortcuts:
            setattr(self, name, False)

    monkeypatch.setattr(NumPyWorker, "__init__", without)


def beyond(tensor, order):
    """Which elements are clipped, of all of them, as the tensor has them."""
    q = order.qparams
    with np.errstate(all="ignore"):
        codes = q.spread(tensor.shape).unclipped(np.asarray(tensor.values).reshape(tensor.shape))
    return (codes < q.quant_min) | (codes > q.quant_max)  # not where 0 is divided by 0


CLIPPING = {
    "int8": Scheme(INT8, True, ROWS),
    "int2 between ties": Scheme(INT2, True, ROWS, Manual(-2, 1)),
    "uint8 with a zero point": Scheme(UINT8, False, ROWS, Manual(-1.25, 3.5)),
    "all on one side": Scheme(UINT8, False, ROWS, Manual(1, 2), convention="textbook"),
    "int16": Scheme(IntFormat(16), False, ROWS, Manual(-4.5, 4)),
    "small floats": Scheme(FloatFormat("e4m3fn"), True, ROWS, Manual(-3, 3), convention="textbook"),
    "a codebook": Scheme(Codebook("nf4"), True, ROWS, Manual(-1, 1), convention="textbook"),
    "columns": Scheme(INT2, True, PerAxis(1), Manual(-2, 1)),
    "whole": Scheme(INT2, True, PerTensor(), Manual(-2, 1)),
    "blocks that end in shorter ones": Scheme(INT8, True, PerBlock(-1, 128), Manual(-4, 4)),
}


@every("scheme", [pytest.param(scheme, id=name) for name, scheme in CLIPPING.items()])
@pytest.mark.parametrize("nan", [False, True])
def test_extremes_tell_which_groups_are_clipped(scheme, nan):
    x = with_ties((90, 200))
    if nan:
        x[:, 3::50] = np.nan
        x[4] = np.nan
    tensor = Tensor(x)
    order = request_of(tensor, scheme)
    tensor.extremes(order.layout)
    groups = order.layout.group_of(np.arange(x.size))
    clipped = np.bincount(groups, beyond(tensor, order).reshape(-1), order.layout.groups) > 0
    assert order.clips is not None
    some = np.bincount(groups, np.isfinite(x).reshape(-1), order.layout.groups) > 0
    np.testing.assert_array_equal(order.clips[some], clipped[some])
    brute_force(x, scheme, ask(tensor, scheme))


@every("convention", FREE_CONVENTIONS)
@pytest.mark.parametrize("symmetric", [False, True])
def test_every_convention_agrees(convention, symmetric):
    for number_format in (INT8, IntFormat(4), UINT8, FloatFormat("e4m3fn"), FloatFormat("e2m1fn")):
        scheme = Scheme(*CONVENTIONS[convention].nearest(number_format, symmetric, ROWS), convention=convention)
        tensor = Tensor(with_ties((40, 300)))
        q = choose_qparams(tensor, scheme)
        for factor in (1, 0.6, 0.01):
            order = request_of(tensor, scheme, qparams=replace(q, scale=q.scale * F(factor)))
            tensor.extremes(order.layout)
            if order.clips is not None:
                groups = order.layout.group_of(np.arange(tensor.elements))
                clipped = np.bincount(groups, beyond(tensor, order).reshape(-1), order.layout.groups)
                np.testing.assert_array_equal(order.clips, clipped > 0)


def test_one_group_alone_clips():
    x = noisy((6, 3000)).clip(-1, 1)
    x[4, 1234] = 1.5
    scheme = Scheme(INT8, True, ROWS, Manual(-1, 1))
    tensor = Tensor(x)
    sums = ask(tensor, scheme)
    assert np.flatnonzero(sums.saturated).tolist() == [4]
    brute_force(x, scheme, sums)
    unknown = ask(Tensor(x), scheme, error_edges=None)
    for name in FIGURES:
        np.testing.assert_array_equal(getattr(unknown, name), getattr(sums, name))


def test_extremes_that_nobody_knows_or_that_are_too_many_are_not_looked_for():
    x = noisy((8, FEW_TO_A_GROUP))
    scheme = Scheme(INT8, True, ROWS, Manual(-1, 1))
    assert request_of(Tensor(x), scheme).clips is None
    known = Tensor(x)
    known.extremes(ROWS.layout(x.shape))
    assert request_of(known, scheme).clips is not None
    narrow = Tensor(np.ascontiguousarray(x[:, 1:]))
    narrow.extremes(ROWS.layout(narrow.shape))
    assert request_of(narrow, scheme).clips is None


def test_extremes_tell_nothing_where_codes_do_not_saturate_or_scales_are_broken():
    tensor = Tensor(noisy((8, 500)) * F(1e4))
    tensor.extremes(ROWS.layout(tensor.shape))
    scheme = Scheme(INT8, True, ROWS)
    q = choose_qparams(tensor, scheme)
    scale = q.scale.copy()
    scale[3] = np.inf
    assert request_of(tensor, scheme, qparams=q).clips is not None
    assert request_of(tensor, scheme, qparams=replace(q, scale=scale)).clips is None
    unsaturated = Scheme(FloatFormat("e4m3fn"), True, ROWS, convention="onnxruntime_unsaturated")
    assert request_of(tensor, unsaturated).clips is None


@every("scheme", [pytest.param(scheme, id=name) for name, scheme in CLIPPING.items()])
def test_errors_in_float32_lose_nothing(scheme, monkeypatch):
    x = np.concatenate([noisy((6, 3000)), with_ties((6, 3000)), noisy((6, 3000)) * F(1e-41)])
    found = ask(x, scheme)
    go_round(monkeypatch, "narrow")
    wide = ask(x, scheme)
    for name in FIGURES:
        np.testing.assert_allclose(getattr(found, name), getattr(wide, name), rtol=1e-13)
    np.testing.assert_array_equal(found.max_abs_error, wide.max_abs_error)
    np.testing.assert_array_equal(found.saturated, wide.saturated)
    np.testing.assert_array_equal(found.error_histogram.rounding, wide.error_histogram.rounding)


@every("scheme", [pytest.param(scheme, id=name) for name, scheme in CLIPPING.items()])
@pytest.mark.parametrize("nan", [False, True])
def test_products_are_left_out_where_nobody_wants_them(scheme, nan):
    tensor = Tensor(noisy((40, 300), nan))
    q, layout = choose_qparams(tensor, scheme), scheme.granularity.layout(tensor.shape)
    edges = error_edges(tensor, q, layout)
    whole = direct_sums(tensor, q, layout, error_edges=edges)
    part = direct_sums(tensor, q, layout, error_edges=edges, products=False)
    assert np.isnan([part.product, part.squared_dequantized]).all()
    for name in FIGURES[:-2]:
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name))
    np.testing.assert_array_equal(part.occupancy, whole.occupancy)


def test_numpy_buffers_are_as_long_afterwards_as_before():
    before = np.getbufsize()
    ask(noisy((4, 5000)), Scheme(INT8, True, ROWS))
    assert np.getbufsize() == before


@every(
    "shape", [(1, 300, 1), (7, 300, 1), (1, 1, 900), (1, 40, 16), (3, 40, 32), (2, 9, 24), (1, 5, 100), (2, 3, 5000)]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_largest_of_each_group(shape, dtype):
    x = np.abs(np.random.default_rng(0).standard_normal(shape)).astype(dtype)
    x.reshape(-1)[::7] = 0
    x.reshape(-1)[3::50] *= 1e-42
    x[-1, -1, 0] = np.inf
    np.testing.assert_array_equal(largest(x), x.max(axis=(0, 2)), strict=True)
    x[-1, 0, -1] = np.nan
    np.testing.assert_array_equal(largest(x), x.max(axis=(0, 2)), strict=True)


@every("scheme", [pytest.param(scheme, id=name) for name, scheme in CLIPPING.items()])
@every("few", [1, 10**9])
def test_clipped_elements_apart_or_among_the_others(scheme, few, monkeypatch):
    """Whether there are few or many of them."""
    monkeypatch.setattr(block_workers, "FEW_CLIPPED", few)
    x = with_ties((60, 260))
    x[:, ::9] = np.nan
    brute_force(x, scheme, ask(x, scheme))


def test_a_divisor_that_equals_the_scale_is_one():
    tensor = Tensor(noisy((20, 320)))
    blocks = PerBlock(-1, 32)
    same = Scheme(FloatFormat("e2m1fn"), True, blocks, convention="mx_floor")
    order = request_of(tensor, same)
    assert order.qparams.divisor is not order.qparams.scale
    assert NumPyWorker(order).narrow
    shifted = replace(order.qparams, shift=order.qparams.scale, offset=order.qparams.scale)
    assert not NumPyWorker(request_of(tensor, same, qparams=shifted)).narrow
    assert not NumPyWorker(request_of(tensor, replace(same, granularity=PerBlock(-1, 16), convention="nvfp4"))).narrow
    brute_force(np.asarray(tensor.values).reshape(tensor.shape), same, ask(tensor, same))


@every("granularity", [ROWS, PerBlock(-1, 32), PerToken(), PerTile(16, 32)], ids=str)
def test_it_does_not_matter_which_thread_is_given_which_rows(granularity, monkeypatch):
    monkeypatch.setattr(block_workers, "BLOCK", 1 << 11)
    tensor, scheme = Tensor(noisy((50, 300), nan=True)), Scheme(INT8, True, granularity, Manual(-1, 1))
    order = request_of(tensor, scheme)

    def shared(share):
        workers = [NumPyWorker(order)]
        workers += [NumPyWorker(order, workers[0]) for _ in range(2)]
        assert all(worker.any_pieces for worker in workers)
        pieces = list(workers[0].pieces())
        assert len(pieces) > 5
        for i in np.random.default_rng(share).permutation(len(pieces)):
            workers[i * share % 3].add(pieces[i])
        found, *others = (worker.finish(i == 0) for i, worker in enumerate(workers))
        for other in others:
            found.merge(other)
        return found

    once, again = shared(1), shared(2)
    assert once.squared_dequantized == again.squared_dequantized
    for name in ("totals", "squared_error", "max_abs_error", "saturated"):
        np.testing.assert_array_equal(getattr(once, name), getattr(again, name))


def test_groups_that_threads_share_are_walked_in_turn():
    tensor = Tensor(noisy((50, 300)))
    assert not NumPyWorker(request_of(tensor, Scheme(INT8, True, PerAxis(1)))).any_pieces
    whole = Tensor(np.ones(block_workers.BLOCK, F))
    assert not NumPyWorker(request_of(whole, Scheme())).any_pieces


@every("convention", FREE_CONVENTIONS)
@pytest.mark.parametrize("symmetric", [False, True])
def test_zero_points_of_0_are_left_out(convention, symmetric, monkeypatch):
    x = np.concatenate([noisy((6, 300), nan=True), with_ties((6, 300)), -with_ties((6, 300)), np.zeros((2, 300), F)])
    formats = (INT8, IntFormat(4), UINT8, FloatFormat("e4m3fn"), FloatFormat("e2m1fn"), Codebook("nf4"))
    schemes = [Scheme(*CONVENTIONS[convention].nearest(f, symmetric, ROWS), convention=convention) for f in formats]
    found = [ask(x, scheme) for scheme in schemes]
    with monkeypatch.context() as patch:
        go_round(patch, "divided_alone", "multiplied_alone")
        others = [ask(x, scheme) for scheme in schemes]
    for ours, theirs in zip(found, others, strict=True):
        for name in (*FIGURES, "occupancy"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
        np.testing.assert_array_equal(ours.error_histogram.rounding, theirs.error_histogram.rounding)
