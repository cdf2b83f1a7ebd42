"""``qviz analyze`` prints what the library says, for people and as JSON, of odd tensors too."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from qviz.core import (
    Scheme,
    analyze,
)
from tests.cli.commands import ARTICLE_OPTIONS, Run, X, saved
from tests.every import every

# fmt: off
KEYS = [
    "shape", "dtype", "elements", "nan", "inf", "scale", "zero_point", "quant_min", "quant_max",
    "mse", "mae", "max_abs_error", "sqnr_db", "cosine", "saturated",
    "levels_used", "bits_per_element", "float_bytes", "quantized_bytes",
]
# fmt: on


def test_the_article_analyzed(run: Run, article: Path) -> None:
    result = run("analyze", article, *ARTICLE_OPTIONS, "--json").json
    assert f"{result['mse']:.4e}" == "5.4746e-06"
    assert f"{result['scale']:.7f}" == "0.0075709"
    assert f"{result['zero_point']:.3f}" == "141.296"
    assert (result["quant_min"], result["quant_max"]) == (0, 255)
    assert (result["shape"], result["elements"], result["dtype"]) == ([10], 10, "float32")
    assert (result["saturated"], result["levels_used"]) == (0, 10)


def test_every_key_is_there_and_no_other(run: Run, file: Path) -> None:
    assert list(run("analyze", file, "--json").json) == KEYS


def test_json_says_what_analyze_says(run: Run, file: Path) -> None:
    analysis = analyze(X, Scheme())
    result = run("analyze", file, "--json").json
    assert result == json.loads(json.dumps(analysis.to_dict()))
    assert result["shape"] == [4, 6]
    assert (result["elements"], result["nan"], result["inf"]) == (24, 0, 0)
    assert (result["quant_min"], result["quant_max"], result["zero_point"]) == (-128, 127, 0)
    assert (result["float_bytes"], result["quantized_bytes"]) == (96, 24 + 4)
    assert result["bits_per_element"] == 8 * 28 / 24
    for key in ("mse", "mae", "max_abs_error", "sqnr_db", "cosine"):
        assert result[key] == getattr(analysis, key) > 0


def test_for_people_it_is_a_line_each(run: Run, file: Path) -> None:
    said = run("analyze", file)
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert [line.split()[0] for line in lines] == KEYS
    assert f"mse               {analyze(X, Scheme()).mse}" in lines


def test_what_json_has_no_number_for_has_a_word_for_people(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "lossless.npy", np.array([-127.0, 0, 1, 127], np.float32))
    np.save(tmp_path / "zeros.npy", np.zeros(4, np.float32))
    said = [run("analyze", tmp_path / name).out.splitlines() for name in ("lossless.npy", "zeros.npy")]
    assert "sqnr_db           ∞" in said[0]
    assert "cosine            NaN" in said[1]
    assert not any("None" in line for lines in said for line in lines)
    assert run("analyze", tmp_path / "lossless.npy", "--json").json["sqnr_db"] is None


def test_for_people_many_scales_are_a_range(run: Run, tmp_path: Path) -> None:
    path = saved(tmp_path / "w.npy", np.outer(np.arange(1, 10), [127, -127]))
    assert "scale             9 values, 1 to 9\n" in run("analyze", path, "--per", "axis").out
    path = saved(tmp_path / "w.npy", np.outer(np.arange(1, 9), [127, -127]))
    assert "scale             [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]\n" in run("analyze", path, "--per", "axis").out


def test_a_quantized_model_is_read_and_its_stored_type_is_told(run: Run, tmp_path: Path) -> None:
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import dequantize, quantize

    stored = quantize(np.linspace(-1, 2, 128, dtype=np.float32).reshape(2, 64), GGMLQuantizationType.Q4_0)
    writer = GGUFWriter(tmp_path / "net.gguf", "llama")
    writer.add_tensor("w", stored, raw_dtype=GGMLQuantizationType.Q4_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    result = run("analyze", tmp_path / "net.gguf", "--json").json
    assert (result["shape"], result["dtype"]) == ([2, 64], "Q4_0")
    run("quantize", tmp_path / "net.gguf", "-o", tmp_path / "q.npz")
    x = dequantize(stored, GGMLQuantizationType.Q4_0)
    assert np.abs(np.load(tmp_path / "q.npz")["dequantized"] - x).max() <= result["scale"] / 2


def test_a_scalar_is_one_element(run: Run, tmp_path: Path) -> None:
    result = run("analyze", saved(tmp_path / "w.npy", np.float32(2.5)), "--json").json
    assert (result["shape"], result["elements"]) == ([1], 1)
    assert result["mse"] < 1e-12


@every("options", [(), ("--asymmetric",), ARTICLE_OPTIONS])
@every("value", [0.0, 2.5, -2.5])
def test_a_constant(run: Run, tmp_path: Path, value: float, options: tuple[str, ...]) -> None:
    path = saved(tmp_path / "w.npy", np.full(5, value, np.float32))
    result = run("analyze", path, *options, "--json").json
    assert result["levels_used"] == 1
    assert result["max_abs_error"] <= 2.5e-7
    if value == 0:
        assert result["sqnr_db"] is result["cosine"] is None


@every("options", [(), ("--asymmetric",), ARTICLE_OPTIONS])
def test_a_denormal_range(run: Run, tmp_path: Path, options: tuple[str, ...]) -> None:
    path = saved(tmp_path / "w.npy", np.array([-1e-40, 1e-42, 3e-40], np.float32))
    result = run("analyze", path, *options, "--json").json
    assert result["scale"] == 1
    assert result["max_abs_error"] < 1e-39


def test_float16_with_infinities(run: Run, tmp_path: Path) -> None:
    path = saved(tmp_path / "w.npy", np.array([1, -1, np.inf, -np.inf, np.nan], np.float16))
    result = run("analyze", path, "--json").json
    assert (result["dtype"], result["elements"], result["nan"], result["inf"]) == ("float16", 5, 1, 2)
    assert result["scale"] == float(np.float16(1 / 127))  # as ONNX Runtime stores it


def test_whole_numbers(run: Run, tmp_path: Path) -> None:
    assert run("analyze", saved(tmp_path / "w.npy", np.arange(-127, 128)), "--json").json["mse"] == 0


def test_no_range_loses_less_than_the_searched_one(run: Run, file: Path) -> None:
    def mse(rule: str) -> float:
        return float(run("analyze", file, "--range", rule, "--bits", 3, "--json").json["mse"])

    assert mse("mse") <= min(mse("minmax"), mse("percentile"), mse("entropy"))


def test_a_half_tensor_is_computed_with_as_the_runtime_does_or_as_float32(run: Run, tmp_path: Path) -> None:
    x = X.astype(np.float16)
    np.save(tmp_path / "half.npy", x)
    scheme = Scheme("uint8", False)
    own = run("analyze", tmp_path / "half.npy", "--unsigned", "--asymmetric", "--json").json["scale"]
    cast = run("analyze", tmp_path / "half.npy", "--unsigned", "--asymmetric", "--compute-as", "float32", "--json").json
    assert own == float(analyze(x, scheme).qparams.scale) == float(np.float16(own))
    assert cast["scale"] == float(analyze(x.astype(np.float32), scheme).qparams.scale) != own


def test_what_breaks_is_said_on_stderr_and_is_null_in_json(run: Run, tmp_path: Path) -> None:
    path = saved(tmp_path / "w.npy", np.float32([[0, 0], [1, np.nan]]))
    options = ("--number-format", "e4m3fn", "--per", "axis", "--runtime", "torchao")
    said = run("analyze", path, *options, "--json")
    assert said.json["sqnr_db"] is said.json["mse"] is None
    assert "torchao breaks here: 1 of 2 scales are 0 (the first is number 0)" in said.err
    assert "Left out: 1 NaN and 0 infinite elements" in said.err
    huge = saved(tmp_path / "huge.npy", np.float32([3.3e38, -3e38]))
    assert run("analyze", huge, "--asymmetric", "--runtime", "pytorch", "--json").json["scale"] is None
