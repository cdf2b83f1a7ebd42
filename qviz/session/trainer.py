"""How does a training run beside the window? In slices, each of which ends with a moment ready to be drawn."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import field, replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.frozen import frozen
from qviz.core.printable import printable
from qviz.core.problems import N_, Phrase, Problem
from qviz.core.work import IsCancelled, Progress
from qviz.session.timers import Timers, WindowTimer
from qviz.session.worker import Worker
from qviz.training.experiment import Experiment
from qviz.training.kept import MOST_RUNS, StoredRun, new_key
from qviz.training.run import Run
from qviz.training.seeds import Summary, sweep
from qviz.training.snapshot import ALL, Observer, Snapshot

log = logging.getLogger(__name__)

SLICE_SECONDS = 0.012
"""How long a slice of a training at full speed takes: with painting, a frame."""

FRAME_SECONDS = 1 / 30
"""A slower training is drawn no more often."""

LOOK_SECONDS = 0.06
"""The next of the maps of answers and histograms of weights is made no more often: each takes as long as many steps."""

FULL_SPEED = 0
"""As many steps as there is time for."""


@frozen(eq=False)
class SweepProgress:
    """What a sweep over bits knows so far."""

    share: float
    summaries: tuple[Summary, ...]
    seeds: int


class RunSlot:
    """Where a run is kept from one slice to the next; a fresh one begins anew, unless it is taken ``back``."""

    def __init__(self, experiment: Experiment, back: Callable[[], Run] | None = None) -> None:
        self.experiment = experiment
        self.observer: Observer | None = None
        self._back = back

    def taken(self) -> Observer:
        """The run, which the first slice begins or takes back."""
        if self.observer is None:
            self.observer = Observer(Run(self.experiment) if self._back is None else self._back())
        return self.observer


@frozen(eq=False)
class KeptRun:
    """A training that was begun, as far as it came: nothing that was trained is lost when another one begins.

    Attributes
    ----------
    number : int
        Its place among all that were begun, from 1.
    snapshot : Snapshot or StoredRun
        How far it came; of one that was kept at an earlier start, the figures alone until it is shown.
    name : str
        As a person calls it; empty for "Run" and its number.
    key : str
        What it is called where it is kept.
    """

    number: int
    experiment: Experiment
    slot: RunSlot
    snapshot: Snapshot | StoredRun
    name: str = ""
    key: str = field(default_factory=new_key)


class SeedSweep(Worker):
    """Trains an experiment at 1 to 8 bits under several seeds.

    Signals
    -------
    swept(SweepProgress)
        As often as there is something new.
    over()
        Nothing is to be expected any more.
    """

    swept = Signal(object)
    over = Signal()

    _went_on = Signal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._latest: object | None = None
        self._went_on.connect(self._on_went_on)

    def sweep(self, experiment: Experiment, seeds: int) -> None:
        """Begin, in the place of what is under way."""
        token = self._latest = object()
        tell = self._went_on.emit

        def work(progress: Progress, cancelled: IsCancelled) -> None:
            for share, summaries in sweep(experiment, seeds, cancelled=cancelled):
                tell(token, SweepProgress(share, tuple(summaries), seeds))

        self._submit(token, work, urgent=True)

    @Slot(object, object)
    def _on_went_on(self, token: object, swept: SweepProgress) -> None:
        if token is self._latest:
            self.swept.emit(swept)

    def _answer(self, key: object, found: object) -> None:
        self.over.emit()

    def _give_up(self, key: object) -> None:
        if key is self._latest:
            self.over.emit()

    def _fail(self, key: object, problem: Problem | None) -> None:
        self.over.emit()

    def _purpose(self, key: object) -> Phrase:
        return Phrase(N_("this sweep"))


class Trainer(Worker):
    """One experiment, and a sweep of it; both may be started, paused and begun anew.

    Signals
    -------
    advanced(Snapshot)
        After each slice, in the window's thread.
    awaited()
        Another run is to be shown: until it has advanced, `snapshot` is of the one before.
    running_changed(bool), sweeping_changed(bool)
    swept(SweepProgress)
    saved(str)
        One sentence for the person.
    runs_changed()
        Another run was begun, shown, named or removed, or one came to rest.
    shown(Experiment)
        An earlier run is shown again, under its own settings.
    came_to_end(str, str, Run), named(str, str), removed(str)
        By the key of a run: it is to be kept under its name; it got another one; it was removed.
    """

    advanced = Signal(object)
    awaited = Signal()
    runs_changed = Signal()
    shown = Signal(object)
    came_to_end = Signal(str, str, object)
    named = Signal(str, str)
    removed = Signal(str)
    running_changed = Signal(bool)
    sweeping_changed = Signal(bool)
    swept = Signal(object)
    saved = Signal(str)

    def __init__(
        self,
        experiment: Experiment | None = None,
        parent: QObject | None = None,
        *,
        timers: Timers = WindowTimer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(parent)
        self._clock = clock
        self.experiment = experiment or Experiment()
        self.snapshot: Snapshot | None = None
        self.speed = FULL_SPEED
        self.running = False
        self._slot = RunSlot(self.experiment)
        self._seen: RunSlot | None = None
        self._runs: list[KeptRun] = []
        self._begun = 0
        self._to_save: deque[tuple[Path, Callable[[Path, Run], None]]] = deque()
        self._to_show: Callable[[Run], None] | None = None
        self._looked = 0.0
        self._submitted = 0.0
        self._sweeper = SeedSweep(self)
        self._sweeper.swept.connect(self.swept)
        self._sweeper.over.connect(self._on_sweep_over)
        self._sweeper.problem.connect(self.problem)
        self._pace = self._timer(timers, 0, self._go_on)

    # -- what a person asks for

    @Slot(object)
    def set_experiment(self, experiment: Experiment) -> None:
        """Another experiment: where it came when it was last trained, else from its beginning."""
        if experiment != self.experiment:
            before = next((run for run in reversed(self._runs) if run.experiment == experiment), None)
            if before is not None:
                self._take(before)
            else:
                self.experiment = experiment
                self.reset()

    @property
    def runs(self) -> tuple[KeptRun, ...]:
        """Every run that was begun, the first one first."""
        return tuple(self._runs)

    @property
    def present(self) -> KeptRun | None:
        """The run that is shown; None before it is begun."""
        return next((run for run in self._runs if run.slot is self._slot), None)

    @property
    def is_present(self) -> bool:
        """Whether `snapshot` is of the run that is asked for, and not of one before it."""
        return self._seen is self._slot

    def show_run(self, run: KeptRun) -> None:
        """Show an earlier run again; it may go on from there."""
        if run.slot is not self._slot:
            self._take(run)
            self.shown.emit(run.experiment)

    def name_run(self, run: KeptRun, name: str) -> None:
        """Call a run something."""
        self._replace(run, name=name.strip())
        self.named.emit(run.key, name.strip())
        self.runs_changed.emit()

    def take_back(self, stored: Sequence[StoredRun], back: Callable[[StoredRun], Run]) -> None:
        """List runs that were kept at earlier starts before those of this one; ``back`` reads what one learned."""
        known = {run.key for run in self._runs}
        earlier = [
            KeptRun(0, each.experiment, RunSlot(each.experiment, partial(back, each)), each, each.name, each.key)
            for each in stored
            if each.key not in known
        ]
        self._begun += len(earlier)
        before = [replace(run, number=at) for at, run in enumerate(earlier, 1)]
        now = [replace(run, number=run.number + len(earlier)) for run in self._runs]
        self._runs = [*before, *now][-MOST_RUNS:]
        self.runs_changed.emit()

    def remove_run(self, run: KeptRun) -> None:
        """Forget a run, but for the one that is shown."""
        if run.slot is not self._slot:
            self._runs = [each for each in self._runs if each.slot is not run.slot]
            self.removed.emit(run.key)
            self.runs_changed.emit()

    def _take(self, run: KeptRun) -> None:
        self.pause()
        self.experiment = run.experiment
        self._await(run.slot)
        self._slice(0)
        self.runs_changed.emit()

    def _await(self, slot: RunSlot) -> None:
        """Another run is to be shown from now on."""
        self._slot = slot
        self.awaited.emit()

    def _replace(self, run: KeptRun, **changes: object) -> None:
        self._runs = [
            replace(each, **changes) if each.slot is run.slot else each  # type: ignore[arg-type]
            for each in self._runs
        ]

    def _keep(self, slot: RunSlot, snapshot: Snapshot) -> None:
        """List a run from its first step on, and remember how far it is."""
        known = next((run for run in self._runs if run.slot is slot), None)
        ended = snapshot.finished and not (known is not None and known.snapshot.finished)
        if known is not None:
            self._replace(known, snapshot=snapshot)
        elif snapshot.step:
            self._begun += 1
            known = KeptRun(self._begun, slot.experiment, slot, snapshot)
            self._runs = [*self._runs, known][-MOST_RUNS:]
            self.runs_changed.emit()
        if ended and known is not None:
            self.came_to_end.emit(known.key, known.name, slot.taken().run)

    @Slot()
    def start(self) -> None:
        """Go on, or begin anew where the end was reached."""
        if self.running:
            return
        if self.snapshot is not None and self.snapshot.finished:
            self._await(RunSlot(self.experiment))
        self._set_running(True)
        self._slice(self._steps())

    @Slot()
    def pause(self) -> None:
        """Rest after the slice under way, and show all of what there is then."""
        self._pace.stop()
        if self.running:
            self._set_running(False)
            self._slice(0)

    @Slot()
    def step(self) -> None:
        """One step alone."""
        self.pause()
        self._slice(1)

    @Slot()
    def reset(self) -> None:
        """Back to the beginning; shows the untrained network."""
        self.pause()
        self._await(RunSlot(self.experiment))
        self._slice(0)

    @Slot(int)
    def set_speed(self, steps_a_second: int) -> None:
        """How many steps a second; 0 for as many as there is time for."""
        self.speed = steps_a_second

    @Slot(int)
    def sweep(self, seeds: int) -> None:
        """Train the experiment at 1 to 8 bits under so many seeds."""
        self.pause()
        self._sweeper.sweep(self.experiment, seeds)
        self.sweeping_changed.emit(True)

    @Slot()
    def cancel_sweep(self) -> None:
        """Stop; what is known stays."""
        self._sweeper.cancel()

    def save(self, path: Path, write: Callable[[Path, Run], None]) -> None:
        """Write something of the run to a file, between two slices: ``write`` gets the path and the run."""
        self._to_save.append((path, write))
        if not self._runner.busy:
            self._save_next()

    def look_at(self, show: Callable[[Run], None]) -> None:
        """Call ``show`` with the run, in this thread and between two slices; not at all where there is none yet."""
        self._to_show = show
        if not self._runner.busy:
            self._show_now()

    def _show_now(self) -> None:
        show, self._to_show = self._to_show, None
        if show is not None and self._slot.observer is not None:
            show(self._slot.observer.run)

    def _save_next(self) -> None:
        path, write = self._to_save[0]
        slot = self._slot

        def work(progress: Progress, cancelled: IsCancelled) -> None:
            self._to_save.popleft()  # taken where it is done: what never began is left to `close`
            write(path, slot.taken().run)

        self._submit(path, work)

    def close(self) -> None:
        """Stop for good, wait for the threads, and write what was still to be saved."""
        self.running = False
        super().close()
        self._sweeper.close()
        for path, write in self._to_save:
            try:
                write(path, self._slot.taken().run)
            except (Problem, OSError) as problem:
                log.warning("%s was not saved: %s", path, problem)
        self._to_save.clear()

    # -- slices

    def _steps(self) -> int | None:
        """How many steps the next slice has; None for as many as it has time for."""
        return max(1, round(self.speed * FRAME_SECONDS)) if self.speed else None

    def _slice(self, steps: int | None) -> None:
        self._submitted = self._clock()
        slot, clock = self._slot, self._clock
        parts = int(self._submitted - self._looked > LOOK_SECONDS)
        if parts:
            self._looked = self._submitted
        if not self.running:
            parts = ALL

        def work(progress: Progress, cancelled: IsCancelled) -> Snapshot:
            observer = slot.taken()
            run, end = observer.run, clock() + SLICE_SECONDS
            if steps is not None:
                run.advance(steps)
            else:
                while not run.finished and clock() < end:
                    run.advance(4)
            return observer.look(ALL if run.finished else parts)

        self._submit(slot, work)

    def _answer(self, key: Path | RunSlot, found: Snapshot | None) -> None:
        if isinstance(key, Path):
            self.saved.emit(self.tr("Saved {name}.").format(name=printable(key.name)))
        elif found is not None:
            self._keep(key, found)
            if key is self._slot:  # else it was begun anew meanwhile
                self.snapshot, self._seen = found, key
                if found.finished:
                    self._set_running(False)
                self.advanced.emit(found)
                if not self.running:
                    self.runs_changed.emit()
        self._wait()

    def _wait(self) -> None:
        """What is to be saved, then the next slice: now, or when its time has come."""
        self._show_now()
        if self._to_save:
            self._save_next()
            return
        if not self.running or self._runner.busy:
            return
        steps = self._steps()
        if steps is None:
            self._slice(None)
            return
        due = self._submitted + steps / self.speed
        self._pace.start(max(0, round(1000 * (due - self._clock()))))

    @Slot()
    def _go_on(self) -> None:
        if self.running:
            self._slice(self._steps())

    def _fail(self, key: Path | RunSlot, problem: Problem | None) -> None:
        if isinstance(key, Path):
            self._wait()
        else:
            self._set_running(False)
            if key is self._slot and key.observer is None:  # what was kept cannot be taken back: it begins anew
                self._slot = RunSlot(self.experiment)

    def _purpose(self, key: Path | RunSlot) -> Phrase:
        if isinstance(key, Path):
            return Phrase(N_("saving {name}"), name=printable(key.name))
        return Phrase(N_("this training"))

    def _set_running(self, running: bool) -> None:
        if running != self.running:
            self.running = running
            self.running_changed.emit(running)

    @Slot()
    def _on_sweep_over(self) -> None:
        self.sweeping_changed.emit(False)
