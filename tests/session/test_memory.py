"""Tensors used last stay in memory, within a budget: an order goes before the values it is of."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import Tensor
from qviz.core.tensors.sorted_tensor import SortedTensor, prepare, prepared_nbytes
from qviz.session import memory as memory_module
from qviz.session.memory import MEGABYTE, WINDOW_BYTES, Kept, Memory, tensor_budget
from qviz.session.state import Item
from tests.every import every
from tests.session.ladder import item


def tensor(name: str = "a", elements: int = 1000) -> Tensor:
    return Tensor(np.arange(elements, dtype=np.float32), name)


PLAIN = Kept(tensor()).nbytes
IN_ORDER = Kept(tensor(), prepare(tensor())).nbytes


class Shelf:
    """A memory with a budget that can be changed, and items to put there."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.memory = Memory(lambda: self.budget)
        self.items: dict[str, Item] = {}

    def keep(self, names: str, *, ordered: bool = False) -> None:
        """One item a letter."""
        for name in names:
            one = tensor(name)
            self.items.setdefault(name, item(name, one))
            self.memory.keep(self.items[name], Kept(one, prepare(one) if ordered else None))

    @property
    def kept(self) -> str:
        """Letters from the one not used for longest; those in order are capitals."""
        return "".join(i.name.upper() if k.prepared else i.name for i, k in self.memory._kept.items())


def test_bytes_are_those_of_the_tensor_and_of_its_order() -> None:
    one = tensor()
    ordered = prepare(one)
    assert Kept(one).nbytes == one.nbytes >= 4000
    assert Kept(one, ordered).nbytes == one.nbytes + ordered.nbytes
    assert ordered.nbytes > 4000


@pytest.mark.parametrize("elements", [100_000, 1_000_000])
def test_what_an_order_will_take_is_known_before(elements: int) -> None:
    needed = SortedTensor(tensor(elements=elements)).nbytes
    assert needed <= prepared_nbytes(elements) <= 1.1 * needed


def test_what_is_kept_is_given_back() -> None:
    shelf = Shelf(10 * IN_ORDER)
    shelf.keep("a", ordered=True)
    kept = shelf.memory.get(shelf.items["a"])
    assert kept is not None
    assert kept.prepared is not None
    assert kept.prepared.tensor is kept.tensor
    assert shelf.memory.get(item("b", tensor("b"))) is None
    assert shelf.memory.used == IN_ORDER


def test_keeping_again_takes_the_place_of_what_was_kept() -> None:
    shelf = Shelf(10 * IN_ORDER)
    shelf.keep("ab")
    shelf.keep("a", ordered=True)
    assert shelf.kept == "bA"
    assert shelf.memory.used == PLAIN + IN_ORDER


@every(
    ("budget", "left"),
    [
        (3 * IN_ORDER, "ABC"),
        (3 * IN_ORDER - 1, "aBC"),
        (2 * IN_ORDER + PLAIN, "aBC"),
        (2 * IN_ORDER + PLAIN - 1, "BC"),
        (2 * IN_ORDER - 1, "bC"),
        (IN_ORDER + PLAIN, "bC"),
        (IN_ORDER + PLAIN - 1, "C"),
        (1, "C"),
        (0, "C"),
    ],
)
def test_those_not_used_for_longest_go_their_order_first_the_last_never(budget: int, left: str) -> None:
    shelf = Shelf(budget)
    shelf.keep("abc", ordered=True)
    assert shelf.kept == left


def test_asking_for_one_is_using_it() -> None:
    shelf = Shelf(3 * PLAIN)
    shelf.keep("abc")
    assert shelf.memory.get(shelf.items["a"]) is not None
    shelf.keep("d")
    assert shelf.kept == "cad"


def test_asking_for_what_is_not_there_changes_nothing() -> None:
    shelf = Shelf(3 * PLAIN)
    shelf.keep("abc")
    assert shelf.memory.get(item("x", tensor("x"))) is None
    assert shelf.kept == "abc"


def test_room_is_made_beside_the_last() -> None:
    shelf = Shelf(3 * IN_ORDER)
    shelf.keep("ab", ordered=True)
    shelf.keep("c")
    needed = IN_ORDER - PLAIN
    shelf.memory.make_room(needed)
    assert shelf.kept == "ABc"
    shelf.memory.make_room(needed + 1)
    assert shelf.kept == "aBc"
    shelf.memory.make_room(3 * IN_ORDER)
    assert shelf.kept == "c"


def test_what_fits_does_so_beside_the_last_alone() -> None:
    shelf = Shelf(2 * IN_ORDER)
    assert shelf.memory.fits(2 * IN_ORDER)
    assert not shelf.memory.fits(2 * IN_ORDER + 1)
    shelf.keep("ab", ordered=True)  # the first can go
    assert shelf.memory.fits(IN_ORDER)
    assert not shelf.memory.fits(IN_ORDER + 1)


def test_the_budget_is_asked_anew() -> None:
    shelf = Shelf(3 * PLAIN)
    shelf.keep("abc")
    shelf.budget = 2 * PLAIN
    assert shelf.memory.budget == 2 * PLAIN
    assert shelf.kept == "abc"
    shelf.memory.make_room(0)
    assert shelf.kept == "bc"


def test_what_is_closed_is_forgotten() -> None:
    shelf = Shelf(9 * PLAIN)
    shelf.keep("abcd")
    shelf.memory.forget(shelf.items["b"])
    shelf.memory.forget(shelf.items["b"])
    assert shelf.kept == "acd"
    shelf.memory.retain((shelf.items["d"], shelf.items["a"], item("x", tensor("x"))))
    assert shelf.kept == "ad"
    shelf.memory.retain(())
    assert shelf.memory.used == 0
    shelf.memory.make_room(10 * PLAIN)  # nothing is left to go


# --- the budget -------------------------------------------------------------------------------------


def test_a_chosen_budget_leaves_room_for_the_window() -> None:
    assert tensor_budget(1024) == 1024 * MEGABYTE - WINDOW_BYTES
    assert tensor_budget(1) == 0


def test_without_a_choice_it_is_half_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "machine_memory", lambda: 16 << 30)
    assert tensor_budget(0) == (8 << 30) - WINDOW_BYTES
