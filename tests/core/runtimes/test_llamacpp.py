"""How does llama.cpp quantize with K-quants, as schemes? (What its searches find: `test_ggml.py`.)"""

from __future__ import annotations

import gguf
import numpy as np
import pytest

from qviz.core import (
    PRESETS,
    Percentile,
    Problem,
    Scheme,
    Tensor,
    analyze,
    choose_qparams,
    fake_quantize,
    quantize,
)
from qviz.core.arithmetic.formula_values import follow_from_range, formulas_of, group_values
from qviz.core.runtimes.expressions import evaluate
from qviz.core.runtimes.table import CONVENTIONS
from qviz.files.ggml_blocks import encoded_bytes
from tests.core.runtimes.snippets import assert_the_script_agrees
from tests.golden.record_ggml import weights

SCHEMES = {each.name.removeprefix("GGUF "): each.scheme for each in PRESETS if each.name.endswith("_K")}
BITS = {"Q2_K": 2.625, "Q3_K": 3.4375, "Q4_K": 4.5, "Q5_K": 5.5, "Q6_K": 6.5625}
INSTEAD = {"Q2_K": "Q4_0", "Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
"""What ``tensor_type_fallback`` of llama.cpp takes for rows that blocks of 256 do not divide."""

X = weights(5)[:32]


@pytest.fixture(params=SCHEMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_there_is_a_preset_for_each() -> None:
    assert set(SCHEMES) == set(BITS)


def test_values_are_those_of_the_bytes_that_llama_cpp_writes(name: str) -> None:
    decoded = gguf.dequantize(encoded_bytes(X, name), gguf.GGMLQuantizationType[name])

    assert np.array_equal(fake_quantize(X, choose_qparams(X, SCHEMES[name])), decoded)


def test_every_byte_is_counted(name: str) -> None:
    found = analyze(X, SCHEMES[name])

    assert found.figures.storage.bits_per_element == BITS[name]
    assert found.figures.storage.quantized_bytes == encoded_bytes(X, name).size


def test_rows_that_do_not_divide_are_refused_with_what_llama_cpp_does(name: str) -> None:
    with pytest.raises(Problem, match=f"which 256 does not divide.*takes {INSTEAD[name]} for such a tensor"):
        choose_qparams(X[:, :40], SCHEMES[name])


def test_another_range_is_refused(name: str) -> None:
    scheme = SCHEMES[name]
    with pytest.raises(Problem, match="from min to max"):
        Scheme(scheme.number_format, scheme.symmetric, scheme.granularity, Percentile(99.0), name.lower())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_so_are_values_without_a_size(name: str, value: float) -> None:
    x = X.copy()
    x[3, 7] = value
    with pytest.raises(Problem, match="refuses NaN and infinities"):
        choose_qparams(x, SCHEMES[name])


def test_formulas_give_the_codes_of_scales_that_were_found(name: str) -> None:
    q = choose_qparams(X, SCHEMES[name])
    spread, formulas = q.spread(X.shape), formulas_of(q)
    known = group_values(q) | {"x": X, "scale": spread.scale, "zero_point": spread.zero_point}
    if formulas.offset is not None:
        known[formulas.offset.symbol.key] = spread.offset

    codes = evaluate(formulas.code.expression, known)

    assert not follow_from_range(q)
    assert np.array_equal(codes, quantize(X, q))
    assert np.array_equal(evaluate(formulas.value.expression, known | {"codes": codes}), fake_quantize(X, q))


def test_the_numpy_script_has_the_codes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_the_script_agrees(X, choose_qparams(X, SCHEMES[name]), monkeypatch)


def test_a_sample_of_a_large_tensor_has_whole_blocks(name: str) -> None:
    kind = CONVENTIONS[name.lower()]

    assert Tensor(np.zeros((1024, 1024), np.float32)).sample().size % kind.superblock == 0
