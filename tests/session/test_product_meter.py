"""Multiplications at the tensor's shape are measured when somebody asks, once for each shape and batch."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from qviz.core import Tensor
from qviz.core.questions.speed import ProductSpeed
from qviz.core.work import check
from qviz.models import product_speed
from qviz.session.product_meter import ProductMeter
from qviz.session.state import Session
from tests.session.conftest import Heard, until


@pytest.fixture
def shop(qtbot, monkeypatch):
    """A session, its meter, what it says, and what was measured."""
    asked, held = [], threading.Event()
    held.set()

    def measure(outputs, inputs, batch, *, progress, cancelled):
        asked.append((outputs, inputs, batch))
        progress(0.5)
        held.wait(30)
        check(cancelled)
        return ProductSpeed(outputs, inputs, batch, (("float32", 4.0), ("QLinear", 1.0)))

    monkeypatch.setattr(product_speed, "measure_products", measure)
    session = Session()
    meter = ProductMeter(session)
    heard = Heard(meter, "forgotten", "measured")
    yield session, meter, heard, asked, held, lambda: until(qtbot, lambda: not meter.busy)
    held.set()
    meter.close()


def tensor(*shape):
    return Tensor(np.ones(shape, np.float32))


def test_nothing_is_measured_until_somebody_looks(shop):
    session, meter, heard, asked, _, settle = shop
    session.update(tensor=tensor(6, 2, 2))
    settle()
    assert asked == []
    meter.look_at(8)
    settle()
    assert asked == [(6, 4, 8)]  # the first axis is outputs, all others are summed over
    assert [speed.ratio("QLinear") for speed in heard.of("measured")] == [4.0]


def test_once_for_each_shape_and_batch(shop):
    session, meter, heard, asked, _, settle = shop
    session.update(tensor=tensor(6, 4))
    meter.look_at(1)
    settle()
    session.update(bits=4)
    session.update(tensor=tensor(6, 5))
    settle()
    session.update(tensor=tensor(6, 4))
    settle()
    assert asked == [(6, 4, 1), (6, 5, 1)]
    assert len(heard.of("measured")) == 3
    meter.toggle()
    settle()
    assert asked[2:] == [(6, 4, 1)]
    meter.look_at(0)
    session.update(tensor=tensor(7, 7))
    settle()
    assert len(asked) == 3


def test_one_axis_is_no_weight(shop):
    session, meter, heard, asked, *_ = shop
    meter.look_at(1)
    session.update(tensor=tensor(6))
    assert asked == []
    assert "two axes" in heard.of("forgotten")[-1]


def test_what_is_stopped_is_not_shown(shop):
    session, meter, heard, _, held, settle = shop
    session.update(tensor=tensor(6, 4))
    held.clear()
    meter.look_at(1)
    meter.toggle()
    held.set()
    settle()
    assert heard.of("measured") == []
