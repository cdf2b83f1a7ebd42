"""What does a NumPy script make of a tensor?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qviz.core import fake_quantize, quantize
from qviz.core.arithmetic.qparams import QParams
from qviz.core.scripts.numpy_script import python_snippet


def assert_the_script_agrees(x: Any, q: QParams, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its codes and its values are those of qviz."""
    monkeypatch.setattr(np, "load", lambda file: x)
    ran: dict[str, Any] = {}
    exec(python_snippet(q), ran)
    np.testing.assert_array_equal(ran["codes"], quantize(x, q))
    np.testing.assert_array_equal(ran["x_hat"], fake_quantize(x, q))
