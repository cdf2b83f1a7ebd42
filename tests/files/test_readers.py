"""One registry finds the reader of a file, and turns what the system refuses into problems."""

from __future__ import annotations

import errno
import gzip
import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pyarrow as pa
import pytest
from gguf import GGUFWriter
from pyarrow import parquet
from safetensors.numpy import save_file

from qviz.core.problems import Problem
from qviz.core.tensors.value_counts import ValueCounts
from qviz.files.cards import CardRow, write_card
from qviz.files.problems import FileProblem, shortened
from qviz.files.readers import expand, list_tensors
from qviz.files.registry import FORMATS, SUFFIXES
from tests.every import every
from tests.files.test_paddle import paddle_stream
from tests.files.test_pytorch import Stored, saved, tensor
from tests.files.test_tflite import tflite


def save_gguf(path: Path, array: np.ndarray[Any, Any]) -> None:
    writer = GGUFWriter(path, "llama")
    writer.add_tensor("w", array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def save_onnx(path: Path, array: np.ndarray[Any, Any]) -> None:
    node = onnx.helper.make_node("Constant", [], ["w"], value=onnx.numpy_helper.from_array(array))
    onnx.save_model(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], [])), path)


def save_pytorch(path: Path, array: np.ndarray[Any, Any]) -> None:
    stored = Stored("DoubleStorage", "0", array.size)
    saved(path, {"w": tensor(stored, 0, array.shape, (1,))}, data__0=array.astype(float).tobytes())


def save_hdf5(path: Path, array: np.ndarray[Any, Any]) -> None:
    with h5py.File(path, "w") as file:
        file["w"] = array


def save_bundle(path: Path, array: np.ndarray[Any, Any]) -> None:
    save_pytorch(path.with_suffix(".pt"), array)
    content = path.with_suffix(".pt").read_bytes()
    with tarfile.open(path, "w") if path.suffix == ".nemo" else zipfile.ZipFile(path, "w") as archive:
        if isinstance(archive, tarfile.TarFile):
            archive.add(path.with_suffix(".pt"), "w.pt")
        else:
            archive.writestr("MAR-INF/MANIFEST.json", "{}")
            archive.writestr("w.pt", content)
    path.with_suffix(".pt").unlink()


def save_index(path: Path, array: np.ndarray[Any, Any]) -> None:
    save_file({"w": array}, path.parent / "part.safetensors")
    path.write_text('{"weight_map": {"w": "part.safetensors"}}')


