"""What is there to learn? Points in the plane, small digits, or a person's own table; with its test set apart."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from qviz.core import Problem
from qviz.core.arrays import Array
from qviz.core.frozen import frozen
from qviz.core.problems import N_
from qviz.training.digits import digits

Rng = np.random.Generator

SAMPLES = range(40, 100_001)

FILE = "file"
"""The kind of a person's own data."""


@frozen(eq=False)
class Dataset:
    """Rows to learn from and rows to be tested with.

    Attributes
    ----------
    x_train, x_test : float32 arrays, shape (rows, features)
    y_train, y_test : intp arrays, shape (rows,)
        0 … classes − 1.
    class_names : tuple of str
    image_shape : (height, width) or None
        Where a row is a picture.
    """

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array
    class_names: tuple[str, ...]
    image_shape: tuple[int, int] | None = None

    @property
    def features(self) -> int:
        return int(self.x_train.shape[1])

    @property
    def classes(self) -> int:
        return len(self.class_names)


@frozen
class Data:
    """Which data: a kind with its knobs, or a file.

    Parameters
    ----------
    kind : str
        A key of `KINDS`, or ``"file"``.
    samples : int
        Rows in all, 40 to 100,000; a file has its own.
    noise : float or None
        Standard deviation of what is added to each coordinate; None for the kind's own.
    test_share : float
        How much of it is kept for testing, 0.05 to 0.8.
    seed : int
    path : str
        The file, an ``.npz`` with ``x`` and ``y`` or a table with a column of labels.
    label_column : int
        Of a table: which column holds the labels, negative from the end.

    Raises
    ------
    Problem
        When a number is out of range or the kind unknown.
    """

    kind: str = "spirals"
    samples: int = 3000
    noise: float | None = None
    test_share: float = 1 / 3
    seed: int = 0
    path: str = ""
    label_column: int = -1

    def __post_init__(self) -> None:
        if self.kind != FILE and self.kind not in KINDS:
            raise Problem(
                "There are no data “{kind}”: choose one of {choices}.",
                kind=self.kind,
                choices=", ".join((*KINDS, FILE)),
            )
        if self.samples not in SAMPLES:
            raise Problem("{samples:,} samples cannot be drawn: choose 40 to 100,000.", samples=self.samples)
        if self.noise is not None and not 0 <= self.noise <= 10:
            raise Problem("A noise of {noise:g} drowns everything: choose 0 to 10.", noise=self.noise)
        if not 0.05 <= self.test_share <= 0.8:
            raise Problem(
                "A test set of {share:.0f} % leaves too little: choose 5 % to 80 %.", share=100 * self.test_share
            )
        if self.seed < 0:
            raise Problem("A seed of {seed} cannot be used: choose 0 or more.", seed=self.seed)
        if self.kind == FILE and not self.path:
            raise Problem("There is no file to learn from: give one.")

    def load(self) -> Dataset:
        """The rows, shuffled and split; the same every time.

        Raises
        ------
        Problem
            When a file cannot be used.
        """
        rng = np.random.default_rng([self.seed, 1])
        if self.kind == FILE:
            from qviz.training.data_files import read_table

            x, y, names = read_table(Path(self.path), self.label_column)
            return _split(_shuffled(x, y, rng), self.test_share, names, standardized=True)
        kind = KINDS[self.kind]
        noise = kind.noise if self.noise is None else self.noise
        x, y = kind.draw(self.samples, noise, rng)
        names = tuple(str(i) for i in range(int(y.max()) + 1))
        return _split(_shuffled(x, y, rng), self.test_share, names, image_shape=kind.image_shape)


def _shuffled(x: Array, y: Array, rng: Rng) -> tuple[Array, Array]:
    order = rng.permutation(y.size)
    return np.ascontiguousarray(x[order], np.float32), y[order].astype(np.intp)


def _split(
    rows: tuple[Array, Array],
    share: float,
    names: tuple[str, ...],
    *,
    image_shape: tuple[int, int] | None = None,
    standardized: bool = False,
) -> Dataset:
    x, y = rows
    tested = min(max(1, round(y.size * share)), y.size - 1)
    test, train = x[:tested], x[tested:]
    if standardized:  # by what is learned from alone
        mean, spread = train.mean(axis=0), train.std(axis=0)
        spread = np.where(spread > 0, spread, 1)
        test, train = ((part - mean) / spread for part in (test, train))
    return Dataset(train, y[tested:], test, y[:tested], names, image_shape)


# -- the kinds


def _moons(samples: int, noise: float, rng: Rng) -> tuple[Array, Array]:
    y = np.arange(samples) % 2
    angle = rng.uniform(0, math.pi, samples)
    x = np.column_stack((np.cos(angle), np.sin(angle)))
    x = np.where(y[:, None] == 0, x, [1, 0.5] - x) - [0.5, 0.25]
    return x / 1.5 + rng.normal(0, noise, x.shape), y


def _circles(samples: int, noise: float, rng: Rng) -> tuple[Array, Array]:
    y = np.arange(samples) % 2
    angle = rng.uniform(0, 2 * math.pi, samples)
    radius = np.where(y == 0, 0.9, 0.45)
    x = radius[:, None] * np.column_stack((np.cos(angle), np.sin(angle)))
    return x + rng.normal(0, noise, x.shape), y


def _spirals(samples: int, noise: float, rng: Rng) -> tuple[Array, Array]:
    y = np.arange(samples) % 2
    along = np.sqrt(rng.uniform(0.01, 1, samples))
    angle = along * 1.75 * 2 * math.pi + y * math.pi
    x = along[:, None] * np.column_stack((np.cos(angle), np.sin(angle)))
    return x + rng.normal(0, noise, x.shape), y


def _clusters(samples: int, noise: float, rng: Rng) -> tuple[Array, Array]:
    y = np.arange(samples) % 4
    angle = (y + 0.5) * math.pi / 2
    x = 0.6 * np.column_stack((np.cos(angle), np.sin(angle)))
    return x + rng.normal(0, noise, x.shape), y


def _checkerboard(samples: int, noise: float, rng: Rng) -> tuple[Array, Array]:
    x = rng.uniform(-1, 1, (samples, 2))
    y = np.floor((x + 1) * 2).astype(np.intp).sum(axis=1) % 2
    return x + rng.normal(0, noise, x.shape), y


@frozen
class Kind:
    """One row of the table: its name for people, its own noise, and how it is drawn."""

    label: str
    noise: float
    draw: Callable[[int, float, Rng], tuple[Array, Array]]
    image_shape: tuple[int, int] | None = None


KINDS: dict[str, Kind] = {
    "moons": Kind(N_("Two moons"), 0.08, _moons),
    "circles": Kind(N_("Circles"), 0.07, _circles),
    "spirals": Kind(N_("Spirals"), 0.02, _spirals),
    "clusters": Kind(N_("Gaussian clusters"), 0.2, _clusters),
    "checkerboard": Kind(N_("Checkerboard"), 0.01, _checkerboard),
    "digits": Kind(N_("Digits"), 0.1, digits, (12, 12)),
}
"""Every kind of data by name; a new one is a function and a row."""
