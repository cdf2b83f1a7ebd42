"""How far is one read of memory from the answer? Kernels that quantize, compare and add up in one walk.

They are the optional extra ``fast``: `numba` compiles the functions below, which are plain Python
otherwise. Nothing here imports it until `warm_up` is called, and nothing needs it: without it
`qviz.core.passes.direct_pass` does the same in NumPy.

The arithmetic is that of `qviz.core.arithmetic.qparams` to the last bit: ``rint(x / scale + before) + after``,
where the zero point is added on one side of the rounding and 0 on the other.
"""

from __future__ import annotations

import importlib.util
import itertools
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.arrays import FloatArray
from qviz.core.formats.floats import MANTISSA_BITS, ONE_EXPONENT, FloatFormat
from qviz.core.formats.integers import IntFormat
from qviz.core.runtimes.table import CONVENTIONS

log = logging.getLogger(__name__)


FLAGS = {"reassoc", "nsz", "nnan"}
"""Sums may be added in any order, and no arithmetic meets a NaN. Never all of fast-math: it would
replace the division by a multiplication, and the codes would not be the runtime's own."""

TILE = 4096
"""Columns that are added up together: long enough to be read in one go, and their sums stay in the cache."""

STRETCH = 1024
"""Elements that are quantized before they are counted."""

ONE = np.uint32(1)
ONE_TILE, TWO_TILES, THREE_TILES, FOUR_TILES = (np.uint64(n * TILE) for n in (1, 2, 3, 4))
"""Unsigned, as every index in a fast loop: one that could be negative would be looked at first."""

COMPILE_SECONDS = 120
"""A compilation that takes longer is given up."""

NAN_BITS = np.int32(0x7F800000)
"""Beyond these bits, but for the sign, a float32 is NaN. Compared as integers: ``nnan`` is promised."""

MAGNITUDE = np.int32(0x7FFFFFFF)

EXPONENT = np.int32(0x7F800000)

ONE_OVER = np.int32(0x7F000000)
"""Less the bits of a power of two, these are the bits of one over it."""


# --- the kernels -------------------------------------------------------------------------------------
#
# ``bits`` is None where there is no NaN, ``inverse`` None where a convention divides: the compiler
# makes one version for each and leaves out what is not needed. ``largest`` holds the bits of
# float64 magnitudes, which are ordered as integers are; a maximum of floats would not be vectorized.


def sum_rows(
    x: Any, bits: Any, scale: Any, inverse: Any, before: Any, after: Any, zero_point: Any, low: Any, high: Any,
    grid: Any, first: Any, groups: Any, squared_error: Any, largest: Any, saturated: Any, totals: Any,
) -> None:  # fmt: skip
    """Add rows up, each with one scale: row ``r`` of ``x`` belongs to group ``first + r % groups``.

    ``totals`` gets Σ|e|, Σx·e and Σe² of the saturated elements.
    """
    for r in range(x.shape[0]):
        g = first + r % groups
        s, b, a, z = scale[g], before[g], after[g], zero_point[g]
        squares, magnitudes, products, beyond = 0.0, 0.0, 0.0, 0.0
        top, count = np.int64(0), np.int64(0)
        for i in range(x.shape[1]):
            value = x[r, i]
            if bits is not None:
                value = np.float32(0) if (bits[r, i] & MAGNITUDE) > NAN_BITS else value
            divided = value / s if inverse is None else value * inverse[g]
            if grid is None:
                free = np.rint(divided + b) + a
            else:
                binade = np.float32(divided).view(np.int32) & EXPONENT
                binade = grid[1] if binade < grid[1] else binade
                binade = grid[2] if binade > grid[2] else binade
                step = np.int32(binade - grid[0])
                free = np.rint(divided * np.int32(ONE_OVER - step).view(np.float32)) * np.int32(step).view(np.float32)
            code = low if free < low else free
            code = high if code > high else code
            error: Any = np.float64((code - z) * s) - np.float64(value)
            clipped = code != free
            if bits is not None:
                nan = (bits[r, i] & MAGNITUDE) > NAN_BITS
                error = 0.0 if nan else error
                clipped = clipped and not nan
            square = error * error
            squares += square
            magnitude = abs(error)
            magnitudes += magnitude
            products += np.float64(value) * error
            ordered = np.float64(magnitude).view(np.int64)
            top = ordered if ordered > top else top
            count += clipped
            beyond += square if clipped else 0.0
        squared_error[g] += squares
        largest[g] = max(largest[g], top)
        saturated[g] += count
        totals[0] += magnitudes
        totals[1] += products
        totals[2] += beyond


