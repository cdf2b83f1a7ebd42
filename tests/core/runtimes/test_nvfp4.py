"""How does NVFP4 choose its scales?"""

from __future__ import annotations

import numpy as np

from qviz.core import (
    FloatFormat,
    PerBlock,
    Scheme,
    choose_qparams,
    fake_quantize,
)

F = np.float32
FP4 = FloatFormat("e2m1fn")


def test_nvfp4_has_a_scale_for_the_tensor_and_one_for_each_block():
    x = np.zeros((2, 16), F)
    x[0, 0], x[1, 0] = 2688, 12
    q = choose_qparams(x, Scheme(FP4, True, PerBlock(-1, 16), convention="nvfp4"))
    assert q.scale.ravel().tolist() == [448, 2]  # the tensor's is 1: these are E4M3
    assert q.multiplies
    np.testing.assert_array_equal(fake_quantize(x, q), x)
