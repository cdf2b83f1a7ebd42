"""Which whole numbers can a code stand for?"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from qviz.core.arrays import Array, FloatArray
from qviz.core.frozen import frozen
from qviz.core.plain import Tagged
from qviz.core.problems import Problem

SMALLEST_BITS, LARGEST_BITS = 2, 16


@frozen
class IntFormat(Tagged):
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

    has_nan: ClassVar[bool] = False
    kind: ClassVar[str] = "int"
    offers_zero_point: ClassVar[bool] = True
    scaled: ClassVar[bool] = True
    largest_step: ClassVar[float] = 1.0
    bits: int = 8
    signed: bool = True

    def __post_init__(self) -> None:
        whole = isinstance(self.bits, int | np.integer) and not isinstance(self.bits, bool)
        if not whole or not SMALLEST_BITS <= self.bits <= LARGEST_BITS:
            raise Problem("{bits} bits cannot be shown: choose a bit width from 2 to 16.", bits=self.bits)
        super().__post_init__()

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
