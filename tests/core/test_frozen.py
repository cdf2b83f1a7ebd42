"""A frozen dataclass for which nothing is compiled is the one that the standard library makes."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from typing import Any

import pytest

from qviz.core.frozen import frozen


def declared(decorator: Callable[[Any], Any], derived: Callable[[Any], Any]) -> tuple[Any, Any]:
    """The same two classes, by one decorator or another."""

    @decorator
    class Shape:
        """With a field that is not compared, a default and a factory."""

        name: str
        sides: int = 4
        notes: list[str] = field(default_factory=list, compare=False, repr=False)

        def __post_init__(self) -> None:
            if self.sides < 3:
                raise ValueError(self.sides)

    @derived
    class Coloured(Shape):
        """Compared by identity."""

        sides: int = 3
        colour: str = "red"

    return Shape, Coloured


PAIRS = list(
    zip(
        declared(frozen, frozen(eq=False, repr=False)),
        declared(dataclass(frozen=True), dataclass(frozen=True, eq=False, repr=False)),
        strict=True,
    )
)


@pytest.mark.parametrize(("made", "standard"), PAIRS)
def test_it_is_what_the_standard_decorator_makes(made: Any, standard: Any) -> None:
    assert str(inspect.signature(made)) == str(inspect.signature(standard))
    assert made.__match_args__ == standard.__match_args__
    assert [(f.name, f.type, f.default) for f in fields(made)] == [
        (f.name, f.type, f.default) for f in fields(standard)
    ]
    for arguments, named in [(("a",), {}), (("a", 5), {}), (("a", 5, ["b"]), {}), ((), {"sides": 7, "name": "c"})]:
        ours, theirs = made(*arguments, **named), standard(*arguments, **named)
        assert asdict(ours) == asdict(theirs)
        assert (ours == made(*arguments, **named)) == (theirs == standard(*arguments, **named))
        assert ours != theirs
        assert (hash(ours) == hash(replace(ours, notes=["x"]))) == (hash(theirs) == hash(replace(theirs, notes=["x"])))
        assert (repr(ours) == repr(replace(ours))) == (repr(theirs) == repr(replace(theirs)))
        for change in (lambda each: setattr(each, "name", ""), lambda each: delattr(each, "name")):
            with pytest.raises(FrozenInstanceError):
                change(ours)
    for arguments, named in [((), {}), (("a", 1), {}), (("a",), {"name": "b"}), (("a",), {"corners": 3})]:
        with pytest.raises((TypeError, ValueError)) as refusal:
            standard(*arguments, **named)
        with pytest.raises(refusal.type) as ours_refuses:
            made(*arguments, **named)
        assert str(ours_refuses.value) == str(refusal.value)


def test_factories_give_each_instance_its_own() -> None:
    shape = PAIRS[0][0]
    first, second = shape("a"), shape("a")
    first.notes.append("b")
    assert second.notes == []


def test_what_a_class_writes_itself_stays() -> None:
    def own(decorator: Callable[[Any], Any]) -> Any:
        @decorator
        class Own:
            """Compared by its length."""

            text: str

            def __eq__(self, other: object) -> bool:
                return isinstance(other, Own) and len(self.text) == len(other.text)

            def __hash__(self) -> int:
                return len(self.text)

            def __repr__(self) -> str:
                return "own"

        return Own

    ours, standard = own(frozen), own(dataclass(frozen=True))
    for cls in (ours, standard):
        assert cls("a") == cls("b")
        assert (hash(cls("abc")), repr(cls("abc"))) == (3, "own")


def test_one_that_holds_itself_can_be_shown() -> None:
    shape = PAIRS[0][0]
    shape = shape([])
    shape.name.append(shape)
    assert repr(shape).endswith("(name=[...], sides=4)")


def test_threads_that_ask_at_once_get_the_same() -> None:
    shape, _ = declared(frozen, frozen)
    together, made = threading.Barrier(8), []

    def ask() -> None:
        together.wait()
        made.append(shape("a", 5))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert made == [shape("a", 5)] * 8


def test_what_it_cannot_make_is_refused() -> None:
    class Own:
        """With an ``__init__`` of its own."""

        def __init__(self) -> None:
            pass

    class Special:
        """With a field that is not given."""

        size: int = field(init=False, default=0)

    class Named:
        """With a field that is given by name alone."""

        size: int = field(kw_only=True)

    for cls in (Own, Special, Named):
        with pytest.raises(TypeError, match=cls.__name__):
            frozen(cls)
