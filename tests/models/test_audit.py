"""An audit is the measure of every tensor, streamed, and goes on where it was cancelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from qviz.core import IntFormat, PerAxis, PerBlock, PerTensor, Scheme, measure
from qviz.core.work import Cancelled
from qviz.models import audit as audits
from qviz.models.audit import audit
from qviz.models.checkpoint import Checkpoint, open_checkpoint, role_of
from tests.every import every

SCHEMES = [Scheme(IntFormat(bits), granularity=each) for bits in (8, 4, 3, 2) for each in (PerTensor(), PerAxis(0))]
NAMES = [f"layers.{i}.mlp.up_proj.weight" for i in range(3)]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    random = np.random.default_rng(1)
    save_file({name: random.standard_normal((6, 10)).astype(np.float32) for name in NAMES}, tmp_path / "m.safetensors")
    return open_checkpoint([tmp_path])


def test_every_row_is_what_measure_says(checkpoint: Checkpoint) -> None:
    rows = list(audit(checkpoint.weights, SCHEMES))
    assert [row.key for row in rows] == [(name, scheme) for name in NAMES for scheme in SCHEMES]
    for row in rows:
        assert row.figures is not None
        assert row.figures.exact
        expected = measure(row.weight.entry.load(), row.scheme).figures
        assert row.figures.mse == pytest.approx(expected.mse, rel=1e-9)
        assert row.figures.saturated == expected.saturated
        assert row.figures.storage == expected.storage


def test_rows_come_as_they_are_found_and_cancelling_keeps_them(checkpoint: Checkpoint) -> None:
    rows = []
    with pytest.raises(Cancelled):
        rows.extend(audit(checkpoint.weights, SCHEMES[:2], cancelled=lambda: len(rows) >= 3))
    assert 3 <= len(rows) < 6
    rest = list(audit(checkpoint.weights, SCHEMES[:2], done={row.key for row in rows}))
    keys = [row.key for row in rows + rest]
    assert sorted(keys, key=str) == sorted(((n, s) for n in NAMES for s in SCHEMES[:2]), key=str)


@every(("shape", "block"), [((8, 4, 3, 3), 32), ((8, 16), 16), ((6, 2, 3), 6)])
def test_blocks_lie_along_what_is_summed_over(tmp_path: Path, shape: tuple[int, ...], block: int) -> None:
    values = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
    save_file({"conv.weight": values}, tmp_path / "m.safetensors")
    asked = Scheme(IntFormat(4), granularity=PerBlock(-1, 32))
    (row,) = audit(open_checkpoint([tmp_path]).weights, [asked])
    expected = measure(values.reshape(shape[0], -1), Scheme(IntFormat(4), granularity=PerBlock(-1, block))).figures
    assert row.figures is not None
    assert row.scheme == asked
    assert (row.figures.mse, row.figures.storage) == (expected.mse, expected.storage)


def test_progress_grows_to_all(checkpoint: Checkpoint) -> None:
    told: list[float] = []
    list(audit(checkpoint.weights, SCHEMES, progress=told.append))
    assert told == sorted(told)
    assert told[-1] == 1


def test_what_is_refused_is_a_row(checkpoint: Checkpoint) -> None:
    checkpoint.weights[0].entry.path.unlink()
    rows = list(audit(checkpoint.weights, SCHEMES[:1]))
    assert all(row.figures is None and "does not exist" in str(row.problem) for row in rows)


def test_several_files_keep_their_names_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_file({"w": np.ones((2, 2), np.float32)}, tmp_path / f"{name}.safetensors")
    assert [each.name for each in open_checkpoint([tmp_path]).weights] == ["a/w", "b/w"]


def test_a_place_in_the_model_is_told_by_the_name(checkpoint: Checkpoint) -> None:
    first, second, _ = checkpoint.weights
    assert (first.module, first.layer, first.role, first.nbytes) == ("layers.0.mlp.up_proj", 0, "up", 240)
    assert (second.layer, second.elements, second.is_float, second.axes) == (1, 60, True, 2)
    assert checkpoint.nbytes == 720


ROLES = {
    "model.layers.0.self_attn.q_proj.weight": "q",
    "model.layers.0.self_attn.o_proj.weight": "o",
    "model.layers.0.mlp.gate_proj.weight": "gate",
    "model.layers.0.mlp.gate.weight": "router",
    "model.layers.0.mlp.experts.3.down_proj.weight": "down",
    "model.layers.0.input_layernorm.weight": "norm",
    "model.embed_tokens.weight": "embedding",
    "lm_head.weight": "head",
    "blk.0.attn_q.weight": "q",
    "blk.0.ffn_up_exps.weight": "up",
    "blk.0.attn_norm.weight": "norm",
    "token_embd.weight": "embedding",
    "output.weight": "head",
    "transformer.h.0.attn.c_attn.weight": "qkv",
    "bert.encoder.layer.0.attention.self.query.weight": "q",
    "conv1.weight": "conv",
    "something.weight": "",
    "w": "",
}


@every("name", ROLES)
def test_roles(name: str) -> None:
    assert role_of(name.split(".")) == ROLES[name]


def test_the_role_of_a_long_name_is_told_at_once():
    assert role_of(["layernorm" * 50_000 + "-"]) == ""
    assert role_of(["layernorm" * 50_000]) == role_of(["pre_layer_norm_2"]) == "norm"


def test_large_counted_tensors_are_answered_side_by_side_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audits, "COUNTED_FROM", 1)
    monkeypatch.setattr(audits, "ALONE_ABOVE", 10)
    random = np.random.default_rng(5)
    halves = {f"w{i}": random.standard_normal((6, 10)).astype(np.float16) for i in range(9)}
    save_file(halves, tmp_path / "m.safetensors")
    weights = open_checkpoint([tmp_path]).weights
    rows = list(audit(weights, SCHEMES[::2], threads=2))
    assert [row.key for row in rows] == [(each.name, scheme) for each in weights for scheme in SCHEMES[::2]]
    for row in rows:
        assert row.figures is not None
        assert row.figures.mse == pytest.approx(measure(halves[row.weight.name], row.scheme).figures.mse, rel=1e-9)
