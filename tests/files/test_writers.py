"""The ending of a name tells in which form a quantized tensor is written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from qviz.core import Problem, Scheme, Tensor, analyze
from qviz.files.writers import WRITERS, check_ending, name_in_model, save_as
from tests.every import every

ANALYSIS = analyze(Tensor(np.linspace(-1, 2, 12, dtype=np.float32).reshape(3, 4), "net/layer.w"), Scheme())


@every("ending", [*WRITERS, ".ONNX"])
def test_every_form_is_written_under_its_ending(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"q{ending}"
    save_as(path, ANALYSIS)
    if ending == ".npz":
        assert np.load(path)["codes"].shape == (3, 4)
    elif ending == ".json":
        assert list(json.loads(path.read_text())) == ["layer.w"]
    else:
        assert onnx.load(path).graph.output[0].name == "layer.w"


@every("name", ["q.txt", "q", "onnx"])
def test_other_endings_are_a_problem(tmp_path: Path, name: str) -> None:
    with pytest.raises(Problem, match=rf"{name} cannot be written: end its name in \.npz, \.onnx or \.json\."):
        save_as(tmp_path / name, ANALYSIS)
    with pytest.raises(Problem):
        check_ending(Path(name))


@every(
    ("name", "expected"),
    [
        ("net/layer.w", "layer.w"),
        ("net//a/b", "/a/b"),
        ("w.npy", "w"),
        ("Normal (generated)", "Normal (generated)"),
        ("", "tensor"),
        ("\udcff\ud800.npy", "??"),
    ],
)
def test_a_tensor_has_the_name_that_it_had_in_its_file(name: str, expected: str) -> None:
    assert name_in_model(name) == expected


@every("ending", WRITERS)
def test_a_name_that_is_no_text_is_written_all_the_same(tmp_path: Path, ending: str) -> None:
    tensor = Tensor(np.ones(4, np.float32), name="\udcff.npy")
    save_as(tmp_path / f"out{ending}", analyze(tensor, Scheme()))
    assert (tmp_path / f"out{ending}").stat().st_size > 0
