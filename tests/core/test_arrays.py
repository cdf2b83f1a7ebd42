"""Memory of large arrays is used again, and never while somebody holds it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from qviz.core import arrays
from qviz.core.arrays import LARGE_BYTES, MOST_BYTES, WASTED, empty, zeros

ROWS = LARGE_BYTES // 8


def place(array: arrays.Array) -> int:
    return array.__array_interface__["data"][0]


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    arrays.let_go()
    yield
    arrays.let_go()


def test_the_memory_of_an_array_that_is_gone_is_given_to_the_next():
    first = empty((3, ROWS), np.float64)
    at = place(first)
    del first
    second = zeros((3 * ROWS,), np.int64)
    assert place(second) == at
    assert not second.any()


def test_it_is_not_given_while_a_view_is_held():
    first = zeros((3, ROWS), np.float64)
    at, view = place(first), first[1].view(np.int64)[::2]
    del first
    others = [empty((3, ROWS), np.float64) for _ in range(2)]
    for other in others:
        other.fill(7)
    assert at not in map(place, others)
    assert not view.any()
    del view
    assert place(empty((3, ROWS), np.float64)) == at


def test_a_piece_that_is_far_too_large_or_too_small_is_left():
    first = empty((ROWS * (WASTED + 1),), np.float64)
    at = place(first)
    del first
    assert place(empty((ROWS,), np.float64)) != at
    arrays.let_go()
    small = empty((ROWS,), np.float64)
    del small
    made = empty((2 * ROWS,), np.float64)
    made.fill(1)
    assert made.sum() == 2 * ROWS


def test_what_is_kept_is_bounded_and_can_be_let_go():
    many = [empty((ROWS,), np.float64) for _ in range(MOST_BYTES // LARGE_BYTES + 5)]
    del many
    assert 0 < sum(each.nbytes for each in arrays._spare) <= MOST_BYTES
    arrays.let_go()
    assert not arrays._spare


@pytest.mark.parametrize("size", [0, 1, LARGE_BYTES - 1])
def test_small_arrays_are_numpys_own(size):
    assert empty((size,), np.uint8).base is None


def test_no_two_threads_get_the_same_memory():
    for _ in range(4):
        empty((ROWS,), np.float64)
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(50):
            mine = empty((ROWS,), np.float64)
            mine[::4096] = number
            if (mine[::4096] != number).any():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
