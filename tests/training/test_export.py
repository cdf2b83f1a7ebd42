"""ONNX Runtime answers as the trained network does; weights come back from their files."""

from __future__ import annotations

import builtins
import json
from dataclasses import replace

import numpy as np
import pytest

from qviz.core import Problem, dequantize, fake_quantize
from qviz.training import Data, Experiment, Quantization, QuantizedNetwork, Run, Training
from qviz.training.export import (
    float_arrays,
    network_arrays,
    onnx_model,
    read_experiment,
    save_arrays,
    save_experiment,
    save_onnx,
)
from qviz.training.network import forward
from tests.processors import saturates

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

# Fused integers answer otherwise where the processor lets their sums saturate; see `qviz.core.questions.pair_sums`.
LEVELS = ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC" if saturates() else "ORT_ENABLE_ALL")

SHORT = Experiment(training=Training(steps=150, fine_tuning_steps=150))


@pytest.fixture(scope="module")
def trained() -> Run:
    run = Run(SHORT)
    run.complete()
    return run


def answers(model: bytes, x: np.ndarray, level: str = "ORT_ENABLE_ALL") -> np.ndarray:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def ties(network: QuantizedNetwork, x: np.ndarray) -> np.ndarray:
    """Rows of which some activation lies within a rounding of the edge between two codes."""
    found = np.zeros(len(x), bool)

    def look(layer: int, values: np.ndarray) -> np.ndarray:
        q = network.input_qparams[layer]
        steps = values.astype(np.float64) / q.scale + (0 if q.whole_zero_point else q.zero_point)
        found[:] |= (np.abs(steps - np.floor(steps) - 0.5) < 1e-4).any(axis=1)
        return fake_quantize(values, q)

    forward(x, network.dequantized(), network.biases, network.shape.activation, look)
    return found


@pytest.mark.parametrize(
    "quantization",
    [
        Quantization(),
        Quantization(8, 8),
        Quantization(1, 1),
        Quantization(1, 1, spare_ends=False),
        Quantization(3, 5, False, True, True, False, "minmax"),
        Quantization(2, 4, per_axis=True, ranges="minmax"),
        Quantization(1, 1, True, True, True, False, "minmax"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["spirals", "digits"])
def test_onnx_runtime_predicts_the_same(kind, quantization):
    run = Run(replace(SHORT, data=Data(kind), quantization=quantization))
    run.complete()
    for network in (run.post_training(), run.quantization_aware()):
        model = onnx_model(network).SerializeToString()
        x, expected = run.dataset.x_test, network.logits(run.dataset.x_test)
        for level in LEVELS:
            differs = answers(model, x, level).argmax(axis=1) != expected.argmax(axis=1)
            # A sum in another order can move an activation across the edge between two codes.
            assert not (differs & ~ties(network, x)).any()
            if quantization.activation_bits > 1:
                assert differs.mean() <= 0.001


def test_without_fusion_not_one_logit_differs(trained):
    network = trained.quantization_aware()
    x = trained.dataset.x_test
    found = answers(onnx_model(network).SerializeToString(), x, "ORT_DISABLE_ALL")
    np.testing.assert_allclose(found, network.logits(x), atol=1e-4)


def test_the_file_has_quantize_and_dequantize_nodes(trained, tmp_path):
    save_onnx(tmp_path / "net.onnx", trained.quantization_aware())
    model = onnx.load(tmp_path / "net.onnx")
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("QuantizeLinear") == 4
    assert kinds.count("DequantizeLinear") == 8
    assert model.producer_name == "qviz"
    assert [i.name for i in model.graph.input] == ["x"]
    assert [o.name for o in model.graph.output] == ["logits"]


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_weights_come_back(trained, tmp_path, ending):
    network = trained.quantization_aware()
    path = tmp_path / f"net.{ending}"
    save_arrays(path, network_arrays(network))
    found = dict(np.load(path)) if ending == "npz" else pytest.importorskip("safetensors.numpy").load_file(path)
    assert found.keys() == network_arrays(network).keys()
    for i, (w, q) in enumerate(zip(network.weights, network.weight_qparams, strict=True)):
        np.testing.assert_array_equal(found[f"layer{i + 1}.weight"], w, strict=True)
        codes = found[f"layer{i + 1}.weight_codes"]
        np.testing.assert_array_equal(dequantize(codes, q), network.dequantized()[i])
        assert found[f"layer{i + 1}.weight_scale"] == q.scale
    save_arrays(path, float_arrays(*trained.float_weights()))


def test_another_ending_is_a_problem(tmp_path):
    with pytest.raises(Problem, match=r"end the name in .npz or .safetensors"):
        save_arrays(tmp_path / "net.pkl", {})


@pytest.mark.parametrize("library", ["onnx", "safetensors"])
def test_a_library_that_is_not_there_is_a_problem(library, trained, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == library:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Problem, match=f"{library} is not installed"):
        if library == "onnx":
            save_onnx(tmp_path / "net.onnx", trained.quantization_aware())
        else:
            save_arrays(tmp_path / "net.safetensors", {})


def test_an_experiment_comes_back_from_its_file(tmp_path):
    save_experiment(tmp_path / "e.json", SHORT)
    assert read_experiment(tmp_path / "e.json") == SHORT
    assert json.loads((tmp_path / "e.json").read_text())["hidden"] == [48, 48, 48]
