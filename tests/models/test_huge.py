"""A network beyond the 2 GiB of protobuf is prepared and run like any other; here the limit is lower."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import IntFormat, PerAxis, Scheme
from qviz.models import network as networks
from qviz.models import opening, preparation, preparation_steps, sessions
from qviz.models.network import array_of, model_bytes, with_stubs
from qviz.models.preparation import prepare_network
from qviz.models.sensitivity import Sensitivity
from qviz.models.sessions import open_session, run
from tests.models.made import chain, network

LIMIT = 1 << 20


@pytest.fixture(params=[False, True], ids=["whole", "beyond the limit"])
def large(request, monkeypatch):
    if request.param:
        for module in (networks, opening, preparation, preparation_steps, sessions):
            if hasattr(module, "MOST_IN_ONE"):
                monkeypatch.setattr(module, "MOST_IN_ONE", LIMIT)
    return network(chain(6, 256))  # 1.5 MB


FEEDS = {"v0": np.linspace(-1, 1, 4 * 256, dtype=np.float32).reshape(4, 256)}


def test_it_runs_and_its_constants_outlive_the_session(large):
    session = open_session(large.model)
    (answer,) = run(session, FEEDS)
    assert np.isfinite(answer).all()
    assert answer.std() > 0
    assert bool(session.beside) == (model_bytes(large.model) >= networks.MOST_IN_ONE)


def test_it_is_prepared_with_all_its_values(large):
    before = [array_of(each).copy() for each in large.model.graph.initializer]
    prepared = prepare_network(large)
    assert prepared.comparison.changed == 0
    for tensor, values in zip(prepared.network.model.graph.initializer, before, strict=True):
        np.testing.assert_array_equal(array_of(tensor), values)
    np.testing.assert_array_equal(array_of(large.model.graph.initializer[0]), before[0])


def test_one_layer_is_measured(large):
    asked = Sensitivity(large, [FEEDS], Scheme(IntFormat(4), granularity=PerAxis(0)))
    assert 3 < asked.everything().sqnr_db < 40


def test_stubs_count_as_what_they_stand_for(large):
    assert model_bytes(with_stubs(large.model)) == pytest.approx(model_bytes(large.model), rel=0.01)
    assert len(with_stubs(large.model).SerializeToString()) < 20_000
