"""Every formula with numbers in it is true: what stands on its left side gives what stands on its right."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest

from qviz.core.arithmetic.quantize import quantize
from qviz.core.formats.codebooks import Codebook
from qviz.core.formats.floats import FloatFormat
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.questions.analysis import analyze
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import Granularity, PerAxis, PerBlock, PerTensor
from qviz.gui.tensor.formula_rows import formula_rows

FORMATS: list[NumberFormat] = [
    IntFormat(8),
    IntFormat(4, signed=False),
    IntFormat(5, signed=False),
    *(FloatFormat(name) for name in ("e4m3fn", "e5m2", "e2m1fn", "e3m2fn", "bfloat16")),
    Codebook("nf4"),
]
ELEMENTS = (0, 5, 40, 95)
X = (np.random.default_rng(4).standard_t(4, (3, 64)) * [[0.3], [4], [60]]).astype(np.float32)


def schemes() -> list[Scheme]:
    """Everything that the runtimes offer of these formats."""
    found = []
    for name, number_format, symmetric in itertools.product(CONVENTIONS, FORMATS, (True, False)):
        convention = CONVENTIONS[name]
        granularity: Granularity = PerTensor()
        if convention.block_size is not None:
            granularity = PerBlock(-1, convention.block_size)
        if convention.offers(number_format, symmetric, granularity):
            found.append(Scheme(number_format, symmetric, granularity, convention=name))
    return found


def value(text: str, number_format: NumberFormat) -> float:
    """What an expression as it is written comes to."""

    def rounded(number: float) -> float:
        one = np.array([number], np.float32)
        return float(number_format.round(one, np.empty_like(one))[0])

    known: dict[str, Any] = {
        "round": rounded,
        "clip": lambda number, low, high: min(max(number, low), high),
        "floor": math.floor,
        "max": max,
        "__builtins__": {},
    }
    python = text.replace("−", "-").replace("·", "*").replace("^", "**").replace("½", "0.5")
    return float(eval(python, known))  # of what this program wrote itself


def number(text: str) -> float:
    """The number that a text begins with."""
    match = re.match(r"[-−]?[\d.]+(e[-−+]?\d+)?", text.strip())
    assert match is not None, text
    return float(match[0].replace("−", "-"))


@pytest.mark.parametrize("scheme", schemes(), ids=lambda s: f"{s.convention} {s.number_format.name} {s.symmetric}")
def test_what_stands_on_the_left_gives_what_stands_on_the_right(scheme: Scheme) -> None:
    analysis = analyze(X, scheme)
    number_format, codes = scheme.number_format, quantize(X, analysis.qparams).reshape(-1)
    for element in ELEMENTS:
        group = int(analysis.layout.group_of(element))
        q = analysis.qparams.for_group(group)
        rows = formula_rows(analysis, element)
        by_name = {}
        for _, numbers in rows:
            statement = numbers.rsplit(": ", 1)[-1]
            name, _, rest = statement.partition(" = ")
            by_name[name if " " not in name else "error"] = statement if " " in name else rest
        assert set(by_name) >= {"S", "Q", "x̂", "error"}
        step = float(np.abs(q.scale)) * number_format.largest_step if number_format.scaled else 1e-2
        for name, text in by_name.items():
            left, *rights = text.split(", min")[0].split(" = ")
            expected = {
                "S": float(q.scale),
                "Z": float(q.zero_point),
                "Q": float(number_format.decode(codes[element : element + 1])[0]),
                "x̂": float(analysis.fake_quantize(element, element + 1)[0]),
                "error": float(analysis.fake_quantize(element, element + 1)[0]) - float(X.reshape(-1)[element]),
            }[name]
            last = rights[-1] if rights else left
            stated = number(last.rsplit("stored as ", 1)[-1] if name == "S" else last)
            assert stated == pytest.approx(expected, rel=1e-4, abs=1e-5 * step), (name, text)
            if rights:
                first = number(rights[-1])
                # Six digits of a value leave its code undecided where it lies between two.
                near = {"Q": 1e-4, "error": 1e-3 * step, "x̂": 1e-3 * step}.get(name, 1e-4)
                assert value(left, number_format) == pytest.approx(first, rel=1e-3, abs=near), (name, text)


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
    assert formula_rows(analyze(zeros, nvfp4), 0)[0][1] == "absmax = 0: S = 1"
    tiny = zeros + np.float32(1e-37)
    assert formula_rows(analyze(tiny, nvfp4), 0)[0][1].endswith(": S = 1")
    gguf = Scheme(IntFormat(4, signed=False), True, PerBlock(-1, 32), convention="gguf")
    assert "· 0 + 8 + ½" in formula_rows(analyze(zeros, gguf), 0)[2][1]


def test_the_code_of_a_float_is_its_bit_pattern_beside_its_value() -> None:
    x = np.array([448, -5, 0.4375], np.float32)
    rows = formula_rows(analyze(x, Scheme(FloatFormat("e4m3fn"))), 0)
    assert rows[2][1].endswith("= 448 (code 0x7E)")
    assert "channel" not in str(rows)
    assert formula_rows(analyze(x, Scheme(IntFormat(8), granularity=PerAxis(0))), 0)[2][1].endswith("= 127")
