"""How do sixteen numbers go through one instruction? Vectors of float32 and float64, which NumPy and the compiler know.

A compiler makes no vector code of a search by itself: it may not reorder the sums of a group. Sixteen groups beside
one another need no other order, for each lane adds up its own. In Python a vector is an array of shape (16,), and a
mask one of bool: write ``a = a + b``, for ``a += b`` would change every name of the array. Compiled it is a register,
or as many as the processor needs. Each operation is rounded once, whatever the processor.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LANES = 16
"""Numbers of a vector."""

WHOLE = np.float32(12582912)
"""Added to a float32 of ordinary size, it leaves the nearest whole number in the mantissa."""

MANTISSA, MIDDLE = np.int32(0x007FFFFF), np.int32(0x00400000)


def load(array: Any, at: Any) -> Any:
    """Sixteen neighbours of a float32 array."""
    return array[at : at + LANES].copy()


def store(array: Any, at: Any, lanes: Any) -> None:
    """Put a vector into a float32 array."""
    array[at : at + LANES] = lanes


def store_codes(array: Any, at: Any, lanes: Any) -> None:
    """Put a vector of whole numbers from 0 to 127 into a uint8 array."""
    array[at : at + LANES] = lanes.astype(np.uint8)


def load_words(array: Any, at: Any) -> Any:
    """Sixteen neighbours of an int32 array."""
    return array[at : at + LANES].copy()


def store_words(array: Any, at: Any, words: Any) -> None:
    """Put a vector into an int32 array."""
    array[at : at + LANES] = words


def spread(value: Any) -> Any:
    """The same float32 or int32 number in every lane."""
    return np.full(LANES, value)


def bits_of(lanes: Any) -> Any:
    """The bits of float32 numbers, as int32."""
    return lanes.view(np.int32)


def numbers_of(bits: Any) -> Any:
    """The float32 numbers of these bits."""
    return bits.view(np.float32)


def whole(lanes: Any) -> Any:
    """Their whole parts in int32; of what int32 does not hold, anything."""
    with np.errstate(invalid="ignore"):
        return lanes.astype(np.int32)


def moved_down(words: Any, places: Any) -> Any:
    """The bits moved down by as many places, the sign with them."""
    return words >> places


def nearest(lanes: Any) -> Any:
    """The nearest whole numbers, of two the even one."""
    return np.rint(lanes)


def floored(lanes: Any) -> Any:
    """The largest whole numbers that are no larger."""
    return np.floor(lanes)


def truncated(lanes: Any) -> Any:
    """The whole numbers towards 0."""
    return np.trunc(lanes)


def nothing() -> Any:
    """Eight zeros in float64: what sixteen numbers are added to, in half as many registers as they take themselves."""
    return np.zeros(LANES // 2)


def with_squares_of_negative(eight: Any, words: Any, first: Any, last: Any) -> Any:
    """Eight sums with the squares of the first and the last of sixteen numbers, of those whose word is negative."""
    half = LANES // 2
    one, other = np.where(words[:half] < 0, first, 0.0), np.where(words[half:] < 0, last, 0.0)
    return (eight + one * one) + other * other


def widened_eight(array: Any, at: Any) -> Any:
    """Eight neighbours of a float32 array in float64."""
    return array[at : at + LANES // 2].astype(np.float64)


def first_eight(lanes: Any) -> Any:
    """The first eight numbers in float64."""
    return lanes[: LANES // 2].astype(np.float64)


def last_eight(lanes: Any) -> Any:
    """The last eight numbers in float64."""
    return lanes[LANES // 2 :].astype(np.float64)


def with_product(lanes: Any, one: Any, other: Any) -> Any:
    """``lanes + one * other``, of sixteen float32 numbers or eight of float64; rounded once, or twice, as is quick."""
    return lanes + one * other


def larger(magnitudes: Any, others: Any) -> Any:
    """The larger of two numbers in float64, neither of them NaN."""
    return np.maximum(magnitudes, others)


def sum_of(eight: Any) -> Any:
    """The sum of eight numbers, in any order."""
    return np.sum(eight)


def largest_of(magnitudes: Any) -> Any:
    """The largest of eight: see `larger`."""
    return np.max(magnitudes)


def lesser(lanes: Any, others: Any) -> Any:
    """The smaller of two numbers, neither of them NaN."""
    return np.minimum(lanes, others)


def greater(lanes: Any, others: Any) -> Any:
    """The larger of two numbers, neither of them NaN."""
    return np.maximum(lanes, others)


def least_of(lanes: Any) -> Any:
    """The smallest of sixteen numbers, none of them NaN."""
    return np.min(lanes)


def greatest_of(lanes: Any) -> Any:
    """The largest of sixteen numbers, none of them NaN."""
    return np.max(lanes)


def load_eight(array: Any, at: Any) -> Any:
    """Eight neighbours of a float64 array."""
    return array[at : at + LANES // 2].copy()


def store_eight(array: Any, at: Any, eight: Any) -> None:
    """Put eight numbers into a float64 array."""
    array[at : at + LANES // 2] = eight


def sums_of_eight(array: Any, at: Any) -> Any:
    """The sums of eight rows of eight numbers that lie one after the other, in any order."""
    return array[at : at + 64].reshape(8, 8).sum(axis=1)


def largest_of_eight(array: Any, at: Any) -> Any:
    """The largest of each of eight rows of eight: see `larger`."""
    return array[at : at + 64].reshape(8, 8).max(axis=1)


def looked_up(table: Any, places: Any) -> Any:
    """The lanes of a vector of float32 at places from 0 to 15."""
    return table[places]


def looked_up_near(table: Any, places: Any) -> Any:
    """The same at places from 0 to 7."""
    return table[places]


def exceeds(words: Any, most: Any) -> Any:
    """Where a number is larger, negative ones being larger than all others."""
    return words.view(np.uint32) > most.view(np.uint32)


def either(one: Any, other: Any) -> Any:
    """Where one of two masks is."""
    return one | other


def anywhere_negative(words: Any) -> Any:
    """Whether any int32 number is negative."""
    return bool(np.any(words < 0))


def no_marks() -> Any:
    """Eight zeros in int32: what marks are gathered in, in half as many registers as they take themselves."""
    return np.zeros(LANES // 2, np.int32)


def with_marks(eight: Any, words: Any) -> Any:
    """Eight int32 numbers with the bits of sixteen, two each."""
    return eight | words[: LANES // 2] | words[LANES // 2 :]


def any_marks(eight: Any) -> Any:
    """Whether any bit was gathered."""
    return bool(np.any(eight))


def how_many_negative(words: Any) -> Any:
    """In how many lanes an int32 number is negative."""
    return np.int64(np.count_nonzero(words < 0))


def marked(mask: Any) -> Any:
    """The mask in int32: −1 where it is, else 0. Of what is kept for long: many processors have no place for bits."""
    return -mask.astype(np.int32)


def unmarked(words: Any, others: Any) -> Any:
    """The bits of int32 numbers that others have not."""
    return words & ~others


def choose(mask: Any, one: Any, other: Any) -> Any:
    """``one`` where the mask is, else ``other``."""
    return np.where(mask, one, other)


def magnitude(lanes: Any) -> Any:
    """How far from 0."""
    return np.abs(lanes)


def root(lanes: Any) -> Any:
    """Square roots."""
    return np.sqrt(lanes)


def anywhere(mask: Any) -> Any:
    """Whether the mask is in any lane."""
    return bool(np.any(mask))


def clamped(lanes: Any, first: Any, last: Any) -> Any:
    """The nearest whole numbers as `ggml_search.nearest` has them, no less than ``first``, no more than ``last``."""
    whole = ((lanes + WHOLE).view(np.int32) & MANTISSA) - MIDDLE
    return np.maximum(first, np.minimum(last, whole)).astype(np.float32)
