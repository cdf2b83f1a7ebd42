"""Which functions are compiled, where are they kept, and what happens where they cannot be?"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from platformdirs.macos import MacOS
from platformdirs.unix import Unix

from qviz.core import PerAxis, Scheme, compiler
from tests.core.passes.test_direct_pass import ask, brute_force
from tests.core.questions.test_analysis import noisy

needs_numba = pytest.mark.skipif(not compiler.available(), reason="numba knows no such Python yet")


@pytest.fixture
def fresh(monkeypatch):
    """As if nothing had been compiled, though a compiler were there."""
    for each in compiler.known():
        monkeypatch.setattr(each, "compiled", None)
    monkeypatch.setattr(compiler, "available", lambda: True)


def test_nothing_is_imported_before_it_is_asked_for():
    look = "compiler.available(); compiler.known()"
    code = f"import sys, qviz.core; from qviz.core import compiler; {look}; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(Path.cwd())})


@needs_numba
def test_what_another_process_compiled_is_loaded(kept, fresh, monkeypatch):
    assert list(kept.rglob("*.nbc"))
    assert list(kept.rglob(compiler.COMPLETE))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(kept))
    monkeypatch.setattr(subprocess, "Popen", None)  # nothing is compiled again
    assert not compiler.ready()
    compiler.warm_up()
    assert compiler.ready()
    x, scheme = noisy((6, 50)), Scheme(granularity=PerAxis(0))
    brute_force(x, scheme, ask(x, scheme))


@pytest.mark.parametrize(("platform", "folder"), [(Unix, "{home}/.cache/qviz"), (MacOS, "{home}/Library/Caches/qviz")])
def test_kernels_are_kept_in_the_persons_cache(platform, folder, monkeypatch, tmp_path):
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("platformdirs.PlatformDirs", platform)
    monkeypatch.setattr(compiler, "_version", lambda library: "1")
    assert compiler._cache_folder().parent == Path(folder.format(home=tmp_path)) / "kernels"


@needs_numba
def test_kernels_of_another_copy_of_the_sources_are_kept_apart(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    module = tmp_path / "compiled_module.py"
    module.write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(compiler, "MODULES", ("compiled_module",))
    monkeypatch.setattr(compiler, "LATER_MODULES", ())
    one = compiler._cache_folder()
    os.utime(module, (1e9, 1e9))
    assert compiler._cache_folder() != one


def test_kernels_that_nobody_loads_any_more_are_removed(tmp_path):
    present, old, recent = (tmp_path / name for name in ("present", "old", "recent"))
    for folder in (present, old, recent):
        folder.mkdir()
        (folder / compiler.COMPLETE).touch()
    long_ago = time.time() - compiler.KEPT_SECONDS - 60
    for folder in (present, old):
        os.utime(folder / compiler.COMPLETE, (long_ago, long_ago))
    compiler._remove_old(present)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["present", "recent"]
    compiler._remove_old(recent)
    assert present.exists()


def test_kernels_of_other_sources_are_kept_apart(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    one = compiler._cache_folder()
    assert compiler._cache_folder() == one
    monkeypatch.setattr(compiler, "MODULES", compiler.MODULES[:1])
    assert compiler._cache_folder() != one
    monkeypatch.setattr(compiler, "_version", lambda library: "another")
    assert len({one, compiler._cache_folder()}) == 2


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("failure", [OSError("read-only"), ImportError("numba is broken"), RuntimeError("no")])
def test_what_is_in_the_way_is_noted_and_numpy_goes_on(failure, monkeypatch, caplog, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))

    def fail(*_, **__):
        raise failure

    monkeypatch.setattr(subprocess, "Popen", fail)
    with caplog.at_level(logging.INFO):
        compiler.warm_up()
    assert not compiler.ready()
    assert "fast kernels are not used" in caplog.text
    assert not any(record.exc_info for record in caplog.records)
    x, scheme = noisy((6, 50)), Scheme(granularity=PerAxis(0))
    brute_force(x, scheme, ask(x, scheme))


@pytest.mark.usefixtures("fresh")
def test_a_compiler_that_fails_is_noted(monkeypatch, caplog, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "false" if Path("/bin/false").exists() else sys.executable)
    monkeypatch.setattr(compiler, "_version", lambda library: "1")
    with caplog.at_level(logging.INFO):
        compiler.warm_up()
    assert "the compiler ended with" in caplog.text


@needs_numba
@pytest.mark.usefixtures("fresh")
def test_a_kernel_that_cannot_be_loaded_once_holds_up_no_other(kept, monkeypatch, caplog):
    """As when its file is read while another process still writes it."""
    names, failures = [each.name for each in compiler.known()], [OSError("half written")]
    load = compiler._load

    def read(each, folder):
        if each.name == names[1] and failures:
            raise failures.pop()
        load(each, folder)

    @contextlib.contextmanager
    def compiling(*_):
        yield [f"{name}\n" for name in names]

    monkeypatch.setenv("NUMBA_CACHE_DIR", str(kept))
    monkeypatch.setattr(compiler, "_load", read)
    monkeypatch.setattr(compiler, "_compiling", compiling)
    folder = compiler._cache_folder()
    with caplog.at_level(logging.INFO):
        compiler._compile_aside(folder)
    assert [each.name for each in compiler.known() if not each.ready] == [names[1]]
    compiler.load_all(folder)
    assert compiler.ready()
    assert names[1] in caplog.text


def test_compilers_share_the_kernels(monkeypatch, capsys, tmp_path):
    compiled: list[tuple[int, str]] = []
    done = threading.Barrier(2)

    def load(each, folder):
        compiled.append((threading.get_ident(), each.name))
        if len(compiled) <= 2:
            done.wait()  # each has one at least

    monkeypatch.setattr(compiler, "_load", load)
    monkeypatch.setattr(os, "nice", lambda more: more, raising=False)
    taken = tmp_path / "taken"
    taken.mkdir()
    beside = threading.Thread(target=compiler.compile_all, args=(str(tmp_path), str(taken)))
    beside.start()
    compiler.compile_all(str(tmp_path), str(taken))
    beside.join()
    names = [each.name for each in compiler.known()]
    assert sorted(name for _, name in compiled) == sorted(names), "each once"
    assert len({thread for thread, _ in compiled}) == 2
    assert sorted(capsys.readouterr().out.split()) == sorted(names)


def test_nothing_is_compiled_where_it_cannot_be(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert not compiler.available()
    compiler.warm_up()
    monkeypatch.delattr(sys, "frozen")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not compiler.available()


def test_what_is_plain_python_gives_the_same(monkeypatch):
    """The kernels can be read, and run, without a compiler."""
    for each in compiler.known():
        monkeypatch.setattr(each, "compiled", each.plain)
    x, scheme = noisy((3, 20), nan=True), Scheme(granularity=PerAxis(0))
    with np.errstate(over="ignore"):
        brute_force(x, scheme, ask(x, scheme))


@pytest.mark.usefixtures("fresh")
def test_a_program_that_ends_meanwhile_waits_for_no_compiler(monkeypatch, tmp_path):
    class Compiler:
        def __init__(self, *_, **__):
            self.kill = lambda: None

        def wait(self):
            others.extend(t for t in threading.enumerate() if t not in before)
            return 0

    monkeypatch.setattr(subprocess, "Popen", Compiler)
    monkeypatch.setattr(compiler, "COMPILE_SECONDS", 60)
    before, others = threading.enumerate(), []
    compiler._compile_aside(tmp_path)
    assert others
    assert all(thread.daemon for thread in others)
