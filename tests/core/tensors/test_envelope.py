"""Where do the values run, at any zoom?"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qviz.core import work
from qviz.core.tensors import envelope as module
from qviz.core.tensors.envelope import BASE, FACTOR, LOOKED_AT, RAW, Envelope, SampledEnvelope
from tests.every import every

F = np.float32


@pytest.fixture(scope="module", autouse=True, params=[RAW, 0], ids=["short stretches raw", "all from the pyramid"])
def raw(request):
    """Every test twice: a tensor small enough for a test would else never be drawn from the pyramid, nor by two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "RAW", request.param)
        patch.setattr(work, "THREADS", 2)
        patch.setattr(module, "SHARED_FROM", 1 if request.param == 0 else module.SHARED_FROM)
        yield


def random_values(size, seed=0, nan_share=0.0):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(size).astype(F)
    values[rng.random(size) < nan_share] = np.nan
    return values


def built(values, cuts=()):
    envelope = Envelope(values.size)
    for start, stop in pairwise((0, *cuts, values.size)):
        envelope.add(start, values[start:stop])
    return envelope.finish()


def brute_force(values, starts):
    """The extremes of each bucket, one by one; NaN where there is no finite value."""
    low, high = [], []
    for first, last in pairwise(starts):
        bucket = values[first:last]
        bucket = bucket[~np.isnan(bucket)]
        low.append(bucket.min() if bucket.size else np.nan)
        high.append(bucket.max() if bucket.size else np.nan)
    return np.array(low, F), np.array(high, F)


