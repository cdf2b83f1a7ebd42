"""Which activation and weight are multiplied, and under which schemes? Each change asks for one frozen `Product`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from enum import Enum
from functools import partial
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.frozen import frozen
from qviz.core.problems import N_, Phrase, Problem
from qviz.core.questions.product import Product, multiply
from qviz.core.questions.product_operands import OperandProblem, fits, lies_transposed
from qviz.core.schemes.dynamic import DYNAMIC_RUNTIMES, laid_out
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.generators import GeneratorSpec, generate
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, Progress
from qviz.session.language import told
from qviz.session.memory import Memory
from qviz.session.state import Item, Session, State
from qviz.session.worker import Worker

FIRST_RUNTIME = "torchao_int8"

SLOW_SECONDS = 0.25
"""An answer that takes longer is not waited for when another one is wanted."""


def _generated(name: str, spec: GeneratorSpec) -> Item:
    def load(progress: Progress, cancelled: IsCancelled) -> Tensor:
        return Tensor(generate(spec, progress=progress, cancelled=cancelled), name)

    return Item(name, N_("generated"), spec.shape, "float32", load, spec)


ACTIVATIONS = _generated(
    "Activations (generated)",
    GeneratorSpec("activations", (256, 512), 7, (("features", 4.0), ("factor", 16.0), ("spread", 0.6))),
)
WEIGHTS = _generated("Weights (generated)", GeneratorSpec("normal", (512, 512), 8, (("std", 0.04),)))
"""The pair that is there from the beginning, so that there is something to see."""


@frozen
class Factors:
    """One frozen choice of everything that decides a product.

    Attributes
    ----------
    activation, weight : Item
    transposed : bool
        The weight is (outputs, features).
    activation_scheme, weight_scheme : Scheme
        The latter for the weight as it lies.
    runtime : str
        The preset that both schemes are of; empty where they are one's own.
    """

    activation: Item = ACTIVATIONS
    weight: Item = WEIGHTS
    transposed: bool = False
    activation_scheme: Scheme = field(default=DYNAMIC_RUNTIMES[FIRST_RUNTIME].activation)
    weight_scheme: Scheme = field(default=DYNAMIC_RUNTIMES[FIRST_RUNTIME].weight)

    @property
    def runtime(self) -> str:
        schemes = self.activation_scheme, laid_out(self.weight_scheme, False)
        for runtime in DYNAMIC_RUNTIMES.values():
            if schemes == (runtime.activation, runtime.weight):
                return runtime.name
        return ""


class Multiplier(Worker):
    """Multiplies what is chosen as often as something is chosen, while somebody looks.

    Signals
    -------
    changed(Factors)
    answered(Product)
    problem(str, str)
        The operand that it is about, ``"activation"`` or ``"weight"``, and one sentence.
    """

    changed = Signal(object)
    answered = Signal(object)
    problem = Signal(str, str)

    def __init__(self, session: Session, memory: Memory, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._memory = memory
        self._factors = Factors()
        self._wanted = False
        self._asked: Factors | None = None
        self._last: Product | None = None
        self._read: dict[Item, Tensor] = {}
        session.changed.connect(self._on_session)

    @property
    def factors(self) -> Factors:
        return self._factors

    @property
    def last(self) -> Product | None:
        """The newest answer."""
        return self._last

    @Slot(bool)
    def want(self, wanted: bool) -> None:
        """Somebody looks at the product, or nobody does."""
        self._wanted = wanted
        self._ask()

    def update(self, **changes: Any) -> None:
        """Change fields of the factors; nothing happens when they equal the old ones.

        A weight that fits only in its other layout is laid out so; one that fits both ways lies as its file has it.
        """
        old, new = self._factors, replace(self._factors, **changes)
        if "transposed" not in changes and {"activation", "weight"} & changes.keys():
            new = _turned(new, is_new="weight" in changes and new.weight is not old.weight)
        if new.transposed != old.transposed:
            new = replace(new, weight_scheme=laid_out(new.weight_scheme, new.transposed))
        if new != old:
            self._factors = new
            self.changed.emit(new)
            self._ask()

    def choose_runtime(self, name: str) -> None:
        """Both schemes as a runtime has them."""
        runtime = DYNAMIC_RUNTIMES[name]
        weight = laid_out(runtime.weight, self._factors.transposed)
        self.update(activation_scheme=runtime.activation, weight_scheme=weight)

    def _ask(self) -> None:
        factors = self._factors
        if not self._wanted or factors == self._asked:
            return
        old, self._asked = self._asked, factors
        operands = (factors.activation, factors.weight)
        known = {item: tensor for item in operands if (tensor := self._known(item)) is not None}
        other = old is None or (old.activation, old.weight) != operands
        slow = self._last is not None and self._last.seconds > SLOW_SECONDS
        self._submit(factors, partial(_product, factors, known), urgent=other or slow)

    def _known(self, item: Item) -> Tensor | None:
        if item in self._read:
            return self._read[item]
        kept = self._memory.get(item)
        return None if kept is None else kept.tensor

    @Slot(object, object)
    def _on_session(self, old: State, new: State) -> None:
        """What was closed is not multiplied any more."""
        if new.items is old.items:
            return
        gone = {}
        for operand, first in (("activation", ACTIVATIONS), ("weight", WEIGHTS)):
            item = getattr(self._factors, operand)
            if item is not first and item not in new.items:
                gone[operand] = first
        if gone:
            self.update(**gone)

    def _answer(self, key: Factors, found: tuple[Product, Mapping[Item, Tensor]]) -> None:
        self._last, read = found
        # What is in use stays, without a second copy of what the window keeps anyway.
        self._read = {item: tensor for item, tensor in read.items() if self._memory.get(item) is None}
        self.answered.emit(self._last)

    def _give_up(self, key: Factors) -> None:
        if key == self._asked:
            self._asked = None  # asked for again, it is computed again

    def _tell(self, problem: Problem) -> None:
        self.problem.emit(problem.operand if isinstance(problem, OperandProblem) else "activation", told(problem))

    def _purpose(self, key: Factors) -> Phrase:
        return Phrase(N_("this product"))


class Lies(Enum):
    """Why a weight lies as it does."""

    FITS = "fits"  # the other way it does not
    AS_STORED = "as_stored"
    TURNED = "turned"  # by hand: its file stores it the other way
    UNKNOWN = "unknown"  # it is square, and its file does not say


def how_it_lies(factors: Factors) -> Lies | None:
    """Why the weight lies as it does; None where nobody need wonder."""
    x, w, stored = factors.activation.shape, factors.weight.shape, factors.weight.outputs_first
    if x is None or w is None or not fits(x, w, factors.transposed) or factors.weight is WEIGHTS:
        return None
    if not fits(x, w, not factors.transposed):
        return Lies.FITS
    if stored is None:
        return Lies.UNKNOWN
    return Lies.AS_STORED if stored is factors.transposed else Lies.TURNED


def _turned(factors: Factors, *, is_new: bool) -> Factors:
    """With the weight laid out as only it fits, or a new one as its file has it."""
    x, w, stored = factors.activation.shape, factors.weight.shape, factors.weight.outputs_first
    if x is None or w is None:
        return factors
    return replace(factors, transposed=lies_transposed(x, w, stored if is_new else None, factors.transposed))


def _product(
    factors: Factors, known: Mapping[Item, Tensor], progress: Progress, cancelled: IsCancelled
) -> tuple[Product, Mapping[Item, Tensor]]:
    tensors: dict[Item, Tensor] = dict(known)
    for operand in ("activation", "weight"):
        item: Item = getattr(factors, operand)
        try:
            if item not in tensors:
                tensors[item] = item.load(lambda f: progress(0.3 * f), cancelled)
            tensors[item] = tensors[item].count(cancelled=cancelled)
        except Problem as problem:
            raise OperandProblem.of(operand, problem) from None
    product = multiply(
        tensors[factors.activation],
        tensors[factors.weight],
        factors.activation_scheme,
        factors.weight_scheme,
        transposed=factors.transposed,
        cancelled=cancelled,
        progress=lambda f: progress(0.3 + 0.7 * f),
    )
    return product, tensors
