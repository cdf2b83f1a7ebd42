"""How is an importance matrix read?"""

from __future__ import annotations

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest

from qviz.files.imatrix import read_imatrix
from qviz.files.problems import FileProblem
from tests.every import every

SUMS = np.array([2, 4, 0, 8], np.float32)
NAME = "blk.0.attn_q.weight"


def _dat(path: Path, *, calls: int = 2, cut: int = 0) -> Path:
    name = NAME.encode()
    data = struct.pack("<ii", 1, len(name)) + name + struct.pack("<ii", calls, SUMS.size) + SUMS.tobytes()
    path.write_bytes(data[: len(data) - cut] + struct.pack("<ii", 7, 0) * (not cut))
    return path


def _gguf(path: Path, tensors: dict[str, np.ndarray]) -> Path:
    writer = gguf.GGUFWriter(path, "imatrix")
    for name, array in tensors.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_sums_are_divided_by_the_calls(tmp_path: Path) -> None:
    found = read_imatrix(_dat(tmp_path / "i.dat"))

    assert list(found.columns) == [NAME]
    assert found.of(NAME, 4).tolist() == [1, 2, 0, 4]


def test_without_calls_they_are_means_already(tmp_path: Path) -> None:
    assert read_imatrix(_dat(tmp_path / "i.dat", calls=0)).of(NAME, 4).tolist() == SUMS.tolist()


def test_those_of_gguf_have_counts_for_each_expert(tmp_path: Path) -> None:
    sums = np.array([[2, 4], [9, 3], [5, 5]], np.float32)
    counts = np.array([[2], [3], [0]], np.float32)
    path = _gguf(tmp_path / "i.gguf", {f"{NAME}.in_sum2": sums, f"{NAME}.counts": counts})

    assert read_imatrix(path).columns[NAME].tolist() == [[1, 2], [3, 1], [1, 1]]  # nothing came to the third one


def test_of_a_weight_of_another_width_nothing_is_known(tmp_path: Path) -> None:
    found = read_imatrix(_dat(tmp_path / "i.dat"))

    assert found.of(NAME, 5) is None
    assert found.of("blk.1.attn_q.weight", 4) is None


@every("cut", range(1, 40))
def test_a_file_that_is_cut_is_refused(tmp_path: Path, cut: int) -> None:
    with pytest.raises(FileProblem):
        read_imatrix(_dat(tmp_path / "i.dat", cut=cut))


def test_so_is_one_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "i.dat").write_bytes(b"\xff" * 64)
    model = _gguf(tmp_path / "m.gguf", {"weight": np.ones((2, 2), np.float32)})

    for path in (tmp_path / "i.dat", model):
        with pytest.raises(FileProblem, match="importance"):
            read_imatrix(path)


@every("value", [-1, np.nan, np.inf])
def test_means_of_squares_are_numbers_from_0_on(tmp_path: Path, value: float) -> None:
    sums = np.array([[2, value, 0, 8]], np.float32)
    made = _gguf(tmp_path / "i.gguf", {f"{NAME}.in_sum2": sums, f"{NAME}.counts": np.ones((1, 1), np.float32)})
    old = tmp_path / "i.dat"
    old.write_bytes(_dat(old).read_bytes().replace(SUMS.tobytes(), sums.tobytes()))
    for path in (made, old):
        with pytest.raises(FileProblem, match=r"importances of 'blk\.0\.attn_q\.weight' are not all numbers from 0 on"):
            read_imatrix(path)
