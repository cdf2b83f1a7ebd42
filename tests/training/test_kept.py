"""A training that came to its end is there again at the next start, to the last bit; what is damaged is no fault."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qviz.core.problems import Problem
from qviz.training import Data, Experiment, Quantization, Run, Training, kept
from qviz.training.kept import forget_run, keep_run, kept_runs, name_run, new_key, take_back
from qviz.training.settings import RANGES
from qviz.training.snapshot import Observer
from tests.every import every

SHORT = Experiment(Data("moons", 120), (6,), training=Training(steps=20, fine_tuning_steps=20, batch=32))


def finished(experiment: Experiment = SHORT) -> Run:
    run = Run(experiment)
    run.complete()
    return run


@pytest.fixture(scope="module")
def run() -> Run:
    return finished()


def keep(folder: Path, run: Run, name: str = "") -> str:
    key = new_key()
    keep_run(folder, key, name, run)
    return key


@pytest.mark.parametrize("ranges", RANGES)
def test_it_comes_back_as_it_ended(tmp_path: Path, ranges: str) -> None:
    run = finished(replace(SHORT, quantization=Quantization(ranges=ranges)))
    keep(tmp_path, run, "one")
    (stored,) = kept_runs(tmp_path)
    back = take_back(tmp_path, stored)
    assert (stored.name, stored.experiment, stored.step) == ("one", run.experiment, 40)
    assert stored.last["qat_accuracy"] == run.checkpoints[-1].qat_accuracy
    before, after = Observer(run).look(), Observer(back).look()
    assert after.finished
    assert after.phase == before.phase
    for name, curve in before.curves.items():
        np.testing.assert_array_equal(after.curves[name], curve)
    for name, answers in before.answers.items():
        np.testing.assert_array_equal(after.answers[name].confusion, answers.confusion)
        np.testing.assert_array_equal(after.answers[name].classes, answers.classes)
    for mine, other in zip(before.weights, after.weights, strict=True):
        for name, levels in mine.levels.items():
            np.testing.assert_array_equal(other.levels[name], levels)


def test_one_that_diverged_comes_back_diverged(tmp_path: Path) -> None:
    wild = replace(SHORT, training=replace(SHORT.training, optimizer="sgd", learning_rate=1e6))
    run = finished(wild)
    assert run.diverged_in == "float"
    keep(tmp_path, run)
    (stored,) = kept_runs(tmp_path)
    back = take_back(tmp_path, stored)
    assert (back.phase, back.diverged_in) == ("diverged", "float")
    assert Observer(back).look().finished


def test_runs_are_named_and_forgotten(tmp_path: Path, run: Run) -> None:
    first, second = keep(tmp_path, run), keep(tmp_path, run)
    name_run(tmp_path, first, "before")
    assert [(each.key, each.name) for each in kept_runs(tmp_path)] == [(first, "before"), (second, "")]
    forget_run(tmp_path, first)
    name_run(tmp_path, first, "gone already")
    forget_run(tmp_path, first)
    assert [each.key for each in kept_runs(tmp_path)] == [second]
    assert len(list(tmp_path.iterdir())) == 2


def test_their_number_and_their_bytes_are_bounded(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_RUNS", 2)
    keys = [keep(tmp_path, run) for _ in range(3)]
    assert [each.key for each in kept_runs(tmp_path)] == keys[1:]
    monkeypatch.setattr(kept, "MOST_BYTES", 10)
    assert keep(tmp_path, run) == kept_runs(tmp_path)[-1].key, "the newest is kept, however large"
    assert len(list(tmp_path.iterdir())) == 2


def test_what_a_killed_save_left_goes_when_it_is_old(tmp_path: Path, run: Run) -> None:
    left = tmp_path / f"{new_key()}.safetensors"
    left.write_bytes(b"")
    keep(tmp_path, run)
    assert left.exists(), "another window may be about to list it"
    os.utime(left, (0, 0))
    other = tmp_path / "mine.safetensors"
    other.write_bytes(b"")
    os.utime(other, (0, 0))
    keep(tmp_path, run)
    assert not left.exists()
    assert other.exists()


@every("content", [b"", b"{", b"[]", b"{}", b'{"name": 1, "experiment": 3}', b"\xff", b"[" * 10_000])
def test_a_damaged_list_is_left_out(tmp_path: Path, run: Run, content: bytes) -> None:
    broken, whole = keep(tmp_path, run), keep(tmp_path, run)
    (tmp_path / f"{broken}.json").write_bytes(content)
    assert [each.key for each in kept_runs(tmp_path)] == [whole]


@every("content", [None, b"", b"\x00" * 100, b"\xff" * 100, (10**9).to_bytes(8, "little") + b"{}"])
def test_damaged_weights_are_one_sentence(tmp_path: Path, run: Run, content: bytes | None) -> None:
    key = keep(tmp_path, run)
    (stored,) = kept_runs(tmp_path)
    path = tmp_path / f"{key}.safetensors"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(Problem, match="cannot be read any more: train it again"):
        take_back(tmp_path, stored)


def test_weights_of_another_network_are_one_sentence(tmp_path: Path, run: Run) -> None:
    keep(tmp_path, run)
    (stored,) = kept_runs(tmp_path)
    with pytest.raises(Problem, match="train it again"):
        take_back(tmp_path, replace(stored, experiment=replace(SHORT, hidden=(5,))))


def test_other_data_than_it_learned_from_are_said(tmp_path: Path) -> None:
    table = tmp_path / "points.csv"
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.normal(size=(80, 2)), np.arange(80) % 2])
    np.savetxt(table, rows, delimiter=",")
    run = finished(replace(SHORT, data=Data("file", path=str(table))))
    keep(tmp_path / "runs", run)
    (stored,) = kept_runs(tmp_path / "runs")
    assert take_back(tmp_path / "runs", stored).step == 40
    np.savetxt(table, rows[::-1], delimiter=",")
    with pytest.raises(Problem, match="other data"):
        take_back(tmp_path / "runs", stored)


def test_what_is_listed_is_plain_json(tmp_path: Path, run: Run) -> None:
    key = keep(tmp_path, run, "ä")
    about = json.loads((tmp_path / f"{key}.json").read_text(encoding="utf-8"))
    assert about["experiment"] == SHORT.to_dict()
    assert about["last"]["float_accuracy"] == run.checkpoints[-1].float_accuracy
