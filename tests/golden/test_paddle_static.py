"""Presets named after PaddleSlim give what ``quant_post_static`` stores, from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from qviz.core import PRESETS, choose_qparams, quantize
from tests.every import every

FOLDER = Path(__file__).parent
CASES = json.loads((FOLDER / "paddle_static.json").read_text(encoding="utf-8"))["cases"]
ARRAYS = dict(np.load(FOLDER / "paddle_static.npz"))
PRESET_OF = {preset.name: preset.scheme for preset in PRESETS}
ACTIVATIONS = {"default": "PaddleSlim static int8", "KL": "PaddleSlim KL int8"}


@every("i", range(len(CASES)), ids=lambda i: " ".join(CASES[i].values()))
def test_thresholds_and_codes_are_those_that_were_stored(i: int) -> None:
    x, weight = ARRAYS[f"{i} x"], ARRAYS[f"{i} weight"]
    q = choose_qparams(x, PRESET_OF[ACTIVATIONS[CASES[i]["algo"]]])
    assert q.high == ARRAYS[f"{i} threshold"]
    np.testing.assert_array_equal(quantize(x, q), ARRAYS[f"{i} codes"])
    # A layer's weights are inputs × outputs there.
    w = choose_qparams(weight.T, PRESET_OF["PaddleSlim per-channel int8 weights"])
    np.testing.assert_array_equal(w.high, ARRAYS[f"{i} weight_thresholds"].ravel())
    np.testing.assert_array_equal(quantize(weight.T, w).T, ARRAYS[f"{i} weight_codes"])
