"""Which tensors stay in memory? Those used last, in order or not, within a budget."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from pathlib import Path

from qviz.core.frozen import frozen
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.sorted_tensor import SortedTensor
from qviz.core.tensors.tensor import Tensor
from qviz.files.entry import Note
from qviz.files.memory import machine_memory
from qviz.files.stamp import Stamp
from qviz.session.state import Item

MEGABYTE = 1 << 20

WINDOW_BYTES = 400 * MEGABYTE
"""What qviz itself takes, with the pages of a mapped file that are being read."""


@frozen(eq=False)
class Kept:
    """A tensor that was read, the same in order where that was done, and what was recognized of its file.

    ``stamps`` tell what its files were when it was read; ``scheme`` is the file's own, with its scales.
    """

    tensor: Tensor
    prepared: SortedTensor | None = None
    note: Note | None = None
    stamps: Mapping[Path, Stamp] = field(default_factory=dict)
    scheme: Scheme | None = None

    @property
    def nbytes(self) -> int:
        return self.tensor.nbytes + (self.prepared.nbytes if self.prepared else 0)


class Memory:
    """Keeps tensors; those not used for longest go first.

    Parameters
    ----------
    budget : Callable[[], int]
        How many bytes of tensors may be kept; asked anew each time.
    """

    def __init__(self, budget: Callable[[], int]) -> None:
        self._budget = budget
        self._kept: OrderedDict[Item, Kept] = OrderedDict()

    @property
    def budget(self) -> int:
        """Bytes for tensors."""
        return self._budget()

    @property
    def used(self) -> int:
        """Bytes that kept tensors take."""
        return sum(kept.nbytes for kept in self._kept.values())

    def get(self, item: Item) -> Kept | None:
        """What is kept of an item, which is thereby the one used last."""
        if item in self._kept:
            self._kept.move_to_end(item)
        return self._kept.get(item)

    def stamps(self, item: Item) -> Mapping[Path, Stamp]:
        """What the files of an item were when it was read; none where it is not kept."""
        return self._kept[item].stamps if item in self._kept else {}

    def keep(self, item: Item, kept: Kept) -> None:
        """Keep this; others go when there is no room."""
        self._kept[item] = kept
        self._kept.move_to_end(item)
        self.make_room(0)

    def forget(self, item: Item) -> None:
        """It will not be shown again."""
        self._kept.pop(item, None)

    def retain(self, items: tuple[Item, ...]) -> None:
        """Forget all others."""
        for item in [i for i in self._kept if i not in items]:
            del self._kept[item]

    def fits(self, nbytes: int) -> bool:
        """Whether there is room for so much beside the tensor used last."""
        last = next(reversed(self._kept.values())).nbytes if self._kept else 0
        return last + nbytes <= self.budget

    def make_room(self, nbytes: int) -> None:
        """Let go of the tensors not used for longest, until so much fits; never of the last."""
        for item in list(self._kept)[:-1]:
            if self.used + nbytes <= self.budget:
                return
            # The order is let go of first: the values can be asked without it.
            self._kept[item] = replace(self._kept[item], prepared=None)
            if self.used + nbytes > self.budget:
                del self._kept[item]


def tensor_budget(megabytes: int) -> int:
    """Bytes for tensors when qviz may take so many megabytes in all; 0 for half of what the machine has."""
    return max(0, (megabytes * MEGABYTE or machine_memory() // 2) - WINDOW_BYTES)
