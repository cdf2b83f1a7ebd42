"""How does a small picture of a digit look that somebody wrote in a hurry?"""

from __future__ import annotations

import numpy as np

from qviz.core.arrays import Array

SIDE = 12
"""Pixels of a picture, each way."""

GLYPHS = (
    "01110 10001 10011 10101 11001 10001 01110",
    "00100 01100 00100 00100 00100 00100 01110",
    "01110 10001 00001 00110 01000 10000 11111",
    "11110 00001 00001 01110 00001 00001 11110",
    "00010 00110 01010 10010 11111 00010 00010",
    "11111 10000 11110 00001 00001 10001 01110",
    "00110 01000 10000 11110 10001 10001 01110",
    "11111 00001 00010 00100 01000 01000 01000",
    "01110 10001 10001 01110 10001 10001 01110",
    "01110 10001 10001 01111 00001 00010 01100",
)
"""The digits 0 to 9, seven rows of five dots each."""

MARGIN = 4
"""Empty dots around a glyph: what is drawn beyond its edge is ground."""


def digits(samples: int, noise: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Pictures of digits, each turned, slanted, stretched, shifted, and rubbed.

    Parameters
    ----------
    samples : int
    noise : float
        Standard deviation of what is added to each pixel.
    rng : numpy.random.Generator

    Returns
    -------
    x : float64 array, shape (samples, 144)
        Pixels by row, about 0 (ground) to 1 (ink).
    y : int array, shape (samples,)
        0 to 9.
    """
    glyphs = np.array([[[float(dot) for dot in row] for row in glyph.split()] for glyph in GLYPHS])
    glyphs = np.pad(glyphs, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)))
    y = np.arange(samples) % len(GLYPHS)
    middle = (SIDE - 1) / 2
    row, column = np.mgrid[:SIDE, :SIDE] - middle
    turn, slant = rng.normal(0, 0.15, samples), rng.normal(0, 0.15, samples)
    tall, wide = rng.uniform(0.65, 0.9, samples), rng.uniform(0.6, 0.95, samples)
    down, right = rng.normal(0, 0.6, (2, samples))
    sine, cosine = (f(turn)[:, None, None] for f in (np.sin, np.cos))
    # Where in the glyph each pixel of the picture lies.
    v = (row * cosine - column * sine - down[:, None, None]) * tall[:, None, None]
    u = (row * sine + column * cosine - right[:, None, None]) * wide[:, None, None] + slant[:, None, None] * v
    ink = _between(glyphs, y, v + (glyphs.shape[1] - 1) / 2, u + (glyphs.shape[2] - 1) / 2)
    ink *= rng.uniform(0.7, 1, samples)[:, None, None]
    return (ink + rng.normal(0, noise, ink.shape)).reshape(samples, -1), y


def _between(glyphs: Array, which: Array, row: Array, column: Array) -> Array:
    """Bilinear interpolation at real places, which outside the glyph are those of its edge."""
    height, width = glyphs.shape[1:]
    row, column = row.clip(0, height - 1.001), column.clip(0, width - 1.001)
    i, j = row.astype(np.intp), column.astype(np.intp)
    down, right = row - i, column - j
    which = which[:, None, None]
    upper = glyphs[which, i, j] * (1 - right) + glyphs[which, i, j + 1] * right
    lower = glyphs[which, i + 1, j] * (1 - right) + glyphs[which, i + 1, j + 1] * right
    found: Array = upper * (1 - down) + lower * down
    return found
