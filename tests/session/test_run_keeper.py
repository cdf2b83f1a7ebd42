"""Trainings outlive the window: they are listed at the next start, and windows leave each other's alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from qviz.session import run_keeper
from qviz.session.run_keeper import RunKeeper
from qviz.session.trainer import Trainer
from qviz.training import Data, Experiment, Training
from qviz.training.kept import kept_runs, take_back
from qviz.training.snapshot import Snapshot

SHORT = Experiment(Data("moons", 120), (6,), training=Training(steps=20, fine_tuning_steps=20, batch=32))
PATIENCE = 20_000

Pair = tuple[Trainer, RunKeeper]


@pytest.fixture
def start(qtbot: QtBot, tmp_path: Path) -> Iterator[Callable[[], Pair]]:
    """Makes a trainer with its keeper, as a window does."""
    made: list[Pair] = []

    def make() -> Pair:
        trainer, keeper = Trainer(SHORT), RunKeeper(tmp_path / "runs")
        trainer.came_to_end.connect(keeper.keep)
        trainer.named.connect(keeper.name)
        trainer.removed.connect(keeper.forget)
        keeper.found.connect(partial(trainer.take_back, back=partial(take_back, keeper.folder)))
        made.append((trainer, keeper))
        with qtbot.waitSignal(keeper.found, timeout=PATIENCE):
            keeper.find()
        return trainer, keeper

    yield make
    for pair in made:
        end(pair)


def end(pair: Pair) -> None:
    for worker in pair:
        worker.close()


def train(trainer: Trainer, bot: QtBot, experiment: Experiment = SHORT) -> None:
    trainer.set_experiment(experiment)
    trainer.start()
    bot.waitUntil(lambda: not trainer.running, timeout=PATIENCE)


def test_a_run_is_there_at_the_next_start_and_is_shown_as_it_was(qtbot: QtBot, start: Callable[[], Pair]) -> None:
    before = start()
    train(before[0], qtbot)
    train(before[0], qtbot, replace(SHORT, seed=4))
    before[0].name_run(before[0].runs[0], "the first")
    ended = before[0].runs[0].snapshot
    assert isinstance(ended, Snapshot)
    end(before)
    trainer, _ = start()
    assert [(run.number, run.name, run.experiment.seed) for run in trainer.runs] == [(1, "the first", 0), (2, "", 4)]
    assert trainer.runs[0].snapshot.last == ended.last
    with qtbot.waitSignal(trainer.advanced, timeout=PATIENCE):
        trainer.show_run(trainer.runs[0])
    shown = trainer.snapshot
    assert shown is not None and shown.finished
    assert shown.last == ended.last
    assert set(shown.answers) == set(ended.answers)
    train(trainer, qtbot, replace(SHORT, seed=5))
    assert [run.number for run in trainer.runs] == [1, 2, 3]


def test_a_run_that_is_removed_is_gone_for_good(qtbot: QtBot, start: Callable[[], Pair]) -> None:
    before = start()
    train(before[0], qtbot)
    train(before[0], qtbot, replace(SHORT, seed=4))
    before[0].remove_run(before[0].runs[0])
    end(before)
    assert [run.experiment.seed for run in start()[0].runs] == [4]


def test_what_waited_for_the_painting_is_done_when_the_window_closes(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper, forgotten = RunKeeper(tmp_path / "runs"), list[str]()
    monkeypatch.setattr(run_keeper, "forget_run", lambda folder, key: forgotten.append(key))

    def ask_and_close() -> None:  # the last answer is not painted yet, so this one has not begun
        keeper.forget("one")
        keeper.close()

    keeper.found.connect(ask_and_close)
    with qtbot.waitSignal(keeper.found, timeout=PATIENCE):
        keeper.find()
    assert forgotten == ["one"]


def test_two_windows_keep_each_other_s_runs(qtbot: QtBot, start: Callable[[], Pair], tmp_path: Path) -> None:
    one, other = start(), start()
    train(one[0], qtbot)
    train(other[0], qtbot, replace(SHORT, seed=4))
    end(one)
    end(other)
    assert [run.experiment.seed for run in kept_runs(tmp_path / "runs")] == [0, 4]
    assert len(start()[0].runs) == 2


def test_a_run_whose_weights_are_gone_is_said_and_can_be_trained_again(
    qtbot: QtBot, start: Callable[[], Pair], tmp_path: Path
) -> None:
    before = start()
    train(before[0], qtbot)
    end(before)
    for path in (tmp_path / "runs").glob("*.safetensors"):
        path.unlink()
    trainer, _ = start()
    trainer.set_experiment(replace(SHORT, seed=9))
    with qtbot.waitSignal(trainer.problem, timeout=PATIENCE) as said:
        trainer.show_run(trainer.runs[0])
    assert "train it again" in said.args[0]
    train(trainer, qtbot)
    assert trainer.snapshot is not None and trainer.snapshot.finished
    assert trainer.snapshot.experiment == SHORT


def test_a_folder_that_cannot_be_written_is_one_sentence(qtbot: QtBot, tmp_path: Path) -> None:
    (tmp_path / "runs").write_bytes(b"a file in its place")
    trainer, keeper = Trainer(SHORT), RunKeeper(tmp_path / "runs")
    trainer.came_to_end.connect(keeper.keep)
    with qtbot.waitSignal(keeper.problem, timeout=PATIENCE) as said:
        train(trainer, qtbot)
    assert "runs" in said.args[0]
    end((trainer, keeper))
