"""Which numbers can a code stand for?

A code is computed with as a *unit value*: the number that it stands for before it is scaled. For
integers that is the code itself; for small floats and codebooks it is the entry of a table, and
the stored bit pattern is looked up at the very end.

Every format has the same properties: ``name``, ``label``, ``bits``, ``signed``, ``scaled`` (whether values are
divided by a scale first), ``offers_zero_point`` (whether an asymmetric scheme is possible),
``quant_min`` and ``quant_max`` (the smallest and the largest unit value), ``values`` (all of them,
ascending), ``levels`` (how many), ``largest_step`` (the widest gap between neighbours) and ``dtype``
(of a stored code); and `round`, `index`, `encode`, `decode`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np

from qviz.core.problems import Problem
from qviz.core.tensors.envelope import FloatArray

Array = np.ndarray[Any, Any]

SMALLEST_BITS, LARGEST_BITS = 2, 16


@dataclass(frozen=True)
class IntFormat:
    """Two's-complement or unsigned integers of ``bits`` bits.

    Parameters
    ----------
    bits : int
        2 to 16.
    signed : bool
        ``[-2**(bits-1), 2**(bits-1) - 1]`` when true, else ``[0, 2**bits - 1]``.

    Raises
    ------
    Problem
        When ``bits`` is outside 2 … 16.
    """

    kind: ClassVar[str] = "int"
    offers_zero_point: ClassVar[bool] = True
    scaled: ClassVar[bool] = True
    largest_step: ClassVar[float] = 1.0
    bits: int = 8
    signed: bool = True

    def __post_init__(self) -> None:
        whole = isinstance(self.bits, int) and not isinstance(self.bits, bool)
        if not whole or not SMALLEST_BITS <= self.bits <= LARGEST_BITS:
            raise Problem(f"{self.bits} bits cannot be shown: choose a bit width from 2 to 16.")

    @property
    def name(self) -> str:
        """The name the runtimes use: ``int8``, ``uint4``, …"""
        return f"{'int' if self.signed else 'uint'}{self.bits}"

    @property
    def label(self) -> str:
        """What people call it: the same."""
        return self.name

    @property
    def quant_min(self) -> int:
        """The smallest code."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def quant_max(self) -> int:
        """The largest code."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    @property
    def levels(self) -> int:
        """How many codes there are."""
        return 1 << self.bits

    @property
    def values(self) -> FloatArray:
        """Every code, ascending."""
        return np.arange(self.quant_min, self.quant_max + 1, dtype=np.float32)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest NumPy integer type that holds a code."""
        return np.dtype(f"{'' if self.signed else 'u'}int{8 if self.bits <= 8 else 16}")

    def round(self, x: FloatArray, out: FloatArray) -> FloatArray:
        """To the nearest whole number, ties to even."""
        return np.rint(x, out=out)

    def index(self, values: FloatArray) -> Array:
        """The place of unit values among ``self.values``."""
        return np.asarray(values - np.float32(self.quant_min)).astype(np.intp)

    def encode(self, values: FloatArray, like: FloatArray) -> Array:
        """Whole numbers as integers."""
        return values.astype(self.dtype)

    def decode(self, codes: Array) -> FloatArray:
        """Integers as float32."""
        return codes.astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"kind": self.kind, "bits": self.bits, "signed": self.signed}


FLOATS: dict[str, tuple[str, str]] = {
    "e4m3fn": ("float8_e4m3fn", "FP8 E4M3FN"),
    "e5m2": ("float8_e5m2", "FP8 E5M2"),
    "e4m3fnuz": ("float8_e4m3fnuz", "FP8 E4M3FNUZ"),
    "e5m2fnuz": ("float8_e5m2fnuz", "FP8 E5M2FNUZ"),
    "e2m3fn": ("float6_e2m3fn", "FP6 E2M3"),
    "e3m2fn": ("float6_e3m2fn", "FP6 E3M2"),
    "e2m1fn": ("float4_e2m1fn", "FP4 E2M1"),
    "bfloat16": ("bfloat16", "bfloat16"),
    "float16": ("float16", "float16"),
}
"""The small floats by the name of their layout: what ml_dtypes calls them, and what people do."""

MANTISSA_BITS = 23
ONE_EXPONENT = 1 << MANTISSA_BITS
EXPONENT_MASK = np.int32(0x7F800000)
SIGNIFICANT_ABOVE = 0x400000


