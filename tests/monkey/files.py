"""What is dropped on a window? Tensors of every kind, small enough to be quick, and things that are none."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np


def make_files(folder: Path, chance: random.Random) -> list[Path]:
    """Files, folders and names that lead nowhere."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(chance.randrange(1 << 30))
    arrays = {
        "zeros": np.zeros((4, 8), np.float32),
        "ternary": rng.integers(-1, 2, (8, 16)).astype(np.float32),
        "int8range": np.arange(-127, 128, dtype=np.float32),
        "one": np.float32([[3.5]]),
        "empty": np.zeros((0, 4), np.float32),
        "weights": rng.normal(0, 0.02, (128, 64)).astype(np.float32),
        "square": rng.normal(0, 1, (64, 64)).astype(np.float32),
        "conv": rng.normal(0, 0.1, (16, 8, 3, 3)).astype(np.float32),
        "outlier": np.append(rng.normal(0, 1, 999), 1e6).astype(np.float32),
        "huge": (rng.normal(0, 1, 500) * 1e37).astype(np.float32),
        "tiny": (rng.normal(0, 1, 500) * 1e-42).astype(np.float32),
        "holes": np.array([np.nan, np.inf, -np.inf, 1, 2, -3], np.float32),
        "largest": np.array([3.4028235e38, -3.4028235e38, 0, 1], np.float32),
        "nothing": np.full(12, np.nan, np.float32),
        "codes": rng.integers(-128, 128, (32, 32), dtype=np.int8),
        "half": rng.normal(0, 1, (7, 9)).astype(np.float16),
        "batch_0": rng.normal(0, 1, (4, 32)).astype(np.float32),
        "batch_1": rng.normal(0, 2, (4, 32)).astype(np.float32),
        "many": rng.normal(0, 1, (2, 70_000)).astype(np.float32),
        "scalar": np.array(2.5, np.float32),
    }
    found = []
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
        found.append(folder / f"{name}.npy")
    np.savez(folder / "several.npz", **{k: arrays[k] for k in ("weights", "conv", "half", "empty")})
    (folder / "table.csv").write_text("a,b,c\n1,2,3\n4,5,6\n7,,9\n")
    (folder / "words.txt").write_text("these are\nno numbers\n")
    (folder / "cut.npy").write_bytes((folder / "square.npy").read_bytes()[:500])
    (folder / "noise.safetensors").write_bytes(rng.bytes(300))
    (folder / "empty.gguf").write_bytes(b"")
    from safetensors.numpy import save_file

    save_file({"<h1>a</h1>": arrays["square"], "b\x1b[2J": arrays["ternary"]}, folder / "names.safetensors")
    below = folder / "folder"
    below.mkdir()
    for name in ("one", "half"):
        np.save(below / f"{name}.npy", arrays[name])
    others = (
        "several.npz",
        "table.csv",
        "words.txt",
        "cut.npy",
        "noise.safetensors",
        "empty.gguf",
        "names.safetensors",
    )
    return [*found, *(folder / name for name in others), below, folder / "lost.npy"]
