"""Every group has its part in the few elements that stand for all, and none lends another its own."""

from __future__ import annotations

import gc
import math
from weakref import ref

import numpy as np
import pytest

from qviz.core import PerAxis, PerBlock, PerTensor, PerToken, Tensor
from qviz.core.tensors.thinned import LEAST_OF_GROUP, RUN, can_be_thinned, thinned
from qviz.core.work import Cancelled
from tests.every import every

FEW = 8_000
CASES = [
    ((40, 5000), PerAxis(0)),
    ((40, 5007), PerAxis(-2)),
    ((40, 5000), PerToken()),
    ((3, 9, 5003), PerToken()),
    ((3, 9, 5003), PerAxis(1)),
    ((2000, 100), PerAxis(1)),
    ((2001, 101), PerAxis(-1)),
    ((700, 30, 3, 3), PerAxis(1)),
    ((30, 2000, 3, 3), PerAxis(0)),
    ((200_000, 3), PerAxis(1)),
]


def numbered(shape):
    """Each element the number of its place."""
    return Tensor(np.arange(math.prod(shape), dtype=np.float32).reshape(shape))


@every(("shape", "granularity"), CASES, ids=str)
def test_they_are_of_their_groups_and_each_has_as_many(shape, granularity):
    tensor = numbered(shape)
    found = thinned(tensor, granularity, FEW)
    layout = granularity.layout(shape)
    assert can_be_thinned(granularity, shape, FEW)
    assert found.layout.groups == layout.groups
    assert FEW / 2 <= found.tensor.elements <= tensor.elements / 2.9
    places = np.asarray(found.tensor.values[:]).astype(int)
    assert np.unique(places).size == places.size
    groups = found.layout.group_of(np.arange(places.size))
    np.testing.assert_array_equal(layout.group_of(places), groups)
    counts = np.bincount(groups, minlength=layout.groups)
    assert counts.min() == counts.max() >= LEAST_OF_GROUP
    spread = tensor.elements / places.size
    away = np.abs(places - spread * np.arange(places.size)).max()
    assert away <= 3 * spread * max(RUN, layout.groups * layout.inner if layout.inner < RUN else 0)
    assert found.granularity.scale_shape(found.tensor.shape) == granularity.scale_shape(shape)


@every(("shape", "granularity"), CASES[:1] + CASES[5:6], ids=str)
def test_they_are_of_all_parts_of_a_group(shape, granularity):
    x = np.zeros(shape, np.float32)
    x[:] = np.arange(x.shape[1]) if granularity == PerAxis(0) else np.arange(x.shape[0])[:, None]
    x = (8 * x // (x.max() + 1)).astype(np.float32)
    found = thinned(Tensor(x), granularity, FEW)
    few = np.asarray(found.tensor.values[:]).astype(int)
    counts = np.bincount(few, minlength=8)
    assert counts.min() > 0.85 * counts.max()
    assert (np.unique(few[:: few.size // 500]).size) == 8


@every(
    ("shape", "granularity"),
    [
        ((40, 5000), PerTensor()),
        ((40, 5000), PerBlock(-1, 1000)),
        ((400, 300), PerAxis(0)),
        ((300, 400), PerAxis(1)),
        ((4, 7000), PerAxis(0)),
        ((30_000,), PerAxis(0)),
        ((30_000,), PerToken()),
    ],
    ids=str,
)
def test_groups_that_are_short_or_few_elements_are_looked_at_as_they_are(shape, granularity):
    few = FEW if math.prod(shape) > 30_000 else 20_000
    assert not can_be_thinned(granularity, shape, few)


def test_they_are_the_same_each_time_and_looked_for_once():
    tensor = numbered((40, 5000))
    first = thinned(tensor, PerAxis(0), FEW)
    assert thinned(tensor, PerAxis(0), FEW) is first
    again = thinned(numbered((40, 5000)), PerAxis(0), FEW)
    np.testing.assert_array_equal(again.tensor.values, first.tensor.values)
    columns = thinned(tensor.reshaped((200, 1000)), PerAxis(0), FEW)
    assert columns.layout.groups == 200
    assert thinned(tensor, PerAxis(0), 2 * FEW).tensor.elements > first.tensor.elements


def test_nothing_holds_on_to_them_when_the_tensor_is_gone():
    tensor = numbered((40, 5000))
    found = ref(thinned(tensor, PerAxis(0), FEW))
    assert found() is not None
    del tensor
    gc.collect()
    assert found() is None


def test_where_nothing_of_them_is_finite_there_are_none():
    x = np.full((40, 5000), np.nan, np.float32)
    x[:, 0] = 1
    few = thinned(Tensor(x), PerAxis(0), FEW)
    assert few is None or few.tensor.finite <= 40
    x[:] = np.nan
    x[0, -1] = 1
    x[0, 5000 // RUN * RUN :] = 1  # where no whole run is
    assert thinned(Tensor(x), PerAxis(0), FEW) is None


def test_what_lies_in_a_file_in_another_type_is_read_like_any(tmp_path):
    x = np.random.default_rng(0).standard_normal((64, 8192)).astype(np.float16)
    x[3, ::5] = np.nan
    np.save(tmp_path / "x.npy", x)
    stored = np.load(tmp_path / "x.npy", mmap_mode="r")
    for granularity in (PerAxis(0), PerToken()):
        one, other = (thinned(Tensor(source), granularity, FEW) for source in (stored, np.array(x)))
        np.testing.assert_array_equal(one.tensor.values, other.tensor.values)
        assert one.tensor.nan > 0
        assert one.tensor.dtype == "float16"


@every("granularity", [PerAxis(0), PerAxis(1)], ids=str)
def test_it_can_be_stopped(granularity):
    tensor = Tensor(np.ones((700, 700), np.float32))
    with pytest.raises(Cancelled):
        thinned(tensor, granularity, FEW, cancelled=lambda: True)
    assert thinned(tensor, granularity, FEW) is not None
