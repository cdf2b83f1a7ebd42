"""Options make exactly one tensor and one scheme, and what contradicts another is refused."""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
import pytest

from qviz.cli import main as cli
from qviz.core import (
    CONVENTIONS,
    MSE,
    Codebook,
    Entropy,
    FloatFormat,
    IntFormat,
    Known,
    Manual,
    PerAxis,
    PerBlock,
    Percentile,
    PerTensor,
    PerTile,
    PerToken,
    Scheme,
    analyze,
)
from qviz.core.ranges.onnxruntime import OnnxRuntimePercentile
from qviz.core.ranges.table import RANGE_RULES
from qviz.core.ranges.torch import MovingAverage
from qviz.core.schemes.presets import PRESETS, Preset
from qviz.files.results import save_scheme
from tests.cli.commands import Run, X, saved, written
from tests.every import every


@pytest.mark.parametrize(
    ("options", "scheme"),
    [
        ("", Scheme()),
        ("--bits 4 --unsigned", Scheme(IntFormat(4, False))),
        ("--bits 16 --signed --symmetric", Scheme(IntFormat(16))),
        ("--asymmetric --number-format int", Scheme(symmetric=False)),
        ("--runtime textbook", Scheme(convention="textbook")),
        ("--per axis", Scheme(granularity=PerAxis(0))),
        ("--per axis --axis 1", Scheme(granularity=PerAxis(1))),
        ("--per axis --axis -1", Scheme(granularity=PerAxis(-1))),
        ("--range percentile", Scheme(range_rule=Percentile(99.9))),
        ("--range percentile --percentile 90", Scheme(range_rule=Percentile(90.0))),
        ("--range manual --low -0.5 --high 1.5", Scheme(range_rule=Manual(-0.5, 1.5))),
        ("--range known --known-scale 0.02", Scheme(range_rule=Known((0.02,)))),
        (
            "--range known --known-scale 0.5,1,1,2 --known-zero-point 3 --asymmetric --per axis",
            Scheme("int8", False, PerAxis(0), Known((0.5, 1.0, 1.0, 2.0), (3.0,))),
        ),
        ("--range mse --bits 4", Scheme(IntFormat(4), range_rule=MSE())),
        ("--range mse --bits 3 --asymmetric", Scheme(IntFormat(3), symmetric=False, range_rule=MSE())),
        ("--range mse --per axis", Scheme(granularity=PerAxis(0), range_rule=MSE())),
        ("--range entropy", Scheme(range_rule=Entropy())),
        ("--range entropy --bins 128", Scheme(range_rule=Entropy(bins=128))),
        ("--range onnxruntime_percentile", Scheme(range_rule=OnnxRuntimePercentile())),
        (
            "--range onnxruntime_percentile --percentile 99 --values --asymmetric",
            Scheme("int8", False, range_rule=OnnxRuntimePercentile(99.0, magnitudes=False)),
        ),
        ("--range entropy --asymmetric --per axis", Scheme(IntFormat(8), False, PerAxis(0), Entropy())),
        ("--per token", Scheme(granularity=PerToken())),
        ("--per block --block-size 2", Scheme(granularity=PerBlock(-1, 2))),
        ("--per block --block-size 4 --axis 0", Scheme(granularity=PerBlock(0, 4))),
        ("--power-of-two", Scheme(power_of_two=True)),
        ("--per tile", Scheme(granularity=PerTile(128, 128))),
        ("--per tile --tile 2x3", Scheme(granularity=PerTile(2, 3))),
        ("--per block --block-size 4 --asymmetric", Scheme(symmetric=False, granularity=PerBlock(-1, 4))),
        ("--number-format uint4", Scheme(IntFormat(4, False))),
        ("--number-format e4m3", Scheme(FloatFormat("e4m3fn"))),
        ("--number-format bfloat16", Scheme(FloatFormat("bfloat16"))),
        (
            "--number-format nf4 --runtime textbook --per token",
            Scheme(Codebook("nf4"), granularity=PerToken(), convention="textbook"),
        ),
    ],
)
def test_options_make_a_scheme(run: Run, file: Path, options: str, scheme: Scheme) -> None:
    expected = json.loads(json.dumps(analyze(X, scheme).to_dict()))
    assert run("analyze", file, *options.split(), "--json").json == expected


