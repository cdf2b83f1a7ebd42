"""A preset that is named after MatMulNBitsQuantizer gives what its default call stores in a file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from qviz.core import PRESETS, PerBlock, choose_qparams, quantize
from tests.every import every

FOLDER = Path(__file__).parent
CASES = json.loads((FOLDER / "nbits_calls.json").read_text(encoding="utf-8"))["cases"]
ARRAYS = np.load(FOLDER / "nbits_calls.npz")
PRESET_OF = {preset.name: preset for preset in PRESETS}


@every("i", range(len(CASES)), ids=lambda i: f"{CASES[i]['preset']} {CASES[i]['weight']}")
def test_scales_zero_points_and_codes_are_those_that_were_stored(i: int) -> None:
    scheme, x = PRESET_OF[CASES[i]["preset"]].scheme, ARRAYS[f"{i} x"]
    q = choose_qparams(x, scheme)
    np.testing.assert_array_equal(q.scale, ARRAYS[f"{i} scale"])
    np.testing.assert_array_equal(np.broadcast_to(q.zero_point, q.scale.shape), ARRAYS[f"{i} zero_point"])
    np.testing.assert_array_equal(quantize(x, q), ARRAYS[f"{i} codes"])
    inputs_first = replace(scheme, granularity=PerBlock(0, 128))
    np.testing.assert_array_equal(choose_qparams(x.T, inputs_first).zero_point.T, q.zero_point)


def test_every_such_preset_was_recorded() -> None:
    nbits = {name for name in PRESET_OF if any(word in name for word in ("MatMulNBits", "HQQ", "k_quant"))}
    assert {case["preset"] for case in CASES} == nbits
