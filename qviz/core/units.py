"""How does a number keep its unit beside it where a line ends?"""

from __future__ import annotations

import re

NO_BREAK = "\N{NO-BREAK SPACE}"

UNITS = ("%", "dB", "B", "KiB", "MiB", "GiB", "TiB", "PiB", "ns", "µs", "ms", "s", "min", "h", "px", "pt", "×")
"""What is written behind a number, a space between; longer words may begin a line."""

_BETWEEN = re.compile(rf"(?<=[0-9∞–]) (?=(?:{'|'.join(map(re.escape, UNITS))})(?!\w))|(?<=≈) (?=[0-9])")


def unbroken(text: str) -> str:
    """The text with no-break spaces between its numbers and their units, and behind the sign of an estimate."""
    return _BETWEEN.sub(NO_BREAK, text)


def broken(text: str) -> str:
    """The text as it was."""
    return text.replace(NO_BREAK, " ")
