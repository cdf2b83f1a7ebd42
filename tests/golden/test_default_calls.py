"""A preset that is named after a library gives what the library's default call stores, from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from qviz.core import PRESETS, Tensor, choose_qparams, quantize

FOLDER = Path(__file__).parent
CASES = json.loads((FOLDER / "default_calls.json").read_text(encoding="utf-8"))["cases"]
ARRAYS = np.load(FOLDER / "default_calls.npz")
PRESET_OF = {preset.name: preset for preset in PRESETS}


@pytest.mark.parametrize("i", range(len(CASES)), ids=lambda i: f"{CASES[i]['preset']} {i}")
def test_scales_and_codes_are_those_that_were_stored(i: int) -> None:
    scheme = PRESET_OF[CASES[i]["preset"]].scheme
    q = choose_qparams(Tensor(ARRAYS[f"{i} x"], dtype=CASES[i]["dtype"]), scheme)
    np.testing.assert_array_equal(q.scale.ravel(), np.float32(ARRAYS[f"{i} scale"]).ravel())
    if f"{i} zero_point" in ARRAYS:
        assert q.zero_point == ARRAYS[f"{i} zero_point"]
    np.testing.assert_array_equal(quantize(ARRAYS[f"{i} x"], q), ARRAYS[f"{i} codes"])
