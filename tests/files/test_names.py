"""Files that are called after tensors and schemes have names that every file system takes."""

from __future__ import annotations

from pathlib import Path

from qviz.files.names import LONGEST_PART, numbered, plain_name, stem_of
from tests.every import every

HOSTILE = [
    "../../etc/passwd",
    "/",
    'a\\b:c*d?e"f<g>h|i',
    "<h1>big</h1>",
    "nul\0line\nescape\x1b[31m",
    "\udcff\udc80",
    ".hidden",
    "-rf",
    "x" * 5000,
    "权重" * 500,
    "model/model.layers.0.self_attn.q_proj.weight",
    "",
    "   ",
    "…",
    "e\u0301",
]


@every("text", HOSTILE)
def test_whatever_the_text_a_file_of_that_name_can_be_made_in_the_folder_it_was_meant_for(
    tmp_path: Path, text: str
) -> None:
    name = plain_name(text)
    assert 0 < len(name.encode()) <= LONGEST_PART
    assert not name.startswith((".", "-"))
    path = tmp_path / f"{name}.png"
    path.write_bytes(b"")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_letters_of_any_script_and_plain_signs_stay() -> None:
    assert plain_name("layers.0_q-proj") == "layers.0_q-proj"
    assert plain_name("权重 müde 4") == "权重-müde-4"
    assert plain_name("int8 · symmetric · 99.9 %") == "int8-symmetric-99.9"


def test_long_texts_that_begin_alike_stay_apart() -> None:
    one, other = (plain_name("model.layers." * 20 + end) for end in ("q", "k"))
    assert one != other
    assert one[:30] == other[:30]


def test_a_stem_joins_what_there_is() -> None:
    assert stem_of("a/b", "", "values") == "a-b_values"
    assert len(stem_of("x" * 999, "y" * 999, "decision_answers").encode()) < 143 - len("-levels (99).csv")


def test_a_number_stands_before_the_ending() -> None:
    assert numbered(Path("f/a.b.png"), 1) == Path("f/a.b.png")
    assert numbered(Path("f/a.b.png"), 3) == Path("f/a.b (3).png")
