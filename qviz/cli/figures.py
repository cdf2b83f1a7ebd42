"""How is a figure printed for people? As JSON has it, but with words for what JSON has no number for."""

from __future__ import annotations

import math


def text_of(value: object, spec: str = "") -> str:
    """A number, or several in brackets; ``spec`` as Python formats finite ones.

    Examples
    --------
    >>> text_of([0.5, -math.inf]), text_of(math.nan, ".2f"), text_of(math.inf)
    ('[0.5, -∞]', 'NaN', '∞')
    """
    if isinstance(value, list):
        return f"[{', '.join(text_of(each, spec) for each in value)}]"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "-∞"
    return format(value, spec) if spec else str(value)