def assert_right(values, start, stop, buckets, view):
    low, high = brute_force(values, view.start)
    np.testing.assert_array_equal(view.low, low, strict=True)
    np.testing.assert_array_equal(view.high, high, strict=True)
    clamped = min(max(start, 0), values.size)
    stop = min(max(stop, clamped), values.size)
    if clamped == stop:
        assert view.low.size == view.high.size == 0
        return
    widths = np.diff(view.start)
    wanted = -(-(stop - clamped) // max(buckets, 1))
    assert np.all(widths > 0)
    assert np.all(widths[:-1] == widths[0])
    assert widths.max() < 2 * wanted or wanted == 1  # never half as fine as was asked
    assert view.low.size <= max(buckets, 1) + 1
    assert view.start[0] <= clamped < view.start[1]
    assert view.start[-2] < stop <= view.start[-1]
    assert view.is_samples == (wanted == 1)


@settings(max_examples=400, deadline=None)
@given(
    size=st.one_of(st.integers(1, 300), st.integers(1, 60_000)),
    where=st.tuples(st.floats(-0.1, 1.1), st.floats(0, 1.2)),
    buckets=st.one_of(st.integers(0, 20), st.integers(0, 3000)),
    nan_share=st.sampled_from([0, 0.01, 0.5, 0.99]),
    seed=st.integers(0, 99),
)
@example(size=1, where=(0.0, 1.0), buckets=0, nan_share=0, seed=0)
@example(size=BASE, where=(0.0, 1.0), buckets=1, nan_share=0, seed=0)
@example(size=BASE * FACTOR * FACTOR + 1, where=(0.0, 1.0), buckets=1, nan_share=0.99, seed=0)
def test_a_view_equals_brute_force(size, where, buckets, nan_share, seed):
    values = random_values(size, seed, nan_share)
    start = int(where[0] * size)
    stop = start + int(where[1] * size)
    assert_right(values, start, stop, buckets, built(values).view(values, start, stop, buckets))


@settings(max_examples=200, deadline=None)
@given(
    size=st.integers(1, 3000),
    cuts=st.lists(st.integers(1, 2999), max_size=40),
    nan_share=st.sampled_from([0, 0.5, 0.99]),
)
def test_it_may_be_built_in_pieces_of_any_length(size, cuts, nan_share):
    values = random_values(size, 1, nan_share)
    whole, pieces = built(values), built(values, sorted({c for c in cuts if c < size}))
    for buckets in (1, 3, 20):
        a, b = (e.view(values, 0, size, buckets) for e in (whole, pieces))
        np.testing.assert_array_equal(a.low, b.low)
        np.testing.assert_array_equal(a.high, b.high)
        assert_right(values, 0, size, buckets, b)


@every("size", [1, 63, 64, 65, 511, 512, 513, 4095, 4096, 4097, 32_768, RAW + 1, 2 * RAW + 99])
def test_every_width_of_bucket_over_the_whole_tensor(size):
    values = random_values(size, 2, 0.02)
    envelope = built(values)
    for width in (1, 2, 3, 63, 64, 65, 127, 128, 511, 512, 513, 4096, 5000, 100_000):
        buckets = max(1, size // width)
        if buckets <= 5000:
            assert_right(values, 0, size, buckets, envelope.view(values, 0, size, buckets))


def test_samples_where_there_is_a_pixel_for_each():
    values = random_values(1000)
    view = built(values).view(values, 100, 160, 60)
    assert view.is_samples
    np.testing.assert_array_equal(view.start, np.arange(100, 161))
    np.testing.assert_array_equal(view.low, values[100:160])
    np.testing.assert_array_equal(view.high, values[100:160])


def test_buckets_stay_in_place_while_the_view_moves():
    values = random_values(50_000)
    envelope = built(values)
    still, moved = (envelope.view(values, shift, shift + 20_000, 100).start for shift in (0, 777))
    width = still[1]
    assert np.all(still[:-1] % width == 0)
    np.testing.assert_array_equal(np.intersect1d(still, moved), still[still >= moved[0]])


@every(("start", "stop"), [(5, 5), (-9, 0), (10, 3), (1000, 2000), (999, 999)])
def test_an_empty_stretch_has_no_buckets(start, stop):
    values = random_values(1000)
    view = built(values).view(values, start, stop, 10)
    assert view.low.size == view.high.size == 0
    assert view.start.size == 1


def test_infinities_are_values_too():
    values = random_values(1000)
    values[200] = np.inf
    values[700] = -np.inf
    view = built(values).view(values, 0, 1000, 1)
    assert (view.low[0], view.high[0]) == (-np.inf, np.inf)


# --- before it is built ----------------------------------------------------------------------------


@every(("start", "stop", "buckets"), [(0, 50_000, 20), (777, 20_777, 7), (49_000, 60_000, 3), (-5, 9, 4), (30, 30, 5)])
def test_a_sampled_view_lies_within_the_true_one(start, stop, buckets):
    values = random_values(50_000, 4, 0.01)
    view = SampledEnvelope(values.size).view(values, start, stop, buckets)
    exact = built(values).view(values, start, stop, buckets)
    if exact.low.size == 0:
        assert view.low.size == 0
        return
    clamped, end = max(start, 0), min(stop, values.size)
    assert view.start[0] <= clamped < view.start[1]
    assert view.start[-2] < end <= view.start[-1] <= values.size
    low, high = brute_force(values, view.start)
    assert np.all(low <= view.low)
    assert np.all(view.low <= view.high)
    assert np.all(view.high <= high)
    if np.diff(view.start).max() <= LOOKED_AT:
        np.testing.assert_array_equal(view.low, low)
        np.testing.assert_array_equal(view.high, high)


def test_a_sampled_view_looks_at_a_few_of_each_bucket():
    looked_at = 0

    class Values:
        def __getitem__(self, where):
            nonlocal looked_at
            piece = values[where]
            looked_at += piece.size
            return piece

    values = random_values(2 * RAW, 5)
    view = SampledEnvelope(values.size).view(Values(), 0, values.size, 100)
    assert view.low.size in {100, 101}
    assert looked_at <= 101 * LOOKED_AT
    assert SampledEnvelope(values.size).nbytes == 0
    assert not view.is_samples


def test_a_sampled_view_of_short_stretches_is_exact():
    values = random_values(3 * RAW, 6, 0.02)
    for start, stop, buckets in ((0, 500, 500), (RAW, RAW + 100, 30), (9000, 9000 + 50 * LOOKED_AT, 50)):
        assert_right(values, start, stop, buckets, SampledEnvelope(values.size).view(values, start, stop, buckets))


def test_an_envelope_knows_what_it_takes():
    values = random_values(BASE * FACTOR * FACTOR)
    assert built(values).nbytes == 2 * 4 * (FACTOR * FACTOR + FACTOR)
