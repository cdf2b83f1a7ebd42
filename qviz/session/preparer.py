"""When is a tensor put in order? As soon as it is shown, beside everything else, where memory suffices."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.printable import brief
from qviz.core.problems import N_, Phrase, Problem
from qviz.core.questions.effort import plan
from qviz.core.tensors.sorted_tensor import SortedTensor, prepare, prepared_nbytes
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, Progress
from qviz.session.memory import Kept, Memory
from qviz.session.state import Session, State
from qviz.session.worker import OutOfMemory, Worker


class Preparer(Worker):
    """Sorts the tensor that is shown; the session then holds both.

    Signals
    -------
    began(str)
        With a sentence for its progress bar.
    """

    began = Signal(str)

    def __init__(self, session: Session, memory: Memory, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._memory = session, memory
        self._sorting: Tensor | None = None
        self._too_large: Tensor | None = None
        session.changed.connect(self._on_changed)

    @property
    def fits(self) -> bool:
        """Whether the tensor that is shown can be put in order within the budget."""
        tensor = self._session.state.tensor
        if tensor is None or tensor.same_data(self._too_large):
            return False
        return self._memory.fits(prepared_nbytes(tensor.elements, tensor.dtype))

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
        self._memory.make_room(prepared_nbytes(tensor.elements, tensor.dtype))
        self._submit(tensor, partial(_prepare, tensor), urgent=True)

    @Slot()
    def cancel(self) -> None:
        """Stop; what is shown stays an estimate."""
        self._sorting = None
        self._runner.cancel()

    @Slot(object, object)
    def _on_changed(self, old: State, new: State) -> None:
        if new.tensor is None or (new.tensor is old.tensor and new.prepared is old.prepared):
            return
        if not new.tensor.same_data(old.tensor):
            self._too_large = None
            self.cancel()
            self.prepare()
        elif new.current is not None and new.current in new.items:  # counted or sorted since it was read
            kept = self._memory.get(new.current) or Kept(new.tensor)
            self._memory.keep(new.current, replace(kept, tensor=new.tensor, prepared=new.prepared))

    def _begin(self, key: Tensor) -> None:
        self.began.emit(self.tr("Sorting {name}").format(name=brief(key.name)))

    def _answer(self, key: Tensor, prepared: SortedTensor) -> None:
        if key.same_data(self._session.state.tensor):
            self._session.update(tensor=prepared.tensor, prepared=prepared)

    def _fail(self, key: Tensor, problem: Problem | None) -> None:
        if isinstance(problem, OutOfMemory):
            self._too_large = key

    def _tell(self, problem: Problem) -> None:
        """Without memory the estimate stays, and says that it is one."""
        if not isinstance(problem, OutOfMemory):
            super()._tell(problem)

    def _rest(self) -> None:
        self._sorting = None
        super()._rest()

    def _purpose(self, key: Tensor) -> Phrase:
        return Phrase(N_("sorting {name}"), name=brief(key.name))


def _prepare(tensor: Tensor, progress: Progress, cancelled: IsCancelled) -> SortedTensor:
    prepared = prepare(tensor, progress=progress, cancelled=cancelled)
    tensor.check_unchanged()
    prepared.histogram()  # counted here, so that drawing never has to
    return prepared
