"""How does a frozen dataclass become JSON, and JSON a dataclass again?

`msgspec` judges single values: it is strict (a bool is no int, ``"8"`` is no number) and quick to import, a third of
what `cattrs` takes. What it cannot do with dataclasses is done here: a tag that chooses the class, no key that the
class does not know, and sentences for people.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar, TypeVar, get_type_hints

import numpy as np

from qviz.core.problems import Phrase, Problem

T = TypeVar("T")


class Tagged:
    """Base of the dataclasses that a table holds by their ``kind``: JSON carries it beside the fields.

    Raises
    ------
    Problem
        When a field is given something of another type than its own.
    """

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        for each in fields(self):  # type: ignore[arg-type]
            given = getattr(self, each.name)
            object.__setattr__(self, each.name, _fitted(given, str(each.type), f"{type(self).__name__}'s {each.name}"))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return to_plain(self)


_TYPES: dict[str, tuple[type, tuple[type, ...], Phrase]] = {
    "int": (int, (int, np.integer), Phrase("a whole number")),
    "float": (float, (int, float, np.integer, np.floating), Phrase("a number")),
    "bool": (bool, (bool, np.bool_), Phrase("True or False")),
    "str": (str, (str,), Phrase("a name")),
}
"""What a field of a tagged dataclass may be given, by its annotation: numbers of NumPy become Python's."""


def _fitted(value: Any, annotation: str, what: str) -> Any:
    if annotation == "tuple[float, ...]":
        each = (value,) if isinstance(value, int | float | np.integer | np.floating) else value
        if not isinstance(each, list | tuple | np.ndarray):
            raise Problem("{what} cannot be {value!r}: give a number, or several.", what=what, value=value)
        return tuple(_fitted(number, "float", what) for number in each)
    plain, given, wanted = _TYPES[annotation.removesuffix(" | None")]
    if value is None and annotation.endswith(" | None"):
        return value
    if isinstance(value, given) and (plain is bool or not isinstance(value, bool | np.bool_)):
        try:
            converted = plain(value)
            return value if type(value) is int else converted
        except OverflowError:
            wanted = Phrase("one that float64 can hold")
    raise Problem("{what} cannot be {value!r}: give {wanted}.", what=what, value=value, wanted=wanted)


def to_plain(value: Any) -> dict[str, Any]:
    """Plain values for JSON of a dataclass: its fields in order, the ``kind`` of a tagged one first."""
    tag = {"kind": value.kind} if isinstance(value, Tagged) else {}
    return tag | {f.name: _plain(getattr(value, f.name)) for f in fields(value)}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_plain(value)
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def from_plain(cls: type[T], data: object, what: str) -> T:
    """The dataclass that `to_plain` wrote; what is left out is as by default.

    Parameters
    ----------
    cls : type
        A dataclass; its fields may be dataclasses, too.
    data : object
        What JSON held.
    what : str
        What people call it, for the sentences.

    Raises
    ------
    Problem
        When it is no object, or a part of it is unknown, of another type or out of range.
    """
    hints = _hints(cls)
    if not isinstance(data, Mapping):
        raise Problem("This is no {what}: expected an object with {fields}.", what=what, fields=", ".join(hints))
    arguments = {}
    for key, value in data.items():
        if key not in hints:
            raise Problem("The {what} knows no “{key}”: it has {fields}.", what=what, key=key, fields=", ".join(hints))
        if is_dataclass(hints[key]):
            arguments[key] = from_plain(hints[key], value, f"{what}'s {key}")
        else:
            said = Problem("The {what} cannot be {value!r}.", what=f"{what}'s {key}", value=value)
            arguments[key] = _of_type(hints[key], value, said, said)
    return cls(**arguments)


def tagged_from_plain(table: Mapping[str, type[T]], data: object, what: str | Phrase) -> T:
    """The dataclass of a table that JSON's ``kind`` names; what is left out is as by default.

    Parameters
    ----------
    table : Mapping[str, type]
        Dataclasses by their ``kind``.
    data : object
        What JSON held.
    what : str or Phrase
        What people call it, for the sentences.

    Raises
    ------
    Problem
        When the kind is unknown, or a part of it is unknown, of another type or out of range.
    """
    kind = data.get("kind") if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or not isinstance(kind, str) or kind not in table:
        raise Problem(
            "The {what} is unknown: its “kind” must be one of {choices}.", what=what, choices=", ".join(table)
        )
    hints = _hints(table[kind])
    too_large = Problem("The {what} has a number that is too large.", what=what)
    arguments = {}
    for key, value in data.items():
        if key != "kind":
            said = Problem("The {what} cannot have {key} = {value!r}.", what=what, key=key, value=value)
            if key not in hints:
                raise said
            arguments[key] = _of_type(hints[key], value, said, too_large)
    try:
        return table[kind](**arguments)
    except OverflowError:
        raise too_large from None


def _of_type(hint: Any, value: object, otherwise: Problem, too_large: Problem) -> Any:
    """The value of such a type."""
    import msgspec

    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError:
        # JSON sets no bound to whole numbers; float64 does.
        whole = isinstance(value, int) and not isinstance(value, bool)
        raise too_large if whole and hint is float else otherwise from None


def _hints(cls: Any) -> dict[str, Any]:
    """The types of a dataclass's fields."""
    hints = get_type_hints(cls)
    return {f.name: hints[f.name] for f in fields(cls)}


def finite_only(value: Any) -> Any:
    """The same for JSON: None for every number in it that is NaN or infinite."""
    if isinstance(value, dict):
        return {key: finite_only(each) for key, each in value.items()}
    if isinstance(value, list):
        return [finite_only(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
