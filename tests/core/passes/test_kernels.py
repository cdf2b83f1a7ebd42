"""How far is one read of memory from the answer? The kernels against NumPy, compiled and as they stand."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from platformdirs.macos import MacOS
from platformdirs.unix import Unix

from qviz.core import (
    IntFormat,
    Manual,
    PerAxis,
    Percentile,
    PerTensor,
    Scheme,
    Tensor,
    choose_qparams,
    fake_quantize,
    quantize,
)
from qviz.core.passes import direct_pass
from qviz.core.passes import kernels as module
from qviz.core.runtimes.table import CONVENTIONS
from tests.core.passes.test_direct_pass import EVERYTHING, FIGURES, SCHEMES, ask, brute_force
from tests.core.questions.test_analysis import noisy
from tests.golden.record_onnxruntime import hard_tensors
from tests.schemes import FREE_CONVENTIONS

F = np.float32
FORMATS = [IntFormat(bits, signed) for bits in range(2, 17) for signed in (True, False)]
COMPILED = pytest.param("compiled", marks=pytest.mark.skipif(not module.available(), reason="needs the extra fast"))


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Where compiled kernels are kept for all tests, of all workers, away from the person's own cache."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "kernels"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def compiled(cache):
    """Compiled once for all tests, as qviz does it."""
    with FileLock(cache / "lock"), pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_CACHE_DIR", str(cache))
        patch.setattr(module, "_loaded", None)
        module.warm_up()
        assert module.ready()
        return module._loaded


@pytest.fixture(params=["plain", COMPILED])
def kernels(request, monkeypatch):
    """The kernels in use: as they stand, then compiled."""
    them = module.PLAIN if request.param == "plain" else request.getfixturevalue("compiled")
    monkeypatch.setattr(module, "_loaded", them)
    return them


@pytest.fixture
def fresh(monkeypatch):
    """As if nothing had been compiled."""
    monkeypatch.setattr(module, "_loaded", None)
    monkeypatch.setattr(module, "available", lambda: True)


def fused_codes(x, qparams, kernels):
    """The codes of the kernels' arithmetic: where x̂ stands among the levels."""
    x_hat = np.empty((1, x.size), F)
    none = np.zeros(0, np.int64)
    rows = x.reshape(1, -1)
    given = module.parameters(qparams).arguments
    kernels.count(rows, None, *given, 0, 1, False, none, none, none, np.zeros(1), x_hat)
    levels = qparams.levels()[0]
    assert np.all(np.diff(levels) > 0)
    index = np.searchsorted(levels, x_hat[0])
    np.testing.assert_array_equal(levels[index], x_hat[0])
    return index + qparams.quant_min


def hard_values(qparams, few=False):
    """Ties, their neighbours, what is clipped, denormals and huge values."""
    rng = np.random.default_rng(0)
    codes = np.arange(qparams.quant_min - 3, qparams.quant_max + 4)
    if few and codes.size > 40:
        codes = np.concatenate([codes[:20], codes[-20:]])
    codes = codes.astype(F)
    with np.errstate(over="ignore"):
        ties = (codes + F(0.5) - qparams.zero_point) * qparams.scale
        ties = np.concatenate([ties, (codes - qparams.zero_point) * qparams.scale])
        near = np.concatenate([ties, np.nextafter(ties, F(np.inf)), np.nextafter(ties, F(-np.inf))])
    others = [0.0, -0.0, 1e-45, -1e-45, 1e-39, 3e38, -3e38, np.finfo(F).max, np.finfo(F).tiny]
    values = np.concatenate([near, np.array(others, F), rng.standard_normal(5 if few else 3000).astype(F)])
    return values[np.isfinite(values)]


# --- the same arithmetic ------------------------------------------------------------------------------


