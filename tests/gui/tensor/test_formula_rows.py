"""Every formula with numbers in it is true: what stands on its left side gives what stands on its right."""

from __future__ import annotations

import contextlib
import functools
import itertools
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
from qviz.core.questions.analysis import analyze
from qviz.core.ranges.rules import Manual
from qviz.core.runtimes.formulas import ABSMAX, FLOAT16, absmax_of, affine, no_zero_point_in_codes
from qviz.core.runtimes.record import Convention, Recipe
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.schemes.fitting import fitted
from qviz.core.schemes.scheme import Scheme
from qviz.core.scripts.numpy_script import python_snippet
from qviz.core.tensors.granularity import Granularity, PerAxis, PerBlock, PerTensor, PerTile, PerToken
from qviz.core.tensors.tensor import Tensor
from qviz.gui.tensor.formula_rows import formula_rows
from tests.every import every
from tests.formulas import check
from tests.oracles import ask_formulas
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


def test_what_a_power_of_two_hangs_on_is_written_in_as_many_digits_as_it_takes() -> None:
    x = np.float32([0.187011719, -0.0620117188] * 24)  # whose width / 255 is 2^-10 to the last bit
    scheme = Scheme(IntFormat(8, False), False, convention="onnxruntime_blocks", granularity=PerBlock(-1, 48))
    rows = check(analyze(x, replace(scheme, power_of_two=True)), 0)
    assert rows[0][1] == "S = 2^ceil(log2((0.18701171875 − (−0.06201171875)) / 255)) = 0.000976562"


def test_a_constant_is_written_in_as_many_digits_too() -> None:
    rows = check(analyze(np.float32([255] * 32), Scheme("int8", True, PerBlock(-1, 32), convention="mx_even")), 0)
    assert rows[0][1] == "S = 2^clip(floor(log2(255 / 0.99609375)) − 0, −127, 127) / 64 = 4"


@every(
    ("scheme", "values"),
    [
        (Scheme("int8", False, PerBlock(-1, 32), convention="tflite"), [3.2e38, -3.3e38]),
        (Scheme("uint4", False, PerBlock(-1, 32), convention="onnxruntime_matmulnbits"), [0]),
        (Scheme("int4", True, PerBlock(-1, 32), convention="onnxruntime_matmulnbits_qdq"), [0]),
        (Scheme("uint8", False, convention="nncf_activations"), [3.2e38, -3.3e38]),
        (
            Scheme("uint8", False, PerBlock(-1, 32), convention="onnxruntime_dynamic", power_of_two=True),
            [3e-45, -6e-45],
        ),
    ],
    ids=lambda each: getattr(each, "convention", ""),
)
def test_what_goes_beyond_float32_on_its_way_is_not_written_out(scheme: Scheme, values: list[float]) -> None:
    with np.errstate(all="ignore"):
        for row in check(analyze(np.resize(np.float32(values), (1, 32)), scheme), 0)[:3]:
            assert "/ 0" not in row[1]
            assert "/ (0 − 0)" not in row[1]
            assert not row[1].endswith("= 0") or "log2" not in row[1]


def test_what_onnx_runtime_rounds_down_from_480_is_not_written_as_a_rounding() -> None:
    scheme = Scheme("e4m3fn", range_rule=Manual(-1.0, 1.0), convention="onnxruntime_unsaturated")
    rows = check(analyze(np.float32([483.5 / 448, 0.5]), scheme), 0)
    assert rows[2][1] == "Q = 448 = 448 (code 0x7E)"


def test_a_minus_sign_behind_another_one_is_in_brackets() -> None:
    scheme = Scheme("int4", False, PerBlock(-1, 32), convention="onnxruntime_blocks")
    x = np.linspace(-1.25, 2.5, 32, dtype=np.float32)
    assert check(analyze(x, scheme), 0)[1][1] == "Z = clip(round(−8 − (−1.25) / 0.25), −8, 7) = −3"


def test_a_step_that_is_taken_in_float64_is_not_said_to_be_rounded_to_float16() -> None:
    scheme = Scheme("int4", False, PerBlock(-1, 32), convention="onnxruntime_blocks")
    tensor = Tensor(np.linspace(-1.25, 2.5, 32, dtype=np.float16), dtype="float16")
    scale, point = (rule for rule, _ in check(analyze(tensor, scheme), 0)[:2])
    assert "rounded to float16" in scale
    assert "rounded" not in point


def test_hard_values_of_every_type_under_every_convention(capsys: pytest.CaptureFixture[str]) -> None:
    """The formulas, the script for NumPy and that for ONNX Runtime; by hand with thousands of cases."""
    assert ask_formulas.main(1, 7) == 0, capsys.readouterr().out


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
