"""How are long names written in little room, so that each can be told from the others?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

ELLIPSIS = "…"
_END_OF_A_PART = re.compile(r"(?<=[/\\._:\- ])")


def parts_of(name: str) -> list[str]:
    """A name's parts, each with what ends it: ``["model.", "0.", "weight"]``."""
    return [part for part in _END_OF_A_PART.split(name) if part]


class Names:
    """Names that stand in one list: where they part is kept, what they share may give way.

    Parameters
    ----------
    names : iterable of str
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._next: dict[str, set[str]] = {}
        self.add(names)

    def add(self, names: Iterable[str]) -> None:
        """More of them stand there."""
        for name in names:
            before = ""
            for part in [*parts_of(name), ""]:
                self._next.setdefault(before, set()).add(part)
                before += part

    def short(self, name: str, fits: Callable[[str], bool]) -> str:
        """A name as it is where it ``fits``, else without what all that begin alike share, the first parts first.

        What even then does not fit is to be cut by whoever draws it.
        """
        if fits(name):
            return name
        parts = parts_of(name)
        kept, before = [], ""
        for part in parts:
            kept.append(len(self._next.get(before, ())) > 1)
            before += part
        if not any(kept) and kept:
            kept[-1] = True
        text = _joined(parts, kept)
        for at in reversed(range(len(parts))):
            if not kept[at]:
                more = _joined(parts, [keep or i == at for i, keep in enumerate(kept)])
                if fits(more):
                    kept[at], text = True, more
        return text


def _joined(parts: list[str], kept: list[bool]) -> str:
    """The parts that are kept, an ellipsis in the place of each run of the others."""
    text = ""
    for part, keep in zip(parts, kept, strict=True):
        text += part if keep else "" if text.endswith(ELLIPSIS) else ELLIPSIS
    return text
