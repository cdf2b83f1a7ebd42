"""Which of all combinations are tried, where any two choices shall meet but not any three?"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from itertools import combinations, product
from typing import Any

import numpy as np


def pairs(*axes: Sequence[Any], where: Callable[..., bool] = lambda *_: True) -> list[tuple[Any, ...]]:
    """Combinations in which any two values of different axes meet, if they meet in any.

    Most faults of many choices are those of one or two of them; the combinations of three are too many to try.

    Parameters
    ----------
    axes
        The values of each.
    where
        Which combinations there are.
    """
    there = tuple(
        place
        for place in product(*(range(len(axis)) for axis in axes))
        if where(*(axis[i] for axis, i in zip(axes, place, strict=True)))
    )
    return [tuple(axis[i] for axis, i in zip(axes, place, strict=True)) for place in _covering(there)]


@functools.cache
def _covering(there: tuple[tuple[int, ...], ...]) -> list[tuple[int, ...]]:
    """Of these places some that have every pair of any: always the one with most pairs that are still missing."""
    if not there or len(there[0]) < 2:
        return list(there)
    places = np.array(there)
    size = int(places.max()) + 1
    columns = [
        (number * size + places[:, i]) * size + places[:, j]
        for number, (i, j) in enumerate(combinations(range(places.shape[1]), 2))
    ]
    met = np.stack(columns, axis=1)
    missing = np.zeros(int(met.max()) + 1, bool)
    missing[met] = True
    chosen = []
    while missing.any():
        best = int(missing[met].sum(axis=1).argmax())
        missing[met[best]] = False
        chosen.append(there[best])
    return chosen
