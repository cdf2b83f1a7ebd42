"""Networks are made ready without a change of what they answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper, numpy_helper

from qviz.core import Problem
from qviz.models.network import open_network
from qviz.models.preparation import prepare_network
from qviz.models.preparation_steps import STEPS, Choices
from tests.every import every
from tests.models.made import branching, classifier, model_of, network, recurrent, transformer, value

SHARED = Path(__file__).parents[3] / "shared" / "data"


def keys(prepared):
    return [step.key for step in prepared.steps if step.done]


@every("make", [classifier, transformer, recurrent])
def test_the_answer_stays(make):
    prepared = prepare_network(network(make()))
    assert prepared.comparison is not None
    assert prepared.comparison.relative < 1e-5


def test_an_old_version_is_raised():
    prepared = prepare_network(network(classifier(opset=11)))
    assert "opset" in keys(prepared)
    assert prepared.network.opset == 17
    assert prepared.original.opset == 11
    assert prepared.comparison.relative < 1e-5


def test_each_step_can_be_left_out():
    prepared = prepare_network(network(classifier(opset=11)), Choices({}, {}, frozenset(STEPS)))
    assert prepared.steps == ()
    assert prepared.network.opset == 11


def test_weights_that_are_inputs_and_constants_that_are_nodes():
    model = classifier()
    weight = model.graph.initializer[0]
    model.graph.input.append(value(weight.name, *weight.dims))
    moved = model.graph.initializer.pop()
    constant = helper.make_node("Constant", [], [moved.name], value=moved, name="c")
    model.graph.node.insert(0, constant)
    prepared = prepare_network(network(model))
    assert {"weights", "constants"} <= set(keys(prepared))
    assert [p.name for p in prepared.network.inputs] == ["x"]
    assert "Constant" not in prepared.network.operators
    assert prepared.comparison.changed == 0


def test_a_branch_with_a_known_condition_vanishes():
    choices = Choices({}, {"rate": np.array(16)})
    prepared = prepare_network(network(branching()), choices)
    assert prepared.network.operators == {"Conv": 1}
    assert [p.name for p in prepared.network.inputs] == ["x"]
    assert prepared.comparison.changed == 0


def test_branches_that_remain_are_said():
    prepared = prepare_network(network(branching()))
    assert "1 branches or loops remain" in str(prepared.steps[-1].text)
    assert not prepared.steps[-1].done


def test_open_dimensions_get_numbers():
    model = classifier()
    del model.graph.input[:]
    model.graph.input.append(value("x", "batch", 3, "h", "w"))
    prepared = prepare_network(network(model), Choices({"batch": 2, "h": 12, "w": 20}, {}))
    assert prepared.network.inputs[0].shape == (2, 3, 12, 20)
    assert prepared.comparison.relative < 1e-5


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        (Choices({"nothing": 3}, {}), "no open dimension “nothing”"),
        (Choices({}, {"nothing": np.array(1)}), "no input “nothing”"),
    ],
)
def test_what_is_not_there_cannot_be_set(choices, said):
    with pytest.raises(Problem, match=said):
        prepare_network(network(classifier()), choices)


def obsolete(kind, reference, **attributes):
    node = helper.make_node(kind, ["x"], ["y"], name="old", **attributes)
    model = model_of([node], [value("x", 1, 3, 8, 9)], [value("y", *reference.shape)], {}, opset=7)
    model.ir_version = 3
    return model


X = np.random.default_rng(3).standard_normal((1, 3, 8, 9)).astype(np.float32)


@every(
    ("kind", "attributes", "reference"),
    [
        ("ImageScaler", {"scale": 2.0, "bias": [1.0, -2.0, 0.5]}, X * 2 + np.float32([1, -2, 0.5]).reshape(1, 3, 1, 1)),
        ("Crop", {"border": [1, 2, 3, 1]}, X[:, :, 2:-1, 1:-3]),
        ("Crop", {"border": [1, 2, 0, 0], "scale": [4, 5]}, X[:, :, 2:6, 1:6]),
        ("Affine", {"alpha": 0.5, "beta": 3.0}, X * np.float32(0.5) + np.float32(3)),
        ("ScaledTanh", {"alpha": 2.0, "beta": 0.5}, 2 * np.tanh(np.float32(0.5) * X)),
        ("Scale", {"scale": 3.0}, X * 3),
    ],
)
def test_operators_that_onnx_gave_up(kind, attributes, reference):
    from qviz.models.network import Network
    from qviz.models.sessions import open_session, run

    prepared = prepare_network(Network("old", None, obsolete(kind, reference, **attributes)))
    assert "operators" in keys(prepared)
    assert prepared.network.opset == 17
    (found,) = run(open_session(prepared.network.model), {"x": X})
    np.testing.assert_allclose(found, reference, rtol=1e-6, atol=1e-6)


def test_a_step_that_fails_leaves_the_network_as_it_was(monkeypatch):
    def fail(model, choices):
        del model.graph.node[:]
        raise ValueError("cannot")

    monkeypatch.setitem(STEPS, "opset", fail)
    prepared = prepare_network(network(classifier(opset=11)))
    step = next(step for step in prepared.steps if step.key == "opset")
    assert not step.done
    assert str(step.text) == "Operators stay at their version: cannot"
    assert prepared.comparison.changed == 0


@pytest.mark.skipif(not SHARED.exists(), reason="needs the shared models")
@pytest.mark.parametrize(("name", "dimensions"), [("mnist.onnx", {}), ("candy.onnx", {"None": 1})])
def test_real_ones(name, dimensions):
    prepared = prepare_network(open_network(SHARED / name), Choices(dimensions, {}))
    assert prepared.network.opset == 17
    assert prepared.comparison.relative < 1e-5


def test_nothing_of_the_original_changes():
    original = network(classifier(opset=11))
    before = original.model.SerializeToString()
    prepare_network(original)
    assert original.model.SerializeToString() == before
    assert numpy_helper.to_array(original.model.graph.initializer[0]).shape == (8, 3, 3, 3)


def test_what_the_runtime_makes_up_has_a_name_that_it_will_not_make_up_again():
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"], name="product"),
        helper.make_node("Add", ["m", "b"], ["y"], name="bias"),
    ]
    constants = {"w": rng.standard_normal((8, 6)).astype(np.float32), "b": np.ones(6, np.float32)}
    model = model_of(nodes, [value("x", 2, 5, 8)], [value("y", 2, 5, 6)], constants)
    graph = prepare_network(network(model)).network.model.graph
    assert [node.op_type for node in graph.node] == ["Reshape", "Gemm", "Reshape"]
    made_up = {name for node in graph.node for name in (*node.input, *node.output)} - {"x", "y", "w", "b", "m"}
    assert made_up
    assert all(name.startswith("folded/") for name in made_up)
