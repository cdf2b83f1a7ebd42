"""Does what lies outside memory read as an array in memory does?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qviz.core import PerAxis, PerBlock, PerTensor, Problem, Scheme, Tensor, analyze, prepare
from qviz.core.tensors import counting, stored
from qviz.core.tensors.mapped_values import FlatValues
from qviz.core.tensors.stored import Stored
from tests.every import every

F = np.float32
rng = np.random.default_rng(0)


class Shelf(Stored):
    """Values that are elsewhere, and how they were asked for."""

    def __init__(self, values: np.ndarray[Any, Any]) -> None:
        super().__init__(values.dtype, values.shape)
        self.flat, self.asked, self.changed = values.reshape(-1), list[tuple[int, int]](), False

    def fill(self, start: int, target: np.ndarray[Any, Any]) -> None:
        assert 0 <= start < start + target.size <= self.flat.size
        assert target.flags.c_contiguous
        self.check_unchanged()
        self.asked.append((start, target.size))
        target[:] = self.flat[start : start + target.size]

    def check_unchanged(self) -> None:
        if self.changed:
            raise Problem("The shelf was cleared: fill it again.")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is stored counts as large, and reading on is worth it for a few values alone."""
    monkeypatch.setattr(counting, "COPIED_BYTES", 1000)
    monkeypatch.setattr(stored, "NEAR", 64)
    monkeypatch.setattr(stored, "SPAN", 4096)


@every("dtype", ["f4", "f2", ">f8", "i1", "?"])
def test_slices_and_indices_read_as_those_of_an_array(dtype: str) -> None:
    values = (rng.standard_normal(5000) * 100).astype(dtype)
    shelf = Shelf(values)
    assert (shelf.size, len(shelf), shelf.ndim, shelf.nbytes) == (5000, 5000, 1, values.nbytes)
    many = rng.integers(-5000, 5000, (7, 30))
    for where in (slice(None), slice(990, 1010), slice(0, 0), slice(4990, 9999), slice(-5, None), slice(10, 900, 7)):
        np.testing.assert_array_equal(shelf[where], values[where], strict=True)
    for index in (many, np.array([], int), np.array([3, 3, 0]), [4, 1]):
        np.testing.assert_array_equal(shelf[index], values[np.asarray(index)], strict=True)
    assert shelf[17] == values[17]
    np.testing.assert_array_equal(np.asarray(Shelf(values.reshape(50, 100))), values.reshape(50, 100))
    for beyond in (5000, -5001):
        with pytest.raises(IndexError):
            shelf[[0, beyond]]


@every("shape", [(5000,), (50, 100), (100, 2, 25), (1, 5000), (5000, 1), (5, 10, 4, 25)])
def test_boxes_read_as_slices_of_the_array(shape: tuple[int, ...]) -> None:
    values = rng.standard_normal(shape).astype(F)
    shelf = Shelf(values)
    for _ in range(40):
        ends = [sorted(rng.integers(0, n + 1, 2).tolist()) for n in shape]
        box = tuple(slice(a, b) for a, b in ends)[: int(rng.integers(1, len(shape) + 1))]
        np.testing.assert_array_equal(shelf.box(shape, box), values[box], strict=True)
    np.testing.assert_array_equal(shelf.box(shape, (slice(None),) * len(shape)), values, strict=True)


def test_near_runs_are_read_in_one_piece_and_far_ones_alone() -> None:
    shelf = Shelf(np.arange(100_000, dtype=F))
    rows = shelf.runs(np.array([10, 20, 5000, 5016, 90_000]), 4)
    np.testing.assert_array_equal(rows[:, 0], [10, 20, 5000, 5016, 90_000])
    assert shelf.asked == [(10, 14), (5000, 20), (90_000, 4)]


def test_no_more_is_read_at_once_than_a_span() -> None:
    shelf = Shelf(np.arange(100_000, dtype=F))
    np.testing.assert_array_equal(shelf.runs(np.arange(0, 100_000, 10), 2)[:, 1], np.arange(1, 100_000, 10))
    assert max(length for _, length in shelf.asked) <= 4096 // 4


@pytest.mark.parametrize("dtype", ["f4", "f2", "f8", "i4"])
def test_every_question_has_the_answer_that_a_copy_has(dtype: str) -> None:
    values = rng.standard_normal((12, 40, 130)) * 50
    if dtype != "i4":
        values[3, 2, 1], values[9, 9, 9] = np.nan, np.inf
    values = values.astype(dtype)
    tensor, copy = Tensor(Shelf(values), "x"), Tensor(values, "x")
    assert isinstance(tensor.values, FlatValues)
    assert tensor.is_stored
    assert tensor.nbytes == tensor.envelope.nbytes
    assert repr(tensor) == repr(copy)
    for granularity in (PerTensor(), PerAxis(0), PerAxis(1), PerAxis(2), PerBlock(2, 32), PerBlock(1, 32)):
        scheme = Scheme(granularity=granularity)
        assert analyze(tensor, scheme).to_dict() == analyze(copy, scheme).to_dict()
        layout = granularity.layout(values.shape)
        for (_, some), (_, same) in zip(tensor.finite_groups(layout), copy.finite_groups(layout), strict=True):
            np.testing.assert_array_equal(some, same)
        group = layout.groups // 3
        np.testing.assert_array_equal(
            tensor.channel(granularity, group).values, copy.channel(granularity, group).values
        )
    np.testing.assert_array_equal(prepare(tensor).values, prepare(copy).values)
    np.testing.assert_array_equal(tensor.sample(), copy.sample())


def test_what_is_small_is_brought_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "COPIED_BYTES", 1 << 20)
    shelf = Shelf(np.arange(5000, dtype=F).reshape(50, 100))
    tensor = Tensor(shelf)
    shelf.changed = True
    tensor.check_unchanged()
    assert not tensor.is_stored
    assert isinstance(tensor.values, np.ndarray)
    assert tensor.shape == (50, 100)
    assert tensor.nbytes >= 20_000


def test_what_has_changed_gives_no_answer() -> None:
    shelf = Shelf(rng.standard_normal((60, 1000)).astype(F))
    tensor = Tensor(shelf)
    tensor.check_unchanged()
    drawn = tensor.drawn
    np.testing.assert_array_equal(drawn[5:9], shelf.flat[5:9], strict=True)
    shelf.changed = True
    for where in (slice(5, 9), slice(59_990, 70_000), np.array([[1, 2]]), 7):
        np.testing.assert_array_equal(drawn[where], np.full(np.shape(shelf.flat[where]), np.nan, F), strict=True)
    for ask in (
        tensor.check_unchanged,
        lambda: analyze(tensor, Scheme()),
        lambda: analyze(tensor, Scheme(granularity=PerAxis(0))),
        lambda: prepare(tensor),
    ):
        with pytest.raises(Problem, match="The shelf was cleared"):
            ask()
