"""A problem is one sentence, in English or in the language of whoever reads it."""

from __future__ import annotations

import pickle

from qviz.core.problems import Phrase, Problem
from qviz.core.questions.product_operands import OperandProblem
from qviz.files.problems import FileProblem
from tests.every import every


def german(text: str) -> str:
    return {
        "{count:,} bits are too many: choose {least} or more.": "Wählen Sie {least} oder mehr: {count:,} Bits sind es.",
        "all {what}": "lauter {what}",
        "zeros": "Nullen",
        "{file} {what}. {advice}": "{file} {what}. {advice}",
        "has {rows} rows": "hat {rows} Zeilen",
        "Give it {least}.": "Gib ihr {least}.",
        "broken {value}": "kaputt {wert}",
    }.get(text, text)


def test_the_sentence_has_its_values_in_it():
    assert str(Problem("{count:,} bits in {name!r}.", count=10_000, name="w")) == "10,000 bits in 'w'."


def test_a_translation_may_say_them_in_another_order():
    problem = Problem("{count:,} bits are too many: choose {least} or more.", count=1000, least=2)
    assert problem.told(german) == "Wählen Sie 2 oder mehr: 1,000 Bits sind es."


def test_words_among_the_values_are_translated_too():
    assert Problem("all {what}", what=Phrase("zeros")).told(german) == "lauter Nullen"
    assert str(Problem("all {what}", what=Phrase("zeros"))) == "all zeros"


def test_a_problem_inside_another_one_loses_its_full_stop():
    inner = Problem("There is none.")
    assert str(Problem("The file is no scheme: {why}. Save it again.", why=inner)) == (
        "The file is no scheme: There is none. Save it again."
    )


def test_a_name_among_the_values_stays_on_its_line():
    assert str(Problem("{name} has no {part}.", name="a\nb\x1b", part=Phrase("“{x}”", x="\t"))) == "a␊b␛ has no “␉”."


def test_what_a_value_says_is_never_taken_for_a_template():
    assert str(Problem("There is no “{name}”.", name="{0.__class__}")) == "There is no “{0.__class__}”."
    assert str(FileProblem("a{b}.csv", "is {empty}", "Fill it.")) == "a{b}.csv is {empty}. Fill it."


def test_a_translation_with_unknown_values_falls_back_to_english():
    assert Problem("broken {value}", value=1).told(german) == "broken 1"


def test_a_file_says_what_is_wrong_with_it_in_both_languages():
    problem = FileProblem("/tmp/w.csv", "has {rows} rows", "Give it {least}.", rows=1, least=2)
    assert str(problem) == "w.csv has 1 rows. Give it 2."
    assert problem.told(german) == "w.csv hat 1 Zeilen. Gib ihr 2."


@every(
    "problem",
    [
        Problem("{n} bits of {what}", n=3, what=Phrase("zeros")),
        FileProblem("w.npy", "has {rows} rows", "Give it {least}.", rows=1, least=2),
        OperandProblem("The {axis} axis", "weight", axis=Phrase("last")),
        OperandProblem.of("activation", Problem("{n} bits.", n=3)),
    ],
    ids=str,
)
def test_it_survives_a_trip_between_processes(problem):
    there = pickle.loads(pickle.dumps(problem))  # noqa: S301
    assert type(there) is type(problem)
    assert str(there) == str(problem)
    assert there.args == problem.args
    assert getattr(there, "operand", None) == getattr(problem, "operand", None)
