"""What does each of many schemes do to the tensor that is shown? Results come one by one."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.frozen import frozen
from qviz.core.questions.figures import Figures
from qviz.core.questions.sweep import Combinations, combine, sweep
from qviz.core.ranges.rules import MinMax, RangeRule
from qviz.core.tensors.granularity import Granularity, PerTensor
from qviz.core.work import IsCancelled, Progress
from qviz.session.on_demand import TensorOnDemand
from qviz.session.state import Session, State
from qviz.session.worker import Work


@frozen
class Choice:
    """The parts that a person ticked, each to be combined with each."""

    number_formats: tuple[NumberFormat, ...] = (IntFormat(),)
    granularities: tuple[Granularity, ...] = (PerTensor(),)
    range_rules: tuple[RangeRule, ...] = (MinMax(),)
    symmetries: tuple[bool, ...] = (True,)

    def combinations(self, state: State) -> Combinations:
        """The schemes that they make for a tensor, under the convention of its scheme."""
        return combine(
            self.number_formats,
            self.granularities,
            self.range_rules,
            symmetries=self.symmetries,
            conventions=(state.scheme.convention,),
            shape=state.tensor.shape if state.tensor is not None else None,
        )


class Sweeper(TensorOnDemand):
    """Measures every scheme of a `Choice`, away from the window's thread.

    Signals
    -------
    planned(Combinations)
        What is measured from now on; earlier results are of something else.
    found(Figures)
        One result.
    completed()
        Every one was found.
    """

    planned = Signal(object)
    found = Signal(object)
    completed = Signal()

    _came = Signal(object, object)

    def __init__(self, session: Session, sorting: Callable[[], bool], parent: QObject | None = None) -> None:
        super().__init__(session, sorting, parent)
        self._choice = Choice()
        self._plan: object = None
        self._came.connect(self._on_came)

    @Slot(object)
    def choose(self, choice: Choice) -> None:
        """Other schemes are asked for."""
        self._choice = choice
        self.look()

    @Slot(bool)
    def want(self, wanted: bool) -> None:
        """Somebody looks, or nobody does: what is under way goes on, to be there when somebody looks again."""
        self._wanted = wanted
        self.look()

    @Slot()
    def look(self, *_: object) -> None:
        """Something may have changed; what is measured unseen is given up when it is about something else."""
        if self._runner.busy and not self._wanted and self.key() != self._asked:
            self._give_way()
        super().look()

    def key(self) -> Hashable:
        state = self._session.state
        if state.tensor is None:
            return None
        return state.tensor, state.prepared, state.scheme.convention, self._choice

    def work(self) -> Work:
        state = self._session.state
        combinations = self._choice.combinations(state)
        source = state.prepared or state.tensor
        plan = self._plan = object()
        tell, limits = self._came.emit, self._session.limits
        self.planned.emit(combinations)

        def run(progress: Progress, cancelled: IsCancelled) -> None:
            for metrics in sweep(source, combinations.schemes, limits=limits, progress=progress, cancelled=cancelled):
                tell(plan, metrics.figures)

        return run

    def answer(self, found: object) -> None:
        self.completed.emit()

    @Slot(object, object)
    def _on_came(self, plan: object, figures: Figures) -> None:
        if plan is self._plan:
            self.found.emit(figures)
