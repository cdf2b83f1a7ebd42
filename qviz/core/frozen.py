"""How is a frozen dataclass declared that costs the start next to nothing? No source text is compiled for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from reprlib import recursive_repr
from typing import Any, TypeVar, dataclass_transform, overload

T = TypeVar("T")


@overload
def frozen(cls: type[T], /) -> type[T]: ...


@overload
def frozen(*, eq: bool = True, repr: bool = True) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T] | None = None, /, **options: bool) -> Any:
    """What ``dataclass(frozen=True)`` makes of a class, in a tenth of its time.

    The standard decorator writes and compiles the source of six methods, which takes a third of a millisecond, and the
    window imports more than a hundred such classes before its first picture. Here five of them are closures, and
    ``__init__``, which has to be quick, is written when the first instance is made.

    Parameters
    ----------
    cls : type
        A class of fields that are all given to ``__init__``, by position or by name.
    **options : bool
        ``eq`` and ``repr`` of `dataclasses.dataclass`.

    Raises
    ------
    TypeError
        When the class has an ``__init__`` of its own, or a field that is not given to it.
    """

    def make(cls: type[T]) -> type[T]:
        made: Any = dataclass(init=False, repr=False, eq=False)(cls)
        if "__init__" in vars(cls) or not all(each.init and not each.kw_only for each in fields(made)):
            raise TypeError(f"{cls.__name__} is no plain record: use dataclass(frozen=True)")
        own = dict(vars(cls))
        made.__init__ = _Unwritten(cls)
        made.__setattr__, made.__delattr__ = _refuse_to_set, _refuse_to_delete
        if options.get("repr", True) and "__repr__" not in own:
            made.__repr__ = _repr
        if options.get("eq", True):
            values = _compared(made)
            if "__eq__" not in own:
                made.__eq__ = _equal(values)
            if own.get("__hash__") is None:
                made.__hash__ = _hash(values)
        return cls

    return make if cls is None else make(cls)


def _refuse_to_set(self: object, name: str, value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


@recursive_repr()
def _repr(self: Any) -> str:
    shown = ", ".join(f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)
    return f"{type(self).__qualname__}({shown})"


def _compared(cls: Any) -> Callable[[object], tuple[object, ...]]:
    """What gives the values by which two instances are compared."""
    names = [each.name for each in fields(cls) if each.compare]
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)  # `attrgetter` of one name gives no tuple


def _equal(values: Callable[[object], tuple[object, ...]]) -> Callable[[object, object], bool]:
    def equal(self: object, other: object) -> bool:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    return equal


def _hash(values: Callable[[object], tuple[object, ...]]) -> Callable[[object], int]:
    def hashed(self: object) -> int:
        return hash(values(self))

    return hashed


class _Unwritten:
    """Stands for a class's ``__init__`` until somebody asks for it; two threads that do so write the same."""

    def __init__(self, cls: Any) -> None:
        self._cls = cls

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        self._cls.__init__ = written = _init(self._cls)
        return written.__get__(instance, owner)


class _Given:
    """Stands, in a signature, for what a field's factory gives."""

    def __repr__(self) -> str:
        return "<factory>"


def _init(cls: Any) -> Any:
    """The ``__init__`` that the standard decorator would write."""
    known: dict[str, Any] = {"put_": object.__setattr__, "given_": _Given()}
    head, body = ["self"], []
    for n, each in enumerate(fields(cls)):
        parameter = value = each.name
        if each.default is not MISSING:
            known[f"default_{n}"] = each.default
            parameter = f"{each.name}=default_{n}"
        elif each.default_factory is not MISSING:
            known[f"factory_{n}"] = each.default_factory
            parameter = f"{each.name}=given_"
            value = f"factory_{n}() if {each.name} is given_ else {each.name}"
        head.append(parameter)
        body.append(f" put_(self, {each.name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        body.append(" self.__post_init__()")
    exec("\n".join([f"def __init__({', '.join(head)}):", *body, " return None"]), known)
    made = known["__init__"]
    made.__qualname__, made.__module__ = f"{cls.__qualname__}.__init__", cls.__module__
    made.__annotations__ = {each.name: each.type for each in fields(cls)} | {"return": None}
    return made
