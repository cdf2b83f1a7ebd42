"""How is a long name of a file's shown in a sentence? As text alone, its beginning and its end."""

from __future__ import annotations

from qviz.core.printable import printable

__all__ = ["brief", "printable"]


def brief(text: str, length: int = 80) -> str:
    """The same for a sentence: of a long name the middle is left out."""
    if len(text) > length:
        text = f"{text[: length // 2]}…{text[len(text) - length // 2 + 1 :]}"
    return printable(text)
