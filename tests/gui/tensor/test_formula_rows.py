"""Every formula with numbers in it is true: what stands on its left side gives what stands on its right."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qviz.core.arithmetic.quantize import quantize
from qviz.core.formats.codebooks import CODEBOOKS, Codebook
from qviz.core.formats.floats import FLOATS, FloatFormat
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.problems import Problem
from qviz.core.questions.analysis import Analysis, analyze
from qviz.core.runtimes.formulas import ABSMAX, FLOAT16, absmax_of, affine, no_zero_point_in_codes
from qviz.core.runtimes.precision import as_bfloat16
from qviz.core.runtimes.record import Convention, Recipe
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.schemes.fitting import fitted
from qviz.core.schemes.scheme import Scheme
from qviz.core.scripts.numpy_script import python_snippet
from qviz.core.tensors.granularity import Granularity, PerAxis, PerBlock, PerTensor, PerTile, PerToken
from qviz.gui.tensor.formula_rows import formula_rows
from tests.every import every
from tests.pairs import pairs
from tests.schemes import OF_ANY_LENGTH

FORMATS: list[NumberFormat] = [
    *(IntFormat(bits, signed) for bits in (2, 4, 5, 8, 16) for signed in (True, False)),
    *(FloatFormat(name) for name in FLOATS),
    *(Codebook(name) for name in CODEBOOKS),
]
ELEMENTS = (0, 5, 40, 95)
X = (np.random.default_rng(4).standard_t(4, (3, 64)) * [[0.3], [4], [60]]).astype(np.float32)


def schemes() -> list[Scheme]:
    """Everything that the runtimes offer of these formats."""
    found = []
    for name, number_format, symmetric in itertools.product(OF_ANY_LENGTH, FORMATS, (True, False)):
        convention = CONVENTIONS[name]
        granularity: Granularity = PerTensor()
        if convention.default_block is not None:
            granularity = PerBlock(-1, convention.default_block)
        if convention.offers(number_format, symmetric, granularity):
            found.append(Scheme(number_format, symmetric, granularity, convention=name))
    return found


def value(text: str, number_format: NumberFormat, halves_away: bool = False, nudge: float = 0.0) -> float:
    """What an expression as it is written comes to; ``nudge`` is added to what is rounded, as a part of it."""

    def to_nearest(number: float, codes: NumberFormat) -> float:
        one = np.array([number], np.float32)
        return float(codes.round(one, np.empty_like(one))[0])

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
        "log2": lambda number: math.log2(number) if number else -math.inf,
        "f16": lambda number: float(np.float16(number)),
        "bf16": lambda number: float(as_bfloat16(number)),
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
    return float(eval(python, known))  # of what this program wrote itself


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
    number_format, x = q.number_format, float(analysis.tensor.values[element : element + 1][0])
    x_hat = float(analysis.fake_quantize(element, element + 1)[0])
    code = quantize(analysis.tensor, analysis.qparams).reshape(-1)[element : element + 1]
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
                assert value(left, number_format) == pytest.approx(number(right[0]), rel=1e-5), definition
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
                near = {"error": 2e-5 * (abs(x) + abs(x_hat)), "x̂": 1e-6 * scale, "Z": 2e-9 * q.quant_max}.get(
                    name, 0.0
                )
                came_to = value(left, number_format, halves_away="away" in rule)
                if name in ("Q", "Z") and "round" in left:
                    # Nine digits leave it open where a value in the very middle goes.
                    nudged = [value(left, number_format, "away" in rule, nudge) for nudge in (-1e-5, 1e-5)]
                    assert expected[name] in (came_to, *nudged), (rule, numbers)
                else:
                    assert came_to == pytest.approx(number(stated), rel=2e-5, abs=near, nan_ok=True), (rule, numbers)
    assert seen >= {"S", "Q", "x̂", "error"}
    return rows


@every("scheme", schemes(), ids=lambda s: f"{s.convention} {s.number_format.name} {s.symmetric}")
def test_what_stands_on_the_left_gives_what_stands_on_the_right(scheme: Scheme) -> None:
    analysis = analyze(X, scheme)
    for element in ELEMENTS:
        rows = check(analysis, element)
        if analysis.qparams.convention.of_elements:
            continue
        # Nothing is withheld where the formula can be written out.
        assert all(" = " in numbers.partition(" = ")[2] for rule, numbers in rows[:1] if "S = 1" not in rule)


GRANULARITIES = (PerAxis(1), PerBlock(0, 2), PerBlock(-1, 7), PerToken(), PerTile(2, 30))


@functools.cache
def fitting(convention: str) -> dict[Granularity, list[Scheme]]:
    def fits(number_format: NumberFormat, symmetric: bool, granularity: Granularity) -> bool:
        if not CONVENTIONS[convention].offers(number_format, symmetric, granularity):
            return False
        scheme = Scheme(number_format, symmetric, granularity, convention=convention)
        return fitted(scheme, X.shape) == scheme  # some runtimes have full blocks alone

    found: dict[Granularity, list[Scheme]] = {granularity: [] for granularity in GRANULARITIES}
    for number_format, symmetric, granularity in pairs(FORMATS, (True, False), GRANULARITIES, where=fits):
        found[granularity].append(Scheme(number_format, symmetric, granularity, convention=convention))
    return found


@every("granularity", GRANULARITIES, ids=str)
@every("convention", [name for name, row in CONVENTIONS.items() if row.default_block is None])
def test_at_every_granularity(convention: str, granularity: Granularity) -> None:
    """Of each convention any two of a format, a symmetry and a granularity."""
    for scheme in fitting(convention)[granularity]:
        analysis = analyze(X, scheme)
        for element in ELEMENTS:
            check(analysis, element)


@every("size", [0.0, 1e-45, 1e-38, 1e-6, 1e38], ids=str)
@every("convention", OF_ANY_LENGTH)
def test_where_float32_ends(convention: str, size: float) -> None:
    row = CONVENTIONS[convention]
    x = (np.sign(X) * np.float32(size)).astype(np.float32)
    granularity: Granularity = PerBlock(-1, row.default_block) if row.default_block else PerTensor()
    for number_format, symmetric in itertools.product(FORMATS, (True, False)):
        with contextlib.suppress(Problem):
            check(analyze(x, Scheme(number_format, symmetric, granularity, convention=convention)), 5)


def test_numbers_that_decide_a_power_of_two_are_written_out() -> None:
    x = np.zeros(32, np.float32)
    x[0] = np.nextafter(np.float32(4), np.float32(0))  # 4 in six digits, whose logarithm is 2
    scheme = Scheme(FloatFormat("e2m1fn"), True, PerBlock(-1, 32), convention="mx_floor")
    assert "log2(3.99999976)" in check(analyze(x, scheme), 0)[0][1]


def test_scales_that_somebody_else_chose_are_not_explained() -> None:
    q = replace(analyze(X, Scheme()).qparams, scale=np.float32(0.25))  # as training learns them
    rows = formula_rows(analyze(X, q.scheme, qparams=q), 5)
    assert rows[0] == ("S = 2 · absmax / steps", "absmax = 331.402: S = 0.25")
    assert rows[2][1].startswith("Q = clip(round(0.846093 / 0.25) + 0, ")


# --- a convention of one's own ---------------------------------------------------------------------


def _sevenths(low: Any, high: Any, scheme: Any) -> Recipe:
    scale = (absmax_of(low, high) / np.float32(7)).astype(np.float16).astype(np.float32)
    return Recipe(scale, np.where(scale == 0, np.float32(1), scale))


SEVENTHS = Convention(
    name="sevenths",
    label="Sevenths",
    summary="Blocks of 8 with a float16 scale.",
    range_includes_zero=False,
    formulas=affine(symmetric=FLOAT16(ABSMAX / 7), code=no_zero_point_in_codes),
    symmetric_only=True,
    integers=frozenset({"int4"}),
    block_size=8,
    recipe=_sevenths,
)


def test_a_new_block_convention_shows_its_own_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONVENTIONS, "sevenths", SEVENTHS)
    scheme = Scheme(IntFormat(4), True, PerBlock(-1, 8), convention="sevenths")
    analysis = analyze(X, scheme)
    for element in ELEMENTS:
        rows = check(analysis, element)
        assert rows[0][0] == "S = f16(absmax / 7)"
        assert rows[0][1].startswith("S = f16(")
        assert rows[2][0] == "Q = clip(round(R / S), qmin, qmax)"
    names: dict[str, Any] = {}
    monkeypatch.setattr(np, "load", lambda path: X)
    exec(python_snippet(analysis.qparams), names)
    np.testing.assert_array_equal(names["codes"], quantize(X, analysis.qparams), strict=True)
    assert "scale = np.float32(np.float16(absmax / 7))" in python_snippet(analysis.qparams)


def test_a_group_alone_is_explained_as_in_the_whole() -> None:
    scheme = Scheme(FloatFormat("e2m1fn"), True, PerBlock(-1, 16), convention="nvfp4")
    analysis = analyze(X, scheme)
    whole = formula_rows(analysis, 5)
    alone = analyze(X[0, :16], scheme, qparams=analysis.qparams.for_group(0), layout=PerTensor().layout((16,)))
    explained = formula_rows(alone, 5)
    assert "G = " in whole[0][1]
    assert "G = " not in explained[0][1]  # nothing is known of the tensor's own scale
    assert explained[0][1].rsplit(" = ", 1)[1] == whole[0][1].rsplit(" = ", 1)[1]
    assert explained[1:] == whole[1:]


def test_a_tensor_of_zeros_has_scales_too() -> None:
    zeros = np.zeros((2, 32), np.float32)
    nvfp4 = Scheme(FloatFormat("e2m1fn"), True, PerBlock(-1, 16), convention="nvfp4")
    assert formula_rows(analyze(zeros, nvfp4), 0)[0][1] == "absmax = 0: S = –"
    assert formula_rows(analyze(zeros, nvfp4), 0)[-1][1] == "– − 0 = –"
    tiny = zeros + np.float32(1e-37)
    assert formula_rows(analyze(tiny, nvfp4), 0)[0][1].startswith("G = 1e−37 / 2688 = 3.72031e−41")
    gguf = Scheme(IntFormat(4, signed=False), True, PerBlock(-1, 32), convention="gguf")
    assert "· 0 + 8 + ½" in formula_rows(analyze(zeros, gguf), 0)[2][1]


def test_the_code_of_a_float_is_its_bit_pattern_beside_its_value() -> None:
    x = np.array([448, -5, 0.4375], np.float32)
    rows = formula_rows(analyze(x, Scheme(FloatFormat("e4m3fn"))), 0)
    assert rows[2][1].endswith("= 448 (code 0x7E)")
    assert "channel" not in str(rows)
    assert formula_rows(analyze(x, Scheme(IntFormat(8), granularity=PerAxis(0))), 0)[2][1].endswith("= 127")
