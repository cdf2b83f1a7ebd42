"""ONNX Runtime's quantizers are driven so that success means something."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper

from qviz.core import MSE, Percentile, Problem
from qviz.core.ranges.paddle import PaddleKL
from qviz.models.network import open_network
from qviz.models.output_figures import Answers
from qviz.models.preparation import prepare_network
from qviz.models.ptq import quantize_network
from qviz.models.recipes import LIBRARY_DEFAULTS, Recipe, best_recipe
from qviz.models.sessions import open_session, run
from tests.every import every
from tests.models.made import classifier, model_of, network, pictures, sentences, transformer, value
from tests.processors import saturates

CASES = {"classifier": (classifier, pictures(4)), "transformer": (transformer, sentences(4))}


def ready(make):
    return prepare_network(network(make())).network


def agreement(net, path, samples):
    sums = Answers([p.name for p in net.outputs])
    first = open_session(net.model)
    second = open_session(open_network(path).model, fuse_pairs=not saturates())  # or integers are not added up rightly
    for sample in samples:
        sums.add(run(first, sample), run(second, sample))
    return sums.sqnr_db


@every("name", CASES)
@every("method", ["dynamic", "static", "float16"])
def test_a_quantized_network_runs_and_is_counted(tmp_path, name, method):
    make, samples = CASES[name]
    net = ready(make)
    before = net.model.SerializeToString()
    outcome = quantize_network(net, tmp_path / "q.onnx", best_recipe(method, net), samples[:2])
    assert outcome.quantized > 0
    assert outcome.quantized + sum(outcome.left.values()) == outcome.nodes
    assert agreement(net, tmp_path / "q.onnx", samples[2:]) > 15
    assert net.model.SerializeToString() == before
    assert [p.name for p in tmp_path.iterdir()] == ["q.onnx"]


@every(
    "recipe",
    [
        replace(Recipe("static"), form="operator"),
        replace(Recipe("static"), activation_type="uint16"),
        replace(Recipe("static"), range_rule=Percentile(99.99)),
        replace(Recipe("static"), range_rule=MSE()),
        replace(Recipe("static"), range_rule=PaddleKL(), activation_type="int8", symmetric_activations=True),
        replace(Recipe("static"), reduce_range=True),
        LIBRARY_DEFAULTS["static"],
    ],
    ids=["operator", "16 bits", "percentile", "mse", "paddle", "reduce_range", "library"],
)
def test_ways_of_static_quantization(tmp_path, recipe):
    net = ready(classifier)
    outcome = quantize_network(net, tmp_path / "q.onnx", recipe, pictures(3))
    assert outcome.quantized == outcome.nodes == 3
    assert str(outcome.summary) == "3 of 3 nodes with weights were quantized."
    assert agreement(net, tmp_path / "q.onnx", pictures(2, seed=9)) > 15


def test_four_bit_weights(tmp_path):
    net = ready(transformer)
    outcome = quantize_network(net, tmp_path / "q.onnx", Recipe("weights", block_size=16), sample=sentences(1)[0])
    assert outcome.quantized == 5
    assert "MatMulNBits" in open_network(tmp_path / "q.onnx").operators


def test_excluded_nodes_stay_float(tmp_path):
    net = ready(classifier)
    node = next(n.name for n in net.model.graph.node if n.op_type == "Conv")
    outcome = quantize_network(net, tmp_path / "q.onnx", replace(Recipe("static"), excluded=(node,)), pictures(2))
    assert outcome.left == {"Conv": 1}
    assert "1 × Conv stayed in float" in str(outcome.summary)


@every(
    ("recipe", "calibration", "said"),
    [
        (Recipe("static"), [], "needs data"),
        (Recipe("weights"), [], "MatMul with a constant alone|Nothing was quantized"),
        (replace(Recipe("dynamic"), operators=("LSTM",)), [], "Nothing was quantized"),
        (replace(Recipe("static"), weight_type="int3"), pictures(1), "has no int3"),
        (Recipe("static"), [{"x": np.zeros((1, 3, 5, 5), np.float32)}], "could not run"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_no_file(tmp_path, recipe, calibration, said):
    def convolutions():
        model = classifier()
        del model.graph.node[-1:]
        del model.graph.output[:]
        from tests.models.made import value

        model.graph.output.append(value("f", 1, 16))
        return model

    net = ready(convolutions)
    with pytest.raises(Problem, match=said):
        quantize_network(net, tmp_path / "q.onnx", recipe, calibration)
    assert list(tmp_path.iterdir()) == []


def test_what_is_quantized_already_is_not_again(tmp_path):
    net = ready(classifier)
    quantize_network(net, tmp_path / "q.onnx", Recipe("static"), pictures(1))
    with pytest.raises(Problem, match="is quantized already"):
        quantize_network(open_network(tmp_path / "q.onnx"), tmp_path / "r.onnx", Recipe("static"), pictures(1))


def test_the_defaults_suit_the_network():
    assert best_recipe("dynamic", ready(classifier)).weight_type == "uint8"
    assert "Conv" not in best_recipe("dynamic", ready(transformer)).operators
    with pytest.raises(Problem, match="no method"):
        best_recipe("magic", ready(classifier))


def test_the_network_itself_is_never_written_over(tmp_path):
    onnx.save_model(classifier(), str(tmp_path / "n.onnx"))
    net = open_network(tmp_path / "n.onnx")
    with pytest.raises(Problem, match="is the network itself"):
        quantize_network(net, tmp_path / "n.onnx", Recipe("static"), pictures(1))


def test_a_file_that_is_gone_is_no_obstacle(tmp_path):
    onnx.save_model(classifier(), str(tmp_path / "n.onnx"))
    net = open_network(tmp_path / "n.onnx")
    (tmp_path / "n.onnx").unlink()
    (tmp_path / "q.onnx").write_bytes(b"old")
    assert quantize_network(net, tmp_path / "q.onnx", Recipe("dynamic"), sample=pictures(1)[0]).quantized


def test_a_bias_that_two_nodes_share_takes_no_other_tensors_name(tmp_path):
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["b0"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["b0"], ["r"], name="relu"),
        helper.make_node("Conv", ["r", "w", "b"], ["c"], name="second", pads=[1, 1, 1, 1]),
        helper.make_node("Neg", ["b0"], ["n"], name="neg"),
        helper.make_node("Concat", ["c", "n"], ["y"], name="join", axis=1),
    ]
    constants = {"w": rng.standard_normal((3, 3, 3, 3)).astype(np.float32) / 5, "b": np.ones(3, np.float32)}
    model = model_of(nodes, [value("x", 1, 3, 12, 12)], [value("y", 1, 6, 12, 12)], constants)
    net = prepare_network(network(model)).network
    outcome = quantize_network(net, tmp_path / "q.onnx", Recipe("static"), pictures(2))
    assert outcome.quantized >= 2
    assert agreement(net, tmp_path / "q.onnx", pictures(2, 9)) > 25