WIDE = np.random.default_rng(8).normal(0, 1, (3, 64)).astype(np.float32)


@every(
    ("options", "scheme"),
    [
        ("--per block", Scheme(granularity=PerBlock(-1, 32))),
        ("--runtime mx_floor", Scheme(granularity=PerBlock(-1, 32), convention="mx_floor")),
        (
            "--runtime mx_even --number-format e2m1fn",
            Scheme(FloatFormat("e2m1fn"), granularity=PerBlock(-1, 32), convention="mx_even"),
        ),
        (
            "--runtime nvfp4 --number-format e2m1",
            Scheme(FloatFormat("e2m1fn"), granularity=PerBlock(-1, 16), convention="nvfp4"),
        ),
        (
            "--runtime gguf --bits 4 --unsigned --asymmetric",
            Scheme(IntFormat(4, False), False, PerBlock(-1, 32), convention="gguf"),
        ),
        ("--runtime gguf --per block --axis -1", Scheme(granularity=PerBlock(-1, 32), convention="gguf")),
    ],
)
def test_a_runtime_of_blocks_alone_has_its_own_by_itself(
    run: Run, tmp_path: Path, options: str, scheme: Scheme
) -> None:
    wide = saved(tmp_path / "wide.npy", WIDE)
    expected = json.loads(json.dumps(analyze(WIDE, scheme).to_dict()))
    assert run("analyze", wide, *options.split(), "--json").json == expected


@every("runtime", [name for name, row in CONVENTIONS.items() if row.has_one_format])
def test_a_runtime_of_one_format_need_not_be_told_it(run: Run, tmp_path: Path, runtime: str) -> None:
    wide = saved(tmp_path / "wide.npy", np.tile(WIDE, 4))
    row = CONVENTIONS[runtime]
    expected = Scheme(*row.nearest(IntFormat(8), True), convention=runtime)
    assert run("analyze", wide, "--runtime", runtime, "--json").json["mse"] == analyze(np.tile(WIDE, 4), expected).mse


