"""How is the Training page made, and who trains beside the window?"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from qviz.gui.charts.page import Job
from qviz.gui.training.page import TrainingPage
from qviz.session.language import tr
from qviz.session.run_keeper import RunKeeper
from qviz.session.trainer import SweepProgress, Trainer
from qviz.training.kept import take_back
from qviz.training.snapshot import Snapshot

if TYPE_CHECKING:
    from qviz.app.app import App


class Progress(QObject):
    """A training, or its sweep over bits, as the status bar knows work: it begins, advances and ends."""

    began = Signal()
    advanced = Signal(float)
    ended = Signal()
    cancel_requested = Signal()

    @Slot(bool)
    def go(self, going: bool) -> None:
        """It goes on, or rests."""
        (self.began if going else self.ended).emit()

    @Slot(object)
    def show_snapshot(self, snapshot: Snapshot) -> None:
        self.advanced.emit(snapshot.step / snapshot.steps)

    @Slot(object)
    def show_swept(self, swept: SweepProgress) -> None:
        self.advanced.emit(swept.share)

    @Slot()
    def cancel(self) -> None:
        self.cancel_requested.emit()


def make_training(app: App) -> TrainingPage:
    """The page and its trainer."""
    trainer = Trainer(parent=app)
    keeper = RunKeeper(app.settings.data_folder / "runs", app)
    page = TrainingPage(trainer)
    trainer.came_to_end.connect(keeper.keep)
    trainer.named.connect(keeper.name)
    trainer.removed.connect(keeper.forget)
    keeper.found.connect(partial(trainer.take_back, back=partial(take_back, keeper.folder)))
    keeper.problem.connect(page.problem)
    page.tensor_requested.connect(app.open_layer)
    run, sweep = Progress(trainer), Progress(trainer)
    trainer.running_changed.connect(run.go)
    trainer.advanced.connect(run.show_snapshot)
    run.cancel_requested.connect(trainer.pause)
    trainer.sweeping_changed.connect(sweep.go)
    trainer.swept.connect(sweep.show_swept)
    sweep.cancel_requested.connect(trainer.cancel_sweep)
    page.workers = (trainer, keeper)
    page.jobs = (Job(run, tr("Training")), Job(sweep, tr("Training at 1…8 bits")))
    keeper.find()
    return page
