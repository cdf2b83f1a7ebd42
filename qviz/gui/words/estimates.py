"""How is it said that a figure is an estimate, and not exact?"""

from __future__ import annotations

from qviz.session.language import tr


def exactness_note(exact: bool, note: str = "") -> str:
    """A note beside a title; an estimate always says that it is one."""
    if exact:
        return note
    return tr("estimate, {note}").format(note=note) if note else tr("estimate")
