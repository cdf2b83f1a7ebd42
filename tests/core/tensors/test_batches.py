"""Which elements come together, and in which order are they read?"""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import PerAxis, PerTensor, Problem, Tensor, choose_qparams
from qviz.core.ranges.table import RANGE_RULES, reads_shape
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.batches import batches_of, stack
from qviz.core.tensors.granularity import PerBlock, PerToken
from qviz.core.tensors.layout import BLOCK
from tests.every import every

X = np.random.default_rng(3).standard_normal((4, 3, 5, 2)).astype(np.float32)
BATCH_RULES = [kind for kind, rule in RANGE_RULES.items() if "batch_axis" in rule.__dataclass_fields__]


def read(x, granularity, batch_axis):
    """Every group's batches as flat arrays."""
    tensor = x if isinstance(x, Tensor) else Tensor(x)
    found = batches_of(tensor, granularity.layout(tensor.shape), batch_axis)
    return {group: [(b.read(0, b.size).copy(), b.rows) for b in batches] for group, batches in found}


@every("batch_axis", [None, 0, 1, 2, 3, -1, -4])
@every("granularity", [PerTensor(), *map(PerAxis, range(4))], ids=str)
def test_batches_are_the_slices_along_their_axis(granularity, batch_axis):
    axis = granularity.axis if isinstance(granularity, PerAxis) else None
    if axis is not None and batch_axis is not None and batch_axis % 4 == axis:
        with pytest.raises(Problem, match="both batches and scales"):
            read(X, granularity, batch_axis)
        return
    found = read(X, granularity, batch_axis)
    assert list(found) == list(range(1 if axis is None else X.shape[axis]))
    for group, batches in found.items():
        own = [np.take(X, i, batch_axis) for i in range(X.shape[batch_axis])] if batch_axis is not None else [X]
        assert len(batches) == len(own)
        for (values, rows), whole in zip(batches, own, strict=True):
            where = None if axis is None else axis - (batch_axis is not None and batch_axis % 4 < axis)
            expected = whole if where is None else np.take(whole, group, where)
            np.testing.assert_array_equal(values, expected.ravel())
            assert rows == (1 if where == 0 else whole.shape[0])


def test_many_groups_are_copied_out_some_at_a_time():
    x = np.arange(BLOCK + 6, dtype=np.float32).reshape(2, -1, 1)
    found = read(x, PerAxis(1), 0)
    assert [[float(v[0]) for v, _ in batches] for batches in (found[0], found[x.shape[1] - 1])] == [
        [0, x.shape[1]],
        [x.shape[1] - 1, x.size - 1],
    ]


@every("batch_axis", [0, 1, 2, 3])
def test_blocks_are_not_cut_into_batches(batch_axis):
    with pytest.raises(Problem, match="both batches and scales"):
        read(X, PerBlock(2, 4), batch_axis)


def test_one_batch_is_every_blocks_own():
    x = X.reshape(4, 1, 30)
    of_one, of_none = (read(x, PerBlock(2, 4), axis) for axis in (1, None))
    assert len(of_one) == 4 * 8
    for group, ((values, rows),) in of_one.items():
        np.testing.assert_array_equal(values, of_none[group][0][0])
        assert rows == 1
        assert np.count_nonzero(~np.isnan(values)) == (2 if group % 8 == 7 else 4)


def test_batches_of_each_token_lie_along_its_features():
    found = read(X, PerToken(), 3)
    assert len(found) == 4 * 3 * 5
    assert [v.tolist() for v, _ in found[7]] == [[v] for v in X.reshape(-1, 2)[7].tolist()]


@pytest.mark.parametrize(("shape", "batch_axis", "choice"), [((2, 3), 2, "from -2 to 1"), ((7,), -2, "from -1 to 0")])
def test_an_axis_that_is_not_there_is_a_problem(shape, batch_axis, choice):
    with pytest.raises(Problem, match=f"no batch axis {batch_axis}.*{choice}"):
        read(np.ones(shape, np.float32), PerTensor(), batch_axis)


def test_a_vector_along_its_only_axis_is_batches_of_one_element():
    assert [v.tolist() for v, _ in read(np.array([1, 2, 3]), PerTensor(), 0)[0]] == [[1], [2], [3]]


