"""What is said of tensors near the ends of float32? A figure or one sentence, never a bug."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from qviz.core.problems import Problem
from qviz.core.questions.analysis import analyze
from qviz.core.questions.product import multiply
from qviz.core.questions.product_operands import OperandProblem
from qviz.core.ranges.rules import Manual
from qviz.core.ranges.table import RANGE_RULES
from qviz.core.schemes.dynamic import DYNAMIC_RUNTIMES
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.sorted_tensor import prepare
from tests.every import every

LARGEST, LEAST = np.float32(3.4028235e38), np.float32(1e-45)
NORMAL = np.random.default_rng(0).normal(0, 1, 64).clip(-3, 3).astype(np.float32)

TENSORS = {
    "the largest": np.array([LARGEST, -LARGEST, 0, 1], np.float32),
    "the largest alone": np.full(8, LARGEST, np.float32),
    "large": NORMAL * np.float32(1e38),
    "the least": np.array([LEAST, -LEAST, 0], np.float32),
    "subnormal": NORMAL * np.float32(1e-42),
    "both": np.array([LARGEST, LEAST, -1, 0, 1e20], np.float32),
    "zeros": np.zeros(8, np.float32),
    "holes": np.array([np.nan, LARGEST, -np.inf, LEAST], np.float32),
    "batches": (NORMAL.reshape(4, 16) * np.float32(1e38)),
}


def rules(x: np.ndarray[Any, Any]) -> list[Any]:
    """Every estimator, over batches too where it knows them."""
    found: list[Any] = []
    for kind, rule in RANGE_RULES.items():
        found.append(Manual(-float(LARGEST), float(LARGEST)) if kind == Manual.kind else rule())
        if x.ndim > 1 and hasattr(found[-1], "batch_axis"):
            found.append(rule(batch_axis=0))
    return found


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("name", TENSORS)
def test_every_range_of_every_tensor(name: str, symmetric: bool) -> None:
    x = TENSORS[name]
    for rule in rules(x):
        scheme = Scheme(symmetric=symmetric, range_rule=rule)
        try:
            found = analyze(x, scheme, error_bins=64)
        except Problem as problem:
            assert "beyond" in str(problem), (rule, problem)
            continue
        assert np.isfinite(found.qparams.scale).all(), rule
        assert not np.isnan(found.mse), rule  # infinite where the runtime's own x̂ is
        in_order = analyze(prepare(x), scheme, error_bins=64)
        assert in_order.mse == pytest.approx(found.mse, rel=1e-9), rule


def test_an_estimator_whose_own_sums_overflow_says_so() -> None:
    x = np.full((2, 4), 3e38, np.float32)
    with pytest.raises(Problem, match=r"paddle_avg finds no range with an end: its own sums go beyond 3\.4e"):
        analyze(x, Scheme(range_rule=RANGE_RULES["paddle_avg"]()))


@every("one", [0.0, 1e-42, 1.0, 1e25, 1e38])
@every("runtime", DYNAMIC_RUNTIMES)
def test_every_product(runtime: str, one: float) -> None:
    preset = DYNAMIC_RUNTIMES[runtime]
    rng = np.random.default_rng(1)
    for other in (0.0, 1e-42, 1.0, 1e25, 1e38):
        x = (rng.normal(0, 1, (5, 32)).clip(-3, 3) * one).astype(np.float32)
        w = (rng.normal(0, 1, (32, 6)).clip(-3, 3) * other).astype(np.float32)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                found = multiply(x, w, preset.activation, preset.weight)
        except Problem as problem:
            said = str(problem)
            if "scales are inf under" in said:
                operand, largest = ("activation", one) if "of the activation's" in said else ("weight", other)
                assert largest >= 1e38, (other, said)  # only there is an asymmetric range wider than float32 is
                assert getattr(preset, operand).symmetric is False, (other, said)
            else:
                assert said.startswith("The product goes beyond float32"), (other, said)
                assert one * other >= 1e37
            continue
        assert np.isfinite(found.losses["both"].mse)
        assert sum(found.errors.counts["both"]) == 30


@pytest.mark.parametrize("other", [0.0, 1.0])
def test_a_product_says_which_operand_has_scales_without_an_end(other: float) -> None:
    preset = DYNAMIC_RUNTIMES["onnxruntime"]
    x = np.array([[3e38, -3e38]], np.float32)
    with pytest.raises(OperandProblem, match="1 of the activation's 1 scales are inf under") as caught:
        multiply(x, np.full((2, 3), other, np.float32), preset.activation, preset.weight)
    assert caught.value.operand == "activation"
