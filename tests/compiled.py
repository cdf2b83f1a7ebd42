"""What do tests need compiled? ``python -m tests.compiled FOLDER`` makes it, before the first of them asks for it."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from filelock import FileLock

from qviz.core import compiler

COMPILING, DEMANDED, ALL = "compiling", "demanded", "lock"
"""Locks of a folder: of who compiles what all need, of who compiles what few demand, of tests that need the former."""


def later_kernels() -> list[compiler.Kernel]:
    """Those that are compiled when they are first demanded."""
    modules = [importlib.import_module(name) for name in compiler.LATER_MODULES]
    found = {value for module in modules for value in vars(module).values() if isinstance(value, compiler.Kernel)}
    return sorted(found - {*compiler.known()}, key=lambda each: each.name)


def compile_into(folder: Path) -> None:
    """Compile all that is not there yet, as quickly as it goes; first what tests demand that were not put last."""
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    kept = compiler._cache_folder()
    with FileLock(folder / DEMANDED):
        for each in later_kernels():
            complete = kept / f"{each.name}.{compiler.COMPLETE}"
            if not complete.exists():
                compiler._load(each, kept)
                complete.touch()
    with FileLock(folder / ALL), FileLock(folder / COMPILING):
        if not (kept / compiler.COMPLETE).exists():
            compiler.load_all(kept)
            (kept / compiler.COMPLETE).touch()


if __name__ == "__main__" and compiler.available():
    compile_into(Path(sys.argv[1]))
