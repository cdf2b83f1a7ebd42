"""Presets named after ONNX Runtime are its default calls, end to end: what its quantized models hold."""

from __future__ import annotations

import json

import numpy as np
import pytest

from qviz.core import choose_qparams, quantize
from qviz.core.schemes.presets import PRESETS
from tests.every import every
from tests.golden.record_static import SAVED, TOLD

ARRAYS, RANGES = dict(np.load(SAVED)), json.loads(TOLD.read_text(encoding="utf-8"))["ranges"]
SCHEMES = {str(preset.name): preset.scheme for preset in PRESETS}
ACTIVATIONS = {
    "ONNX Runtime static int8 activations": "MinMax",
    "ONNX Runtime static uint8": "QUInt8",
    "ONNX Runtime percentile int8": "Percentile",
    "ONNX Runtime entropy int8": "Entropy",
}


@every("preset", ACTIVATIONS)
def test_activations_have_the_scale_and_zero_point_of_quantize_static(preset: str) -> None:
    answers = RANGES[ACTIVATIONS[preset]]
    assert len(answers) >= 6
    for name, (scale, zero_point) in answers.items():
        q = choose_qparams(ARRAYS[f"x {name}"], SCHEMES[preset])
        assert (float(q.scale), int(q.zero_point)) == (scale, zero_point), name


@pytest.mark.parametrize("call", ["static", "dynamic"])
def test_weights_have_the_codes_of_its_models(call: str) -> None:
    q = choose_qparams(ARRAYS["w"], SCHEMES["ONNX Runtime static int8"])
    assert q.scale == ARRAYS[f"{call} w_scale"]
    assert q.zero_point == ARRAYS[f"{call} w_zero_point"]
    np.testing.assert_array_equal(quantize(ARRAYS["w"], q), ARRAYS[f"{call} w_quantized"], strict=True)
