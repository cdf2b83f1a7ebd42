"""How does one element go through the formulas? Each rule of its convention, and the rule with numbers in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from qviz.core.arithmetic.element_trace import ElementTrace, trace_elements
from qviz.core.arithmetic.formula_values import formulas_of, group_values, range_values, with_meanings
from qviz.core.arithmetic.qparams import SMALLEST_SCALE, QParams
from qviz.core.formats.integers import IntFormat
from qviz.core.ranges.known import Known
from qviz.core.runtimes.expressions import Expression, Formula, Values, as_numbers, as_symbols, evaluate, keys_of
from qviz.core.runtimes.formulas import ABSMAX, EXTREME, MAX, MIN, Q, R, S
from qviz.gui.words.groups import code_text
from qviz.gui.words.numbers import number
from qviz.session.language import tr

if TYPE_CHECKING:
    from qviz.core.questions.analysis import Analysis

Row = tuple[str, str]

DIGITS = (6, 9)
"""As many as are read easily, and as many as tell every float32 from its neighbours."""


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
            exact = exact and _comes_to(expression, known, result) and _is_plain(expression, known, result)
            digits = next((d for d in DIGITS if _close(expression.value(_rounded(known, d)), result)), DIGITS[-1])
            filled = as_numbers(expression, known, _writer(digits))
            meanings = ", ".join(
                f"{each.symbol.name} = {as_numbers(each.expression, known, _writer(digits))} "
                f"= {_writer(digits)(known[each.symbol.key])}"
                for each in formula.where
            )
    except KeyError:
        exact = False
    if not exact:
        return _in_and_out(formula, values, f"{name} = {text}")
    equation = f"{name} = {filled}" if filled == text else f"{name} = {filled} = {text}"
    return f"{meanings}: {equation}" if meanings else equation


def _in_and_out(formula: Formula, values: Values, out: str) -> str:
    used = keys_of(*formula.expressions)
    went_in = [
        f"{each.name} = {_number(values[each.key])}" for each in (R, MIN, MAX, ABSMAX, EXTREME) if each.key in used
    ]
    return f"{', '.join(went_in)}: {out}" if went_in else out


def _rounded(values: Values, digits: int) -> Mapping[str, Any]:
    """The numbers as they are written."""
    return {
        key: value.dtype.type(f"{float(value):.{digits}g}") if isinstance(value, np.ndarray | np.generic) else value
        for key, value in values.items()
    }


def _is_plain(expression: Expression, values: Values, result: Any) -> bool:
    """Whether nothing is infinite, NaN, or divided by 0."""
    used = {key: values[key] for key in keys_of(expression)}
    finite = np.isfinite(result).all() and all(np.isfinite(value).all() for value in used.values())
    return bool(finite and np.all(used.get(S.key, 1) != 0))


def _comes_to(expression: Expression, values: Values, result: Any) -> bool:
    """Whether a person who calculates along gets the result: not among denormal numbers, which have few digits."""
    if not np.all(np.abs(result) < SMALLEST_SCALE):
        return True
    return _close(expression.value({key: np.asarray(value, np.float64)[()] for key, value in values.items()}), result)


def _close(value: Any, result: Any) -> bool:
    return bool(np.isclose(float(value), float(result), rtol=1e-5, atol=0))


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
