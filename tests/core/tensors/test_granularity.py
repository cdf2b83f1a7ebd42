"""Which elements share a scale?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qviz.core import PerAxis, PerBlock, PerTensor, PerTile, PerToken, Problem
from qviz.core.tensors.granularity import GRANULARITIES
from qviz.core.tensors.layout import BlockLayout, Layout
from tests.every import every

SHAPE = (2, 3, 4, 5)


@every(
    ("granularity", "block_shape", "layout"),
    [
        (PerTensor(), (2, 3, 4, 5), (1, 1, 120)),
        (PerAxis(0), (1, 3, 4, 5), (1, 2, 60)),
        (PerAxis(1), (2, 1, 4, 5), (2, 3, 20)),
        (PerAxis(2), (2, 3, 1, 5), (6, 4, 5)),
        (PerAxis(3), (2, 3, 4, 1), (24, 5, 1)),
        (PerAxis(-1), (2, 3, 4, 1), (24, 5, 1)),
        (PerAxis(-4), (1, 3, 4, 5), (1, 2, 60)),
        (PerToken(), (1, 1, 1, 5), (1, 24, 5)),
        (PerBlock(-1, 5), (1, 1, 1, 5), (1, 24, 5)),
        (PerBlock(3, 1), (1, 1, 1, 1), (1, 120, 1)),
        (PerBlock(-1, 2), (1, 1, 1, 2), (1, 72, 2)),
        (PerBlock(2, 2), (1, 1, 2, 1), (1, 60, 2)),
        (PerBlock(-2, 3), (1, 1, 3, 1), (1, 60, 3)),
        (PerBlock(0, 2), (2, 1, 1, 1), (1, 60, 2)),
        (PerTile(2, 3), (1, 1, 2, 3), (1, 24, 6)),
        (PerTile(3, 128), (1, 1, 3, 5), (1, 12, 15)),
        (PerTile(128, 128), (1, 1, 4, 5), (1, 6, 20)),
    ],
)
def test_every_granularity_is_a_block_shape(granularity, block_shape, layout):
    assert granularity.block_shape(SHAPE) == block_shape
    assert granularity.layout(SHAPE).shape == layout


@every("axis", range(-4, 4))
def test_a_group_of_the_layout_is_a_slice_along_the_axis(axis):
    x = np.arange(120).reshape(SHAPE)
    groups = x.reshape(PerAxis(axis).layout(SHAPE).shape)
    for k in range(SHAPE[axis]):
        np.testing.assert_array_equal(groups[:, k].ravel(), x.take(k, axis).ravel())


@every("axis", [4, -5, 100])
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


# --- blocks and tokens -----------------------------------------------------------------------------


@every(
    ("granularity", "scales"),
    [
        (PerTensor(), ()),
        (PerAxis(1), (3,)),
        (PerToken(), (2, 3, 4, 1)),
        (PerBlock(-1, 2), (2, 3, 4, 3)),
        (PerBlock(-1, 5), (2, 3, 4, 1)),
        (PerBlock(1, 2), (2, 2, 4, 5)),
        (PerBlock(-4, 1), (2, 3, 4, 5)),
        (PerTile(3, 2), (2, 3, 2, 3)),
    ],
)
def test_how_many_scales_there_are(granularity, scales):
    assert granularity.scale_shape(SHAPE) == scales
    assert granularity.layout(SHAPE).groups == np.prod(scales)


def test_the_token_of_a_vector_is_all_of_it():
    assert PerToken().layout((7,)).shape == (1, 1, 7)
    assert (PerToken().block_shape((7,)), PerToken().scale_shape((7,))) == ((7,), (1,))


@every("size", [0, -1, -32])
def test_a_block_needs_an_element(size):
    with pytest.raises(Problem, match=rf"A block of {size} has no element: choose a block size of 1 or more"):
        PerBlock(0, size)


@pytest.mark.parametrize("sides", [(0, 4), (4, -1)])
def test_a_tile_needs_an_element(sides):
    with pytest.raises(Problem, match=r"has no element: choose sides of 1 or more"):
        PerTile(*sides)


def test_tiles_lie_over_two_axes():
    with pytest.raises(Problem, match=r"shape \(7,\) has one: choose per block, or per tensor"):
        PerTile().layout((7,))


@pytest.mark.parametrize("axis", [-1, 3])
def test_a_block_longer_than_its_axis_is_a_problem(axis):
    for ask in ("block_shape", "scale_shape", "layout", "resolve"):
        with pytest.raises(Problem, match=rf"block of 6 is longer than axis {axis} .* choose a block size up to 5"):
            getattr(PerBlock(axis, 6), ask)(SHAPE)


def test_where_a_runtime_fills_blocks_up_the_only_one_of_an_axis_may_be_shorter():
    filling, plain = PerBlock(0, 6).of_runtime(True), PerBlock(0, 6)
    assert (filling.block_shape(SHAPE), filling.scale_shape(SHAPE)) == ((2, 1, 1, 1), (1, 3, 4, 5))
    assert filling.layout(SHAPE) == PerBlock(0, 2).layout(SHAPE)
    assert (filling.within(2), plain.within(2)) == (6, 2)
    assert filling.reaches_beyond(SHAPE) and plain.reaches_beyond(SHAPE) and not PerBlock(0, 2).reaches_beyond(SHAPE)
    assert filling == plain
    assert filling.to_dict() == plain.to_dict()
    with pytest.raises(Problem, match="longer than axis 0"):
        PerBlock(0, 1 << 17).of_runtime(True).layout(SHAPE)
    with pytest.raises(Problem, match="longer than axis 0"):
        filling.of_runtime(False).layout(SHAPE)


@pytest.mark.parametrize("axis", [4, -5])
def test_blocks_along_an_axis_that_does_not_exist_are_a_problem(axis):
    with pytest.raises(Problem, match=rf"no axis {axis} .* from -4 to 3"):
        PerBlock(axis, 2).layout(SHAPE)


@every("granularity", [PerTensor(), PerAxis(-2), PerBlock(1, 64), PerToken(), PerTile(4, 8)])
def test_plain_values_bring_a_granularity_back(granularity):
    data = granularity.to_dict()
    assert GRANULARITIES[data.pop("kind")](**data) == granularity


@st.composite
def cut_up(draw):
    """A shape and a granularity that fits it."""
    shape = tuple(draw(st.lists(st.integers(1, 7), min_size=1, max_size=4)))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    size = draw(st.integers(1, shape[axis]))
    sides = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    tiles = [PerTile(*sides)] * 3 if len(shape) > 1 else []
    return shape, draw(st.sampled_from([PerTensor(), PerAxis(axis), PerBlock(axis, size), PerToken(), *tiles]))


def numbers_of(shape, granularity):
    """The group of every element, by slicing."""
    numbers = np.empty(shape, int)
    blocks = granularity.block_shape(shape)
    counts = [-(-n // b) for n, b in zip(shape, blocks, strict=True)]
    for group, place in enumerate(np.ndindex(*counts)):
        numbers[tuple(slice(i * b, (i + 1) * b) for i, b in zip(place, blocks, strict=True))] = group
    return numbers


@given(cut_up())
def test_the_group_of_an_element_is_the_block_it_lies_in(cut):
    shape, granularity = cut
    layout = granularity.layout(shape)
    numbers = numbers_of(shape, granularity).reshape(-1)
    np.testing.assert_array_equal(layout.group_of(np.arange(numbers.size)), numbers)
    assert layout.group_of(numbers.size - 1) == numbers[-1]
    assert layout.groups == numbers.max() + 1
    assert layout.ragged == (np.unique(np.bincount(numbers)).size > 1)


@given(cut_up(), st.integers(1, 600))
@example(((3, 5, 4), PerBlock(1, 2)), 1)  # parts of a row of blocks
@example(((3, 5, 4), PerBlock(1, 2)), 4)
@example(((3, 5, 4), PerBlock(1, 2)), 8)  # rows of blocks
@example(((3, 5, 4), PerBlock(1, 2)), 16)
@example(((3, 5, 4), PerBlock(1, 2)), 24)  # whole rows of the tensor
@example(((3, 5, 4), PerBlock(1, 2)), 60)
@example(((3, 5, 4), PerBlock(1, 2)), 600)
@example(((6, 7), PerBlock(-1, 3)), 9)
@example(((6, 7), PerBlock(-1, 3)), 18)
@example(((7, 6), PerBlock(0, 3)), 4)
def test_every_piece_is_what_lies_in_its_groups(cut, elements):
    shape, granularity = cut
    layout = granularity.layout(shape)
    numbers = numbers_of(shape, granularity).reshape(-1)
    flat = np.arange(numbers.size, dtype=np.float32)
    visited = []
    for block in layout.blocks(elements):
        taken = layout.take(flat, block)
        assert taken.ndim == 3
        assert taken.shape[1] == block[1].stop - block[1].start
        for offset, values in enumerate(taken.swapaxes(0, 1).reshape(taken.shape[1], -1)):
            inside = values[~np.isnan(values)].astype(int)
            assert set(numbers[inside]) == {block[1].start + offset}
        back = np.concatenate([run for _, run in layout.runs(block, taken)])
        places = np.concatenate([start + np.arange(run.size) for start, run in layout.runs(block, taken)])
        np.testing.assert_array_equal(back, places)
        visited.append(places)
    assert sorted(np.concatenate(visited)) == list(range(flat.size))


def test_a_small_piece_is_a_part_of_a_row_of_blocks_and_a_large_one_many_rows():
    layout = PerBlock(1, 2).layout((3, 5, 4))
    assert isinstance(layout, BlockLayout)
    sizes = {elements: {len(layout._pieces(b[1])) for b in layout.blocks(elements)} for elements in (2, 8, 24, 48)}
    assert sizes == {2: {1, 2}, 8: {1}, 24: {1}, 48: {1}}
    assert [len(list(layout.blocks(elements))) for elements in (2, 8, 24, 48, 72)] == [36, 9, 3, 2, 1]


@given(cut_up(), st.data())
def test_neighbouring_groups_are_gathered_side_by_side(cut, data):
    shape, granularity = cut
    layout = granularity.layout(shape)
    numbers = numbers_of(shape, granularity).reshape(-1)
    first = data.draw(st.integers(0, layout.groups - 1))
    last = data.draw(st.integers(first + 1, layout.groups))
    source = np.arange(numbers.size, dtype=np.int64)
    gathered = layout.gather(source, first, last)
    assert gathered.dtype == np.float32
    assert gathered.shape == (layout.outer, last - first, layout.inner)
    for group in range(first, last):
        values = gathered[:, group - first]
        np.testing.assert_array_equal(values[~np.isnan(values)], np.flatnonzero(numbers == group))
