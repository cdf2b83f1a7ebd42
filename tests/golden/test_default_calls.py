"""A preset that is named after a library gives what the library's default call stores, from end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qviz.core import PRESETS, Tensor, choose_qparams, quantize

FOLDER = Path(__file__).parent
RECORDED = [
    (case, np.load(FOLDER / f"{name}.npz"), i)
    for name in ("default_calls", "nncf_quantize")
    for i, case in enumerate(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["cases"])
]
PRESET_OF = {preset.name: preset for preset in PRESETS}


@pytest.mark.parametrize(("case", "arrays", "i"), RECORDED, ids=[f"{case['preset']} {i}" for case, _, i in RECORDED])
def test_scales_and_codes_are_those_that_were_stored(case: dict[str, str], arrays: dict[str, Any], i: int) -> None:
    q = choose_qparams(Tensor(arrays[f"{i} x"], dtype=case["dtype"]), PRESET_OF[case["preset"]].scheme)
    np.testing.assert_array_equal(q.scale.ravel(), np.float32(arrays[f"{i} scale"]).ravel())
    if f"{i} zero_point" in arrays:
        assert q.zero_point == arrays[f"{i} zero_point"]
    np.testing.assert_array_equal(quantize(arrays[f"{i} x"], q), arrays[f"{i} codes"])
