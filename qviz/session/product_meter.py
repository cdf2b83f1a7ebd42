"""How long does multiplying with a weight of the tensor's shape take? Measured when somebody asks, once for each."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.problems import N_, Phrase, Problem
from qviz.core.questions.speed import ProductSpeed, matrix_shape
from qviz.core.work import IsCancelled, Progress
from qviz.session.language import told
from qviz.session.state import Session, State
from qviz.session.worker import Worker

Key = tuple[int, int, int]
"""Outputs, inputs, and rows that are multiplied at once."""


class ProductMeter(Worker):
    """Measures multiplications at the shape of the tensor, for the batch that is looked at.

    Signals
    -------
    forgotten(str)
        Nothing is measured of this shape, and why nothing can be; empty where it only was not yet.
    measured(ProductSpeed)
    """

    forgotten = Signal(str)
    measured = Signal(object)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._known: dict[Key, ProductSpeed] = {}
        self.batch = 0
        session.changed.connect(self._on_changed)

    @Slot(int)
    def look_at(self, batch: int) -> None:
        """Multiply so many rows from now on, and measure it; 0 for nobody looks."""
        self.batch = batch
        self._show()

    @Slot()
    def toggle(self) -> None:
        """Stop what is being measured; measure again when nothing is."""
        if self.busy:
            self.cancel()
        else:
            key = self._key()
            if isinstance(key, tuple):
                self._known.pop(key, None)
            self._show()

    def _key(self) -> Key | Problem | None:
        tensor = self._session.state.tensor
        if tensor is None or not self.batch:
            return None
        try:
            return (*matrix_shape(tensor.shape), self.batch)
        except Problem as problem:
            return problem

    def _show(self) -> None:
        key = self._key()
        self._runner.cancel()
        if not self.batch:
            return
        if not isinstance(key, tuple):
            self.forgotten.emit(told(key) if key is not None else "")
        elif key in self._known:
            self.measured.emit(self._known[key])
        else:
            self.forgotten.emit("")
            outputs, inputs, batch = key

            def work(progress: Progress, cancelled: IsCancelled) -> ProductSpeed:
                from qviz.models.product_speed import measure_products  # the window starts without the runtime

                return measure_products(outputs, inputs, batch, progress=progress, cancelled=cancelled)

            self._submit(key, work, urgent=True)

    @Slot(object, object)
    def _on_changed(self, old: State, new: State) -> None:
        if self.batch and (old.tensor is None or new.tensor is None or old.tensor.shape != new.tensor.shape):
            self._show()

    def _answer(self, key: Key, found: ProductSpeed) -> None:
        self._known[key] = found
        if key == self._key():
            self.measured.emit(found)

    def _give_up(self, key: Key) -> None:
        if key == self._key():
            self.forgotten.emit("")

    def _fail(self, key: Key, problem: Problem | None) -> None:
        self._give_up(key)

    def _purpose(self, key: Key) -> Phrase:
        return Phrase(N_("this measurement"))
