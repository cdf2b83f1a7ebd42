"""Which schemes does a test have swept, that needs any? A few quick ones: all that are ticked at first take seconds."""

from __future__ import annotations

from typing import Any

from qviz.core import MinMax, PerAxis, Percentile, PerTensor


def sweep_few(page: Any) -> None:
    """Tick a few schemes on the Compare page, 12 of a tensor with two axes, unless they are ticked already."""
    choice = page.sweep.choice
    wanted = (
        (choice.bits, (2, 4, 8)),
        (choice.formats, ()),
        (choice.modes, (True,)),
        (choice.granularities, (PerTensor(), PerAxis(0))),
        (choice.rules, (MinMax(), Percentile(99.9))),
        (choice.library_rules, ()),
    )
    before = choice.choice()
    for ticks, these in wanted:
        ticks.tick(these)
    if choice.choice() != before:
        choice.bits.changed.emit()
