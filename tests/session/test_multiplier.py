"""A product is computed while somebody looks, once for equal factors, and what is wrong is told at its operand."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from qviz.core import IntFormat, PerAxis, PerToken, Problem, Scheme, Tensor
from qviz.core.questions.product import multiply
from qviz.core.schemes.dynamic import DYNAMIC_RUNTIMES, laid_out
from qviz.session import multiplier as module
from qviz.session.memory import Kept, Memory
from qviz.session.multiplier import (
    ACTIVATIONS,
    FIRST_RUNTIME,
    SLOW_SECONDS,
    WEIGHTS,
    Factors,
    Lies,
    Multiplier,
    how_it_lies,
)
from qviz.session.state import Item, Session
from tests.session.conftest import PATIENCE, Heard, settle, until

RNG = np.random.default_rng(5)


def item(name: str, array: object, *, shape: object = ...) -> Item:
    """An open tensor; one whose shape nobody knows before it is read where ``shape`` is None."""
    tensor = Tensor(np.asarray(array, np.float32), name)
    return Item(name, "a test", tensor.shape if shape is ... else None, "float32", lambda progress, cancelled: tensor)


X, W = item("x", RNG.standard_normal((5, 8))), item("w", RNG.standard_normal((8, 3)))


class Desk:
    """A multiplier and what it says."""

    def __init__(self, qtbot: QtBot) -> None:
        self.bot = qtbot
        self.session, self.memory = Session(), Memory(lambda: 1 << 30)
        self.multiplier = Multiplier(self.session, self.memory)
        self.heard = Heard(self.multiplier, "changed", "began", "advanced", "ended", "answered", "problem")

    def settle(self) -> None:
        settle(self.bot, self.multiplier)

    def show(self, *items: Item) -> None:
        self.session.update(items=items)

    def choose(self, activation: Item, weight: Item) -> None:
        """Two operands, and the answer to them."""
        self.multiplier.update(activation=activation, weight=weight)
        self.multiplier.want(True)
        self.settle()


@pytest.fixture
def desk(qtbot: QtBot) -> Iterator[Desk]:
    desk = Desk(qtbot)
    yield desk
    desk.multiplier.close()


def test_nothing_is_computed_until_somebody_looks(desk: Desk) -> None:
    desk.multiplier.update(transposed=True)
    assert not desk.multiplier.busy
    assert desk.heard.names == ["changed"]
    desk.multiplier.want(True)
    desk.settle()
    assert desk.heard.of("answered") == [desk.multiplier.last]


def test_it_opens_on_a_pair_that_fits_and_has_something_to_tell(desk: Desk) -> None:
    desk.multiplier.want(True)
    desk.settle()
    product = desk.multiplier.last
    assert product is not None
    assert product.shape == (256, 512)
    assert product.losses["activation"].mse > 5 * product.losses["weight"].mse  # the outlier features
    assert desk.multiplier.factors.runtime == FIRST_RUNTIME
    assert desk.heard.names[0] == "began"
    assert desk.heard.names[-1] == "ended"
    assert desk.heard.of("advanced")[-1] == 1


def test_the_answer_is_that_of_the_core_and_equal_factors_ask_once(desk: Desk) -> None:
    desk.choose(X, W)
    factors = desk.multiplier.factors
    x, w = (i.load(lambda f: None, lambda: False) for i in (X, W))
    expected = multiply(x, w, factors.activation_scheme, factors.weight_scheme)
    assert desk.multiplier.last.loss == expected.loss
    desk.multiplier.want(False)
    desk.multiplier.want(True)
    desk.multiplier.update(activation=X)
    desk.settle()
    assert len(desk.heard.of("answered")) == 1


@pytest.mark.parametrize("name", DYNAMIC_RUNTIMES)
@pytest.mark.parametrize("transposed", [False, True])
def test_a_runtime_is_one_choice_and_known_again(desk: Desk, name: str, transposed: bool) -> None:
    desk.multiplier.update(transposed=transposed)
    desk.multiplier.choose_runtime(name)
    factors = desk.multiplier.factors
    assert factors.runtime == name
    assert factors.activation_scheme == DYNAMIC_RUNTIMES[name].activation
    granularity = factors.weight_scheme.granularity
    assert not isinstance(granularity, PerAxis) or granularity.axis == (0 if transposed else 1)
    desk.multiplier.update(activation_scheme=Scheme(IntFormat(5), granularity=PerToken()))
    assert desk.multiplier.factors.runtime == ""


def test_a_weight_that_fits_only_the_other_way_is_laid_out_so(desk: Desk) -> None:
    linear = item("linear", RNG.standard_normal((3, 8)))
    desk.choose(X, linear)
    assert desk.multiplier.factors.transposed
    assert desk.multiplier.factors.weight_scheme.granularity == PerAxis(0)
    assert desk.multiplier.last.shape == (5, 3)
    assert desk.multiplier.last.weight_qparams.scale.shape == (3,)
    desk.multiplier.update(weight=W)
    desk.settle()
    assert not desk.multiplier.factors.transposed
    assert desk.multiplier.last.weight_qparams.scale.shape == (3,)


def test_what_does_not_fit_is_told_at_the_weight_with_both_shapes(desk: Desk) -> None:
    desk.choose(X, item("w", np.ones((4, 4))))
    ((operand, text),) = desk.heard.of("problem")
    assert operand == "weight"
    assert "(5, 8)" in text
    assert "(4, 4)" in text
    assert desk.heard.names[-2:] == ["ended", "problem"]


def test_a_shape_that_nobody_knows_is_found_not_to_fit_when_it_is_read(desk: Desk) -> None:
    desk.choose(X, item("w", np.ones((3, 8)), shape=None))
    assert not desk.multiplier.factors.transposed
    assert "layout outputs × features" in desk.heard.of("problem")[0][1]
    desk.multiplier.update(transposed=True)
    desk.settle()
    assert desk.multiplier.last.shape == (5, 3)


@pytest.mark.parametrize("operand", ["activation", "weight"])
def test_a_tensor_that_cannot_be_read_is_told_at_its_picker(desk: Desk, operand: str) -> None:
    def load(progress: object, cancelled: object) -> Tensor:
        raise Problem("It is gone: open it again.")

    broken = Item("broken", "a test", None, None, load)
    desk.choose(**{"activation": X, "weight": W, operand: broken})
    assert desk.heard.of("problem") == [(operand, "It is gone: open it again.")]


def test_a_lack_of_memory_is_a_problem_and_a_bug_is_none(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(module, "multiply", fail)
    error: Exception = MemoryError()
    desk.choose(X, W)
    ((operand, text),) = desk.heard.of("problem")
    assert operand == "activation"
    assert "not enough memory" in text
    error = ZeroDivisionError("a bug")
    with desk.bot.captureExceptions() as caught:
        desk.multiplier.update(transposed=False, weight_scheme=Scheme())
        desk.settle()
    assert [str(e[1]) for e in caught] == ["a bug"]


def test_what_was_closed_gives_way_to_the_generated_one(desk: Desk) -> None:
    desk.show(X, W)
    desk.choose(X, W)
    desk.show(X, W)  # nothing new
    desk.show(W)
    assert desk.multiplier.factors.activation is ACTIVATIONS
    assert desk.multiplier.factors.weight is W
    desk.show()
    assert desk.multiplier.factors == Factors()
    desk.settle()


def test_a_tensor_that_is_kept_is_not_read_again(desk: Desk) -> None:
    reads = []

    def load(progress: object, cancelled: object) -> Tensor:
        reads.append(threading.get_ident())
        return Tensor(RNG.standard_normal((5, 8)), "counted")

    counted = Item("counted", "a test", (5, 8), "float32", load)
    desk.choose(counted, W)
    desk.multiplier.update(activation_scheme=Scheme(IntFormat(4)))
    desk.settle()
    assert len(reads) == 1
    assert reads[0] != threading.get_ident()
    kept = Tensor(RNG.standard_normal((2, 8)), "kept")
    desk.memory.keep(X, Kept(kept))
    desk.choose(X, W)
    assert desk.multiplier.last.activation.same_data(kept)
    assert X not in desk.multiplier._read


def test_it_can_be_stopped_and_asked_again(desk: Desk) -> None:
    began, let_go = threading.Event(), threading.Event()

    def load(progress: object, cancelled: object) -> Tensor:
        began.set()
        assert let_go.wait(PATIENCE)
        return Tensor(RNG.standard_normal((5, 8)), "slow")

    slow = Item("slow", "a test", (5, 8), "float32", load)
    given_up: list[None] = []
    desk.multiplier.given_up.connect(lambda: given_up.append(None))
    desk.multiplier.update(activation=slow, weight=W)
    desk.multiplier.want(True)
    until(desk.bot, began.is_set)
    desk.multiplier.cancel()
    let_go.set()
    desk.settle()
    assert desk.multiplier.last is None
    assert desk.heard.names[-1] == "ended"
    assert given_up == [None]
    desk.multiplier.want(True)
    desk.settle()
    assert desk.multiplier.last is not None


@pytest.mark.parametrize(("seconds", "given_up"), [(0.0, False), (SLOW_SECONDS + 0.01, True)])
def test_an_answer_that_takes_long_is_given_up_for_a_new_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, seconds: float, given_up: bool
) -> None:
    desk.choose(X, W)
    desk.multiplier._last = replace(desk.multiplier.last, seconds=seconds)
    urgent: list[bool] = []
    monkeypatch.setattr(
        desk.multiplier._runner, "submit", lambda request, urgent=False, told=urgent: told.append(urgent)
    )
    desk.multiplier.update(weight_scheme=Scheme(IntFormat(3)))
    assert urgent == [given_up]
    desk.multiplier.update(activation=item("another x", np.ones((5, 8))))
    assert urgent == [given_up, True]  # nobody waits for the product of what was left


def test_the_generated_pair_has_names_and_shapes_of_its_own() -> None:
    for generated in (ACTIVATIONS, WEIGHTS):
        tensor = generated.load(lambda f: None, lambda: False)
        assert tensor.shape == generated.shape
        assert tensor.name == generated.name


# --- which way round a square weight lies ----------------------------------------------------------

SQUARE = RNG.standard_normal((8, 8))


def stored(outputs_first: bool | None, name: str = "square") -> Item:
    """A square weight out of a file that says how it stores weights, or does not."""
    return replace(item(name, SQUARE), outputs_first=outputs_first)


@pytest.mark.parametrize("outputs_first", [True, False])
def test_a_square_weight_lies_as_its_file_has_it(desk: Desk, outputs_first: bool) -> None:
    for before in (False, True):
        desk.multiplier.update(weight=W, transposed=before)
        desk.choose(X, stored(outputs_first))
        assert desk.multiplier.factors.transposed is outputs_first
        assert how_it_lies(desk.multiplier.factors) is Lies.AS_STORED
    expected = multiply(
        X.load(lambda f: None, lambda: False),
        SQUARE.T if outputs_first else SQUARE,
        desk.multiplier.factors.activation_scheme,
        laid_out(desk.multiplier.factors.weight_scheme, False),
    )
    assert desk.multiplier.last is not None
    assert desk.multiplier.last.loss.mse == pytest.approx(expected.loss.mse)


def test_turned_by_hand_it_stays_so(desk: Desk) -> None:
    desk.choose(X, stored(True))
    desk.multiplier.update(transposed=False)
    assert how_it_lies(desk.multiplier.factors) is Lies.TURNED
    desk.multiplier.update(activation=item("x", RNG.standard_normal((9, 8))))
    assert not desk.multiplier.factors.transposed


def test_where_nobody_can_tell_it_is_said_and_the_last_choice_kept(desk: Desk) -> None:
    for way in (True, False):
        desk.choose(X, stored(None, "a"))
        desk.multiplier.update(transposed=way)
        desk.choose(X, stored(None, "b"))
        assert desk.multiplier.factors.transposed is way
        assert how_it_lies(desk.multiplier.factors) is Lies.UNKNOWN


def test_what_fits_only_one_way_lies_so_whatever_its_file_says(desk: Desk) -> None:
    linear = replace(item("linear", RNG.standard_normal((3, 8))), outputs_first=False)
    desk.choose(X, linear)
    assert desk.multiplier.factors.transposed
    assert how_it_lies(desk.multiplier.factors) is Lies.FITS
    desk.choose(X, WEIGHTS)
    assert how_it_lies(desk.multiplier.factors) is None
