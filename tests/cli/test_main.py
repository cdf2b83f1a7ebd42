"""How a command ends: what cannot be done is one clear line and exit code 2, a bug is loud."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

import qviz
from qviz.cli import analyze
from qviz.cli import main as cli
from qviz.core import Problem
from qviz.core.printable import printable
from tests.cli.commands import Run, X, without_display
from tests.every import every

BAD: dict[str, tuple[str, Any, str]] = {
    "a wrong file": ("w.npy", b"hello, world", "w.npy is not a NumPy array file: it does not begin like one."),
    "a picture": ("w.png", b"\x89PNG\r\n", "w.png is a picture, not a tensor."),
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


@every("command", ["analyze", "quantize", "render"])
@every("case", BAD)
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


def test_a_missing_argument_says_where_help_is(run: Run, file: Path) -> None:
    assert run("analyze").problem == "Missing argument 'FILE'. Try: qviz analyze --help"
    assert run("quantize", file).problem.startswith("Missing option '-o' / '--output'.")


def test_missing_choices_are_listed_in_the_sentence(run: Run) -> None:
    choices = "Choose from: dynamic, static, weights, float16. Try: qviz ptq --help"
    assert run("ptq", "m.onnx").problem == f"Missing option '--method'. {choices}"


def test_no_command_asks_with_signs_of_control(run: Run) -> None:
    for command in cli.COMMANDS:
        for option in command.params:
            said = click.MissingParameter(ctx=click.Context(command, info_name="qviz"), param=option)
            assert "␊" not in printable(cli._sentence(said))
            assert "␉" not in printable(cli._sentence(said))


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

    monkeypatch.setattr(analyze, "analyze", run_out)
    assert run("analyze", file).problem.startswith("there is not enough memory for this tensor")


def test_a_problem_of_several_lines_is_one_line(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise Problem("two\nlines")

    monkeypatch.setattr(analyze, "analyze", fail)
    assert run("analyze", file).problem == "two lines"


def test_a_bug_is_not_taken_for_bad_input(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise KeyError("bug")

    monkeypatch.setattr(analyze, "analyze", fail)
    with pytest.raises(KeyError):
        cli.main(["analyze", str(file)])


def test_help_and_version(run: Run) -> None:
    said = run("--help")
    assert (said.code, said.err) == (0, "")
    for command in (command.name for command in cli.COMMANDS):
        assert re.search(rf"^  {command} +[A-Z]", said.out, re.MULTILINE)
        assert run(command, "--help").out.startswith(f"Usage: qviz {command} [OPTIONS]")
    assert run("--version").out.strip().endswith(qviz.__version__)


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


@pytest.mark.parametrize("start", [("-m", "qviz"), ("main.py",)])
def test_python_starts_it_too(file: Path, start: tuple[str, ...]) -> None:
    said = without_display(*start, "analyze", file, "--json")
    assert said.json["shape"] == list(X.shape)
    assert without_display(*start, "analyze").problem == "Missing argument 'FILE'. Try: qviz analyze --help"
