"""What two threads find comes in order, and no more is taken ahead than they need; one asks, another helps."""

from __future__ import annotations

import threading
from concurrent.futures import wait
from itertools import count, islice

import numpy as np
import pytest

from qviz.core import work
from qviz.core.work import begin_beside, beside, in_company, in_order, in_two_threads, share

PATIENCE = 60
"""Seconds until a thread that should come is given up."""


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


def test_of_two_parts_one_is_done_beside_the_other_and_both_handle_numpys_errors_as_the_caller_does(monkeypatch):
    monkeypatch.setattr(work, "THREADS", 2)
    met = threading.Barrier(2, timeout=PATIENCE)

    def some(part):
        met.wait()
        return part, np.float32(1e30) * np.float32(1e30)

    with np.errstate(over="ignore"):
        assert share(some, 100, least=100, unit=16) == (((0, 48), np.inf), ((48, 100), np.inf))
    assert share(lambda part: part, 99, least=100) == ((0, 99),)
    monkeypatch.setattr(work, "THREADS", 1)
    assert share(lambda part: part, 100, least=100) == ((0, 100),)


def test_where_every_helper_is_busy_the_asker_does_it_all():
    go_on, busy = threading.Event(), threading.Semaphore(0)

    def occupy(_):
        busy.release()
        go_on.wait(PATIENCE)

    helping = [begin_beside(occupy, None) for _ in range(work.HELPERS)]
    assert all(busy.acquire(timeout=PATIENCE) for _ in helping)
    try:
        threads = in_two_threads(lambda _: threading.current_thread(), 0, 1)
        assert threads == (threading.current_thread(),) * 2
    finally:
        go_on.set()
    wait(helping)


def test_who_fails_here_is_told_when_nothing_goes_on_beside():
    begun, done = threading.Event(), threading.Event()

    def work_on(here):
        if here:
            assert begun.wait(PATIENCE)
            raise ZeroDivisionError
        begun.set()
        done.set()

    with pytest.raises(ZeroDivisionError):
        in_two_threads(work_on, True, False)
    assert done.is_set()
    with pytest.raises(ZeroDivisionError):
        in_two_threads(lambda here: here or 1 // 0, True, False)


def test_beside_somebody_who_is_busy_one_thread_does_it_all(monkeypatch):
    monkeypatch.setattr(work, "THREADS", 2)
    busy = True

    def threads():
        return {*share(lambda _: threading.current_thread(), 100, least=1)} | {
            *in_two_threads(lambda _: threading.current_thread(), 0, 1)
        }

    assert not in_company()
    with beside(lambda: busy):
        assert in_company()
        assert threads() == {threading.current_thread()}
        busy = False
        assert not in_company()
        assert len(share(lambda part: part, 100, least=1)) == 2
        busy = True
        assert begin_beside(lambda _: in_company(), None).result(PATIENCE), "who helps is told, too"
    assert not in_company()
