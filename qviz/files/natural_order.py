"""In which order do names with numbers in them stand? ``layers.2`` before ``layers.10``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qviz.files.entry import TensorEntry


def natural_order(name: str) -> list[str | int]:
    """A key that sorts numbers in names by their value: ``layers.2`` before ``layers.10``."""
    parts = re.split(r"([0-9]+)", name.lower())
    return [int(part[:300]) if index % 2 else part for index, part in enumerate(parts)]


def in_natural_order(entries: Sequence[TensorEntry]) -> tuple[TensorEntry, ...]:
    """The entries as the file has them, but those whose names differ in numbers alone by these numbers."""
    full = [entry.name for entry in entries]
    names = _without_numbers(full)
    # The numbers of all names in one stretch: those of a family have as many each.
    numbers = [int(number[:300]) for number in _NUMBER.findall("\n".join(full))]
    families: dict[str, list[tuple[list[int], int]]] = {}
    counts: dict[str, int] = {}
    at = 0
    for place, name in enumerate(names):
        family = families.get(name)
        if family is None:
            family = families[name] = []
            counts[name] = len(_NUMBER.findall(name))
        until = at + counts[name]
        family.append((numbers[at:until], place))
        at = until
    for family in families.values():
        family.sort(reverse=True)
    return tuple(entries[families[name].pop()[1]] for name in names)


_NUMBER = re.compile(r"[0-9]+")


def _without_numbers(names: Sequence[str]) -> list[str]:
    """What names have in common that differ in numbers alone: all in one stretch, which is quicker."""
    found = _NUMBER.sub("0", "\n".join(names)).split("\n")
    return found if len(found) == len(names) else [_NUMBER.sub("0", name) for name in names]
