"""``qviz audit`` measures every tensor of a checkpoint as ``qviz analyze`` measures one, and is a gate."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from qviz.cli import kernels
from qviz.core import compiler
from tests.cli.commands import Run

INT4 = ("--bits", "4", "--per", "axis")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    found: dict[str, Any] = {
        "layers.0.q_proj.weight": random.standard_normal((8, 16)).astype(np.float32),
        "layers.0.norm.weight": np.ones(16, np.float32),
        "layers.1.q_proj.weight": random.standard_t(2, (8, 16)).astype(np.float16),
        "positions": np.arange(6).reshape(2, 3),
        "zeros": np.zeros((4, 4), np.float32),
        "nan": np.full((2, 2), np.nan, np.float32),
    }
    save_file(found, tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def test_every_tensor_has_a_row_and_those_left_in_float_are_marked(run: Run, path: Path) -> None:
    rows = {row["name"]: row for row in run("audit", path, *INT4, "--json").json["tensors"]}
    left = {name: row["left_in_float"] for name, row in rows.items() if row["left_in_float"]}
    assert list(left) == [name for name in rows if name in ("layers.0.norm.weight", "positions", "nan")]
    assert left["layers.0.norm.weight"] == "one axis"
    assert left["positions"] == "whole numbers"
    assert "nan has no finite value" in left["nan"]
    assert all(rows[name]["bits_per_element"] is None for name in left)
    assert rows["zeros"]["sqnr_db"] is None
    assert rows["zeros"]["mse"] == 0


def test_the_figures_are_those_of_analyze(run: Run, path: Path) -> None:
    rows = {row["name"]: row for row in run("audit", path, *INT4, "--json").json["tensors"]}
    for name in ("layers.0.q_proj.weight", "layers.1.q_proj.weight"):
        alone = run("analyze", path, "--tensor", name, *INT4, "--json").json
        for key in ("sqnr_db", "mse", "mae", "max_abs_error", "cosine", "saturated", "bits_per_element"):
            assert rows[name][key] == pytest.approx(alone[key], rel=1e-12), key
        assert rows[name]["quantized_bytes"] == alone["quantized_bytes"]


def test_tensors_with_one_axis_are_quantized_when_asked_for(run: Run, path: Path) -> None:
    rows = {row["name"]: row for row in run("audit", path, "--one-axis", "--json").json["tensors"]}
    assert rows["layers.0.norm.weight"]["left_in_float"] is None
    assert rows["layers.0.norm.weight"]["mse"] == 0


def test_the_table_has_the_worst_first(run: Run, path: Path) -> None:
    said = run("audit", path, *INT4)
    names = [line.split()[0] for line in said.out.splitlines()[1:-1]]
    assert names == ["layers.1.q_proj.weight", "layers.0.q_proj.weight", "zeros"]
    assert said.out.splitlines()[-1].startswith("left as they are: 3 (1 ")


def test_a_tensor_below_the_limit_ends_with_1(run: Run, path: Path) -> None:
    assert run("audit", path, *INT4, "--fail-below", "5").code == 0
    said = run("audit", path, *INT4, "--fail-below", "80")
    assert said.code == 1
    assert said.err.startswith("qviz: 2 tensors are below 80 dB; the worst is layers.1.q_proj.weight with ")
    assert len(said.err.splitlines()) == 1


def test_what_cannot_be_read_is_a_row_and_ends_with_2(run: Run, path: Path, tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"zeros": "m.safetensors", "gone": "x.safetensors"}}))
    said = run("audit", index, "--json")
    assert said.code == 2
    assert "x.safetensors does not exist" in said.err
    rows = {row["name"]: row for row in json.loads(said.out)["tensors"]}
    assert "does not exist" in rows["gone"]["problem"]
    assert rows["zeros"]["problem"] is None


def test_files_that_cannot_be_listed_end_with_2_after_the_rest(run: Run, path: Path) -> None:
    said = run("audit", path, path.parent / "none.npy")
    assert said.code == 2
    assert "none.npy does not exist" in said.err
    assert "layers.1.q_proj.weight" in said.out


def test_a_line_of_csv_for_each_tensor(run: Run, path: Path) -> None:
    out = path.parent / "out.csv"
    assert run("audit", path, *INT4, "--csv", out).out == ""
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = run("audit", path, *INT4, "--json").json["tensors"]
    assert [row["name"] for row in rows] == [row["name"] for row in expected]
    assert [float(row["mse"]) for row in rows if row["mse"]] == [r["mse"] for r in expected if r["mse"] is not None]
    assert json.loads(rows[0]["scheme"])["number_format"]["bits"] == 4


def test_what_was_cancelled_goes_on_where_it_ended(run: Run, path: Path) -> None:
    out, whole = path.parent / "out.csv", path.parent / "whole.csv"
    run("audit", path, *INT4, "--csv", whole)
    lines = whole.read_text().splitlines(keepends=True)
    out.write_text("".join(lines[:3]))
    said = run("audit", path, *INT4, "--csv", out, "--resume", "--fail-below", "80")
    assert said.code == 1
    assert out.read_text() == whole.read_text()
    assert "has no rows of this scheme" in run("audit", path, "--csv", out, "--resume").problem


def test_elements_that_no_figure_counts_are_said(run: Run, tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((2, 8, 64)).astype(np.float32)
    values[0, 0, 0], values[1, :3, 0] = np.nan, np.inf
    save_file({"one": values[0], "three": values[1], "sound": np.ones((4, 4), np.float32)}, tmp_path / "m.safetensors")
    told = [
        "qviz: one: Left out: 1 of 512 elements, which is NaN or infinite.",
        "qviz: three: Left out: 3 of 512 elements, which are NaN or infinite.",
    ]
    assert run("audit", tmp_path / "m.safetensors").err.splitlines() == told
    said = run("audit", tmp_path / "m.safetensors", "--json")
    assert said.err.splitlines() == told
    assert {row["name"]: row["not_finite"] for row in said.json["tensors"]} == {"one": 1, "three": 3, "sound": 0}
    for more in ([], ["--resume"]):
        assert run("audit", tmp_path / "m.safetensors", "--csv", tmp_path / "t.csv", *more).err.splitlines() == told


def test_a_table_of_another_release_is_gone_on_with_in_its_own_columns(run: Run, path: Path) -> None:
    out = path.parent / "of another release.csv"
    run("audit", path, *INT4, "--csv", out)
    first, *rest = [line.split(",") for line in out.read_text().splitlines()]
    at = first.index("not_finite")
    older = [",".join(cells[:at] + cells[at + 1 :]) for cells in (first, rest[0])]
    out.write_text("".join(line + "\n" for line in older))
    assert run("audit", path, *INT4, "--csv", out, "--resume").code == 0
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(rest)
    assert all(row["scheme"].startswith("{") and None not in row for row in rows)


def test_options_that_contradict_are_refused(run: Run, path: Path) -> None:
    assert "give one of them" in run("audit", path, "--json", "--csv", "x.csv").problem
    assert "without --csv" in run("audit", path, "--resume").problem
    assert "give one of them" in run("audit", path, "--workers", 2, "--scheduler", "x").problem


def test_a_scheme_that_does_not_fit_leaves_the_tensor_and_says_why(run: Run, path: Path) -> None:
    rows = {row["name"]: row for row in run("audit", path, "--per", "axis", "--axis", "2", "--json").json["tensors"]}
    assert rows["zeros"]["mse"] is None
    assert "axis" in rows["zeros"]["left_in_float"]


def test_several_schemes_at_once(run: Run, tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((8, 64)).astype(np.float32)
    save_file({"a.weight": values}, tmp_path / "m.safetensors")
    names = ("--preset", "tensorrt int8", "--preset", "LLM int4 group 128")
    said = run("audit", tmp_path / "m.safetensors", *names, "--json").json
    assert list(said["schemes"]) == ["TensorRT int8", "LLM int4 group 128"]
    rows = {row["preset"]: row for row in said["tensors"]}
    assert rows["TensorRT int8"]["sqnr_db"] > rows["LLM int4 group 128"]["sqnr_db"]
    out = run("audit", tmp_path / "m.safetensors", *names).out
    assert out.startswith("TensorRT int8\n")
    assert "\n\nLLM int4 group 128\n" in out
    table = tmp_path / "t.csv"
    assert run("audit", tmp_path / "m.safetensors", *names[:2], "--csv", table).code == 0
    assert run("audit", tmp_path / "m.safetensors", *names, "--csv", table, "--resume").code == 0
    assert [line.split(",")[0] for line in table.read_text().splitlines()] == ["name", "a.weight", "a.weight"]
    assert "There is no preset “nothing”" in run("audit", tmp_path / "m.safetensors", "--preset", "nothing").problem


def test_loops_are_compiled_where_much_is_looked_at(run: Run, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(compiler, "warm_up", lambda: asked.append(True))
    run("audit", path, *INT4, "--json")
    assert not asked
    monkeypatch.setattr(kernels, "WORTH", 1)
    run("audit", path, *INT4, "--json")
    assert asked
