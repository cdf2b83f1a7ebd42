"""What running a network takes is measured in a process of its own."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core.work import Cancelled
from qviz.models.running_memory import memory_at_run
from tests.models.made import chain, network


def test_large_weights_and_activations_are_in_it():
    wide = network(chain(2, 1500))  # two matrices of 9 MB
    found = memory_at_run(wide, {"v0": np.zeros((4, 1500), np.float32)}, threads=1)
    assert 18_000_000 <= found <= 200_000_000


def test_it_can_be_stopped():
    with pytest.raises(Cancelled):
        memory_at_run(network(chain(2)), {"v0": np.zeros((4, 8), np.float32)}, cancelled=lambda: True)
