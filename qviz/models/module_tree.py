"""Which modules does a checkpoint have? Its names as a tree, of which only what is opened is made."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from qviz.core.arrays import Counts
from qviz.models.weight_table import WeightTable

_ENDS = "./"


@dataclass(eq=False)
class Module:
    """A part of the names that some tensors share: they lie beside each other in the order of the names.

    Attributes
    ----------
    label : str
        The part of the name, with those below it that are alone.
    start, stop : int
        In the order of the names.
    depth : int
        Characters that all names within share, the mark at their end included.
    parent : Module or None
    place : int
        Among the children of its parent.
    """

    label: str
    start: int
    stop: int
    depth: int
    parent: Module | None = None
    place: int = 0
    _children: list[Module] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return self.stop - self.start


class ModuleTree:
    """The names of a table as modules.

    Parameters
    ----------
    table : WeightTable
    """

    def __init__(self, table: WeightTable) -> None:
        self.order: Counts = np.argsort(table.name_ranks)
        self._names = [table.lower_names[int(row)] for row in self.order]
        self._written = [table.names[int(row)] for row in self.order]
        self.root = Module("", 0, len(self._names), 0)

    def rows(self, module: Module) -> Counts:
        """The rows of the table within a module, ascending."""
        return np.sort(self.order[module.start : module.stop])

    def children(self, module: Module) -> list[Module]:
        """The modules within one, made when they are first asked for."""
        if module._children is None:
            module._children = []
            at = module.start
            while at < module.stop:
                end = self._end(at, module.depth)
                if end is None:  # a tensor of this module itself
                    at += 1
                    continue
                stop = self._stop(at, module.stop, end)
                child = Module("", at, stop, end, module, len(module._children))
                self._merge(child)
                child.label = self._written[at][module.depth : child.depth - 1]
                module._children.append(child)
                at = stop
        return module._children

    def has_children(self, module: Module) -> bool:
        """Whether any name goes on by a part and another one."""
        return bool(self.children(module))

    def _merge(self, module: Module) -> None:
        """What all within share belongs to the module itself: ``model.layers`` is one step."""
        while len(module) > 1:
            end = self._end(module.start, module.depth)
            if end is None or not self._names[module.stop - 1].startswith(self._names[module.start][:end]):
                return
            module.depth = end

    def _end(self, at: int, depth: int) -> int | None:
        """Where the next part of a name ends, its mark included; None where it is the last one."""
        name = self._names[at]
        found = [place for mark in _ENDS if (place := name.find(mark, depth)) >= 0]
        end = min(found) + 1 if found else len(name)
        return end if end < len(name) else None

    def _stop(self, start: int, limit: int, depth: int) -> int:
        """The first name from ``start`` on that does not begin alike: looked for in steps that double, then halve."""
        prefix = self._names[start][:depth]
        low, step = start, 1
        while low + step < limit and self._names[low + step].startswith(prefix):
            low += step
            step *= 2
        high = min(limit, low + step)
        while high - low > 1:
            middle = (low + high) // 2
            if self._names[middle].startswith(prefix):
                low = middle
            else:
                high = middle
        return high
