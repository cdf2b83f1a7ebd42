"""In which encoding is this text?"""

from __future__ import annotations

import codecs

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def encoding_of(head: bytes, *, is_whole: bool = True) -> str:
    """As Python names it: by its mark, by the zeros of UTF-16 without one, else UTF-8 or what Windows writes.

    Parameters
    ----------
    head : bytes
        The beginning of the file.
    is_whole : bool
        Whether it is all of the file; else it may end inside a character.
    """
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    pairs = len(head) // 2
    low, high = head[: 2 * pairs : 2].count(0), head[1 : 2 * pairs : 2].count(0)
    if pairs and high > 0.6 * pairs and not low:
        return "utf-16-le"
    if pairs and low > 0.6 * pairs and not high:
        return "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=is_whole)
    except UnicodeDecodeError:
        return "cp1252" if _is_windows(head) else "latin-1"
    return "utf-8"


def _is_windows(head: bytes) -> bool:
    try:
        head.decode("cp1252")
    except UnicodeDecodeError:
        return False
    return True


def is_wide(encoding: str) -> bool:
    """Whether a digit takes more than one byte in it, so that it has to be decoded."""
    return encoding.startswith(("utf-16", "utf-32"))
