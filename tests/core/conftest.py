"""Kernels are compiled once for all tests, away from the person's own cache; a test asks for them, or gets NumPy."""

from __future__ import annotations

import os

import pytest
from filelock import FileLock

from qviz.core import compiler


@pytest.fixture(scope="session")
def _compiled(tmp_path_factory):
    """The folder with the compiled kernels, of all workers, and the kernels; compiled once, as qviz does it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "compiled"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"), pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_CACHE_DIR", str(folder))
        compiler.warm_up()
    functions = {each: each.compiled for each in compiler.known()}
    assert all(functions.values())
    for each in functions:
        each.compiled = None
    return folder, functions


@pytest.fixture(scope="session")
def kept(_compiled):
    """The folder with the compiled kernels."""
    return _compiled[0]


@pytest.fixture
def kernels(_compiled, monkeypatch):
    """The kernels in use."""
    for each, function in _compiled[1].items():
        monkeypatch.setattr(each, "compiled", function)
