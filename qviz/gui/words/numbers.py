"""How is a number written, with its unit? The same everywhere in the window."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from qviz.core.arrays import distinct

NONE = "–"
"""Stands where there is no figure."""

ABOUT = "≈ "
"""Stands before a figure that is an estimate."""


def typographic(text: object) -> str:
    """A number that is written already, with a true minus sign."""
    return str(text).replace("-", "−")


def number(value: float, digits: int = 4, unit: str = "") -> str:
    """A value with so many digits, the minus sign of typography, and a unit."""
    if math.isnan(value):
        return NONE
    text = f"{value + 0.0:.{digits}g}" if math.isfinite(value) else "∞" if value > 0 else "-∞"  # + 0 makes −0 plain 0
    return typographic(text) + (f" {unit}" if unit else "")


def whole(count: int) -> str:
    """A whole number, its thousands apart."""
    return typographic(f"{count:,}")


def fixed(value: float, places: int, unit: str = "") -> str:
    """A value with so many decimal places, as columns and what changes in place want it."""
    if not math.isfinite(value):
        return number(value, unit=unit)
    return typographic(f"{round(value, places) + 0.0:.{places}f}") + (f" {unit}" if unit else "")


def decibels(value: float) -> str:
    """An SQNR; of a thousand and more nobody wants places, for which there is no room."""
    return fixed(value, 2 if abs(value) < 999.995 else 0, "dB")


def cosine(value: float) -> str:
    """How alike two tensors point; what matters is how many nines there are."""
    return fixed(value, 8)


def percent(part: float, of: float) -> str:
    """How much of a whole a part is."""
    return number(100 * part / of, 3, "%")


def counted(count: int, of: int) -> str:
    """How many there are, and their share: ``"12 · 0.3 %"``."""
    return f"{whole(count)} · {percent(count, of)}"


def spread(values: Any, digits: int = 4) -> str:
    """One number, or from where to where many are."""
    flat = distinct(np.asarray(values)).reshape(-1)
    low, high = float(flat.min()), float(flat.max())
    if low == high:
        return number(low, digits)
    return f"{_short(number(low, 3))}…{_short(number(high, 3))}"


def _short(text: str) -> str:
    """A number whose exponent has no more letters than it needs: two of them have to fit into a panel."""
    return re.sub(r"e(\+|(−))0*", r"e\2", text)


def time_text(seconds: float) -> str:
    """Seconds as people read them."""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return number(seconds * factor, 3, unit)
    return number(seconds * 1e9, 3, "ns")


def rough_duration(seconds: float) -> str:
    """Minutes and seconds, as rough as anybody can know."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def typed(value: float) -> str:
    """A float32 in as many digits as tell it from its neighbours, as a person types it."""
    return f"{value:.9g}"
