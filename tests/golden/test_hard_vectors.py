"""Zeros, denormals, overflow, ties, tensors of 16 bits: not one bit differs from what the libraries answered."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qviz.core import Scheme, Tensor, choose_qparams, dequantize, quantize

FOLDER = Path(__file__).parent
LIBRARIES = sorted(path.stem.removeprefix("hard_") for path in FOLDER.glob("hard_*.json"))
each_library = pytest.mark.parametrize("library", LIBRARIES)


@cache
def recorded(library: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Cases and answers."""
    cases = json.loads((FOLDER / f"hard_{library}.json").read_text(encoding="utf-8"))["cases"]
    return cases, dict(np.load(FOLDER / f"hard_{library}.npz"))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@each_library
def test_not_one_bit_differs(library: str, dtype: str) -> None:
    seen = 0
    cases, arrays = recorded(library)
    for i, case in enumerate(cases):
        if case["dtype"] == dtype:
            x, scheme = arrays[f"{i} x"], Scheme.from_dict(case["scheme"])
            q = choose_qparams(Tensor(x, dtype=dtype), scheme)
            codes = quantize(x, q)
            told = f"{case['family']}: {scheme}"
            np.testing.assert_array_equal(q.scale.ravel(), arrays[f"{i} scale"].ravel(), told)
            if f"{i} zero" in arrays:
                zeros = np.broadcast_to(q.zero_point, q.scale.shape)
                np.testing.assert_array_equal(zeros.ravel(), arrays[f"{i} zero"].ravel(), told)
            theirs = arrays[f"{i} codes"]
            if scheme.number_format.has_nan:  # the sign of NaN is the processor's
                nan = np.isnan(scheme.number_format.decode(theirs.astype(codes.dtype)))
                np.testing.assert_array_equal(np.isnan(scheme.number_format.decode(codes)), nan, told)
                codes, theirs = np.where(nan, 0, codes), np.where(nan, 0, theirs)
            np.testing.assert_array_equal(codes, theirs, told)
            if f"{i} values" in arrays:
                np.testing.assert_array_equal(dequantize(quantize(x, q), q), arrays[f"{i} values"], told)
            seen += 1
    assert seen > 15 or dtype not in {case["dtype"] for case in cases}  # weights that are float32 alone


@each_library
def test_the_recording_holds_what_breaks(library: str) -> None:
    cases, arrays = recorded(library)
    scales = [arrays[f"{i} scale"] for i in range(len(cases))]
    if library in ("torch", "tflite"):
        assert any((scale == 0).any() for scale in scales)
        assert any(np.isinf(scale).any() for scale in scales)
    denormal = set() if library == "nvfp4" else {"denormal"}  # of which the processor decides codes
    assert {case["family"] for case in cases} >= {"zero groups", "huge", "ties"} | denormal


def test_blocks_of_litert_store_scales_of_8_bits_of_mantissa() -> None:
    cases, arrays = recorded("tflite")
    blocks = [i for i, case in enumerate(cases) if case["scheme"]["granularity"]["kind"] == "block"]
    assert blocks
    for i in blocks:
        scale = arrays[f"{i} scale"]
        normal = scale[np.isfinite(scale) & (scale >= 2.0**-14)]
        assert not (normal.view(np.uint32) & 0xFFFF).any()


def test_a_block_of_litert_whose_scale_is_0_stores_0_for_zeros_and_the_last_codes_for_the_rest() -> None:
    cases, arrays = recorded("tflite")
    zeros = others = 0
    for i, case in enumerate(cases):
        if case["scheme"]["granularity"]["kind"] == "block" and case["scheme"]["symmetric"]:
            size = case["scheme"]["granularity"]["block_size"]
            lost = np.repeat(arrays[f"{i} scale"] == 0, size, -1).reshape(arrays[f"{i} x"].shape)
            x, codes = arrays[f"{i} x"][lost], arrays[f"{i} codes"][lost]
            assert not codes[x == 0].any()
            assert (np.sign(codes) == np.sign(x)).all()
            zeros, others = zeros + int((x == 0).sum()), others + int((x != 0).sum())
    assert zeros
    assert others
