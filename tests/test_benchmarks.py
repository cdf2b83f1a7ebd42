"""The benchmarks run and say something sensible, at sizes that take no time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests import benchmarks
from tests.benchmarks import __main__ as command
from tests.benchmarks import checkpoints, engine, opening, scales

ROOT = Path(benchmarks.__file__).parents[2]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """One round of one call, and little to search where a search takes longer than all else."""
    monkeypatch.setattr(engine, "ENTROPY_BINS", 256)
    monkeypatch.setattr(engine, "ROUNDS", 1)
    monkeypatch.setattr(engine, "MOST_ROUNDS", 1)
    monkeypatch.setattr(engine, "MOST_CALLS", 1)


def alone(module: str, seconds: float, before: str = "") -> list[str]:
    """What the benchmark of a window says, in a process of its own: it changes the whole application."""
    program = (
        f"from tests.benchmarks import {module}\n{before}\nprint(*{module}.measure(100_000, {seconds}), sep='\\n')"
    )
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen", "PYTHONUTF8": "1"}
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.splitlines()


def row(lines: list[str], name: str) -> list[str]:
    """The cells of the table's row of that name."""
    (line,) = (line for line in lines if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


@pytest.mark.usefixtures("hasty")
def test_the_engine_s_table_has_a_cell_for_every_way_and_size() -> None:
    lines = list(engine.measure_ways(20_000, compiled=False))
    head, *_ = lines
    assert head == "| int8, symmetric, per tensor | 10⁴ |"
    for section in engine.SECTIONS:
        for way in section.ways:
            (cell,) = row(lines, way.name)
            missing = engine._missing(way.needs)
            assert missing is None or cell == f"{missing} is not installed"
            assert cell != "not measured"
    assert all(cell.endswith("×)") for cell in row(lines, engine.AXIS_NUMPY))
    assert sum(line.startswith("- ") for line in lines) == len(engine.PROMISES) + 1 + 2 * len(engine.AXIS_PROMISES)


@pytest.mark.usefixtures("hasty")
def test_all_ways_find_the_same_error() -> None:
    timings = engine.Timings()
    engine._measure_size(10_000, timings)
    assert timings.disagreement[10_000][0] < 1e-5


@pytest.mark.usefixtures("hasty")
def test_a_size_beyond_the_memory_is_left_out_and_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_available_memory", lambda: 10**4 * engine.BYTES_EACH)
    monkeypatch.setattr(engine, "SIZES", (10**4, 10**5))
    lines = list(engine.measure_ways(10**5, compiled=False))
    assert row(lines, engine.TEXTBOOK)[1] == "not enough memory"
    assert any(line.startswith("10⁵ elements are left out: ") for line in lines)


def test_works_take_turns_and_the_first_call_of_a_turn_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CALLS_SECONDS", 0.0)
    monkeypatch.setattr(engine, "MOST_ROUNDS", 2)
    monkeypatch.setattr(engine, "ROUNDS", 2)
    called = []
    works = {name: lambda name=name: float(called.append(name) or 7) for name in "ab"}
    seconds, answers = engine.interleaved(works)
    assert called == list("aabbaabb")
    assert set(seconds) == {"a", "b"}
    assert answers == {"a": 7.0, "b": 7.0}


@pytest.mark.parametrize(
    ("ratio", "at_least", "said"),
    [(301.2, True, "measured 301 ×: met"), (2.5, True, "not met"), (2.5, False, ": met"), (None, True, "not measured")],
)
def test_a_promise_is_met_or_not_or_not_measured(ratio: float | None, at_least: bool, said: str) -> None:
    promise = engine.Promise("a ÷ b", "a", "b", 300, at_least)
    assert promise.verdict(ratio).startswith(f"- a ÷ b: promised {'≥' if at_least else '≤'} 300 ×")
    assert promise.verdict(ratio).endswith(said)


@pytest.mark.usefixtures("hasty")
def test_schemes_of_many_scales_are_measured_and_each_promise_judged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scales.compiler, "warm_up", lambda: None)
    command.main(["--json", "scales", "4096"])
    said = json.loads(capsys.readouterr().out)
    assert "cores" in said["machine"]
    promises = said["promises"]["scales"]
    assert len(promises) == len(scales.SCHEMES) * 4 + len(scales.MEASURED_ALONE) + 1
    for each in promises:
        assert each["measured"] > 0
        at_least = "million" in each["promise"]
        assert each["met"] == (each["measured"] >= each["bound"] if at_least else each["measured"] <= each["bound"])


