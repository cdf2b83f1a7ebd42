"""Is a formula with numbers in it true: does what stands on its left side give what stands on its right?"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

from qviz.core.arithmetic.qparams import SMALLEST_SCALE
from qviz.core.arithmetic.quantize import dequantize, quantize
from qviz.core.formats.floats import FloatFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.questions.analysis import Analysis
from qviz.core.runtimes.precision import as_bfloat16
from qviz.gui.tensor.formula_rows import formula_rows

TYPES = {"float16": lambda number: float(np.float16(number)), "bfloat16": lambda number: float(as_bfloat16(number))}
"""What rounds to a narrower type."""

NUDGES = (0.0, -1e-6, 1e-6)
"""Of numbers with six digits: they leave it open where what lies in the very middle of two goes."""


class Stepped:
    """A number of which every step is rounded to a type, and nudged before."""

    def __init__(self, number: float, dtype: str, nudge: float) -> None:
        self.number, self.dtype, self.nudge = float(number), dtype, nudge

    def __float__(self) -> float:
        return self.number

    def _step(self, number: float) -> Stepped:
        return Stepped(TYPES[self.dtype](number * (1 + self.nudge)), self.dtype, self.nudge)

    def __add__(self, other: Any) -> Stepped:
        return self._step(self.number + float(other))

    def __sub__(self, other: Any) -> Stepped:
        return self._step(self.number - float(other))

    def __mul__(self, other: Any) -> Stepped:
        return self._step(self.number * float(other))

    def __truediv__(self, other: Any) -> Stepped:
        return self._step(self.number / float(other))

    def __neg__(self) -> Stepped:
        return Stepped(-self.number, self.dtype, self.nudge)


def rounded_by(rule: str, text: str, number_format: NumberFormat, nudge: float, near: float) -> list[float]:
    """What an expression may come to under its rule, which says how halves are rounded, and to which type numbers."""
    away = "away" in rule
    told = re.search(r"(each step )?rounded to (b?float16)", rule)
    if told is None:
        return [
            value(text, number_format, away, nudge, slight=each)
            for each in ((0, -1e-9, 1e-9) if "log2" in text else (0,))
        ]
    if told[1] is None:
        exact = value(text, number_format, away, nudge)
        return [TYPES[told[2]](exact + slight) for slight in (0, -1e-6 * abs(exact) - near, 1e-6 * abs(exact) + near)]
    return [value(text, number_format, away, nudge, told[2], each) for each in NUDGES]


def value(
    text: str,
    number_format: NumberFormat,
    halves_away: bool = False,
    nudge: float = 0.0,
    steps: str = "",
    slight: float = 0.0,
) -> float:
    """What an expression as it is written comes to.

    Parameters
    ----------
    nudge : float
        Is added to what is rounded, as a part of it.
    steps : str
        The type that every step is rounded to; empty for none.
    slight : float
        By which share what such a step, or a logarithm, is taken of is nudged.
    """

    def to_nearest(number: float, codes: NumberFormat) -> float:
        one = np.array([number], np.float32)
        return float(codes.round(one, np.empty_like(one))[0])

    def to_unsigned(number: float) -> float:
        """Of 8 bits without a sign, halves up: the numbers of E4M3, where those above 240 read as 448."""
        levels = FloatFormat("e4m3fn").values
        levels = levels[levels >= 0].astype(np.float64)
        nearest = float(levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, number, side="right")])
        if number < 2**-6:  # nothing is carried over from there
            return min(nearest, 7 / 512)
        return nearest if nearest <= 240 else 448.0

    def rounded(number: float) -> float:
        number += nudge * max(abs(number), 1)
        if halves_away:
            return math.copysign(math.floor(abs(number) + 0.5), number)
        return to_nearest(number, number_format)

    known: dict[str, Any] = {
        "round": rounded,
        "clip": lambda number, low, high: min(max(number, low), high),
        "floor": lambda number: number if math.isinf(number) else math.floor(number),
        "ceil": lambda number: number if math.isinf(number) else math.ceil(number),
        "log2": lambda number: math.log2(number * (1 + slight)) if number else -math.inf,
        "f16": lambda number: float(np.float16(number)),
        "bf16": lambda number: float(as_bfloat16(number)),
        "ue4m3": to_unsigned,
        "e4m3": lambda number: to_nearest(number, FloatFormat("e4m3fn")),
        "dq": float,  # written out for scales that are all alike, of which nothing is lost
        "max": max,
        "min": min,
        "signed": lambda low, high: abs(low) if abs(low) >= high else -high,
        "nan": math.nan,
        "inf": math.inf,
        "__builtins__": {},
    }
    python = text.replace("−", "-").replace("·", "*").replace("^", "**").replace("½", "0.5")
    python = python.replace("–", "nan").replace("∞", "inf")
    if steps:
        python = re.sub(r"(?<![\w.])\d[\d.]*(e[-+]?\d+)?", lambda found: f"number({found[0]})", python)
        functions = {name: of_steps(each, steps, slight) for name, each in known.items() if callable(each)}
        known |= functions | {"number": lambda number: Stepped(number, steps, slight)}
    try:
        return float(eval(python, known))  # of what this program wrote itself
    except (SyntaxError, ZeroDivisionError) as error:
        raise AssertionError(f"{error}: {text}") from None


def of_steps(function: Any, steps: str, nudge: float) -> Any:
    """The same of numbers of which every step is rounded."""
    return lambda *numbers: Stepped(function(*map(float, numbers)), steps, nudge)


def number(text: str) -> float:
    """The number that a text begins with; a dash stands for none."""
    if text.strip().startswith(("–", "∞", "−∞")):
        return math.nan if "–" in text else float(text.strip()[:2].replace("−", "-").replace("∞", "inf"))
    match = re.match(r"[-−]?[\d.]+(e[-−+]?\d+)?", text.strip())
    assert match is not None, text
    return float(match[0].replace("−", "-"))


def check(analysis: Analysis, element: int) -> list[tuple[str, str]]:
    """Every row of an element is true, and says what was computed."""
    rows = formula_rows(analysis, element)
    q = analysis.qparams.for_group(int(analysis.layout.group_of(element)))
    number_format, x = q.number_format, float(analysis.tensor.original(element, element + 1)[0])
    codes = quantize(analysis.tensor, analysis.qparams)
    code = codes.reshape(-1)[element : element + 1]
    with np.errstate(all="ignore"):
        x_hat = float(dequantize(codes, analysis.qparams).reshape(-1)[element])
    expected = {
        "S": float(q.scale),
        "Z": float(q.zero_point),
        "Q": float(number_format.decode(code)[0]),
        "x̂": x_hat,
        "error": x_hat - x,
        "m": 0.0 if q.offset is None else float(q.offset),
    }
    scale = abs(float(q.scale)) * number_format.largest_step if number_format.scaled else 1e-2
    seen = set()
    for rule, numbers in rows:
        assert (rule, numbers) and "{" not in rule + numbers
        for definition in numbers.rsplit(": ", 1)[0].split(", B = ") if ": " in numbers else []:
            left, *right = re.sub("^[GIT] = ", "", definition).split(" = ")
            if right and not left.startswith(("absmax", "min", "max", "extreme", "R")):
                stated = number(right[0])
                exactly = 1e-5 if abs(stated) >= SMALLEST_SCALE else 1e-4  # denormal numbers have few digits
                assert value(left, number_format) == pytest.approx(stated, rel=exactly, abs=0), definition
        for statement in numbers.rsplit(": ", 1)[-1].split(", m = "):
            name, _, text = statement.partition(" = ")
            if " " in name:
                name, text = "error", statement
            elif statement != numbers.rsplit(": ", 1)[-1] and statement in numbers.split(", m = ")[1:]:
                name, text = "m", statement
            seen.add(name)
            *lefts, stated = text.split(" = ")
            # Six digits are written.
            near = {"error": 2e-6 * (abs(x) + abs(x_hat))}.get(name, 0.0)
            assert number(stated) == pytest.approx(expected[name], rel=1e-5, abs=near, nan_ok=True), (name, numbers)
            for left in lefts:
                # Z may be what is left of large numbers of nine digits.
                near = {
                    "error": 2e-5 * (abs(x) + abs(x_hat)),
                    "x̂": 1e-6 * scale,
                    "Z": 2e-9 * q.quant_max,
                }.get(name, 0.0)
                nearest = pytest.approx(number(stated), rel=2e-5, abs=near, nan_ok=True)
                came_to = rounded_by(rule, left, number_format, 0.0, near)
                if name in ("Q", "Z") and "round" in left:
                    # Nine digits leave it open where a value in the very middle goes.
                    nearest = pytest.approx(expected[name], rel=1e-5)
                    for nudge in (-1e-5, 1e-5):
                        came_to += rounded_by(rule, left, number_format, nudge, near)
                assert any(each == nearest for each in came_to), (rule, numbers)
    assert seen >= {"S", "Q", "x̂", "error"}
    return rows
