"""How does a training run beside the window? In slices, each of which ends with a moment ready to be drawn."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from qviz.core.problems import Problem
from qviz.core.work import IsCancelled, Progress
from qviz.session.language import told
from qviz.session.runner import LatestRunner, Request
from qviz.training.experiment import Experiment
from qviz.training.run import Run
from qviz.training.seeds import Summary, sweep
from qviz.training.snapshot import ALL, Observer, Snapshot

SLICE_SECONDS = 0.012
"""How long a slice of a training at full speed takes: with painting, a frame."""

FRAME_SECONDS = 1 / 30
"""A slower training is drawn no more often."""

LOOK_SECONDS = 0.06
"""The next of the maps of answers and histograms of weights is made no more often: each takes as long as many steps."""

FULL_SPEED = 0
"""As many steps as there is time for."""


@dataclass(frozen=True, eq=False)
class Swept:
    """What a sweep over bits knows so far."""

    share: float
    summaries: tuple[Summary, ...]
    seeds: int


class Seat:
    """Where a run is kept from one slice to the next; a fresh one begins anew."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.observer: Observer | None = None

    def taken(self) -> Observer:
        """The run, which the first slice begins."""
        if self.observer is None:
            self.observer = Observer(Run(self.experiment))
        return self.observer


class Trainer(QObject):
    """One experiment, and a sweep of it; both may be started, paused and begun anew.

    Signals
    -------
    advanced(Snapshot)
        After each slice, in the window's thread.
    running_changed(bool), sweeping_changed(bool)
    swept(Swept)
    problem(str), saved(str)
        One sentence for the person.
    """

    advanced = Signal(object)
    running_changed = Signal(bool)
    sweeping_changed = Signal(bool)
    swept = Signal(object)
    problem = Signal(str)
    saved = Signal(str)

    _sweep_went_on = Signal(object, object)

    def __init__(self, experiment: Experiment | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.experiment = experiment or Experiment()
        self.snapshot: Snapshot | None = None
        self.speed = FULL_SPEED
        self.running = False
        self._seat = Seat(self.experiment)
        self._to_save: deque[tuple[Path, Callable[[Path, Run], None]]] = deque()
        self._to_show: Callable[[Run], None] | None = None
        self._looked = 0.0
        self._submitted = 0.0
        self._runner = LatestRunner(self)
        self._runner.finished.connect(self._on_finished)
        self._runner.failed.connect(self._on_failed)
        self._sweeper = LatestRunner(self)
        self._sweeper.finished.connect(self._on_sweep_ended)
        self._sweeper.failed.connect(self._on_sweep_failed)
        self._sweeper.cancelled.connect(self._on_sweep_cancelled)
        self._sweep_went_on.connect(self._on_sweep_went_on)
        self._sweep: object | None = None
        self._pace = QTimer(self)
        self._pace.setSingleShot(True)
        self._pace.timeout.connect(self._go_on)

    # -- what a person asks for

    @Slot(object)
    def set_experiment(self, experiment: Experiment) -> None:
        """Another experiment, from its beginning."""
        if experiment != self.experiment:
            self.experiment = experiment
            self.reset()

    @Slot()
    def start(self) -> None:
        """Go on, or begin anew where the end was reached."""
        if self.running:
            return
        if self.snapshot is not None and self.snapshot.finished:
            self._seat = Seat(self.experiment)
        self._set_running(True)
        self._submit(self._steps())

    @Slot()
    def pause(self) -> None:
        """Rest after the slice under way, and show all of what there is then."""
        self._pace.stop()
        if self.running:
            self._set_running(False)
            self._submit(0)

    @Slot()
    def step(self) -> None:
        """One step alone."""
        self.pause()
        self._submit(1)

    @Slot()
    def reset(self) -> None:
        """Back to the beginning; shows the untrained network."""
        self.pause()
        self._seat = Seat(self.experiment)
        self._submit(0)

    @Slot(int)
    def set_speed(self, steps_a_second: int) -> None:
        """How many steps a second; 0 for as many as there is time for."""
        self.speed = steps_a_second

    @Slot(int)
    def sweep(self, seeds: int) -> None:
        """Train the experiment at 1 to 8 bits under so many seeds."""
        experiment = self.experiment
        token = self._sweep = object()
        told = self._sweep_went_on

        def work(progress: Progress, cancelled: IsCancelled) -> None:
            for share, summaries in sweep(experiment, seeds, cancelled=cancelled):
                told.emit(token, Swept(share, tuple(summaries), seeds))

        self.pause()
        self._sweeper.submit(Request(token, work), urgent=True)
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
        if show is not None and self._seat.observer is not None:
            show(self._seat.observer.run)

    def _save_next(self) -> None:
        path, write = self._to_save[0]
        seat = self._seat
        self._runner.submit(Request(path, lambda progress, cancelled: write(path, seat.taken().run)))

    def close(self) -> None:
        """Stop for good and wait for the threads."""
        self._pace.stop()
        self.running = False
        self._runner.close()
        self._sweeper.close()

    # -- slices

    def _steps(self) -> int | None:
        """How many steps the next slice has; None for as many as it has time for."""
        return max(1, round(self.speed * FRAME_SECONDS)) if self.speed else None

    def _submit(self, steps: int | None) -> None:
        self._submitted = time.monotonic()
        seat = self._seat
        parts = int(self._submitted - self._looked > LOOK_SECONDS)
        if parts:
            self._looked = self._submitted
        if not self.running:
            parts = ALL

        def work(progress: Progress, cancelled: IsCancelled) -> Snapshot:
            observer = seat.taken()
            run, end = observer.run, time.monotonic() + SLICE_SECONDS
            if steps is not None:
                run.advance(steps)
            else:
                while not run.finished and time.monotonic() < end:
                    run.advance(4)
            return observer.look(ALL if run.finished else parts)

        self._runner.submit(Request(seat, work))

    @Slot(object, object)
    def _on_finished(self, request: Request, snapshot: Snapshot) -> None:
        if isinstance(request.key, Path):
            self._to_save.popleft()
            self.saved.emit(self.tr("Saved {name}.").format(name=request.key.name))
        elif request.key is self._seat:  # else it was begun anew meanwhile
            self.snapshot = snapshot
            if snapshot.finished:
                self._set_running(False)
            self.advanced.emit(snapshot)
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
            self._submit(None)
            return
        due = self._submitted + steps / self.speed
        self._pace.start(max(0, round(1000 * (due - time.monotonic()))))

    @Slot()
    def _go_on(self) -> None:
        if self.running:
            self._submit(self._steps())

    @Slot(object, object)
    def _on_failed(self, request: Request, error: Exception) -> None:
        if isinstance(request.key, Path):
            self._to_save.popleft()
            self._wait()
        else:
            self._set_running(False)
        if not isinstance(error, Problem):
            raise error
        self.problem.emit(told(error))

    def _set_running(self, running: bool) -> None:
        if running != self.running:
            self.running = running
            self.running_changed.emit(running)

    # -- the sweep

    @Slot(object, object)
    def _on_sweep_went_on(self, token: object, swept: Swept) -> None:
        if token is self._sweep:
            self.swept.emit(swept)

    @Slot(object, object)
    def _on_sweep_ended(self, request: Request, answer: object) -> None:
        self.sweeping_changed.emit(False)

    @Slot(object)
    def _on_sweep_cancelled(self, request: Request) -> None:
        if request.key is self._sweep:
            self.sweeping_changed.emit(False)

    @Slot(object, object)
    def _on_sweep_failed(self, request: Request, error: Exception) -> None:
        self.sweeping_changed.emit(False)
        if not isinstance(error, Problem):
            raise error
        self.problem.emit(told(error))