@dataclass(frozen=True)
class FloatFormat:
    """A small floating-point format, its values those of `ml_dtypes`.

    Parameters
    ----------
    format : str
        A key of `FLOATS`, such as ``"e4m3fn"``.

    Raises
    ------
    Problem
        When there is no such format.

    Notes
    -----
    Values round to the nearest level, ties to an even mantissa; beyond the largest finite value
    they are clipped to it (ONNX's and PyTorch's saturating casts). Infinities are no levels.
    """

    kind: ClassVar[str] = "float"
    offers_zero_point: ClassVar[bool] = False
    signed: ClassVar[bool] = True
    format: str = "e4m3fn"

    def __post_init__(self) -> None:
        if self.format not in FLOATS:
            raise Problem(f"There is no float format “{self.format}”: choose one of {', '.join(FLOATS)}.")

    @property
    def name(self) -> str:
        """What ml_dtypes calls it: ``float8_e4m3fn``, …"""
        return FLOATS[self.format][0]

    @property
    def label(self) -> str:
        """What people call it."""
        return FLOATS[self.format][1]

    @property
    def bits(self) -> int:
        """Bits of a stored code: sign, exponent and mantissa."""
        return _float_table(self.name).bits

    @property
    def scaled(self) -> bool:
        """Floats of 16 bits are used as they are, without a scale."""
        return self.bits < LARGEST_BITS

    @property
    def quant_min(self) -> float:
        """The smallest finite value."""
        return float(self.values[0])

    @property
    def quant_max(self) -> float:
        """The largest finite value."""
        return float(self.values[-1])

    @property
    def levels(self) -> int:
        """How many finite values there are; the two zeros count as one."""
        return self.values.size

    @property
    def values(self) -> FloatArray:
        """Every finite value, ascending."""
        return _float_table(self.name).values

    @property
    def bit_patterns(self) -> Array:
        """The stored code of each of ``self.values``."""
        return self.encode(self.values, self.values)

    @property
    def largest_step(self) -> float:
        """The gap below the largest value."""
        return float(self.values[-1] - self.values[-2])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The unsigned integer of the stored bit pattern."""
        return np.dtype(np.uint8 if self.bits <= 8 else np.uint16)

    @property
    def grid(self) -> tuple[int, int, int]:
        """Mantissa bits, and the float32 exponent bits of the smallest and of the largest binade."""
        table = _float_table(self.name)
        return table.mantissa, table.lowest, table.highest

    def round(self, x: FloatArray, out: FloatArray) -> FloatArray:
        """To the nearest level, ties to even, as if exponents went on beyond the largest value.

        Adding 1.5 · 2^(exponent − mantissa bits + 23) and taking it away again leaves a float32 no
        room for anything smaller than one unit in the last place of the format.
        """
        mantissa, lowest, highest = self.grid
        if mantissa == 7 and lowest == ONE_EXPONENT:  # bfloat16 has float32's own exponents
            np.copyto(out, x.astype(_float_table(self.name).type))
            return out
        magic = np.bitwise_and(x.view(np.int32), EXPONENT_MASK, out=np.empty(x.shape, np.int32))
        np.clip(magic, lowest, highest + ONE_EXPONENT, out=magic)
        magic += (MANTISSA_BITS - mantissa) * ONE_EXPONENT
        magic |= SIGNIFICANT_ABOVE
        np.add(x, magic.view(np.float32), out=out)
        return np.subtract(out, magic.view(np.float32), out=out)

    def index(self, values: FloatArray) -> Array:
        """The place of unit values among ``self.values``."""
        place: Array = _float_table(self.name).place[self.encode(values, values)]
        return place

    def encode(self, values: FloatArray, like: FloatArray) -> Array:
        """The bit patterns; a zero keeps the sign of ``like``."""
        signed = np.copysign(values, like)
        return signed.astype(_float_table(self.name).type).view(self.dtype)

    def decode(self, codes: Array) -> FloatArray:
        """The values of bit patterns."""
        return codes.astype(self.dtype, copy=False).view(_float_table(self.name).type).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"kind": self.kind, "format": self.format}


@dataclass(frozen=True, eq=False)
class _FloatTable:
    """What ml_dtypes knows of one format."""

    type: np.dtype[Any]
    bits: int
    mantissa: int
    lowest: int
    highest: int
    values: FloatArray
    place: Array


@lru_cache
def _float_table(name: str) -> _FloatTable:
    import ml_dtypes

    kind = np.dtype(getattr(ml_dtypes, name, name))
    info = ml_dtypes.finfo(kind)
    codes = np.arange(1 << info.bits, dtype=np.uint8 if kind.itemsize == 1 else np.uint16)
    decoded = codes.view(kind).astype(np.float32)
    values = np.unique(decoded[np.isfinite(decoded)])
    values.setflags(write=False)
    place = np.searchsorted(values, np.nan_to_num(decoded, nan=0.0, posinf=0.0, neginf=0.0))
    ends = np.array([info.smallest_normal, values[-1]], np.float32).view(np.int32) & EXPONENT_MASK
    return _FloatTable(kind, int(info.bits), int(info.nmant), int(ends[0]), int(ends[1]), values, place)


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

CODEBOOKS: dict[str, tuple[tuple[float, ...], str]] = {"nf4": (NF4, "NF4")}
"""Levels, ascending, and what people call them."""


@dataclass(frozen=True)
class Codebook:
    """A few fixed levels; a code is the number of the nearest one, the lower one of two as near.

    Parameters
    ----------
    format : str
        A key of `CODEBOOKS`, such as ``"nf4"``.

    Raises
    ------
    Problem
        When there is no such codebook.
    """

    kind: ClassVar[str] = "codebook"
    offers_zero_point: ClassVar[bool] = False
    signed: ClassVar[bool] = True
    scaled: ClassVar[bool] = True
    format: str = "nf4"

    def __post_init__(self) -> None:
        if self.format not in CODEBOOKS:
            raise Problem(f"There is no codebook “{self.format}”: choose one of {', '.join(CODEBOOKS)}.")

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
    def largest_step(self) -> float:
        """The widest gap between neighbours."""
        return float(np.diff(self.values).max())

    @property
    def dtype(self) -> np.dtype[Any]:
        """The integer type of a code."""
        return np.dtype(np.uint8)

    @cached_property
    def thresholds(self) -> FloatArray:
        """The smallest float32 that is nearer to each level than to the one below, and to infinity at the end."""
        steps = np.diff(self.values.astype(np.float64))
        middles = self.values.astype(np.float64)[:-1] + steps / 2
        last = self.values[-1].astype(np.float64) + steps[-1] / 2
        middles = np.concatenate(([self.values[0].astype(np.float64) - steps[0] / 2], middles, [last]))
        below = middles.astype(np.float32)
        below = np.where(below > middles, np.nextafter(below, np.float32(-np.inf)), below)
        # Ties go down, but beyond the first level, where they go up.
        above: FloatArray = np.nextafter(below, np.float32(np.inf))
        above[0] = below[0] if below[0] == middles[0] else above[0]
        return above

    @cached_property
    def _ladder(self) -> FloatArray:
        return np.concatenate(([-np.inf], self.values, [np.inf])).astype(np.float32)

    def round(self, x: FloatArray, out: FloatArray) -> FloatArray:
        """The nearest level; infinity more than half a step beyond the ends; NaN stays NaN."""
        place = np.zeros(x.shape, np.uint8)
        for threshold in self.thresholds:  # few: comparing with each is several times as fast as searching
            np.add(place, x >= threshold, out=place)
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

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"kind": self.kind, "format": self.format}


NumberFormat = IntFormat | FloatFormat | Codebook

NUMBER_FORMATS: dict[str, type[NumberFormat]] = {each.kind: each for each in (IntFormat, FloatFormat, Codebook)}
"""Every number format by its ``kind``; a new one is a class and a row."""


def format_named(name: str) -> NumberFormat:
    """The number format that people call ``name``: ``int8``, ``uint4``, ``e4m3fn``, ``float8_e4m3fn``, ``nf4``, …

    Raises
    ------
    Problem
        When there is none.
    """
    for layout, (official, _) in FLOATS.items():
        if name in (layout, official, layout.removesuffix("fn")):
            return FloatFormat(layout)
    if name in CODEBOOKS:
        return Codebook(name)
    digits = name.removeprefix("u").removeprefix("int")
    if name.startswith(("int", "uint")) and digits.isdecimal() and len(digits) < 3:
        return IntFormat(int(digits), not name.startswith("u"))
    names = ["int2 … int16", "uint2 … uint16", *FLOATS, *CODEBOOKS]
    raise Problem(f"There is no number format “{name}”: choose one of {', '.join(names)}.")
