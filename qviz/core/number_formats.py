"""Which numbers can a code stand for?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from qviz.core.problems import Problem


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
    bits: int = 8
    signed: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.bits, bool) or not isinstance(self.bits, int) or not 2 <= self.bits <= 16:
            raise Problem(f"{self.bits} bits cannot be shown: choose a bit width from 2 to 16.")

    @property
    def name(self) -> str:
        """The name the runtimes use: ``int8``, ``uint4``, …"""
        return f"{'int' if self.signed else 'uint'}{self.bits}"

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
    def dtype(self) -> np.dtype[Any]:
        """The smallest NumPy integer type that holds a code."""
        return np.dtype(f"{'' if self.signed else 'u'}int{8 if self.bits <= 8 else 16}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"kind": self.kind, "bits": self.bits, "signed": self.signed}


NumberFormat = IntFormat

NUMBER_FORMATS: dict[str, type[NumberFormat]] = {IntFormat.kind: IntFormat}
"""Every number format by its ``kind``; a new one is a class and a row."""
