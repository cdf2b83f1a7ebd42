"""Names that do not fit give up what they share, never what tells them apart."""

from __future__ import annotations

from qviz.gui.kit.names import Names, parts_of
from tests.every import every

LAYERS = [
    f"model/model.layers.{layer}.{block}.weight"
    for layer in range(3)
    for block in ("self_attn.q_proj", "self_attn.k_proj", "mlp.up_proj")
]


def fits(letters: int):
    return lambda text: len(text) <= letters


def test_a_name_is_cut_into_parts_and_nothing_is_lost() -> None:
    assert parts_of("a/b.c_d") == ["a/", "b.", "c_", "d"]
    for name in (*LAYERS, "", "...", "w", "a b-c:d\\e"):
        assert "".join(parts_of(name)) == name


def test_a_name_that_fits_stays_as_it_is() -> None:
    assert Names(LAYERS).short(LAYERS[0], fits(100)) == LAYERS[0]


@every(
    ("letters", "short"),
    [
        (38, "…layers.0.self_attn.q_proj.weight"),
        (30, "…0.self_attn.q_proj.weight"),
        (20, "…0.self_…q_…weight"),
        (5, "…0.self_…q_…"),
    ],
)
def test_what_is_shared_gives_way_from_the_left(letters: int, short: str) -> None:
    assert Names(LAYERS).short("model/model.layers.0.self_attn.q_proj.weight", fits(letters)) == short


@every("letters", [5, 12, 20, 28, 36])
def test_all_can_be_told_apart_however_little_room_there_is(letters: int) -> None:
    names = Names(LAYERS)
    assert len({names.short(name, fits(letters)) for name in LAYERS}) == len(LAYERS)


def test_one_alone_keeps_its_end() -> None:
    assert Names(["model.layers.0.weight"]).short("model.layers.0.weight", fits(8)) == "…weight"


def test_one_part_that_is_too_long_does_not_keep_the_others_away() -> None:
    names = [f"model.layers.0.attn_{120 * 'x'}.npy", "normal.npy"]
    assert Names(names).short(names[0], fits(30)) == "model.layers.0.attn_…npy"


def test_a_name_that_another_one_begins_with_is_told_from_it() -> None:
    names = ["model.long_enough.weight", "model.long_enough.weight.bias"]
    short = [Names(names).short(name, fits(6)) for name in names]
    assert len(set(short)) == 2
