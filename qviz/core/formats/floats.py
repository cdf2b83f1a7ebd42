"""Which small floating-point numbers can a code stand for?"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from qviz.core.arrays import Array, FloatArray
from qviz.core.formats.integers import LARGEST_BITS
from qviz.core.frozen import frozen
from qviz.core.plain import Tagged
from qviz.core.problems import Problem

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

SIXTEEN_BITS = frozenset({"bfloat16", "float16"})
FP8 = frozenset({"e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz"})

NAN_PATTERNS = {"e4m3fn": 0x7F, "e5m2": 0x7F, "e4m3fnuz": 0x80, "e5m2fnuz": 0x80, "bfloat16": 0x7FC0, "float16": 0x7E00}
"""The stored NaN of the layouts that have one, but for its sign; FNUZ formats have a single one."""

MANTISSA_BITS = 23
ONE_EXPONENT = 1 << MANTISSA_BITS
EXPONENT_MASK = np.int32(0x7F800000)
SIGNIFICANT_ABOVE = 0x400000


@frozen
class FloatFormat(Tagged):
    """A small floating-point format, its values those of `ml_dtypes`.

    Parameters
    ----------
    format : str
        A key of `FLOATS`, such as ``"e4m3fn"``, or what ml_dtypes calls it: ``"float8_e4m3fn"``.

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
        super().__post_init__()
        for layout, (name, _) in FLOATS.items():
            if self.format == name:
                object.__setattr__(self, "format", layout)
        if self.format not in FLOATS:
            raise Problem(
                "There is no float format “{format}”: choose one of {choices}.",
                format=self.format,
                choices=", ".join(FLOATS),
            )

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
    def has_nan(self) -> bool:
        """Whether one of its codes stands for NaN."""
        return self.format in NAN_PATTERNS

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
        missing = np.isnan(values)
        like = np.where(values == 0, like, values)
        if not missing.any():
            return np.copysign(values, like).astype(_float_table(self.name).type).view(self.dtype)
        signed = np.where(missing, np.float32(0), np.copysign(values, like))
        codes = np.asarray(signed.astype(_float_table(self.name).type).view(self.dtype))
        pattern = NAN_PATTERNS.get(self.format, 0)
        sign = 0 if self.format.endswith("fnuz") else 1 << (self.bits - 1)
        codes[missing] = np.where(np.signbit(values[missing]), pattern | sign, pattern)
        return codes

    def decode(self, codes: Array) -> FloatArray:
        """The values of bit patterns."""
        return codes.astype(self.dtype, copy=False).view(_float_table(self.name).type).astype(np.float32)


@frozen(eq=False)
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
