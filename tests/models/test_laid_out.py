"""Weights that change at each run, at the speed of constants: the same outputs as where they are constants."""

from __future__ import annotations

import tempfile

import numpy as np
import pytest
from onnx import helper, numpy_helper

from qviz.models.laid_out import LaidOut, open_laid_out
from qviz.models.preparation import prepare_network
from qviz.models.sessions import open_session, run
from tests.every import every
from tests.models.made import classifier, model_of, network, pictures, recurrent, sentences, transformer, value


def weights_in(model):
    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer if len(each.dims) > 1}


def opened(model, weights):
    """The network with inputs in place of those constants, and it with constants of other values."""
    kept = [each for each in model.graph.initializer if each.name not in weights]
    asking = type(model)()
    asking.CopyFrom(model)
    del asking.graph.initializer[:]
    asking.graph.initializer.extend(kept)
    asking.graph.input.extend(value(name, *each.shape) for name, each in weights.items())

    def with_values(values):
        other = type(model)()
        other.CopyFrom(model)
        del other.graph.initializer[:]
        other.graph.initializer.extend(kept)
        other.graph.initializer.extend(numpy_helper.from_array(each, name) for name, each in values.items())
        return other

    return open_laid_out(asking, tuple(weights), with_values, threads=1), with_values


def wide():
    """Convolutions of as many channels as processors like, and of a few more; one of a channel each."""
    rng = np.random.default_rng(3)
    shapes = {"a": (32, 3, 3, 3), "b": (32, 1, 3, 3), "c": (20, 32, 1, 1), "d": (5, 20, 1, 1)}
    constants = {name: (rng.standard_normal(shape) / 4).astype(np.float32) for name, shape in shapes.items()}
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["v1"], pads=[1] * 4),
        helper.make_node("Relu", ["v1"], ["v2"]),
        helper.make_node("Conv", ["v2", "b"], ["v3"], pads=[1] * 4, group=32),
        helper.make_node("Conv", ["v3", "c"], ["v4"]),
        helper.make_node("Relu", ["v4"], ["v5"]),
        helper.make_node("Conv", ["v5", "d"], ["y"]),
    ]
    return model_of(nodes, [value("x", 1, 3, 8, 8)], [value("y", 1, 5, 8, 8)], constants)


@every(
    ("model", "sample"),
    [
        (wide(), {"x": np.random.default_rng(1).standard_normal((1, 3, 8, 8)).astype(np.float32)}),
        (classifier(), pictures(1)[0]),
        (transformer(), sentences(1)[0]),
        (recurrent(), {"x": np.random.default_rng(1).standard_normal((5, 1, 6)).astype(np.float32)}),
    ],
    ids=["wide", "classifier", "transformer", "recurrent"],
)
def test_it_answers_as_the_network_with_these_constants(model, sample):
    model = prepare_network(network(model)).network.model
    weights = weights_in(model)
    session, with_values = opened(model, weights)
    assert isinstance(session, LaidOut)
    rng = np.random.default_rng(2)
    changed = dict(weights)
    for names in (list(weights), list(weights)[:1], list(weights)[-1:], list(weights)):
        changed |= {name: rng.standard_normal(weights[name].shape).astype(np.float32) / 4 for name in names}
        found = run(session, {**sample, **changed})[0]
        expected = run(open_session(with_values(changed), threads=1), sample)[0]
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_a_weight_that_is_computed_with_stays_an_input():
    """The runtime multiplies constants beforehand: what it stores are not the weight's elements."""
    w = np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)
    nodes = [
        helper.make_node("Mul", ["w", "three"], ["w3"]),
        helper.make_node("MatMul", ["x", "w3"], ["y"]),
    ]
    model = model_of(nodes, [value("x", 2, 4)], [value("y", 2, 4)], {"w": w, "three": np.float32(3)})
    session, _ = opened(model, {"w": w})
    assert not isinstance(session, LaidOut)
    x = np.ones((2, 4), np.float32)
    np.testing.assert_allclose(run(session, {"x": x, "w": w})[0], x @ (3 * w), rtol=1e-5)


@pytest.mark.parametrize("willing", [True, False], ids=["a folder", "no folder"])
def test_nothing_is_left_beside_it(willing, tmp_path, monkeypatch):
    """How the runtime stores constants is read from a file, which may have no place to lie."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path if willing else tmp_path / "missing"))
    model = prepare_network(network(classifier())).network.model
    weights = weights_in(model)
    session, _ = opened(model, weights)
    assert isinstance(session, LaidOut) == willing
    expected = run(open_session(model, threads=1), pictures(1)[0])[0]
    np.testing.assert_allclose(run(session, {**pictures(1)[0], **weights})[0], expected, rtol=1e-5, atol=1e-6)
    assert not list(tmp_path.iterdir())
