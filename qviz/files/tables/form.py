"""What was recognized of a table, and what did a person say of it?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from qviz.core.frozen import frozen
from qviz.core.problems import N_, Phrase, Problem
from qviz.files.problems import shortened

SEPARATORS: Mapping[str, str] = {
    "comma": ",",
    "semicolon": ";",
    "tab": "\t",
    "bar": "|",
    "space": " ",
    "none": "",
}
"""By the names that the command line and the preview have; a space stands for any white space."""

DECIMALS: Mapping[str, str] = {"point": ".", "comma": ","}

_SEPARATED = {
    ",": N_("comma-separated"),
    ";": N_("semicolon-separated"),
    "\t": N_("tab-separated"),
    "|": N_("separated by |"),
    " ": N_("separated by white space"),
    "": N_("one column"),
}
_ENCODINGS = {"utf-8": "", "utf-8-sig": "", "cp1252": "Windows-1252", "latin-1": "Latin-1"}


@frozen
class TableOptions:
    """What a person says of a table; what is None is recognized.

    Parameters
    ----------
    separator : str, optional
        A value of `SEPARATORS`.
    decimal : str, optional
        ``"."`` or ``","``.
    header : int, optional
        How many lines stand before the first line of numbers.
    index : bool, optional
        Whether the first column numbers the rows and is left out.
    columns : tuple of int, optional
        The columns to take, from 1.
    """

    separator: str | None = None
    decimal: str | None = None
    header: int | None = None
    index: bool | None = None
    columns: tuple[int, ...] | None = None

    @classmethod
    def parsed(cls, text: str) -> TableOptions:
        """From ``header=1,index=yes,separator=tab,decimal=comma,columns=1-3+5``.

        Raises
        ------
        Problem
            For a name or a value that is not known.
        """
        options = cls()
        for part in filter(None, text.replace(" ", "").split(",")):
            key, _, value = part.partition("=")
            if key not in _READ:
                raise Problem(
                    N_("a table has no option “{name}”: choose from {names}."), name=key, names=", ".join(_READ)
                )
            try:
                options = _replaced(options, key, _READ[key](value))
            except (LookupError, ValueError):
                raise Problem(
                    N_("{name} of a table can't be “{value}”: give {values}."),
                    name=key,
                    value=value,
                    values=_VALUES[key],
                ) from None
        return options

    def __str__(self) -> str:
        said = {
            "separator": next((name for name, sign in SEPARATORS.items() if sign == self.separator), None),
            "decimal": next((name for name, sign in DECIMALS.items() if sign == self.decimal), None),
            "header": self.header,
            "index": None if self.index is None else "yes" if self.index else "no",
            "columns": None if self.columns is None else "+".join(map(str, self.columns)),
        }
        return ",".join(f"{key}={value}" for key, value in said.items() if value is not None)

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) is not None for field in fields(self))


def _replaced(options: TableOptions, key: str, value: Any) -> TableOptions:
    return replace(options, **{key: value})


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise ValueError(text)
    return int(text)


def _header(text: str) -> int:
    return {"no": 0, "yes": 1}[text] if text in ("no", "yes") else _count(text)


def _columns(text: str) -> tuple[int, ...]:
    columns: list[int] = []
    for part in text.split("+"):
        first, _, last = part.partition("-")
        numbers = range(_count(first), _count(last or first) + 1)
        if not numbers or numbers[0] < 1 or len(numbers) > 1 << 20:
            raise ValueError(text)
        columns += numbers
    return tuple(dict.fromkeys(columns))


_READ: Mapping[str, Callable[[str], Any]] = {
    "separator": SEPARATORS.__getitem__,
    "decimal": DECIMALS.__getitem__,
    "header": _header,
    "index": {"yes": True, "no": False}.__getitem__,
    "columns": _columns,
}
_VALUES = {
    "separator": ", ".join(SEPARATORS),
    "decimal": ", ".join(DECIMALS),
    "header": N_("the number of lines before the numbers, yes or no"),
    "index": "yes, no",
    "columns": "1-3+5",
}


@frozen
class TableForm:
    """How a table is written, as it was recognized or said.

    Attributes
    ----------
    encoding : str
        As Python names it; everything but UTF-16 and UTF-32 is read as it is.
    separator, decimal, quote : str
        Between fields (a value of `SEPARATORS`), before decimals, around fields.
    grouped : bool
        Whether the other mark stands between thousands.
    skip : int
        Lines before the first one of numbers.
    header : tuple of int
        Those of them that hold names, or anything else but remarks; from 1.
    names : tuple of str
        Of the columns; empty where there are none.
    width : int
        Fields in a line, without empty ones that `edges` takes away.
    edges : tuple of bool
        Whether lines begin, and whether they end, with a separator that separates nothing.
    index : bool
        Whether the first column numbers the rows and is left out.
    labels : tuple of int
        Columns of words that are left out; from 0.
    columns : tuple of int
        Those that are taken; from 0.
    doubts : tuple of Phrase
        What could be meant otherwise.
    """

    encoding: str
    separator: str
    decimal: str
    quote: str
    grouped: bool
    skip: int
    header: tuple[int, ...]
    names: tuple[str, ...]
    width: int
    edges: tuple[bool, bool]
    index: bool
    labels: tuple[int, ...]
    columns: tuple[int, ...]
    doubts: tuple[Phrase, ...] = ()

    @property
    def takes_all(self) -> bool:
        """Whether every column is taken."""
        return len(self.columns) == self.width

    @property
    def is_plain(self) -> bool:
        """Whether the fields of every line are the numbers, as they stand there."""
        return not (self.header or self.doubts or self.grouped or self.decimal == ",") and self.takes_all

    def phrase(self) -> Phrase:
        """What was recognized, in one sentence."""
        parts = [Phrase(_SEPARATED[self.separator])]
        if _ENCODINGS.get(self.encoding, self.encoding):
            name = _ENCODINGS.get(self.encoding, self.encoding.upper())
            parts.append(Phrase(N_("in {encoding}"), encoding=name))
        if len(self.header) == 1:
            parts.append(Phrase(N_("header in line {line}"), line=self.header[0]))
        elif self.header:
            parts.append(Phrase(N_("header in lines {first} to {last}"), first=self.header[0], last=self.header[-1]))
        if self.index:
            parts.append(Phrase(N_("first column is an index and left out")))
        if self.labels:
            parts.append(self._left_out())
        if self.decimal == ",":
            parts.append(Phrase(N_("decimal commas")))
        if self.grouped:
            parts.append(Phrase(N_("marks between thousands")))
        others = self.width - len(self.columns) - len(self.labels) - self.index
        if others > 0:
            parts.append(Phrase(N_("{count} of {all} columns chosen"), count=len(self.columns), all=self.width))
        recognized = Phrase(N_("Recognized: {parts}."), parts=joined(parts, ", "))
        return joined([recognized, *self.doubts], " ")

    def _left_out(self) -> Phrase:
        names = [self.names[at] for at in self.labels] if self.names else []
        shown = [shortened(name) or str(at + 1) for name, at in zip(names, self.labels, strict=True)] if names else []
        what = ", ".join((shown or [str(at + 1) for at in self.labels])[:3]) + (", …" if len(self.labels) > 3 else "")
        if len(self.labels) == 1:
            return Phrase(N_("column {name} holds words and is left out"), name=what)
        return Phrase(N_("{count} columns hold words and are left out ({names})"), count=len(self.labels), names=what)


def joined(parts: list[Phrase], between: str) -> Phrase:
    """Several phrases in a row, each of them translated."""
    template = between.join(f"{{part{number}}}" for number in range(len(parts)))
    return Phrase(template, **{f"part{number}": part for number, part in enumerate(parts)})
