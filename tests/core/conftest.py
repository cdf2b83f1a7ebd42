"""Kernels are compiled once for all tests, away from the person's own cache; a test asks for them, or gets NumPy."""

from __future__ import annotations

import shutil

import pytest
from filelock import FileLock

from qviz.core import compiler


@pytest.fixture(scope="session")
def _compiled(compiled_apart):
    """The folder with the compiled kernels, of all workers, and the kernels; compiled once, as qviz does it.

    They are kept from run to run for as long as their sources stay as they are.
    """
    folder = compiled_apart
    with FileLock(folder / "lock"):
        compiler.warm_up()
        now = compiler._cache_folder()
        for other in {*now.parent.iterdir()} - {now}:
            shutil.rmtree(other, ignore_errors=True)
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
