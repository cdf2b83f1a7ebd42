"""Compiled, the cells of a sorted tensor add up to what they do in NumPy, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import compiler, prepare, work
from qviz.core.passes.sorted_pass import exact_cell_ends
from qviz.core.tensors import sorted_tensor
from tests.core.tensors.test_lookups import KINDS, SIZES, by_numpy, keys_for, numbers
from tests.every import every

pytestmark = [
    pytest.mark.skipif(not compiler.available(), reason="numba knows no such Python yet"),
    pytest.mark.usefixtures("kernels"),
]

KEYS = (0, 1, 33, 5000)
CASES = [(size, kind, count) for size in SIZES for kind in KINDS for count in KEYS]


@pytest.mark.parametrize("shared_from", [1, 1 << 30], ids=["two threads", "one thread"])
@pytest.mark.parametrize("superblocks", [1, 1 << 12], ids=["few superblocks", "many superblocks"])
@every("size, kind, count", CASES)
def test_cells_add_up_to_the_same(size, kind, count, superblocks, shared_from, monkeypatch):
    monkeypatch.setattr(sorted_tensor, "SUPERBLOCKS", superblocks)
    monkeypatch.setattr(sorted_tensor, "SHARED_FROM", shared_from)
    monkeypatch.setattr(work, "THREADS", 2)
    x = numbers(size, kind)
    prepared, rng = prepare(x), np.random.default_rng(7)
    cuts = prepared.cut(keys_for(x, count))
    reference = rng.standard_normal(cuts.position.size - 1)
    start, neighbours = cuts.pick(slice(None, -1)), cuts.pick(slice(1, None))
    last = cuts.pick(np.full(reference.size, reference.size))
    for stop in (neighbours, last):  # neighbours, and cells that overlap
        ours = prepared.between(start, stop, reference)
        theirs = by_numpy(lambda to=stop: prepared.between(start, to, reference))
        np.testing.assert_array_equal(ours, theirs)
        given = (prepared, start.position, stop.position, reference, *ours)
        *sums, largest = exact_cell_ends(*given)
        *expected, expected_largest = by_numpy(lambda these=given: exact_cell_ends(*these))
        np.testing.assert_array_equal(sums, expected)
        assert largest == expected_largest


def test_every_second_cut_parts_as_neighbours_do():
    x = numbers(70_000, "normal")
    prepared = prepare(x)
    cuts = prepared.cut(keys_for(x, 101)).pick(slice(None, None, 2))
    reference = np.zeros(cuts.position.size - 1)
    np.testing.assert_array_equal(prepared.add_up(cuts, reference), by_numpy(lambda: prepared.add_up(cuts, reference)))


def test_few_elements_and_equal_ones_add_up_exactly():
    """One, two that differ, and more that do not: whatever the superblock around them."""
    x = np.array([-3e38, 1, 1, 1, 2, 5, 7, 7, 3e38], np.float32)
    prepared = prepare(x)
    cuts = prepared.cut(np.array([1, 1.5, 4, 6, 8], np.float32))
    level = np.array([-1e38, 1, 2.5, 5, 7.5, 3e38])
    counts = np.diff(cuts.position)
    first, second, largest = exact_cell_ends(
        prepared, cuts.position[:-1], cuts.position[1:], level, *prepared.add_up(cuts, level)
    )
    assert counts.tolist() == [1, 3, 1, 1, 2, 1]
    low, high = float(x[0]) + 1e38, float(x[-1]) - 3e38
    assert first.tolist() == [low, 0, -0.5, 0, -1, high]
    assert second.tolist() == [low * low, 0, 0.25, 0, 0.5, high * high]
    assert largest == -low
