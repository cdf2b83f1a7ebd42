"""Presets named after TFLite give what ai-edge-quantizer writes into files under its own recipes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from qviz.core import PRESETS, IntFormat, MovingAverage, Scheme, choose_qparams, quantize
from tests.every import every

FOLDER = Path(__file__).parent
CASES = json.loads((FOLDER / "tflite_static.json").read_text(encoding="utf-8"))["cases"]
ARRAYS = dict(np.load(FOLDER / "tflite_static.npz"))
PRESET_OF = {preset.name: preset.scheme for preset in PRESETS}
ACTIVATIONS = PRESET_OF["TFLite int8 activations"]
WEIGHTS = {
    "static_wi8_ai8": PRESET_OF["TFLite int8 weights"],
    "static_wi8_ai16": PRESET_OF["TFLite int8 weights"],
    "dynamic_wi8_afp32": PRESET_OF["TFLite int8 weights"],
    "weight_only_wi4_afp32": replace(PRESET_OF["TFLite int8 weights"], number_format=IntFormat(4)),
    "dynamic_wi4b32_afp32": PRESET_OF["TFLite int4 weights, block 32"],
}


@every("recipe", WEIGHTS)
def test_scales_zero_points_and_codes_are_those_of_the_files(recipe: str) -> None:
    seen = 0
    for i, case in enumerate(CASES):
        if case["recipe"] != recipe:
            continue
        weight, x = ARRAYS[f"{i} weight"], ARRAYS[f"{i} x"]
        q = choose_qparams(weight, WEIGHTS[recipe])
        np.testing.assert_array_equal(q.scale.ravel(), ARRAYS[f"{i} weight_scales"].ravel())
        np.testing.assert_array_equal(quantize(weight, q), ARRAYS[f"{i} weight_codes"])
        if f"{i} scale" in ARRAYS:
            batches = MovingAverage(0.05, batch_axis=0)
            scheme = replace(ACTIVATIONS, range_rule=batches)
            if recipe == "static_wi8_ai16":
                scheme = Scheme(IntFormat(16), True, range_rule=batches, convention="tflite")
            of_x = choose_qparams(x, scheme)
            assert (of_x.scale, of_x.zero_point) == (ARRAYS[f"{i} scale"], ARRAYS[f"{i} zero_point"])
            if len(x) == 1:  # a single batch is taken as it is
                plain = choose_qparams(x, replace(scheme, range_rule=ACTIVATIONS.range_rule))
                assert plain.scale == of_x.scale
        seen += 1
    assert seen == 9
