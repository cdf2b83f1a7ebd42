"""What was let go is given back when nothing happens for a while, what threads let go, too."""

from __future__ import annotations

import linecache
import subprocess
import sys

import pytest
from pytestqt.qtbot import QtBot

from qviz.session import freed
from qviz.session.freed import QUIET_MILLISECONDS, Freed
from qviz.session.worker import Worker
from tests.session.conftest import HandTimers, Work

THREADS_LET_GO = """
import gc, threading
import psutil
from qviz.session.freed import give_back, keep_one_arena
keep_one_arena()
held = []
def fill():
    held.append([bytearray(30_000) for _ in range(1_000)])
def megabytes():
    return psutil.Process().memory_info().rss / 1e6
bytearray(30_000_000)  # after something large, glibc keeps twice as much at the top of each arena
before = megabytes()
threads = [threading.Thread(target=fill) for _ in range(2)]
for thread in threads:
    thread.start()
    thread.join()
full = megabytes()
held.clear()
give_back()
print(full - before, megabytes() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator of Linux")
def test_what_threads_let_go_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", THREADS_LET_GO], capture_output=True, text=True, check=True)
    full, left = (float(part) for part in done.stdout.split())
    assert full > 50
    assert left < 10


LET_GO_AND_FILLED_AGAIN = """
import resource
import numpy as np
from qviz.session.freed import give_back, keep_freed
keep_freed()
def fill():
    return [np.ones(1 << 20) for _ in range(6)]
def pages_of(work):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
fill()
again = pages_of(fill)
give_back()
print(again, pages_of(fill))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator of Linux")
def test_what_is_let_go_is_used_again_until_it_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", LET_GO_AND_FILLED_AGAIN], capture_output=True, text=True, check=True)
    again, anew = (int(part) for part in done.stdout.split())
    assert again < 100
    assert anew > 4 * max(again, 1)


def test_nothing_is_given_back_while_something_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[None] = []
    monkeypatch.setattr(freed, "give_back", lambda: given.append(None))
    timers = HandTimers()
    giver = Freed(timers=timers)
    assert not timers.active
    giver.later()
    giver.later()
    assert [(timer.milliseconds, timer.starts) for timer in timers.all] == [(QUIET_MILLISECONDS, 2)]
    assert not given
    giver.quiet.connect(lambda: given.append(None))  # whoever keeps something lets go of it first
    timers.fire()
    assert len(given) == 2
    giver.later()
    giver.close()
    assert not timers.active


def test_nothing_is_given_back_while_one_question_follows_the_other(qtbot: QtBot) -> None:
    timers, worker = HandTimers(), Worker()
    giver = Freed(timers=timers)
    giver.watch(worker)
    (timer,) = timers.all
    worker._submit("one", lambda progress, cancelled: None)
    worker._submit("the next, which waits: the first is no end", lambda progress, cancelled: None)
    qtbot.waitUntil(lambda: timer.starts == 3 and not worker.busy, timeout=10_000)
    giver.close()
    worker.close()


def test_nothing_is_given_back_while_an_answer_takes_long(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[None] = []
    monkeypatch.setattr(freed, "give_back", lambda: given.append(None))
    timers, worker, work = HandTimers(), Worker(), Work(held=True)
    giver = Freed(timers=timers)
    giver.watch(worker)
    worker._submit("long", work)
    timers.fire()
    assert not given
    assert timers.active
    work.let_go.set()
    timers.settle(qtbot, worker)
    assert len(given) == 1
    giver.close()
    worker.close()


def test_lines_of_sources_are_not_kept() -> None:
    """PySide reads the source of each module that is imported after it: of ours and of ONNX 60 MB."""
    linecache.getlines(__file__)
    assert __file__ in linecache.cache
    freed.give_back()
    assert not linecache.cache
