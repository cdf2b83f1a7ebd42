"""A choice of formats reaches other tools in their own words, and errors count as much as somebody says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import onnx
import pytest
from safetensors.numpy import save_file

from qviz.cli.budget import GGUF_TYPES
from qviz.core import IntFormat, PerBlock, Scheme, choose_qparams, fake_quantize
from qviz.core.problems import Problem
from qviz.core.ranges import ggml
from qviz.models.audit import audit
from qviz.models.checkpoint import open_checkpoint
from qviz.models.plans import GGUF_SCHEMES, Choice, factors_of, importance_factors, llama_lines, weighed
from tests.cli.commands import Run
from tests.cli.conftest import run
from tests.every import every
from tests.models.made import classifier

__all__ = ["run"]

RANDOM = np.random.default_rng(2)
NAMES = [f"model.layers.{i}.mlp.{part}_proj.weight" for i in range(2) for part in ("up", "down")]
WEIGHTS = {name: RANDOM.standard_normal((16, 64)).astype(np.float32) for name in NAMES}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_file(WEIGHTS, tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def test_lines_of_llama_cpp(run: Run, path: Path, tmp_path: Path) -> None:
    out = tmp_path / "types.txt"
    done = run("budget", path, "--megabytes", "0.0035", "--gguf", "q8_0", "--gguf", "q4_0", "--export", out,
               "--export-as", "llama.cpp")  # fmt: skip
    assert done.code == 0
    lines = out.read_text().splitlines()
    assert len(lines) == 4
    assert all(line.startswith("--tensor-type blk\\.") for line in lines)
    assert {line.rsplit("=", 1)[1] for line in lines} <= {"q8_0", "q4_0"}
    assert any("blk\\.1\\.ffn_down\\.weight=" in line for line in lines)


def test_rows_choose_among_the_types_that_divide_them(run: Run, tmp_path: Path) -> None:
    widths = {"down": 512, "o": 96, "q": 80}
    made = {f"model.layers.0.{name}_proj.weight": np.ones((8, width), np.float32) for name, width in widths.items()}
    save_file({name: value * RANDOM.standard_normal(value.shape).astype("f4") for name, value in made.items()},
              tmp_path / "w.safetensors")  # fmt: skip
    given = [word for name in ("iq4_nl", "iq4_xs", "tq2_0", "nvfp4", "mxfp4") for word in ("--gguf", name)]
    done = run("budget", tmp_path / "w.safetensors", "--at-least", "5", *given, "--json")
    assert {unit["tensors"][0].split(".")[-2]: unit["format"] for unit in done.json["units"]} == {
        "down_proj": "iq4_xs",
        "o_proj": "mxfp4",
    }
    assert done.json["left_bytes"] == 8 * 80 * 4


def test_a_format_that_llama_cpp_has_not_is_told() -> None:
    with pytest.raises(Problem, match=r"llama\.cpp has no such format as that of w"):
        llama_lines([Choice("w", Scheme(IntFormat(6), granularity=PerBlock(-1, 32)))])
    assert llama_lines([Choice("lm_head.weight", None)]) == "--tensor-type output\\.weight=f16\n"
    of_32 = {"q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "iq4_nl", "mxfp4"}
    of_256 = {"q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_xs", "tq1_0", "tq2_0"}
    assert set(GGUF_SCHEMES) == set(GGUF_TYPES) == of_32 | of_256 | {"nvfp4"}


def test_a_recipe_of_compressed_tensors(run: Run, path: Path, tmp_path: Path) -> None:
    out = tmp_path / "recipe.json"
    run("budget", path, "--megabytes", "0.0035", "--bits", "8", "--bits", "4", "--export", out,
        "--export-as", "compressed-tensors")  # fmt: skip
    recipe = json.loads(out.read_text())["quantization_config"]
    targets = [target for group in recipe["config_groups"].values() for target in group["targets"]]
    assert sorted([*targets, *recipe["ignore"]]) == sorted(name.removesuffix(".weight") for name in NAMES)
    weights = next(iter(recipe["config_groups"].values()))["weights"]
    assert weights["strategy"] == "group"
    assert weights["group_size"] == 32


def test_options_of_onnx_runtime(run: Run, tmp_path: Path) -> None:
    onnx.save_model(classifier(), str(tmp_path / "net.onnx"))
    out = tmp_path / "options.json"
    run("budget", tmp_path / "net.onnx", "--at-least", "200", "--bits", "8", "--export", out,
        "--export-as", "onnxruntime")  # fmt: skip
    said = json.loads(out.read_text())
    assert "/head/gemm" in said["nodes_to_exclude"] or not said["nodes_to_exclude"]
    run("budget", tmp_path / "net.onnx", "--at-least", "10", "--bits", "8", "--export", out,
        "--export-as", "onnxruntime")  # fmt: skip
    overrides = json.loads(out.read_text())["extra_options"]["TensorQuantOverrides"]
    assert overrides["w2"] == [{"quant_type": "QInt8", "symmetric": True}]


def test_a_tensor_that_counts_more_gets_the_bits(run: Run, path: Path, tmp_path: Path) -> None:
    dear = tmp_path / "dear.json"
    dear.write_text(json.dumps({"*.0.mlp.up_proj.*": 1000}))
    said = run(
        "budget", path, "--megabytes", "0.0034", "--bits", "8", "--bits", "4", "--sensitivity", dear, "--json"
    ).json
    formats = {unit["tensors"][0]: unit["format"] for unit in said["units"]}
    assert formats[NAMES[0]] == "int8, blocks of 32"
    assert [format_ for name, format_ in formats.items() if name != NAMES[0]].count("int8, blocks of 32") <= 2
    dear.write_text("[1]")
    assert "object of numbers" in run("budget", path, "--at-least", "1", "--sensitivity", dear).problem
    dear.write_text("{")
    assert "dear.json is no JSON" in run("budget", path, "--at-least", "1", "--sensitivity", dear).problem


@every("said", [{}, {"w": "1"}, {"w": True}, {"w": -1}, {"w": float("inf")}, {"w": float("nan")}])
def test_what_is_no_sensitivity_is_told(said: object) -> None:
    with pytest.raises(Problem):
        factors_of(said)


def test_errors_count_column_by_column_as_an_importance_matrix_has_it(path: Path) -> None:
    scheme = Scheme(IntFormat(4), granularity=PerBlock(-1, 32))
    rows = list(audit(open_checkpoint([path]).weights, [scheme]))
    importances = RANDOM.uniform(0.1, 10, 64).astype(np.float32)
    factor = importance_factors(rows, {"blk.0.ffn_up.weight": importances})
    row = next(each for each in rows if each.weight.name == NAMES[0])
    values = WEIGHTS[NAMES[0]]
    error = (fake_quantize(values, choose_qparams(values, scheme)) - values).astype(np.float64) ** 2
    assert factor(row) == pytest.approx((error.sum(axis=0) @ importances) / error.sum())
    assert {factor(each) for each in rows if each is not row} == {1.0}


def test_k_quants_seek_their_scales_by_the_importances_that_errors_are_weighed_by(tmp_path: Path) -> None:
    values, scheme = RANDOM.standard_normal((4, 256)).astype(np.float32), GGUF_SCHEMES["q4_k"]
    save_file({"blk.0.ffn_up.weight": values}, tmp_path / "k.safetensors")
    rows = list(audit(open_checkpoint([tmp_path / "k.safetensors"]).weights, [scheme]))
    importances = np.repeat(RANDOM.uniform(0, 1, 8) ** 8, 32).astype(np.float32) + np.float32(1e-3)
    (row,), signals = weighed(rows, {"blk.0.ffn_up.weight": importances})
    assert row.figures is not None
    sought = ggml.encode(values, "Q4_K", importances).values().reshape(values.shape).astype(np.float64)
    assert row.figures.mse * values.size == pytest.approx(np.square(sought - values).sum(axis=0) @ importances)
    assert signals == {"blk.0.ffn_up.weight": pytest.approx(np.square(values).sum(axis=0) @ importances)}
    plain = fake_quantize(values, choose_qparams(values, scheme)).astype(np.float64)
    assert row.figures.mse * values.size < np.square(plain - values).sum(axis=0) @ importances


def imatrix(folder: Path, values: Any) -> Path:
    """What llama-imatrix writes of one tensor."""
    out = folder / "imatrix.gguf"
    writer = gguf.GGUFWriter(out, "imatrix")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", ["made"])
    writer.add_uint32("imatrix.chunk_count", 1)
    writer.add_uint32("imatrix.chunk_size", 512)
    writer.add_tensor("blk.1.ffn_up.weight.in_sum2", values.reshape(1, 64))
    writer.add_tensor("blk.1.ffn_up.weight.counts", np.full((1, 1), 1, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def test_an_audit_weighs_errors_by_an_importance_matrix_too(run: Run, path: Path, tmp_path: Path) -> None:
    values = RANDOM.uniform(0.1, 10, 64).astype(np.float32)
    out = imatrix(tmp_path, values)
    rows = {row["name"]: row for row in run("audit", path, "--bits", "4", "--imatrix", out, "--json").json["tensors"]}
    name = next(name for name, row in rows.items() if row["weighted_sqnr_db"] is not None)
    assert name == NAMES[2]
    original = WEIGHTS[name].astype(np.float64)
    error = fake_quantize(WEIGHTS[name], choose_qparams(WEIGHTS[name], Scheme(IntFormat(4)))) - original
    ratio = (np.square(original).sum(axis=0) @ values) / (np.square(error).sum(axis=0) @ values)
    assert rows[name]["weighted_sqnr_db"] == pytest.approx(10 * np.log10(ratio))
    assert "weighted" in run("audit", path, "--bits", "4", "--imatrix", out).out.splitlines()[0]


def test_an_importance_matrix_of_llama_cpp_is_taken(run: Run, path: Path, tmp_path: Path) -> None:
    out = imatrix(tmp_path, np.full(64, 1e4, np.float32))
    said = run("budget", path, "--megabytes", "0.0034", "--bits", "8", "--bits", "4", "--imatrix", out, "--json").json
    formats = {unit["tensors"][0]: unit["format"] for unit in said["units"]}
    assert formats[NAMES[2]] == "int8, blocks of 32"
