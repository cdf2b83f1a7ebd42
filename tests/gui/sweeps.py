"""Which schemes does a test have swept, that needs any? A few quick ones: all that are ticked at first take seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qviz.core import MinMax, PerAxis, Percentile, PerTensor

QUICK = (MinMax(), Percentile(99.9))


def sweep_few(page: Any, rules: Sequence[Any] = QUICK) -> None:
    """Tick a few schemes on the Compare page, 12 of a tensor with two axes, unless they are ticked already."""
    choice = page.sweep.choice
    wanted = (
        (choice.bits, (2, 4, 8)),
        (choice.formats, ()),
        (choice.modes, (True,)),
        (choice.granularities, (PerTensor(), PerAxis(0))),
        (choice.rules, rules),
        (choice.library_rules, ()),
    )
    before = choice.choice()
    for ticks, these in wanted:
        ticks.tick(these)
    if choice.choice() != before:
        choice.bits.changed.emit()
