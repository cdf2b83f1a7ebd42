"""Where a runtime breaks, every chart goes on, the figures are no numbers, and one sentence says why."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import FloatFormat, IntFormat, PerAxis, PerBlock, Scheme
from tests.gui.conftest import Desk

E4M3, FP4 = FloatFormat("e4m3fn"), FloatFormat("e2m1fn")
ROWS = np.random.default_rng(1).standard_normal((6, 64)).astype(np.float32)
ONE_OF_ZEROS, ZEROS, HUGE = ROWS.copy(), ROWS * 0, ROWS.copy()
ONE_OF_ZEROS[2] = 0
HUGE[3, :2] = 3.3e38, -3e38


@pytest.mark.parametrize(
    ("x", "scheme", "said"),
    [
        (ONE_OF_ZEROS, Scheme(E4M3, granularity=PerAxis(0), convention="torchao"), "1 of 6 scales are 0"),
        (ZEROS, Scheme(E4M3, convention="torchao"), "1 of 1 scales are 0"),
        (ZEROS, Scheme(FP4, granularity=PerBlock(-1, 16), convention="nvfp4"), "24 of 24 scales are nan"),
        (HUGE, Scheme(IntFormat(8), False, PerAxis(0), convention="pytorch"), "1 of 6 scales are infinite"),
        (HUGE, Scheme(IntFormat(8), False, convention="torchao"), "1 of 1 scales are infinite"),
        (HUGE, Scheme(IntFormat(8), granularity=PerBlock(-1, 32), convention="gguf"), "1 of 12 scales are infinite"),
    ],
    ids=["one channel", "zeros", "nvfp4", "a wide channel", "a wide tensor", "gguf"],
)
def test_a_runtime_that_breaks_is_said_to(desk: Desk, x: np.ndarray, scheme: Scheme, said: str) -> None:
    frame = desk.show(x, scheme=scheme)
    panel = desk.app.page.metrics
    assert np.isnan(frame.whole.sqnr_db)
    assert panel.caveat.isVisible()
    assert said in panel.caveat.text()
    desk.show(ROWS, scheme=Scheme())
    assert not panel.caveat.isVisible()


def test_what_is_left_out_is_said_with_what_the_runtime_would_do(desk: Desk) -> None:
    x = ROWS.copy()
    x[0, 0], x[1, 1], x[2, 2] = np.nan, np.inf, -np.inf
    desk.show(x, scheme=Scheme(convention="pytorch"))
    assert "1 NaN and 2 infinite elements" in desk.app.page.metrics.caveat.text()
    assert "its scale becomes NaN or infinite" in desk.app.page.metrics.caveat.text()
    desk.show(x, scheme=Scheme())
    assert "The quantizer of ONNX Runtime stops at them" in desk.app.page.metrics.caveat.text()
