"""Which elements share a scale?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qviz.core import PerAxis, PerTensor, Problem
from qviz.core.granularity import Layout

SHAPE = (2, 3, 4, 5)


@pytest.mark.parametrize(
    ("granularity", "block_shape", "layout"),
    [
        (PerTensor(), (2, 3, 4, 5), (1, 1, 120)),
        (PerAxis(0), (1, 3, 4, 5), (1, 2, 60)),
        (PerAxis(1), (2, 1, 4, 5), (2, 3, 20)),
        (PerAxis(2), (2, 3, 1, 5), (6, 4, 5)),
        (PerAxis(3), (2, 3, 4, 1), (24, 5, 1)),
        (PerAxis(-1), (2, 3, 4, 1), (24, 5, 1)),
        (PerAxis(-4), (1, 3, 4, 5), (1, 2, 60)),
    ],
)
def test_every_granularity_is_a_block_shape(granularity, block_shape, layout):
    assert granularity.block_shape(SHAPE) == block_shape
    assert granularity.layout(SHAPE).shape == layout


@pytest.mark.parametrize("axis", range(-4, 4))
def test_a_group_of_the_layout_is_a_slice_along_the_axis(axis):
    x = np.arange(120).reshape(SHAPE)
    groups = x.reshape(PerAxis(axis).layout(SHAPE).shape)
    for k in range(SHAPE[axis]):
        np.testing.assert_array_equal(groups[:, k].ravel(), x.take(k, axis).ravel())


@pytest.mark.parametrize("axis", [4, -5, 100])
def test_an_axis_that_does_not_exist_is_a_problem(axis):
    for ask in (PerAxis(axis).resolve, PerAxis(axis).block_shape, PerAxis(axis).layout):
        with pytest.raises(Problem, match=rf"no axis {axis} .* from -4 to 3"):
            ask(SHAPE)


def test_granularities_are_values():
    assert PerTensor() == PerTensor()
    assert PerAxis() == PerAxis(0) != PerAxis(1)
    assert PerTensor().to_dict() == {"kind": "tensor"}
    assert PerAxis(2).to_dict() == {"kind": "axis", "axis": 2}


sides = st.integers(1, 9)


@given(outer=sides, groups=sides, inner=sides, elements=st.integers(1, 800))
@example(outer=2, groups=3, inner=8, elements=8)
@example(outer=2, groups=3, inner=8, elements=24)
@example(outer=4, groups=3, inner=8, elements=48)
def test_blocks_visit_memory_in_order_and_cover_everything(outer, groups, inner, elements):
    layout = Layout(outer, groups, inner)
    flat = np.arange(outer * groups * inner)
    view = flat.reshape(layout.shape)
    pieces = [view[block] for block in layout.blocks(elements)]
    assert all(piece.flags.c_contiguous for piece in pieces)
    assert all(0 < piece.size <= elements for piece in pieces)
    np.testing.assert_array_equal(np.concatenate([piece.ravel() for piece in pieces]), flat)
