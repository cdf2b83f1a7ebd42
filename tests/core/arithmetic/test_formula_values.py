"""The formulas of every convention give the parameters that it computes, or are known not to."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from qviz.core import (
    Codebook,
    FloatFormat,
    IntFormat,
    PerAxis,
    PerBlock,
    PerTensor,
    Problem,
    Scheme,
    Tensor,
    choose_qparams,
    fake_quantize,
    qparams_from_values,
    quantize,
)
from qviz.core.arithmetic.formula_values import (
    follow_from_range,
    formulas_of,
    group_values,
    range_values,
    scale_of,
    too_narrow,
    with_meanings,
)
from qviz.core.formats.codebooks import CODEBOOKS
from qviz.core.formats.floats import FLOATS
from qviz.core.runtimes.expressions import evaluate
from qviz.core.runtimes.precision import rounding_to
from tests.every import every
from tests.schemes import OF_ANY_LENGTH

FORMATS = (
    *(IntFormat(bits, signed) for bits in (2, 4, 5, 8, 16) for signed in (True, False)),
    *(FloatFormat(name) for name in FLOATS),
    *(Codebook(name) for name in CODEBOOKS),
)
GRANULARITIES = (PerTensor(), PerAxis(1), PerBlock(-1, 16), PerBlock(-1, 32))
VALUES = (np.random.default_rng(8).standard_t(3, (4, 64)) * [[0.02], [1], [9], [300]]).astype(np.float32)


@every("dtype", ["float32", "bfloat16", "float16"])
@every("convention", OF_ANY_LENGTH)
def test_scales_and_codes_are_those_of_the_formulas(convention: str, dtype: str) -> None:
    seen = 0
    x = as_type(dtype)
    # No library has integers of 16 bits in the arithmetic of floats of 16 bits.
    formats = FORMATS if dtype == "float32" else [f for f in FORMATS if f.bits <= 8]
    for number_format, symmetric, granularity in product(formats, (True, False), GRANULARITIES):
        with contextlib.suppress(Problem):
            q = choose_qparams(
                Tensor(x, dtype=dtype), Scheme(number_format, symmetric, granularity, convention=convention)
            )
            seen += 1
            formulas = formulas_of(q)
            assert follow_from_range(q) == (not q.convention.of_elements), (
                f"{q}: the fields of its record and its formulas give different scales or zero points"
            )
            if follow_from_range(q) and number_format.scaled:
                assert np.array_equal(np.float32(scale_of(formulas, range_values(q, q))), q.scale)
            spread = q.spread(x.shape)
            values = group_values(replace(q, scale=spread.scale, zero_point=spread.zero_point)) | {"x": x}
            if formulas.divisor is not None:
                values[formulas.divisor.symbol.key] = spread.divisor
            if formulas.unstored is not None:
                values[formulas.unstored.symbol.key] = spread.added
            if spread.shift is not None:
                values["low"] = spread.shift
            codes = evaluate(formulas.code.expression, values)
            np.testing.assert_array_equal(number_format.encode(codes, x), quantize(x, q))
            values["codes"] = codes
            if spread.offset is None:
                x_hat = evaluate(formulas.value.expression, values)
                np.testing.assert_array_equal(x_hat, fake_quantize(x, q))
    assert seen >= 1


def as_type(dtype: str) -> Any:
    """The values that such a tensor can hold."""
    rounding = rounding_to(dtype)
    return VALUES if rounding is None else rounding(VALUES)


def test_what_a_tensor_has_once_is_known_of_the_whole_alone() -> None:
    q = choose_qparams(VALUES, Scheme(FloatFormat("e2m1fn"), True, PerBlock(-1, 16), convention="nvfp4"))
    formula = formulas_of(q).scale
    whole = with_meanings(formula, range_values(q.for_group(3), q))
    assert whole["tensor_scale"] == np.abs(VALUES).max() / np.float32(2688)
    with pytest.raises(KeyError):
        with_meanings(formula, range_values(q.for_group(3)))


@every("convention", ["textbook", "onnxruntime", "paddle", "tensorrt"])
def test_a_range_too_narrow_for_a_scale(convention: str) -> None:
    q = choose_qparams(np.float32([[0, 0], [1, 2]]), Scheme(granularity=PerAxis(0), convention=convention))
    assert too_narrow(q).tolist() == [True, False]
    assert follow_from_range(q)


@every("scheme", [Scheme(), Scheme(convention="pytorch"), Scheme(IntFormat(8), False)], ids=str)
def test_a_scale_that_somebody_else_chose_does_not_follow(scheme: Scheme) -> None:
    q = choose_qparams(VALUES, scheme)
    assert not follow_from_range(replace(q, scale=q.scale * np.float32(1.5)))
    if scheme.symmetric:
        assert not follow_from_range(qparams_from_values(0.25, 0, scheme))
    else:
        assert not follow_from_range(replace(q, zero_point=q.zero_point + np.float32(1)))
