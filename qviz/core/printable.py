"""How is a name shown that a file gives? As text alone, whatever characters are in it."""

from __future__ import annotations

_SYMBOLS = {code: chr(0x2400 + code) for code in range(32)} | {127: "␡", 0xA0: " "}
"""Control characters have pictures of their own in Unicode."""


def printable(text: str) -> str:
    """A text on one line, without characters that a terminal or a label would obey.

    Control characters become their symbols (``␛`` for the one that begins escape sequences); what is not printable
    otherwise, such as marks that turn the direction of writing, becomes ``�``.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _SYMBOLS.get(ord(c), "�") for c in text)


def brief(text: str, length: int = 80) -> str:
    """The same for a sentence: of a long name the middle is left out."""
    if len(text) > length:
        text = f"{text[: length // 2]}…{text[len(text) - length // 2 + 1 :]}"
    return printable(text)
