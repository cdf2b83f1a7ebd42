"""What do all block formats have in common?"""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import (
    CONVENTIONS,
    FloatFormat,
    IntFormat,
    Manual,
    PerBlock,
    Scheme,
    analyze,
    choose_qparams,
    fake_quantize,
)
from tests.every import every
from tests.schemes import block_qparams

F = np.float32
UINT4, UINT5, FP4 = IntFormat(4, False), IntFormat(5, False), FloatFormat("e2m1fn")


def test_a_block_of_zeros_has_a_scale():
    assert block_qparams("mx_floor", FP4, 0.0).scale == 2.0**-127
    assert block_qparams("mx_rceil", FP4, 0.0).scale == 2.0**-127
    assert np.isnan(block_qparams("nvfp4", FP4, 0.0, size=16).scale)  # as in torchao, which divides 0 by 0
    assert block_qparams("gguf", UINT4, 0.0).scale == 0
    assert block_qparams("gguf", UINT4, 0.0, symmetric=False).scale == 0


@every(
    ("convention", "number_format", "symmetric"),
    [("mx_floor", FP4, True), ("nvfp4", FP4, True), ("gguf", UINT4, True), ("gguf", UINT5, False)],
)
def test_a_range_by_hand_is_kept_in_every_block(convention, number_format, symmetric):
    size = CONVENTIONS[convention].block_size
    x = np.random.default_rng(2).standard_normal((3, 2 * size)).astype(F)
    scheme = Scheme(number_format, symmetric, PerBlock(-1, size), Manual(-1.0, 1.0), convention)
    q = choose_qparams(x, scheme)
    assert np.unique(np.abs(q.scale)).size == 1
    analysis = analyze(x, scheme)
    assert analysis.saturated > 0
    error = fake_quantize(x, q).astype(np.float64) - x
    assert analysis.mse == pytest.approx(np.mean(error * error), rel=1e-12)
