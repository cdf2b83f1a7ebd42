"""In which order does torch add float32 numbers, on x86?"""

from __future__ import annotations

import numpy as np

from qviz.core.arrays import FloatArray

LANES, CHAINS, STEP, LEVELS = 8, 4, 16, 4
"""Numbers in one of torch's registers, the sums that it keeps side by side, how many numbers go into a sum before it
goes into one of the next level, and how many levels there are."""

IN_THREADS = 1 << 15
"""From so many elements on torch adds in several threads, in an order that depends on how many there are."""


def torch_sums(rows: FloatArray) -> FloatArray:
    """The sum of each row, shape (rows, 1), added as ``cascade_sum`` of torch's SumKernel.cpp adds."""
    count, length = rows.shape
    whole = length // LANES
    steps = whole // CHAINS
    pieces = rows[:, : steps * CHAINS * LANES].reshape(count, steps, CHAINS, LANES)
    chains = _in_levels(pieces.swapaxes(0, 1))
    lanes = chains[:, 0]
    for i in range(steps * CHAINS, whole):
        lanes += rows[:, i * LANES : (i + 1) * LANES]
    for chain in range(1, CHAINS):
        lanes += chains[:, chain]
    total = np.zeros(count, np.float32)
    for i in range(whole * LANES, length):
        total += rows[:, i]
    for lane in range(LANES):
        total += lanes[:, lane]
    return total[:, None]


def torch_column_sums(columns: FloatArray) -> FloatArray:
    """The sum of each column, shape (columns, 1), where those are neighbours in memory: SumKernel.cpp's outer sums.

    Some columns at a time are added from their first number to their last; those left over have `CHAINS` sums each.
    """
    length, count = columns.shape
    together = CHAINS * (LANES if count >= LANES else 1)
    whole = count // together * together
    sums = np.empty(count, np.float32)
    sums[:whole] = _in_levels(columns[:, :whole])
    rest = columns[:, whole:]
    steps = length // CHAINS
    chains = _in_levels(rest[: steps * CHAINS].reshape(steps, CHAINS, -1))
    for i in range(steps * CHAINS, length):
        chains[0] += rest[i]
    for chain in range(1, CHAINS):
        chains[0] += chains[chain]
    sums[whole:] = chains[0]
    return sums[:, None]


def _in_levels(numbers: FloatArray) -> FloatArray:
    """The sum over the first axis: sixteen go into a sum before it goes into one of the next level."""
    sums = np.zeros((LEVELS, *numbers.shape[1:]), np.float32)
    for i, these in enumerate(numbers):
        sums[0] += these
        level = 1
        while level < LEVELS and (i + 1) % STEP**level == 0:
            sums[level] += sums[level - 1]
            sums[level - 1] = 0
            level += 1
    for level in range(1, LEVELS):
        sums[0] += sums[level]
    return np.array(sums[0])


def torch_total(values: FloatArray) -> float:
    """The sum of a whole array, a float32; that of float64 where torch's own depends on the machine."""
    if values.size >= IN_THREADS:
        return float(values.sum(dtype=np.float64))
    return float(torch_sums(values.reshape(1, -1))[0, 0])
