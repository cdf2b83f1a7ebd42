"""How is it said that a figure is an estimate, and not exact?"""

from __future__ import annotations

from qviz.gui.words.numbers import ABOUT
from qviz.session.language import tr


def about(exact: bool) -> str:
    """What stands before a figure that is an estimate."""
    return "" if exact else ABOUT


def exactness_note(exact: bool, note: str = "") -> str:
    """A note beside a title; an estimate always says that it is one."""
    if exact:
        return note
    return tr("estimate, {note}").format(note=note) if note else tr("estimate")
