"""A tensor of one checkpoint is found in another under the other's name, in parts, or as a part of a fused one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from safetensors.numpy import save_file

from qviz.models.checkpoint import Checkpoint, open_checkpoint
from qviz.models.differences import Difference, differences
from qviz.models.renamings import llama_name, plain_name

RANDOM = np.random.default_rng(7)
LAYER = "model.layers.0"
PARTS = {
    f"{LAYER}.self_attn.q_proj.weight": RANDOM.standard_normal((64, 32)).astype(np.float32),
    f"{LAYER}.self_attn.k_proj.weight": RANDOM.standard_normal((32, 32)).astype(np.float32),
    f"{LAYER}.self_attn.v_proj.weight": RANDOM.standard_normal((32, 32)).astype(np.float32),
    f"{LAYER}.mlp.gate_proj.weight": RANDOM.standard_normal((48, 32)).astype(np.float32),
    f"{LAYER}.mlp.up_proj.weight": RANDOM.standard_normal((48, 32)).astype(np.float32),
}
Q, K, V, GATE, UP = PARTS
FUSED = {
    f"{LAYER}.self_attn.qkv_proj.weight": np.concatenate([PARTS[Q], PARTS[K], PARTS[V]]),
    f"{LAYER}.mlp.gate_up_proj.weight": np.concatenate([PARTS[GATE], PARTS[UP]]),
}


def saved(path: Path, tensors: dict[str, Any]) -> Checkpoint:
    save_file(tensors, path)
    return open_checkpoint([path])


def written(path: Path, tensors: dict[str, Any]) -> Checkpoint:
    writer = gguf.GGUFWriter(str(path), "llama")
    for name, values in tensors.items():
        writer.add_tensor(name, np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return open_checkpoint([path])


def by_name(first: Checkpoint, second: Checkpoint) -> dict[str, Difference]:
    return {each.name: each for each in differences(first.weights, second.weights)}


def test_parts_are_found_in_what_is_fused(tmp_path: Path) -> None:
    other = {name: values * np.float32(1.01) for name, values in FUSED.items()}
    found = by_name(saved(tmp_path / "a.safetensors", PARTS), saved(tmp_path / "b.safetensors", other))
    assert list(found) == sorted(PARTS, key=list(found).index)
    for each in found.values():
        assert each.sqnr_db == pytest.approx(40, abs=1e-3)
    assert found[K].second is not None
    assert found[K].second.name == f"{LAYER}.self_attn.qkv_proj.weight [64:96]"


def test_what_is_fused_is_put_together_of_parts(tmp_path: Path) -> None:
    found = by_name(saved(tmp_path / "a.safetensors", FUSED), saved(tmp_path / "b.safetensors", PARTS))
    assert set(found) == set(FUSED)
    assert all(each.sqnr_db == math.inf and each.equal == each.elements for each in found.values())


def test_parts_that_do_not_add_up_are_not_compared(tmp_path: Path) -> None:
    fewer = {name: values for name, values in PARTS.items() if name != V}
    found = by_name(saved(tmp_path / "a.safetensors", fewer), saved(tmp_path / "b.safetensors", FUSED))
    assert str(found[Q].problem) == "only in the first"
    assert found[GATE].sqnr_db == math.inf
    assert str(found[f"{LAYER}.self_attn.qkv_proj.weight"].problem) == "only in the second"


@pytest.mark.parametrize("turned", [False, True])
def test_rows_of_heads_are_compared_in_one_order(tmp_path: Path, turned: bool) -> None:
    """As llama.cpp's converter has those of Llama: convert_hf_to_gguf.py, ``permute``."""
    heads = {Q: 2, K: 1}
    other = {
        llama_name(name): PARTS[name].reshape(many, 2, 16, 32).swapaxes(1, 2).reshape(PARTS[name].shape)
        for name, many in heads.items()
    }
    other[llama_name(V)] = PARTS[V]
    here = saved(tmp_path / "a.safetensors", {name: PARTS[name] for name in (Q, K, V)})
    there = written(tmp_path / "b.gguf", other)
    found = by_name(there, here) if turned else by_name(here, there)
    assert [each.sqnr_db for each in found.values()] == [math.inf] * 3
    notes = {plain_name(name): each.note for name, each in found.items()}
    assert str(notes[plain_name(Q)]) == "rows in the other's order of rotation, 2 heads of 32"
    assert notes[plain_name(V)] is None


def test_other_values_are_not_reordered(tmp_path: Path) -> None:
    other = {Q: RANDOM.standard_normal((64, 32)).astype(np.float32)}
    found = by_name(saved(tmp_path / "a.safetensors", {Q: PARTS[Q]}), saved(tmp_path / "b.safetensors", other))
    assert found[Q].note is None
    assert found[Q].sqnr_db < 3
