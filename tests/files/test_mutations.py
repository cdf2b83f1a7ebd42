"""Whatever happens to a file on its way, reading ends in arrays or in a sentence."""

from __future__ import annotations

import os
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import gguf
import h5py
import numpy as np
import onnx
import pytest
from safetensors.numpy import save_file

from qviz.core.problems import Problem
from qviz.files.cards import SUFFIX as CARD
from qviz.files.cards import write_card
from qviz.files.imatrix import read_imatrix
from qviz.files.readers import list_tensors
from qviz.models.cards import card_rows
from qviz.models.checkpoint import open_checkpoint
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


def _gguf(path: Path) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint32("llama.block_count", 2)
    writer.add_tensor("blk.0.ffn_up.weight", np.arange(32, dtype=np.float32).reshape(1, 32))
    packed = gguf.quants.quantize(np.ones((2, 32), np.float32), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("blk.1.ffn_up.weight", packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _safetensors(path: Path) -> None:
    save_file({"a": VALUES.reshape(3, 4), "b": VALUES.astype(np.float16), "c": np.arange(6)}, path)


def _npz(path: Path) -> None:
    np.savez(path, a=VALUES, b=VALUES.reshape(3, 4))


def _mar(path: Path) -> None:
    _zip(path.with_suffix(".pt"))
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(path.with_suffix(".pt"), "weights.pt")
        archive.writestr("MAR-INF/MANIFEST.json", '{"model": {"serializedFile": "weights.pt"}}')


def _card(path: Path) -> None:
    _safetensors(path.with_suffix(".safetensors"))
    write_card(path, card_rows(open_checkpoint([path.with_suffix(".safetensors")]).weights))


def _imatrix(path: Path) -> None:
    sums = np.arange(8, dtype=np.float32)
    parts = [struct.pack("<ii", 1, 5), b"blk.0", struct.pack("<ii", 3, sums.size), sums.tobytes()]
    path.write_bytes(b"".join(parts) + struct.pack("<ii", 3, 0))


def _imatrix_gguf(path: Path) -> None:
    writer = gguf.GGUFWriter(path, "imatrix")
    writer.add_tensor("blk.0.in_sum2", np.arange(8, dtype=np.float32).reshape(1, 8))
    writer.add_tensor("blk.0.counts", np.full((1, 1), 3, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _read(path: Path, kind: str) -> None:
    if kind.startswith("importances"):
        read_imatrix(path)
        return
    for entry in list_tensors(path):
        if entry.counted is not None:
            entry.counted()
        if path.suffix != CARD:  # which has no elements
            entry.load()


KINDS = {
    "model.gguf": _gguf,
    "plain.safetensors": _safetensors,
    "arrays.npz": _npz,
    "array.npy": lambda path: np.save(path, VALUES.reshape(3, 4)),
    "model.mar": _mar,
    "model.qvizcard": _card,
    "importances.dat": _imatrix,
    "importances.gguf": _imatrix_gguf,
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
            _read(path, name)
            read += 1
        except Problem as problem:
            assert str(problem)
            told += 1
    assert read + told == COUNT
    assert told > COUNT // 10
