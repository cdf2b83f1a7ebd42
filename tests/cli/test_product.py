"""``qviz product`` prints what the library says of a product of integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from qviz.core import (
    IntFormat,
    Scheme,
)
from qviz.core.questions.product import multiply
from qviz.core.schemes.dynamic import DYNAMIC_RUNTIMES, laid_out
from qviz.files.results import save_scheme
from tests.cli.commands import Run


@pytest.fixture
def operands(tmp_path: Path) -> tuple[Path, Path]:
    """An activation and a weight that fit, the latter beside another tensor."""
    x, w = tmp_path / "x.npy", tmp_path / "w.npz"
    rng = np.random.default_rng(8)
    np.save(x, rng.standard_normal((5, 16)).astype(np.float32))
    np.savez(w, fc=rng.standard_normal((16, 3)).astype(np.float32), bias=np.zeros(3, np.float32))
    return x, w


def test_a_product_says_what_multiply_says(run: Run, operands: tuple[Path, Path]) -> None:
    x, w = operands
    preset = DYNAMIC_RUNTIMES["torchao_int8"]
    expected = multiply(np.load(x), np.load(w)["fc"], preset.activation, preset.weight).to_dict()
    said = run("product", x, w, "--weight-tensor", "fc", "--runtime", "torchao_int8", "--json").json
    assert said == expected
    assert said["weight_alone"]["sqnr_db"] > 30


def test_for_people_a_product_is_a_line_each(run: Run, operands: tuple[Path, Path]) -> None:
    said = run("product", *operands, "--weight-tensor", "fc")
    assert said.code == 0
    lines = dict(line.split(None, 1) for line in said.out.splitlines())
    assert lines["outputs"] == "3"
    assert lines["activation_alone"].startswith("mse ")
    assert lines["fits_int32"] == "True"


def test_what_json_has_no_number_for_has_a_word_for_people(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 2), np.float32))
    np.save(tmp_path / "w.npy", np.array([[127.0], [1]], np.float32))
    said = run("product", tmp_path / "x.npy", tmp_path / "w.npy").out
    assert "sqnr_db           ∞" in said.splitlines()
    assert "sqnr_db ∞" in said
    assert "None" not in said
    assert run("product", tmp_path / "x.npy", tmp_path / "w.npy", "--json").json["sqnr_db"] is None


def test_a_product_of_a_linear_layer_and_schemes_from_files(
    run: Run, operands: tuple[Path, Path], tmp_path: Path
) -> None:
    x, _ = operands
    linear, scheme = tmp_path / "linear.npy", tmp_path / "scheme.json"
    np.save(linear, np.random.default_rng(9).standard_normal((7, 16)).astype(np.float32))
    save_scheme(scheme, Scheme(IntFormat(5)))
    options = ("--transposed", "--activation-scheme", scheme, "--weight-scheme", scheme, "--json")
    said = run("product", x, linear, *options).json
    expected = multiply(np.load(x), np.load(linear), Scheme(IntFormat(5)), Scheme(IntFormat(5)), transposed=True)
    assert said == expected.to_dict()


def test_operands_that_do_not_fit_are_one_line(run: Run, operands: tuple[Path, Path]) -> None:
    x, w = operands
    assert "(5, 16) does not fit a weight of shape (5, 16)" in run("product", x, x).problem
    assert "choose one with --weight-tensor: fc, bias" in run("product", x, w).problem


def test_convention_is_the_old_name_of_runtime(run: Run, operands: tuple[Path, Path]) -> None:
    options = ("--weight-tensor", "fc", "--json")
    expected = run("product", *operands, "--runtime", "torchao_int8", *options).json
    assert run("product", *operands, "--convention", "torchao_int8", *options).json == expected
    assert run("product", *operands, *options).json != expected


@pytest.mark.parametrize("kind", ["safetensors", "npy"])
def test_a_square_weight_is_taken_as_its_file_stores_it_and_that_is_said(run: Run, tmp_path: Path, kind: str) -> None:
    x, w = (np.random.default_rng(seed).standard_normal((6, 6)).astype(np.float32) for seed in (1, 2))
    activation, weight = tmp_path / "x.npy", tmp_path / f"w.{kind}"
    np.save(activation, x)
    np.save(weight, w) if kind == "npy" else save_file({"fc": w}, weight)
    preset = DYNAMIC_RUNTIMES["torchao_int8"]

    def expected(transposed: bool) -> object:
        scheme = laid_out(preset.weight, transposed)
        return multiply(x, w, preset.activation, scheme, transposed=transposed).to_dict()

    options = ("--runtime", "torchao_int8", "--json")
    stored = kind == "safetensors"
    assert run("product", activation, weight, *options).json == expected(stored)
    way, why, turned = (
        ("outputs × features", "which files of its kind store", "--no-transposed")
        if stored
        else ("features × outputs", "its file does not say", "--transposed")
    )
    assert (
        f"qviz: w.{kind} is square, and taken as {way}, {why}: {turned} turns it."
        in run("product", activation, weight, *options[:2]).err
    )
    assert run("product", activation, weight, turned, *options).json == expected(not stored)
    assert run("product", activation, weight, turned, *options[:2]).err == ""


def test_a_weight_that_fits_only_as_its_file_stores_it_is_taken_so(
    run: Run, operands: tuple[Path, Path], tmp_path: Path
) -> None:
    linear = tmp_path / "linear.safetensors"
    save_file({"fc": np.random.default_rng(9).standard_normal((7, 16)).astype(np.float32)}, linear)
    assert run("product", operands[0], linear, "--json").json["outputs"] == 7
