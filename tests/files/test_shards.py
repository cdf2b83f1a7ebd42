"""A checkpoint in several files is one list, whichever of them are missing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from qviz.files.problems import FileProblem
from qviz.files.readers import expand, list_tensors
from tests.every import every

A, B = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    save_file({"layers.0.w": np.ones((2, 3), np.float32), "layers.2.w": np.ones(4, np.float32)}, tmp_path / A)
    save_file({"layers.10.w": np.full(5, 7, np.float16)}, tmp_path / B)
    return written(tmp_path, {"layers.0.w": A, "layers.2.w": A, "layers.10.w": B})


def written(folder: Path, files: object) -> Path:
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": files}))
    return path


def problem_of(path: Path) -> str:
    with pytest.raises(FileProblem) as caught:
        list_tensors(path)
    return str(caught.value)


def test_all_parts_are_listed_together(index: Path) -> None:
    entries = list_tensors(index)
    assert [(each.name, each.key, each.path.name, each.shape) for each in entries] == [
        ("model/layers.0.w", "layers.0.w", A, (2, 3)),
        ("model/layers.2.w", "layers.2.w", A, (4,)),
        ("model/layers.10.w", "layers.10.w", B, (5,)),
    ]
    assert entries[2].load().tolist() == [7] * 5


def test_a_folder_is_opened_through_its_index(index: Path) -> None:
    np.save(index.parent / "other.npy", np.ones(3))
    assert [path.name for path in expand([index.parent])] == [index.name, "other.npy"]


def test_a_missing_part_is_told_beside_the_rest(index: Path) -> None:
    (index.parent / B).unlink()
    entries = list_tensors(index)
    assert [each.refused is None for each in entries] == [True, True, False]
    assert f"{B} does not exist" in str(entries[2].refused)
    with pytest.raises(FileProblem, match="does not exist"):
        entries[2].load()


def test_without_any_part_that_is_what_is_wrong(index: Path) -> None:
    for name in (A, B):
        (index.parent / name).unlink()
    assert f"{A} does not exist" in problem_of(index)


def test_parts_may_be_links_as_in_the_cache_of_hugging_face(index: Path) -> None:
    (index.parent / "blob").mkdir()
    (index.parent / A).rename(index.parent / "blob" / "a")
    (index.parent / A).symlink_to(index.parent / "blob" / "a")
    assert list_tensors(index)[0].load().shape == (2, 3)


def test_links_that_go_round_are_told(index: Path) -> None:
    (index.parent / A).unlink()
    (index.parent / A).symlink_to(A)
    assert "can't be read" in str(list_tensors(index)[0].refused)


@every("name", ["../secret.safetensors", "/etc/passwd", "a/b.safetensors", "..", ".", "", "a\0", "a\\b"])
def test_files_outside_of_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    assert "outside of its folder" in problem_of(written(tmp_path, {"w": name}))


@every("content", ["{", '{"weight_map": 1}', '{"weight_map": {}}', '{"weight_map": {"w": 1}}', "{}"])
def test_a_damaged_index_says_so(tmp_path: Path, content: str) -> None:
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(content)
    assert "is a damaged index" in problem_of(path) or "lists no tensors" in problem_of(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / A)
    assert "is a device or a pipe" in problem_of(written(tmp_path, {"w": A}))
