"""Answers about a tensor are remembered, but never all of them."""

from __future__ import annotations

import numpy as np

from qviz.core import Entropy, Scheme, Tensor, prepare
from qviz.core.questions.loss_curves import loss_curves
from qviz.core.ranges.histograms import remembered
from qviz.core.tensors.latest import LEAST_BYTES, MOST_ANSWERS, Latest, bytes_of


def test_of_many_answers_the_last_stay():
    latest = Latest(0)
    for i in range(3 * MOST_ANSWERS):
        latest[i] = i
    assert list(latest) == list(range(2 * MOST_ANSWERS, 3 * MOST_ANSWERS))


def test_of_large_answers_as_many_stay_as_fit():
    latest, piece = Latest(0), np.zeros(LEAST_BYTES // 4, np.uint8)
    for i in range(9):
        latest[i] = (piece, piece)
    assert list(latest) == [8]
    latest["one more"] = 1
    assert list(latest) == [8, "one more"]


def test_the_newest_stays_however_large_it_is():
    latest = Latest(0)
    latest["small"] = 1
    latest["large"] = np.zeros(2 * LEAST_BYTES, np.uint8)
    assert list(latest) == ["large"]


def test_ranges_of_many_groups_take_no_more_than_a_share_of_the_tensor():
    tensor = Tensor(np.zeros(16 * LEAST_BYTES // 4, np.float32))
    kept = []
    for i in range(20):
        remembered(tensor, i, lambda: kept.append(1) or np.zeros(LEAST_BYTES, np.uint8))
    for i in (19, 18, 17):
        remembered(tensor, i, lambda: kept.append(1))
    assert len(kept) == 20
    remembered(tensor, 0, lambda: kept.append(1))
    assert len(kept) == 21


def test_curves_of_many_rules_are_not_kept():
    prepared = prepare(np.random.default_rng(0).standard_normal(300).astype(np.float32))
    for merged in range(2, MOST_ANSWERS + 12):
        loss_curves(prepared, Scheme(), Entropy(MOST_ANSWERS + 12, merged))
    assert len(prepared.answers) == MOST_ANSWERS
    assert bytes_of(tuple(prepared.answers.values())) < LEAST_BYTES
