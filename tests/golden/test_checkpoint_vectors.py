"""Checkpoints that the real libraries wrote are read to the bit, without these libraries."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qviz.files.readers import list_tensors
from tests.every import every

FOLDER = Path(__file__).parent / "checkpoints"


@every("file", ["zip.pt", "stream.pth", "script.pt", "module.pt"])
def test_every_tensor_is_what_the_library_had(file: str) -> None:
    with np.load(FOLDER / "values.npz") as saved:
        expected = {name.split("/", 1)[1]: saved[name] for name in saved.files if name.startswith(f"{file}/")}
    entries = [each for each in list_tensors(FOLDER / file) if not str(each.key).startswith("constants.")]
    assert {each.key for each in entries} == set(expected)
    for entry in entries:
        found = entry.load()
        assert found.shape == entry.shape
        np.testing.assert_array_equal(found, expected[str(entry.key)], strict=True)


def test_torch_is_not_needed() -> None:
    import sys

    assert "torch" not in sys.modules