@pytest.mark.parametrize("reciprocal", [False, True], ids=["divides", "multiplies"])
@pytest.mark.parametrize("convention", FREE_CONVENTIONS)
@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "asymmetric"])
def test_codes_are_the_same_to_the_last_bit(convention, symmetric, reciprocal, kernels, monkeypatch):
    changed = replace(CONVENTIONS[convention], multiplies_by_reciprocal=reciprocal)
    if changed.divides_by_threshold or not any(changed.offers(f, symmetric) for f in FORMATS):
        pytest.skip("not for the kernels")
    monkeypatch.setitem(CONVENTIONS, convention, changed)
    few = kernels is module.PLAIN
    for number_format in (f for f in FORMATS if changed.offers(f, symmetric)):
        for low, high in ((-1.0, 1.7), (-0.37, 0.21), (-3e4, 5e4), (-3e-30, 1e-30)):
            scheme = Scheme(number_format, symmetric, PerTensor(), Manual(low, high), convention)
            q = choose_qparams(Tensor(np.ones(1)), scheme)
            x = hard_values(q, few)
            with np.errstate(over="ignore"):
                np.testing.assert_array_equal(fused_codes(x, q, kernels), quantize(x, q))


@pytest.mark.parametrize("name", [n for n in hard_tensors() if n not in {"huge", "the largest floats"}])
def test_hard_tensors(name, kernels):
    x = hard_tensors()[name]
    for convention in FREE_CONVENTIONS:
        for number_format in (IntFormat(8, True), IntFormat(4, False), IntFormat(16)):
            for symmetric in (True, False):
                if not CONVENTIONS[convention].offers(number_format, symmetric):
                    continue
                for granularity in (PerTensor(), PerAxis(0), PerAxis(-1)):
                    scheme = Scheme(number_format, symmetric, granularity, convention=convention)
                    compare(x, scheme)


def compare(x, scheme):
    """The kernels in use against NumPy."""
    tensor = Tensor(x)
    ours = ask(tensor, scheme)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_loaded", None)
        theirs = ask(Tensor(x), scheme)
    for name in FIGURES:
        a, b = getattr(ours, name), getattr(theirs, name)
        if name in {"finite", "saturated", "max_abs_error"}:
            np.testing.assert_array_equal(a, b)
        elif name == "product":
            assert a == pytest.approx(b, rel=1e-12, abs=1e-12 * theirs.squared_value.sum())
        else:
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=0)
    np.testing.assert_array_equal(ours.occupancy, theirs.occupancy)
    np.testing.assert_array_equal(ours.error_histogram.rounding, theirs.error_histogram.rounding)
    np.testing.assert_array_equal(ours.error_histogram.clipping, theirs.error_histogram.clipping)
    assert (ours.dequantized is None) == (theirs.dequantized is None)
    if ours.dequantized is not None:
        flat = fake_quantize(tensor, choose_qparams(tensor, scheme)).reshape(-1)
        a, b = (sums.dequantized.view(flat, 0, flat.size, 9) for sums in (ours, theirs))
        np.testing.assert_array_equal(a.low, b.low)
        np.testing.assert_array_equal(a.high, b.high)


@pytest.mark.parametrize("nan", [False, True], ids=["finite", "with NaN and inf"])
@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
@pytest.mark.parametrize("shape", [(3, 4, 9), (40, 2, 9), (5, 30, 1), (2, 3, 70)], ids=str)
def test_every_sum_equals_brute_force_and_numpy(shape, scheme, nan, kernels):
    x = noisy(shape, nan)
    for granularity in (PerTensor(), *(PerAxis(axis) for axis in range(len(shape)))):
        one = replace(scheme, granularity=granularity)
        brute_force(x, one, ask(x, one))
        compare(x, one)


@pytest.mark.parametrize("nan", [False, True], ids=["finite", "with NaN and inf"])
@pytest.mark.parametrize("shape", [(300, 200), (50, 4100, 2), (3, 2, 20_000)], ids=str)
def test_large_tensors_in_two_threads(shape, nan, kernels, monkeypatch):
    if kernels is module.PLAIN:
        pytest.skip("takes minutes")
    monkeypatch.setattr(direct_pass, "BLOCK", 1 << 13)
    monkeypatch.setattr(direct_pass, "THREADED", 0)
    monkeypatch.setattr(direct_pass, "THREADS", 2)
    x = noisy(shape, nan)
    for axis in range(len(shape)):
        for convention in (CONVENTIONS[name] for name in FREE_CONVENTIONS):
            symmetric, signed = convention.symmetric_only, convention.signed_only
            scheme = Scheme(IntFormat(8, signed), symmetric, PerAxis(axis), Percentile(99.0), convention.name)
            sums = ask(x, scheme)
            brute_force(x, scheme, sums)


