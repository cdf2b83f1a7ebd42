"""How is a live library asked thousands of questions? Random tensors of hard families; what differs is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from qviz.core import Scheme, choose_qparams, quantize
from qviz.core.arithmetic.quantize import dequantize
from tests.oracles.families import DTYPES, FAMILIES, Array, Random, tensor

Answer = tuple[Any, Any, Any, Any]
"""Scale, zero point, codes and values; None for what a library does not tell."""

Ask = Callable[[Any, Scheme], Answer]

PARTS = ("scales", "zeros", "codes", "values")
SHOWN = 12


def differing(mine: Any, theirs: Any) -> int:
    """How many numbers are not the same; NaN is NaN."""
    if theirs is None:
        return 0
    mine, theirs = np.ravel(mine).astype(np.float64), np.ravel(theirs).astype(np.float64)
    return int(np.count_nonzero((mine != theirs) & ~(np.isnan(mine) & np.isnan(theirs))))


def compare(x: Array, scheme: Scheme, answer: Answer) -> Counter[str]:
    """How many scales, zero points, codes and values of qviz differ from an answer."""
    scale, zero, codes, values = answer
    with np.errstate(all="ignore"):
        q = choose_qparams(x, scheme)
        own = quantize(x, q)
        back = dequantize(own, q)
    zeros = np.broadcast_to(q.zero_point, q.scale.shape)
    each = ((q.scale, scale), (zeros, zero), (own, codes), (back, values))
    return Counter({name: differing(*pair) for name, pair in zip(PARTS, each, strict=True)})


def ask_all(
    asked: Sequence[tuple[Ask, Scheme]],
    cases: int,
    seed: int,
    library: str,
    *,
    families: Mapping[str, Callable[[Random, tuple[int, ...]], Array]] = FAMILIES,
    dtypes: Sequence[str] = tuple(DTYPES),
    shape: tuple[int, ...] = (4, 64),
) -> int:
    """Ask in turn, print what differs, and return 1 where anything does."""
    rng, shown = np.random.default_rng(seed), 0
    counts: dict[str, Counter[str]] = {}
    print(f"seed {seed}, {cases} cases, {library}")
    for case in range(cases):
        ask, scheme = asked[case % len(asked)]
        family, dtype = str(rng.choice(list(families))), str(rng.choice(list(dtypes)))
        x = tensor(rng, family, dtype, shape, families)
        with np.errstate(all="ignore"):
            answer = ask(x, scheme)
        wrong = compare(x, scheme, answer)
        counts.setdefault(scheme.convention, Counter()).update(wrong + Counter(cases=1, elements=x.size))
        if sum(wrong.values()) and shown < SHOWN:
            shown += 1
            print("differs:", family, dtype, scheme, dict(wrong))
    for name, count in counts.items():
        print(f"{name:22s}", {key: count[key] for key in ("cases", "elements", *PARTS)})
    return int(any(count[key] for count in counts.values() for key in PARTS))


def arguments(given: Sequence[str], cases: int = 3000) -> tuple[int, int]:
    """``[CASES] [SEED]`` of a command line."""
    first, second = [*(int(each) for each in given), *(cases, 0)[len(given) :]][:2]
    return first, second
