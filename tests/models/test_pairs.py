"""What a layer multiplies gives what the layer gives."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from qviz.core import Problem
from qviz.models.activations import capture
from qviz.models.pairs import pair_of
from qviz.models.sessions import open_session, run
from tests.every import every
from tests.models.made import branching, classifier, model_of, network, pictures, sentences, transformer, value


def test_a_matrix_product() -> None:
    net, samples = network(transformer()), sentences(3)
    x, w = pair_of(net, "up", samples)
    expected = np.concatenate([values["u"].reshape(-1, 64) for values in capture(net, samples, ["u"])])
    assert x.shape == (21, 16)
    np.testing.assert_allclose(x @ w.T, expected, rtol=1e-4, atol=1e-5)


def test_a_gemm_with_its_weight_turned() -> None:
    net, samples = network(classifier()), pictures(2)
    x, w = pair_of(net, "/head/gemm", samples)
    bias = next(t for t in net.model.graph.initializer if t.name == "b3")
    from onnx import numpy_helper

    expected = np.concatenate([values["y"] for values in capture(net, samples, ["y"])])
    np.testing.assert_allclose(x @ w.T + numpy_helper.to_array(bias), expected, rtol=1e-4, atol=1e-5)


@every(
    "options",
    [
        {},
        {"pads": [1, 0, 2, 1]},
        {"strides": [2, 3]},
        {"dilations": [2, 1], "pads": [2, 1, 2, 1]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
        {"auto_pad": "VALID"},
    ],
)
def test_a_convolution_is_a_product_of_patches(options) -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((5, 3, 3, 2)).astype(np.float32)
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv", **options)
    net = network(model_of([node], [value("x", 1, 3, 9, 8)], [value("y", None, 5, None, None)], {"w": weight}))
    sample = {"x": rng.standard_normal((1, 3, 9, 8)).astype(np.float32)}
    (y,) = run(open_session(net.model), sample)
    x, w = pair_of(net, "conv", [sample])
    np.testing.assert_allclose(x @ w.T, np.moveaxis(y, 1, -1).reshape(-1, 5), rtol=1e-4, atol=1e-5)


def test_tokens_are_spread_over_all_of_them() -> None:
    net, samples = network(classifier()), pictures(4)
    every, _ = pair_of(net, "/block1/conv", samples, most=10**6)
    few, _ = pair_of(net, "/block1/conv", samples, most=20)
    assert every.shape == (4 * 144, 27)
    assert few.shape == (20, 27)
    assert (few[0] == every[0]).all()
    assert (few[-1] == every[-1]).all()


def test_what_is_no_product_is_said() -> None:
    with pytest.raises(Problem, match="no product"):
        pair_of(network(transformer()), "embed", sentences(1))
    with pytest.raises(Problem, match="no product"):
        pair_of(network(branching()), "if", [])
