"""Which functions are compiled, and what happens where they are not?

`numba` compiles them, away from the window and once for all: what it makes is kept in the person's
cache. Nothing here imports it until `warm_up` is called, and nothing needs it: a Python too new for
it, a frozen program or a folder that cannot be written to leave the work to NumPy, which gives the
same answers.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import logging
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

log = logging.getLogger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])

MODULES = (
    "qviz.core.tensors.survey",
    "qviz.core.tensors.value_counts",
    "qviz.core.passes.plain_walk",
    "qviz.core.passes.kernels",
    "qviz.core.passes.group_reach",
    "qviz.core.passes.settling",
    "qviz.core.passes.ratios",
    "qviz.core.tensors.lookups",
    "qviz.core.tensors.cells",
    "qviz.core.passes.error_counts",
    "qviz.core.runtimes.block_scales",
    "qviz.core.passes.comparing",
    "qviz.core.passes.counting",
    "qviz.core.passes.stretches",
    "qviz.core.passes.columns",
    "qviz.core.passes.lane_steps",
    "qviz.core.passes.lane_sums",
    "qviz.core.passes.lane_figures",
    "qviz.core.arithmetic.conversion",
    "qviz.core.arithmetic.loops",
    "qviz.core.arithmetic.spreading",
    "qviz.core.ranges.binning",
    "qviz.core.ranges.threshold_losses",
    "qviz.core.lanes",
    "qviz.core.lane_types",
)
"""Where the functions are, the most urgent first; `kernels` takes as long as nearly all that follows."""

LATER_MODULES = (
    "qviz.core.ranges.ggml",
    "qviz.core.ranges.ggml_lanes",
    "qviz.core.ranges.ggml_search",
    "qviz.core.ranges.ggml_direct",
)
"""Where those are that few ask for, and what they call: each is compiled when it is first demanded."""

SUMS = {"reassoc", "nsz", "nnan"}
"""What a compiler may do to sums: add in any order, and take nothing for NaN. Never all of fast-math: it would
replace divisions by multiplications, and the codes would not be the runtime's own."""

COMPILERS = min(2, os.cpu_count() or 1)
"""Processes that compile: nearly half of it is one kernel's."""

COMPILE_SECONDS = 600
"""A compilation that takes longer is given up; it gives way to everybody, and takes minutes on a busy machine."""

KEPT_SECONDS = 90 * 24 * 3600
"""Kernels of other sources, of a version before this one perhaps, are removed when they were not loaded for so long."""

GARBAGE = 1 << 18
"""So many new objects are looked through for garbage at a time: a compiler makes millions, of which most stay, and
would spend an eighth of its time looking."""

COMPLETE = "complete"
"""The file that stands beside kernels that are all compiled."""

_parts: list[tuple[Callable[..., Any], dict[str, Any]]] = []
_kernels: list[Kernel] = []
_warming = threading.Lock()


@dataclass(eq=False)
class Kernel:
    """A function that is called compiled, once it is.

    Attributes
    ----------
    plain : Callable
        The function as it stands: Python.
    example : Callable[[], tuple]
        Arguments of the types that it is compiled for.
    reorders : bool
        Whether its sums may be added in any order.
    compiled : Callable or None
        None as long as it is not loaded: the caller does the work in NumPy.
    """

    plain: Callable[..., Any]
    example: Callable[[], tuple[Any, ...]]
    reorders: bool
    compiled: Callable[..., Any] | None = None

    @property
    def name(self) -> str:
        return f"{self.plain.__module__}.{self.plain.__qualname__}"

    @property
    def ready(self) -> bool:
        return self.compiled is not None

    def __call__(self, *arguments: Any) -> Any:
        assert self.compiled is not None
        return self.compiled(*arguments)


def part(*, reorders: bool = False, rare: bool = False) -> Callable[[Function], Function]:
    """Mark a function that kernels call; it stays Python for everybody else.

    One that is ``rare`` is called; the others are put in their places, which takes longer to compile.
    """

    def mark(function: Function) -> Function:
        _parts.append(
            (
                function,
                {
                    "fastmath": SUMS if reorders else False,
                    "_nrt": False,
                    "no_cfunc_wrapper": True,
                    "forceinline": not rare,  # to pass arrays on, a dozen words each, takes as long as some loops
                },
            )
        )
        return function

    return mark


