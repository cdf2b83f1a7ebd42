"""What is left of an answer, and where bits are best spent."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from qviz.core import IntFormat, PerAxis, Problem, Scheme
from qviz.models.error_sketch import ErrorSketch
from qviz.models.frontier import Choice, at_most, frontier
from qviz.models.output_figures import Answers, OutputSums, RightAnswer
from qviz.models.preparation import prepare_network
from qviz.models.sensitivity import Sensitivity
from qviz.models.weights import squares
from tests.every import every
from tests.models.made import classifier, network, pictures


def sums_of(*pairs, name="y"):
    sums = OutputSums(name)
    for x, y in pairs:
        sums.add(x if isinstance(x, RightAnswer) else np.asarray(x), np.asarray(y))
    return sums.figures()


def test_sqnr_and_cosine_by_hand():
    x, y = np.array([[3.0, 4.0]], np.float32), np.array([[3.0, 3.0]], np.float32)
    found = sums_of((x, y))
    assert found.sqnr_db == pytest.approx(10 * math.log10(25 / 1))
    assert found.cosine == pytest.approx((9 + 12) / (5 * math.sqrt(18)))
    assert found.max_abs_error == 1
    assert found.top1 == 0
    assert math.isinf(sums_of((x, x)).sqnr_db)


def test_agreement_of_classes():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 12)).astype(np.float32)
    y = x.copy()
    y[:5, 3] += 100
    found = sums_of((x, y))
    expected = np.mean(x.argmax(1) == y.argmax(1))
    assert found.top1 == pytest.approx(expected)
    assert found.kl > 0
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    assert sums_of((p, p)).kl == pytest.approx(0, abs=1e-9)


def test_sequences_are_read_as_ctc_does():
    def path(*classes):
        rows = np.full((1, len(classes), 30), 0.001, np.float32)
        rows[0, np.arange(len(classes)), classes] = 1 - 0.029
        return rows

    assert sums_of((path(0, 5, 5, 0, 7), path(5, 5, 0, 7, 7))).sequences == 1
    assert sums_of((path(0, 5, 5, 0, 7), path(0, 5, 0, 5, 7))).sequences == 0


def test_boxes_that_both_find():
    head = np.zeros((1, 6, 400), np.float32)
    head[0, :4, :3] = np.array([[50, 50, 20, 20], [51, 50, 20, 20], [150, 80, 40, 30]]).T
    head[0, 4, :3] = [0.9, 0.8, 0.7]
    other = head.copy()
    assert sums_of((head, other)).detections == 1
    other[0, 4, 2] = 0.1
    assert sums_of((head, other)).detections == pytest.approx(1 / 1.5)


@every("worn", [1.5, -3.0, np.nan, np.inf], ids=str)
def test_a_head_that_is_worn_beyond_shares_is_still_read(worn):
    head = np.zeros((1, 6, 400), np.float32)
    head[0, :4, 0], head[0, 4, 0] = [50, 50, 20, 20], 0.9
    other = head.copy()
    other[0, 4, 0] = worn
    assert sums_of((head, other)).detections == (1 if worn == 1.5 else 0)


def test_what_is_known_of_the_right_answer_changes_no_figure():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 8, 40)).astype(np.float32)
    shares = (np.exp(x) / np.exp(x).sum(-1, keepdims=True)).astype(np.float32)
    for right in (x, shares, shares[0, 0], np.where(x > 2, np.nan, x)):
        given = (right * 1.01).astype(np.float32)
        known = RightAnswer(right)
        assert str(sums_of((known, given), (known, right))) == str(sums_of((right, given), (right, right)))


def test_what_is_not_finite_is_not_good():
    x = np.ones((2, 4), np.float32)
    y = x.copy()
    y[0, 0] = np.nan
    answers = Answers(["y"])
    answers.add([x], [y])
    assert math.isnan(answers.figures()[0].sqnr_db)
    assert math.isnan(answers.sqnr_db)


def options(seed):
    rng = np.random.default_rng(seed)
    found = []
    for unit in range(5):
        size = int(rng.integers(100, 1000))
        loss = float(rng.random()) * 1e-2
        found.append(
            [
                Choice(str(unit), label, size * bits / 8, loss * 4.0 ** -(bits - 2) * float(rng.random() + 0.5))
                for label, bits in (("2", 2), ("4", 4), ("8", 8))
            ]
            + [Choice(str(unit), "float", size * 4.0, 0.0)]
        )
    return found


@every("seed", range(12))
def test_no_choice_beats_a_point_of_the_frontier(seed):
    rows = options(seed)
    every = [(sum(c.bytes for c in chosen), math.fsum(c.noise for c in chosen)) for chosen in itertools.product(*rows)]
    for point in frontier(rows):
        better = [noise for size, noise in every if size <= point.bytes * (1 + 1e-12)]
        assert point.noise <= min(better) * (1 + 1e-9) + 1e-18
        assert point.bytes == pytest.approx(
            sum(next(c.bytes for c in unit if c.format == point.formats[c.unit]) for unit in rows)
        )


def sketched(right, *errors):
    """The sketch of each error of one output, in two samples."""
    found = []
    for error in errors:
        sketch = ErrorSketch(1)
        for half, wrong in zip(np.split(right, 2), np.split(error, 2), strict=True):
            sketch.add([RightAnswer(half)], [half + wrong])
        found.append(sketch.error([float(np.square(right).sum())]))
    return found


@every(("size", "tolerance"), [(8, 1e-9), (3000, 1e-9), (200_000, 0.1), (1_100_000, 0.1)])
def test_the_sketch_of_a_sum_is_the_sum_of_sketches(size, tolerance):
    rng = np.random.default_rng(1)
    right = np.ones(size)
    first = rng.standard_normal(size) * rng.random(size) ** 4
    second = 0.5 * rng.standard_normal(size) - first
    one, other = sketched(right, first, second)
    for vector, error in ((one, first), (other, second), (one + other, first + second), (one - other, first - second)):
        assert vector @ vector == pytest.approx(np.square(error).mean(), rel=tolerance)


def test_what_is_not_finite_has_no_sketch():
    right = np.ones(4)
    for worn in ([np.nan, 0, 0, 0], [np.inf, 0, 0, 0]):
        assert sketched(right, np.array(worn)) == [None]
    sketch = ErrorSketch(1)
    sketch.add([RightAnswer(right)], [np.ones(5)])
    assert sketch.error([4.0]) is None


def test_errors_that_cancel_are_predicted_to():
    error = np.array([0.1, 0.0])
    rows = [
        [Choice(unit, "8", 1, 0.01, sign * error), Choice(unit, "float", 4, 0.0)]
        for unit, sign in (("a", 1), ("b", -1))
    ]
    assert [point.noise for point in frontier(rows)] == pytest.approx([0.0, 0.01, 0.0])
    without = [[replace(row, error=None) for row in unit] for unit in rows]
    assert [point.noise for point in frontier(without)] == pytest.approx([0.02, 0.01, 0.0])


def test_what_all_layers_lose_follows_from_what_each_loses():
    net = prepare_network(network(classifier())).network
    asked = Sensitivity(net, pictures(3), Scheme(IntFormat(6), granularity=PerAxis(0)))
    losses = list(asked.sweep(errors=True))
    for loss in losses:
        assert float(loss.error @ loss.error) == pytest.approx(loss.noise)
    together = np.sum([loss.error for loss in losses], axis=0)
    assert -10 * math.log10(together @ together) == pytest.approx(asked.everything().sqnr_db, abs=0.5)


def test_budgets():
    points = frontier(options(3))
    assert points[0].bytes < points[-1].bytes
    assert math.isinf(points[-1].sqnr_db)
    middle = points[len(points) // 2]
    assert at_most(points, middle.bytes).noise == middle.noise
    with pytest.raises(Problem, match="smallest choice"):
        at_most(points, 1)


def test_what_is_not_finite_in_float_is_counted_apart():
    sums = OutputSums("y")
    right = np.float32([[1, 2, np.nan, np.inf]])
    sums.add(right, np.float32([[1, 2, 5, np.inf]]))
    found = sums.figures()
    assert (found.sqnr_db, found.missing, found.broken) == (math.inf, 2, 0)


@every("given", [[[1, np.nan]], [[1, np.inf]], [[1.0, 2.0, 3.0]]], ids=["NaN", "infinite", "shape"])
def test_what_is_broken_in_the_quantized_answer_is_no_figure(given):
    answers = Answers(["y"])
    answers.add([np.float32([[1, 2]])], [np.float32(given)])
    assert math.isnan(answers.sqnr_db)
    assert math.isnan(answers.figures()[0].sqnr_db)
    assert answers.figures()[0].broken > 0
    answers.check()


@every("size", [3, 5000, 9000])
@every("worn", [np.nan, np.inf, -np.inf])
def test_sums_take_what_is_not_finite_without_a_warning(size, worn):
    right = np.zeros(size, np.float32)
    right[0] = 2
    given = right.copy()
    given[1] = worn
    assert math.isnan(sums_of((right, given)).sqnr_db)
    assert not math.isfinite(squares(given))
    given[1] = 1
    assert sums_of((right, given)).sqnr_db == pytest.approx(10 * math.log10(4))
    assert squares(given) == 5


def test_an_output_without_any_number_is_a_problem():
    answers = Answers(["y", "z"])
    answers.add([np.float32([1]), np.float32([np.nan])], [np.float32([1]), np.float32([np.nan])])
    assert math.isnan(answers.sqnr_db)
    with pytest.raises(Problem, match="output z is NaN or infinite everywhere"):
        answers.check()
