"""How do Microscaling formats choose the power of two that a block shares?"""

from __future__ import annotations

import numpy as np

from qviz.core import (
    FloatFormat,
    IntFormat,
    choose_qparams,
    quantize,
)
from tests.every import every
from tests.schemes import block_qparams

F = np.float32
FP4 = FloatFormat("e2m1fn")


@every(
    ("absmax", "floor", "ceil", "even", "rceil"),
    [  # of FP4, whose largest value is 6: the exponent is less by 2
        (4.0, 1, 1, 1, 1),
        (6.0, 1, 2, 1, 1),
        (6.5, 1, 2, 1, 2),
        (6.999, 1, 2, 1, 2),
        (7.0, 1, 2, 2, 2),  # which FP4's precision would round to 8
        (7.5, 1, 2, 2, 2),
        (8.0, 2, 2, 2, 2),
        (0.4, 1 / 16, 1 / 8, 1 / 16, 1 / 8),
    ],
)
def test_the_four_rules_of_mx(absmax, floor, ceil, even, rceil):
    found = [float(block_qparams(f"mx_{rule}", FP4, absmax).scale[0]) for rule in ("floor", "ceil", "even", "rceil")]
    assert found == [floor, ceil, even, rceil]


def test_mx_integers_are_64ths():
    q = block_qparams("mx_floor", IntFormat(8), 1.0)
    assert (q.scale, q.quant_min, q.quant_max) == (1 / 64, -127, 127)
    x = np.full(32, -1.999, F)
    x[0] = 1
    assert quantize(x, choose_qparams(x, q.scheme)).tolist() == [64] + [-127] * 31
