"""Arrays and tables that gzip has packed are unpacked in blocks, and nothing about them is believed."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from qviz.core.work import Cancelled
from qviz.files import memory, packed, text
from qviz.files.problems import FileProblem
from qviz.files.readers import list_tensors
from tests.every import every


def npy(array: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@every("name", ["w.npy.gz", "w.gz", "w.npy"])
def test_a_packed_array_is_read(tmp_path: Path, name: str) -> None:
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    (tmp_path / name).write_bytes(gzip.compress(npy(array)))
    (entry,) = list_tensors(tmp_path / name)
    assert (entry.shape, entry.dtype) == ((2, 3), "float64")
    assert entry.load().tolist() == [[0, 1, 2], [3, 4, 5]]


def test_packed_bfloat16_is_read(tmp_path: Path) -> None:
    (tmp_path / "w.npy.gz").write_bytes(gzip.compress(npy(np.arange(3).astype(ml_dtypes.bfloat16))))
    (entry,) = list_tensors(tmp_path / "w.npy.gz")
    assert entry.dtype == "bfloat16"
    assert entry.load().tolist() == [0, 1, 2]


@every("name", ["w.csv.gz", "w.txt.gz", "w.csv"])
def test_a_packed_table_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b"a,b\n1,2\n3,4.5\n"))
    (entry,) = list_tensors(tmp_path / name)
    assert entry.load().tolist() == [[1, 2], [3, 4.5]]
    note = entry.note()
    assert note is not None and "header in line 1" in str(note.phrase)


@pytest.mark.parametrize("content", [npy(np.arange(999.0)), b"1,2\n3,4\n" * 999])
def test_damage_is_a_problem(tmp_path: Path, content: bytes) -> None:
    whole = gzip.compress(content)
    path = tmp_path / "w.gz"
    for damaged in (whole[:-9], whole[:40], whole[:-6] + b"abcdef", whole[:30] + b"\xff\xff" + whole[32:]):
        path.write_bytes(damaged)
        with pytest.raises(FileProblem):
            list_tensors(path)[0].load()


@every("inside", ["tar", "gguf", "zip", "gzip"])
def test_what_is_packed_and_is_no_array_is_said_to_be_packed(tmp_path: Path, inside: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("w.npy"))
    content = {"tar": buffer.getvalue(), "gguf": b"GGUF\3", "zip": b"PK\3\4", "gzip": gzip.compress(b"1")}[inside]
    (tmp_path / f"w.{inside}.gz").write_bytes(gzip.compress(content))
    with pytest.raises(FileProblem, match=r"is packed with gzip. Unpack it with gunzip, and open what is in it\."):
        list_tensors(tmp_path / f"w.{inside}.gz")


def test_an_array_of_another_size_than_promised_is_refused(tmp_path: Path) -> None:
    whole = npy(np.arange(9.0))
    for content, what in ((whole[:-1], "is cut off"), (whole + b"1", "more follows")):
        (tmp_path / "w.gz").write_bytes(gzip.compress(content))
        with pytest.raises(FileProblem, match=what):
            list_tensors(tmp_path / "w.gz")[0].load()


def test_there_has_to_be_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(npy(np.zeros(1000))))
    (tmp_path / "t.gz").write_bytes(gzip.compress(b"0.5\n" * 1000))
    monkeypatch.setattr(memory, "free_memory", lambda: 1000)
    for name in ("a.gz", "t.gz"):
        with pytest.raises(FileProblem, match="are free"):
            list_tensors(tmp_path / name)[0].load()


def test_unpacking_tells_its_progress_and_can_be_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "BLOCK", 1000)
    (tmp_path / "w.gz").write_bytes(gzip.compress(npy(np.zeros(1000))))
    (entry,) = list_tensors(tmp_path / "w.gz")
    fractions: list[float] = []
    entry.load(progress=fractions.append)
    assert len(fractions) >= 8
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    with pytest.raises(Cancelled):
        entry.load(cancelled=lambda: len(fractions) > 5)


def test_a_table_that_unpacks_to_far_more_than_numbers_do_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "UNPACKED_FREELY", 1 << 20)
    (tmp_path / "w.csv.gz").write_bytes(gzip.compress(b"0\n" * (1 << 20)))
    with pytest.raises(FileProblem, match=r"w\.csv\.gz unpacks to more than 200 times its size\."):
        list_tensors(tmp_path / "w.csv.gz")[0].load()
    monkeypatch.setattr(text, "UNPACKED_FREELY", 1 << 28)
    assert list_tensors(tmp_path / "w.csv.gz")[0].load().shape == (1 << 20,)
