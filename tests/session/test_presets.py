"""Named schemes: those of qviz, the person's own, and what the settings bring back of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qviz.core import IntFormat, PerBlock, Percentile, Problem, Scheme
from qviz.core.schemes.presets import PRESETS
from qviz.session.presets import LONGEST_NAME, OWN, Presets
from tests.session.conftest import Heard

pytestmark = pytest.mark.usefixtures("qapp")

MINE = Scheme(IntFormat(3), range_rule=Percentile(97.0))
OTHER = Scheme(IntFormat(5), granularity=PerBlock(-1, 7))


@pytest.fixture
def presets() -> Presets:
    return Presets()


def test_it_begins_with_those_of_qviz(presets: Presets) -> None:
    assert presets.all == PRESETS
    assert all(presets.named(preset.scheme) == preset for preset in PRESETS)
    assert not any(presets.is_own(preset.name) for preset in PRESETS)
    assert presets.named(MINE) is None


def test_ones_own_come_first_and_are_told(presets: Presets) -> None:
    heard = Heard(presets, "changed")
    presets.save("  my   own\t", MINE)
    presets.save("other", OTHER)
    assert [(p.group, p.name, p.scheme) for p in presets.all[:2]] == [(OWN, "my own", MINE), (OWN, "other", OTHER)]
    assert presets.all[2:] == PRESETS
    assert presets.named(MINE) == presets.all[0]
    assert presets.is_own("my own")
    assert heard.names == ["changed"] * 2


def test_a_scheme_has_one_name_of_ones_own(presets: Presets) -> None:
    presets.save("mine", MINE)
    with pytest.raises(Problem, match="You have this scheme as “mine” already: choose that"):
        presets.save("Mine", MINE)
    presets.save("mine", MINE)
    presets.save("what I ship", PRESETS[0].scheme)  # one of qviz may have another name
    assert [preset.name for preset in presets.all[:2]] == ["mine", "what I ship"]


def test_the_same_name_gives_way(presets: Presets) -> None:
    presets.save("mine", MINE)
    presets.save("mine", OTHER)
    assert len(presets.all) == len(PRESETS) + 1
    assert presets.named(MINE) is None


def test_ones_own_name_of_a_scheme_goes_before_that_of_qviz(presets: Presets) -> None:
    scheme = PRESETS[0].scheme
    presets.save("mine", scheme)
    named = presets.named(scheme)
    assert named is not None
    assert named.name == "mine"


@pytest.mark.parametrize("name", ["", "   ", "\n", "x" * (LONGEST_NAME + 1)])
def test_a_name_needs_letters_and_not_too_many(presets: Presets, name: str) -> None:
    with pytest.raises(Problem, match=f"a name of 1 to {LONGEST_NAME} letters"):
        presets.save(name, MINE)
    assert presets.all == PRESETS


@pytest.mark.parametrize("name", ["Symmetric", " NVFP4 "])
def test_the_names_of_qviz_are_taken(presets: Presets, name: str) -> None:
    with pytest.raises(Problem, match=f"“{name.strip()}” comes with qviz: choose another name"):
        presets.save(name, MINE)


def test_a_name_may_be_as_long_as_it_may(presets: Presets) -> None:
    presets.save("ä" * LONGEST_NAME, MINE)
    assert presets.is_own("ä" * LONGEST_NAME)


def test_ones_own_can_be_removed_and_no_other(presets: Presets) -> None:
    presets.save("mine", MINE)
    heard = Heard(presets, "changed")
    presets.remove("mine")
    assert presets.all == PRESETS
    presets.remove("mine")
    presets.remove("Symmetric")
    assert presets.all == PRESETS
    assert heard.names == ["changed"]


def test_plain_values_bring_them_back_in_order(presets: Presets) -> None:
    presets.save("z", MINE)
    presets.save("a", OTHER)
    again = Presets()
    heard = Heard(again, "changed")
    again.restore(json.loads(json.dumps(presets.to_list())))
    assert again.all == presets.all
    assert heard.names == ["changed"]


GOOD = {"name": "good", "scheme": MINE.to_dict()}


@pytest.mark.parametrize(
    "damaged",
    [
        None,
        5,
        "scheme",
        [],
        {},
        {"name": "half"},
        {"scheme": MINE.to_dict()},
        {"name": "bad", "scheme": {}},
        {"name": "bad", "scheme": None},
        {"name": "bad", "scheme": MINE.to_dict() | {"convention": "abacus"}},
        {"name": "", "scheme": MINE.to_dict()},
        {"name": "Symmetric", "scheme": MINE.to_dict()},
        {"name": "x" * 10_000, "scheme": MINE.to_dict()},
    ],
)
def test_a_damaged_entry_is_left_out(presets: Presets, damaged: Any) -> None:
    presets.restore([damaged, GOOD])
    assert [preset.name for preset in presets.all if presets.is_own(preset.name)] == ["good"]


@pytest.mark.parametrize("data", [None, 5, "[]", {}, {"name": "x"}])
def test_what_is_no_list_is_nothing(presets: Presets, data: object) -> None:
    presets.restore(data)
    assert presets.all == PRESETS
