"""``qviz inspect`` lists every tensor of every file, in natural order, as text alone."""

from __future__ import annotations

import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from onnx import external_data_helper, helper, numpy_helper
from safetensors.numpy import save_file

from tests.cli.commands import Run

NOTE = "Values of two raw bytes are taken as bfloat16."


def test_all_tensors_are_listed_in_natural_order(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "many.safetensors"
    save_file({f"layers.{i}.w": np.ones((2, 3), np.float32) for i in range(300)}, path)
    said = run("inspect", path)
    assert (said.code, said.err) == (0, "")
    first, *lines = said.out.splitlines()
    assert first == f"{path}: 300 tensors"
    assert [line.split()[0] for line in lines] == [f"layers.{i}.w" for i in range(300)]
    assert lines[2].split() == ["layers.2.w", "float32", "2", "×", "3", "24", "B"]


def test_json_has_name_shape_type_and_bytes(run: Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", weight=np.zeros((2, 3), ml_dtypes.bfloat16), bias=np.zeros(3))
    (tmp_path / "t.csv").write_text(",a\n0,1.5\n1,2.5\n2,3.5\n")
    npz, table = run("inspect", "--json", tmp_path / "w.npz", tmp_path / "t.csv").json["files"]
    assert npz == {
        "path": str(tmp_path / "w.npz"),
        "tensors": [
            {"name": "weight", "shape": [2, 3], "dtype": "bfloat16", "bytes": 12, "note": NOTE},
            {"name": "bias", "shape": [3], "dtype": "float64", "bytes": 24},
        ],
    }
    (row,) = table["tensors"]
    assert (row["shape"], row["dtype"]) == ([3], "float64")
    assert "first column is an index" in row["note"]


def test_what_cannot_be_read_is_listed_with_why(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", np.ones(3))
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.write(tmp_path / "good.npy", "good.npy")
        archive.writestr("bad.npy", b"hello")
    said = run("inspect", tmp_path / "w.npz")
    assert said.code == 0
    assert "holds 'bad', which is not a NumPy array file" in said.out


def test_a_file_of_which_nothing_can_be_read_ends_as_one_that_cannot(run: Run, tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.ones(4, np.float32), "w")
    graph = helper.make_graph([], "g", [], [], [weight])
    external_data_helper.set_external_data(graph.initializer[0], location="../outside.bin")
    graph.initializer[0].ClearField("raw_data")
    (tmp_path / "m.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    said = run("inspect", tmp_path / "m.onnx")
    assert said.code == 2
    assert said.err.splitlines() == [
        "qviz: m.onnx asks for data outside of its folder (../outside.bin). Get the model from somebody you trust."
    ]
    assert "m.onnx: 1 tensor" in said.out


def test_files_that_cannot_be_read_do_not_hide_the_others(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", np.ones(3))
    (tmp_path / "bad.npy").write_bytes(b"hello")
    said = run("inspect", tmp_path / "bad.npy", tmp_path / "good.npy", tmp_path / "missing.npy")
    assert said.code == 2
    assert "good.npy: 1 tensor" in said.out
    assert [line.split()[1] for line in said.err.splitlines()] == ["bad.npy", "missing.npy"]


def test_of_hundreds_of_files_that_cannot_be_read_a_few_are_named(run: Run, tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 128\n"
    for i in range(40):
        (tmp_path / f"w_{i}.npy").write_bytes(pointer)
    said = run("inspect", tmp_path)
    lines = said.err.splitlines()
    assert said.code == 2
    assert len(lines) == 7
    assert lines[0].startswith("qviz: w_0.npy is a Git LFS pointer")
    assert lines[5] == "qviz: … and 34 more files that cannot be read; the last one:"
    assert lines[6].startswith("qviz: w_39.npy is a Git LFS pointer")


def test_a_folder_stands_for_its_files(run: Run, tmp_path: Path) -> None:
    for name in ("w10", "w2"):
        np.save(tmp_path / f"{name}.npy", np.ones(3))
    lines = [line for line in run("inspect", tmp_path).out.splitlines() if line.endswith("1 tensor")]
    assert [Path(line.split(":")[0]).stem for line in lines] == ["w2", "w10"]


def test_names_are_text_for_the_terminal(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"x\x1b]52;c;ZQ==\x07": np.ones(1, np.float32), "a\x1b[2Jb": np.ones(1, np.float32)}, path)
    for said in (run("inspect", path), run("analyze", path), run("analyze", path, "--tensor", "\x1b[31m")):
        assert "\x1b" not in said.out + said.err
        assert "\x07" not in said.out + said.err
        assert "x␛]52;c;ZQ==␇" in said.out + said.err


def test_a_message_of_many_names_tells_how_to_list_them(run: Run, tmp_path: Path) -> None:
    save_file({f"layers.{i}": np.ones(2, np.float32) for i in range(30)}, tmp_path / "w.safetensors")
    problem = run("analyze", tmp_path / "w.safetensors").problem
    assert "layers.2, layers.3" in problem
    assert "qviz inspect w.safetensors lists all" in problem


def test_a_quantized_weight_says_how_it_is_kept_and_its_bits_with_everything_counted(run: Run) -> None:
    folder = Path(__file__).parents[1] / "golden" / "checkpoints" / "quantized"
    (told,) = run("inspect", folder / "compressed_int4_group.safetensors", "--json").json["files"]
    (row,) = told["tensors"]
    assert row["encoding"] == {"name": "compressed-tensors", "codes": "int4", "group": 32}
    assert row["bits_per_element"] == pytest.approx(4 + 32 / 32 + 8 * 16 / (16 * 128))  # codes, scales, the shape
