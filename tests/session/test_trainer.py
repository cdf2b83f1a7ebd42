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
from tests.session.conftest import HandTimers, until

SHORT = Experiment(Data("moons", 300), (8, 8), training=Training(steps=60, fine_tuning_steps=60, batch=32))
PATIENCE = 20_000


@pytest.fixture
def trainer(qtbot: QtBot) -> Iterator[Trainer]:
    trainer = Trainer(SHORT)
    yield trainer
    trainer.close()
    assert trainer._runner._pool.activeThreadCount() == 0
    assert trainer._sweeper._runner._pool.activeThreadCount() == 0


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


class Clock:
    """Time that passes with every look at it, by so many seconds."""

    def __init__(self, tick: float = 0.0) -> None:
        self.now, self.tick = 0.0, tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


@pytest.fixture
def timers() -> HandTimers:
    return HandTimers()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def paced(qtbot: QtBot, timers: HandTimers, clock: Clock) -> Iterator[Trainer]:
    trainer = Trainer(SHORT, timers=timers, clock=clock)
    yield trainer
    trainer.close()


@pytest.mark.parametrize(("speed", "steps", "milliseconds"), [(1, 1, 1000), (30, 1, 33), (44, 1, 23), (300, 10, 33)])
def test_a_slice_has_as_many_steps_as_its_speed_has_in_a_frame(paced, timers, qtbot, speed, steps, milliseconds):
    paced.set_speed(speed)
    paced.start()
    until(qtbot, lambda: timers.active)
    assert (paced.snapshot.step, timers.all[0].milliseconds) == (steps, milliseconds)
    timers.fire()
    until(qtbot, lambda: timers.active)
    assert paced.snapshot.step == 2 * steps


def test_what_a_slice_took_is_part_of_its_time(paced, timers, clock, qtbot):
    paced.set_speed(10)
    paced.advanced.connect(lambda snapshot: setattr(clock, "now", clock.now + 0.03))
    paced.start()
    until(qtbot, lambda: timers.active)
    assert timers.all[0].milliseconds == 70
    paced.advanced.connect(lambda snapshot: setattr(clock, "now", clock.now + 1))
    timers.fire()
    until(qtbot, lambda: timers.active)
    assert timers.all[0].milliseconds == 0


def test_at_full_speed_a_slice_has_as_many_steps_as_there_is_time_for(paced, clock, qtbot):
    clock.tick = 0.005
    with qtbot.waitSignal(paced.advanced, timeout=PATIENCE) as told:
        paced.start()
    assert told.args[0].step == 8  # begun at 5 and at 10 of 12 ms


def test_maps_and_histograms_are_made_no_more_often_than_they_can_be_looked_at(paced, timers, clock, qtbot):
    def fire_after(seconds):
        before = paced.snapshot
        clock.now += seconds
        timers.fire()
        until(qtbot, lambda: timers.active and paced.snapshot is not before)
        return before.answers["float"] is not paced.snapshot.answers["float"]

    paced.set_speed(30)
    paced.start()
    until(qtbot, lambda: timers.active)
    made = [fire_after(0.05) for _ in range(8)]
    assert 0 < sum(made) < 8
    assert not any(fire_after(0.0) for _ in range(8))


def test_pause_rests_and_start_goes_on(paced, timers, qtbot):
    paced.set_speed(30)
    paced.start()
    for step in (1, 2, 3):
        until(qtbot, lambda: timers.active)
        assert paced.snapshot.step == step
        timers.fire()
    until(qtbot, lambda: timers.active)
    paced.pause()
    until(qtbot, lambda: not paced.busy)
    assert not timers.active
    assert not paced.running
    assert paced.snapshot.step == 4
    paced.start()
    until(qtbot, lambda: timers.active)
    assert paced.snapshot.step == 5
    paced.pause()
    paced.set_speed(0)
    finish(paced, qtbot)
    assert paced.snapshot.last["qat_accuracy"] == Run(SHORT).complete().qat_accuracy


def test_started_again_after_the_end_it_begins_anew(trainer, qtbot):
    finish(trainer, qtbot)
    steps = []
    trainer.advanced.connect(lambda snapshot: steps.append(snapshot.step))
    finish_again = replace(SHORT)
    trainer.start()
    qtbot.waitUntil(lambda: not trainer.running, timeout=PATIENCE)
    assert trainer.snapshot.experiment == finish_again
    assert steps == sorted(steps)


def begin(trainer, qtbot):
    """Train until there is something to lose."""
    trainer.start()
    qtbot.waitUntil(lambda: bool(trainer.runs), timeout=PATIENCE)


def settled(trainer, qtbot, step):
    qtbot.waitUntil(
        lambda: (
            not trainer._runner.busy
            and trainer.snapshot.experiment == trainer.experiment
            and trainer.snapshot.step == step
        ),
        timeout=PATIENCE,
    )


