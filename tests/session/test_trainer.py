"""A training runs in slices beside the window, is told at a bounded rate, and leaves no thread behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from qviz.core.problems import Problem
from qviz.session.trainer import Trainer
from qviz.training import Data, Experiment, Run, Training
from qviz.training.snapshot import ALL, NETWORKS, Observer

SHORT = Experiment(Data("moons", 300), (8, 8), training=Training(steps=60, fine_tuning_steps=60, batch=32))
PATIENCE = 20_000


@pytest.fixture
def trainer(qtbot: QtBot) -> Iterator[Trainer]:
    trainer = Trainer(SHORT)
    yield trainer
    trainer.close()
    assert trainer._runner._pool.activeThreadCount() == 0
    assert trainer._sweeper._pool.activeThreadCount() == 0


def finish(trainer: Trainer, qtbot: QtBot) -> None:
    trainer.start()
    qtbot.waitUntil(lambda: not trainer.running, timeout=PATIENCE)
    assert trainer.snapshot is not None and trainer.snapshot.finished


def test_it_ends_where_a_run_without_a_window_ends(trainer, qtbot):
    finish(trainer, qtbot)
    end = Run(SHORT).complete()
    assert trainer.snapshot.phase == "done"
    assert trainer.snapshot.last["qat_accuracy"] == end.qat_accuracy
    assert trainer.snapshot.last["float_loss"] == end.float_loss
    assert set(trainer.snapshot.answers) == set(NETWORKS)


def test_reset_shows_the_untrained_network(trainer, qtbot):
    finish(trainer, qtbot)
    with qtbot.waitSignal(trainer.advanced, timeout=PATIENCE):
        trainer.reset()
    assert (trainer.snapshot.step, trainer.snapshot.phase) == (0, "float")


def test_one_step_is_one_step(trainer, qtbot):
    for step in (1, 2, 3):
        with qtbot.waitSignal(trainer.advanced, timeout=PATIENCE):
            trainer.step()
        assert trainer.snapshot.step == step


def test_pause_rests_and_start_goes_on(trainer, qtbot):
    trainer.set_speed(30)
    with qtbot.waitSignals([trainer.advanced] * 3, timeout=PATIENCE):
        trainer.start()
    trainer.pause()
    qtbot.waitUntil(lambda: not trainer._runner.busy, timeout=PATIENCE)
    step = trainer.snapshot.step
    qtbot.wait(120)
    assert trainer.snapshot.step == step
    assert 0 < step < 30
    trainer.set_speed(0)
    finish(trainer, qtbot)
    assert trainer.snapshot.last["qat_accuracy"] == Run(SHORT).complete().qat_accuracy


def test_started_again_after_the_end_it_begins_anew(trainer, qtbot):
    finish(trainer, qtbot)
    steps = []
    trainer.advanced.connect(lambda snapshot: steps.append(snapshot.step))
    finish_again = replace(SHORT)
    trainer.start()
    qtbot.waitUntil(lambda: not trainer.running, timeout=PATIENCE)
    assert trainer.snapshot.experiment == finish_again
    assert steps == sorted(steps)


def test_another_experiment_drops_what_was_under_way(trainer, qtbot):
    trainer.start()
    other = replace(SHORT, seed=5)
    trainer.set_experiment(other)
    qtbot.waitUntil(lambda: trainer.snapshot is not None and trainer.snapshot.experiment is other, timeout=PATIENCE)
    assert not trainer.running
    assert trainer.snapshot.step == 0
    trainer.set_experiment(replace(SHORT, seed=5))
    assert trainer.experiment is other


def test_divergence_ends_it_and_reset_forgets_it(trainer, qtbot):
    trainer.set_experiment(replace(SHORT, training=replace(SHORT.training, learning_rate=100.0)))
    finish(trainer, qtbot)
    assert (trainer.snapshot.phase, trainer.snapshot.diverged_in) == ("diverged", "float")
    with qtbot.waitSignal(trainer.advanced, timeout=PATIENCE):
        trainer.reset()
    assert trainer.snapshot.phase == "float"


def test_a_file_that_cannot_be_learned_from_is_one_sentence(trainer, qtbot, tmp_path):
    with qtbot.waitSignal(trainer.problem, timeout=PATIENCE) as told:
        trainer.set_experiment(replace(SHORT, data=Data("file", path=str(tmp_path / "none.npz"))))
    assert "does not exist" in told.args[0]
    assert not trainer.running


def test_what_is_saved_is_written_between_two_slices(trainer, qtbot, tmp_path):
    written = []

    def write(path: Path, run: Run) -> None:
        written.append((path, run.step))

    def refuse(path: Path, run: Run) -> None:
        raise Problem("no")

    trainer.start()
    with qtbot.waitSignal(trainer.saved, timeout=PATIENCE) as told:
        trainer.save(tmp_path / "a.npz", write)
        trainer.save(tmp_path / "b.npz", write)
    assert told.args == ["Saved a.npz."]
    qtbot.waitUntil(lambda: len(written) == 2, timeout=PATIENCE)
    with qtbot.waitSignal(trainer.problem, timeout=PATIENCE):
        trainer.save(tmp_path / "c.npz", refuse)
    finish(trainer, qtbot)


def test_the_run_can_be_looked_at(trainer, qtbot):
    seen = []
    trainer.look_at(seen.append)
    assert seen == []
    finish(trainer, qtbot)
    qtbot.waitUntil(lambda: not trainer._runner.busy, timeout=PATIENCE)
    trainer.look_at(seen.append)
    assert [run.phase for run in seen] == ["done"]


def test_a_sweep_tells_as_it_goes_and_can_be_stopped(trainer, qtbot):
    shares = []
    trainer.swept.connect(lambda swept: shares.append(swept.share))
    with qtbot.waitSignal(trainer.sweeping_changed, check_params_cb=lambda on: not on, timeout=PATIENCE):
        trainer.sweep(1)
    assert shares == [k / 8 for k in range(1, 9)]
    slow = replace(SHORT, training=replace(SHORT.training, steps=100_000))
    trainer.set_experiment(slow)
    trainer.sweep(2)
    qtbot.wait(50)
    with qtbot.waitSignal(trainer.sweeping_changed, check_params_cb=lambda on: not on, timeout=PATIENCE):
        trainer.cancel_sweep()


def test_closing_while_training_waits_for_the_thread(qtbot):
    trainer = Trainer(replace(SHORT, training=replace(SHORT.training, steps=100_000)))
    trainer.start()
    trainer.sweep(1)
    trainer.start()
    qtbot.wait(50)
    trainer.close()
    assert trainer._runner._pool.activeThreadCount() == trainer._sweeper._pool.activeThreadCount() == 0


def test_parts_take_turns_and_a_look_changes_nothing():
    run, undisturbed = Run(SHORT), Run(SHORT)
    observer = Observer(run)
    first = observer.look()
    assert set(first.answers) == {"float", "ptq"}
    run.advance(30)
    second = observer.look(1)
    assert second.answers["float"] is not first.answers["float"]
    assert second.answers["ptq"] is first.answers["ptq"]
    assert observer.look(0).weights is first.weights
    run.complete()
    last = observer.look(ALL)
    assert last.answers["qat"].confusion.sum() == run.dataset.y_test.size
    right = np.trace(last.answers["qat"].confusion) / run.dataset.y_test.size
    assert right == pytest.approx(last.last["qat_accuracy"])
    assert [w.levels["qat"].size for w in last.weights] == [256, 4, 256]
    assert repr(undisturbed.complete()) == repr(run.checkpoints[-1])