@every("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_can_be_given_as_a_file(run: Run, tmp_path: Path, preset: Preset) -> None:
    wide = saved(tmp_path / "wide.npy", np.tile(WIDE, 4))
    save_scheme(tmp_path / "s.json", preset.scheme)
    result = run("analyze", wide, "--scheme", tmp_path / "s.json", "--json").json
    assert result["mse"] == analyze(np.tile(WIDE, 4), preset.scheme).mse
    assert run("quantize", wide, "--scheme", tmp_path / "s.json", "-o", tmp_path / "q.npz").code == 0


@pytest.mark.parametrize("name", [name for name in RANGE_RULES if name not in ("manual", "known")])
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


def test_a_scheme_from_a_file(run: Run, file: Path, tmp_path: Path) -> None:
    scheme = Scheme(IntFormat(3, False), False, PerAxis(1), Percentile(95.0), "textbook")
    save_scheme(tmp_path / "s.json", scheme)
    result = run("analyze", file, "--scheme", tmp_path / "s.json", "--json").json
    assert result == json.loads(json.dumps(analyze(X, scheme).to_dict()))
    run("quantize", file, "--scheme", tmp_path / "s.json", "-o", tmp_path / "q.npz")
    with np.load(tmp_path / "q.npz") as q:
        assert Scheme.from_dict(json.loads(str(q["scheme"]))) == scheme


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
    assert problem.endswith("t11, … (qviz inspect net.npz lists all).")


@every(
    ("name", "content"),
    [("w.csv", "1,2.5\n3,4\n"), ("w.txt", "1 2.5\n3 4\n"), ("w.tsv", "1\t2.5\n3\t4\n")],
)
def test_tables_of_numbers_are_read(run: Run, tmp_path: Path, name: str, content: str) -> None:
    result = run("analyze", written(tmp_path / name, content), "--json").json
    assert (result["shape"], result["dtype"]) == ([2, 2], "float64")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--bits 1", "1 bits cannot be shown: choose a bit width from 2 to 16."),
        ("--bits four", "Invalid value for '--bits': 'four' is not a valid integer."),
        ("--runtime cuda", "Invalid value for '--runtime': 'cuda' is not one of"),
        ("--per galaxy", "Invalid value for '--per': 'galaxy' is not one of"),
        (
            "--per block",
            "A block of 32 is longer than axis -1 of a tensor of shape (4, 6): choose a block size up to 6",
        ),
        ("--per block --axis 0 --block-size 5", "A block of 5 is longer than axis 0 of a tensor of shape (4, 6)"),
        ("--per block --axis 2 --block-size 2", "There is no axis 2 in a tensor of shape (4, 6)"),
        ("--range known", "A known scale comes from one place: give either --known-scale or --scale-file."),
        ("--range known --known-scale 0.1,0.2", "2 known scales do not fit 1 groups: give one, or one for each group."),
        ("--range known --known-scale 0", "A known scale cannot be 0: give one above 0."),
        ("--range known --known-scale fine", "“fine” is no number, nor several with commas between"),
        (
            "--range known --known-scale 1 --known-zero-point 3",
            "A symmetric scheme has the zero point 0",
        ),
        ("--power-of-two --runtime paddle", "Paddle has scales of its own kind, which are not made powers of two"),
        ("--per tile --tile 4", "A tile cannot be “4”: give rows x columns, such as 128x128."),
        ("--per tile --tile 0x4", "A tile of 0 × 4 has no element: choose sides of 1 or more."),
        ("--per block --block-size 0", "A block of 0 has no element: choose a block size of 1 or more."),
        ("--per block --block-size two", "Invalid value for '--block-size': 'two' is not a valid integer."),
        ("--number-format e9m9", "There is no number format “e9m9”: choose one of int2"),
        ("--number-format int17", "17 bits cannot be shown: choose a bit width from 2 to 16."),
        ("--number-format e4m3fn --asymmetric", "FP8 E4M3FN has no zero point: choose symmetric"),
        ("--number-format nf4", "ONNX Runtime has no NF4: choose one of the integers, "),
        ("--runtime nvfp4 --bits 8", "NVFP4 has no int8: choose one of e2m1fn, or another runtime."),
        ("--runtime mx_floor --per tensor", "MX, scale rounded down has a scale for each 32 neighbours"),
        ("--runtime mx_floor", "A block of 32 is longer than axis -1 of a tensor of shape (4, 6)"),
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


JUDGED_IN_CORE = {"percentile", "low", "high"}
"""What cannot be is said of these in a sentence of their own."""

NUMBERS = [
    (command.name, option.opts[0])
    for command in cli.COMMANDS
    for option in command.params
    if isinstance(option.type, click.types.FloatParamType) and option.name not in JUDGED_IN_CORE
]


@every(("command", "option"), NUMBERS)
@every("value", ["nan", "inf", "-inf", "1e999"])
def test_a_number_is_finite(run: Run, command: str, option: str, value: str) -> None:
    assert f"Invalid value for '{option}'" in run(command, option, value).problem


def test_a_scheme_file_and_an_option_of_a_scheme_contradict_each_other(run: Run, file: Path, tmp_path: Path) -> None:
    save_scheme(tmp_path / "s.json", Scheme())
    problem = run("analyze", file, "--scheme", tmp_path / "s.json", "--bits", "4", "--axis", "0").problem
    assert problem.startswith("--scheme holds the whole scheme: leave out --bits, --axis.")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("--axis 1", "--axis means nothing without --per axis or --per block: give both."),
        ("--per token --axis 1", "--axis means nothing without --per axis or --per block: give both."),
        ("--known-scale 2", "--known-scale means nothing without --range known: give both."),
        ("--tile 2x2", "--tile means nothing without --per tile: give both."),
        ("--block-size 2", "--block-size means nothing without --per block: give both."),
        ("--per axis --block-size 2", "--block-size means nothing without --per block: give both."),
        ("--number-format e4m3fn --bits 8", "--bits means nothing without --number-format int: give both."),
        ("--number-format uint4 --bits 4", "--bits means nothing without --number-format int: give both."),
        ("--number-format nf4 --signed", "--signed means nothing without --number-format int: give both."),
        ("--number-format int8 --unsigned", "--signed means nothing without --number-format int: give both."),
        ("--percentile 90", "--percentile means nothing without --range percentile: give both."),
        ("--values", "--magnitudes means nothing without --range onnxruntime_percentile: give both."),
        ("--bins 128", "--bins means nothing without --range entropy: give both."),
        ("--low -1", "--low means nothing without --range manual: give both."),
        ("--range minmax --high 1", "--high means nothing without --range manual: give both."),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(run: Run, file: Path, options: str, problem: str) -> None:
    assert run("analyze", file, *options.split()).problem.startswith(problem)


def test_a_bad_scheme_file_is_one_line(run: Run, file: Path, tmp_path: Path) -> None:
    path = written(tmp_path / "s.json", "{}")
    assert run("analyze", file, "--scheme", path).problem.startswith("s.json holds no scheme that can be used")


def test_convention_is_the_old_name_of_runtime(run: Run, file: Path) -> None:
    expected = run("analyze", file, "--runtime", "textbook", "--asymmetric", "--json").json
    assert run("analyze", file, "--convention", "textbook", "--asymmetric", "--json").json == expected
    assert expected != run("analyze", file, "--asymmetric", "--json").json


@pytest.mark.parametrize("first", ["textbook", "onnxruntime"])
@pytest.mark.parametrize("command", ["analyze", "quantize", "render", "product"])
def test_both_names_of_it_at_once_are_refused(run: Run, file: Path, tmp_path: Path, command: str, first: str) -> None:
    needed = {"analyze": (), "product": (file,)}.get(command, ("-o", tmp_path / "out.npz"))
    name = "onnxruntime" if command == "product" else first
    for both in (("--runtime", name, "--convention", name), ("--convention", name, "--runtime", name)):
        problem = run(command, file, *needed, *both).problem
        assert problem.startswith("--convention is the old name of --runtime: give --runtime alone.")
        assert problem.endswith(f" Try: qviz {command} --help")


@pytest.mark.parametrize("name", ["--runtime", "--convention"])
def test_a_scheme_file_has_its_own_runtime(run: Run, file: Path, tmp_path: Path, name: str) -> None:
    save_scheme(tmp_path / "s.json", Scheme())
    problem = run("analyze", file, "--scheme", tmp_path / "s.json", name, "textbook").problem
    assert problem.startswith(f"--scheme holds the whole scheme: leave out {name}.")


@every("command", cli.COMMANDS, ids=lambda command: command.name)
def test_help_speaks_of_runtimes_alone(run: Run, command: click.Command) -> None:
    said = run(command.name, "--help").out
    assert "convention" not in said
    takes_one = command.name in ("analyze", "quantize", "render", "product", "sensitivity", "audit")
    assert ("--runtime [" in said) is takes_one


def test_a_person_says_how_a_table_is_written(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    path.write_text("0,1.5\n1,2.5\n2,3.5\n")
    said = run("analyze", path, "--json", "--table", "index=yes,header=no")
    assert '"shape": [3]' in said.out
    assert "first column is an index and left out" in said.err
    assert "has no option “head”" in run("analyze", path, "--table", "head=1").problem


def test_a_person_says_how_bare_numbers_are_written(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "w.bin"
    path.write_bytes(np.arange(12, dtype="<f2").tobytes())
    assert run("analyze", path, "--json", "--raw", "dtype=float16,shape=3x4").json["shape"] == [3, 4]
    assert "Say it: --raw dtype=" in run("analyze", path).problem
    assert "3 × 4" in run("inspect", path, "--raw", "dtype=float16,shape=3x4").out
