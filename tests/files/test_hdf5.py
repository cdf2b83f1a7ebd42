"""Arrays of HDF5 are read as h5py wrote them, and never from another file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from qviz.files.problems import FileProblem
from qviz.files.readers import list_tensors

VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "m.h5"


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "i1", "u1", "i2", "i4", "i8", "u8"])
@pytest.mark.parametrize("packed", [False, True])
def test_arrays_are_what_they_were(path: Path, dtype: str, packed: bool) -> None:
    with h5py.File(path, "w") as file:
        how = {"chunks": (2, 2), "compression": "gzip"} if packed else {}
        file.create_dataset("dense/dense/kernel:0", data=VALUES.astype(dtype), **how)
        file["names"] = ["a", "b"]
    (entry,) = list_tensors(path)
    assert (entry.name, entry.key, entry.shape) == ("m/dense/dense/kernel:0", "dense/dense/kernel:0", (3, 4))
    np.testing.assert_array_equal(entry.load(), VALUES.astype(dtype))


def test_a_model_of_keras_is_a_zip_file_with_its_weights(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "model.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = VALUES
        file.create_dataset("layers/dense/vars/1", data=VALUES, chunks=(1, 4))
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.write(tmp_path / "model.weights.h5", "model.weights.h5")
    entries = list_tensors(tmp_path / "m.keras")
    assert [entry.key for entry in entries] == ["layers/dense/vars/0", "layers/dense/vars/1"]
    for entry in entries:
        np.testing.assert_array_equal(entry.load(), VALUES)


def test_other_files_are_not_looked_into(path: Path) -> None:
    secret = path.parent / "secret"
    secret.write_bytes(bytes(range(48)))
    with h5py.File(path.parent / "other.h5", "w") as file:
        file["w"] = VALUES
    with h5py.File(path, "w") as file:
        file["own"] = VALUES
        file["link"] = h5py.ExternalLink("other.h5", "w")
        file["soft"] = h5py.SoftLink("/own")
        file.create_dataset("outside", (12,), "f4", external=[(str(secret), 0, 48)])
        layout = h5py.VirtualLayout((3, 4), "f4")
        layout[:] = h5py.VirtualSource(str(path.parent / "other.h5"), "w", (3, 4))
        file.create_virtual_dataset("virtual", layout)
    entries = {entry.key: entry for entry in list_tensors(path)}
    assert set(entries) == {"own", "outside", "virtual"}
    for name in ("outside", "virtual"):
        with pytest.raises(FileProblem, match="in other files, which qviz does not follow"):
            entries[name].load()


def test_groups_that_go_round_end(path: Path) -> None:
    with h5py.File(path, "w") as file:
        group = file.create_group("a")
        group["self"] = group
        file["a/w"] = VALUES
        file["again"] = file["a/w"]
    assert len(list_tensors(path)) == 1


def test_an_array_that_claims_more_than_memory_is_not_made(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("w", (1 << 30, 1 << 20), "f4", chunks=(1, 1024))
    (entry,) = list_tensors(path)
    with pytest.raises(FileProblem, match="free"):
        entry.load()


def test_damage_is_told(path: Path) -> None:
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(FileProblem, match="is no HDF5 file, or a damaged one"):
        list_tensors(path)