@pytest.mark.parametrize(("seconds", "text"), [(2.5, "2.5 s"), (0.1234, "123 ms"), (4.2e-4, "420 µs"), (3e-8, "30 ns")])
def test_durations_are_told_in_three_digits(seconds: float, text: str) -> None:
    assert engine._duration(seconds) == text


@pytest.mark.parametrize(("size", "text"), [(10**8, "10⁸"), (10**10, "10¹⁰"), (1500, "1,500")])
def test_sizes_are_powers_of_ten(size: int, text: str) -> None:
    assert engine._power(size) == text


def test_dragging_tells_of_frames_and_gaps() -> None:
    hasty = "drag.SETTLE_MILLISECONDS, drag.REDRAWN = 50, 2; drag.compiler.warm_up = lambda: None"
    lines = alone("drag", 0.1, hasty)
    promises = [line for line in lines if line.startswith("- ")]
    *squares, opened, dragged, large, large_per_axis = (line for line in lines if line not in promises)
    assert len(squares) == 5
    for line in (*squares, large, large_per_axis):
        assert line.startswith(("316 × 316, Per", "99,856 elements, Per"))
        assert line.endswith(" 0 of them estimates, 0 of a scheme that was never set")
        for promise in ("÷ a bare redraw: ", "÷ 33 ms: ", "frames a second ÷ "):
            (said,) = (
                each for each in promises if each.startswith(f"- {line.split(': ')[0]}: ") and promise in each + " "
            )
            assert said.endswith((": met", ": not met"))
    assert opened.startswith("99,856 elements, opening: first charts after ")
    assert "longest gap while preparing " in opened
    assert "frame to frame " in dragged
    assert "nan" not in dragged


def test_training_tells_what_is_won_back_and_what_it_costs() -> None:
    program = "from tests.benchmarks import training\nprint(*training.measure(1, 1, 30), sep='\\n')"
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen", "PYTHONUTF8": "1"}
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert answer.returncode == 0, answer.stderr
    lines = answer.stdout.splitlines()
    assert sum(line.startswith(("| spirals |", "| digits |")) for line in lines) == 4
    assert any(line.startswith("- fake quantization, learned step sizes") for line in lines)
    assert "frames a second" in lines[-1]


def test_opening_tells_of_time_and_memory() -> None:
    charts, memory = alone("opening", 0.2)
    assert "charts after " in charts
    assert memory.startswith("memory: ")


def test_the_file_to_open_is_left_out_where_the_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1e9})())
    (line,) = opening.measure()
    assert line == "left out: 10 GB of disk are wanted, 1 GB are free"


@pytest.mark.parametrize("elements", [10, 100, 105])
def test_the_file_to_open_holds_so_many_numbers(elements: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "BLOCK", 20)
    opening._write(tmp_path / "x.npy", elements)
    x = np.load(tmp_path / "x.npy")
    assert (x.dtype, x.shape) == (np.float32, (elements,))
    assert np.unique(x).size == elements


def test_names_choose_benchmarks_and_a_number_the_largest_size(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(largest: int) -> Iterator[str]:
        yield f"up to {largest}"

    monkeypatch.setattr(command, "BENCHMARKS", {"start": measure, "engine": measure})
    command.main(["engine", "1e6"])
    said = capsys.readouterr().out
    assert said.startswith(command.machine())
    assert "up to 1000000" in said
    assert "start: " not in said
    with pytest.raises(SystemExit, match=r"^usage: "):
        command.main(["enigne"])


def test_an_audit_is_compared_with_reading_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "ROUNDS", 1)
    lines = list(checkpoints.measure(32_768, compiled=False))

    ways = [line.split(" | ")[1] for line in lines[3:]]
    assert ways[:3] == ways[3:6] == ["read once", "read into arrays", "audit per tensor, 8 schemes"]
    assert ways[6:] == ["the core's loop, blocks of 32", "audit in blocks of 32"]
    assert all(float(line.split(" | ")[2]) > 0 for line in lines[3:])
