"""Is this field of a table a number, a missing value, or a word?"""

from __future__ import annotations

import csv
import re

MISSING = (
    "",
    "NA",
    "N/A",
    "n/a",
    "na",
    "n.a.",
    "#N/A",
    "#NA",
    "<NA>",
    "NULL",
    "Null",
    "null",
    "None",
    "none",
    "NaT",
    "missing",
    "-",
    "--",
    "---",
    ".",
    "?",
    "#DIV/0!",
    "#NUM!",
    "#VALUE!",
    "#REF!",
    "#NAME?",
    "#NULL!",
)
"""How programs write that a number is missing: pandas, R, Excel, SAS, Stata, databases."""

_MISSING = frozenset(MISSING)
_BARE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_SIMPLE = re.compile(r"[+-]?[0-9]+")
_POINT = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
"""Two repetitions side by side never share characters: a long field would be divided between them in every way."""

_COMMA = re.compile(r"[+-]?[0-9]+(?:,[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_GROUPED = {
    ".": re.compile(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]*)?"),
    ",": re.compile(r"[+-]?[1-9][0-9]{0,2}(?:\.[0-9]{3})+(?:,[0-9]*)?"),
}
_BEYOND = re.compile(
    r"\(?[+-]?[0-9.]+(?:e[+-]?[0-9]+)?[+-][0-9.]+(?:e[+-]?[0-9]+)?[ij]\)?|[+-]?0x[0-9a-f]*(?:\.[0-9a-f]*)?p[+-]?[0-9]+",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]")
_DATE = re.compile(r"\d{4}[-/]\d{1,2}\b|\d{1,4}[-/.]\d{1,2}[-/.]\d{2,4}\b|\d{1,2}:\d{2}")


def is_missing(cell: str) -> bool:
    """Whether it stands for a value that is not there."""
    return cell in _MISSING


def is_number(cell: str, decimal: str = ".", *, grouped: bool = False) -> bool:
    """Whether it is a number with this decimal mark; `grouped` allows the other mark between thousands."""
    if (_POINT if decimal == "." else _COMMA).fullmatch(cell):
        return True
    return bool(_BARE.fullmatch(cell)) or (grouped and is_grouped(cell, decimal))


def is_grouped(cell: str, decimal: str) -> bool:
    """Whether its thousands are marked: ``1,234.5``, or ``1.234,5`` with a decimal comma."""
    return bool(_GROUPED[decimal].fullmatch(cell))


def is_whole(cell: str) -> bool:
    """Whether it is an integer, written without decimal mark and exponent."""
    return bool(_SIMPLE.fullmatch(cell))


def is_fraction(cell: str, decimal: str) -> bool:
    """Whether it is written as a number that is not whole: with a decimal mark or an exponent."""
    return is_number(cell, decimal) and not is_whole(cell) and not _BARE.fullmatch(cell)


def is_beyond(cell: str) -> bool:
    """Whether it is a value, though none that is read here: a complex number, or C's hexadecimal ``0x1.8p+1``."""
    return bool(_BEYOND.fullmatch(cell))


def is_word(cell: str) -> bool:
    """Whether it can be a name: it has a letter, or is a date."""
    return bool(_WORD.search(cell) or _DATE.search(cell))


def fields_of(text: str, separator: str, quote: str) -> list[str]:
    """The fields of one tidy line."""
    if not separator:
        return [text.strip(quote).strip() if text[:1] == quote else text]
    if quote in text:
        try:
            return [cell.strip() for cell in next(csv.reader([text], delimiter=separator, quotechar=quote))]
        except (csv.Error, StopIteration):
            return text.split(separator)
    return text.split(separator)