def sum_columns(
    x: Any, bits: Any, scale: Any, inverse: Any, before: Any, after: Any, zero_point: Any, low: Any, high: Any,
    grid: Any, first: Any, squared_error: Any, largest: Any, saturated: Any, totals: Any,
) -> None:  # fmt: skip
    """Add columns up, each with one scale: column ``c`` of ``x`` belongs to group ``first + c``.

    A tile of columns has its parameters and its sums in one piece of memory each, at fixed
    distances: only then can it be seen that they do not overlap, and the loop is vectorized.
    """
    given = np.zeros(5 * TILE, np.float32)
    sums = np.zeros(TILE, np.float64)
    integers = np.zeros(2 * TILE, np.int64)
    for start in range(0, x.shape[1], TILE):
        left, width = np.uint64(start), np.uint64(min(TILE, x.shape[1] - start))
        for c in range(width):
            g = np.uint64(first) + left + c
            given[c] = scale[g]
            given[ONE_TILE + c] = before[g]
            given[TWO_TILES + c] = after[g]
            given[THREE_TILES + c] = zero_point[g]
            given[FOUR_TILES + c] = scale[g] if inverse is None else inverse[g]
            sums[c], integers[c], integers[ONE_TILE + c] = 0.0, 0, 0
        magnitudes, products, beyond = 0.0, 0.0, 0.0
        for r in range(x.shape[0]):
            for c in range(width):
                value = x[r, left + c]
                if bits is not None:
                    value = np.float32(0) if (bits[r, left + c] & MAGNITUDE) > NAN_BITS else value
                s = given[c]
                divided = value / s if inverse is None else value * given[FOUR_TILES + c]
                if grid is None:
                    free = np.rint(divided + given[ONE_TILE + c]) + given[TWO_TILES + c]
                else:
                    binade = np.float32(divided).view(np.int32) & EXPONENT
                    binade = grid[1] if binade < grid[1] else binade
                    binade = grid[2] if binade > grid[2] else binade
                    step = np.int32(binade - grid[0])
                    free = np.rint(divided * np.int32(ONE_OVER - step).view(np.float32)) * np.int32(step).view(
                        np.float32
                    )
                code = low if free < low else free
                code = high if code > high else code
                error: Any = np.float64((code - given[THREE_TILES + c]) * s) - np.float64(value)
                clipped = code != free
                if bits is not None:
                    nan = (bits[r, left + c] & MAGNITUDE) > NAN_BITS
                    error = 0.0 if nan else error
                    clipped = clipped and not nan
                square = error * error
                sums[c] += square
                magnitude = abs(error)
                magnitudes += magnitude
                products += np.float64(value) * error
                ordered = np.float64(magnitude).view(np.int64)
                integers[c] = ordered if ordered > integers[c] else integers[c]
                integers[ONE_TILE + c] += clipped
                beyond += square if clipped else 0.0
        for c in range(width):
            g = np.uint64(first) + left + c
            squared_error[g] += sums[c]
            largest[g] = max(largest[g], integers[c])
            saturated[g] += integers[ONE_TILE + c]
        totals[0] += magnitudes
        totals[1] += products
        totals[2] += beyond


