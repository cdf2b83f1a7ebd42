"""``qviz budget`` and ``qviz diff`` answer about whole checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from qviz.core import IntFormat, PerBlock, Scheme, choose_qparams, fake_quantize
from tests.cli.commands import Run

RANDOM = np.random.default_rng(0)
NAMES = [f"model.layers.{i}.mlp.{part}_proj.weight" for i in range(3) for part in ("up", "down")]
WEIGHTS = {name: RANDOM.standard_normal((16, 64)).astype(np.float32) * (1 + i) for i, name in enumerate(NAMES)}


def made_of(values: Any, scheme: Scheme) -> Any:
    return fake_quantize(values, choose_qparams(values, scheme))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_file(WEIGHTS | {"model.norm.weight": np.ones(64, np.float32)}, tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def test_a_budget_is_kept_and_spent_where_it_counts(run: Run, path: Path) -> None:
    said = run("budget", path, "--megabytes", "0.005", "--json").json
    assert 4000 < said["bytes"] <= 5000
    assert (said["left_bytes"], said["exact"]) == (256, True)
    assert sum(unit["bytes"] for unit in said["units"]) + 256 == said["bytes"]
    by_name = {unit["tensors"][0]: unit["bytes"] for unit in said["units"]}
    assert by_name[NAMES[-1]] > by_name[NAMES[0]]
    assert sum(unit["squared_error"] for unit in said["units"]) == pytest.approx(said["squared_error"])


def test_at_least_so_many_decibels_everywhere(run: Run, path: Path) -> None:
    units = run("budget", path, "--at-least", "30", "--json").json["units"]
    assert {unit["format"] for unit in units} <= {"int6, blocks of 32", "int5, blocks of 32", "int8, blocks of 32"}


def test_rows_that_blocks_do_not_divide_get_what_llama_cpp_takes_for_them(run: Run, tmp_path: Path) -> None:
    widths = {"even": 256, "ragged": 160, "odd": 40}
    given = {f"blk.{name}.weight": RANDOM.standard_normal((8, columns)) for name, columns in widths.items()}
    save_file({name: values.astype(np.float32) for name, values in given.items()}, tmp_path / "m.safetensors")
    asked = ("budget", tmp_path / "m.safetensors", "--gguf", "q4_k", "--gguf", "q6_k", "--megabytes")

    # Of each, as llama.cpp writes them: 144 and 210 bytes in 256, 22 and 34 in 32, and what does not divide stays.
    sizes = {"even": (8 * 144, 8 * 210, 8192), "ragged": (8 * 5 * 22, 8 * 5 * 34, 5120), "odd": (1280,)}
    names = {"even": ("q4_k", "q6_k"), "ragged": ("q5_0", "q8_0"), "odd": ()}
    seen = set()
    for kilobytes in (3.4, 4.4, 9.0):
        said = run(*asked, str(kilobytes / 1000), "--json").json
        chosen = {unit["tensors"][0].split(".")[1]: unit for unit in said["units"]}
        room = 1000 * kilobytes - (0 if "odd" in chosen else 1280)
        errors = {}
        for name, unit in chosen.items():
            place = (*names[name], "as it is").index(unit["format"])
            assert unit["bytes"] == sizes[name][place]
            errors[name, place] = unit["squared_error"]
        seen |= {unit["format"] for unit in chosen.values()}
        # No unit could have its next format: errors fall from each to the next.
        free = room - sum(unit["bytes"] for name, unit in chosen.items() if name != "odd")
        nexts = [sizes[name][place + 1] - sizes[name][place] for name, place in errors if place + 1 < len(sizes[name])]
        assert all(cost > free for cost in nexts)
    assert seen >= {"q4_k", "q5_0", "q8_0"}


def test_people_read_a_line_for_each(run: Run, path: Path) -> None:
    lines = run("budget", path, "--megabytes", "0.005", "--bits", "8", "--bits", "4").out.splitlines()
    assert len(lines) == len(NAMES) + 2
    assert "of it left as it is" in lines[-2]
    assert lines[-1] == "the best choice"


def test_what_cannot_be_is_said(run: Run, path: Path) -> None:
    assert "at least, more than" in run("budget", path, "--megabytes", "0.001").problem
    assert "left as it is takes 256 B alone" in run("budget", path, "--megabytes", "0.0001").problem
    assert "--megabytes, --at-least, or both" in run("budget", path).problem
    assert "does not exist" in run("budget", path.parent / "no.npy", "--megabytes", "1").problem


def test_an_original_and_what_was_made_of_it(run: Run, path: Path) -> None:
    made = path.parent / "made.safetensors"
    scheme = Scheme(IntFormat(4), granularity=PerBlock(-1, 32))
    changed = WEIGHTS | {NAMES[1]: made_of(WEIGHTS[NAMES[1]], scheme), "extra": np.ones(2, np.float32)}
    del changed[NAMES[2]]
    changed[NAMES[3]] = changed[NAMES[3]].T.copy()
    save_file(changed, made)
    rows = {row["name"]: row for row in run("diff", path, made, "--json").json["tensors"]}
    alone = run("analyze", path, "--tensor", NAMES[1], "--bits", "4", "--per", "block", "--json").json
    assert rows[NAMES[1]]["sqnr_db"] == pytest.approx(alone["sqnr_db"], rel=1e-9)
    assert rows[NAMES[1]]["max_abs_error"] == pytest.approx(alone["max_abs_error"], rel=1e-9)
    assert (rows[NAMES[0]]["equal"], rows[NAMES[0]]["sqnr_db"], rows[NAMES[0]]["mse"]) == (1024, None, 0)
    assert rows[NAMES[2]]["problem"] == "only in the first"
    assert rows[NAMES[3]]["problem"] == "shape (16, 64) here, (64, 16) there"
    assert rows["extra"]["problem"] == "only in the second"
    last = run("diff", path, made).out.splitlines()[-1]
    assert last == "1 differ, 3 are equal, 4 were not compared"


def test_names_of_llama_cpp_are_those_of_hugging_face(run: Run, tmp_path: Path) -> None:
    values = RANDOM.standard_normal((4, 4)).astype(np.float32)
    save_file({"model.layers.7.self_attn.q_proj.weight": values, "lm_head.weight": values}, tmp_path / "a.safetensors")
    save_file({"blk.7.attn_q.weight": values, "output.weight": values}, tmp_path / "b.safetensors")
    last = run("diff", tmp_path / "a.safetensors", tmp_path / "b.safetensors").out.splitlines()[-1]
    assert last == "0 differ, 2 are equal, 0 were not compared"
