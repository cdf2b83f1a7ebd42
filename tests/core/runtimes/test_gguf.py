"""How does GGUF choose its scales and codes?"""

from __future__ import annotations

import numpy as np

from qviz.core import (
    IntFormat,
    PerBlock,
    Scheme,
    choose_qparams,
    fake_quantize,
    quantize,
)
from qviz.core.arithmetic.element_trace import trace_elements
from tests.schemes import block_qparams

F = np.float32
BLOCKS = PerBlock(-1, 32)
UINT4 = IntFormat(4, False)


def test_gguf_gives_the_first_code_to_the_element_furthest_from_zero():
    for sign in (1, -1):
        q = block_qparams("gguf", UINT4, sign * 8.0)
        assert (q.scale, q.zero_point) == (-sign, 8)
        x = np.zeros(32, F)
        x[3] = sign * 8
        assert quantize(x, q)[3] == 0
        assert q.clip_range()[0] < q.clip_range()[1]


def test_of_two_as_far_the_first_one_has_its_sign():
    for first in (1, -1):
        x = np.zeros((1, 32), F)
        x[0, 4], x[0, 9] = first, -first
        q = choose_qparams(x, Scheme(UINT4, True, BLOCKS, convention="gguf"))
        assert np.sign(q.scale).ravel().tolist() == [-first]
        assert quantize(x, q)[0, [4, 9]].tolist() == [0, 15]


def test_gguf_with_a_minimum_walks_through_its_shift():
    x = np.linspace(3, 4.5, 32, dtype=F)
    q = choose_qparams(x, Scheme(UINT4, False, BLOCKS, convention="gguf"))
    assert (q.shift, q.offset) == (3, 3)
    steps = trace_elements(x, np.zeros(32, int), q)
    np.testing.assert_allclose(steps.divided, (x - 3) / q.divisor, rtol=1e-6)
    np.testing.assert_array_equal(steps.code, quantize(x, q))
    np.testing.assert_array_equal(steps.dequantized, fake_quantize(x, q))
    assert steps.code[0] == 0
    assert steps.code[-1] == 15
