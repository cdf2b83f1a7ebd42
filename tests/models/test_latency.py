"""How long networks take is measured by a clock that fits; why one is not faster is read off its profile."""

from __future__ import annotations

import itertools
import time
import types

import numpy as np

from qviz.models.latency import (
    Latency,
    NodeTime,
    OperatorTime,
    base_name,
    by_operator,
    cause,
    measure_latency,
    node_times,
    reasons,
)
from qviz.models.recipes import Recipe
from tests.every import every
from tests.models.made import classifier, pictures


def test_one_thread_is_timed_by_the_processors_clock(monkeypatch):
    """Others that have the core do not lengthen it; where threads wait for each other, only the wall tells."""
    wall, own = itertools.count(0, 1000), itertools.count(0, 0.5)
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(wall)))
    monkeypatch.setattr(time, "thread_time", lambda: next(own))
    for threads, resolution, seconds in ((1, 1e-9, 0.5), (2, 1e-9, 1000), (0, 1e-9, 1000), (1, 0.0156, 1000)):
        told = types.SimpleNamespace(resolution=resolution)
        monkeypatch.setattr(time, "get_clock_info", lambda name, told=told: told)
        found = measure_latency(classifier(), classifier(), pictures(1), threads=threads, seconds=0, fewest=3)
        assert found.threads == threads
        assert (found.first.tolist(), found.second.tolist()) == ([seconds] * 3, [seconds] * 3)
        assert found.ratio == 1


def test_the_ratio_is_told_with_how_far_it_goes():
    second = np.repeat([3.0, 2.0, 5.0, 4.0, 3.0], 4)
    assert Latency(np.ones(20), second, 1, 0.0).ratios == (2, 5)
    assert Latency(np.ones(3), np.array([2.0, 1.0, 4.0]), 1, 0.0).ratios == (1, 4)


FLOAT = (OperatorTime("Conv", 1e-3, 10),)


@every(
    ("operators", "recipe", "said"),
    [
        ({"ConvInteger": 5e-3}, Recipe("dynamic"), "take unsigned weights"),
        ({"ConvInteger": 5e-3}, Recipe("dynamic", weight_type="uint8"), "take static quantization"),
        ({"Conv": 1e-3, "QuantizeLinear": 4e-4}, Recipe("static", activation_type="uint16"), "no integer kernels"),
        ({"Conv": 1e-3, "DequantizeLinear": 4e-4}, Recipe("static"), "fewer kinds of nodes"),
        ({"Conv": 1e-3, "Cast": 3e-4}, Recipe("float16"), "computes in float32"),
        ({"MatMulInteger": 1e-3, "DynamicQuantizeLinear": 5e-4}, Recipe("dynamic"), "finding ranges anew"),
        ({"Conv": 2e-3}, Recipe("static"), "Conv takes longer than in float"),
    ],
)
def test_each_cause_has_its_sentence(operators, recipe, said):
    rows = tuple(OperatorTime(name, seconds, 10) for name, seconds in operators.items())
    assert said in " ".join(str(each) for each in reasons(FLOAT, rows, recipe))


def test_unsigned_weights_are_not_recommended_where_they_are_there_already():
    rows = (OperatorTime("ConvInteger", 5e-3, 10),)
    (only,) = reasons(FLOAT, rows, Recipe("dynamic", weight_type="uint8"))
    assert "unsigned" not in str(only)


def test_every_node_that_runs_has_its_time(tmp_path):
    rows = node_times(classifier(), pictures(1)[0], tmp_path, runs=2)
    assert "/head/gemm" in {base_name(row.node) for row in rows}  # what the runtime fuses has other names
    assert {"Conv", "Gemm"} <= {row.operator for row in rows}
    assert all(row.seconds >= 0 for row in rows)
    kinds = by_operator(rows)
    assert sum(row.count for row in kinds) == len(rows)
    assert [row.seconds for row in kinds] == sorted((row.seconds for row in kinds), reverse=True)
    assert list(tmp_path.iterdir()) == []


@every(
    ("operator", "recipe", "said"),
    [
        ("ConvInteger", Recipe("dynamic"), "no fast kernel for signed weights"),
        ("ConvInteger", Recipe("dynamic", weight_type="uint8"), "slower than the float one"),
        ("QuantizeLinear", Recipe("static"), "stayed in float"),
        ("DequantizeLinear", Recipe("static", activation_type="uint16"), "no integer kernels"),
        ("DynamicQuantizeLinear", Recipe("dynamic"), "range anew"),
        ("Cast", Recipe("float16"), "computes in float32"),
        ("Conv", Recipe("static"), "None"),
    ],
)
def test_each_kind_of_node_has_its_cause(operator, recipe, said):
    assert said in str(cause(NodeTime("n", operator, 1e-3), recipe))


def test_a_tiny_node_takes_longer_to_start():
    assert "starting it" in str(cause(NodeTime("n", "Relu", 1e-6)))


def test_what_was_put_behind_a_name_is_taken_off():
    for name in (
        "conv",
        "conv_quant",
        "conv_nchwc",
        "conv_quant_token_12",
        "conv_quant_nhwc",
        "InsertedPrecisionFreeCast_conv_nchwc",
    ):
        assert base_name(name) == "conv"
    for name in ("quantized_conv", "conv_quant2", "_token_", "conv_nhwc_x"):
        assert base_name(name) == name
    assert base_name("_quant" * 100_000 + "x") == "_quant" * 100_000 + "x"
