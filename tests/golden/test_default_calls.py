"""A preset that is named after a library gives what the library's default call stores, from end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core import PRESETS, Tensor, choose_qparams, quantize
from tests.every import every
from tests.golden import (
    record_ggml,
    test_format_vectors,
    test_nbits_calls,
    test_paddle_static,
    test_static_vectors,
    test_tflite_static,
)

FOLDER = Path(__file__).parent
RECORDED = [
    (case, np.load(FOLDER / f"{name}.npz"), i)
    for name in ("default_calls", "nncf_quantize", "bitsandbytes_calls")
    for i, case in enumerate(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["cases"])
]
PRESET_OF = {preset.name: preset for preset in PRESETS}


@every(("case", "arrays", "i"), RECORDED, ids=[f"{case['preset']} {i}" for case, _, i in RECORDED])
def test_scales_and_codes_are_those_that_were_stored(case: dict[str, str], arrays: dict[str, Any], i: int) -> None:
    q = choose_qparams(Tensor(arrays[f"{i} x"], dtype=case["dtype"]), PRESET_OF[case["preset"]].scheme)
    if f"{i} scale" in arrays:
        np.testing.assert_array_equal(q.scale.ravel(), np.float32(arrays[f"{i} scale"]).ravel())
    if f"{i} zero_point" in arrays:
        assert q.zero_point == arrays[f"{i} zero_point"]
    np.testing.assert_array_equal(quantize(arrays[f"{i} x"], q), arrays[f"{i} codes"])


LIBRARIES = ("ONNX Runtime", "PyTorch", "torchao", "TFLite", "OpenVINO", "PaddleSlim", "bitsandbytes", "GGUF")
"""TensorRT is closed: its presets are held to what is published (`record_tensorrt`)."""


def test_every_preset_that_is_named_after_a_library_was_recorded() -> None:
    recorded = {case["preset"] for case, _, _ in RECORDED}
    recorded |= {case["preset"] for case in test_nbits_calls.CASES}
    recorded |= {*test_static_vectors.ACTIVATIONS, "ONNX Runtime static int8"}
    recorded |= {*test_paddle_static.ACTIVATIONS.values(), "PaddleSlim per-channel int8 weights"}
    tflite = [*test_tflite_static.WEIGHTS.values(), test_tflite_static.ACTIVATIONS]
    recorded |= {name for name, preset in PRESET_OF.items() if preset.scheme in tflite}
    recorded |= {f"GGUF {name}" for name in (*record_ggml.TYPES, *test_format_vectors.GGUF_FORMATS)}
    named = {name for name in map(str, PRESET_OF) if any(library in name for library in LIBRARIES)}
    assert named - recorded == set()
