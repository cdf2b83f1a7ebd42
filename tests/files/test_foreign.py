"""What qviz does not read is named by its content, whatever it is called, with what can be done."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from qviz.files.foreign import FOREIGN
from qviz.files.problems import FileProblem
from qviz.files.readers import list_tensors
from qviz.files.registry import SUFFIXES
from tests.every import every


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model_weights.ckpt"))
    return buffer.getvalue()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12345\n"
KINDS = {
    "Git LFS": (POINTER, "is a Git LFS pointer, not the file itself. Run git lfs pull"),
    "a web page": (b"<!DOCTYPE html><html><head><title>404</title>", "is a web page (HTML)"),
    "a web page behind a mark": ("\ufeff\n <html lang='en'>".encode(), "is a web page (HTML)"),
    "an error of a store": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "is XML"),
    "JSON": (json.dumps({"hidden_size": 768, "layers": list(range(2000))}).encode(), "is JSON"),
    "a list in JSON": (b"[[1, 2], [3, 4]]", "is JSON"),
    "a pickle": (pickle.dumps({"w": 1}), "is a Python pickle without arrays of numbers"),
    "Excel": (zipped("[Content_Types].xml", "xl/workbook.xml"), "is an Excel workbook. Save the sheet as CSV"),
    "old Excel": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "is a file of old Excel"),
    "LibreOffice": (zipped("mimetype", "content.xml"), "is a spreadsheet or document of LibreOffice"),
    "a zip of weights": (zipped("model/weights.safetensors"), "is a zip file with files in it that"),
    "MATLAB": (b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + bytes(100), "is a MATLAB file"),
    "GGML": (b"tjgg\x03\0\0\0" + bytes(100), "is of the GGML format before GGUF"),
    "Arrow": (b"ARROW1\0\0" + bytes(100), "is an Arrow file"),
    "tar": (tarred(), "is a tar file. Unpack it"),
    "Zstandard": (b"\x28\xb5\x2f\xfd" + bytes(20), "is packed with Zstandard"),
    "xz": (b"\xfd7zXZ\0" + bytes(20), "is packed with xz"),
    "7-Zip": (b"7z\xbc\xaf\x27\x1c" + bytes(20), "is a 7-Zip file"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(20), "is a picture"),
}  # fmt: skip


@every("kind", KINDS)
@every("suffix", [s for s in SUFFIXES if not s.endswith(".gz")] + [""])
def test_it_is_named_under_any_ending(tmp_path: Path, kind: str, suffix: str) -> None:
    content, what = KINDS[kind]
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    if kind == "JSON" and suffix.endswith(".json"):
        what = "lists no tensors"
    if kind == "tar" and suffix == ".nemo":
        what = "is empty"  # the checkpoint in it
    with pytest.raises(FileProblem) as caught:
        list_tensors(path)
    assert what in str(caught.value)


def test_a_model_of_nemo_is_a_tar_file_with_a_name(tmp_path: Path) -> None:
    (tmp_path / "m.nemo").write_bytes(tarred())
    with pytest.raises(FileProblem, match=r"m\.nemo is empty|has no checkpoint"):
        list_tensors(tmp_path / "m.nemo")


def test_what_is_packed_with_gzip_and_no_array_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.gguf.gz").write_bytes(gzip.compress(b"GGUF" + bytes(100)))
    with pytest.raises(FileProblem, match=r"is packed with gzip\. Unpack it with gunzip"):
        list_tensors(tmp_path / "m.gguf.gz")


def test_each_kind_says_what_it_is_and_what_to_do() -> None:
    assert all(row.what.startswith(("is ", "lists ")) and row.advice.endswith(".") for row in FOREIGN)


def test_texts_that_only_resemble_something_else_are_tables(tmp_path: Path) -> None:
    for name, content in {"a.csv": "PK,1.5\nGGUF,2.5\n", "b.csv": "BZh,1\nx,2\n"}.items():
        (tmp_path / name).write_text(content)
        assert list_tensors(tmp_path / name)[0].load().size == 2


def test_an_empty_text_of_braces_is_no_problem_of_ours(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("{" * 5000)
    with pytest.raises(FileProblem):
        list_tensors(tmp_path / "a.csv")[0].load()


def test_pickled_arrays_are_not_loaded(tmp_path: Path) -> None:
    np.array([{"a": 1}], dtype=object).dump(tmp_path / "w.npy")
    with pytest.raises(FileProblem, match=r"is a Python pickle|Python objects"):
        list_tensors(tmp_path / "w.npy")
