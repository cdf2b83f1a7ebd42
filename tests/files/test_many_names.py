"""A file that names more tensors than any model has is refused before they are made, whatever its format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from qviz.files import problems
from qviz.files.problems import FileProblem
from qviz.files.readers import list_tensors
from tests.every import every
from tests.files.test_gguf import header, info
from tests.files.test_paddle import paddle_stream
from tests.files.test_pytorch import Stored, saved, tensor

MANY = 21
VALUES = np.zeros(4, np.float32)


def gguf(path: Path) -> None:
    path.write_bytes(header(tensors=MANY, rest=b"".join(info(b"t%d" % n) for n in range(MANY)) + bytes(512)))


def gguf_that_hopes(path: Path) -> None:
    """Its header says so, and nothing of it is there."""
    path.write_bytes(header(tensors=MANY, rest=bytes(24 * MANY)))


def model(path: Path) -> None:
    weights = [numpy_helper.from_array(VALUES, f"w{n}") for n in range(MANY)]
    onnx.save_model(helper.make_model(helper.make_graph([], "g", [], [], weights)), path)


def zipped(path: Path) -> None:
    stored = Stored("FloatStorage", "0", 4)
    saved(path, {f"w{n}": tensor(stored, 0, (4,), (1,)) for n in range(MANY)}, data__0=VALUES.tobytes())


def paddle(path: Path) -> None:
    path.write_bytes(paddle_stream(VALUES) * MANY)


def hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for n in range(MANY):
            file[f"w{n}"] = VALUES


FORMATS: dict[str, Callable[[Path], None]] = {
    "w.gguf": gguf,
    "empty.gguf": gguf_that_hopes,
    "w.onnx": model,
    "w.pt": zipped,
    "w.pdiparams": paddle,
    "w.h5": hdf5,
}


@every("name", FORMATS)
def test_more_tensors_than_any_model_has_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    FORMATS[name](tmp_path / name)
    monkeypatch.setattr(problems, "MOST_TENSORS", MANY)
    if name != "empty.gguf":
        assert len(list_tensors(tmp_path / name)) == MANY
    monkeypatch.setattr(problems, "MOST_TENSORS", MANY - 1)
    with pytest.raises(FileProblem, match=r"names (more than 20|too many) tensors"):
        list_tensors(tmp_path / name)
