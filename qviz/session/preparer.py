"""When is a tensor put in order? As soon as it is shown, beside everything else, where memory suffices."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.problems import Problem
from qviz.core.questions.effort import plan
from qviz.core.tensors.sorted_tensor import SortedTensor, prepare, prepared_nbytes
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, Progress
from qviz.session.language import told
from qviz.session.memory import Kept, Memory
from qviz.session.runner import LatestRunner, Request
from qviz.session.state import Session, State


class Preparer(QObject):
    """Sorts the tensor that is shown; the session then holds both.

    Signals
    -------
    began(str), advanced(float), ended()
        Work that is worth a progress bar.
    problem(str)
        One sentence for the person.
    """

    began = Signal(str)
    advanced = Signal(float)
    ended = Signal()
    problem = Signal(str)

    def __init__(self, session: Session, memory: Memory, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._memory = session, memory
        self._sorting: Tensor | None = None
        self._too_large: Tensor | None = None
        self._runner = LatestRunner(self)
        self._runner.started.connect(self._on_started)
        self._runner.progressed.connect(self._on_progressed)
        self._runner.finished.connect(self._on_finished)
        self._runner.failed.connect(self._on_failed)
        self._runner.cancelled.connect(self._on_cancelled)
        session.changed.connect(self._on_changed)

    @property
    def busy(self) -> bool:
        return self._runner.busy

    @property
    def fits(self) -> bool:
        """Whether the tensor that is shown can be put in order within the budget."""
        tensor = self._session.state.tensor
        if tensor is None or tensor.same_data(self._too_large):
            return False
        return self._memory.fits(prepared_nbytes(tensor.elements))

    @Slot()
    def prepare(self) -> None:
        """Put what is shown in order now, where that helps and there is room."""
        state = self._session.state
        tensor = state.tensor
        if tensor is None or not self.fits:
            return
        if not plan(tensor, state.prepared, state.scheme, self._session.limits).worth_sorting:
            return
        if tensor.same_data(self._sorting):
            return  # under way
        self._sorting = tensor
        self._memory.make_room(prepared_nbytes(tensor.elements))
        self._runner.submit(Request(tensor, partial(_prepare, tensor)), urgent=True)

    @Slot()
    def cancel(self) -> None:
        """Stop; what is shown stays an estimate."""
        self._sorting = None
        self._runner.cancel()

    def close(self) -> None:
        """Stop for good and wait for the thread."""
        self._runner.close()

    @Slot(object, object)
    def _on_changed(self, old: State, new: State) -> None:
        if new.tensor is None or (new.tensor is old.tensor and new.prepared is old.prepared):
            return
        if not new.tensor.same_data(old.tensor):
            self._too_large = None
            self.cancel()
            self.prepare()
        elif new.current is not None and new.current in new.items:  # counted or sorted since it was read
            self._memory.keep(new.current, Kept(new.tensor, new.prepared))

    @Slot(object)
    def _on_started(self, request: Request) -> None:
        self.began.emit(self.tr("Sorting {name}").format(name=request.key.name))

    @Slot(object, float)
    def _on_progressed(self, request: Request, fraction: float) -> None:
        self.advanced.emit(fraction)

    @Slot(object, object)
    def _on_finished(self, request: Request, prepared: SortedTensor) -> None:
        if request.key.same_data(self._session.state.tensor):
            self._session.update(tensor=prepared.tensor, prepared=prepared)
        self._rest()

    @Slot(object, object)
    def _on_failed(self, request: Request, error: Exception) -> None:
        self._rest()
        if isinstance(error, MemoryError):
            self._too_large = request.key
            return  # the estimate stays, and says that it is one
        if not isinstance(error, Problem):
            raise error
        self.problem.emit(told(error))

    @Slot(object)
    def _on_cancelled(self, request: Request) -> None:
        self._rest()

    def _rest(self) -> None:
        if not self._runner.busy:
            self._sorting = None
            self.ended.emit()


def _prepare(tensor: Tensor, progress: Progress, cancelled: IsCancelled) -> SortedTensor:
    prepared = prepare(tensor, progress=progress, cancelled=cancelled)
    prepared.histogram()  # counted here, so that drawing never has to
    return prepared
