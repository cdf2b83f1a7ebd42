"""What people have that is broken is said in one sentence, and never ends the window."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from qviz.core import Problem
from qviz.models.activations import spans
from qviz.models.data import checks, open_samples
from qviz.models.data_settings import DataSettings
from qviz.models.network import Network, open_network
from qviz.models.not_finite import sentences
from qviz.models.preparation import prepare_network
from qviz.models.ptq import check_outcome
from qviz.models.recipes import Recipe
from qviz.models.sessions import open_session, run
from qviz.models.worker import in_worker
from tests.every import every
from tests.models.made import I64, classifier, model_of, network, save_external, value

X, Y = value("x", 1, 3), value("y", 1, 3)


def node(kind, inputs=("x",), output="y", **options):
    return helper.make_node(kind, list(inputs), [output], name=kind.lower(), **options)


def broken(change):
    model = classifier()
    change(model)
    return model


def foreign(model):
    model.graph.node[0].domain = "com.acme"
    model.opset_import.add(domain="com.acme", version=1)


def clone_node(model):
    model.graph.node.add().CopyFrom(model.graph.node[0])


UNRUNNABLE = {
    "an unknown operator": (model_of([node("Foo")], [X], [Y], {}), "no operator Foo (node foo)"),
    "an unknown domain": (model_of([node("Foo", domain="my.own")], [X], [Y], {}), "no operator Foo (node foo)"),
    "a wrong type": (
        model_of(
            [node("Conv", ("x", "w"))],
            [value("x", 1, 3, 8, 8, kind=I64)],
            [value("y", 1, 4, 6, 6)],
            {"w": np.ones((4, 3, 3, 3), np.float32)},
        ),
        "tensor(int64)",
    ),
    "wrong shapes": (
        model_of([node("MatMul", ("x", "w"))], [X], [Y], {"w": np.ones((4, 3), np.float32)}),
        "mismatch|dimensions",
    ),
    "an input that nobody makes": (model_of([node("Relu", ("z",))], [X], [Y], {}), "'z'"),
    "an operator of another maker": (
        broken(foreign),
        "knows no operator com.acme:Conv",
    ),
    "a circle": (
        model_of([node("Add", ("x", "y"), "a"), node("Relu", ("a",))], [X], [Y], {}),
        "acyclic",
    ),
    "a name that is given twice": (broken(clone_node), "same node name|Duplicate definition"),
    "a version of the format to come": (broken(lambda m: setattr(m, "ir_version", 99)), "IR version: 99"),
}


def sentence(problem):
    text = str(problem)
    assert "\n" not in text
    assert "onnxruntime_src" not in text
    assert len(text) < 420
    return text


@every("name", UNRUNNABLE)
def test_what_the_runtime_refuses(name):
    model, said = UNRUNNABLE[name]
    with pytest.raises(Problem) as caught:
        open_session(model)
    assert any(part in sentence(caught.value) for part in said.split("|"))


def test_a_constant_of_another_size_than_its_shape(tmp_path):
    for number, change in enumerate(
        (lambda t: setattr(t, "raw_data", t.raw_data[:-8]), lambda t: t.dims.__setitem__(0, 1 << 40))
    ):
        path = tmp_path / f"{number}.onnx"
        path.write_bytes(broken(lambda m, change=change: change(m.graph.initializer[0])).SerializeToString())
        with pytest.raises(Problem, match=r"bytes of the constant w1, whose shape asks for") as caught:
            open_network(path)
        sentence(caught.value)


def test_data_of_another_shape_type_or_size():
    session = open_session(classifier())
    for array, said in (
        (np.zeros((1, 3, 5, 5), np.float32), "5"),
        (np.zeros((1, 3, 12, 12), np.float64), "double"),
        (np.zeros((1, 12), np.float32), "rank"),
    ):
        with pytest.raises(Problem) as caught:
            run(session, {"x": array})
        assert said in sentence(caught.value)


def test_answers_that_are_not_finite_are_said(tmp_path):
    log = model_of([node("Log")], [X], [Y], {})
    net = network(log)
    np.save(tmp_path / "x.npy", np.array([[[-1.0, 1, 2]], [[0, 1, 2]]], np.float32))
    samples = open_samples(net, [tmp_path / "x.npy"], DataSettings())
    said = [str(each) for each in checks(samples, spans(net, samples), net)]
    assert any("answers 2 NaN or infinities (y)" in each for each in said)


def test_many_weights_that_are_not_finite_are_one_sentence():
    said = [str(each) for each in sentences({"a\nb": 1, "c": 2}, {"x": 1}, {"y": 3000})]
    assert said == [
        "2 weights hold NaN or infinities (a␊b, …).",
        "The input x holds 1 NaN or infinity.",
        "The float network itself answers 3,000 NaN or infinities (y): what quantizing costs there cannot be told.",
    ]
    assert sentences({}, {}, {}) == ()


def test_a_quantized_network_that_answers_nan_is_said(tmp_path):
    path = tmp_path / "q.onnx"
    made = model_of(
        [node("MatMulInteger", ("x", "w"), "i"), node("Cast", ("i",), "f", to=1), node("Log", ("f",))],
        [value("x", 1, 3, kind=2)],
        [Y],
        {"w": np.zeros((3, 3), np.int8)},
    )
    path.write_bytes(made.SerializeToString())
    weighted = network(model_of([node("MatMul", ("x", "w"))], [X], [Y], {"w": np.ones((3, 3), np.float32)}))
    outcome = check_outcome(weighted, path, Recipe("file"), {"x": np.zeros((1, 3), np.uint8)})
    assert any("NaN or infinities" in str(note) for note in outcome.notes)


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir()
    save_external(classifier(), folder / "n.onnx")
    folder.chmod(0)
    try:
        for read in (
            lambda: open_network(folder / "n.onnx"),
            lambda: open_samples(network(classifier()), [folder], DataSettings()),
        ):
            with pytest.raises(Problem, match=r"permission|may not") as caught:
                read()
            sentence(caught.value)
    finally:
        folder.chmod(0o700)


def test_a_folder_that_the_system_refuses(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", str(tmp_path))

    with monkeypatch.context() as refused, pytest.raises(Problem) as caught:
        refused.setattr(os, "stat", refuse)
        refused.setattr(Path, "stat", refuse)
        open_network(tmp_path / "n.onnx")
    assert "permission" in sentence(caught.value).lower() or "may not" in sentence(caught.value)


def test_too_little_memory():
    expand = model_of(
        [node("Expand", ("x", "s"), "a"), node("ReduceSum", ("a",), keepdims=0)],
        [value("x", 1, 1)],
        [value("y")],
        {"s": np.array([1 << 20, 1 << 20], np.int64)},
    )
    with pytest.raises(Problem, match=r"no memory for 4 TiB at once"):
        run(open_session(expand), {"x": np.ones((1, 1), np.float32)})
    with pytest.raises(Problem, match="not enough memory"):
        in_worker(_greedy)


def _greedy(folder, tell):
    raise MemoryError


def test_what_a_node_complains_of_is_said_with_its_name():
    from qviz.models.sessions import first_line

    raw = (
        "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Resize node. Name:'/m/Resize' "
        "Status Message: /onnxruntime_src/onnxruntime/core/framework/op_kernel.cc:83 OrtValue* onnxruntime::"
        "OpKernelContext::OutputMLValue(int, const onnxruntime::TensorShape&) [ONNXRuntimeError] : 1 : FAIL : Shape "
        "mismatch attempting to re-use buffer. {1,2} != {1,4}. Validate usage of dim_value (values should be > 0)."
    )
    said = first_line(Exception(raw))
    assert said == "Shape mismatch attempting to re-use buffer. {1,2} != {1,4}. (node /m/Resize, Resize)"


@every(
    "name",
    [
        "a.cc:1" * 100_000,
        ":" * 100_000,
        "x" * 100_000,
        'In Node, ("", x, ' * 50_000,
        "a.cc:1 " * 50_000,
        "f(1" * 90_000,
    ],
    ids=lambda name: name[:12],
)
def test_long_names_in_what_the_runtime_says_are_looked_at_once(name):
    from qviz.models.sessions import first_line

    said = "Fatal error: {}:Foo(-1) is not a registered function/op"
    assert len(first_line(Exception(f"{name} {name}"))) <= 300
    assert len(first_line(Exception(said.format(name)))) < 10_000


def test_an_unknown_operator_of_a_nameless_node_is_said_alike_by_all():
    x, y = value("x", 1, 4), value("y", 1, 4)
    unknown = Network("made.onnx", None, model_of([helper.make_node("Foo", ["x"], ["y"])], [x], [y], {}))
    prepared = prepare_network(unknown)
    said = "ONNX Runtime does not load this network: it knows no operator Foo (node Foo_0) in this version"
    assert str(prepared.problem) == said
    for model, expected in ((prepared.network.model, said), (unknown.model, said.replace(" (node Foo_0)", ""))):
        with pytest.raises(Problem) as caught:
            open_session(model)
        assert str(caught.value) == expected


def test_an_operator_of_another_domain_is_said_with_its_domain():
    from qviz.models.sessions import first_line

    said = "[ONNXRuntimeError] : 1 : FAIL : Fatal error: com.x:Foo(-1) is not a registered function/op"
    assert first_line(Exception(said)) == "it knows no operator com.x:Foo in this version"


def test_open_dimensions_are_asked_for_where_one_of_each_cannot_be_run():
    rng = np.random.default_rng(0)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")]
    constants = {"w": rng.standard_normal((4, 4)).astype(np.float32)}
    model = model_of(nodes, [value("x", 1, "length")], [value("y", 1, 4)], constants)
    prepared = prepare_network(network(model))
    assert prepared.comparison is None
    assert str(prepared.problem) == "these dimensions are open: length."
