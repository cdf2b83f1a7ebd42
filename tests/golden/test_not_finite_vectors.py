"""NaN, infinities and numbers beyond float32 get the codes of ONNX Runtime's QuantizeLinear, asked live."""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core import PerAxis, PerTensor, Scheme, choose_qparams, quantize
from qviz.core.arithmetic.element_trace import trace_elements
from tests.every import every
from tests.golden.record_onnxruntime import FORMATS, operator_answer

X = np.array([[1, -2, 3, np.nan, np.inf, -np.inf, 0.5, -0.25], [0, 4, np.nan, -np.inf, 1, np.inf, -5, 1e300]])


@every("convention", ["onnxruntime", "onnxruntime_reduce_range"])
@every("axis", [None, 0, 1], ids=str)
@every("number_format", FORMATS, ids=str)
def test_codes_and_the_table_of_elements_have_them(number_format: Any, axis: int | None, convention: str) -> None:
    with np.errstate(over="ignore"):
        x = X.astype(np.float32)
    groups = {None: np.zeros(16, int), 0: np.arange(16) // 8, 1: np.arange(16) % 8}[axis]
    for symmetric in (True, False):
        granularity = PerTensor() if axis is None else PerAxis(axis)
        q = choose_qparams(X, Scheme(number_format, symmetric, granularity, convention=convention))
        codes, _ = operator_answer(x, q.scale, q.zero_point, number_format, axis)
        np.testing.assert_array_equal(quantize(X, q), codes)
        np.testing.assert_array_equal(trace_elements(x.reshape(-1), groups, q).code, codes.reshape(-1))
