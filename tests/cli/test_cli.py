"""Every command, its output, its exit codes, and one clear line for every bad input."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import qviz
from qviz.cli import main as cli
from qviz.core import (
    MSE,
    Codebook,
    Entropy,
    FloatFormat,
    IntFormat,
    Manual,
    PerAxis,
    PerBlock,
    Percentile,
    PerTensor,
    PerToken,
    Scheme,
    analyze,
    choose_qparams,
    quantize,
)
from qviz.core.questions.product import multiply
from qviz.core.ranges.table import RANGE_RULES
from qviz.core.ranges.torch import MovingAverage
from qviz.core.schemes.dynamic import DYNAMIC_RUNTIMES
from qviz.core.schemes.presets import PRESETS, Preset
from qviz.core.tensors.generators import ARTICLE_VALUES
from qviz.files.results import save_scheme
from qviz.gui.tensor.charts import CHARTS

# fmt: off
KEYS = [
    "shape", "dtype", "elements", "nan", "inf", "scale", "zero_point", "quant_min", "quant_max",
    "mse", "mae", "max_abs_error", "sqnr_db", "cosine", "saturated",
    "levels_used", "bits_per_element", "float_bytes", "quantized_bytes",
]
# fmt: on
ARTICLE_OPTIONS = ("--unsigned", "--asymmetric", "--convention", "textbook")
ARTICLE_CODES = [79, 255, 16, 0, 155, 141, 231, 236, 129, 199]
X = np.random.default_rng(6).normal(0, 1, (4, 6)).astype(np.float32)


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The object that was printed, read as the standard has it."""

        def refuse(token: str) -> None:
            raise AssertionError(f"{token} is no JSON")

        assert (self.code, self.err) == (0, "")
        assert self.out.count("\n") == 1
        read: dict[str, Any] = json.loads(self.out, parse_constant=refuse)
        return read

    @property
    def problem(self) -> str:
        """The one line on stderr of a command that could not be done."""
        assert (self.code, self.out) == (2, "")
        assert self.err.startswith("qviz: ")
        assert self.err.endswith("\n")
        assert len(self.err.splitlines()) == 1
        return self.err.removeprefix("qviz: ").rstrip("\n")


