"""How does one element go through the formulas? Each rule of its convention, and the rule with numbers in it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qviz.core.arithmetic.element_trace import ElementTrace, trace_elements
from qviz.core.arithmetic.qparams import SMALLEST_SCALE, QParams
from qviz.core.formats.integers import IntFormat
from qviz.core.questions.analysis import Analysis
from qviz.core.runtimes.microscaling import INT8_FRACTION
from qviz.core.runtimes.nvfp4 import E4M3
from qviz.gui.words.groups import code_text
from qviz.session.language import tr

Row = tuple[str, str]


def formula_rows(analysis: Analysis, index: int) -> list[Row]:
    """Scale, zero point, code, value and error of the element at flat ``index``."""
    group = int(analysis.tensor.group_of(analysis.layout, index))
    q = analysis.qparams.for_group(group)
    step = trace_elements(np.asarray(analysis.tensor.values[index : index + 1]), np.array([0]), q)
    x, x_hat = _number(step.value[0]), _number(step.dequantized[0])
    error: Row = (tr("error = x̂ − R"), f"{x_hat} − {_bracket(x)} = {_number(step.error[0])}")
    code = _code(q, step)
    if not q.number_format.scaled:
        return [
            (tr("S = 1: values are rounded as they are"), f"S = {_number(q.scale)}"),
            ("Q = clip(round(R), qmin, qmax)", f"Q = clip(round({x}), {_ends(q)}) = {code}"),
            ("x̂ = Q", f"x̂ = {x_hat}"),
            error,
        ]
    scale_row = _recipe_row(analysis, q) if q.convention.recipe is not None else _scale_row(q)
    return [scale_row, _zero_row(q), _code_row(q, x, code), _value_row(q, step, x_hat), error]


def _scale_row(q: QParams) -> Row:
    convention, number_format, scale = q.convention, q.number_format, _number(q.scale)
    low, high = _number(q.low), _number(q.high)
    if q.scheme.symmetric:
        rule, half = convention.symmetric_scale_formula, convention.half_span(number_format)
        if rule.startswith("S = 2"):
            return rule, f"S = 2 · {high} / {2 * half:g} = {scale}"
        return rule, f"S = {_floored(rule, high, f'{half:g}')} = {scale}"
    first, last = convention.scale_range(_integers(q))
    rule = convention.scale_formula
    return rule, f"S = {_floored(rule, f'{high} − {_bracket(low)}', f'{last - first}')} = {scale}"


def _recipe_row(analysis: Analysis, q: QParams) -> Row:
    """The scale of a block: what went in, and what came out."""
    absmax = _number(max(abs(float(q.low)), abs(float(q.high))))
    row = {"gguf": _gguf_row, "nvfp4": _nvfp4_row}.get(q.convention.name, _microscaling_row)
    return row(analysis, q, absmax)


def _microscaling_row(analysis: Analysis, q: QParams, absmax: str) -> Row:
    rule, fraction, over = q.convention.symmetric_scale_formula, 1.0, ""
    if isinstance(q.number_format, IntFormat):  # whole numbers of 64ths
        fraction, over = INT8_FRACTION, f" / {INT8_FRACTION:g}"
    largest = q.quant_max / fraction
    power = _number(math.frexp(float(q.scale) * fraction)[1] - 1)
    known = f"qmax = {_number(largest)}" if "qmax" in rule else f"emax = {math.frexp(largest)[1] - 1}"
    return rule + over, f"absmax = {absmax}, {known}: S = 2^{power}{over} = {_number(q.scale)}"


def _nvfp4_row(analysis: Analysis, q: QParams, absmax: str) -> Row:
    rule, scale = q.convention.symmetric_scale_formula, _number(q.scale)
    ends = analysis.qparams
    most = np.maximum(np.abs(ends.low), np.abs(ends.high)).max().astype(np.float32)
    whole = most / np.float32(q.quant_max * E4M3.quant_max)
    if analysis.groups is None or whole < SMALLEST_SCALE:  # a block alone does not know the tensor's own scale
        return rule, f"absmax = {absmax}: S = {scale}"
    share = E4M3.round(np.asarray(q.scale / whole, np.float32).reshape(1), np.empty(1, np.float32))[0]
    return rule, f"absmax = {absmax}, G = {_number(whole)}: S = {_number(share)} · {_number(whole)} = {scale}"


def _gguf_row(analysis: Analysis, q: QParams, absmax: str) -> Row:
    low, high, fine = float(q.low), float(q.high), _number(q.divisor)
    middle = f"{q.number_format.levels // 2}"
    if q.number_format.signed:
        rule, numbers = "S = absmax / qmax", f"{absmax} / {_number(q.quant_max)}"
    elif q.scheme.symmetric:
        extreme = low if abs(low) >= abs(high) else high
        rule, numbers = "S = extreme / −middle", f"{_number(extreme)} / −{middle}"
    else:
        rule = q.convention.scale_formula
        numbers = f"({_number(high)} − {_bracket(_number(low))}) / {_number(q.quant_max)}"
    stored = tr("{fine}, stored as {scale}").format(fine=fine, scale=_number(q.scale))
    return rule, f"S = {numbers} = {stored}"


def _zero_row(q: QParams) -> Row:
    convention, zero = q.convention, _number(q.zero_point)
    if q.scheme.symmetric:
        return tr("Z is fixed by symmetry"), f"Z = {zero}"
    rule = convention.zero_point_formula
    if q.offset is not None:
        return rule, tr("Z = {zero}, min = {low}, stored as {offset}").format(
            zero=zero, low=_number(q.shift), offset=_number(q.offset)
        )
    first, _ = convention.scale_range(_integers(q))
    low, scale = _bracket(_number(q.low)), _number(q.scale)
    if rule.startswith("Z = clip"):
        filled = f"clip({_number(first)} − round({low} / {scale}), {_ends(q)})"
    elif rule.startswith("Z = round(clip"):
        filled = f"round(clip({_number(first)} − {low} / {scale}, {_ends(q)}))"
    elif convention.range_includes_zero:
        filled = f"round({_number(first)} − {low} / {scale})"
    else:
        filled = f"{_number(q.quant_max)} − {_bracket(_number(q.high))} / {scale}"
    return rule, f"Z = {filled} = {zero}"


def _code_row(q: QParams, x: str, code: str) -> Row:
    convention, zero, divisor = q.convention, _bracket(_number(q.zero_point)), _number(q.divisor)
    rule = convention.code_formula
    if convention.code is not None:
        return _gguf_code_row(q, x, code)
    divided = f"{x} / {_bracket(divisor)}"
    if convention.divisor_is_inverse:
        divided = f"{x} · {divisor}"
    elif q.multiplies:
        divided = f"{x} · (1 / {_bracket(divisor)})"
    elif q.factor is not None:
        divided = f"{x} / {divisor} · {_number(q.factor)}"
    elif convention.multiplies_by_reciprocal:  # but not for such codes
        rule = rule.replace("R · (1 / S)", "R / S")
    if "Z" not in rule:
        filled = f"round({divided})"
    elif convention.zero_point_before_rounding:
        filled = f"round({divided} + {zero})"
    else:
        filled = f"round({divided}) + {zero}"
    return rule, f"Q = clip({filled}, {_ends(q)}) = {code}"


def _gguf_code_row(q: QParams, x: str, code: str) -> Row:
    divisor = _number(q.divisor)
    inverse = f"(1 / {_bracket(divisor)})" if float(q.divisor) else "0"
    if q.number_format.signed:
        rule = tr("Q = clip(round(R · (1 / S)), qmin, qmax), halves away from 0")
        return rule, f"Q = clip(round({x} · {inverse}), {_ends(q)}) = {code}"
    rule, shifted = q.convention.code_formula, f"({x} − {_bracket(_number(q.shift))})" if q.shift is not None else x
    if q.shift is None:
        rule = rule.replace("(R − min)", "R")
    return rule, f"Q = clip(floor({shifted} · {inverse} + {_number(q.zero_point)} + ½), {_ends(q)}) = {code}"


def _value_row(q: QParams, step: ElementTrace, x_hat: str) -> Row:
    unit = _number(q.number_format.decode(step.code)[0])
    filled = f"({unit} − {_bracket(_number(q.zero_point))}) · {_bracket(_number(q.scale))}"
    if q.offset is None:
        return "x̂ = (Q − Z) · S", f"x̂ = {filled} = {x_hat}"
    return "x̂ = (Q − Z) · S + min", f"x̂ = {filled} + {_bracket(_number(q.offset))} = {x_hat}"


def _code(q: QParams, step: ElementTrace) -> str:
    """A code; where it is not the number that it stands for, both."""
    text = code_text(q.number_format, step.code[0])
    if isinstance(q.number_format, IntFormat):
        return text
    unit = _number(q.number_format.decode(step.code)[0])
    return tr("{unit} (code {code})").format(unit=unit, code=text)


def _integers(q: QParams) -> IntFormat:
    assert isinstance(q.number_format, IntFormat)  # nothing else has a zero point
    return q.number_format


def _ends(q: QParams) -> str:
    return f"{_number(q.quant_min)}, {_number(q.quant_max)}"


def _floored(rule: str, width: str, steps: str) -> str:
    """A width over its steps, with the floor that the rule has for one of them."""
    many = f"({width})" if "−" in width[1:] else width
    if "max(" not in rule:
        return f"{many} / {steps}"
    floor = rule[rule.index("max(") :].split(", ")[1].split(")", maxsplit=1)[0]
    if f"{floor}) /" in rule:  # of the range, not of the scale
        return f"max({width}, {floor}) / {steps}"
    return f"max({many} / {steps}, {floor})"


def _number(value: Any) -> str:
    return f"{float(value) + 0.0:.6g}".replace("-", "−")


def _bracket(text: str) -> str:
    return f"({text})" if text.startswith("−") else text
