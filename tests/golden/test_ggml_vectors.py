"""Do K-quants and their like have the bytes that ggml's own quantizer writes?

The suite asks about the first 65,536 weights of each type; ``python -m tests.golden.test_ggml_vectors`` about all of
them, more than a million.
"""

from __future__ import annotations

import json

import numpy as np

from qviz.files.ggml_blocks import encoded_bytes
from tests.every import every
from tests.golden.record_ggml import CHUNKS, FOLDER, TYPES, digest, importances, weights

HASHES: dict[str, list[str]] = json.loads((FOLDER / "ggml.json").read_text())["hashes"]


def _encoded(key: str, chunk: int) -> np.ndarray:
    name, _, weighted = key.partition(" ")
    return encoded_bytes(weights(chunk), name, importances() if weighted else None)


def test_every_type_that_was_recorded_is_asked_about() -> None:
    assert {key.partition(" ")[0] for key in HASHES} == set(TYPES)


@every("key", HASHES)
def test_blocks_have_the_bytes_of_ggml(key: str) -> None:
    with np.load(FOLDER / "ggml.npz") as recorded:
        expected = recorded[key]
    found = _encoded(key, 0)

    assert np.flatnonzero((found[: len(expected)] != expected).any(axis=1)).tolist() == []
    assert digest(found) == HASHES[key][0]


if __name__ == "__main__":
    for each, expected in HASHES.items():
        wrong = [chunk for chunk in range(CHUNKS) if digest(_encoded(each, chunk)) != expected[chunk]]
        print(f"{each}: {CHUNKS * weights(0).size:,} weights, {len(wrong)} of {CHUNKS} pieces differ")
