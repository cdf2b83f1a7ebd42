"""A formula is written once and read four ways."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core.runtimes.expressions import (
    ATOM,
    Constant,
    Expression,
    Folded,
    Function,
    Number,
    Symbol,
    as_numbers,
    as_python,
    as_symbols,
    evaluate,
    helpers_of,
    keys_of,
    literal,
    replaced,
)
from tests.every import every

A, B = Symbol("a", "first"), Symbol("b", "second")
SQUARE = Function("{0}²", "square({0})", lambda x: x * x, "def square(x):\n    return x * x\n", asks=ATOM)
VALUES = {"first": -3.5, "second": 2.0}


def write(value: float) -> str:
    return f"{value:g}".replace("-", "−")


@every(
    ("expression", "symbols", "numbers", "python"),
    [
        (A + B, "a + b", "−3.5 + 2", "first + second"),
        (B - A, "b − a", "2 − (−3.5)", "second - first"),
        (B - A / B, "b − a / b", "2 − (−3.5) / 2", "second - first / second"),
        ((A + B) * A, "(a + b) · a", "(−3.5 + 2) · (−3.5)", "(first + second) * first"),
        (A - (B - A), "a − (b − a)", "−3.5 − (2 − (−3.5))", "first - (second - first)"),
        (A + (B + Number(0.5, "½")), "a + b + ½", "−3.5 + 2 + ½", "first + (second + 0.5)"),
        (A * (1 / B), "a · (1 / b)", "−3.5 · (1 / 2)", "first * (1 / second)"),
        (A / B * A, "a / b · a", "−3.5 / 2 · (−3.5)", "first / second * first"),
        (A / Folded(B - Constant("k", 1)), "a / (b − k)", "−3.5 / 1", "first / (second - 1)"),
        (2 * A / Folded(Constant("n", 7) - Constant("m", -8)), "2 · a / (n − m)", "2 · (−3.5) / 15", "2 * first / 15"),
        (A / -Constant("k", 8), "a / (−k)", "−3.5 / (−8)", "first / -8"),
        (-(A + B), "−(a + b)", "−(−3.5 + 2)", "-(first + second)"),
        (SQUARE(A + B), "(a + b)²", "(−3.5 + 2)²", "square(first + second)"),
        (SQUARE(B), "b²", "2²", "square(second)"),
    ],
)
def test_each_reading(expression: Expression, symbols: str, numbers: str, python: str) -> None:
    assert as_symbols(expression) == symbols
    assert as_numbers(expression, VALUES, write) == numbers
    assert as_python(expression) == python
    names = {"square": lambda x: x * x, **VALUES}
    assert eval(python, names) == evaluate(expression, VALUES)


def test_a_script_may_have_other_names() -> None:
    assert as_python(A / B, {"second": "scale"}) == "first / scale"
    assert as_python(Symbol("c", "third", "np.max(x)") + A) == "np.max(x) + first"


def test_the_precision_is_that_of_the_values() -> None:
    third = evaluate(A / B, {"first": np.float32(1), "second": np.float32(3)})
    assert third.dtype == np.float32
    assert third == np.float32(1) / np.float32(3)


def test_what_a_formula_is_made_of() -> None:
    formula = SQUARE(A - B) + SQUARE(A)
    assert keys_of(formula) == {"first", "second"}
    assert keys_of(Folded(Constant("k", 1) + 2)) == set()
    assert helpers_of(formula, formula) == ["def square(x):\n    return x * x\n"]
    assert replaced(formula, A - B, B) == SQUARE(B) + SQUARE(A)


def test_a_call_may_show_its_result_alone() -> None:
    inverse = Function("1 / {0}", "inverse({0})", lambda x: 1 / x if x else 0.0, hides=lambda x: x == 0)
    assert as_numbers(inverse(A), {"first": 0.0}, write) == "0"
    assert as_numbers(inverse(A), {"first": 4.0}, write) == "1 / 4"


def test_a_symbol_without_a_value_is_no_number() -> None:
    with pytest.raises(KeyError):
        evaluate(A + B, {"first": 1})


@every(("value", "text"), [(3.0, "3"), (-8, "-8"), (0.5, "0.5"), (1e-9, "1e-09")])
def test_numbers_are_written_so_that_they_are_read_back(value: float, text: str) -> None:
    assert literal(value) == text
    assert float(literal(np.pi)) == np.pi
