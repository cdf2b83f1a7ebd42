"""Zeros, denormals, overflow, ties, tensors of 16 bits: not one bit differs from what ONNX Runtime answered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from qviz.core import Scheme, Tensor, choose_qparams, dequantize, quantize
from tests.every import every

FOLDER = Path(__file__).parent
TOLD = json.loads((FOLDER / "hard_onnxruntime.json").read_text(encoding="utf-8"))
CASES = TOLD["cases"]
ARRAYS = dict(np.load(FOLDER / "hard_onnxruntime.npz"))
CONVENTIONS = sorted({case["scheme"]["convention"] for case in CASES})


@every("convention", CONVENTIONS)
def test_not_one_bit_differs(convention: str) -> None:
    seen = 0
    for i, case in enumerate(CASES):
        if case["scheme"]["convention"] == convention:
            x, scheme = ARRAYS[f"{i} x"], Scheme.from_dict(case["scheme"])
            q = choose_qparams(Tensor(x, dtype=case["dtype"]), scheme)
            codes = quantize(x, q)
            told = f"{case['family']} {case['dtype']}: {scheme}"
            np.testing.assert_array_equal(q.scale.ravel(), ARRAYS[f"{i} scale"].ravel(), told)
            if f"{i} zero" in ARRAYS:
                np.testing.assert_array_equal(q.zero_point.ravel(), ARRAYS[f"{i} zero"].ravel(), told)
            if f"{i} codes" in ARRAYS:
                np.testing.assert_array_equal(codes, ARRAYS[f"{i} codes"], told)
            if f"{i} values" in ARRAYS:
                np.testing.assert_array_equal(dequantize(codes, q), ARRAYS[f"{i} values"], told)
            seen += 1
    assert seen > 8


def test_the_recording_holds_what_breaks_and_says_of_which_version() -> None:
    scales = [ARRAYS[f"{i} scale"] for i in range(len(CASES))]
    assert any((scale == 0).any() for scale in scales)
    assert any(np.isinf(scale).any() for scale in scales)
    assert any((scale < 0).any() for scale in scales)
    assert {case["family"] for case in CASES} >= {"zero groups", "denormal", "huge", "ties"}
    assert {case["dtype"] for case in CASES} >= {"float32", "float16", "bfloat16"}
    assert set(TOLD["recorded_with"]) == {"onnxruntime", "onnx", "numpy"}
