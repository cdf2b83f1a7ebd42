"""A point of a budget's front tells what each tensor gets."""

from __future__ import annotations

import math

import numpy as np

from qviz.core import IntFormat, PerBlock, Scheme
from qviz.models.budget import KEEP, Front, Option, Unit
from qviz.session.checkpoint_budget import Budget

SCHEMES = {Scheme(IntFormat(bits), granularity=PerBlock(-1, 32)): f"int{bits}" for bits in (8, 4)}


def test_a_point_of_a_budget_tells_its_bits_and_counts() -> None:
    options = (Option("int8", 80, 1.0), Option("int4", 40, 5.0), Option(KEEP, 160, 0.0))
    units = (Unit(("a", "b"), options), Unit(("c",), (options[2], options[1])))
    budget = Budget(units, Front.of(units), 7, 100.0, SCHEMES)
    assert budget.counts(0) == {"int4": 3}
    assert budget.bits(0).tolist() == [4, 4]
    last = len(budget.front) - 1
    assert budget.counts(last) == {KEEP: 3}
    assert np.isnan(budget.bits(last)).all()
    assert (budget.nbytes[0], budget.nbytes[last]) == (87, 327)
    assert budget.sqnr_db[last] == math.inf
    middle = next(at for at in range(last) if "int8" in budget.counts(at))
    assert {choice.name: choice.scheme for choice in budget.choices(middle)}["b"] == next(iter(SCHEMES))


def test_weights_that_are_all_0_lose_nothing(recwarn):
    nothing = np.zeros(2, np.int64)
    zeros = Front(np.array([4.0, 8.0]), np.array([0.0, 0.0]), nothing, nothing, nothing)
    assert Budget((), zeros, 0, 0.0, {}).sqnr_db.tolist() == [np.inf, np.inf]
    assert not recwarn.list