def test_a_run_under_way_is_kept_when_settings_change_and_undo_brings_it_back(trainer, qtbot):
    long = replace(SHORT, training=replace(SHORT.training, steps=100_000))
    trainer.set_experiment(long)
    begin(trainer, qtbot)
    trainer.set_experiment(replace(SHORT, seed=5))
    settled(trainer, qtbot, 0)
    (run,) = trainer.runs
    assert trainer.present is None
    assert run.snapshot.step > 0
    assert (run.number, run.experiment) == (1, long)
    trainer.set_experiment(replace(long))
    settled(trainer, qtbot, trainer.runs[0].snapshot.step)
    assert trainer.present is trainer.runs[0]
    assert not trainer.running
    trainer.step()
    settled(trainer, qtbot, run.snapshot.step + 1)
    assert len(trainer.runs) == 1


def test_a_result_is_kept_by_reset_and_by_starting_again(trainer, qtbot):
    finish(trainer, qtbot)
    trainer.reset()
    settled(trainer, qtbot, 0)
    finish(trainer, qtbot)
    trainer.start()
    qtbot.waitUntil(lambda: not trainer.running, timeout=PATIENCE)
    qtbot.waitUntil(lambda: len(trainer.runs) == 3, timeout=PATIENCE)
    assert [run.number for run in trainer.runs] == [1, 2, 3]
    assert len({run.snapshot.last["qat_accuracy"] for run in trainer.runs}) == 1


def test_an_earlier_run_is_shown_again_named_and_forgotten(trainer, qtbot):
    finish(trainer, qtbot)
    trainer.set_experiment(replace(SHORT, seed=5))
    finish(trainer, qtbot)
    first, second = trainer.runs
    shown = []
    trainer.shown.connect(shown.append)
    trainer.show_run(first)
    settled(trainer, qtbot, SHORT.training.steps + SHORT.training.fine_tuning_steps)
    assert shown == [SHORT]
    assert trainer.experiment == SHORT
    trainer.name_run(first, " the first ")
    assert trainer.runs[0].name == "the first"
    trainer.remove_run(trainer.runs[0])
    assert len(trainer.runs) == 2, "what is shown is not forgotten"
    trainer.remove_run(second)
    assert [run.name for run in trainer.runs] == ["the first"]


def test_another_experiment_leaves_what_was_under_way(trainer, qtbot):
    trainer.start()
    other = replace(SHORT, seed=5)
    trainer.set_experiment(other)
    told = []
    trainer.advanced.connect(lambda snapshot: told.append(snapshot.experiment))
    qtbot.waitUntil(lambda: trainer.snapshot is not None and trainer.snapshot.experiment is other, timeout=PATIENCE)
    assert all(experiment is other for experiment in told)
    assert not trainer.running
    assert trainer.snapshot.step == 0
    trainer.set_experiment(replace(SHORT, seed=5))
    assert trainer.experiment is other


def test_a_moment_of_another_run_is_not_present(trainer, qtbot):
    waited = []
    trainer.awaited.connect(lambda: waited.append(trainer.is_present))
    trainer.step()
    settled(trainer, qtbot, 1)
    assert trainer.is_present
    (run,) = trainer.runs
    trainer.set_experiment(replace(SHORT, seed=5))
    settled(trainer, qtbot, 0)
    trainer.show_run(run)
    settled(trainer, qtbot, 1)
    assert trainer.is_present
    trainer.reset()
    finish(trainer, qtbot)
    trainer.start()
    assert waited == [False] * 4
    qtbot.waitUntil(lambda: trainer.is_present, timeout=PATIENCE)


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


def test_what_is_still_to_be_saved_is_written_when_the_window_closes(trainer, qtbot, tmp_path):
    with qtbot.waitSignal(trainer.advanced, timeout=PATIENCE):
        trainer.step()
    written = []
    for name in "ab":  # the slice's answer is not painted yet: neither has begun
        trainer.save(tmp_path / name, lambda path, run: written.append(path.name))
    trainer.close()
    assert written == ["a", "b"]


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
    with qtbot.waitSignal(trainer.sweeping_changed, check_params_cb=lambda on: not on, timeout=PATIENCE):
        trainer.cancel_sweep()


def test_closing_while_training_waits_for_the_thread(qtbot):
    trainer = Trainer(replace(SHORT, training=replace(SHORT.training, steps=100_000)))
    trainer.start()
    trainer.sweep(1)
    trainer.start()
    until(qtbot, lambda: trainer.snapshot is not None)
    trainer.close()
    assert trainer._runner._pool.activeThreadCount() == trainer._sweeper._runner._pool.activeThreadCount() == 0


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
