"""Every multiplication that the runtime has is measured at the shape that is asked for."""

from __future__ import annotations

import pytest

from qviz.core import Problem
from qviz.core.questions.speed import ProductSpeed, matrix_shape
from qviz.core.work import Cancelled
from qviz.models import product_speed
from qviz.models.product_speed import KINDS, measure_products


def test_every_kind_is_measured(monkeypatch):
    monkeypatch.setattr(product_speed, "RUN_SECONDS", 0.0)
    told = []
    found = measure_products(8, 33, 3, progress=told.append)  # the last block is a short one
    assert (found.outputs, found.inputs, found.batch, found.share) == (8, 33, 3, 1)
    assert tuple(kind for kind, _ in found.seconds) == KINDS
    assert all(seconds > 0 for _, seconds in found.seconds)
    assert found.ratio("float32") == 1
    assert told == sorted(told)
    assert told[-1] == 1


def test_a_large_weight_is_measured_in_part(monkeypatch):
    monkeypatch.setattr(product_speed, "RUN_SECONDS", 0.0)
    monkeypatch.setattr(product_speed, "MAX_ELEMENTS", 64)
    assert measure_products(16, 16, 1).share == 0.25


def test_it_can_be_stopped():
    with pytest.raises(Cancelled):
        measure_products(8, 8, 1, cancelled=lambda: True)


def test_a_ratio_below_one_is_slower():
    assert ProductSpeed(1, 1, 1, (("float32", 1.0), ("4 bits", 2.0))).ratio("4 bits") == 0.5


def test_the_first_axis_is_outputs():
    assert matrix_shape((8, 3, 5, 5)) == (8, 75)
    for shape in ((), (5,), (0, 4)):
        with pytest.raises(Problem, match="two axes"):
            matrix_shape(shape)
