"""What does each threshold lose but for its rounding? Entropies of merged bins, in compiled loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qviz.core.compiler import kernel, part

SMOOTHING = 1e-4
"""What ONNX Runtime gives to bins without an element."""

ROUNDED = 4e-6
"""How far a divergence that was added up in float32 may be off, per 1."""

LOG_SMOOTHING = math.log(SMOOTHING)
LOG_TWO = math.log(2.0)

MANTISSA_BITS = np.uint64(52)
EXPONENT = np.uint64(0xFFF0000000000000)
ONE_BITS, ROOT_OF_HALF_BITS = np.uint64(0x3FF0000000000000), np.uint64(0x3FE6A09E667F3BCD)
TO_ONE = np.uint64(int(ONE_BITS) - int(ROOT_OF_HALF_BITS))
WHOLE_BITS, WHOLE = np.uint64(0x4330000000000000), 2.0**52 + 1023
"""Of a float64 whose last bits are a whole number, and what it is more than an exponent."""


@part()
def logarithm(x: Any) -> Any:
    """Of a normal number above 0, to 1e-12 of 1 + its magnitude, in steps that several go through at once."""
    bits = np.float64(x).view(np.uint64)
    moved = bits + TO_ONE  # the mantissa between the root of a half and that of two
    exponent = np.uint64((moved >> MANTISSA_BITS) | WHOLE_BITS).view(np.float64) - WHOLE
    m = np.uint64(bits - ((moved & EXPONENT) - ONE_BITS)).view(np.float64)
    t = (m - 1.0) / (m + 1.0)
    s = t * t
    series = 1 / 3 + s * (1 / 5 + s * (1 / 7 + s * (1 / 9 + s * (1 / 11 + s * (1 / 13)))))
    return exponent * LOG_TWO + 2.0 * t * (1.0 + s * series)


@part()
def information_left(count: Any, less: Any) -> Any:
    """c·ln c of what is left of a count, and 0 of nothing."""
    left = count - less
    return left * math.log(left) if count > 0 and left > 0 else 0.0


@part()
def merge(elements: Any, filled: Any, first: Any, each: Any, together: Any, used: Any) -> None:
    """What every ``each`` bins hold, from the first on, and how many of them hold something."""
    step, at = np.uint64(each), np.uint64(first)
    before, before_used = elements[at], filled[at]
    for j in range(np.uint64(together.size)):
        at += step
        upto, upto_used = elements[at], filled[at]
        together[j], used[j] = upto - before, upto_used - before_used
        before, before_used = upto, upto_used


@part()
def merge_parts(elements: Any, filled: Any, size: Any, together: Any, used: Any) -> None:
    """The same of so many bins, where as many as there are merged bins begin at equal parts, rounded up."""
    step, before, before_used = size / together.size, 0.0, 0.0
    for j in range(together.size):
        at = np.uint64(math.ceil((j + 1) * step)) if j + 1 < together.size else np.uint64(size)
        upto, upto_used = elements[at], filled[at]
        together[j], used[j] = upto - before, upto_used - before_used
        before, before_used = upto, upto_used


@part(reorders=True)
def share(together: Any, used: Any, spread: Any) -> Any:
    """Fill in what each bin that is used gets, a whole number; how many are used, how many get any, and how much."""
    many, nonzero, total = 0.0, 0.0, 0.0
    for j in range(np.uint64(together.size)):
        u = used[j]
        s = np.floor(together[j] / (u if u > 0 else 1.0))
        s = s if u > 0 else 0.0
        spread[j] = s
        many += u
        total += s
        nonzero += 1.0 if s > 0 else 0.0
    return many, nonzero, total


@part(reorders=True)
def cross(held: Any, used: Any, spread: Any, each: Any, p: Any, q: Any) -> Any:
    """Σ (c − p)·ln(s − q) of what is held, smoothed."""
    crossed = 0.0
    for j in range(np.uint64(held.size)):
        s = spread[j]
        left = held[j] - p * used[j] + SMOOTHING * (each - used[j])
        crossed += left * logarithm(s - q if s > 0 else SMOOTHING)
    return crossed


def _example() -> tuple[Any, ...]:
    array = np.zeros(1)
    return *[array] * 7, 0, 1, *[array] * 5


@kernel(_example, reorders=True)
def entropy_losses(
    held: Any, elements: Any, filled: Any, information: Any, logarithms: Any, inverses: Any, squares: Any, begin: Any,
    end: Any, together: Any, used: Any, spread: Any, losses: Any, slack: Any,
) -> None:  # fmt: skip
    """What `qviz.core.ranges.entropy` estimates, of the thresholds ``begin`` … ``end``.

    Parameters
    ----------
    held : float64 array, shape (bins,)
    elements, filled, information, logarithms, inverses, squares : float64 arrays, shape (bins + 1,)
        The `BinSums` of what the bins hold.
    together, used, spread : float64 arrays, shape (merged,)
        Memory, for as many quantized bins.
    losses, slack : float64 arrays, shape (thresholds,)
        Filled: the divergence, and how far it is off at most.
    """
    bins, middle, merged = held.size, held.size // 2, together.size
    total = elements[bins]
    for i in range(begin, end):
        first = middle - merged // 2 - i
        last = min(2 * middle - first + 1, bins)
        size = last - first
        each = size // merged
        merge(elements, filled, first, each, together, used)
        whole = first + each * merged
        below, beyond = elements[first], total - elements[last]
        left, rest, rest_used = last - whole, elements[last] - elements[whole], filled[last] - filled[whole]
        outermost = 1.0 if held[last - 1] == 0 and beyond > 0 else 0.0
        # What lies beyond is in the first and the last bin, which may have held nothing.
        used[0] += 1.0 if held[first] == 0 and below > 0 else 0.0
        lowest, highest = together[0] + below, together[merged - 1]
        together[merged - 1] += rest
        if left == 0:
            highest += beyond
            used[merged - 1] += outermost
        else:
            rest += beyond
            rest_used += outermost
        full_p, nonzero, shared = share(together, used, spread)
        together[0], together[merged - 1] = lowest, highest
        full_p += rest_used
        full_q = each * nonzero
        given_p, given_q = SMOOTHING * (size - full_p), SMOOTHING * (size - full_q)
        if not (given_p < full_p and given_q < full_q):
            losses[i], slack[i] = np.inf, np.inf
            continue
        p, q = given_p / full_p, given_q / full_q
        entropy = information_left(held[first] + below, p) + information_left(held[last - 1] + beyond, p)
        a, b = first + 1, last - 1
        entropy += information[b] - information[a] - p * (logarithms[b] - logarithms[a] + filled[b] - filled[a])
        entropy += p**2 / 2 * (inverses[b] - inverses[a]) + p**3 / 6 * (squares[b] - squares[a])
        entropy += (given_p - rest + p * rest_used - SMOOTHING * (left - rest_used)) * LOG_SMOOTHING
        loss = (entropy - cross(together, used, spread, each, p, q)) / total + math.log(each * shared / total)
        losses[i], slack[i] = loss, ROUNDED * (1 + abs(loss)) + p**4


@part(reorders=True)
def cross_means(held: Any, used: Any) -> Any:
    """Σ c·ln(c/u) of what is held by those bins that are used."""
    crossed = 0.0
    for j in range(np.uint64(held.size)):
        c, u = held[j], used[j]
        crossed += c * logarithm(c / u if u > 0 else 1.0)
    return crossed


def _example_of_means() -> tuple[Any, ...]:
    array = np.zeros(1)
    return array, array, np.zeros(1, np.int64), array, True, array, array, array


@kernel(_example_of_means, reorders=True)
def crossed_means(
    elements: Any, filled: Any, sizes: Any, more: Any, ceiled: Any, together: Any, used: Any, crossed: Any
) -> None:
    """Σ c·ln(c/u) over merged bins for each number of bins that are merged; the last of them holds ``more``, too.

    Parameters
    ----------
    elements, filled : float64 arrays, shape (bins + 1,)
        Of the `BinSums` of what the bins hold.
    sizes : int64 array
        How many bins are merged, as many as they are merged into at least.
    more : float64 array, shape (sizes,)
    ceiled : bool
        Whether the merged bins begin at equal parts of the size, rounded up; else each has as many bins as the others,
        and the last has the rest as well.
    together, used : float64 arrays, shape (merged,)
        Memory, for as many merged bins.
    crossed : float64 array, shape (sizes,)
        Filled.
    """
    merged = together.size
    for i in range(sizes.size):
        size = sizes[i]
        if ceiled:
            merge_parts(elements, filled, size, together, used)
        else:
            each = size // merged
            merge(elements, filled, 0, each, together, used)
            together[merged - 1] += elements[size] - elements[merged * each]
            used[merged - 1] += filled[size] - filled[merged * each]
        c, u = together[merged - 1], used[merged - 1]
        crossed[i] = cross_means(together, used) + (more[i] * math.log(c / u) if u > 0 else 0.0)