Run = Callable[..., Said]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Call a command in this process."""

    def call(*arguments: object) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main([str(a) for a in arguments])
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Said(ended.value.code, captured.out, captured.err)

    return call


def saved(path: Path, array: Any) -> Path:
    with path.open("wb") as file:
        np.save(file, np.asarray(array))
    return path


def written(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.fixture
def article(tmp_path: Path) -> Path:
    return saved(tmp_path / "ten.npy", ARTICLE_VALUES)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return saved(tmp_path / "w.npy", X)


# --- the article ------------------------------------------------------------------------------------


def test_the_article_analyzed(run: Run, article: Path) -> None:
    result = run("analyze", article, *ARTICLE_OPTIONS, "--json").json
    assert f"{result['mse']:.4e}" == "5.4746e-06"
    assert f"{result['scale']:.7f}" == "0.0075709"
    assert f"{result['zero_point']:.3f}" == "141.296"
    assert (result["quant_min"], result["quant_max"]) == (0, 255)
    assert (result["shape"], result["elements"], result["dtype"]) == ([10], 10, "float32")
    assert (result["saturated"], result["levels_used"]) == (0, 10)


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


# --- analyze ----------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("options", "scheme"),
    [
        ("", Scheme()),
        ("--bits 4 --unsigned", Scheme(IntFormat(4, False))),
        ("--bits 16 --signed --symmetric", Scheme(IntFormat(16))),
        ("--asymmetric --number-format int", Scheme(symmetric=False)),
        ("--convention textbook", Scheme(convention="textbook")),
        ("--per axis", Scheme(granularity=PerAxis(0))),
        ("--per axis --axis 1", Scheme(granularity=PerAxis(1))),
        ("--per axis --axis -1", Scheme(granularity=PerAxis(-1))),
        ("--range percentile", Scheme(range_rule=Percentile(99.9))),
        ("--range percentile --percentile 90", Scheme(range_rule=Percentile(90.0))),
        ("--range manual --low -0.5 --high 1.5", Scheme(range_rule=Manual(-0.5, 1.5))),
        ("--range mse --bits 4", Scheme(IntFormat(4), range_rule=MSE())),
        ("--range mse --bits 3 --asymmetric", Scheme(IntFormat(3), symmetric=False, range_rule=MSE())),
        ("--range mse --per axis", Scheme(granularity=PerAxis(0), range_rule=MSE())),
        ("--range entropy", Scheme(range_rule=Entropy())),
        ("--range entropy --asymmetric --per axis", Scheme(IntFormat(8), False, PerAxis(0), Entropy())),
        ("--per token", Scheme(granularity=PerToken())),
        ("--per block --block-size 2", Scheme(granularity=PerBlock(-1, 2))),
        ("--per block --block-size 4 --axis 0", Scheme(granularity=PerBlock(0, 4))),
        ("--per block --block-size 4 --asymmetric", Scheme(symmetric=False, granularity=PerBlock(-1, 4))),
        ("--number-format uint4", Scheme(IntFormat(4, False))),
        ("--number-format e4m3", Scheme(FloatFormat("e4m3fn"))),
        ("--number-format bfloat16", Scheme(FloatFormat("bfloat16"))),
        (
            "--number-format nf4 --convention textbook --per token",
            Scheme(Codebook("nf4"), granularity=PerToken(), convention="textbook"),
        ),
    ],
)
def test_options_make_a_scheme(run: Run, file: Path, options: str, scheme: Scheme) -> None:
    expected = json.loads(json.dumps(analyze(X, scheme).to_dict()))
    assert run("analyze", file, *options.split(), "--json").json == expected


WIDE = np.random.default_rng(8).normal(0, 1, (3, 64)).astype(np.float32)


@pytest.mark.parametrize(
    ("options", "scheme"),
    [
        ("--per block", Scheme(granularity=PerBlock(-1, 32))),
        ("--convention mx_floor", Scheme(granularity=PerBlock(-1, 32), convention="mx_floor")),
        (
            "--convention mx_even --number-format e2m1fn",
            Scheme(FloatFormat("e2m1fn"), granularity=PerBlock(-1, 32), convention="mx_even"),
        ),
        (
            "--convention nvfp4 --number-format e2m1",
            Scheme(FloatFormat("e2m1fn"), granularity=PerBlock(-1, 16), convention="nvfp4"),
        ),
        (
            "--convention gguf --bits 4 --unsigned --asymmetric",
            Scheme(IntFormat(4, False), False, PerBlock(-1, 32), convention="gguf"),
        ),
        ("--convention gguf --per block --axis -1", Scheme(granularity=PerBlock(-1, 32), convention="gguf")),
    ],
)
def test_a_runtime_of_blocks_alone_has_its_own_by_itself(
    run: Run, tmp_path: Path, options: str, scheme: Scheme
) -> None:
    wide = saved(tmp_path / "wide.npy", WIDE)
    expected = json.loads(json.dumps(analyze(WIDE, scheme).to_dict()))
    assert run("analyze", wide, *options.split(), "--json").json == expected


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_can_be_given_as_a_file(run: Run, tmp_path: Path, preset: Preset) -> None:
    wide = saved(tmp_path / "wide.npy", np.tile(WIDE, 2))
    save_scheme(tmp_path / "s.json", preset.scheme)
    result = run("analyze", wide, "--scheme", tmp_path / "s.json", "--json").json
    assert result["mse"] == analyze(np.tile(WIDE, 2), preset.scheme).mse
    assert run("quantize", wide, "--scheme", tmp_path / "s.json", "-o", tmp_path / "q.npz").code == 0


@pytest.mark.parametrize("name", [name for name in RANGE_RULES if name != "manual"])
@pytest.mark.parametrize("options", ["--per tensor", "--per axis --asymmetric"])
def test_every_range_rule_has_a_name(run: Run, file: Path, name: str, options: str) -> None:
    symmetric, granularity = (True, PerTensor()) if "tensor" in options else (False, PerAxis(0))
    scheme = Scheme(IntFormat(8), symmetric, granularity, RANGE_RULES[name]())
    result = run("analyze", file, "--range", name, *options.split(), "--json").json
    assert result == json.loads(json.dumps(analyze(X, scheme).to_dict()))


@pytest.mark.parametrize("axis", [0, -1])
def test_batches_lie_along_an_axis(run: Run, file: Path, axis: int) -> None:
    expected = analyze(X, Scheme(range_rule=MovingAverage(batch_axis=axis)))
    assert run("analyze", file, "--range", "moving_average", "--batch-axis", axis, "--json").json["mse"] == expected.mse
    assert expected.mse != analyze(X, Scheme(range_rule=MovingAverage())).mse


SEARCHES = {"mse": MSE(), "entropy": Entropy()}


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


def test_no_range_loses_less_than_the_searched_one(run: Run, file: Path) -> None:
    def mse(rule: str) -> float:
        return float(run("analyze", file, "--range", rule, "--bits", 3, "--json").json["mse"])

    assert mse("mse") <= min(mse("minmax"), mse("percentile"), mse("entropy"))


def test_a_scheme_from_a_file(run: Run, file: Path, tmp_path: Path) -> None:
    scheme = Scheme(IntFormat(3, False), False, PerAxis(1), Percentile(95.0), "textbook")
    save_scheme(tmp_path / "s.json", scheme)
    result = run("analyze", file, "--scheme", tmp_path / "s.json", "--json").json
    assert result == json.loads(json.dumps(analyze(X, scheme).to_dict()))
    run("quantize", file, "--scheme", tmp_path / "s.json", "-o", tmp_path / "q.npz")
    with np.load(tmp_path / "q.npz") as q:
        assert Scheme.from_dict(json.loads(str(q["scheme"]))) == scheme


def test_for_people_it_is_a_line_each(run: Run, file: Path) -> None:
    said = run("analyze", file)
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert [line.split()[0] for line in lines] == KEYS
    assert f"mse               {analyze(X, Scheme()).mse}" in lines


def test_for_people_many_scales_are_a_range(run: Run, tmp_path: Path) -> None:
    path = saved(tmp_path / "w.npy", np.outer(np.arange(1, 10), [127, -127]))
    assert "scale             9 values, 1 to 9\n" in run("analyze", path, "--per", "axis").out


@pytest.mark.parametrize(
    ("name", "content"),
    [("w.csv", "1,2.5\n3,4\n"), ("w.txt", "1 2.5\n3 4\n"), ("w.tsv", "1\t2.5\n3\t4\n")],
)
def test_tables_of_numbers_are_read(run: Run, tmp_path: Path, name: str, content: str) -> None:
    result = run("analyze", written(tmp_path / name, content), "--json").json
    assert (result["shape"], result["dtype"]) == ([2, 2], "float64")


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


# --- several tensors --------------------------------------------------------------------------------


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    np.savez(tmp_path / "net.npz", w=X, b=X[0])
    return tmp_path / "net.npz"


@pytest.mark.parametrize(("name", "shape"), [("w", [4, 6]), ("b", [6]), ("net/b", [6])])
def test_one_of_several_tensors_is_called_by_its_name(run: Run, archive: Path, name: str, shape: list[int]) -> None:
    assert run("analyze", archive, "--tensor", name, "--json").json["shape"] == shape


def test_which_of_several_tensors_has_to_be_said(run: Run, archive: Path) -> None:
    assert run("analyze", archive).problem == "net.npz holds 2 tensors: choose one with --tensor: w, b."


def test_a_tensor_that_is_not_there(run: Run, archive: Path, file: Path) -> None:
    assert run("analyze", archive, "--tensor", "x").problem == "net.npz has no tensor “x”: choose one of w, b."
    assert run("analyze", file, "--tensor", "x").problem == "w.npy has no tensor “x”: choose one of w.npy."


def test_one_tensor_needs_no_name(run: Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", w=X)
    assert run("analyze", tmp_path / "one.npz", "--json").json["shape"] == [4, 6]


def test_of_many_tensors_some_are_named(run: Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", **{f"t{i}": X for i in range(20)})
    problem = run("analyze", tmp_path / "net.npz").problem
    assert problem.startswith("net.npz holds 20 tensors: choose one with --tensor: t0, t1,")
    assert problem.endswith("t11, ….")


# --- odd tensors that work --------------------------------------------------------------------------


def test_a_scalar_is_one_element(run: Run, tmp_path: Path) -> None:
    result = run("analyze", saved(tmp_path / "w.npy", np.float32(2.5)), "--json").json
    assert (result["shape"], result["elements"]) == ([1], 1)
    assert result["mse"] < 1e-12


@pytest.mark.parametrize("options", [(), ("--asymmetric",), ARTICLE_OPTIONS])
@pytest.mark.parametrize("value", [0.0, 2.5, -2.5])
def test_a_constant(run: Run, tmp_path: Path, value: float, options: tuple[str, ...]) -> None:
    path = saved(tmp_path / "w.npy", np.full(5, value, np.float32))
    result = run("analyze", path, *options, "--json").json
    assert result["levels_used"] == 1
    assert result["max_abs_error"] <= 2.5e-7
    if value == 0:
        assert result["sqnr_db"] is result["cosine"] is None


@pytest.mark.parametrize("options", [(), ("--asymmetric",), ARTICLE_OPTIONS])
def test_a_denormal_range(run: Run, tmp_path: Path, options: tuple[str, ...]) -> None:
    path = saved(tmp_path / "w.npy", np.array([-1e-40, 1e-42, 3e-40], np.float32))
    result = run("analyze", path, *options, "--json").json
    assert result["scale"] == 1
    assert result["max_abs_error"] < 1e-39


def test_float16_with_infinities(run: Run, tmp_path: Path) -> None:
    path = saved(tmp_path / "w.npy", np.array([1, -1, np.inf, -np.inf, np.nan], np.float16))
    result = run("analyze", path, "--json").json
    assert (result["dtype"], result["elements"], result["nan"], result["inf"]) == ("float16", 5, 1, 2)
    assert result["scale"] == pytest.approx(1 / 127)


def test_whole_numbers(run: Run, tmp_path: Path) -> None:
    assert run("analyze", saved(tmp_path / "w.npy", np.arange(-127, 128)), "--json").json["mse"] == 0


# --- bad input --------------------------------------------------------------------------------------

BAD: dict[str, tuple[str, Any, str]] = {
    "a wrong file": ("w.npy", b"hello, world", "w.npy is not a NumPy array file: it does not begin like one."),
    "a picture": ("w.png", b"\x89PNG\r\n", "w.png is of no format that qviz knows. It reads .npy, .npz,"),
    "an empty file": ("w.npy", b"", "w.npy is empty. Copy or download it again."),
    "an empty table": ("w.csv", b"", "w.csv is empty. Choose a file with numbers in it."),
    "objects": ("w.npy", np.array([1, None, "x"], object), "w.npy is made of "),
    "complex numbers": ("w.npy", np.ones(3, complex), "w.npy is made of complex numbers"),
    "words": ("w.npy", np.array(["a", "b"]), "w.npy is made of text"),
    "zero elements": ("w.npy", np.ones((0, 3)), "w.npy has no elements: its shape is (0, 3)."),
    "NaN alone": ("w.npy", np.full(4, np.nan), "w.npy has no finite value: all 4 elements are NaN or infinite."),
    "infinities alone": ("w.npy", np.full(4, -np.inf), "w.npy has no finite value: all 4 elements are"),
    "a table with words": ("w.csv", b"1,2\n3,four\n", "w.csv has 'four' in line 2 where a number should be."),
    "a ragged table": ("w.csv", b"1,2\n3\n", "w.csv has 1 instead of 2 numbers in line 2."),
    "bytes for text": ("w.txt", b"\xff\xff\xff\x00", "w.txt is not a text file"),
    "a broken archive": ("w.npz", b"PK\x03\x04 and then nothing", "w.npz is not a NumPy archive, or a damaged one"),
}  # fmt: skip


@pytest.mark.parametrize("command", ["analyze", "quantize", "render"])
@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_one_line(run: Run, tmp_path: Path, command: str, case: str) -> None:
    name, content, said = BAD[case]
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content, allow_pickle=True)
    output = () if command == "analyze" else ("-o", tmp_path / "out")
    assert run(command, path, *output).problem.startswith(said)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kept", [5, 60, 130])
def test_a_truncated_array(run: Run, file: Path, kept: int) -> None:
    file.write_bytes(file.read_bytes()[:kept])
    assert run("analyze", file).problem.startswith("w.npy is cut off")


def test_a_file_that_is_not_there(run: Run, tmp_path: Path) -> None:
    assert run("analyze", tmp_path / "w.npy").problem == "w.npy does not exist. Check its name and its folder."
    assert run("analyze", tmp_path).problem.startswith(f"{tmp_path.name} is a folder, not a file.")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--bits 1", "1 bits cannot be shown: choose a bit width from 2 to 16."),
        ("--bits four", "Invalid value for '--bits': 'four' is not a valid integer."),
        ("--convention cuda", "Invalid value for '--convention': 'cuda' is not one of"),
        ("--per galaxy", "Invalid value for '--per': 'galaxy' is not one of"),
        (
            "--per block",
            "A block of 32 is longer than axis -1 of a tensor of shape (4, 6): choose a block size up to 6",
        ),
        ("--per block --axis 0 --block-size 5", "A block of 5 is longer than axis 0 of a tensor of shape (4, 6)"),
        ("--per block --axis 2 --block-size 2", "There is no axis 2 in a tensor of shape (4, 6)"),
        ("--per block --block-size 0", "A block of 0 has no element: choose a block size of 1 or more."),
        ("--per block --block-size two", "Invalid value for '--block-size': 'two' is not a valid integer."),
        ("--number-format e9m9", "There is no number format “e9m9”: choose one of int2"),
        ("--number-format int17", "17 bits cannot be shown: choose a bit width from 2 to 16."),
        ("--number-format e4m3fn --asymmetric", "FP8 E4M3FN has no zero point: choose symmetric"),
        ("--number-format nf4", "ONNX Runtime has no NF4: choose one of the integers, "),
        ("--convention nvfp4", "NVFP4 has no int8: choose one of e2m1fn, or another runtime."),
        ("--convention mx_floor --per tensor", "MX, scale rounded down has a scale for each 32 neighbours"),
        ("--convention mx_floor", "A block of 32 is longer than axis -1 of a tensor of shape (4, 6)"),
        ("--per axis --axis 2", "There is no axis 2 in a tensor of shape (4, 6): choose an axis from -2 to 1"),
        ("--range percentile --percentile 10", "A percentile of 10 makes no range"),
        ("--range percentile --percentile nan", "A percentile of nan makes no range"),
        ("--range minmax --batch-axis 0", "--range minmax looks at all batches together: leave --batch-axis out."),
        ("--range moving_average --batch-axis 2", "There is no batch axis 2 in a tensor of shape (4, 6)"),
        ("--range paddle_avg --batch-axis 0 --per axis", "Axis 0 of a tensor of shape (4, 6) cannot tell both"),
        ("--range manual --low 1", "A range by hand needs both ends: give --low and --high."),
        ("--range manual --low 1 --high 1", "A range from 1 to 1 is empty"),
        ("--range manual --low -inf --high 1", "A range from -inf to 1 is empty"),
        ("--scheme none.json", "none.json does not exist."),
        ("--colour red", "No such option"),
        ("more", "Got unexpected extra argument (more)"),
        ("--tensor", "Option '--tensor' requires an argument."),
    ],
)
def test_a_bad_option_is_one_line(run: Run, file: Path, options: str, said: str) -> None:
    assert run("analyze", file, *options.split()).problem.startswith(said)


def test_a_scheme_file_and_an_option_of_a_scheme_contradict_each_other(run: Run, file: Path, tmp_path: Path) -> None:
    save_scheme(tmp_path / "s.json", Scheme())
    problem = run("analyze", file, "--scheme", tmp_path / "s.json", "--bits", "4", "--axis", "0").problem
    assert problem.startswith("--scheme holds the whole scheme: leave out --bits, --axis.")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("--axis 1", "--axis means nothing without --per axis or --per block: give both."),
        ("--per token --axis 1", "--axis means nothing without --per axis or --per block: give both."),
        ("--block-size 2", "--block-size means nothing without --per block: give both."),
        ("--per axis --block-size 2", "--block-size means nothing without --per block: give both."),
        ("--number-format e4m3fn --bits 8", "--bits means nothing without --number-format int: give both."),
        ("--number-format uint4 --bits 4", "--bits means nothing without --number-format int: give both."),
        ("--number-format nf4 --signed", "--signed means nothing without --number-format int: give both."),
        ("--number-format int8 --unsigned", "--signed means nothing without --number-format int: give both."),
        ("--percentile 90", "--percentile means nothing without --range percentile: give both."),
        ("--low -1", "--low means nothing without --range manual: give both."),
        ("--range minmax --high 1", "--high means nothing without --range manual: give both."),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(run: Run, file: Path, options: str, problem: str) -> None:
    assert run("analyze", file, *options.split()).problem.startswith(problem)


def test_the_output_of_quantize_is_an_archive(run: Run, file: Path, tmp_path: Path) -> None:
    assert "end its name in .npz, .onnx or .json" in run("quantize", file, "-o", tmp_path / "q.npy").problem
    assert not (tmp_path / "q.npy").exists()


def test_a_mistyped_command_opens_no_window(run: Run) -> None:
    assert run("frobnicate").problem.startswith("frobnicate does not exist: give a file, a folder, or a command")


def test_a_bad_scheme_file_is_one_line(run: Run, file: Path, tmp_path: Path) -> None:
    path = written(tmp_path / "s.json", "{}")
    assert run("analyze", file, "--scheme", path).problem.startswith("s.json holds no scheme that can be used")


def test_a_missing_argument_says_where_help_is(run: Run, file: Path) -> None:
    assert run("analyze").problem == "Missing argument 'FILE'. Try: qviz analyze --help"
    assert run("quantize", file).problem.startswith("Missing option '-o' / '--output'.")


def test_a_place_that_cannot_be_written_is_one_line(run: Run, file: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.npz").mkdir()
    none = tmp_path / "none"
    assert run("quantize", file, "-o", none / "q.npz").problem.startswith(
        f"q.npz can't be written: there is no folder {none}."
    )
    assert run("quantize", file, "-o", file / "q.npz").problem.startswith("q.npz can't be written: there is no folder")
    assert run("quantize", file, "-o", tmp_path / "folder.npz").problem.startswith(
        "folder.npz can't be written: it is a folder."
    )
    for folder in (file, file / "charts"):
        problem = run("render", file, "-o", folder).problem
        assert problem.startswith(f"{folder} cannot be made a folder (")
    np.testing.assert_array_equal(np.load(file), X)


def test_no_memory_is_one_line(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_out(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr(cli, "analyze", run_out)
    assert run("analyze", file).problem.startswith("there is not enough memory for this tensor")


def test_a_problem_of_several_lines_is_one_line(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise cli.Problem("two\nlines")

    monkeypatch.setattr(cli, "analyze", fail)
    assert run("analyze", file).problem == "two lines"


def test_a_bug_is_not_taken_for_bad_input(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise KeyError("bug")

    monkeypatch.setattr(cli, "analyze", fail)
    with pytest.raises(KeyError):
        cli.main(["analyze", str(file)])


# --- help and the window ----------------------------------------------------------------------------


def test_help_and_version(run: Run) -> None:
    said = run("--help")
    assert (said.code, said.err) == (0, "")
    for command in ("analyze", "quantize", "render", "open"):
        assert command in said.out
        assert run(command, "--help").code == 0
    assert run("--version").out.strip().endswith(qviz.__version__)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Path, ...]]]:
    """What the window would have been opened with."""
    calls: list[tuple[Path, ...]] = []

    def run_window(paths: tuple[Path, ...]) -> int:
        calls.append(paths)
        return 0

    monkeypatch.setattr("qviz.app.app.run", run_window)
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    yield calls
    gc.enable()  # starting turns it off


@pytest.mark.parametrize(
    ("arguments", "paths"),
    [
        ((), ()),
        (("a.npy",), ("a.npy",)),
        (("a.npy", "folder"), ("a.npy", "folder")),
        (("open", "a.npy"), ("a.npy",)),
        (("open", "analyze"), ("analyze",)),
    ],
)
def test_without_a_command_the_window_opens(
    run: Run,
    opened: list[tuple[Path, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    paths: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in paths[:1]:  # one that exists is enough: the window tells of the others
        Path(path).touch()
    assert run(*arguments).code == 0
    assert opened == [tuple(Path(p) for p in paths)]


def test_an_option_that_nobody_knows_opens_no_window(run: Run, opened: list[tuple[Path, ...]]) -> None:
    assert run("--colour").problem.startswith("No such option")
    assert opened == []


def test_a_qt_that_cannot_be_loaded_is_one_line(
    run: Run, file: Path, opened: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "qviz.app.app", None)
    for arguments in ((), ("render", file, "-o", file.parent / "charts")):
        said = run(*arguments)
        assert (said.code, said.out) == (3, "")
        assert len(said.err.splitlines()) == 1
        assert said.err.startswith("qviz: ")


# --- without a display, in a process of its own -----------------------------------------------------


def without_display(*arguments: object) -> Said:
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    env = {key: value for key, value in os.environ.items() if key not in hidden}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=env,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    return Said(done.returncode, done.stdout, done.stderr)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is always a display elsewhere")
def test_the_window_needs_a_display() -> None:
    said = without_display("main.py")
    assert (said.code, said.out) == (3, "")
    assert said.err == (
        "qviz: no window can be opened: neither DISPLAY nor WAYLAND_DISPLAY is set. "
        "Without a window these work: qviz analyze, qviz quantize, qviz render.\n"
    )


def test_every_chart_is_rendered_without_a_display(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "charts"
    formats = [word for ending in cli.EXPORT_FORMATS for word in ("--format", ending)]
    said = without_display("main.py", "render", file, "-o", folder, "--per", "axis", *formats)
    assert (said.code, said.err) == (0, "")
    made = sorted(folder.iterdir())
    assert sorted(Path(line) for line in said.out.splitlines()) == made
    for chart in CHARTS:
        is_there = chart.name != "loss"  # channels have no one curve
        for ending in ("png", "svg", "pdf"):
            assert (folder / f"{chart.name}.{ending}" in made) is is_there
        assert bool([path for path in made if path.suffix == ".csv" and path.stem.startswith(chart.name)]) is is_there
    for path in made:
        content = path.read_bytes()
        match path.suffix:
            case ".png":
                assert content.startswith(b"\x89PNG\r\n")
            case ".svg":
                assert ElementTree.fromstring(content).tag.endswith("svg")
            case ".pdf":
                assert content.startswith(b"%PDF-")
                assert content.rstrip().endswith(b"%%EOF")
            case ".csv":
                head, *rows = content.decode().splitlines()
                assert rows
                assert {row.count(",") for row in rows} == {head.count(",")}
            case other:
                raise AssertionError(other)


@pytest.mark.parametrize("name", SEARCHES)
def test_the_loss_of_a_searched_range_is_rendered(file: Path, tmp_path: Path, name: str) -> None:
    said = without_display("main.py", "render", file, "-o", tmp_path, "--range", name, "--format", "csv")
    assert (said.code, said.err) == (0, "")
    head, *rows = (tmp_path / "loss.csv").read_text().splitlines()
    assert head == f"threshold,{name}"
    losses = [float(row.split(",")[1]) for row in rows]
    assert min(losses) > 0
    if name == "mse":
        assert min(losses) == pytest.approx(analyze(X, Scheme(range_rule=MSE())).mse, rel=1e-6)


def test_commands_that_draw_nothing_never_load_qt(file: Path, tmp_path: Path) -> None:
    script = (
        "import sys, qviz.cli.main as cli\n"
        f"for line in (['analyze', {str(file)!r}], ['quantize', {str(file)!r}, '-o', {str(tmp_path / 'q.npz')!r}]):\n"
        "    try: cli.main(line)\n"
        "    except SystemExit as end: assert end.code == 0\n"
        "print([m for m in sys.modules if m.startswith(('PySide6', 'shiboken6', 'pyqtgraph', 'qviz.gui'))])\n"
    )
    said = without_display("-c", script)
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[-1] == "[]"


# --- qviz product ----------------------------------------------------------------------------------


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