def count(  # noqa: PLR0912, PLR0915  (a kernel calls nothing)
    x: Any, bits: Any, scale: Any, inverse: Any, before: Any, after: Any, zero_point: Any, low: Any, high: Any,
    grid: Any, first: Any, groups: Any, columns: Any, codes: Any, errors: Any, clipping: Any, edges: Any, x_hat: Any,
) -> None:  # fmt: skip
    """Count codes and errors, and write x̂; each where there is room for it (an empty array: none).

    Rows or columns as above. ``errors`` counts every error, ``clipping`` those of saturated
    elements. A stretch is first quantized, which is vectorized, and then counted, which cannot
    be; a bin is guessed first, then moved to where the edges say.
    """
    bins = errors.size
    bottom = edges[0] if bins else 0.0
    per_bin = 1 / (edges[1] - edges[0]) if bins else 0.0
    last, lowest = float(bins - 1), np.int32(low)
    code_of = np.empty(STRETCH, np.float32)
    error_of = np.empty(STRETCH, np.float64)
    bin_of = np.empty(STRETCH, np.int32)
    clipped_of = np.empty(STRETCH, np.bool_)
    for r in range(x.shape[0]):
        row = first + r % groups
        s, b, a, z = scale[row], before[row], after[row], zero_point[row]
        m = s if inverse is None else inverse[row]
        for start in range(0, x.shape[1], STRETCH):
            left, width = np.uint64(start), np.uint64(min(STRETCH, x.shape[1] - start))
            for c in range(width):
                value = x[r, left + c]
                if bits is not None:
                    value = np.float32(0) if (bits[r, left + c] & MAGNITUDE) > NAN_BITS else value
                if columns:
                    g = np.uint64(first) + left + c
                    s, b, a, z = scale[g], before[g], after[g], zero_point[g]
                    m = s if inverse is None else inverse[g]
                divided = value / s if inverse is None else value * m
                if grid is None:
                    free = np.rint(divided + b) + a
                else:
                    binade = np.float32(divided).view(np.int32) & EXPONENT
                    binade = grid[1] if binade < grid[1] else binade
                    binade = grid[2] if binade > grid[2] else binade
                    step = np.int32(binade - grid[0])
                    free = np.rint(divided * np.int32(ONE_OVER - step).view(np.float32)) * np.int32(step).view(
                        np.float32
                    )
                code = low if free < low else free
                code = high if code > high else code
                error = np.float64((code - z) * s) - np.float64(value)
                guess = (error - bottom) * per_bin
                guess = 0.0 if guess < 0.0 else guess
                guess = last if guess > last else guess
                code_of[c] = code
                error_of[c] = error
                bin_of[c] = np.int32(guess)
                clipped_of[c] = code != free
            if x_hat.size:
                for c in range(width):
                    g = np.uint64(first) + left + c if columns else np.uint64(row)
                    value = (code_of[c] - zero_point[g]) * scale[g]
                    if bits is not None:
                        value = x[r, left + c] if (bits[r, left + c] & MAGNITUDE) > NAN_BITS else value
                    x_hat[r, left + c] = value
            if codes.size:
                for c in range(width):
                    if bits is None or (bits[r, left + c] & MAGNITUDE) <= NAN_BITS:
                        if grid is None:
                            place = np.int32(code_of[c]) - lowest
                        else:  # the levels above 0 are numbered as their bit patterns are
                            pattern = np.float32(code_of[c]).view(np.int32) & MAGNITUDE
                            if pattern >= grid[1]:
                                place = ((pattern - grid[1]) >> grid[5]) + grid[6]
                            else:
                                place = np.int32(abs(code_of[c]) / grid[4])
                            place = grid[3] - place if code_of[c] < 0 else grid[3] + place
                        codes[np.uint32(place)] += 1
            if bins:
                for c in range(width):
                    if bits is None or (bits[r, left + c] & MAGNITUDE) <= NAN_BITS:
                        at = np.uint32(bin_of[c])
                        at += np.uint32(error_of[c] >= edges[at + ONE])
                        at -= np.uint32(error_of[c] < edges[at])
                        errors[at] += 1
                        if clipped_of[c]:
                            clipping[at] += 1


# --- what the kernels are given -----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Parameters:
    """Float32 parameters of each group, shape (groups,), and the first and the last code."""

    scale: FloatArray
    inverse: FloatArray | None
    before: FloatArray
    after: FloatArray
    zero_point: FloatArray
    low: np.float32
    high: np.float32
    grid: tuple[Any, ...] | None

    @property
    def arguments(self) -> tuple[Any, ...]:
        """In the order of the kernels."""
        return self.scale, self.inverse, self.before, self.after, self.zero_point, self.low, self.high, self.grid


def fits(qparams: QParams) -> bool:
    """Whether the kernels know the arithmetic; they would not keep to the order of a division and a product."""
    if qparams.factor is not None or qparams.convention.code is not None:
        return False
    if not qparams.multiplies and qparams.divisor is not qparams.scale and np.any(qparams.divisor != qparams.scale):
        return False
    number_format = qparams.number_format
    return isinstance(number_format, IntFormat) or (isinstance(number_format, FloatFormat) and number_format.scaled)


def parameters(qparams: QParams, repeats: int = 1) -> Parameters:
    """The parameters of a scheme as the kernels take them, each ``repeats`` times in a row."""
    convention = qparams.convention
    scale, zero_point = (np.repeat(a.reshape(-1), repeats) for a in (qparams.scale, qparams.zero_point))
    nothing = np.zeros_like(zero_point)
    return Parameters(
        scale=scale,
        inverse=qparams.inverse(np.repeat(qparams.divisor.reshape(-1), repeats)) if qparams.multiplies else None,
        before=zero_point if convention.zero_point_before_rounding else nothing,
        after=nothing if convention.zero_point_before_rounding else zero_point,
        zero_point=zero_point,
        low=np.float32(qparams.quant_min),
        high=np.float32(qparams.quant_max),
        grid=_grid(qparams.number_format) if isinstance(qparams.number_format, FloatFormat) else None,
    )


