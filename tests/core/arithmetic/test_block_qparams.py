"""Does every element meet the parameters of its block, chosen here or by somebody else?"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from qviz.core import (
    IntFormat,
    PerAxis,
    PerBlock,
    PerTile,
    PerToken,
    Problem,
    Scheme,
    analyze,
    choose_qparams,
    fake_quantize,
    qparams_from_values,
    quantize,
)
from qviz.core.arithmetic.element_trace import trace_elements
from tests.every import every

F = np.float32


def test_known_parameters_of_blocks_quantize_as_their_own():
    x = np.random.default_rng(5).standard_normal((4, 50)).astype(F)
    for symmetric, granularity in product(
        (True, False), (PerBlock(-1, 16), PerBlock(0, 3), PerToken(), PerAxis(1), PerTile(2, 9))
    ):
        scheme = Scheme(IntFormat(4), symmetric, granularity)
        own = choose_qparams(x, scheme)
        known = qparams_from_values(own.scale, own.zero_point, scheme)
        np.testing.assert_array_equal(quantize(x, known), quantize(x, own))
        np.testing.assert_array_equal(fake_quantize(x, known), fake_quantize(x, own))
        assert analyze(x, scheme, qparams=known).mse == analyze(x, scheme).mse


def test_one_known_zero_point_is_that_of_every_block():
    known = qparams_from_values([[1.0], [2.0]], 3, Scheme(IntFormat(8), False, PerToken()))
    assert known.zero_point.tolist() == [[3], [3]]
    np.testing.assert_array_equal(known.low, [[-131], [-262]])
    assert known.for_group(1).scale == 2


@every("granularity", [PerBlock(-1, 16), PerBlock(0, 2), PerToken(), PerTile(2, 5)])
def test_parameters_of_another_shape_are_a_problem(granularity):
    q = choose_qparams(np.ones((4, 32), F), Scheme(granularity=granularity))
    with pytest.raises(Problem, match=r"shape \(8, 48\) needs .* but there are .* for this shape"):
        quantize(np.ones((8, 48), F), q)


@every("granularity", [PerBlock(-1, 7), PerBlock(1, 4), PerBlock(0, 2), PerToken(), PerAxis(1)])
def test_every_element_meets_the_scale_of_its_block(granularity):
    x = np.random.default_rng(6).standard_normal((3, 10, 9)).astype(F)
    q = choose_qparams(x, Scheme(granularity=granularity))
    groups = granularity.layout(x.shape).group_of(np.arange(x.size))
    spread = np.broadcast_to(q.spread(x.shape).scale, x.shape)
    np.testing.assert_array_equal(spread.reshape(-1), q.scale.reshape(-1)[groups])
    np.testing.assert_array_equal(trace_elements(x.reshape(-1), groups, q).dequantized, fake_quantize(x, q).reshape(-1))
