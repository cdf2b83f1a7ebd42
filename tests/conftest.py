"""No display is needed to test: Qt draws into memory unless told otherwise."""

from __future__ import annotations

import functools
import gc
import multiprocessing
import os
import signal
import sys
from contextlib import contextmanager

import numpy as np
import psutil
import pytest
from filelock import FileLock
from hypothesis import settings
from PySide6.QtCore import QDeadlineTimer, QEventLoop, QTimer
from pytestqt.qtbot import QtBot

gc.disable()  # all that is imported and collected lives on, as `pytest_collection_finish` says

settings.register_profile("any machine", deadline=None)  # how long an example takes says how busy it is
settings.load_profile("any machine")

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
for threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ.setdefault(threads, "1")  # every core has a worker already, and waiting threads spin

# Where a shell runs this behind it, Ctrl+C is not heard of: tests send it to processes, which would never end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Workers and the processes of tests find what the first of them compiled, and the asserts that pytest rewrote: a
# Python that was told to keep none compiles all of qviz for each of them.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def quick_where_equal(compare):
    """NumPy's comparison, which takes three times as long to say why arrays differ, even where they do not."""

    @functools.wraps(compare)
    def assert_array_equal(actual, desired, *arguments, **options):
        alike = type(actual) is type(desired) is np.ndarray and actual.dtype == desired.dtype
        if alike and actual.shape == desired.shape and actual.dtype.kind in "biuf":
            with np.errstate(invalid="ignore"):
                if (actual == desired).all():
                    return
        compare(actual, desired, *arguments, **options)

    return assert_array_equal


np.testing.assert_array_equal = quick_where_equal(np.testing.assert_array_equal)


class PromptBot(QtBot):
    """Looks ten times as often as pytest-qt, which lets 10 ms go by between looks, and makes a loop for each."""

    def waitUntil(self, callback, *, timeout=5000):
        deadline = QDeadlineTimer(timeout)
        loop, pause = QEventLoop(), QTimer(singleShot=True, interval=1)
        pause.timeout.connect(loop.quit)
        while True:
            failure = None
            try:
                reached = callback()
            except AssertionError as error:
                reached, failure = False, error
            if reached or reached is None:
                return
            if deadline.hasExpired():
                raise self.TimeoutError(f"not reached within {timeout} ms") from failure
            pause.start()
            loop.exec()


@pytest.fixture
def qtbot(qapp, request):
    return PromptBot(request)


LONGEST = ("tests/monkey/test_monkey.py", "tests/gui/window/test_cut_texts.py", "tests/test_benchmarks.py")
"""Where a single test takes many seconds."""

WORKS_WITH = (
    "qviz.models.opening",
    "qviz.models.ptq",
    "onnx.shape_inference",
    "onnx.version_converter",
    "onnxruntime.quantization",
)
"""What a process that works on a network imports: most of the time that such a test takes."""


def pytest_xdist_auto_num_workers():
    """One worker more than there are cores: a test that waits for a timer or a process leaves its core to others."""
    return psutil.cpu_count() + 1


def pytest_collection_modifyitems(items):
    """The longest tests first: at the end one worker would wait for the other."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


def pytest_collection_finish():
    """Whoever looks for garbage need not look through nine thousand tests, none of which is garbage before the end."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def quick_workers():
    """Processes that work on networks begin as copies of one that has imported all they need, where systems can."""
    from qviz.models import worker

    if sys.platform != "linux":
        yield
        return
    multiprocessing.get_context("forkserver").set_forkserver_preload([*WORKS_WITH])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "START", "forkserver")
        yield


@pytest.fixture(scope="session", autouse=True)
def compiled_apart(pytestconfig):
    """Kernels are kept apart from the person's own, and compiled by one process at a time: others load them then.

    Whoever asks a library for K-quants needs some, and so do windows that live for a while.
    """
    from qviz.core import compiler

    folder = pytestconfig.rootpath / ".pytest_cache" / "compiled"
    folder.mkdir(parents=True, exist_ok=True)
    compiling = compiler._compiling

    @contextmanager
    def alone(*call):
        with FileLock(folder / "compiling"), compiling(*call) as lines:
            yield lines

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_CACHE_DIR", str(folder))
        patch.setattr(compiler, "_compiling", alone)
        yield folder
