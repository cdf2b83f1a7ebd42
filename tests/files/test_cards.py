"""A card answers what one scale does to each tensor exactly as its checkpoint does, and says what it cannot answer."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from qviz.core.formats.integers import IntFormat
from qviz.core.ranges.mse import MSE
from qviz.core.ranges.rules import Percentile
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors import sorted_tensor
from qviz.core.tensors.granularity import PerBlock
from qviz.files import counted
from qviz.files.cards import row_extremes, write_card
from qviz.files.problems import FileProblem
from qviz.files.readers import list_tensors
from qviz.models import audit as audit_module
from qviz.models.audit import audit
from qviz.models.cards import card_rows
from qviz.models.checkpoint import open_checkpoint
from tests.cli.commands import Run
from tests.cli.conftest import run

__all__ = ["run"]

SCHEMES = [
    Scheme(IntFormat(8)),
    Scheme(IntFormat(4), False),
    Scheme(IntFormat(8), range_rule=Percentile(99.9)),
    Scheme(IntFormat(3), range_rule=MSE()),
]


@pytest.fixture(autouse=True)
def small_tensors_are_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (sorted_tensor, audit_module):
        monkeypatch.setattr(module, "COUNTED_FROM", 1)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    heavy = rng.standard_t(3, (16, 64)).astype(np.float32)
    heavy[3, 4], heavy[3, 5] = np.nan, np.inf
    tensors = {
        "layers.0.up_proj.weight": rng.standard_normal((32, 48)).astype(ml_dtypes.bfloat16),
        "layers.0.q_proj.weight": heavy.astype(np.float16),
        "layers.0.conv.weight": rng.standard_normal((4, 3, 5)).astype(ml_dtypes.bfloat16),
        "wide.weight": rng.standard_normal((8, 8)).astype(np.float32),
        "places": np.arange(6),
    }
    save_file(tensors, tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


@pytest.fixture
def card(model: Path, tmp_path: Path) -> Path:
    path = tmp_path / "cards" / "m.qvizcard"
    path.parent.mkdir()
    assert write_card(path, card_rows(open_checkpoint([model]).weights)) == 3
    return path


def test_a_card_lists_names_shapes_types_and_bytes(card: Path, model: Path) -> None:
    listed, original = list_tensors(card), list_tensors(model)
    assert [(e.key, e.shape, e.dtype) for e in listed] == [(e.key, e.shape, e.dtype) for e in original]
    assert {each.key: each.nbytes for each in listed}["layers.0.up_proj.weight"] == 32 * 48 * 2


def test_figures_are_those_of_the_checkpoint_to_the_last_bit(card: Path, model: Path) -> None:
    rows = {row.key: row for row in audit(open_checkpoint([card]).weights, SCHEMES, tails=True)}
    counted = 0
    for row in audit(open_checkpoint([model]).weights, SCHEMES, tails=True):
        other = rows[row.key]
        if row.weight.entry.counted is None:
            continue
        counted += 1
        assert row.figures is not None and other.figures is not None
        for name in ("mse", "mae", "max_abs_error", "sqnr_db", "cosine", "saturated", "storage", "finite"):
            assert getattr(row.figures, name) == getattr(other.figures, name), name
        assert row.moments == other.moments
    assert counted == 3 * len(SCHEMES)


def test_what_it_cannot_answer_is_said(card: Path) -> None:
    blocks = Scheme(IntFormat(4), granularity=PerBlock(-1, 16))
    rows = {row.weight.name: row for row in audit(open_checkpoint([card]).weights, [blocks])}
    assert "only the counts of its values are known" in str(rows["layers.0.up_proj.weight"].left)
    assert "no counts of 'wide.weight'" in str(rows["wide.weight"].problem)
    entry = next(each for each in list_tensors(card) if each.key == "layers.0.up_proj.weight")
    with pytest.raises(FileProblem, match="only the counts"):
        entry.load()


def test_the_extremes_of_rows_are_kept(card: Path, model: Path) -> None:
    values = next(each for each in list_tensors(model) if each.key == "layers.0.up_proj.weight").load()[:]
    low, high = row_extremes(card)["layers.0.up_proj.weight"]
    np.testing.assert_array_equal(low, np.asarray(values).reshape(32, 48).min(axis=1))
    np.testing.assert_array_equal(high, np.asarray(values).reshape(32, 48).max(axis=1))


def test_the_command_writes_a_card_that_the_audit_takes(run: Run, model: Path) -> None:
    done = run("card", str(model))
    assert done.code == 0
    assert "m.qvizcard: 3 of 5 tensors counted" in done.out
    path = model.with_name("m.qvizcard")
    told = json.loads(run("audit", str(path), "--json").out)["tensors"]
    assert {row["name"] for row in told if row["sqnr_db"] is not None} == {
        "layers.0.up_proj.weight",
        "layers.0.q_proj.weight",
        "layers.0.conv.weight",
    }


def test_damage_is_a_problem_and_nothing_else(card: Path, tmp_path: Path) -> None:
    content = card.read_bytes()
    damaged = tmp_path / "d.qvizcard"
    problems = 0
    rng = np.random.default_rng(1)
    for place in [*range(0, 200, 3), *rng.integers(200, len(content), 200).tolist()]:
        damaged.unlink(missing_ok=True)
        damaged.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            for entry in list_tensors(damaged):
                if entry.counted is not None:
                    entry.counted()
        except FileProblem:
            problems += 1
    assert problems > 60


def test_counts_of_2_to_the_63_are_refused(tmp_path: Path) -> None:
    huge = {"first": 2**62, "many": 2**62, "nan": 0, "inf": 0}
    listing = json.dumps([{"name": "w", "dtype": "bfloat16", "shape": [2], "bytes": 4} | huge]).encode()
    sizes = {"counts": ("U64", 8), "values": ("F32", 4), "low": ("F32", 0), "high": ("F32", 0)}
    sizes["tensors"] = ("U8", len(listing))
    header, at = {"__metadata__": {"qvizcard": "1"}}, 0
    widths = {"U64": 8, "F32": 4, "U8": 1}
    for name, (kind, size) in sizes.items():
        header[name] = {"dtype": kind, "shape": [size // widths[kind]], "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    (tmp_path / "w.qvizcard").write_bytes(struct.pack("<Q", len(text)) + text + bytes(12) + listing)
    with pytest.raises(FileProblem, match="is a damaged card"):
        list_tensors(tmp_path / "w.qvizcard")


def test_a_large_tensor_is_counted_in_several_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).standard_normal(5000).astype(ml_dtypes.bfloat16)
    save_file({"w": values}, tmp_path / "w.safetensors")
    monkeypatch.setattr(counted, "READ", 100)
    (entry,) = list_tensors(tmp_path / "w.safetensors")
    assert entry.counted is not None
    found = entry.counted()
    distinct, counts = np.unique(values.astype(np.float32), return_counts=True)
    np.testing.assert_array_equal(found.values, distinct)
    np.testing.assert_array_equal(found.counts, counts)
