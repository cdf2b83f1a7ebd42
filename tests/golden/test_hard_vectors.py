"""Zeros, denormals, overflow, ties, tensors of 16 bits: not one bit differs from what PyTorch and torchao answered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from qviz.core import Scheme, Tensor, choose_qparams, dequantize, quantize

FOLDER = Path(__file__).parent
CASES = json.loads((FOLDER / "hard_torch.json").read_text(encoding="utf-8"))["cases"]
ARRAYS = np.load(FOLDER / "hard_torch.npz")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_not_one_bit_differs(dtype: str) -> None:
    seen = 0
    for i, case in enumerate(CASES):
        if case["dtype"] == dtype:
            x, scheme = ARRAYS[f"{i} x"], Scheme.from_dict(case["scheme"])
            q = choose_qparams(Tensor(x, dtype=dtype), scheme)
            codes = quantize(x, q)
            told = f"{case['family']}: {scheme}"
            np.testing.assert_array_equal(q.scale.ravel(), ARRAYS[f"{i} scale"].ravel(), told)
            if f"{i} zero" in ARRAYS:
                np.testing.assert_array_equal(q.zero_point.ravel(), ARRAYS[f"{i} zero"].ravel(), told)
            theirs = ARRAYS[f"{i} codes"]
            if scheme.number_format.has_nan:  # the sign of NaN is the processor's
                nan = np.isnan(scheme.number_format.decode(theirs))
                np.testing.assert_array_equal(np.isnan(scheme.number_format.decode(codes)), nan, told)
                codes, theirs = np.where(nan, 0, codes), np.where(nan, 0, theirs)
            np.testing.assert_array_equal(codes, theirs, told)
            np.testing.assert_array_equal(dequantize(quantize(x, q), q), ARRAYS[f"{i} values"], told)
            seen += 1
    assert seen > 40


def test_the_recording_holds_what_breaks() -> None:
    scales = [ARRAYS[f"{i} scale"] for i in range(len(CASES))]
    assert any((scale == 0).any() for scale in scales)
    assert any(np.isinf(scale).any() for scale in scales)
    assert {case["family"] for case in CASES} >= {"zero groups", "denormal", "huge", "ties"}
