"""What two threads find comes in order, and no more is taken ahead than they need."""

from __future__ import annotations

import threading
from itertools import count, islice

import numpy as np
import pytest

from qviz.core import work
from qviz.core.work import in_order


@pytest.mark.parametrize("threads", [1, 2])
def test_answers_come_in_the_order_of_what_was_asked(threads, monkeypatch):
    monkeypatch.setattr(work, "THREADS", threads)
    assert list(in_order(lambda n: n * n, range(50))) == [n * n for n in range(50)]
    assert list(in_order(str, [])) == []


@pytest.mark.parametrize("threads", [1, 2])
def test_few_are_taken_ahead_and_in_the_callers_thread(threads, monkeypatch):
    monkeypatch.setattr(work, "THREADS", threads)
    taken = []

    def numbers():
        for n in count():
            taken.append(threading.current_thread())
            yield n

    assert list(islice(in_order(lambda n: n, numbers()), 10)) == list(range(10))
    assert {*taken} == {threading.current_thread()}
    assert len(taken) <= 10 + threads


def test_a_thread_handles_numpys_errors_as_the_caller_does_and_hands_on_its_own():
    with np.errstate(over="ignore"):
        assert all(np.isinf(found) for found in in_order(lambda x: x * x, [np.float32(1e30)] * 4))
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        list(in_order(lambda x: x * x, [np.float32(1e30)] * 4))
