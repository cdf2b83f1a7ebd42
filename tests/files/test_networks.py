"""A network is told from everything else by its content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from qviz.files.networks import is_network
from tests.every import every
from tests.models.made import classifier


@every("name", ["net.onnx", "net", "net.bin", "net.txt"])
def test_a_network_is_one_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(classifier().SerializeToString())
    assert is_network(tmp_path / name)


def test_tensors_are_none_whatever_they_are_called(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(4.0))
    (tmp_path / "x.npy").rename(tmp_path / "x.onnx")
    assert not is_network(tmp_path / "x.onnx")
    (tmp_path / "t.csv").write_text("1,2\n3,4\n")
    assert not is_network(tmp_path / "t.csv")


def test_what_is_called_one_is_opened_as_one_so_that_its_reader_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"nothing of the kind")
    assert is_network(tmp_path / "bad.onnx")
    assert is_network(tmp_path / "missing.onnx") is False
    assert not is_network(tmp_path)


def test_onnx_of_other_exporters_is_known_too(tmp_path: Path) -> None:
    model = classifier()
    model.producer_name = "somebody"
    model.domain = "ai.somebody"
    onnx.save_model(model, str(tmp_path / "net"))
    assert is_network(tmp_path / "net")
