"""What if the system does not play along: names, pipes, devices, full disks? One sentence, and 0, 2 or 3."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
import pytest

from qviz.cli.main import COMMANDS, main
from tests.cli.commands import Run, saved, without_display
from tests.models.made import model_of, value

WRITTEN = ("output", "csv_file", "netron", "model_explorer", "export", "report")

READ = sorted(
    (command.name, parameter.name)
    for command in COMMANDS
    for parameter in command.params
    if isinstance(parameter.type, click.Path) and parameter.name not in WRITTEN and command.name is not None
)
"""Every parameter that leads to a file which is read."""

MODELS = ("model", "float_model", "other_model")

WRITE = sorted(command.name for command in COMMANDS if any(p.name == "output" for p in command.params) and command.name)


@pytest.fixture
def good(tmp_path: Path) -> dict[str, Any]:
    """What every parameter may be."""
    x = saved(tmp_path / "x.npy", np.random.default_rng(0).normal(0, 1, (8, 8)).astype(np.float32))
    model = network_of(tmp_path / "m.onnx", [], "x", onnx.TensorProto.FLOAT)
    to_floats = [onnx.helper.make_node("Cast", ["input_ids"], ["x"], to=onnx.TensorProto.FLOAT)]
    network_of(tmp_path / "words.onnx", to_floats, "input_ids", onnx.TensorProto.INT64)
    (tmp_path / "t.txt").write_text("some words\n")
    return {
        "file": x, "files": x, "activation": x, "weight": x, "model": model, "float_model": model,
        "other_model": model, "data": x, "calibration": x, "output": tmp_path / "out.npz", "tokenizer": x,
    }  # fmt: skip


def network_of(path: Path, first: list[Any], takes: str, kind: int) -> Path:
    """A matrix, and what stands before it."""
    weight = np.random.default_rng(1).normal(0, 1, (8, 4)).astype(np.float32)
    nodes = [*first, onnx.helper.make_node("MatMul", ["x", "w"], ["y"], name="product")]
    onnx.save(model_of(nodes, [value(takes, 1, 8, kind=kind)], [value("y", 1, 4)], {"w": weight}), path)
    return path


def arguments(command: click.Command, good: dict[str, Any], **instead: Any) -> list[str]:
    """A command line with what is required, and some of it replaced."""
    given = []
    for parameter in command.params:
        if parameter.name not in instead and not parameter.required:
            continue
        value = str(instead.get(parameter.name, good.get(parameter.name)))
        given += [value] if isinstance(parameter, click.Argument) else [parameter.opts[0], value]
    return [command.name or "", *given]


def unwilling(tmp_path: Path) -> Iterator[tuple[str, str]]:
    os.mkfifo(tmp_path / "pipe.npy")
    yield "a pipe", str(tmp_path / "pipe.npy")
    yield "a device", "/dev/zero"
    yield "nothing", str(tmp_path / "lost.npy")
    yield "a long name", str(tmp_path / ("n" * 300 + ".npy"))
    yield "a long path", "p/" * 3000 + "x.npy"
    yield "no text", os.fsdecode(b"\xff\xfe.npy")
    yield "noise", str(tmp_path / "noise")
    (tmp_path / "noise").write_bytes(np.random.default_rng(1).bytes(1000))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    yield "a loop", str(tmp_path / "loop")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
@pytest.mark.parametrize(("command", "parameter"), READ)
def test_what_cannot_be_read_is_one_sentence(
    run: Run, tmp_path: Path, good: dict[str, Any], command: str, parameter: str
) -> None:
    by_name = {each.name: each for each in COMMANDS}
    for kind, path in unwilling(tmp_path):
        if command == "open" and kind in ("a pipe", "a device", "noise"):
            continue  # there is such a thing, and the window says what it thinks of it
        others: dict[str, Path] = {}
        if parameter == "tokenizer":
            takes = {p.name for p in by_name[command].params}
            others = {name: tmp_path / "t.txt" for name in ("data", "calibration") if name in takes}
            others |= {name: tmp_path / "words.onnx" for name in MODELS if name in takes}
        said = run(*arguments(by_name[command], good, **others, **{parameter: path}))
        assert (said.code, said.out) == (2, ""), (kind, said)
        assert said.err.startswith("qviz: "), (kind, said.err)
        assert len(said.err.splitlines()) == 1, (kind, said.err)


@pytest.mark.parametrize("command", WRITE)
@pytest.mark.parametrize("ending", [".npz", ".onnx", ".json"])
def test_what_cannot_be_written_is_one_sentence(
    run: Run, tmp_path: Path, good: dict[str, Any], command: str, ending: str
) -> None:
    by_name = {each.name: each for each in COMMANDS}
    places = [f"n{'n' * 300}{ending}", "p/" * 3000 + f"x{ending}", "/dev/full", "/dev/null/x" + ending]
    places += [str(tmp_path)] if command != "render" else []  # which writes into folders
    for place in places:
        said = run(*arguments(by_name[command], good, output=place))
        assert said.code == 2, (place[:50], said)
        assert len(said.err.splitlines()) == 1, said.err


OVER = [
    (command, parameter)
    for command in COMMANDS
    for parameter in command.params
    if parameter.name in WRITTEN and command.name != "render"
]
"""Every parameter that leads to a file which is written."""


@pytest.mark.parametrize(("command", "parameter"), OVER, ids=lambda each: each.name)
def test_what_is_read_is_not_written_over(
    run: Run, tmp_path: Path, good: dict[str, Any], command: click.Command, parameter: click.Parameter
) -> None:
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).normal(0, 1, (8, 8)).astype(np.float16))
    tensors = {"file": tmp_path / "x.npz", "files": tmp_path / "x.npz"}
    networks = {"model", "float_model"} & {str(each.name) for each in command.params}
    read = good["model"] if networks else tmp_path / "x.npz"
    (tmp_path / f"link{read.suffix}").symlink_to(read)
    before = read.read_bytes()
    for place in (read, tmp_path / f"link{read.suffix}"):
        instead = {**tensors, "megabytes": 1, "method": "dynamic", str(parameter.name): place}
        taken = {str(each.name): instead[each.name] for each in command.params if each.name in instead}
        said = run(*arguments(command, good, **taken))
        assert said.code == 2, said
        assert "itself" in said.err, said
        assert read.read_bytes() == before


def test_a_table_of_numbers_is_not_drawn_over(tmp_path: Path) -> None:
    table = tmp_path / "values.csv"
    table.write_text("a,b\n1.5,2\n3.5,4\n")
    said = without_display("main.py", "render", table, "-o", tmp_path, "--format", "csv")
    assert (said.code, said.out) == (2, "")
    assert said.err.endswith("values.csv is read itself, and would be lost. Choose another name.\n")
    assert table.read_text() == "a,b\n1.5,2\n3.5,4\n"


def test_the_figures_of_a_folder_are_no_part_of_it(run: Run, tmp_path: Path) -> None:
    saved(tmp_path / "x.npy", np.random.default_rng(0).normal(0, 1, (8, 8)).astype(np.float32))
    audit = ("audit", tmp_path, "--csv", tmp_path / "figures.csv")
    assert run(*audit).code == 0
    before = (tmp_path / "figures.csv").read_text()
    assert len(before.splitlines()) == 2
    for more in ((), ("--resume",)):
        assert (run(*audit, *more).code, (tmp_path / "figures.csv").read_text()) == (0, before)


# -- what is printed


def piped(line: str, *, encoding: str = "utf-8") -> tuple[int, bytes, bytes]:
    """How a line of the shell ends."""
    env = {**os.environ, "QVIZ": f"{sys.executable} -m qviz", "PYTHONIOENCODING": encoding}
    root = Path(__file__).parents[2]
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=False, cwd=root, env=env, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
def test_a_reader_that_leaves_is_no_fault(tmp_path: Path) -> None:
    x = saved(tmp_path / "x.npy", np.ones(4, np.float32))
    for command in (f"analyze {x}", f"analyze {x} --json", f"inspect {x}", "--help", "analyze --help"):
        code, _, err = piped(f"(sleep 1; $QVIZ {command}) | true; exit ${{PIPESTATUS[0]}}")
        assert (code, err) == (0, b""), command


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no such device here")
def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    x = saved(tmp_path / "x.npy", np.ones(4, np.float32))
    for command in (f"analyze {x}", "--help"):
        code, _, err = piped(f"$QVIZ {command} > /dev/full")
        assert (code, err) == (2, b"qviz: the output cannot be written: No space left on device.\n"), command


@pytest.mark.skipif(os.name == "nt", reason="names are text on Windows")
@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii", "latin-1"])
def test_a_name_that_is_no_text_is_printed_somehow(tmp_path: Path, encoding: str) -> None:
    x = saved(tmp_path / "x.npy", np.ones(4, np.float32))
    code, out, err = piped(f"$QVIZ quantize {x} -o $'{tmp_path}/\\xff\\xfe→.npz'", encoding=encoding)
    assert (code, err) == (0, b"")
    assert b".npz: 4 codes" in out
    code, _, err = piped(f"$QVIZ analyze $'{tmp_path}/\\xffx̂.npy'", encoding=encoding)
    assert code == 2
    assert b"does not exist" in err


def test_an_error_of_the_system_that_nobody_expected_is_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(path: Path, *_: object) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("qviz.cli.options.list_tensors", refuse)
    with pytest.raises(SystemExit) as left:
        main(["analyze", "x.npy"])
    assert left.value.code == 2
    assert capsys.readouterr().err == "qviz: x.npy: Permission denied.\n"
