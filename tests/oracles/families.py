"""With which tensors are libraries asked? Families that are hard for arithmetic, in any type of tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ml_dtypes
import numpy as np

Array = np.ndarray[Any, Any]
Random = np.random.Generator


def half_zero_points(rng: Random, shape: tuple[int, ...]) -> Array:
    """Zero points of 8 or 4 bits that lie half-way between two codes, along the last axis."""
    steps = int(rng.choice([255, 15]))
    scale = rng.integers(1, 64) * 2.0 ** rng.integers(-14, 6)
    below = rng.integers(0, steps, (*shape[:-1], 1)) + 0.5
    x = rng.uniform(-below, steps - below, shape)
    x[..., :1], x[..., 1:2] = -below, steps - below
    return np.asarray(x * scale)


FAMILIES: dict[str, Callable[[Random, tuple[int, ...]], Array]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape) * 10.0 ** rng.uniform(-3, 3),
    "ties": lambda rng, shape: rng.integers(-255, 256, shape) / 2 * 2.0 ** rng.integers(-8, 8),
    "denormal": lambda rng, shape: rng.standard_normal(shape) * 10.0 ** rng.uniform(-45, -38),
    "zero groups": lambda rng, shape: (
        rng.standard_normal(shape) * (rng.random(shape[:1] + (1,) * (len(shape) - 1)) < 0.5)
    ),
    "huge": lambda rng, shape: rng.uniform(-3.4e38, 3.4e38, shape),
    "constant": lambda rng, shape: np.full(shape, rng.standard_normal()),
    "one outlier": lambda rng, shape: (
        np.where(np.arange(np.prod(shape)).reshape(shape) == 5, 300.0, 0.01) * rng.standard_normal(shape)
    ),
    "half zero points": half_zero_points,
    "positive": lambda rng, shape: np.abs(rng.standard_normal(shape)) + rng.uniform(0, 3),
}
DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


def tensor(
    rng: Random,
    family: str,
    dtype: str,
    shape: tuple[int, ...],
    families: Mapping[str, Callable[[Random, tuple[int, ...]], Array]] = FAMILIES,
) -> Array:
    """One of a family, finite in its type."""
    largest = float(ml_dtypes.finfo(DTYPES[dtype]).max)
    values = np.clip(families[family](rng, shape), -largest, largest)
    with np.errstate(all="ignore"):
        return values.astype(DTYPES[dtype])