def kernel(
    example: Callable[[], tuple[Any, ...]], *, reorders: bool = False, later: bool = False
) -> Callable[[Callable[..., Any]], Kernel]:
    """Make a function a `Kernel`; ``example`` gives arguments of its types. Of ``later`` ones see `demand`."""

    def mark(function: Callable[..., Any]) -> Kernel:
        made = Kernel(function, example, reorders)
        if not later:
            _kernels.append(made)
        return made

    return mark


def prefetch(array: Any, index: Any) -> None:
    """Have one element's piece of memory fetched, without waiting for it; nothing in Python."""


def available() -> bool:
    """Whether the compiler is installed, and may be used here."""
    return importlib.util.find_spec("numba") is not None and not getattr(sys, "frozen", False)


def ready() -> bool:
    """Whether every kernel is compiled and loaded in this process."""
    return bool(_kernels) and all(each.ready for each in _kernels)


def warm_up() -> None:
    """Compile the kernels, or load those compiled before; for a worker thread, the first time takes seconds.

    Another process compiles, because a compiler would keep this one's window from being drawn; each kernel is
    loaded as soon as it is there. When anything is in the way this only says so in the log.
    """
    with _warming:
        if ready() or not available():
            return
        try:
            folder = _cache_folder()
            if not (folder / COMPLETE).exists():
                _compile_aside(folder)
            load_all(folder)
            _remove_old(folder)
        except Exception as error:
            log.info("The fast kernels are not used: %s", error)


def demand(each: Kernel) -> bool:
    """Have a kernel of `LATER_MODULES` compiled or loaded: seconds, the first time. Whether it can be called.

    For a worker thread. Compiled in another process, as all are: a compiler would hold up the window.
    """
    with _warming:
        if not each.ready and available():
            try:
                folder = _cache_folder()
                complete = folder / f"{each.name}.{COMPLETE}"
                if not complete.exists():
                    with _compiling(f"compile_demanded({each.name!r}, {str(folder)!r})"):
                        pass
                    complete.touch()
                _load(each, folder)
            except Exception as error:
                log.info("The kernel %s is not used: %s", each.name, error)
    return each.ready


def compile_demanded(name: str, folder: str) -> None:
    """Compile one kernel of `LATER_MODULES` into ``folder``."""
    module, _, attribute = name.rpartition(".")
    _load(getattr(importlib.import_module(module), attribute), Path(folder))


def load_all(folder: Path) -> None:
    """Load every kernel from ``folder``; what is not there is compiled."""
    for each in known():
        _load(each, folder)


def compile_all(folder: str, taken: str) -> None:
    """Compile kernels into ``folder``, behind everything else, and print the name of each that is done.

    Those that another process compiles have a file in the folder ``taken``.
    """
    if hasattr(os, "nice"):
        os.nice(10)  # a window is being drawn meanwhile
    for each in known():
        try:
            (Path(taken) / each.name).touch(exist_ok=False)
        except FileExistsError:
            continue
        _load(each, Path(folder))
        print(each.name, flush=True)


def known() -> list[Kernel]:
    """Every kernel, the most urgent first."""
    for name in MODULES:
        importlib.import_module(name)
    return sorted(_kernels, key=lambda each: MODULES.index(each.plain.__module__))


def _load(each: Kernel, folder: Path) -> None:
    if each.ready:
        return
    import numba
    from numba.extending import register_jitable

    from qviz.core import lane_types

    if numba.config.DISABLE_JIT:
        raise RuntimeError("numba was told not to compile (NUMBA_DISABLE_JIT)")
    _teach_prefetch()
    lane_types.teach(numba)
    while _parts:
        function, options = _parts.pop()
        register_jitable(**options)(function)
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(folder)
    try:
        types = tuple(numba.typeof(argument) for argument in each.example())
        fast = SUMS if each.reorders else False
        compile_it = numba.njit(types, nogil=True, cache=True, fastmath=fast, error_model="numpy", _nrt=False)
        each.compiled = compile_it(each.plain)
    finally:
        numba.config.CACHE_DIR = before