def test_what_is_not_finite_is_left_out():
    x = np.array([[1, np.nan, -3], [np.inf, np.nan, np.nan], [2, 5, 4]], np.float32)
    _, batches = next(batches_of(Tensor(x), PerTensor().layout(x.shape), 0))
    seen = [
        (b.extremes(), [p.tolist() for p in b.pieces()], b.finite().size, b.row_magnitudes().tolist()) for b in batches
    ]
    assert seen == [
        ((-3, 1), [[1, -3]], 2, [1, 3]),
        (None, [], 0, []),
        ((2, 5), [[2, 5, 4]], 3, [2, 5, 4]),
    ]


def test_what_is_all_finite_is_not_copied():
    _, (batch,) = next(batches_of(Tensor(X), PerTensor().layout(X.shape), None))
    assert batch.finite() is batch


@every("shape", [(3, BLOCK + 5), (BLOCK // 4 + 3, 9), (1, 5), (5, 1)])
def test_the_largest_magnitude_of_each_row(shape):
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    _, (batch,) = next(batches_of(Tensor(x), PerTensor().layout(shape), None))
    np.testing.assert_array_equal(batch.row_magnitudes(), np.abs(x).max(axis=1))


def test_a_mapped_file_is_read_where_it_lies(tmp_path):
    np.save(tmp_path / "x.npy", X.astype(np.float64))
    tensor = Tensor(np.load(tmp_path / "x.npy", mmap_mode="r"))
    for batch_axis in (0, 2):
        expected = [np.take(X, i, batch_axis).ravel() for i in range(X.shape[batch_axis])]
        for (values, _), whole in zip(read(tensor, PerTensor(), batch_axis)[0], expected, strict=True):
            np.testing.assert_array_equal(values, whole)


@every("kind", BATCH_RULES)
def test_where_the_batches_lie_makes_no_difference(kind):
    found = {
        float(choose_qparams(np.moveaxis(X, 0, axis), Scheme(range_rule=RANGE_RULES[kind](batch_axis=axis))).scale)
        for axis in (0, 1, 3)
        if kind != "paddle_avg" or axis == 0  # of which the first axis of a batch is samples
    }
    assert len(found) == 1


@every("kind", [kind for kind in RANGE_RULES if kind != "mse"])  # of which the candidates differ
def test_each_channel_is_treated_as_a_tensor_of_its_own(kind):
    rule = RANGE_RULES[kind](**({"batch_axis": 0} if kind in BATCH_RULES else {}))
    whole = choose_qparams(X, Scheme(range_rule=rule, granularity=PerAxis(1)))
    alone = [choose_qparams(X[:, i : i + 1], Scheme(range_rule=rule)).scale for i in range(X.shape[1])]
    np.testing.assert_array_equal(whole.scale, alone)


@every("kind", list(RANGE_RULES))
def test_every_rule_leaves_out_what_is_not_finite(kind):
    holes = np.insert(X.ravel(), [0, 7, 50], [np.nan, np.inf, -np.inf])
    scheme = Scheme(range_rule=RANGE_RULES[kind]())
    assert choose_qparams(holes, scheme).scale == choose_qparams(X.ravel(), scheme).scale
    channels = np.concatenate((X.reshape(1, -1), np.full((1, X.size), np.nan, np.float32)))
    per_axis = Scheme(range_rule=RANGE_RULES[kind](), granularity=PerAxis(0))
    assert np.isfinite(choose_qparams(channels, per_axis).scale).all()


def test_which_rules_depend_on_the_shape():
    assert [kind for kind, rule in RANGE_RULES.items() if reads_shape(rule())] == ["paddle_avg"]
    assert all(reads_shape(RANGE_RULES[kind](batch_axis=0)) for kind in BATCH_RULES)


def test_tensors_of_one_shape_are_stacked():
    together = stack([Tensor(part, f"batch {i}") for i, part in enumerate(X)], "activations")
    assert (together.name, together.shape) == ("activations", X.shape)
    np.testing.assert_array_equal(together.values, X.ravel())


def test_what_is_not_finite_stays_out_of_a_stack():
    together = stack([Tensor(np.array([1, np.inf])), Tensor(np.array([np.nan, 2]))])
    assert (together.finite, together.minimum, together.maximum) == (2, 1, 2)


def test_tensors_of_unequal_shape_are_a_problem():
    with pytest.raises(Problem, match=r"unequal shape: a is \(2, 3\) and b is \(3, 2\)"):
        stack([Tensor(np.ones((2, 3)), "a"), Tensor(np.ones((2, 3)), "c"), Tensor(np.ones((3, 2)), "b")])


def test_no_tensors_are_a_problem():
    with pytest.raises(Problem, match="no batches"):
        stack([])
