"""A network is tried out in another process before it is run beside the window."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import pytest

from qviz.core import Problem
from qviz.models.opening import onnx_of, open_prepared
from qviz.models.preparation_steps import Choices
from tests.models.made import branching, classifier, value


def test_it_comes_back_prepared(tmp_path):
    onnx.save_model(classifier(opset=11), str(tmp_path / "n.onnx"))
    told = []
    prepared = open_prepared(tmp_path / "n.onnx", progress=told.append)
    assert prepared.network.opset == 17
    assert prepared.network.path == tmp_path / "n.onnx"
    assert prepared.comparison.relative < 1e-5
    assert told == sorted(told)


def test_one_sample_at_a_time(tmp_path):
    model = classifier()
    del model.graph.input[:]
    model.graph.input.append(value("x", "batch", 3, "height", 12))
    onnx.save_model(model, str(tmp_path / "n.onnx"))
    prepared = open_prepared(tmp_path / "n.onnx")
    assert prepared.network.inputs[0].shape == (1, 3, "height", 12)


def test_choices_arrive(tmp_path):
    onnx.save_model(branching(), str(tmp_path / "n.onnx"))
    prepared = open_prepared(tmp_path / "n.onnx", Choices({}, {"rate": np.array(16)}))
    assert prepared.network.operators == {"Conv": 1}


def test_other_networks_are_named(tmp_path, monkeypatch):
    (tmp_path / "n.tflite").write_bytes(b"....TFL3")
    with pytest.raises(Problem, match="TFLite network"):
        onnx_of(tmp_path / "n.tflite", tmp_path)
    (tmp_path / "n.pdmodel").write_bytes(b"x")
    with pytest.raises(Problem, match=r"n\.pdiparams does not exist"):
        onnx_of(tmp_path / "n.pdmodel", tmp_path)
    (tmp_path / "n.pdiparams").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "paddle2onnx", None)
    with pytest.raises(Problem, match="needs the package paddle2onnx"):
        onnx_of(tmp_path / "n.pdmodel", tmp_path)
