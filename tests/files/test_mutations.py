"""Whatever happens to a file on its way, reading ends in arrays or in a sentence."""

from __future__ import annotations

import os
import pickle
import tarfile
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
from safetensors.numpy import save_file

from qviz.core.problems import Problem
from qviz.files.readers import list_tensors
from tests.files.test_encodings import gptq
from tests.files.test_paddle import paddle_stream
from tests.files.test_pytorch import VALUES, Stored, saved, stream, tensor
from tests.files.test_tflite import tflite
from tests.models.made import classifier

COUNT = int(os.environ.get("QVIZ_MUTATIONS", "300"))
"""Mutated files a format; continuous integration asks for 2,000."""


def _onnx(path: Path) -> None:
    onnx.save_model(classifier(), path)


def _zip(path: Path) -> None:
    stored = Stored("FloatStorage", "0", 12)
    saved(path, {"a": tensor(stored, 0, (3, 4), (4, 1)), "b": tensor(stored, 1, (2,), (2,))}, data__0=VALUES.tobytes())


def _stream(path: Path) -> None:
    stored = Stored("FloatStorage", "0", 12)
    path.write_bytes(stream({"a": tensor(stored, 0, (3, 4), (4, 1))}, ["0"], (12, VALUES.tobytes())))


def _tflite(path: Path) -> None:
    path.write_bytes(tflite({"a": VALUES.reshape(3, 4), "b": np.arange(6, dtype=np.int8)}, {"b": ([0.5], [3], 0)}))


def _pdparams(path: Path) -> None:
    path.write_bytes(pickle.dumps({"a": VALUES.reshape(3, 4), "b": VALUES.astype(np.float16)}, 4))


def _pdiparams(path: Path) -> None:
    path.write_bytes(paddle_stream(VALUES) + paddle_stream(VALUES.reshape(3, 4)))


def _hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["layer/w"] = VALUES.reshape(3, 4)
        file.create_dataset("packed", data=VALUES, chunks=(4,), compression="gzip")


def _nemo(path: Path) -> None:
    _zip(path.with_suffix(".pt"))
    with tarfile.open(path, "w") as archive:
        archive.add(path.with_suffix(".pt"), "model_weights.ckpt")


def _gptq(path: Path) -> None:
    save_file(gptq(4, np.full((4, 32), 7))[0], path)
    content = path.read_bytes().replace(b"m__", b"mm.")
    path.write_bytes(content)


KINDS = {
    "gptq.safetensors": _gptq,
    "model.h5": _hdf5,
    "model.nemo": _nemo,
    "model.tflite": _tflite,
    "model.pdparams": _pdparams,
    "model.pdiparams": _pdiparams,
    "model.onnx": _onnx,
    "zip.pt": _zip,
    "stream.pth": _stream,
}


@pytest.mark.parametrize("name", KINDS)
def test_a_mutated_file_is_read_or_told(tmp_path: Path, name: str) -> None:
    KINDS[name](tmp_path / name)
    original = (tmp_path / name).read_bytes()
    random = np.random.default_rng(0)
    path = tmp_path / f"mutated{Path(name).suffix}"
    path.touch()
    read = told = 0
    for number in range(COUNT):
        content = bytearray(original)
        if number % 4 == 3:
            content = content[: random.integers(len(content))]
        # Headers are where damage matters: most of it lies near the ends.
        for _ in range(1 + number % 3):
            if content:
                near = int(random.integers(len(content))) if number % 2 else int(random.integers(400))
                place = min(len(content) - 1, near) if number % 5 else max(0, len(content) - 1 - near)
                content[place] = random.choice([0, 1, 0x7F, 0x80, 0xFF, random.integers(256)])
        with path.open("r+b") as file:  # a file that is emptied first is written to the disk by some systems
            file.write(content)
            file.truncate()
        try:
            for entry in list_tensors(path):
                entry.load()
            read += 1
        except Problem as problem:
            assert str(problem)
            told += 1
    assert read + told == COUNT
    assert told > COUNT // 10
