"""Networks are read, described and refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from qviz.core import Problem
from qviz.files.stamp import ChangedFile
from qviz.models import network as network_module
from qviz.models.network import open_again, open_network
from tests.every import every
from tests.models.made import branching, classifier, save_external, transformer, value
from tests.stamps import put_back

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save_model(classifier(), str(path))
    return path


def test_it_says_what_is_in_it(saved):
    network = open_network(saved)
    assert [(p.name, p.dtype, p.shape) for p in network.inputs] == [("x", "float32", (1, 3, 12, 12))]
    assert [p.name for p in network.outputs] == ["y"]
    assert network.operators["Conv"] == 2
    assert network.nodes == 7
    assert not network.is_quantized
    assert network.opset == 17
    assert network.file_bytes == saved.stat().st_size


def test_nodes_of_branches_count(tmp_path):
    onnx.save_model(branching(), str(tmp_path / "b.onnx"))
    assert open_network(tmp_path / "b.onnx").operators == {"Equal": 1, "If": 1, "Conv": 2}


def test_open_dimensions_have_names(tmp_path):
    model = classifier()
    del model.graph.input[:]
    model.graph.input.append(value("x", "batch", 3, None, "?"))
    onnx.save_model(model, str(tmp_path / "o.onnx"))
    assert open_network(tmp_path / "o.onnx").inputs[0].open_dimensions == ("batch", "x:2", "x:3")


def test_a_network_that_is_written_while_it_is_read_is_none(tmp_path, monkeypatch):
    path = tmp_path / "big.onnx"
    save_external(classifier(), path)
    reader = network_module._read_external
    for part in (path, tmp_path / "big.onnx.data"):

        def read(path, model, part=part):
            found, before = reader(path, model), part.stat()
            part.write_bytes(part.read_bytes())
            put_back(part, before)
            return found

        monkeypatch.setattr(network_module, "_read_external", read)
        with pytest.raises(ChangedFile, match=f"{part.name} has changed"):
            open_network(path)


def test_a_network_that_is_read_once_more_has_to_be_the_same(tmp_path):
    path = tmp_path / "big.onnx"
    save_external(classifier(), path)
    stamps = open_network(path).stamps
    assert open_again(path, pickle.loads(pickle.dumps(stamps))).stamps == stamps  # noqa: S301
    part = tmp_path / "big.onnx.data"
    before = part.stat()
    part.write_bytes(bytes(before.st_size))
    put_back(part, before)
    with pytest.raises(ChangedFile):
        open_again(path, stamps)


def test_external_data_is_read(tmp_path):
    path = tmp_path / "big.onnx"
    model = classifier()
    save_external(model, path)
    network = open_network(path)
    assert [path for path, _ in network.stamps] == [tmp_path / "big.onnx", tmp_path / "big.onnx.data"]
    assert network.file_bytes == path.stat().st_size + (tmp_path / "big.onnx.data").stat().st_size
    there = {each.name: onnx.numpy_helper.to_array(each) for each in network.model.graph.initializer}
    for each in classifier().graph.initializer:
        np.testing.assert_array_equal(there[each.name], onnx.numpy_helper.to_array(each))


@every("location", ["../secret.bin", "/etc/passwd", "link/secret.bin", ""])
def test_data_outside_of_the_folder_is_refused(tmp_path, location):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(4096))
    (folder / "link").symlink_to(tmp_path)
    save_external(classifier(), folder / "n.onnx")
    model = onnx.load_model(str(folder / "n.onnx"), load_external_data=False)
    for tensor in model.graph.initializer:
        for each in tensor.external_data:
            if each.key == "location":
                each.value = location
    (folder / "n.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(Problem, match="outside of its folder"):
        open_network(folder / "n.onnx")


@every(
    ("key", "number"), [("offset", "9223372036854775807"), ("length", "100000000"), ("offset", "-5"), ("offset", "x")]
)
def test_data_beyond_its_file_is_refused(tmp_path, key, number):
    path = tmp_path / "n.onnx"
    save_external(classifier(), path)
    model = onnx.load_model(str(path), load_external_data=False)
    tensor = model.graph.initializer[0]
    kept = [each for each in tensor.external_data if each.key != key]
    rows = [(each.key, each.value) for each in kept] + [(key, number)]
    del tensor.external_data[:]
    for name, text in rows:
        tensor.external_data.add(key=name, value=text)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(Problem, match=r"more data than|bytes, but points at"):
        open_network(path)


def test_missing_data_is_named(tmp_path):
    path = tmp_path / "n.onnx"
    save_external(classifier(), path)
    (tmp_path / "n.onnx.data").unlink()
    with pytest.raises(Problem, match=r"n\.onnx\.data does not exist"):
        open_network(path)


@every(
    ("content", "said"),
    [
        (b"", "holds no network"),
        (b"\x00\x01 nonsense" * 40, "is no ONNX model"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<html><body>not found</body></html>", "is no ONNX model"),
    ],
)
def test_what_is_no_model_is_refused_in_a_sentence(tmp_path, content, said):
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(Problem, match=said):
        open_network(tmp_path / "m.onnx")


@pytest.mark.parametrize("ending", [".json", ".onnxjson", ".textproto", ".onnxtxt", ".txt"])
def test_the_name_of_a_file_does_not_decide_how_it_is_read(saved, tmp_path, ending):
    path = tmp_path / f"m{ending}"
    path.write_bytes(saved.read_bytes())
    assert open_network(path).model == open_network(saved).model
    path.write_text('{"a": ' + 5000 * "[")
    with pytest.raises(Problem, match="is no ONNX model"):
        open_network(path)


def test_a_truncated_model_is_refused(saved):
    whole = saved.read_bytes()
    for length in (len(whole) // 3, len(whole) - 1):
        saved.write_bytes(whole[:length])
        with pytest.raises(Problem):
            open_network(saved)


def test_what_is_quantized_already_is_known(tmp_path):
    model = transformer()
    model.graph.node.append(helper.make_node("DynamicQuantizeLinear", ["y"], ["a", "b", "c"]))
    (tmp_path / "q.onnx").write_bytes(model.SerializeToString())
    assert open_network(tmp_path / "q.onnx").is_quantized


@pytest.mark.skipif(not SHARED.exists(), reason="needs the shared models")
@pytest.mark.parametrize("name", ["mnist.onnx", "candy.onnx"])
def test_real_ones_open(name):
    assert open_network(SHARED / name).nodes > 10