@functools.cache
def _teach_prefetch() -> None:
    """Tell the compiler which instruction `prefetch` is: processors forget to read on where a page of memory ends."""
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic, overload

    def fetch_element(typing: Any, array: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            given = context.make_array(signature.args[0])(context, builder, arguments[0])
            place = cgutils.gep(builder, given.data, arguments[1])  # beyond the end, too: nothing is read
            place = builder.bitcast(place, ir.IntType(8).as_pointer())
            numbers = [ir.IntType(32)(n) for n in (0, 2, 1)]  # to read, into the second cache, data
            kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), *[ir.IntType(32)] * 3])
            builder.call(builder.module.declare_intrinsic("llvm.prefetch", [place.type], kind), [place, *numbers])
            return context.get_dummy_value()

        return types.void(array, index), generate

    fetch = intrinsic(fetch_element)

    def ahead(array: Any, index: Any) -> None:
        fetch(array, index)

    overload(prefetch, strict=False)(lambda array, index: ahead)


def _compile_aside(folder: Path) -> None:
    """Compile in other processes, and load each kernel as it comes."""
    import tempfile

    waiting = {each.name: each for each in known()}
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix="taken-") as taken,
        _compiling(f"compile_all({str(folder)!r}, {taken!r})", COMPILERS) as lines,
    ):
        for line in lines:
            try:
                _load(waiting[line.strip()], folder)
            except Exception as error:  # the others are not given up for one; it is tried again with all of them
                log.info("The kernel %s could not be loaded yet: %s", line.strip(), error)
    (folder / COMPLETE).touch()


@contextmanager
def _compiling(call: str, processes: int = 1) -> Iterator[Iterable[str]]:
    """Other processes that call a function of this module; what they print, line by line, until all have ended."""
    import subprocess  # like what is next to it, no part of the first picture

    called = f"from qviz.core import compiler; compiler.{call}"
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="utf-8") as lines:
        try:
            compilers = [
                subprocess.Popen(
                    [sys.executable, "-c", f"import gc; gc.set_threshold({GARBAGE}); {called}"],
                    env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                    stdin=subprocess.DEVNULL,
                    stdout=writing,
                    stderr=subprocess.DEVNULL,
                    creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0)
                    | getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0),
                )
                for _ in range(processes)
            ]
        finally:
            os.close(writing)

        def give_up() -> None:
            for each in compilers:
                each.kill()

        patience = threading.Timer(COMPILE_SECONDS, give_up)
        patience.daemon = True  # a window that is closed meanwhile waits for nobody
        patience.start()
        try:
            yield lines
        finally:
            lines.close()  # whoever still compiles ends at its next line
            codes = [each.wait() for each in compilers]
            patience.cancel()
    if any(codes):
        raise OSError(f"the compiler ended with {', '.join(map(str, codes))}")


def _cache_folder() -> Path:
    """Where compiled kernels are kept: in the person's cache, apart for each state of their sources.

    Raises
    ------
    OSError
        When it cannot be written to.
    """
    if "NUMBA_CACHE_DIR" in os.environ:
        home = Path(os.environ["NUMBA_CACHE_DIR"])
    else:
        import platformdirs

        home = platformdirs.user_cache_path("qviz", appauthor=False, opinion=False)
    # A home that several computers share has kernels for each: their processors may differ.
    import hashlib  # loads OpenSSL, which the first picture need not wait for
    import tempfile

    state = hashlib.sha256(f"{platform.node()} {sys.version} {_version('numba')} {_version('numpy')}".encode())
    for name in (*MODULES, *LATER_MODULES):
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.origin is not None
        source = Path(spec.origin)
        # numba finds what it kept by the file and when it was written: of another copy it would compile all anew, and
        # here, where a window is being drawn.
        state.update(f"{source} {source.stat().st_mtime_ns}".encode())
        state.update(source.read_bytes())
    folder = home / "kernels" / state.hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        return folder


def _remove_old(present: Path) -> None:
    """Other sources' kernels that nobody has loaded for months."""
    import shutil

    with suppress(OSError):
        (present / COMPLETE).touch()
        for other in present.parent.iterdir():
            if other != present and time.time() - _last_used(other) > KEPT_SECONDS:
                shutil.rmtree(other, ignore_errors=True)


def _last_used(folder: Path) -> float:
    complete = folder / COMPLETE
    return (complete if complete.exists() else folder).stat().st_mtime


def _version(library: str) -> str:
    from importlib import metadata

    return metadata.version(library)
