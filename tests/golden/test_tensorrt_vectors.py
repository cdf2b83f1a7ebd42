"""Thresholds of entropy are those that NVIDIA's Model Optimizer found."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qviz.core import IntFormat, Scheme, choose_qparams
from qviz.core.ranges.tensorrt import TensorRTEntropy
from tests.every import every

ARRAYS = np.load(Path(__file__).parent / "tensorrt_entropy.npz")


@every("name", [name for name in ARRAYS.files if name[-1] not in "48"])
def test_to_the_last_bit(name: str) -> None:
    for bits in (8, 4):
        scheme = Scheme(IntFormat(bits), True, range_rule=TensorRTEntropy(), convention="tensorrt")
        assert choose_qparams(ARRAYS[name], scheme).high == ARRAYS[f"{name} {bits}"]
