"""How does one element go through the formulas? Each rule of its convention, and the rule with numbers in it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from qviz.core.arithmetic.element_trace import ElementTrace, trace_elements
from qviz.core.arithmetic.formula_values import formulas_of, group_values, range_values, with_meanings
from qviz.core.arithmetic.qparams import SMALLEST_SCALE, QParams
from qviz.core.formats.integers import IntFormat
from qviz.core.ranges.known import Known
from qviz.core.runtimes.expressions import (
    POWER,
    Binary,
    Call,
    Constant,
    Expression,
    Folded,
    Formula,
    Number,
    Values,
    as_numbers,
    as_symbols,
    denominators,
    evaluate,
    keys_of,
    walk,
    written_out,
)
from qviz.core.runtimes.formulas import ABSMAX, EXTREME, MAX, MIN, Q, R, S
from qviz.gui.words.groups import code_text
from qviz.gui.words.numbers import number
from qviz.session.language import tr

if TYPE_CHECKING:
    from qviz.core.questions.analysis import Analysis

Row = tuple[str, str]

DIGITS = (6, 9, 12)
"""As many as are read easily, as tell every float32 from its neighbours, and as decide most powers of two."""


DIGITS_ALIKE, FEW_DIGITS = 1e-5, 1e-4
"""How far what is written may be from what comes of it; of what a symbol stands for, among denormal numbers."""


def formula_rows(analysis: Analysis, index: int) -> list[Row]:
    """Scale, zero point, code, value and error of the element at flat ``index``."""
    group = int(analysis.tensor.group_of(analysis.layout, index))
    q = analysis.qparams.for_group(group)
    trace = trace_elements(analysis.tensor.original(index, index + 1, drawn=True), np.array([0]), q)
    # A group that was taken out of its tensor does not know what the tensor has once.
    whole = analysis.qparams if analysis.qparams.scale.ndim else None
    return [
        _scale_row(q, whole),
        *_zero_point_row(q),
        _code_row(q, trace),
        _value_row(q, trace),
        _error_row(trace),
    ]


def _scale_row(q: QParams, whole: QParams | None) -> Row:
    formula, values = formulas_of(q).scale, range_values(q, whole)
    if not q.number_format.scaled:
        return _rule(formula), f"S = {_number(q.scale)}"
    if isinstance(q.scheme.range_rule, Known):
        return tr("S is known"), f"S = {_number(q.scale)}"
    return _rule(formula), _filled(formula, values, q.scale, _number(q.scale))


def _zero_point_row(q: QParams) -> list[Row]:
    formulas, zero_point = formulas_of(q), _number(q.zero_point)
    if not q.number_format.scaled:
        return []
    if isinstance(q.scheme.range_rule, Known) and not q.scheme.symmetric:
        return [(tr("Z is known"), f"Z = {zero_point}")]
    if formulas.zero_point is None:
        return [(tr("Z is fixed by symmetry"), f"Z = {zero_point}")]
    rule, values = _rule(formulas.zero_point), range_values(q)
    if not q.convention.of_elements:  # whose formulas have no numbers
        with np.errstate(all="ignore"):
            values[S.key] = evaluate(formulas.scale.expression, values)  # before it was rounded to float32
    numbers = _filled(formulas.zero_point, values, q.zero_point, zero_point)
    if formulas.offset is None:
        return [(rule, numbers)]
    offset = _filled(formulas.offset, values, q.offset, _number(q.offset)).rpartition(": ")[2]
    return [(tr("{rule}, with {meaning}").format(rule=rule, meaning=_rule(formulas.offset)), f"{numbers}, {offset}")]


def _code_row(q: QParams, trace: ElementTrace) -> Row:
    formulas = formulas_of(q)
    rule, divisor = _rule(formulas.code), formulas.divisor
    if divisor is not None and divisor.symbol.name != S.name:
        rule = tr("{rule}, with {meaning}").format(rule=rule, meaning=_rule(divisor))
    if formulas.unstored is not None:
        rule = tr("{rule}, with {meaning}").format(rule=rule, meaning=_rule(formulas.unstored))
    values = group_values(q) | {R.key: trace.value[0]}
    return rule, _filled(formulas.code, values, _unit(q, trace), _code(q, trace))


def _value_row(q: QParams, trace: ElementTrace) -> Row:
    formula, values = formulas_of(q).value, group_values(q) | {Q.key: _unit(q, trace)}
    return _rule(formula), _filled(formula, values, trace.dequantized[0], _number(trace.dequantized[0]))


def _error_row(trace: ElementTrace) -> Row:
    x, x_hat = _number(trace.value[0]), _number(trace.dequantized[0])
    bracketed = f"({x})" if x.startswith("−") else x
    return tr("error = x̂ − R"), f"{x_hat} − {bracketed} = {_number(trace.error[0])}"


def _rule(formula: Formula) -> str:
    """A formula in symbols, and what its symbols mean."""
    rule = f"{formula.symbol.name} = {as_symbols(formula.expression)}"
    if formula.where:
        meanings = ", ".join(_rule(each) for each in formula.where)
        rule = tr("{rule}, with {meaning}").format(rule=rule, meaning=meanings)
    return rule + "".join(tr(note) for note in (formula.note, formula.rounded) if note)


def _filled(formula: Formula, values: Values, result: Any, text: str) -> str:
    """A formula with numbers in it, where they give the result; else what went in, and what came out."""
    name, expression = formula.symbol.name, formula.expression
    try:
        with np.errstate(all="ignore"):
            known = with_meanings(formula, values)
            exact = np.array_equal(np.float32(evaluate(expression, known)), result)
            exact = exact and _comes_to(formula, known, result) and _is_plain(formula, known, result)
            if not exact:
                return _in_and_out(formula, values, f"{name} = {text}")
            digits = _digits(expression, known, result)
            filled = as_numbers(expression, known, _writer(digits))
            meanings = ", ".join(
                f"{each.symbol.name} = {as_numbers(each.expression, known, _writer(digits))} "
                f"= {_writer(digits)(known[each.symbol.key])}"
                for each in formula.where
            )
    except KeyError:
        return _in_and_out(formula, values, f"{name} = {text}")
    equation = f"{name} = {filled}" if filled == text else f"{name} = {filled} = {text}"
    return f"{meanings}: {equation}" if meanings else equation


def _in_and_out(formula: Formula, values: Values, out: str) -> str:
    used = keys_of(*formula.expressions)
    went_in = [
        f"{each.name} = {_number(values[each.key])}" for each in (R, MIN, MAX, ABSMAX, EXTREME) if each.key in used
    ]
    return f"{', '.join(went_in)}: {out}" if went_in else out


def _digits(expression: Expression, values: Values, result: Any) -> int:
    """How many digits of the numbers give the result, to a person who calculates with what is written, too."""
    enough = []
    for digits in DIGITS:
        fixed = _fixed(expression, digits)
        if _close(fixed.value(_as_written(values, digits, exactly=False)), result):
            if _close(fixed.value(_as_written(values, digits, exactly=True)), result):
                return digits
            enough.append(digits)
    return next(iter(enough), DIGITS[1])


def _as_written(values: Values, digits: int, *, exactly: bool) -> Values:
    """Numbers as they are read again: each in its own type, or ``exactly``."""
    return {
        key: (np.float64 if exactly else value.dtype.type)(f"{float(value):.{digits}g}")
        if isinstance(value, np.ndarray | np.generic)
        else value
        for key, value in values.items()
    }


def _fixed(expression: Expression, digits: int) -> Expression:
    """The same with what the format and the convention fix as it is written."""
    if isinstance(expression, Constant | Folded):
        return expression if keys_of(expression) else Number(float(f"{float(expression.value({})):.{digits}g}"))
    return expression.rebuilt(tuple(_fixed(part, digits) for part in expression.parts))


def _is_plain(formula: Formula, values: Values, result: Any) -> bool:
    """Whether nothing that is written is infinite, NaN, or divided by 0."""
    used = {key: values[key] for key in keys_of(formula.expression)}
    nodes = list(written_out(values, *formula.expressions))
    steps = (node.value(values) for node in nodes if isinstance(node, Binary))
    finite = (np.isfinite(value).all() for value in (result, *used.values(), *steps))
    below = (used.get(S.key, 1), *(part.value(values) for part in denominators(nodes)))
    return bool(all(finite) and all(np.all(value != 0) for value in below))


def _comes_to(formula: Formula, values: Values, result: Any) -> bool:
    """Whether a person who calculates along gets the results: not among denormal numbers, which have few digits."""
    results = [*((each.expression, values[each.symbol.key], FEW_DIGITS) for each in formula.where)]
    return all(_follows(*each, values) for each in (*results, (formula.expression, result, DIGITS_ALIKE)))


def _follows(expression: Expression, result: Any, tolerance: float, values: Values) -> bool:
    if not np.all(np.abs(result) < SMALLEST_SCALE) and not any(
        _is_denormal(values[key]) for key in keys_of(expression)
    ):
        return True
    powers = (node for node in walk(expression) if isinstance(node, Call) and node.function.holds == POWER)
    if np.all(result == 0) and any(powers):  # which are never 0
        return False
    exact = expression.value({key: np.asarray(value, np.float64)[()] for key, value in values.items()})
    return _close(exact, result, tolerance)


def _is_denormal(value: Any) -> bool:
    return bool(np.any((value != 0) & (np.abs(value) < SMALLEST_SCALE)))


def _close(value: Any, result: Any, tolerance: float = DIGITS_ALIKE) -> bool:
    value, result = float(value), float(result)
    return value == result or (math.isfinite(result) and abs(value - result) <= tolerance * abs(result))


def _unit(q: QParams, trace: ElementTrace) -> Any:
    """The number that the code stands for."""
    return q.number_format.decode(trace.code)[0]


def _code(q: QParams, trace: ElementTrace) -> str:
    """A code; where it is not the number that it stands for, both."""
    text = code_text(q.number_format, trace.code[0])
    if isinstance(q.number_format, IntFormat):
        return text
    return tr("{unit} (code {code})").format(unit=_number(_unit(q, trace)), code=text)


def _writer(digits: int) -> Callable[[Any], str]:
    return lambda value: number(float(value), digits)


_number = _writer(DIGITS[0])
