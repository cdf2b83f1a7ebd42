"""How are values turned into codes and back at the speed of a compiled loop? Whatever the format and granularity."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qviz.core.arithmetic.loops import (
    BFLOAT16,
    CELL,
    CENTRED,
    CODEBOOK,
    FREE,
    GRID,
    MISSING,
    MULTIPLIES,
    PARAMETERS,
    PARTS,
    REGION,
    REGIONS,
    RULE,
    SCALE_AT,
    SHIFTS,
    STRETCH,
    VALUE,
    X_HAT,
    ZERO,
    dequantize_codes,
    divide,
    divide_fetched,
    number_codes,
    round_floats,
    round_to_codebook,
    round_whole,
    steps_of,
    take_parts,
)
from qviz.core.arithmetic.qparams import QParams
from qviz.core.arithmetic.spreading import (
    ALONG,
    BLOCK,
    COLUMNS,
    LAID,
    LENGTH,
    WIDTH,
    Lie,
    lie_of_stretch,
    spread_columns,
    spread_same,
    spread_stretch,
)
from qviz.core.arrays import Array, FloatArray, Floats
from qviz.core.compiler import kernel, part
from qviz.core.formats.codebooks import Codebook
from qviz.core.formats.integers import IntFormat
from qviz.core.tensors.granularity import PerTensor
from qviz.core.tensors.layout import Layout
from qviz.core.work import in_two_threads

THREADED = 1 << 20
"""Fewer elements are done before a second thread has started."""

WORTH = 1 << 10
"""Fewer elements are as quick in NumPy."""

# The places of ``plan`` behind how the groups lie: what is wanted; the cell of NaN, how many levels there are and the
# number of the first one, the stored code of a negative zero (0 for none), and the bit of a stored sign.
WANTED, ZERO_CELL, LEVELS, FIRST, NEGATIVE_ZERO, SIGN_BIT = range(LAID, LAID + 6)
PLAN = LAID + 6

CODES, VALUES, BACK, ERRORS = range(4)

# The places of ``numbers``.
FACTOR, LOW, HIGH, LOWEST_ERROR, HIGHEST_ERROR = range(5)

ENDLESS = np.float32(np.inf)
ENDLESS_BITS, MAGNITUDE_BITS, SIGN = np.int64(0x7FF0000000000000), np.int64(0x7FFFFFFFFFFFFFFF), np.int64(63)


@part()
def note_missing(work: Any, integers: Any, n: Any) -> Any:
    """Which quotients are NaN, and how many."""
    count = 0
    for i in range(n):
        y = work[FREE + i]
        missing = y != y  # noqa: PLR0124  (NaN alone)
        integers[MISSING + i] = np.int32(missing)
        count += missing
    return count


@part()
def code_missing(work: Any, integers: Any, n: Any, low: Any, high: Any, cell: Any) -> None:
    """What is missing gets the code nearest to the zero point."""
    for i in range(n):
        if integers[MISSING + i]:
            code = np.rint(work[ZERO + i])
            code = low if code < low else code
            work[FREE + i] = high if code > high else code
            integers[CELL + i] = cell


@part()
def store_codes(
    x: Any, at: Any, work: Any, integers: Any, n: Any, plan: Any, patterns: Any, narrow: Any, wide: Any
) -> None:
    """The stored code of each cell; a zero keeps the sign of its value, where the format knows two."""
    last, first, negative_zero = np.int32(plan[LEVELS] - 1), np.int32(plan[FIRST]), np.int32(plan[NEGATIVE_ZERO])
    for i in range(n):
        cell = integers[CELL + i] - np.int32(1)
        cell = np.int32(0) if cell < 0 else cell
        cell = last if cell > last else cell
        integers[CELL + i] = cell + first
    if patterns.size:
        for i in range(n):
            integers[CELL + i] = patterns[np.uint32(integers[CELL + i])]
    if negative_zero:
        bits = x.view(np.int32)
        for i in range(n):
            signed = (work[FREE + i] == np.float32(0)) & (bits[at + i] < 0)
            integers[CELL + i] = negative_zero if signed else integers[CELL + i]
    if narrow.size:
        for i in range(n):
            narrow[at + i] = np.uint8(integers[CELL + i])
    else:
        for i in range(n):
            wide[at + i] = np.uint16(integers[CELL + i])


@part()
def load_codes(work: Any, n: Any, at: Any, plan: Any, levels: Any, narrow: Any, wide: Any) -> None:
    """The unit value of each stored code."""
    sign = np.int32(plan[SIGN_BIT])
    if levels.size and narrow.size:
        for i in range(n):
            work[FREE + i] = levels[np.uint32(narrow[at + i])]
    elif levels.size:
        for i in range(n):
            work[FREE + i] = levels[np.uint32(wide[at + i])]
    elif narrow.size:
        for i in range(n):
            work[FREE + i] = np.float32((np.int32(narrow[at + i]) ^ sign) - sign)
    else:
        for i in range(n):
            work[FREE + i] = np.float32((np.int32(wide[at + i]) ^ sign) - sign)


@part()
def code_values(x: Any, at: Any, work: Any, integers: Any, n: Any, plan: Any, factor: Any, codebook: Any) -> Any:
    """Codes that are not clipped yet; how many are NaN."""
    rule = plan[RULE]
    if plan[SHIFTS]:
        for i in range(n):
            work[VALUE + i] = x[at + i]
        divide_fetched(work, n, plan[MULTIPLIES], factor, True)
    else:
        divide(x, at, work, n, plan[MULTIPLIES], factor)
    missing = note_missing(work, integers, n)
    if rule in (GRID, BFLOAT16):
        round_floats(work, n, plan)
    elif rule == CODEBOOK:
        round_to_codebook(work, integers, n, codebook)
    else:
        round_whole(work, n, rule, plan[CENTRED])
    return missing


@part()
def find_reach(work: Any, n: Any, numbers: Any) -> None:
    """The smallest and the largest finite error; compared as integers in their order, which is vectorized."""
    lowest = highest = np.int64(0)
    for i in range(n):
        pattern = np.float64(np.float64(work[X_HAT + i]) - np.float64(work[VALUE + i])).view(np.int64)
        ordered = np.int64(pattern ^ ((pattern >> SIGN) & MAGNITUDE_BITS))
        ordered = np.int64(0) if (pattern & MAGNITUDE_BITS) >= ENDLESS_BITS else ordered
        lowest, highest = min(lowest, ordered), max(highest, ordered)
    smallest = np.int64(lowest ^ ((lowest >> SIGN) & MAGNITUDE_BITS)).view(np.float64)
    numbers[LOWEST_ERROR] = min(numbers[LOWEST_ERROR], smallest)
    numbers[HIGHEST_ERROR] = max(numbers[HIGHEST_ERROR], np.int64(highest).view(np.float64))


def _example() -> tuple[Any, ...]:
    x = np.zeros(2, np.float32)
    x.flags.writeable = False
    given = (x,) * PARAMETERS, np.zeros(1, np.int64), np.zeros(PLAN, np.int64), np.zeros(5), x, x.view(np.int32), x
    return x, 0, 1, *given, np.zeros(1, np.uint8), np.zeros(1, np.uint16), np.zeros(1, np.float32), *memory()


def memory() -> tuple[Any, ...]:
    """What a thread works in."""
    return np.zeros(REGIONS * REGION, np.float32), np.zeros(4 * REGION, np.int32), np.zeros(STRETCH, np.int64)


@kernel(_example)
def convert(
    x: Any, start: Any, stop: Any, parameters: Any, strides: Any, plan: Any, numbers: Any, codebook: Any,
    patterns: Any, levels: Any, narrow: Any, wide: Any, x_hat: Any, work: Any, integers: Any, where: Any,
) -> None:  # fmt: skip
    """Turn the elements ``start`` … ``stop`` into codes, into x̂, or codes into values; or find the errors' reach.

    Parameters
    ----------
    x : float32 array
        Flat; not looked at when codes are turned back.
    parameters, strides, codebook
        See `qviz.core.arithmetic.loops.Steps`.
    plan : int64 array
        Its ``kind``, how the groups lie, and what is wanted of which format.
    numbers : float64 array, shape (5,)
        Factor, first and last code; the smallest and the largest error, to be found.
    patterns : int32 array
        The stored code of each level; none where it follows from its number.
    levels : float32 array
        The unit value of each stored code; none where it is a whole number.
    narrow, wide : uint8 and uint16 arrays
        Stored codes, in one of the two.
    x_hat : float32 array
        Values.
    work, integers, where : arrays
        `memory`.
    """
    spread_same(parameters, work)
    factor, low, high = np.float32(numbers[FACTOR]), np.float32(numbers[LOW]), np.float32(numbers[HIGH])
    wanted, width = plan[WANTED], plan[WIDTH]
    along, length, block = plan[ALONG], plan[LENGTH], plan[BLOCK]
    flat, present = start, np.int64(-1)
    while flat < stop:
        if plan[COLUMNS]:
            row, column = flat // width, flat % width
            n = min(STRETCH, width - column, stop - flat)
            group = (row // length * along + row % length // block) * width + column
            spread_columns(parameters, strides, work, np.uint64(group), np.uint64(n))
        else:
            n, chunks, group = lie_of_stretch(plan, flat, stop - flat)
            present = spread_stretch(parameters, strides, plan, work, where, flat, n, chunks, group, present)
        at, size = np.uint64(flat), np.uint64(n)
        flat += n
        if wanted == BACK:
            load_codes(work, size, at, plan, levels, narrow, wide)
            dequantize_codes(work, size, -ENDLESS, ENDLESS, plan[CENTRED], plan[SHIFTS], np.uint64(plan[SCALE_AT]))
            take_parts(work, size, plan[PARTS], factor)
        else:
            missing = code_values(x, at, work, integers, size, plan, factor, codebook)
            if wanted == CODES:
                if missing:
                    code_missing(work, integers, size, low, high, np.int32(plan[ZERO_CELL]))
                number_codes(work, integers, size, plan, low, high)
                store_codes(x, at, work, integers, size, plan, patterns, narrow, wide)
                continue
            dequantize_codes(work, size, low, high, plan[CENTRED], plan[SHIFTS], np.uint64(plan[SCALE_AT]))
            take_parts(work, size, plan[PARTS], factor)
            if wanted == ERRORS:
                find_reach(work, size, numbers)
                continue
            if missing:
                for i in range(size):
                    work[X_HAT + i] = np.float32(np.nan) if integers[MISSING + i] else work[X_HAT + i]
        for i in range(size):
            x_hat[at + i] = work[X_HAT + i]


# --- what the kernel is given ----------------------------------------------------------------------------

NO_VALUES, NO_CODES = np.zeros(0, np.float32), {bits: np.zeros(0, f"uint{bits}") for bits in (8, 16)}


def to_codes(x: FloatArray, qparams: QParams, out: Array | None) -> Array | None:
    """Stored codes of float32 values; None where the kernel is not ready, or not worth it."""
    if not _fits(x.size, qparams, out):
        return None
    codes = np.empty(x.shape, qparams.number_format.dtype) if out is None else out
    _run(CODES, np.ascontiguousarray(x), codes, NO_VALUES, qparams, x.shape)
    return codes


def to_values(x: FloatArray, qparams: QParams, out: FloatArray | None) -> FloatArray | None:
    """x̂ of float32 values; None where the kernel is not ready, or not worth it."""
    if not _fits(x.size, qparams, out):
        return None
    x_hat = np.empty(x.shape, np.float32) if out is None else out
    _run(VALUES, np.ascontiguousarray(x), NO_CODES[8], x_hat, qparams, x.shape)
    return x_hat


def from_codes(codes: Array, qparams: QParams, out: FloatArray | None) -> FloatArray | None:
    """Values of stored codes; None where the kernel is not ready, not worth it, or they are of another type."""
    if not _fits(codes.size, qparams, out) or codes.dtype != qparams.number_format.dtype:
        return None
    if isinstance(qparams.number_format, Codebook) and codes.max() >= qparams.number_format.levels:
        return None  # NumPy says which
    values = np.empty(codes.shape, np.float32) if out is None else out
    _run(BACK, NO_VALUES, np.require(codes, requirements=["C", "W"]), values, qparams, codes.shape)
    return values


def reach_of_groups(values: FloatArray, qparams: QParams) -> tuple[float, float] | None:
    """The smallest and the largest finite error of one value of each group, and 0; None where NumPy is to find them.

    Parameters
    ----------
    values : float32 array, shape (groups,)
    """
    if not _fits(values.size, qparams, None):
        return None
    return _run(ERRORS, values, NO_CODES[8], NO_VALUES, qparams, values.shape, Layout(1, values.size, 1))


def _fits(size: int, qparams: QParams, out: Array | None) -> bool:
    return size >= WORTH and convert.ready and (out is None or out.flags.c_contiguous) and qparams.compilable


def _run(
    wanted: int,
    x: FloatArray,
    codes: Array,
    x_hat: FloatArray,
    qparams: QParams,
    shape: tuple[int, ...],
    layout: Layout | None = None,
) -> tuple[float, float]:
    """Every piece, in two threads where there are many; the smallest and the largest error, where they are wanted."""
    if layout is None:
        granularity = PerTensor() if qparams.scale.ndim == 0 else qparams.scheme.granularity
        layout = granularity.layout(shape)
    if layout.groups != qparams.groups:
        qparams.spread(shape)  # which says what is wrong
    lie, steps, number_format = Lie.of(layout), steps_of(qparams), qparams.number_format
    patterns, levels, first, negative_zero = np.zeros(0, np.int32), NO_VALUES, int(qparams.quant_min), 0
    if not isinstance(number_format, IntFormat):
        first = 0
        unsigned = np.dtype(f"uint{8 * number_format.dtype.itemsize}")
        used = qparams.codes + np.float32(0)  # which makes −0 into 0
        patterns = number_format.encode(used, used).view(unsigned).astype(np.int32)
        minus_zero = np.array([-0.0], np.float32)
        negative_zero = int(number_format.encode(np.zeros(1, np.float32), minus_zero).view(unsigned)[0])
        negative_zero *= int(negative_zero != patterns[np.searchsorted(used, 0)])
        if wanted == BACK:
            every = number_format.levels if isinstance(number_format, Codebook) else 1 << 8 * unsigned.itemsize
            stored = np.arange(every).astype(unsigned)
            levels = np.asarray(number_format.decode(stored), np.float32)
    signed = isinstance(number_format, IntFormat) and number_format.signed
    sign_bit = 1 << (8 * number_format.dtype.itemsize - 1) if signed else 0
    zero_cell = int(np.searchsorted(qparams.codes, 0)) + 1
    asked = (wanted, zero_cell, qparams.levels_count, first, negative_zero, sign_bit)
    plan = np.array([*steps.kind, *lie.places, *asked], np.int64)
    numbers = np.array([steps.factor, steps.low, steps.high, 0, 0], np.float64)
    flat = codes.reshape(-1)
    narrow_or_wide = (flat.view(np.uint8), NO_CODES[16]) if flat.itemsize == 1 else (NO_CODES[8], flat.view(np.uint16))
    rest = patterns, levels, *narrow_or_wide, x_hat.reshape(-1)
    size = math.prod(shape)

    def some(pieces: list[tuple[int, int]]) -> Floats:
        mine, found = memory(), numbers.copy()
        given = steps.parameters, steps.strides, plan, found, steps.codebook, *rest, *mine
        for start, stop in pieces:
            convert(x.reshape(-1), start, stop, *given)
        return found

    pieces = list(lie.pieces(size))
    if size < THREADED or wanted == ERRORS:  # of two threads each would have little to do
        one = other = some(pieces)
    else:
        one, other = in_two_threads(some, pieces[::2], pieces[1::2])
    return float(min(one[LOWEST_ERROR], other[LOWEST_ERROR])), float(max(one[HIGHEST_ERROR], other[HIGHEST_ERROR]))