def test_only_what_was_asked_for_is_made(kernels):
    x, scheme = Tensor(noisy((6, 50), nan=True)), Scheme(granularity=PerAxis(0))
    none = ask(x, scheme, occupancy=False, error_edges=None, envelope=False)
    assert [getattr(none, name) for name in EVERYTHING] == [None] * 3
    assert ask(x, scheme, occupancy=False, error_edges=None).dequantized is not None
    assert ask(x, scheme, error_edges=None, envelope=False).occupancy.sum() == x.finite
    assert ask(x, scheme, occupancy=False, envelope=False).error_histogram.rounding.sum() == x.finite


def test_what_leaves_float32_is_left_to_numpy(monkeypatch):
    monkeypatch.setattr(module, "_loaded", module.Kernels(None, None, None))
    largest = np.finfo(F).max
    assert np.isinf(ask(np.array([-largest, largest]), Scheme(IntFormat(8, False))).squared_error[0])


# --- compiled, or not ---------------------------------------------------------------------------------


def test_nothing_is_imported_before_it_is_asked_for():
    look = "from qviz.core.passes import kernels; kernels.available()"
    code = f"import sys, qviz.core; {look}; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(Path.cwd())})


@pytest.mark.skipif(not module.available(), reason="needs the extra fast")
def test_warming_up_compiles_in_another_process_and_loads(compiled, cache, monkeypatch):
    assert list(cache.rglob("*.nbc"))
    for kernel in (compiled.sum_rows, compiled.sum_columns, compiled.count):
        assert kernel.stats.cache_hits
        assert not kernel.stats.cache_misses  # nothing was left to compile here
    monkeypatch.setattr(module, "_loaded", compiled)
    monkeypatch.setattr(subprocess, "run", None)
    module.warm_up()  # has nothing left to do
    x, scheme = noisy((6, 50)), Scheme(granularity=PerAxis(0))
    brute_force(x, scheme, ask(x, scheme))


@pytest.mark.usefixtures("fresh")
def test_the_kernels_are_kept_in_the_persons_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "put back as it was")
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setattr(module, "compile_all", lambda: module.PLAIN)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name, **_: tmp_path / name)
    asked = []
    monkeypatch.setattr(subprocess, "run", lambda command, env, **_: asked.append(env["NUMBA_CACHE_DIR"]))
    module.warm_up()
    assert module.ready()
    assert asked == [os.environ["NUMBA_CACHE_DIR"]] == [str(tmp_path / "qviz" / "kernels")]


@pytest.mark.parametrize(
    ("platform", "folder"),
    [
        (Unix, "{home}/.cache/qviz/kernels"),
        (MacOS, "{home}/Library/Caches/qviz/kernels"),
    ],
)
def test_that_cache_is_where_the_platform_has_it(platform, folder, monkeypatch, tmp_path):
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("platformdirs.PlatformDirs", platform)
    assert module._cache_folder() == folder.format(home=tmp_path)


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    "failure", [OSError("read-only"), subprocess.CalledProcessError(1, "python"), ImportError("numba is broken")]
)
def test_what_is_in_the_way_is_noted_and_numpy_goes_on(failure, monkeypatch, caplog, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))

    def fail(*_, **__):
        raise failure

    monkeypatch.setattr(subprocess, "run", fail)
    with caplog.at_level(logging.INFO):
        module.warm_up()
    assert not module.ready()
    assert "fast kernels are not used" in caplog.text
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.usefixtures("fresh")
def test_nothing_is_compiled_where_it_cannot_be(monkeypatch):
    monkeypatch.setattr(subprocess, "run", None)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    module.warm_up()
    monkeypatch.setattr(module, "available", lambda: False)
    module.warm_up()
    assert not module.ready()
