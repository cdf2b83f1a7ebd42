"""Work in another process: what it tells, and what becomes of it."""

from __future__ import annotations

import os
import signal
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event, Thread

import psutil
import pytest

from qviz.core import Problem
from qviz.core.work import Cancelled
from qviz.models import worker
from qviz.models.worker import in_worker
from tests.processes import working


@pytest.fixture(autouse=True)
def begins_anew(monkeypatch):
    """As in the program."""
    monkeypatch.setattr(worker, "START", "spawn")


def answers(folder, tell, number):
    print("this is printed nowhere")
    tell(0.5)
    tell("found")
    Path("stray").write_text("left behind")
    return number + 1, str(folder), os.getpid()


def loads_the_runtime(folder, tell):
    import onnxruntime

    assert onnxruntime.__version__
    return sorted(path.name for path in Path(folder).iterdir())


def complains(folder, tell):
    raise Problem("This is {what}.", what="wrong")


def is_wrong(folder, tell):
    raise KeyError("bug")


def crashes(folder, tell):
    os.kill(os.getpid(), signal.SIGSEGV)


def never_ends(folder, tell):
    tell(os.getpid())
    while True:
        signal.pause()


def test_it_tells_and_answers_and_leaves_nothing(capfd):
    told, found = [], []
    number, folder, process = in_worker(answers, 1, progress=told.append, found=found.append)
    assert (number, told, found) == (2, [0.5], ["found"])
    assert not Path(folder).exists()
    assert not Path("stray").exists()
    assert not psutil.pid_exists(process)
    assert capfd.readouterr() == ("", "")


def test_the_runtime_tells_nobody_how_it_is_used():
    """It would number this computer in a file, for what it sends."""
    assert in_worker(loads_the_runtime) == []


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals")
def test_it_never_hears_of_ctrl_c(monkeypatch):
    """From its first instruction on, in whatever it is; this process hears of it a moment later."""
    began, start, other = [], BaseProcess.start, Event()
    waiting = Thread(target=other.wait)
    waiting.start()

    def started(process):
        began.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        os.kill(os.getpid(), signal.SIGINT)
        other.set()  # which the signal may reach as well
        waiting.join()
        start(process)
        began.append("whole")

    monkeypatch.setattr(BaseProcess, "start", started)
    with pytest.raises(KeyboardInterrupt):
        in_worker(never_ends)
    assert began == [{signal.SIGINT}, "whole"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert working() == []


def test_a_problem_arrives_as_one():
    with pytest.raises(Problem, match="This is wrong"):
        in_worker(complains)


def test_a_bug_is_loud():
    with pytest.raises(RuntimeError, match="KeyError: 'bug'"):
        in_worker(is_wrong)


def test_a_crash_takes_the_worker_alone():
    with pytest.raises(Problem, match="crashed on this network"):
        in_worker(crashes)


def dies_at_once(pipe, folder):
    os._exit(3)


@pytest.mark.parametrize("start", ["spawn", "fork"])
def test_a_process_that_dies_before_it_has_read_its_work_keeps_nobody_waiting(monkeypatch, start):
    monkeypatch.setattr(worker, "START", start)
    monkeypatch.setattr(worker, "_serve", dies_at_once)
    with pytest.raises(Problem, match="ended without an answer"):
        in_worker(answers, bytes(1 << 23))


def test_cancelling_kills_it():
    found = []
    with pytest.raises(Cancelled):
        in_worker(never_ends, found=found.append, cancelled=lambda: bool(found))
    assert not psutil.pid_exists(found[0])
