"""A Parquet file offers its columns of numbers as one table, and each column of vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from qviz.core.work import Cancelled
from qviz.files.problems import FileProblem
from qviz.files.readers import list_tensors


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.parquet"


def write(path: Path, **columns: Any) -> None:
    parquet.write_table(pa.table(columns), path)


def test_columns_of_numbers_are_one_table(path: Path) -> None:
    write(path, a=[1.5, None], b=np.array([1, 2], np.int8), word=["x", "y"], __index_level_0__=[7, 8])
    (entry,) = list_tensors(path)
    assert (entry.name, entry.key, entry.shape) == ("table.parquet", None, (2, 2))
    np.testing.assert_array_equal(entry.load(), [[1.5, 1], [np.nan, 2]])
    note = entry.note()
    assert note is not None
    assert str(note.phrase) == "2 columns of numbers are taken; left out: word, __index_level_0__."


def test_columns_of_vectors_are_tensors_of_their_own(path: Path) -> None:
    write(path, id=["a", "b"], embedding=[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    (entry,) = list_tensors(path)
    assert (entry.name, entry.key) == ("table/embedding", "embedding")
    assert entry.load().tolist() == [[1, 2, 3], [4, 5, 6]]


def test_vectors_of_different_lengths_are_refused(path: Path) -> None:
    write(path, embedding=[[1.0, 2.0], [3.0]])
    with pytest.raises(FileProblem, match="of different lengths"):
        list_tensors(path)[0].load()


def test_no_numbers_are_refused(path: Path) -> None:
    write(path, word=["x", "y"])
    with pytest.raises(FileProblem, match="has no columns of numbers"):
        list_tensors(path)


def test_damage_is_a_problem(path: Path) -> None:
    write(path, a=np.arange(1000.0))
    content = path.read_bytes()
    for place in range(0, len(content), 211):
        path.write_bytes(content[:place] + b"\xff\x00\xff" + content[place + 3 :])
        try:
            assert list_tensors(path)[0].load().size
        except FileProblem as problem:
            assert str(problem)
    path.write_bytes(content[:-20])
    with pytest.raises(FileProblem, match="is not a Parquet file, or a damaged one"):
        list_tensors(path)


def test_reading_can_be_cancelled(path: Path) -> None:
    write(path, a=np.arange(10.0))
    with pytest.raises(Cancelled):
        list_tensors(path)[0].load(cancelled=lambda: True)
