"""How is a frozen dataclass declared that costs the start nothing? It is made when it is first used."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform, overload

T = TypeVar("T")


@overload
def frozen(cls: type[T], /) -> type[T]: ...


@overload
def frozen(*, eq: bool = True, repr: bool = True) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T] | None = None, /, **options: bool) -> Any:
    """What ``dataclass(frozen=True)`` makes of a class, made when its first instance or its fields are asked for.

    The standard decorator writes and compiles source text, a third of a millisecond for each class. The window
    imports more than a hundred before its first picture, and uses a third of them.

    Parameters
    ----------
    cls : type
        A class of fields that are all given to ``__init__``, by position or by name.
    **options : bool
        ``eq`` and ``repr`` of `dataclasses.dataclass`.

    Raises
    ------
    TypeError
        When the class has an ``__init__`` of its own: it would be used unmade.
    """

    def declare(cls: type[T]) -> type[T]:
        if "__init__" in cls.__dict__:
            raise TypeError(f"{cls.__name__} writes its own __init__: use dataclass(frozen=True, init=False)")
        for name in ("__init__", "__dataclass_fields__"):
            setattr(cls, name, _Unmade(cls, name, options))
        return cls

    return declare if cls is None else declare(cls)


class _Unmade:
    """Stands for what makes a class a dataclass until somebody, in whatever thread, asks for it."""

    _making = threading.RLock()

    def __init__(self, cls: Any, name: str, options: dict[str, bool]) -> None:
        self._cls, self._name, self._options = cls, name, options

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        cls = self._cls
        with self._making:
            if isinstance(cls.__dict__["__init__"], _Unmade):
                # The standard __init__ takes no other's place, and a class must never be seen without one.
                dataclass(frozen=True, init=False, **self._options)(cls)
                cls.__init__ = _init(cls)
        made = cls.__dict__[self._name]
        return made.__get__(instance, owner) if callable(made) else made


class _Given:
    """Stands, in a signature, for what a field's factory gives."""

    def __repr__(self) -> str:
        return "<factory>"


def _init(cls: Any) -> Callable[..., None]:
    """The ``__init__`` that the standard decorator would write."""
    known: dict[str, Any] = {"put_": object.__setattr__, "given_": _Given()}
    head, body = ["self"], []
    for n, each in enumerate(fields(cls)):
        if not each.init or each.kw_only:
            raise TypeError(f"{cls.__name__}.{each.name}: use dataclass(frozen=True) for fields that are special")
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
    made: Callable[..., None] = known["__init__"]
    made.__qualname__, made.__module__ = f"{cls.__qualname__}.__init__", cls.__module__
    made.__annotations__ = {each.name: each.type for each in fields(cls)} | {"return": None}
    return made
