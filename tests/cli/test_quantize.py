"""``qviz quantize`` writes the codes of the library in every form."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from qviz.core import (
    IntFormat,
    Scheme,
    analyze,
    choose_qparams,
    quantize,
)
from qviz.core.tensors.generators import ARTICLE_VALUES
from tests.cli.commands import ARTICLE_OPTIONS, SEARCHES, Run, X

ARTICLE_CODES = [79, 255, 16, 0, 155, 141, 231, 236, 129, 199]


def test_the_article_quantized(run: Run, article: Path, tmp_path: Path) -> None:
    out = tmp_path / "q.npz"
    said = run("quantize", article, "-o", out, *ARTICLE_OPTIONS)
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"{out}: 10 codes, ")
    with np.load(out) as q:
        assert q["codes"].tolist() == ARTICLE_CODES
        assert q["codes"].dtype == np.uint8
        error = q["dequantized"].astype(np.float64) - ARTICLE_VALUES
        np.testing.assert_array_equal(q["dequantized"], (q["codes"] - q["zero_point"]) * q["scale"])
    assert f"{np.mean(error**2):.4e}" == "5.4746e-06"


@pytest.mark.parametrize("name", SEARCHES)
def test_the_codes_of_a_searched_range_are_those_of_the_library(
    run: Run, file: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "q.npz"
    assert run("quantize", file, "-o", out, "--range", name, "--bits", 4).code == 0
    result = run("analyze", file, "--range", name, "--bits", 4, "--json").json
    scheme = Scheme(IntFormat(4), range_rule=SEARCHES[name])
    qparams = choose_qparams(X, scheme)
    with np.load(out) as q:
        np.testing.assert_array_equal(q["codes"], quantize(X, qparams))
        assert q["scale"] == qparams.scale == np.float32(result["scale"])
        assert np.mean((q["dequantized"].astype(np.float64) - X) ** 2) == pytest.approx(result["mse"], rel=1e-9)
    assert result["mse"] == analyze(X, scheme).mse


def test_a_quantized_tensor_is_written_as_an_onnx_model(run: Run, file: Path, tmp_path: Path) -> None:
    import onnxruntime

    out = tmp_path / "q.onnx"
    run("quantize", file, "-o", out, "--bits", "4", "--per", "axis")
    (value,) = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"]).run(None, {})
    run("quantize", file, "-o", tmp_path / "q.npz", "--bits", "4", "--per", "axis")
    np.testing.assert_array_equal(value, np.load(tmp_path / "q.npz")["dequantized"])


def test_scales_are_written_as_overrides_of_onnx_runtime(run: Run, file: Path, tmp_path: Path) -> None:
    result = run("analyze", file, "--asymmetric", "--json").json
    run("quantize", file, "-o", tmp_path / "q.json", "--asymmetric")
    entry = {"scale": result["scale"], "zero_point": result["zero_point"]}
    assert json.loads((tmp_path / "q.json").read_text()) == {file.stem: [entry]}


def test_what_onnx_has_no_words_for_is_one_line(run: Run, file: Path, tmp_path: Path) -> None:
    said = run("quantize", file, "-o", tmp_path / "q.onnx", "--bits", "5").problem
    assert said.startswith("ONNX has integers of 2, 4, 8 and 16 bits, not int5")


def test_the_output_of_quantize_is_an_archive(run: Run, file: Path, tmp_path: Path) -> None:
    assert "end its name in .npz, .onnx or .json" in run("quantize", file, "-o", tmp_path / "q.npy").problem
    assert not (tmp_path / "q.npy").exists()
