"""Where no recipe gives the codes of a file, scaled and reordered columns are told; nothing is said by chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from qviz.models.checkpoint import Weight, open_checkpoint
from qviz.models.no_recipe import why_none
from tests.cli.commands import Run
from tests.cli.conftest import run

__all__ = ["run"]

CHECKPOINTS = Path(__file__).parents[1] / "golden" / "checkpoints"
FOLDERS = ("gptq", "quantized")
SAID = {
    "awq_int4_64_scaled": "columns scaled by 0.675 to 1.83 before they were rounded, as AWQ scales them",
    "gptq_int4_64_wide_order": "groups in the order of activations (g_idx), as GPTQ's act-order has them",
}


def golden() -> list[tuple[str, Any, Any, Weight]]:
    """Files of libraries: what each was made of, and what it stands for."""
    found = []
    for folder in FOLDERS:
        values = np.load(CHECKPOINTS / folder / "values.npz")
        for path in sorted((CHECKPOINTS / folder).glob("*.safetensors")):
            (weight,) = open_checkpoint([path]).weights
            original = values[f"{path.stem}/original"]
            found.append(
                (path.stem, original, np.asarray(weight.entry.load()[:], np.float32).reshape(original.shape), weight)
            )
    return found


def test_what_the_columns_of_library_files_tell() -> None:
    told = {name: why_none(original, made, weight) for name, original, made, weight in golden()}
    assert {name: str(said) for name, said in told.items() if said is not None} == SAID


def test_noise_and_other_originals_are_no_scaled_columns() -> None:
    random = np.random.default_rng(8)
    weight = golden()[0][3]
    wrong = []
    for case in range(200):
        x = random.standard_t(3, (int(random.choice([16, 64])), 32)).astype(np.float32)
        noise = random.standard_normal(x.shape) * 10 ** random.uniform(-3, 0.5)
        y = (x * random.uniform(0.5, 2) + noise).astype(np.float32)
        other = random.standard_normal(x.shape).astype(np.float32)
        wrong += [case for a, b in ((x, y), (x, other), (x * 0, y), (x, y * 0)) if why_none(a, b, weight) is not None]
    assert wrong == []


def test_the_difference_of_two_files_says_it(run: Run, tmp_path: Path) -> None:
    name, original, _, weight = next(each for each in golden() if each[0] == "awq_int4_64_scaled")
    save_file({weight.name: original}, tmp_path / "a.safetensors")
    path = CHECKPOINTS / "gptq" / f"{name}.safetensors"
    assert f"no recipe gives these codes (1 tensor): {SAID[name]}" in run("diff", tmp_path / "a.safetensors", path).out
    (found,) = run("diff", tmp_path / "a.safetensors", path, "--json").json["tensors"]
    assert (found["recipe"], found["no_recipe"]) == (None, SAID[name])
