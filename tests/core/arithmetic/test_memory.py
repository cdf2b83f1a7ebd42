"""What becomes of parameters that nobody holds any more? They are gone at once."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from qviz.core import IntFormat, PerAxis, PerBlock, Scheme, Tensor, analyze


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Cycles stay, as they do for minutes in a window."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("granularity", [PerBlock(-1, 32), PerAxis(0)], ids=str)
@pytest.mark.usefixtures("no_collector")
def test_an_answer_that_was_drawn_is_let_go_at_once(granularity):
    x = Tensor(np.random.default_rng(0).standard_normal((8, 64), dtype=np.float32))
    answer = analyze(x, Scheme(IntFormat(4), True, granularity))
    answer.views(0, x.elements, 50)
    answer.transfer(np.linspace(-3, 3, 9))
    answer.fake_quantize(0, 100)
    assert answer.groups is not None
    answer.groups.foresee()
    held = [weakref.ref(each) for each in (answer, answer.qparams, answer.groups)]
    del answer
    assert [each() for each in held] == [None] * 3