def npy(array: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def save_card(path: Path, array: Any) -> None:
    counts = ValueCounts(array.astype(np.float32), np.ones(array.size, np.int64))
    write_card(path, [CardRow("w", "float16", array.shape, 2 * array.size, counts)])


SAVERS: dict[str, Callable[..., Any]] = {
    ".npy": np.save,
    ".npz": np.savez,
    ".safetensors": lambda path, array: save_file({"w": array}, path),
    ".gguf": save_gguf,
    ".parquet": lambda path, array: parquet.write_table(pa.table({"w": array}), path),
    ".onnx": save_onnx,
    **dict.fromkeys((".pt", ".pth", ".bin", ".ckpt"), save_pytorch),
    **dict.fromkeys((".safetensors.index.json", ".bin.index.json"), save_index),
    **dict.fromkeys((".h5", ".hdf5", ".keras"), save_hdf5),
    **dict.fromkeys((".nemo", ".mar"), save_bundle),
    ".tflite": lambda path, array: path.write_bytes(tflite({"w": array.astype(np.float32)})),
    ".pdparams": lambda path, array: path.write_bytes(pickle.dumps({"w": array}, 4)),
    ".pdiparams": lambda path, array: path.write_bytes(paddle_stream(array.astype(np.float32))),
    ".qvizcard": save_card,
    ".npy.gz": lambda path, array: path.write_bytes(gzip.compress(npy(array))),
    **dict.fromkeys((".csv", ".txt", ".tsv", ".csv.gz", ".txt.gz", ".tsv.gz"), np.savetxt),
}
"""How a small array is written into a file of each ending that `FORMATS` has."""


def problem_of(path: Path) -> str:
    with pytest.raises(FileProblem) as caught:
        list_tensors(path)
    return str(caught.value)


def test_every_format_has_suffixes_of_its_own() -> None:
    assert len({suffix for form in FORMATS for suffix in form.suffixes}) == len(SUFFIXES)
    assert all(form.description for form in FORMATS)


@pytest.mark.parametrize("name", ["w.NPY", "w.npy"])
def test_the_name_decides_in_any_case(tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as file:
        np.save(file, np.arange(3.0))
    assert list_tensors(str(tmp_path / name))[0].load().tolist() == [0, 1, 2]


def test_a_foreign_name_is_no_obstacle_where_the_first_bytes_tell(tmp_path: Path) -> None:
    with (tmp_path / "w.dat").open("wb") as file:
        np.save(file, np.arange(3.0))
    with (tmp_path / "w").open("wb") as file:
        np.savez(file, v=np.arange(4.0))
    assert list_tensors(tmp_path / "w.dat")[0].load().size == 3
    assert list_tensors(tmp_path / "w")[0].load().size == 4


@every("written_as", [".npy", ".npz", ".safetensors", ".gguf", ".parquet", ".npy.gz"])
@every("suffix", ["", ".bin", ".csv", ".npy", ".npz", ".safetensors", ".gguf"])
def test_the_content_decides_whatever_a_file_is_called(tmp_path: Path, written_as: str, suffix: str) -> None:
    saved = tmp_path / f"saved{written_as}"
    SAVERS[written_as](saved, np.arange(3, dtype=np.float32))
    path = saved.rename(tmp_path / f"w{suffix}")
    assert list_tensors(path)[0].load().tolist() == [0, 1, 2]


@every("content", [b"", b"hello", b"1,2,3"])
def test_an_unknown_format_is_refused_with_those_that_are_known(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.dat").write_bytes(content)
    *first, last = SUFFIXES
    assert problem_of(tmp_path / "w.dat") == (
        f"w.dat is of no format that qviz knows. It reads {', '.join(first)} and {last}."
    )


def test_a_file_that_does_not_exist(tmp_path: Path) -> None:
    assert problem_of(tmp_path / "w.npy") == "w.npy does not exist. Check its name and its folder."


def test_a_file_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "w.npy does not exist" in problem_of(tmp_path / "file" / "w.npy")


@every("suffix", SUFFIXES)
def test_a_file_that_vanishes_after_it_was_listed(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    assert suffix in SAVERS, f"SAVERS has no row that writes a small file called {suffix}"
    SAVERS[suffix](path, np.arange(3.0))
    (entry,) = list_tensors(path)
    entry.path.unlink()
    with pytest.raises(FileProblem, match="does not exist"):
        entry.load()


@every("suffix", [*SUFFIXES, ""])
def test_a_folder_given_as_a_file(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / f"w{suffix}"
    folder.mkdir()
    assert "is a folder, not a file" in problem_of(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.npy")
    assert "is a device or a pipe" in problem_of(tmp_path / "w.npy")


@every("suffix", SUFFIXES)
@every(
    ("code", "what"),
    [
        (errno.EACCES, "permission denied"),
        (errno.EPERM, "permission denied"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_what_the_system_refuses_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, code: int, what: str
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(code, os.strerror(code))

    path = tmp_path / f"w{suffix}"
    path.write_bytes(b"1")
    monkeypatch.setattr(Path, "open", refuse)
    assert f"w{suffix} can't be read: {what}" in problem_of(path)


def test_a_folder_stands_for_the_files_in_it_in_natural_order(tmp_path: Path) -> None:
    for name in ("w10.npy", "W2.npy", "w1.csv", "a.npz", ".hidden.npy", "notes.md"):
        (tmp_path / name).touch()
    (tmp_path / "deeper.npy").mkdir()
    (tmp_path / "deeper.npy" / "w.npy").touch()
    assert [path.name for path in expand([tmp_path])] == ["a.npz", "w1.csv", "W2.npy", "w10.npy"]


def test_a_folder_of_a_checkpoint_stands_for_its_weights(tmp_path: Path) -> None:
    save_file({"w": np.ones(3, np.float32)}, tmp_path / "model-00001-of-00001.safetensors")
    (tmp_path / "merges.txt").write_text("#version: 0.2\nĠ t\nh e\nin g\n")
    (tmp_path / "vocab.txt").write_text("[PAD]\n[unused0]\n!\n0\n1\nthe\nof\n")
    (tmp_path / "requirements.txt").write_text("torch==2.13\n")
    (tmp_path / "README.txt").write_text("Weights of the 2nd run.\n")
    assert [path.name for path in expand([tmp_path])] == ["model-00001-of-00001.safetensors"]


def test_texts_of_numbers_are_offered_and_so_are_those_with_a_slip(tmp_path: Path) -> None:
    for name, content in {"a.txt": "1 2\n3 4\n", "b.txt": "1 2\n3 x\n", "c.txt": "h\n1\n", "d.txt": "words\n"}.items():
        (tmp_path / name).write_text(content)
    assert [path.name for path in expand([tmp_path])] == ["a.txt", "b.txt", "c.txt"]


def test_tensors_whose_names_differ_in_numbers_are_in_the_order_of_these(tmp_path: Path) -> None:
    weights = {f"layers.{i}.{part}": np.ones(1, np.float32) for i in range(12) for part in "ba"}
    save_file(weights, tmp_path / "w.safetensors")
    names = [entry.key for entry in list_tensors(tmp_path / "w.safetensors")]
    assert [name for name in names if name and name.endswith("a")] == [f"layers.{i}.a" for i in range(12)]
    np.savez(tmp_path / "w.npz", w10=np.ones(1), bias=np.ones(1), w9=np.ones(1))
    assert [entry.key for entry in list_tensors(tmp_path / "w.npz")] == ["w9", "bias", "w10"]


def test_files_are_kept_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "w.npy").touch()
    assert expand(["b.dat", tmp_path, Path("a.npy")]) == [Path("b.dat"), tmp_path / "w.npy", Path("a.npy")]


def test_a_folder_without_tensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.md").touch()
    with pytest.raises(FileProblem, match=r"has no file that qviz reads\. It reads \.npy, .*\.npz, "):
        expand([tmp_path])


def test_a_folder_that_must_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(FileProblem, match="permission denied"):
        expand([tmp_path])


def test_a_file_problem_is_one_sentence_with_its_advice() -> None:
    problem = FileProblem("/data/weights.npy", "is cut off", "Copy it again.")
    assert isinstance(problem, Problem)
    assert str(problem) == "weights.npy is cut off. Copy it again."
    assert str(FileProblem("/", "is a folder", "Choose a file.")) == f"{Path('/')} is a folder. Choose a file."


def test_a_file_problem_survives_the_way_between_processes() -> None:
    problem = pickle.loads(pickle.dumps(FileProblem("w.npy", "is empty", "Copy it again.")))  # noqa: S301
    assert str(problem) == "w.npy is empty. Copy it again."
    assert (problem.path, problem.what, problem.advice) == (Path("w.npy"), "is empty", "Copy it again.")


def test_rubbish_is_shortened_to_one_printable_line() -> None:
    assert shortened("weights") == "weights"
    assert shortened("a\nb\x00c") == "a␊b␀c"
    assert shortened("x" * 41) == "x" * 39 + "…"


def test_how_a_format_stores_a_layers_weight_is_known_where_it_is(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    square = np.eye(3, dtype=np.float32)
    save_file({"w": square}, tmp_path / "w.safetensors")
    np.save(tmp_path / "w.npy", square)
    np.savez(tmp_path / "w.npz", w=square)
    np.savetxt(tmp_path / "w.csv", square)
    found = {path.suffix: list_tensors(path)[0].outputs_first for path in sorted(tmp_path.iterdir())}
    assert found == {".csv": None, ".npy": None, ".npz": None, ".safetensors": True}
    by_suffix = {suffix: form.outputs_first for form in FORMATS for suffix in form.suffixes}
    assert {by_suffix[suffix] for suffix in (".gguf", ".pt", ".safetensors.index.json")} == {True}
    assert by_suffix[".onnx"] is False
