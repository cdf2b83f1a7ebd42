"""Which few fixed levels can a code stand for?"""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from qviz.core.arrays import Array, FloatArray
from qviz.core.frozen import frozen
from qviz.core.plain import Tagged
from qviz.core.problems import Problem

# QLoRA (Dettmers et al., 2023), appendix E: quantiles of a normal distribution, scaled to [-1, 1], with an exact zero.
NF4 = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)


# get_4bit_type("fp4") of bitsandbytes: 1, 2, 3, 4, 6, 8, 12 and a sixteenth, divided by 12. Its zero has two codes, 0
# and 8; here codes are the numbers of levels.
FP4_BNB = tuple(
    float(np.float32(sign * level / 12))
    for sign, levels in ((-1, (12, 8, 6, 4, 3, 2, 0.0625)), (1, (0, 0.0625, 2, 3, 4, 6, 8, 12)))
    for level in levels
)

# kvalues_iq4nl of ggml: no zero among them.
IQ4_NL = (-127.0, -104.0, -83.0, -65.0, -49.0, -35.0, -22.0, -10.0, 1.0, 13.0, 25.0, 38.0, 53.0, 69.0, 89.0, 113.0)

# kvalues_mxfp4 of ggml, halved: E2M1. The first of its levels that are as near is the one nearer to 0, and of its two
# zeros the positive one; here codes are the numbers of levels.
FP4_GGML = (-6.0, -4.0, -3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)

CODEBOOKS: dict[str, tuple[tuple[float, ...], str]] = {
    "nf4": (NF4, "NF4"),
    "iq4_nl": (IQ4_NL, "IQ4_NL"),
    "fp4_ggml": (FP4_GGML, "FP4 ggml (llama.cpp)"),
    "fp4_bnb": (FP4_BNB, "FP4 bnb (bitsandbytes)"),
}
"""Levels, ascending, and what people call them."""

DOWN, UP, TO_ZERO = range(3)

TIES = {"iq4_nl": UP, "fp4_ggml": TO_ZERO}
"""Which one of two levels as near is taken; the lower one where nothing is said."""


SINGLE_MIDDLES = frozenset({"fp4_bnb"})
"""Codebooks whose thresholds are middles rounded to float32."""


@frozen
class Codebook(Tagged):
    """A few fixed levels; a code is the number of the nearest one, of two as near the lower one but for `TIES`.

    Parameters
    ----------
    format : str
        A key of `CODEBOOKS`, such as ``"nf4"``.

    Raises
    ------
    Problem
        When there is no such codebook.
    """

    has_nan: ClassVar[bool] = False
    kind: ClassVar[str] = "codebook"
    offers_zero_point: ClassVar[bool] = False
    signed: ClassVar[bool] = True
    scaled: ClassVar[bool] = True
    format: str = "nf4"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.format not in CODEBOOKS:
            raise Problem(
                "There is no codebook “{format}”: choose one of {choices}.",
                format=self.format,
                choices=", ".join(CODEBOOKS),
            )

    @property
    def name(self) -> str:
        """Its own name."""
        return self.format

    @property
    def label(self) -> str:
        """What people call it."""
        return CODEBOOKS[self.format][1]

    @property
    def bits(self) -> int:
        """Bits of a code."""
        return (self.levels - 1).bit_length()

    @property
    def quant_min(self) -> float:
        """The smallest level."""
        return float(self.values[0])

    @property
    def quant_max(self) -> float:
        """The largest level."""
        return float(self.values[-1])

    @property
    def levels(self) -> int:
        """How many levels there are."""
        return len(CODEBOOKS[self.format][0])

    @cached_property
    def values(self) -> FloatArray:
        """The levels."""
        return np.array(CODEBOOKS[self.format][0], np.float32)

    @property
    def ties(self) -> int:
        """Which one of two levels as near is taken."""
        return TIES.get(self.format, DOWN)

    @property
    def largest_step(self) -> float:
        """The widest gap between neighbours."""
        return float(np.diff(self.values).max())

    @property
    def dtype(self) -> np.dtype[Any]:
        """The integer type of a code."""
        return np.dtype(np.uint8)

    @cached_property
    def thresholds(self) -> FloatArray:
        """The smallest float32 that gets each level instead of the one below, and infinity at the end."""
        steps = np.diff(self.values.astype(np.float64))
        middles = self.values.astype(np.float64)[:-1] + steps / 2
        if self.format in SINGLE_MIDDLES:
            middles = ((self.values[:-1] + self.values[1:]) / np.float32(2)).astype(np.float64)
        last = self.values[-1].astype(np.float64) + steps[-1] / 2
        middles = np.concatenate(([self.values[0].astype(np.float64) - steps[0] / 2], middles, [last]))
        below = middles.astype(np.float32)
        below = np.where(below > middles, np.nextafter(below, np.float32(-np.inf)), below)
        above: FloatArray = np.nextafter(below, np.float32(np.inf))
        goes_up = (middles < 0) & (self.ties == TO_ZERO) | (self.ties == UP)
        goes_up[0], goes_up[-1] = True, False  # what lies half a step beyond the ends gets these
        return np.where(goes_up & (below == middles), below, above)

    @cached_property
    def _ladder(self) -> FloatArray:
        return np.concatenate(([-np.inf], self.values, [np.inf])).astype(np.float32)

    def round(self, x: FloatArray, out: FloatArray) -> FloatArray:
        """The nearest level; infinity more than half a step beyond the ends; NaN stays NaN."""
        place = np.zeros(x.shape, np.uint8)
        for threshold in self.thresholds:  # few: comparing with each is several times as fast as searching
            np.add(place, np.asarray(x >= threshold).view(np.uint8), out=place)
        missing = np.isnan(x)
        np.take(self._ladder, place, out=out, mode="clip")
        np.copyto(out, np.float32(np.nan), where=missing)
        return out

    def index(self, values: FloatArray) -> Array:
        """The place of unit values among ``self.values``."""
        return np.searchsorted(self.values, values)

    def encode(self, values: FloatArray, like: FloatArray) -> Array:
        """The number of each level."""
        return self.index(values).astype(self.dtype)

    def decode(self, codes: Array) -> FloatArray:
        """The levels of codes."""
        return self.values[codes]
