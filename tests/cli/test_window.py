"""Without a command the window opens, or one line says why it cannot."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import Run, without_display


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


def test_a_mistyped_command_opens_no_window(run: Run) -> None:
    assert run("frobnicate").problem.startswith("frobnicate does not exist: give a file, a folder, or a command")


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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is always a display elsewhere")
def test_the_window_needs_a_display() -> None:
    said = without_display("main.py")
    assert (said.code, said.out) == (3, "")
    assert said.err == (
        "qviz: no window can be opened: neither DISPLAY nor WAYLAND_DISPLAY is set. "
        "Without a window these work: qviz analyze, qviz quantize, qviz render.\n"
    )
