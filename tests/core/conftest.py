"""Kernels are compiled once for all tests, away from the person's own cache; a test asks for them, or gets NumPy."""

from __future__ import annotations

import functools
import itertools
import shutil
import sys
from collections import Counter

import pytest
from filelock import FileLock
from hypothesis import settings

from qviz.core import compiler
from tests.every import tells, traced_by

_case = pytest.StashKey[tuple[int, int]]()
"""Which case of a test an item is, and how many there are."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Number the cases of each test."""
    tests = [(item.path, getattr(item, "originalname", item.name)) for item in items]
    whole, before = Counter(tests), Counter()
    for item, test in zip(items, tests, strict=True):
        item.stash[_case] = before[test], whole[test]
        before[test] += 1


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Note the lines that a few cases of a test reach, or a few examples of hypothesis."""
    tracer = sys.gettrace() if tells(*item.stash[_case]) else None
    handle = getattr(item.obj, "hypothesis", None)
    if handle is None:
        with traced_by(tracer):
            return (yield)
    inner, numbers = handle.inner_test, itertools.count()

    @functools.wraps(inner)
    def example(*arguments, **keywords):
        with traced_by(tracer if tells(next(numbers), settings().max_examples) else None):
            return inner(*arguments, **keywords)

    handle.inner_test = example
    try:
        with traced_by(None):
            return (yield)
    finally:
        handle.inner_test = inner


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
    assert not [each.name for each, function in functions.items() if function is None]
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