def _grid(number_format: FloatFormat) -> tuple[Any, ...]:
    """What the kernels know of a small float.

    Its mantissa bits as float32 exponent bits; the exponent bits of its smallest and of its largest
    binade, and one more; the place of 0 among its levels; its smallest step; the bits of a float32's
    mantissa that it lacks; and its levels below the smallest normal one.
    """
    mantissa, lowest, highest = number_format.grid
    zero = int(np.searchsorted(number_format.values, 0))
    smallest = number_format.values[zero + 1]
    counts = (zero, MANTISSA_BITS - mantissa, 1 << mantissa)
    place, lacks, below = (np.int32(n) for n in counts)
    ends = np.int32(mantissa * ONE_EXPONENT), np.int32(lowest), np.int32(highest + ONE_EXPONENT)
    return *ends, place, np.float32(smallest), lacks, below


# --- compiled, or not yet -----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Kernels:
    """The three functions, compiled or as they stand."""

    sum_rows: Callable[..., None]
    sum_columns: Callable[..., None]
    count: Callable[..., None]


PLAIN = Kernels(sum_rows, sum_columns, count)
"""As they stand: slow, but they can be tested anywhere."""

_loaded: Kernels | None = None


def available() -> bool:
    """Whether the compiler is installed."""
    return importlib.util.find_spec("numba") is not None


def ready() -> bool:
    """Whether the kernels are compiled and loaded in this process."""
    return _loaded is not None


def kernels() -> Kernels | None:
    """The compiled kernels, or None while they are not `ready`."""
    return _loaded


def warm_up() -> None:
    """Compile the kernels, or load those compiled before; for a worker thread, it takes seconds.

    Another process compiles, because a compiler would keep this one's window from being drawn.
    When anything is in the way this only says so in the log: NumPy goes on doing the work.
    """
    global _loaded  # noqa: PLW0603
    if ready() or not available() or getattr(sys, "frozen", False):
        return
    try:
        folder = _cache_folder()
        command = [sys.executable, "-c", "from qviz.core.passes import kernels; kernels.compile_all()"]
        environment = os.environ | {"NUMBA_CACHE_DIR": folder, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        subprocess.run(
            command,
            env=environment,
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMPILE_SECONDS,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        os.environ.setdefault("NUMBA_CACHE_DIR", folder)
        _loaded = compile_all()
    except Exception as error:
        log.info("The fast kernels are not used: %s", error)


def compile_all() -> Kernels:
    """Every version of every kernel that a convention needs, from the cache where it is there."""
    import numba

    compile_one = numba.njit(nogil=True, cache=True, fastmath=FLAGS, error_model="numpy")
    compiled = Kernels(*(compile_one(function) for function in (sum_rows, sum_columns, count)))
    multiply = {c.multiplies_by_reciprocal or c.divisor_is_inverse for c in CONVENTIONS.values()}
    for reciprocal, nan, small in itertools.product(sorted(multiply), (False, True), (False, True)):
        exercise(compiled, reciprocal, nan, small)
    return compiled


def exercise(them: Kernels, reciprocal: bool, nan: bool, small: bool = False) -> None:
    """Call every kernel once, with a tensor of one element, of integers or of small floats."""
    x, one, zero = np.zeros((1, 1), np.float32), np.ones(1, np.float32), np.zeros(1, np.float32)
    bits = x.view(np.int32) if nan else None
    grid = _grid(FloatFormat()) if small else None
    given = Parameters(one, one if reciprocal else None, zero, zero, zero, np.float32(0), np.float32(1), grid)
    sums, integers, totals = np.zeros(1), np.zeros((2, 1), np.int64), np.zeros(3)
    them.sum_rows(x, bits, *given.arguments, 0, 1, sums, integers[0], integers[1], totals)
    them.sum_columns(x, bits, *given.arguments, 0, sums, integers[0], integers[1], totals)
    codes, tallies = np.zeros(256, np.int64), np.zeros((2, 2), np.int64)
    them.count(x, bits, *given.arguments, 0, 1, False, codes, tallies[0], tallies[1], np.arange(-1.0, 2), x)


def _cache_folder() -> str:
    """Where compiled kernels are kept: the person's own choice, or a folder in their cache.

    Raises
    ------
    OSError
        When it cannot be written to.
    """
    if "NUMBA_CACHE_DIR" in os.environ:
        return os.environ["NUMBA_CACHE_DIR"]
    import platformdirs

    folder = platformdirs.user_cache_path("qviz", appauthor=False, opinion=False) / "kernels"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        return str(folder)
